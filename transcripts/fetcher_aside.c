#include "transcripts/fetcher_aside.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/pool.h"

#define PIECE_BYTES ((size_t)128 * 1024) /* worth waking a thread for */
/* One is filled, one waits, one is passed on. */
#define PIECES 3

struct piece {
	struct fetcher_aside *aside;
	size_t len;
	uint8_t data[PIECE_BYTES];
};

struct fetcher_aside {
	struct pool *pool; /* of one thread */
	fetcher_sink *sink;
	void *arg;
	size_t turn;     /* the piece that is filled */
	bool is_spoiled; /* the thread's: nothing more is passed on */
	struct piece pieces[PIECES];
};

int
fetcher_aside_new(
    fetcher_sink *sink, void *arg, struct fetcher_aside **out, struct err *e)
{
	struct fetcher_aside *a = malloc(sizeof(*a));
	int rc;

	if (a == NULL)
		return err_memory(e);
	a->sink = sink;
	a->arg = arg;
	a->turn = 0;
	a->is_spoiled = false;
	for (size_t i = 0; i < PIECES; i++) {
		a->pieces[i].aside = a;
		a->pieces[i].len = 0;
	}
	rc = pool_new(1, PIECES - 2, &a->pool, e);
	if (rc != 0)
		free(a);
	else
		*out = a;
	return rc;
}

void
fetcher_aside_free(struct fetcher_aside *a)
{
	if (a == NULL)
		return;
	pool_free(a->pool);
	free(a);
}

/* A pool_fn. */
static int
pass_on(void *arg, struct err *e)
{
	struct piece *p = arg;
	struct fetcher_aside *a = p->aside;
	int rc = a->is_spoiled ? 0 : a->sink(a->arg, p->data, p->len, e);

	a->is_spoiled = a->is_spoiled || rc != 0;
	p->len = 0;
	return rc;
}

/* That there is room for it means that the piece after it was passed on. */
static void
submit(struct fetcher_aside *a)
{
	pool_submit(a->pool, pass_on, &a->pieces[a->turn]);
	a->turn = (a->turn + 1) % PIECES;
}

int
fetcher_aside_add(void *aside, const void *data, size_t len, struct err *e)
{
	struct fetcher_aside *a = aside;
	const uint8_t *from = data;

	while (len > 0) {
		struct piece *p = &a->pieces[a->turn];
		size_t n = PIECE_BYTES - p->len;

		n = len < n ? len : n;
		memcpy(p->data + p->len, from, n);
		p->len += n;
		from += n;
		len -= n;
		if (p->len == PIECE_BYTES)
			submit(a);
	}
	return pool_has_failed(a->pool)
	    ? err_set(e, ERR_NET, "what came is of no use")
	    : 0;
}

int
fetcher_aside_end(struct fetcher_aside *a, struct err *e)
{
	if (a->pieces[a->turn].len > 0)
		submit(a);
	return pool_wait(a->pool, e);
}
