/* TLS sessions that may be taken up again, by the place where the server was:
 * opaque and secret bytes (crypto_tls.h) of at most LIMIT_SESSIONS places.
 *
 * Whoever talks to the network holds a copy of what it was started with, and
 * gives its own back when it ends.  So a session that was taken out is told
 * along with those that are there: it must not be used twice. */
#ifndef TRANSCRIPTS_SESSIONS_H
#define TRANSCRIPTS_SESSIONS_H

#include "common/buf.h"
#include "common/limits.h"

#define SESSIONS_PLACE_BYTES 64 /* with the NUL; a longer one has no session */
/* What sessions_write makes at most. */
#define SESSIONS_BYTES \
 (64 + LIMIT_SESSIONS * (LIMIT_SESSION_BYTES + SESSIONS_PLACE_BYTES + 8))

struct sessions;

MUST_CHECK int sessions_new(struct sessions **out, struct err *e);
/* NULL, here and below, is one that keeps nothing.  Whatever is freed is
 * cleansed before. */
void sessions_free(struct sessions *s);
/* Forgets all. */
void sessions_clear(struct sessions *s);
bool sessions_has_any(const struct sessions *s);
/* The place's session, which is the caller's from now on (free() it), or
 * NULL. */
uint8_t *sessions_take(struct sessions *s, const char *place, size_t *len);
/* Copies it, in place of the place's former one.  Where there are too many
 * places, the one that was heard of first goes. */
void sessions_put(
    struct sessions *s, const char *place, const uint8_t *bytes, size_t len);

/* All of them and what was taken, with a check sum, into an empty buffer:
 * secret. */
void sessions_write(const struct sessions *s, struct buf *out);
/* Puts what was written, and forgets what was taken.  ERR_FORMAT, and nothing
 * done: it is damaged, or no such text. */
MUST_CHECK int sessions_merge(
    struct sessions *s, const void *data, size_t len, struct err *e);

#endif
