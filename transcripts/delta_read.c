/* Reads librsync's delta format: bytes from outside; runs in fetchers.  A
 * command is told as it is, without its bytes where the basis has them, so that
 * a delta costs what it is long and not what its result is. */
#include "transcripts/delta.h"

#include <stdbool.h>

#define MAGIC       0x72730236U
#define INPUT_BYTES 16384

/* Commands. */
#define END          0x00
#define LITERAL_MAX  0x40 /* 1 to this: so many bytes follow */
#define LITERAL      0x41 /* of a length of 1, 2, 4 or 8 bytes */
#define COPY         0x45 /* the same of the place, four times each length */
#define COPY_LAST    0x54
#define LITERAL_LAST (COPY - 1)

struct input {
	const struct delta_patch *patch;
	uint64_t left; /* bytes that the result may still get */
	size_t at, len;
	uint8_t bytes[INPUT_BYTES];
};

static int
damaged(const char *why, struct err *e)
{
	return err_set(e, ERR_FORMAT, "delta: %s", why);
}

/* Makes sure of a byte, or of the end. */
static int
refill(struct input *in, bool *more, struct err *e)
{
	int rc = 0;

	if (in->at == in->len) {
		in->at = in->len = 0;
		rc = in->patch->source(in->patch->source_arg, in->bytes,
		    sizeof(in->bytes), &in->len, e);
	}
	*more = in->at < in->len;
	return rc;
}

static int
need(struct input *in, struct err *e)
{
	bool more = false;
	int rc = refill(in, &more, e);

	return rc != 0 || more ? rc : damaged("cut off", e);
}

static int
get_number(struct input *in, unsigned width, uint64_t *v, struct err *e)
{
	int rc = 0;

	*v = 0;
	while (width-- > 0 && (rc = need(in, e)) == 0)
		*v = *v << 8 | in->bytes[in->at++];
	return rc;
}

/* So many bytes of the result are next. */
static int
allow(struct input *in, uint64_t len, struct err *e)
{
	if (len == 0)
		return damaged("a command for no bytes", e);
	if (len > in->left)
		return err_set(
		    e, ERR_LIMIT, "delta: more output than the bytes allowed");
	in->left -= len;
	return 0;
}

static int
take_literal(struct input *in, uint64_t len, struct err *e)
{
	int rc = allow(in, len, e);

	while (rc == 0 && len > 0 && (rc = need(in, e)) == 0) {
		size_t n = in->len - in->at;

		n = n < len ? n : (size_t)len;
		rc = in->patch->literal(
		    in->patch->arg, in->bytes + in->at, n, e);
		in->at += n;
		len -= n;
	}
	return rc;
}

static int
take_copy(struct input *in, uint64_t from, uint64_t len, struct err *e)
{
	int rc;

	if (from > INT64_MAX || len > INT64_MAX - from)
		return damaged("copies what is not in the basis", e);
	rc = allow(in, len, e);
	return rc != 0 ? rc : in->patch->copy(in->patch->arg, from, len, e);
}

static int
take_command(struct input *in, uint8_t command, struct err *e)
{
	uint64_t from, len;
	unsigned widths;
	int rc;

	if (command <= LITERAL_MAX)
		return take_literal(in, command, e);
	if (command <= LITERAL_LAST) {
		rc = get_number(in, 1U << (command - LITERAL), &len, e);
		return rc != 0 ? rc : take_literal(in, len, e);
	}
	if (command > COPY_LAST)
		return damaged("no such command", e);
	widths = command - COPY;
	if ((rc = get_number(in, 1U << widths / 4, &from, e)) != 0 ||
	    (rc = get_number(in, 1U << widths % 4, &len, e)) != 0)
		return rc;
	return take_copy(in, from, len, e);
}

int
delta_read(const struct delta_patch *patch, struct err *e)
{
	struct input in;
	uint64_t number;
	bool more = false;
	int rc;

	in.patch = patch;
	in.left = patch->max_bytes;
	in.at = in.len = 0;
	rc = get_number(&in, 4, &number, e);
	if (rc == 0 && number != MAGIC)
		return damaged("this is none", e);
	while (rc == 0 && (rc = get_number(&in, 1, &number, e)) == 0 &&
	    number != END)
		rc = take_command(&in, (uint8_t)number, e);
	if (rc == 0)
		rc = refill(&in, &more, e);
	return rc == 0 && more ? damaged("bytes behind its end", e) : rc;
}
