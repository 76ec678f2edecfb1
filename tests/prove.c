/* Tries every way for a recorded run to end before its end. */
#include "tests/prove.h"

#include <errno.h>
#include <stdlib.h>

#include "tests/must.h"
#include "tests/prove_calls.h"

#define SEEN  ((size_t)1 << 17) /* power of two, more than states tried */
#define TEXTS 65536

struct proving {
	const struct prove_run *run;
	const struct prove_depth *depth;
	struct scene scene;
	struct prove_ends ends;
	struct trail trail;
	struct prove_counts *counts;
	uint64_t *seen; /* hashes of states that were tried */
	uint64_t seed;
	const char *what; /* is being tried */
	size_t call;
};

static void
failure(struct proving *p, const char *step, const char *why)
{
	struct buf call;

	size_t len = strlen(p->counts->first);

	p->counts->failures++;
	if (p->counts->failures > PROVE_TOLD)
		return;
	buf_init(&call, TEXTS);
	if (p->call > 0 && p->call <= p->trail.count)
		trail_describe(&p->trail.calls[p->call - 1], &call);
	(void)snprintf(p->counts->first + len, sizeof(p->counts->first) - len,
	    "%s: %s after call %zu (%s): %s: %.400s\n", p->run->name, p->what,
	    p->call, buf_str(&call), step, why);
	buf_release(&call);
}

/* Whether it is the first of its kind. */
static bool
is_new_state(struct proving *p, const struct disk *d)
{
	uint64_t hash = disk_hash(d) | 1;
	size_t at = (size_t)hash % SEEN;

	while (p->seen[at] != 0 && p->seen[at] != hash)
		at = (at + 1) % SEEN;
	if (p->seen[at] == hash)
		return false;
	p->seen[at] = hash;
	p->counts->states++;
	must(p->counts->states < SEEN / 2);
	return true;
}

static size_t
random_below(struct proving *p, size_t n)
{
	p->seed = p->seed * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(p->seed >> 33) % n;
}

typedef bool (*judge_fn)(const struct scene *s, const struct disk *now,
    const struct prove_ends *ends, struct buf *why);

static bool
judge(struct proving *p, judge_fn fn, const char *step)
{
	struct disk now;
	struct buf why;
	bool fine;

	buf_init(&why, TEXTS);
	calls_get_disk(&now, p->scene.watched);
	fine = fn(&p->scene, &now, &p->ends, &why);
	if (!fine)
		failure(p, step, buf_str(&why));
	disk_release(&now);
	buf_release(&why);
	return fine;
}

/* From the state on the disk: the next start, and the run after that. */
static void
put_in_order(struct proving *p)
{
	struct err e = ERR_INIT;

	if (p->run->recover(&p->scene, &e) != 0) {
		failure(p, "the next start fails", e.msg);
		return;
	}
	if (!judge(p, p->run->is_old_or_new, "after the next start"))
		return;
	if (p->run->act == p->run->recover)
		return;
	if (p->run->act(&p->scene, &e) != 0)
		failure(p, "the next run fails", e.msg);
	else
		(void)judge(p, p->run->is_new, "after the next run");
}

/* What a crash left of `count` calls. */
static void
try_state(struct proving *p, const struct disk *from, size_t count,
    const trail_kept *kept)
{
	struct disk state;
	struct buf why;

	buf_init(&why, TEXTS);
	disk_copy(&state, from);
	trail_replay(&p->trail, count, kept, &state);
	if (is_new_state(p, &state)) {
		calls_put_disk(&state, p->scene.watched);
		if (p->run->is_fit_to_read != NULL &&
		    !p->run->is_fit_to_read(&state, &p->ends, &why))
			failure(p, "as it was left", buf_str(&why));
		else
			put_in_order(p);
	}
	disk_release(&state);
	buf_release(&why);
}

/* ---- crashes ---- */

static void
lose_data(struct proving *p, const struct disk *from, size_t count,
    const trail_kept *durable, trail_kept instead)
{
	trail_kept *kept = malloc(count + 1);

	must(kept != NULL);
	for (size_t i = 0; i < count; i++)
		kept[i] = durable[i] == TRAIL_GONE &&
		        p->trail.calls[i].kind == TRAIL_WRITE
		    ? instead
		    : TRAIL_KEPT;
	p->counts->reorderings++;
	try_state(p, from, count, kept);
	free(kept);
}

