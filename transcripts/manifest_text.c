/* Rules and digits of manifests; publishers, mirrors and clients run it over
 * every line.  Eight or sixteen bytes are looked at in one step: that halves
 * the time an entry takes. */
#include "transcripts/manifest_text.h"

#include <endian.h>

#include "common/text.h"

#define ONES 0x0101010101010101ULL

/* The first byte is the lowest of the word. */
static uint64_t
load_word(const char *s)
{
	uint64_t v;

	memcpy(&v, s, sizeof(v));
	return le64toh(v);
}

/* How many of the first max bytes are the same. */
static size_t
common_prefix(const char *a, const char *b, size_t max)
{
	size_t n = 0;

	for (; max - n >= sizeof(uint64_t); n += sizeof(uint64_t)) {
		uint64_t x = load_word(a + n) ^ load_word(b + n);

		if (x != 0)
			return n + (size_t)__builtin_ctzll(x) / 8;
	}
	while (n < max && a[n] == b[n])
		n++;
	return n;
}

/* The byte at which two paths part, with '/' below all others and the end of
 * the path below that. */
static unsigned
rank_at(const char *path, size_t len, size_t at)
{
	unsigned c;

	if (at == len)
		return 0;
	c = (unsigned char)path[at];
	return c == '/' ? 1 : c + 2;
}

int
manifest_path_cmp(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned x, y;
	size_t n;

	if (a_len == 1 && a[0] == '.')
		a_len = 0;
	if (b_len == 1 && b[0] == '.')
		b_len = 0;
	n = common_prefix(a, b, a_len < b_len ? a_len : b_len);
	x = rank_at(a, a_len, n);
	y = rank_at(b, b_len, n);
	return x < y ? -1 : x > y;
}

static const char *
component_fault(const char *s, size_t len)
{
	if (len == 0)
		return "has an empty component";
	if (len > LIMIT_COMPONENT_BYTES)
		return "has a component of more than 255 bytes";
	if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
		return "has a component \".\" or \"..\"";
	return NULL;
}

const char *
manifest_path_fault(const char *path, size_t len)
{
	const char *why = NULL, *end = path + len;

	if (len == 0)
		return "is empty";
	if (len > LIMIT_PATH_BYTES)
		return "is longer than 4095 bytes";
	if (path[0] == '/')
		return "is absolute";
	while (why == NULL && path <= end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));

		if (slash == NULL)
			slash = end;
		why = component_fault(path, (size_t)(slash - path));
		path = slash + 1;
	}
	return why;
}

/* The length of the parent's path, 0 for the target itself. */
static size_t
parent_of(const char *path, size_t len)
{
	const char *slash = memrchr(path, '/', len);

	return slash == NULL ? 0 : (size_t)(slash - path);
}

/* The path before is this parent, or is below it. */
static bool
holds_parent(const struct manifest_order *o, size_t parent, size_t same)
{
	if (parent == 0)
		return true;
	if (parent > same)
		return false;
	return parent == o->len ? o->is_dir : o->path[parent] == '/';
}

static const char *
start_order(struct manifest_order *o, enum manifest_type type, const char *path,
    size_t len)
{
	if (type != MANIFEST_DIR || len != 1 || path[0] != '.')
		return "is not the directory \".\", which must come first";
	o->started = true;
	o->is_dir = true;
	o->len = 0;
	return NULL;
}

const char *
manifest_order_next(struct manifest_order *o, enum manifest_type type,
    const char *path, size_t len)
{
	size_t same, parent;
	const char *why;

	if (!o->started)
		return start_order(o, type, path, len);
	if (len == 0 || len > LIMIT_PATH_BYTES || path[0] == '/')
		return manifest_path_fault(path, len);
	parent = parent_of(path, len);
	same = common_prefix(o->path, path, len < o->len ? len : o->len);
	/* The parent was held to the rules before: what is new is the name. */
	why = component_fault(
	    path + parent + (parent > 0), len - parent - (parent > 0));
	if (why != NULL)
		return why;
	if (same == len && same == o->len)
		return "is there twice";
	if (rank_at(path, len, same) < rank_at(o->path, o->len, same))
		return "is out of order";
	if (!holds_parent(o, parent, same)) {
		why = manifest_path_fault(path, len);
		return why != NULL ? why : "is not below a directory";
	}
	memcpy(o->path + same, path + same, len - same);
	o->len = len;
	o->is_dir = type == MANIFEST_DIR;
	return NULL;
}

const char *
manifest_owner_fault(const char *name, size_t len)
{
	uint64_t id;

	if (len == 0)
		return "owner or group is empty";
	if (len > MANIFEST_OWNER_BYTES)
		return "owner or group is longer than 255 bytes";
	if (name[0] == '#' &&
	    text_u64(name + 1, len - 1, MANIFEST_ID_MAX, &id) != 0)
		return "'#' in owner or group is not followed by an id";
	return NULL;
}

