/* The keeper's loop. */
#include "server/keeper.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sandbox.h"
#include "common/splay.h"
#include "server/collect.h"
#include "server/scrub_statements.h"
#include "transcripts/fetcher.h"

/* Hosts that were started together are not to read and ask together. */
#define DELAY_S       300
#define SPLAY_S       600
#define TURN_S        1  /* between two turns */
#define BUDGET_S      60 /* of one turn's scrubbing */
#define REST_S        3600 /* at most, before it is asked whether a round is due */
#define LOOK_S        21600 /* between two looks for what is lacking */
#define RETRY_S       60 /* after the first failure to repair, then doubled */
#define LOCK_MS       10000
#define PAUSE_MS      200 /* between slices of collection */
#define UPSTREAM_PORT 7440

/* As in linux/ioprio.h, which libc has not. */
#define IOPRIO_PROCESS 1
#define IOPRIO_IDLE    (3 << 13)

struct keeper {
	const struct keeper_options *options;
	struct origin origin;
	double scrub_at, look_at, collect_at; /* monotonic seconds */
	double retry_s;
};

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
pause_s(uint64_t seconds)
{
	struct timespec t = { (time_t)seconds, 0 };

	nanosleep(&t, NULL);
}

/* Where it is not allowed, it goes on at the priority it has. */
static void
be_idle(void)
{
	if (setpriority(PRIO_PROCESS, 0, 19) != 0 ||
	    syscall(SYS_ioprio_set, IOPRIO_PROCESS, 0, IOPRIO_IDLE) != 0)
		log_event(LOG_DEBUG, "keeper runs at common priority", NULL);
}

/* ---- the three jobs ---- */

static struct scrub_options
scrub_options_of(const struct keeper *k)
{
	const struct keeper_options *o = k->options;

	return (struct scrub_options){ .rate = o->scrub_rate,
		.interval_s = o->scrub_interval_s,
		.budget_s = BUDGET_S,
		.wait_ms = LOCK_MS,
		.has_anchor = o->has_anchor,
		.anchor = o->anchor,
		.board = o->board };
}

/* Whatever was found is looked for elsewhere at once. */
static void
note_wrong(struct keeper *k, const struct scrubbed *done)
{
	if (done->wrong == 0)
		return;
	k->look_at = 0;
	k->retry_s = RETRY_S;
}

static void
scrub(struct keeper *k)
{
	const struct keeper_options *o = k->options;
	const struct scrub_options options = scrub_options_of(k);
	double rest =
	    o->scrub_interval_s < REST_S ? (double)o->scrub_interval_s : REST_S;
	struct err e = ERR_INIT;
	struct scrubbed done;

	if (o->scrub_rate == 0 || now_s() < k->scrub_at)
		return;
	if (scrub_some(&k->origin, &options, &done, &e) != 0) {
		log_err(LOG_WARNING, "scrub failed", &e, NULL);
		rest = RETRY_S;
	}
	note_wrong(k, &done);
	k->scrub_at = done.rests || e.code != 0 ? now_s() + rest : 0;
}

/* What keeps us from knowing what is needed does not wait for its turn. */
static void
scrub_at_once(struct keeper *k)
{
	const struct scrub_options options = scrub_options_of(k);
	struct err e = ERR_INIT;
	struct scrubbed done;

	if (options.rate == 0)
		return;
	if (scrub_lists(&k->origin, &options, &done, &e) != 0)
		log_err(LOG_WARNING, "scrub failed", &e, NULL);
	note_wrong(k, &done);
}

static void
look_at_statements(struct keeper *k)
{
	const struct scrub_options options = scrub_options_of(k);
	struct scrubbed done = { .rests = false };
	struct err e = ERR_INIT;

	if (options.rate > 0 &&
	    scrub_statements(&k->origin, &options, &done, &e) != 0)
		log_err(LOG_WARNING, "scrub failed", &e, NULL);
}

static int
repair(struct keeper *k, uint64_t *lacking, struct err *e)
{
	const struct keeper_options *o = k->options;
	const struct repair_options options = { .upstreams = o->upstreams,
		.upstream_count = o->upstream_count,
		.port = UPSTREAM_PORT,
		.policy = o->policy,
		.identity = o->identity,
		.user = o->reader,
		.wait_ms = LOCK_MS,
		.has_anchor = o->has_anchor,
		.anchor = o->anchor,
		.gate = o->gate,
		.rate = o->rate,
		.board = o->board };

	return repair_run(&k->origin, &options, lacking, e);
}