/* One call that was not synced is lost alone, or is all that is not lost. */
static void
single_out(struct proving *p, const struct disk *from, size_t count,
    const trail_kept *durable, size_t which, bool lost)
{
	trail_kept *kept = malloc(count + 1);

	must(kept != NULL);
	if (lost) {
		memset(kept, TRAIL_KEPT, count);
		trail_drop(&p->trail, count, which, kept);
	} else {
		memcpy(kept, durable, count);
		kept[which] = TRAIL_KEPT;
		trail_close(&p->trail, count, kept);
	}
	p->counts->reorderings++;
	try_state(p, from, count, kept);
	free(kept);
}

static void
try_singles(struct proving *p, const struct disk *from, size_t count,
    const trail_kept *durable)
{
	size_t *pending = calloc(count + 1, sizeof(*pending)), n = 0;

	must(pending != NULL);
	for (size_t i = 0; i < count; i++)
		if (durable[i] == TRAIL_GONE)
			pending[n++] = i;
	for (size_t i = 0; n > 0 && i < p->depth->singles && i < 2 * n; i++) {
		size_t at =
		    2 * n <= p->depth->singles ? i / 2 : random_below(p, n);

		single_out(p, from, count, durable, pending[at], i % 2 == 0);
	}
	free(pending);
}

static void
cut_power(struct proving *p, const struct disk *from, size_t count)
{
	trail_kept *durable = malloc(count + 1);

	must(durable != NULL);
	trail_durable(&p->trail, count, durable);
	p->what = "power cut, what was not synced is lost";
	p->counts->reorderings++;
	try_state(p, from, count, durable);
	p->what = "power cut, data that were not synced are lost";
	lose_data(p, from, count, durable, TRAIL_GONE);
	p->what = "power cut, data that were not synced are zeros";
	lose_data(p, from, count, durable, TRAIL_ZEROED);
	p->what = "power cut, calls that were not synced in another order";
	try_singles(p, from, count, durable);
	free(durable);
}

static void
kill_after(struct proving *p, const struct disk *from, size_t count)
{
	trail_kept *kept = malloc(count + 1);

	must(kept != NULL);
	memset(kept, TRAIL_KEPT, count);
	p->what = "killed";
	p->counts->crash_points++;
	try_state(p, from, count, kept);
	free(kept);
}

static bool
is_enough(const struct proving *p)
{
	return p->depth->enough > 0 && p->counts->failures >= p->depth->enough;
}

/* After each call from the first on. */
static void
try_crashes(struct proving *p, const struct disk *from, size_t first)
{
	for (size_t count = first; count <= p->trail.count && !is_enough(p);
	     count++) {
		bool last = count == p->trail.count;

		p->call = count;
		if (last || count % p->depth->kills == 0)
			kill_after(p, from, count);
		if (last || count % p->depth->every == 0)
			cut_power(p, from, count);
	}
}

/* ---- recoveries that are cut off as well ---- */

/* The run ended after `count` calls; its recovery does after any of its own. */
static void
try_recovery(struct proving *p, size_t count)
{
	struct trail run = p->trail;
	struct err e = ERR_INIT;
	struct disk state;
	trail_kept *kept = malloc(count + 1);

	must(kept != NULL);
	memset(kept, TRAIL_KEPT, count);
	disk_copy(&state, &p->ends.old);
	trail_replay(&run, count, kept, &state);
	calls_put_disk(&state, p->scene.watched);
	trail_init(&p->trail);
	calls_record(&p->trail);
	if (p->run->recover(&p->scene, &e) != 0)
		failure(p, "recovery", e.msg);
	calls_record(NULL);
	disk_release(&p->ends.recovered);
	calls_get_disk(&p->ends.recovered, p->scene.watched);
	p->counts->recoveries += p->trail.count;
	try_crashes(p, &state, 0);
	trail_release(&p->trail);
	disk_release(&state);
	free(kept);
	p->trail = run;
}

static void
try_recoveries(struct proving *p)
{
	for (size_t i = 1; i <= p->depth->recovers; i++)
		try_recovery(p, p->trail.count * i / (p->depth->recovers + 1));
}

