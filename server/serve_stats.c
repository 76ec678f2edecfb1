/* Counters shared by peciad's workers. */
#include "server/serve_stats.h"

#include <sys/mman.h>

#include "common/clock.h"

#define WARNINGS_A_MINUTE 60

struct serve_stats {
	unsigned workers;
	struct serve_slot slots[];
};

/* The last stands for all others. */
static const unsigned statuses[SERVE_STATUSES] = { 200, 206, 304, 400, 403, 404,
	405, 411, 413, 416, 417, 431, 500, 503, 505, 0 };

static size_t
bytes_of(unsigned workers)
{
	return sizeof(struct serve_stats) + workers * sizeof(struct serve_slot);
}

int
serve_stats_new(unsigned workers, struct serve_stats **out, struct err *e)
{
	struct serve_stats *s = mmap(NULL, bytes_of(workers),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (s == MAP_FAILED)
		return err_sys(e, "shared memory for counters");
	s->workers = workers;
	*out = s;
	return 0;
}

void
serve_stats_free(struct serve_stats *s)
{
	if (s != NULL)
		munmap(s, bytes_of(s->workers));
}

static uint64_t
value_of(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

struct serve_slot *
serve_stats_slot(struct serve_stats *s, unsigned worker)
{
	struct serve_slot *slot = &s->slots[worker % s->workers];

	atomic_store(&slot->http.closed, value_of(&slot->http.accepted));
	atomic_store(&slot->waiting, 0);
	slot->warnings = (struct log_limit){ .per_minute = WARNINGS_A_MINUTE };
	return slot;
}

bool
serve_stats_health(const struct serve_stats *s, uint64_t max_age_ms,
    bool *healthy, char why[BOARD_TEXT_BYTES])
{
	const struct serve_slot *newest = NULL;
	uint64_t at, newest_ms = 0;

	for (unsigned i = 0; i < s->workers; i++) {
		at = value_of(&s->slots[i].judged_ms);
		if (at > newest_ms) {
			newest_ms = at;
			newest = &s->slots[i];
		}
	}
	if (newest == NULL || clock_ms() - newest_ms > max_age_ms)
		return false;
	*healthy = value_of(&newest->healthy) != 0;
	board_read(&newest->health_why, why);
	return true;
}

void
serve_warn(struct serve_slot *slot, const char *event, const struct err *e,
    const char *path)
{
	char count[LOG_NUMBER_BYTES];
	uint64_t suppressed = 0;

	serve_count(&slot->errors, 1);
	if (log_limit_allows(&slot->warnings, time(NULL), &suppressed))
		log_err(LOG_WARNING, event, e, "path", path, "suppressed",
		    log_u64(count, suppressed), NULL);
}

void
serve_stats_request(struct serve_slot *slot, enum serve_kind kind,
    const struct http_result *result)
{
	size_t i = 0;

	while (i < SERVE_STATUSES - 1 && statuses[i] != result->status)
		i++;
	serve_count(&slot->requests[kind][i], 1);
	serve_count(&slot->body_bytes[kind], result->body_bytes);
	if (!result->complete)
		serve_count(&slot->broken_off, 1);
}

uint64_t
serve_stats_sum(const struct serve_stats *s, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->workers; i++) {
		const char *slot = (const char *)&s->slots[i];

		sum += value_of((const void *)(slot + offset));
	}
	return sum;
}

unsigned
serve_status_at(size_t i)
{
	return statuses[i];
}
