/* News behind a head; runs in the fetcher. */
#include "transcripts/news.h"

#include <string.h>

#include "common/text.h"

void
news_init(struct news *n)
{
	n->count = n->line_len = 0;
	buf_init(&n->bytes, LIMIT_NEWS_BYTES);
}

void
news_drop(struct news *n)
{
	n->count = n->line_len = 0;
	buf_release(&n->bytes);
}

/* "PATH BYTES" */
static int
begin_part(struct news *n, struct err *e)
{
	struct news_part *p = &n->parts[n->count];
	const char *space = memchr(n->line, ' ', n->line_len);
	size_t len = space == NULL ? 0 : (size_t)(space - n->line);

	if (len == 0 || len >= sizeof(p->path) ||
	    n->count == sizeof(n->parts) / sizeof(*n->parts) ||
	    text_u64(space + 1, n->line_len - len - 1,
	        LIMIT_NEWS_BYTES - n->bytes.len, &p->size_bytes) != 0)
		return err_set(e, ERR_FORMAT, "news: a part is announced ill");
	memcpy(p->path, n->line, len);
	p->path[len] = '\0';
	p->at = n->bytes.len;
	p->len = 0;
	n->line_len = 0;
	n->count++;
	return 0;
}

static int
take_line_byte(struct news *n, char c, struct err *e)
{
	if (c == '\n')
		return begin_part(n, e);
	if (n->line_len == sizeof(n->line))
		return err_set(e, ERR_FORMAT, "news: line too long");
	n->line[n->line_len++] = c;
	return 0;
}

int
news_take(struct news *n, const uint8_t *data, size_t len, struct err *e)
{
	while (len > 0) {
		struct news_part *p =
		    n->count > 0 ? &n->parts[n->count - 1] : NULL;
		size_t more = 1;

		if (p == NULL || p->len == p->size_bytes) {
			if (take_line_byte(n, (char)*data, e) != 0)
				return e->code;
		} else {
			more = p->size_bytes - p->len < len
			    ? (size_t)p->size_bytes - p->len
			    : len;
			buf_add(&n->bytes, data, more);
			if (buf_check(&n->bytes, "news", e) != 0)
				return e->code;
			p->len += more;
		}
		data += more;
		len -= more;
	}
	return 0;
}

const struct news_part *
news_find(const struct news *n, const char *path, uint64_t max_bytes)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->parts[i].path, path) == 0 &&
		    n->parts[i].size_bytes <= max_bytes)
			return &n->parts[i];
	return NULL;
}