/* ---- calls that fail ---- */

/* What could not be removed is, at the next start. */
static void
expect_new(struct proving *p)
{
	struct err e = ERR_INIT;

	if (p->run->recover(&p->scene, &e) != 0)
		failure(p, "the next start fails", e.msg);
	else
		(void)judge(p, p->run->is_new, "though the run went well");
}

static void
fail_once(struct proving *p, size_t call, int error)
{
	struct err e = ERR_INIT;
	bool has_failed;
	int rc;

	calls_put_disk(&p->ends.old, p->scene.watched);
	calls_fail(call, error);
	rc = p->run->act(&p->scene, &e);
	has_failed = calls_have_failed();
	calls_fail(0, 0);
	if (!has_failed)
		return;
	p->counts->faults++;
	if (rc == 0)
		expect_new(p);
	else if (e.msg[0] == '\0')
		failure(p, "the run", "fails and says nothing");
	else
		put_in_order(p);
}

static void
try_faults(struct proving *p)
{
	static const struct {
		int error;
		const char *what;
	} faults[] = {
		{ ENOSPC, "no space" },
		{ EIO, "input/output error" },
		{ EDQUOT, "quota" },
		{ EROFS, "read-only" },
		{ EINTR, "interrupted" },
		{ CALLS_SHORT, "short write" },
	};
	const size_t kinds = sizeof(faults) / sizeof(faults[0]);

	/* All at a call of `every`, then the next, so that each meets many. */
	for (size_t i = 0; i < (p->trail.count + 64) * kinds; i++) {
		if (i % p->depth->faults != 0)
			continue;
		p->what = faults[i % kinds].what;
		p->call = i / kinds + 1;
		fail_once(p, p->call, faults[i % kinds].error);
	}
}

/* ---- all of it ---- */

/* What the recording says must be what happened. */
static void
check_recording(struct proving *p)
{
	trail_kept *kept = malloc(p->trail.count + 1);
	struct disk replayed;
	struct buf why;

	must(kept != NULL);
	memset(kept, TRAIL_KEPT, p->trail.count);
	buf_init(&why, TEXTS);
	disk_copy(&replayed, &p->ends.old);
	trail_replay(&p->trail, p->trail.count, kept, &replayed);
	ck_assert_msg(
	    disk_same(&p->ends.new, &replayed, "", DISK_CONTENT, &why),
	    "%s: the recording is not what happened: %s", p->run->name,
	    buf_str(&why));
	disk_release(&replayed);
	buf_release(&why);
	free(kept);
}

static void
record(struct proving *p)
{
	struct err e = ERR_INIT;

	p->run->set_up(&p->scene);
	disk_read(&p->ends.old, p->scene.watched, NULL);
	calls_put_disk(&p->ends.old, p->scene.watched);
	calls_record(&p->trail);
	ck_assert_msg(
	    p->run->act(&p->scene, &e) == 0, "%s: %s", p->run->name, e.msg);
	calls_record(NULL);
	calls_get_disk(&p->ends.new, p->scene.watched);
	disk_copy(&p->ends.recovered, &p->ends.new);
	check_recording(p);
	p->counts->calls = p->trail.count;
}

static void
try_all(struct proving *p, prove_damage damage)
{
	size_t first = 0;

	record(p);
	if (damage != NULL)
		first = damage(&p->trail);
	try_crashes(p, &p->ends.old, first);
	try_recoveries(p);
	if (damage == NULL)
		try_faults(p);
}

bool
prove(const struct prove_run *run, const struct prove_depth *depth,
    prove_damage damage, struct prove_counts *out)
{
	struct proving p = { .run = run, .depth = depth, .counts = out };
	bool can;

	memset(out, 0, sizeof(*out));
	p.seen = calloc(SEEN, sizeof(*p.seen));
	must(p.seen != NULL);
	calls_begin();
	scene_make(&p.scene, run->is_origin_watched);
	can = p.scene.has_flags || !run->needs_flags;
	if (can)
		try_all(&p, damage);
	calls_end();
	scene_remove(&p.scene);
	trail_release(&p.trail);
	disk_release(&p.ends.old);
	disk_release(&p.ends.new);
	disk_release(&p.ends.recovered);
	free(p.seen);
	return can;
}
