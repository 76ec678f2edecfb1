/* Reading statements for what they say. */
#include "server/peek.h"

#include <stdlib.h>

#include "common/fsat.h"
#include "transcripts/statement.h"

static int
parse_head(const char *body, size_t len, void *out, struct err *e)
{
	return head_parse(body, len, out, e);
}

static int
parse_release(const char *body, size_t len, void *out, struct err *e)
{
	return release_parse(body, len, out, e);
}

static int
peek(int dir, const char *path, size_t max_bytes,
    int (*parse)(const char *body, size_t len, void *out, struct err *e),
    void *out, struct err *e)
{
	struct statement *s = malloc(sizeof(*s));
	struct buf bytes;
	int rc;

	if (s == NULL)
		return err_memory(e);
	buf_init(&bytes, max_bytes);
	rc = fsat_read_file(dir, path, max_bytes, &bytes, e);
	if (rc == 0)
		rc = statement_split(bytes.data, bytes.len, s, e);
	if (rc == 0)
		rc = parse(s->body, s->body_len, out, e);
	buf_release(&bytes);
	free(s);
	return rc;
}

int
peek_head(int dir, const char *path, struct head *out, struct err *e)
{
	return peek(dir, path, LIMIT_HEAD_BYTES, parse_head, out, e);
}

int
peek_release(int dir, const char *path, struct release *out, struct err *e)
{
	return peek(dir, path, LIMIT_RELEASE_BYTES, parse_release, out, e);
}
