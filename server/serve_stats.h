/* What peciad's workers count, in memory that they share: each writes its own
 * slot, and each can tell the sum. */
#ifndef SERVER_SERVE_STATS_H
#define SERVER_SERVE_STATS_H

#include "common/http_server.h"
#include "common/log.h"
#include "server/board.h"
#include "server/serve_path.h"

#define SERVE_STATUSES 16

struct serve_slot {
	struct http_counters http;
	/* The worker's last judgement (health.h): by clock_ms, 0 for none. */
	_Atomic uint64_t judged_ms, healthy;
	struct board_text health_why; /* "" when healthy */
	_Atomic uint64_t requests[SERVE_KINDS][SERVE_STATUSES];
	_Atomic uint64_t body_bytes[SERVE_KINDS];
	_Atomic uint64_t broken_off;      /* replies that did not end */
	_Atomic uint64_t waiting;         /* long polls held now */
	_Atomic uint64_t objects_sent;    /* in batches */
	_Atomic uint64_t objects_missing; /* asked for in batches */
	_Atomic uint64_t errors;          /* of our own files and memory */
	struct log_limit
	    warnings; /* the worker's own: peers can provoke them */
};

struct serve_stats;

/* A block for that many workers, made before they are forked. */
MUST_CHECK int serve_stats_new(
    unsigned workers, struct serve_stats **out, struct err *e);
void serve_stats_free(struct serve_stats *s);
/* The slot of one worker, by its number from 0; what a predecessor that died
 * held open is counted as closed. */
struct serve_slot *serve_stats_slot(struct serve_stats *s, unsigned worker);

/* The newest judgement of any worker that is not older than max_age_ms; false
 * when there is none.  why is "" for a healthy one. */
bool serve_stats_health(const struct serve_stats *s, uint64_t max_age_ms,
    bool *healthy, char why[BOARD_TEXT_BYTES]);

static inline void
serve_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* Counts an error of ours and logs it, unless there were too many. */
void serve_warn(struct serve_slot *slot, const char *event, const struct err *e,
    const char *path);
void serve_stats_request(struct serve_slot *slot, enum serve_kind kind,
    const struct http_result *result);
/* The sum over all workers of the _Atomic uint64_t that lies offset bytes into
 * a slot. */
uint64_t serve_stats_sum(const struct serve_stats *s, size_t offset);
/* The i-th status that `requests` counts, i below SERVE_STATUSES; the last, 0,
 * stands for all others. */
unsigned serve_status_at(size_t i);

#endif
