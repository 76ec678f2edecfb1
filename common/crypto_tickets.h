/* The keys that a server seals its session tickets with.
 *
 * The newest one seals; the one before it still opens.  Each follows from a
 * secret that is hashed at every step and nothing else, so that processes which
 * were forked with the same keys have the same ones later, without a word
 * between them, and nobody finds in memory what is older than the two. */
#ifndef COMMON_CRYPTO_TICKETS_H
#define COMMON_CRYPTO_TICKETS_H

#include <stdint.h>

#include "common/err.h"

struct ticket_key {
	uint8_t name[16]; /* in the clear, in every ticket */
	uint8_t cipher[16];
	uint8_t mac[32];
};

struct ticket_keys;

/* Random ones.  now_ms here and below is of clock_ms. */
MUST_CHECK int ticket_keys_new(
    uint64_t now_ms, struct ticket_keys **out, struct err *e);
/* Leaves nothing of them in memory. */
void ticket_keys_free(struct ticket_keys *k);
/* To be called before keys are used, and before a fork: takes the step that is
 * due every LIMIT_TICKET_KEY_S. */
void ticket_keys_turn(struct ticket_keys *k, uint64_t now_ms);
/* The one that seals.  Borrowed until the next turn. */
const struct ticket_key *ticket_keys_newest(const struct ticket_keys *k);
/* The one of that name that still opens, or NULL.  Borrowed likewise. */
const struct ticket_key *ticket_keys_find(
    const struct ticket_keys *k, const uint8_t name[16]);

#endif
