/* Commands of a delta, each with the shortest numbers that hold it. */
#include "transcripts/delta_commands.h"

#define MAGIC         0x72730236U
#define OP_END        0x00
#define OP_LITERAL_N1 0x41 /* then N2, N4, N8; below it the length itself */
#define OP_COPY_N1_N1 0x45 /* + 4 * width of offset + width of length */
#define SHORT_LITERAL 64
#define PIECE_BYTES   ((size_t)64 * 1024)
#define LONGEST       17 /* of a command's bytes before a literal's own */

void
delta_commands_init(
    struct delta_commands *c, delta_sink sink, void *arg, uint64_t max_bytes)
{
	*c = (struct delta_commands){
		.sink = sink, .arg = arg, .left = max_bytes
	};
	buf_init(&c->piece, PIECE_BYTES);
	buf_add_u32(&c->piece, MAGIC);
}

void
delta_commands_release(struct delta_commands *c)
{
	buf_release(&c->piece);
}

static int
pass_on(struct delta_commands *c, const void *data, size_t len, struct err *e)
{
	if (len > c->left)
		return err_set(
		    e, ERR_LIMIT, "delta: more output than the bytes allowed");
	c->left -= len;
	return c->sink(c->arg, data, len, e);
}

static int
flush(struct delta_commands *c, struct err *e)
{
	int ret = buf_check(&c->piece, "delta", e);

	if (ret == 0)
		ret = pass_on(c, c->piece.data, c->piece.len, e);
	buf_clear(&c->piece);
	return ret;
}

static int
make_room(struct delta_commands *c, size_t len, struct err *e)
{
	return PIECE_BYTES - c->piece.len < len ? flush(c, e) : 0;
}

/* 0 to 3: a number takes 1 << width bytes. */
static unsigned
width_of(uint64_t v)
{
	return v > UINT32_MAX ? 3 : v > UINT16_MAX ? 2 : v > UINT8_MAX ? 1 : 0;
}

static void
add_number(struct buf *b, uint64_t v, unsigned width)
{
	for (unsigned bits = 8U << width; bits > 0; bits -= 8)
		buf_add_byte(b, (uint8_t)(v >> (bits - 8)));
}

static int
end_copy(struct delta_commands *c, struct err *e)
{
	unsigned at = width_of(c->copy_at), bytes = width_of(c->copy_bytes);
	int ret;

	if (c->copy_bytes == 0)
		return 0;
	ret = make_room(c, LONGEST, e);
	buf_add_byte(&c->piece, (uint8_t)(OP_COPY_N1_N1 + 4 * at + bytes));
	add_number(&c->piece, c->copy_at, at);
	add_number(&c->piece, c->copy_bytes, bytes);
	c->copy_bytes = 0;
	return ret;
}

int
delta_commands_copy(
    struct delta_commands *c, uint64_t at, uint64_t bytes, struct err *e)
{
	int ret = 0;

	if (bytes == 0)
		return 0;
	if (c->copy_bytes > 0 && c->copy_at + c->copy_bytes == at) {
		c->copy_bytes += bytes;
		return 0;
	}
	ret = end_copy(c, e);
	c->copy_at = at;
	c->copy_bytes = bytes;
	return ret;
}

int
delta_commands_literal(
    struct delta_commands *c, const void *data, size_t len, struct err *e)
{
	unsigned width = width_of(len);
	int ret;

	if (len == 0)
		return 0;
	ret = end_copy(c, e);
	if (ret == 0)
		ret = make_room(c, LONGEST, e);
	if (len <= SHORT_LITERAL) {
		buf_add_byte(&c->piece, (uint8_t)len);
	} else {
		buf_add_byte(&c->piece, (uint8_t)(OP_LITERAL_N1 + width));
		add_number(&c->piece, len, width);
	}
	if (ret == 0)
		ret = make_room(c, len, e);
	if (ret == 0 && len > PIECE_BYTES)
		return pass_on(c, data, len, e);
	buf_add(&c->piece, data, len);
	return ret;
}

int
delta_commands_end(struct delta_commands *c, struct err *e)
{
	int ret = end_copy(c, e);

	if (ret == 0)
		ret = make_room(c, 1, e);
	buf_add_byte(&c->piece, OP_END);
	return ret == 0 ? flush(c, e) : ret;
}
