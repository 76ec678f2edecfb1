/* REPO/cache/kept: a line "<channel> <digest> <time>" for each release. */
#include "server/retain_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/repo.h"

#define PATH "cache/kept"

void
retain_list_release(struct retain_list *l)
{
	free(l->items);
	*l = (struct retain_list){ .items = NULL };
}

int
retain_list_add(
    struct retain_list *l, const struct retain_item *item, struct err *e)
{
	if (l->count == LIMIT_KEPT_RELEASES)
		return err_set(e, ERR_LIMIT, "more than %d releases are kept",
		    LIMIT_KEPT_RELEASES);
	if (l->count == l->room) {
		size_t room = l->room == 0 ? 64 : 2 * l->room;
		struct retain_item *items =
		    reallocarray(l->items, room, sizeof(*items));

		if (items == NULL)
			return err_memory(e);
		l->items = items;
		l->room = room;
	}
	l->items[l->count++] = *item;
	return 0;
}

const struct retain_item *
retain_list_find(const struct retain_list *l, const char *channel,
    const struct digest *release)
{
	for (size_t i = 0; i < l->count; i++)
		if (digest_equal(&l->items[i].release, release) &&
		    strcmp(l->items[i].channel, channel) == 0)
			return &l->items[i];
	return NULL;
}

size_t
retain_list_count(const struct retain_list *l, const char *channel)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++)
		n += strcmp(l->items[i].channel, channel) == 0;
	return n;
}

/* "<channel> <digest> <time>" without its newline. */
static bool
parse_line(const char *line, size_t len, struct retain_item *out)
{
	const char *channel_end = memchr(line, ' ', len), *digest;
	size_t name, left;
	uint64_t since;

	if (channel_end == NULL)
		return false;
	name = (size_t)(channel_end - line);
	digest = channel_end + 1;
	left = len - name - 1;
	if (!text_is_name(line, name) || left < DIGEST_HEX ||
	    digest[DIGEST_HEX - 1] != ' ' ||
	    digest_parse(digest, DIGEST_HEX - 1, &out->release) != 0 ||
	    text_u64(
	        digest + DIGEST_HEX, left - DIGEST_HEX, INT64_MAX, &since) != 0)
		return false;
	memcpy(out->channel, line, name);
	out->channel[name] = '\0';
	out->since = (time_t)since;
	return true;
}

static int
parse(const struct buf *text, struct retain_list *out, struct err *e)
{
	const char *at = (const char *)text->data;
	size_t left = text->len;
	struct retain_item item;
	int ret = 0;

	while (ret == 0 && left > 0) {
		const char *end = memchr(at, '\n', left);

		if (end == NULL || !parse_line(at, (size_t)(end - at), &item))
			return err_set(e, ERR_FORMAT, PATH);
		ret = retain_list_add(out, &item, e);
		left -= (size_t)(end - at) + 1;
		at = end + 1;
	}
	return ret;
}

int
retain_list_load(struct repo *r, struct retain_list *out, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf text;
	int ret;

	buf_init(&text, LIMIT_KEPT_BYTES);
	ret = fsat_read_file(repo_fd(r), PATH, LIMIT_KEPT_BYTES, &text, &why);
	if (ret == 0)
		ret = parse(&text, out, &why);
	buf_release(&text);
	if (ret == 0)
		return 0;
	retain_list_release(out);
	if (ret == ERR_NOT_FOUND || ret == ERR_FORMAT || ret == ERR_LIMIT)
		return 0;
	return err_set(e, ret, "%s", why.msg);
}

int
retain_list_save(struct repo *r, const struct retain_list *l, struct err *e)
{
	char line[LIMIT_NAME_BYTES + DIGEST_HEX + 32], hex[DIGEST_HEX];
	struct buf text;
	int ret;

	buf_init(&text, LIMIT_KEPT_BYTES);
	for (size_t i = 0; i < l->count; i++) {
		digest_hex(&l->items[i].release, hex);
		(void)snprintf(line, sizeof(line), "%s %s %llu\n",
		    l->items[i].channel, hex,
		    (unsigned long long)l->items[i].since);
		buf_add_str(&text, line);
	}
	ret = buf_check(&text, PATH, e);
	if (ret == 0)
		ret = fsat_write_file(
		    repo_fd(r), PATH, 0600, text.data, text.len, e);
	buf_release(&text);
	return ret;
}
