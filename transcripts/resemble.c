/* Sketches by a rolling hash, and an inverted index of them: a release that
 * moves thousands of files must not compare each with each.  Publishers only. */
#include "transcripts/resemble.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES  ((size_t)256 * 1024)
#define SAMPLE_SHIFT 59 /* a window counts when its upper 5 bits are 0 */
/* What occurs in so many contents (a licence, an empty page) tells nothing. */
#define COMMON_CANDIDATES 64

/* splitmix64 (Steele, Lea, Flood 2014): a bijection that spreads all bits. */
static uint64_t
mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15U;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
	return x ^ (x >> 31);
}

void
resemble_init(struct resemble_state *s)
{
	s->rolling = 0;
	s->sketch.count = 0;
}

/* First position whose value is not below v. */
static size_t
lower_bound(const struct resemble_sketch *k, uint64_t v)
{
	size_t low = 0, high = k->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (k->values[middle] < v)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
sketch_add(struct resemble_sketch *k, uint64_t v)
{
	size_t at, tail;

	if (k->count == RESEMBLE_VALUES && v >= k->values[k->count - 1])
		return;
	at = lower_bound(k, v);
	if (at < k->count && k->values[at] == v)
		return;
	if (k->count < RESEMBLE_VALUES)
		k->count++;
	tail = (size_t)k->count - at - 1;
	memmove(&k->values[at + 1], &k->values[at], tail * sizeof(v));
	k->values[at] = v;
}

/* One addition and one shift a byte: a byte's share has left the 64 bits
 * after 64 more.  The table is mix() of each byte, in registers' reach. */
void
resemble_add(struct resemble_state *s, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t table[256], h = s->rolling;

	for (size_t i = 0; i < 256; i++)
		table[i] = mix(i);
	for (size_t i = 0; i < len; i++) {
		h = (h << 1) + table[p[i]];
		if (h >> SAMPLE_SHIFT == 0)
			sketch_add(&s->sketch, mix(h));
	}
	s->rolling = h;
}

int
resemble_file(int fd, struct resemble_sketch *out, struct err *e)
{
	struct resemble_state s;
	uint8_t *piece = malloc(PIECE_BYTES);
	off_t offset = 0;
	ssize_t n;

	if (piece == NULL)
		return err_memory(e);
	resemble_init(&s);
	while ((n = pread(fd, piece, PIECE_BYTES, offset)) > 0) {
		resemble_add(&s, piece, (size_t)n);
		offset += n;
	}
	free(piece);
	if (n < 0)
		return err_sys(e, "read");
	*out = s.sketch;
	return 0;
}

unsigned
resemble_percent(
    const struct resemble_sketch *a, const struct resemble_sketch *b)
{
	size_t i = 0, j = 0, common = 0, all = 0;

	/* Of the smallest values of the union, those that both have. */
	while (all < RESEMBLE_VALUES && (i < a->count || j < b->count)) {
		bool from_a = j == b->count ||
		    (i < a->count && a->values[i] <= b->values[j]);
		bool from_b = i == a->count ||
		    (j < b->count && b->values[j] <= a->values[i]);

		common += from_a && from_b;
		i += from_a;
		j += from_b;
		all++;
	}
	return all == 0 ? 0 : (unsigned)(common * 100 / all);
}

struct posting {
	uint64_t value;
	size_t candidate;
};

struct resemble_index {
	const struct resemble_candidate *candidates;
	size_t count;
	struct posting *postings; /* by value, then candidate */
	size_t posting_count;
	/* Which query last looked at a candidate. */
	uint64_t *seen;
	uint64_t query;
};

static int
by_value(const void *x, const void *y)
{
	const struct posting *a = x, *b = y;

	if (a->value != b->value)
		return a->value < b->value ? -1 : 1;
	return (a->candidate > b->candidate) - (a->candidate < b->candidate);
}

static void
fill_postings(struct resemble_index *x)
{
	for (size_t i = 0; i < x->count; i++) {
		const struct resemble_sketch *k = &x->candidates[i].sketch;

		for (size_t j = 0; j < k->count; j++)
			x->postings[x->posting_count++] =
			    (struct posting){ k->values[j], i };
	}
	if (x->posting_count > 0)
		qsort(x->postings, x->posting_count, sizeof(*x->postings),
		    by_value);
}

int
resemble_index_new(const struct resemble_candidate *candidates, size_t count,
    struct resemble_index **out, struct err *e)
{
	struct resemble_index *x = calloc(1, sizeof(*x));
	size_t total = 0;

	if (x == NULL)
		return err_memory(e);
	for (size_t i = 0; i < count; i++)
		total += candidates[i].sketch.count;
	x->candidates = candidates;
	x->count = count;
	x->postings = calloc(total + 1, sizeof(*x->postings));
	x->seen = calloc(count + 1, sizeof(*x->seen));
	if (x->postings == NULL || x->seen == NULL) {
		resemble_index_free(x);
		return err_memory(e);
	}
	fill_postings(x);
	*out = x;
	return 0;
}

void
resemble_index_free(struct resemble_index *index)
{
	if (index == NULL)
		return;
	free(index->postings);
	free(index->seen);
	free(index);
}

static size_t
first_posting(const struct resemble_index *x, uint64_t value)
{
	size_t low = 0, high = x->posting_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (x->postings[middle].value < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const char *
file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static uint64_t
distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

struct choice {
	size_t candidate;
	unsigned percent;
	bool same_name;
	uint64_t distance;
};

static bool
is_better(const struct choice *a, const struct choice *b)
{
	if (a->percent != b->percent)
		return a->percent > b->percent;
	if (a->same_name != b->same_name)
		return a->same_name;
	if (a->distance != b->distance)
		return a->distance < b->distance;
	return a->candidate < b->candidate;
}

static void
consider(const struct resemble_index *x,
    const struct resemble_candidate *wanted, size_t candidate,
    struct choice *best)
{
	const struct resemble_candidate *c = &x->candidates[candidate];
	struct choice this = { .candidate = candidate };

	this.percent = resemble_percent(&c->sketch, &wanted->sketch);
	this.same_name =
	    strcmp(file_name(c->path), file_name(wanted->path)) == 0;
	this.distance = distance(c->size_bytes, wanted->size_bytes);
	if (this.percent >= RESEMBLE_MIN_PERCENT && is_better(&this, best))
		*best = this;
}

void
resemble_index_best(struct resemble_index *index,
    const struct resemble_candidate *wanted, size_t *best)
{
	struct choice choice = { .candidate = RESEMBLE_NONE };
	struct resemble_index *x = index;

	x->query++;
	for (size_t i = 0; i < wanted->sketch.count; i++) {
		uint64_t value = wanted->sketch.values[i];
		size_t at = first_posting(x, value);

		for (size_t n = 0;
		     n < COMMON_CANDIDATES && at + n < x->posting_count &&
		     x->postings[at + n].value == value;
		     n++) {
			size_t candidate = x->postings[at + n].candidate;

			if (x->seen[candidate] == x->query)
				continue;
			x->seen[candidate] = x->query;
			consider(x, wanted, candidate, &choice);
		}
	}
	*best = choice.candidate;
}
