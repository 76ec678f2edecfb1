/* The past: the records of one or more kept runs put together, newest back to
 * the wanted one, as one tree that the machine was.  For each path the oldest
 * record of a change counts.  Later runs that only mended one and the same
 * release are passed over. */
#ifndef CLIENT_PAST_H
#define CLIENT_PAST_H

#include "client/kept.h"
#include "client/session.h"
#include "transcripts/layer.h"

struct past;
/* Of kept runs `from` and later.  ERR_FORMAT or ERR_VERIFY: one is damaged. */
MUST_CHECK int past_open(
    const struct session *s, uint64_t from, struct past **out, struct err *e);
void past_free(struct past *p);
/* As it was before the first run. */
const struct kept_release *past_release(const struct past *p);
/* The tree as a layer at its beginning, valid until the next call. */
MUST_CHECK int past_layer(struct past *p, struct layer **out, struct err *e);

/* What the records say of a path. */
enum past_state {
	PAST_UNTOUCHED, /* it only leads to what was changed, or is not known */
	PAST_ABSENT,
	PAST_META,    /* changed, but its content is not kept */
	PAST_CONTENT, /* and what is needed to make it again is kept */
};
enum past_state past_state(const struct past *p, const char *path);
/* Calls `fn` for each path that was not there, in order. */
typedef int (*past_fn)(void *arg, const char *path, struct err *e);
MUST_CHECK int past_each_absent(
    const struct past *p, past_fn fn, void *arg, struct err *e);

#endif