static void
look(struct keeper *k)
{
	const struct keeper_options *o = k->options;
	double next =
	    o->scrub_interval_s < LOOK_S ? (double)o->scrub_interval_s : LOOK_S;
	uint64_t lacking = 0, before = board_get(&o->board->repaired);
	struct err e = ERR_INIT;

	if (now_s() < k->look_at)
		return;
	k->look_at = now_s() + next;
	look_at_statements(k);
	if (repair(k, &lacking, &e) == 0) {
		board_set(&o->board->lacking, lacking);
	} else {
		log_err(LOG_WARNING, "repair failed", &e, NULL);
		if (scrub_is_damage(e.code, &e))
			scrub_at_once(k);
	}
	if (lacking > 0)
		log_event(LOG_ERROR, "files lacking", "files",
		    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, lacking), NULL);
	/* What is right now may show what else is wrong. */
	if (board_get(&o->board->repaired) != before)
		k->look_at = 0;
	if ((lacking > 0 || e.code != 0) && k->look_at > 0) {
		k->look_at = now_s() + k->retry_s;
		k->retry_s = 2 * k->retry_s < LOOK_S ? 2 * k->retry_s : LOOK_S;
	} else {
		k->retry_s = RETRY_S;
	}
}

static void
log_collected(const struct collected *c)
{
	log_event(c->files > 0 ? LOG_NOTICE : LOG_INFO, "collected", "releases",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, c->kept), "leaving",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, c->leaving), "files",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, c->files), "bytes",
	    log_u64((char[LOG_NUMBER_BYTES]){ 0 }, c->bytes), NULL);
}

static void
collect(struct keeper *k)
{
	const struct keeper_options *o = k->options;
	const struct collect_options options = {
		.policy = o->policy, .wait_ms = LOCK_MS, .pause_ms = PAUSE_MS
	};
	struct err e = ERR_INIT;
	struct collected done;
	int rc;

	if (o->collect_interval_s == 0 || now_s() < k->collect_at)
		return;
	rc = collect_run(&k->origin, &options, &done, &e);
	board_add(&o->board->collected_files, done.files);
	board_add(&o->board->collected_bytes, done.bytes);
	if (rc == 0) {
		board_set(&o->board->collect_s, (uint64_t)time(NULL));
		log_collected(&done);
	} else {
		log_err(rc == ERR_BUSY ? LOG_INFO : LOG_WARNING,
		    "not collected", &e, NULL);
		if (scrub_is_damage(rc, &e))
			scrub_at_once(k);
	}
	k->collect_at = now_s() + (double)o->collect_interval_s;
}

/* ---- the loop ---- */

static int
give_up_privileges(struct keeper *k, struct err *e)
{
	const struct keeper_options *o = k->options;
	int fd = repo_fd(k->origin.repo);
	struct sandbox box = { .user = o->owner,
		.read_paths = fetcher_read_paths(),
		.write_fds = &fd,
		.write_count = 1,
		.parent = getppid() };

	return sandbox_enter(&box, e);
}

static bool
is_there(struct keeper *k)
{
	uint64_t newest = 0;

	return repo_newest_root(k->origin.repo, &newest, NULL) == 0 &&
	    newest > 0;
}

static _Noreturn void
loop(struct keeper *k)
{
	for (;;) {
		/* A new mirror has nothing to keep. */
		if (is_there(k)) {
			scrub(k);
			look(k);
			collect(k);
		}
		pause_s(TURN_S);
	}
}

int
keeper_run(const struct keeper_options *options, struct err *e)
{
	struct keeper k = { .options = options, .retry_s = RETRY_S };
	int rc = origin_open(options->repo, &k.origin, e);

	if (rc == 0) {
		be_idle();
		rc = give_up_privileges(&k, e);
	}
	if (rc == 0) {
		pause_s(options->delay_s == KEEPER_DELAY
		        ? DELAY_S + splay_own_share(SPLAY_S)
		        : options->delay_s);
		loop(&k);
	}
	origin_release(&k.origin);
	return rc;
}
