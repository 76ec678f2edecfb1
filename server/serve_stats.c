/* Counters shared by peciad's workers. */
#include "server/serve_stats.h"

#include <inttypes.h>
#include <sys/mman.h>

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

/* The sum over all workers of the counter that lies `offset` bytes into a
 * slot. */
static uint64_t
sum_at(const struct serve_stats *s, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < s->workers; i++) {
		const char *slot = (const char *)&s->slots[i];

		sum += value_of((const void *)(slot + offset));
	}
	return sum;
}

static void
write_help(
    struct buf *text, const char *name, const char *type, const char *help)
{
	buf_addf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
write_requests(const struct serve_stats *s, struct buf *text)
{
	write_help(text, "pecia_http_requests_total", "counter",
	    "Requests answered, by kind and status.");
	for (unsigned kind = 0; kind < SERVE_KINDS; kind++) {
		for (unsigned i = 0; i < SERVE_STATUSES; i++) {
			uint64_t n = sum_at(s,
			    offsetof(struct serve_slot, requests) +
			        (kind * SERVE_STATUSES + i) *
			            sizeof(_Atomic uint64_t));

			if (n == 0)
				continue;
			buf_addf(text,
			    "pecia_http_requests_total{kind=\"%s\","
			    "status=\"%u\"} %" PRIu64 "\n",
			    serve_kind_name(kind), statuses[i], n);
		}
	}
}

static void
write_body_bytes(const struct serve_stats *s, struct buf *text)
{
	write_help(text, "pecia_http_body_bytes_total", "counter",
	    "Bytes of reply bodies, by kind.");
	for (unsigned kind = 0; kind < SERVE_KINDS; kind++)
		buf_addf(text,
		    "pecia_http_body_bytes_total{kind=\"%s\"} %" PRIu64 "\n",
		    serve_kind_name(kind),
		    sum_at(s,
		        offsetof(struct serve_slot, body_bytes) +
		            kind * sizeof(_Atomic uint64_t)));
}

#define AT(member) offsetof(struct serve_slot, member)

void
serve_stats_write(const struct serve_stats *s, struct buf *text)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} counters[] = {
		{ "pecia_http_connections_total", "Connections accepted.",
		    AT(http.accepted) },
		{ "pecia_http_connections_refused_total",
		    "Connections closed at once: too many.", AT(http.refused) },
		{ "pecia_http_connections_evicted_total",
		    "Idle connections closed to make room.", AT(http.evicted) },
		{ "pecia_tls_failures_total", "Handshakes that failed.",
		    AT(http.tls_failed) },
		{ "pecia_http_timeouts_total",
		    "Peers that were too slow in asking or in taking.",
		    AT(http.timed_out) },
		{ "pecia_http_malformed_total",
		    "Requests that were no proper HTTP.", AT(http.malformed) },
		{ "pecia_http_broken_off_total",
		    "Requests whose reply did not reach its end.",
		    AT(broken_off) },
		{ "pecia_batch_objects_total", "Objects sent in batches.",
		    AT(objects_sent) },
		{ "pecia_batch_missing_total",
		    "Objects asked for in batches that are not here.",
		    AT(objects_missing) },
		{ "pecia_errors_total", "Failures of our own files or memory.",
		    AT(errors) },
	};

	write_requests(s, text);
	write_body_bytes(s, text);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		write_help(text, counters[i].name, "counter", counters[i].help);
		buf_addf(text, "%s %" PRIu64 "\n", counters[i].name,
		    sum_at(s, counters[i].offset));
	}
	write_help(
	    text, "pecia_http_connections", "gauge", "Connections open.");
	buf_addf(text, "pecia_http_connections %" PRIu64 "\n",
	    sum_at(s, AT(http.accepted)) - sum_at(s, AT(http.closed)));
	write_help(text, "pecia_http_waiting", "gauge", "Long polls held.");
	buf_addf(
	    text, "pecia_http_waiting %" PRIu64 "\n", sum_at(s, AT(waiting)));
}