/* Sixteen bytes, by the compiler's vectors: SSE2, NEON or what there is. */
typedef uint8_t vector __attribute__((vector_size(16)));
typedef uint16_t vector_pairs __attribute__((vector_size(16)));
typedef uint8_t vector_half __attribute__((vector_size(8)));

static vector
load_vector(const char *s)
{
	vector v;

	memcpy(&v, s, sizeof(v));
	return v;
}

static bool
is_any_set(vector v)
{
	uint64_t word[2];

	memcpy(word, &v, sizeof(word));
	return (word[0] | word[1]) != 0;
}

static vector
escaped_in(vector v)
{
	return (vector)((v <= 0x20) | (v == 0x7f) | (v == '\\'));
}

bool
manifest_is_plain(const char *s, size_t len)
{
	vector found = { 0 };
	char last[sizeof(found)];
	size_t n;

	if (len < sizeof(found)) {
		memset(last, 'a', sizeof(last));
		memcpy(last, s, len);
		return !is_any_set(escaped_in(load_vector(last)));
	}
	for (n = 0; len - n > sizeof(found); n += sizeof(found))
		found |= escaped_in(load_vector(s + n));
	/* The rest overlaps: cheaper than a loop over single bytes. */
	found |= escaped_in(load_vector(s + len - sizeof(found)));
	return !is_any_set(found);
}

bool
manifest_unhex(struct digest *out, const char *s)
{
	vector wrong = { 0 };
	size_t i;

	for (i = 0; i < DIGEST_BYTES; i += sizeof(vector_half)) {
		vector v = load_vector(s + 2 * i);
		vector digit = v - '0', letter = v - 'a';
		vector is_digit = (vector)(digit < 10);
		vector is_letter = (vector)(letter < 6);
		vector_pairs pairs;
		vector_half half;

		wrong |= ~(is_digit | is_letter);
		pairs = (vector_pairs)((digit & is_digit) |
		    ((letter + 10) & is_letter));
#if __BYTE_ORDER == __LITTLE_ENDIAN
		pairs = (pairs << 4 | pairs >> 8) & 0xff;
#else
		pairs = (pairs >> 4 | pairs) & 0xff;
#endif
		half = __builtin_convertvector(pairs, vector_half);
		memcpy(out->b + i, &half, sizeof(half));
	}
	return !is_any_set(wrong);
}

/* Four bytes to eight hex digits: the inverse, step by step. */
static void
hex_word(const uint8_t src[4], char *dst)
{
	uint32_t bytes;
	uint64_t n, letters;

	memcpy(&bytes, src, sizeof(bytes));
	n = le32toh(bytes);
	n = (n | n << 16) & 0x0000ffff0000ffffULL;
	n = (n | n << 8) & 0x00ff00ff00ff00ffULL;
	n = (n >> 4 | n << 8) & (ONES * 0x0f);
	letters = ((n + ONES * 6) >> 4) & ONES; /* 10 and above */
	n = htole64(n + ONES * '0' + letters * ('a' - '0' - 10));
	memcpy(dst, &n, sizeof(n));
}

void
manifest_hex(char *dst, const struct digest *d)
{
	size_t i;

	for (i = 0; i < DIGEST_BYTES; i += 4)
		hex_word(d->b + i, dst + 2 * i);
}

/* Appends eight decimal digits to *sum; false when one is none.  Neighbours
 * are added up in pairs, fours and eights, each in one multiplication. */
static bool
eight_digits(uint64_t v, uint64_t *sum)
{
	uint64_t high = (v + ONES * 0x46) | (v - ONES * 0x30);

	if ((high & (ONES * 0x80)) != 0)
		return false;
	v -= ONES * 0x30;
	v = (v * 10 + (v >> 8)) & 0x00ff00ff00ff00ffULL;
	v = (v * 100 + (v >> 16)) & 0x0000ffff0000ffffULL;
	v = (v * 10000 + (v >> 32)) & 0xffffffffULL;
	*sum = *sum * 100000000 + v;
	return true;
}

size_t
manifest_digits(const char *s, size_t max, uint64_t *v)
{
	uint64_t sum = 0;
	size_t n = 0;

	if (max > MANIFEST_DIGITS)
		max = MANIFEST_DIGITS;
	if (max >= 8 && eight_digits(load_word(s), &sum))
		n = 8;
	for (; n < max; n++) {
		uint64_t digit = (uint64_t)(unsigned char)s[n] - '0';

		if (digit > 9)
			break;
		sum = sum * 10 + digit;
	}
	*v = sum;
	return n;
}
