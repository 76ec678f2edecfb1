/* The board: what peciad's processes tell each other, in memory that they
 * share.  Made by the supervisor before it forks; each field has one writer,
 * and anybody may read.  It is for /metrics, /healthz and status: nothing is
 * decided by it that a signature has to carry. */
#ifndef SERVER_BOARD_H
#define SERVER_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/limits.h"
#include "common/rate.h"

#define BOARD_TEXT_BYTES 512

/* A text that is read while it is replaced: old or new, never half. */
struct board_text {
	_Atomic uint32_t turn; /* odd while it is written */
	_Atomic char bytes[BOARD_TEXT_BYTES];
};

/* What crosses the line from upstreams. */
enum board_kind {
	BOARD_STATEMENTS, /* heads, roots, roster, releases */
	BOARD_MANIFESTS,
	BOARD_DATA, /* data transcripts */
	BOARD_OBJECTS,
	BOARD_KINDS,
};

enum board_trouble { /* why a round with an upstream ended */
	BOARD_UNREACHABLE,
	BOARD_TIMEOUT,
	BOARD_WRONG,   /* what it sent does not verify */
	BOARD_LACKS,   /* it has not what it announced */
	BOARD_STORAGE, /* our own disk */
	BOARD_OTHER,
	BOARD_TROUBLES,
};

struct board_channel {
	struct board_text name; /* "" for an unused one */
	_Atomic uint64_t
	    upstream_serial; /* of the newest signed head offered */
};

/* Written by the replicator. */
struct board_replication {
	struct board_text upstream; /* route of the present one, or "" */
	struct board_text trouble;  /* the last, with its reason */
	_Atomic uint64_t
	    contact_s; /* when an upstream last answered; 0: never */
	_Atomic uint64_t complete_s; /* when a release was last made complete */
	_Atomic uint64_t releases;   /* made complete */
	_Atomic uint64_t bytes[BOARD_KINDS];
	_Atomic uint64_t troubles[BOARD_TROUBLES];
	_Atomic uint64_t forks; /* contradictions kept as evidence */
	struct board_channel channels[LIMIT_CHANNELS];
};

/* Written by the keeper. */
struct board_keeping {
	_Atomic uint64_t scrub_files, scrub_bytes; /* read, since the start */
	_Atomic uint64_t scrub_round_s; /* when a round was last finished */
	_Atomic uint64_t damaged;       /* found and put into quarantine */
	_Atomic uint64_t repaired;      /* of these, replaced by right ones */
	_Atomic uint64_t lacking;       /* known to be missing now */
	_Atomic uint64_t collect_s;     /* when it last collected */
	_Atomic uint64_t collected_files, collected_bytes; /* since the start */
};

/* Written by the lookout. */
struct board_lookout {
	struct board_text rival;   /* who publishes besides, and what; or "" */
	_Atomic uint64_t looked_s; /* when mirrors were last asked; 0: never */
};

struct board {
	struct rate_gate line; /* of all fetchers, replicator's and keeper's */
	struct board_replication replication;
	struct board_keeping keeping;
	struct board_lookout lookout;
};

/* All zero.  Release with board_free. */
MUST_CHECK int board_new(struct board **out, struct err *e);
void board_free(struct board *b);

/* By the text's one writer; what is too long is cut off. */
void board_say(struct board_text *t, const char *text);
/* By anybody; "" when its writer died in the middle of it. */
void board_read(const struct board_text *t, char out[BOARD_TEXT_BYTES]);

/* "unreachable", "timeout", ...: for metrics. */
const char *board_trouble_name(enum board_trouble trouble);

static inline void
board_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void
board_set(_Atomic uint64_t *gauge, uint64_t n)
{
	atomic_store_explicit(gauge, n, memory_order_relaxed);
}

static inline uint64_t
board_get(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

#endif
