/* Reading everything again; runs in the keeper, and parses only what was
 * verified when it was stored. */
#include "server/scrub.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/fsat.h"
#include "common/log.h"
#include "common/text.h"
#include "server/quarantine.h"
#include "server/scrub_statements.h"
#include "transcripts/repo_check.h"

#define POSITION       "cache/scrub"
#define POSITION_BYTES 256
#define PATH_BYTES     (REPO_PATH_BYTES + NAME_MAX)
#define SHELVES        256
/* What is slept at once, at least. */
#define NAP_S 0.005

/* Folders in the order they are read; behind them the shelves of objects. */
static const struct {
	const char *path;
	enum repo_check_kind kind;
} plain[] = {
	{ "v1/release", REPO_CHECK_PLAIN },
	{ "v1/manifest", REPO_CHECK_MANIFEST },
	{ "v1/data", REPO_CHECK_PLAIN },
};
#define PLAIN  (sizeof(plain) / sizeof(plain[0]))
#define LISTS  2 /* of these: what others hang on */
#define STAGES (PLAIN + SHELVES)

struct scrub {
	struct origin *o;
	const struct scrub_options *options;
	struct scrubbed *out;
	struct repo_check *check;
	struct repo_sum_list sums;
	struct timespec begun; /* of this call */
	uint64_t bytes;        /* read in it */
	/* The position. */
	time_t round; /* when it began; 0: never */
	bool rests;
	uint64_t stage;
	char last[NAME_MAX + 1]; /* name that was read last in that folder */
};

/* ---- the position ---- */

/* The next of words that one blank parts; false when there is none. */
static bool
next_number(const char **at, uint64_t max, uint64_t *v)
{
	size_t len = strcspn(*at, " \n");

	if ((*at)[len] != ' ' || text_u64(*at, len, max, v) != 0)
		return false;
	*at += len + 1;
	return true;
}

/* "<begun> <rests> <stage> <name>" of ours, or nothing of it counts. */
static void
parse_position(struct scrub *s, const char *text)
{
	uint64_t round = 0, rests = 0, stage = 0;

	if (!next_number(&text, INT64_MAX, &round) ||
	    !next_number(&text, 1, &rests) ||
	    !next_number(&text, STAGES, &stage))
		return;
	s->round = (time_t)round;
	s->rests = rests != 0;
	s->stage = stage;
	(void)snprintf(
	    s->last, sizeof(s->last), "%.*s", (int)strcspn(text, "\n"), text);
}

static int
load_position(struct scrub *s, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf text;
	int ret;

	buf_init(&text, POSITION_BYTES);
	ret = fsat_read_file(
	    repo_fd(s->o->repo), POSITION, POSITION_BYTES, &text, &why);
	if (ret == 0)
		parse_position(s, buf_str(&text));
	buf_release(&text);
	if (ret == 0 || ret == ERR_NOT_FOUND || ret == ERR_LIMIT)
		return 0;
	return err_set(e, ret, "%s", why.msg);
}

/* A full disk only makes the next start read some of it again. */
static void
save_position(const struct scrub *s)
{
	char text[POSITION_BYTES];
	struct err ignored = ERR_INIT;
	int len = snprintf(text, sizeof(text), "%llu %d %llu %.70s\n",
	    (unsigned long long)s->round, s->rests,
	    (unsigned long long)s->stage, s->last);

	if (fsat_write_file(repo_fd(s->o->repo), POSITION, 0600, text,
	        (size_t)len, &ignored) != 0)
		log_err(LOG_INFO, "place of scrub not kept", &ignored, NULL);
}

/* ---- pace ---- */

static void
nap(double seconds)
{
	struct timespec t = { (time_t)seconds, 0 };

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	nanosleep(&t, NULL);
}

/* A repo_check_pace. */
static int
pace(void *arg, size_t bytes, struct err *e)
{
	struct scrub *s = arg;
	double ahead;

	s->bytes += bytes;
	board_add(&s->options->board->scrub_bytes, bytes);
	if (s->options->rate > 0) {
		ahead = (double)s->bytes / (double)s->options->rate -
		    clock_seconds_since(&s->begun);
		if (ahead > NAP_S)
			nap(ahead);
	}
	return s->options->read == NULL
	    ? 0
	    : s->options->read(s->options->arg, bytes, e);
}

static bool
is_over(const struct scrub *s)
{
	return clock_seconds_since(&s->begun) >= (double)s->options->budget_s;
}

/* ---- one file ---- */

struct file {
	char path[PATH_BYTES];
	enum repo_check_kind kind;
	struct digest digest;
	int fd;
	bool is_odd; /* right, but not the bytes that were stored */
};

/* Who writes notes the sum before the name: one that is newer than our list is
 * in the file by now. */
static int
check_sum(struct scrub *s, struct file *f, struct err *e)
{
	uint64_t sum;
	int ret;

	if (lseek(f->fd, 0, SEEK_SET) != 0)
		return err_sys(e, "%s", f->path);
	ret = repo_sum_fd(f->fd, &sum, e);
	if (ret != 0 || !repo_sum_list_denies(&s->sums, f->path, sum))
		return ret;
	repo_sum_list_release(&s->sums);
	ret = repo_sum_list_load(repo_fd(s->o->repo), &s->sums, e);
	f->is_odd = ret == 0 && repo_sum_list_denies(&s->sums, f->path, sum);
	return ret;
}

/* From the disk, as far as the kernel lets go of it. */
static int
check_once(struct scrub *s, struct file *f, struct err *e)
{
	int ret;

	f->is_odd = false;
	(void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (lseek(f->fd, 0, SEEK_SET) != 0)
		return err_sys(e, "%s", f->path);
	ret = repo_check_file(s->check, f->kind, f->fd, &f->digest, e);
	return ret == 0 ? check_sum(s, f, e) : ret;
}

/* Writes what is right once more, to another place of the disk. */
static int
write_anew(struct scrub *s, const struct file *f, struct err *e)
{
	struct repo_temp temp = REPO_TEMP_INIT;
	struct repo *r = s->o->repo;
	uint8_t piece[16384];
	size_t n = 1;
	/* Our sync ends the mark of whoever left files that are not whole. */
	int ret = repo_clean(r, e);

	if (ret == 0)
		ret = repo_temp_new(r, &temp, e);
	if (ret == 0 && lseek(f->fd, 0, SEEK_SET) != 0)
		ret = err_sys(e, "%s", f->path);
	while (ret == 0 && n > 0) {
		ret = fsat_read_some(f->fd, piece, sizeof(piece), &n, e);
		if (ret == 0)
			ret = repo_temp_write(&temp, piece, n, e);
	}
	if (ret == 0)
		ret = repo_temp_install(r, &temp, f->path, e);
	if (ret == 0)
		ret = repo_sync(r, e);
	repo_temp_discard(r, &temp);
	return ret;
}

static int
deal_with(struct scrub *s, struct file *f, const char *why, struct err *e)
{
	const char *what = "written anew";
	bool moved = true;
	int ret = repo_lock(s->o->repo, s->options->wait_ms, e);

	if (ret != 0)
		return ret;
	if (f->is_odd) {
		ret = write_anew(s, f, e);
	} else {
		what = "in quarantine";
		ret = quarantine_put(s->o->repo, f->path, f->fd, &moved, e);
	}
	repo_unlock(s->o->repo);
	if (ret != 0)
		return ret;
	if (!moved)
		return 0;
	s->out->wrong++;
	board_add(&s->options->board->damaged, 1);
	board_add(&s->options->board->repaired, f->is_odd);
	log_event(LOG_WARNING, "damaged file", "path", f->path, "why", why,
	    "now", what, NULL);
	return 0;
}

static int
judge_file(struct scrub *s, struct file *f, struct err *e)
{
	struct err first = ERR_INIT, why = ERR_INIT;
	int ret = check_once(s, f, &first);

	if (ret == 0 && !f->is_odd)
		return 0;
	if (ret != 0 && !scrub_is_damage(ret, &first)) {
		*e = first;
		return ret;
	}
	/* Once more: a disk that answers at the second time has done its
	 * work, and memory errs, too. */
	ret = check_once(s, f, &why);
	if (ret == 0 && !f->is_odd) {
		log_event(LOG_NOTICE, "read wrong once", "path", f->path, "why",
		    first.code == 0 ? "other bytes" : first.msg, NULL);
		return 0;
	}
	if (ret != 0 && !scrub_is_damage(ret, &why)) {
		*e = why;
		return ret;
	}
	return deal_with(
	    s, f, f->is_odd ? "not the bytes that were stored" : why.msg, e);
}

/* What has no digest for a name is for `verify` to report. */
static int
scrub_file(struct scrub *s, int dir, const char *folder, const char *name,
    enum repo_check_kind kind, struct err *e)
{
	struct file f = { .kind = kind, .fd = -1 };
	struct err why = ERR_INIT;
	int ret;

	if (digest_parse(name, strlen(name), &f.digest) != 0)
		return 0;
	(void)snprintf(f.path, sizeof(f.path), "%s/%s", folder, name);
	ret = fsat_open_file(dir, name, &f.fd, &why);
	if (ret == 0) {
		ret = judge_file(s, &f, &why);
		close(f.fd);
	}
	board_add(&s->options->board->scrub_files, 1);
	if (ret == 0 || ret == ERR_NOT_FOUND || ret == ERR_UNSUPPORTED)
		return 0;
	/* It stays for the next round; the others are looked at. */
	if (ret == ERR_CONFLICT || ret == ERR_LIMIT || ret == ERR_SYS) {
		log_err(LOG_WARNING, "file not scrubbed", &why, "path", f.path,
		    NULL);
		return 0;
	}
	*e = why;
	return ret;
}

/* ---- folders ---- */

static int
scrub_folder(struct scrub *s, const char *folder, enum repo_check_kind kind,
    bool *done, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret;

	ret = fsat_open_dir(repo_fd(s->o->repo), folder, &fd, e);
	*done = true;
	if (ret == ERR_NOT_FOUND) {
		err_clear(e);
		return 0;
	}
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		if (strcmp(names.names[i], s->last) <= 0)
			continue;
		if (is_over(s)) {
			*done = false;
			break;
		}
		ret = scrub_file(s, fd, folder, names.names[i], kind, e);
		if (ret == 0)
			(void)snprintf(
			    s->last, sizeof(s->last), "%s", names.names[i]);
	}
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int
scrub_stage(struct scrub *s, bool *done, struct err *e)
{
	char folder[REPO_PATH_BYTES];

	if (s->stage < PLAIN)
		return scrub_folder(
		    s, plain[s->stage].path, plain[s->stage].kind, done, e);
	(void)snprintf(folder, sizeof(folder), "v1/object/%02x",
	    (unsigned)(s->stage - PLAIN));
	return scrub_folder(s, folder, REPO_CHECK_OBJECT, done, e);
}

static int
scrub_stages(struct scrub *s, uint64_t end, struct err *e)
{
	bool done = true;
	int ret = 0;

	while (ret == 0 && s->stage < end && !is_over(s)) {
		ret = scrub_stage(s, &done, e);
		if (ret == 0 && done) {
			s->stage++;
			s->last[0] = '\0';
		}
	}
	return ret;
}

/* ---- all ---- */

/* A clock that was ahead must not keep us from it for ever. */
static bool
is_due(const struct scrub *s)
{
	time_t now = time(NULL);

	return !s->rests || now < s->round ||
	    (uint64_t)(now - s->round) >= s->options->interval_s;
}

static void
start_round(struct scrub *s)
{
	s->rests = false;
	s->round = time(NULL);
	s->stage = 0;
	s->last[0] = '\0';
}

static void
end_round(struct scrub *s)
{
	s->rests = true;
	board_set(&s->options->board->scrub_round_s, (uint64_t)time(NULL));
	log_event(LOG_INFO, "scrub round ended", NULL);
}

static int
scrub_until(struct scrub *s, uint64_t end, struct err *e)
{
	int ret = repo_check_new(s->o->repo, &s->check, e);

	if (ret == 0)
		ret = repo_sum_list_load(repo_fd(s->o->repo), &s->sums, e);
	if (ret != 0)
		return ret;
	repo_check_set_pace(s->check, pace, s);
	return scrub_stages(s, end, e);
}

static int
go_on(struct scrub *s, struct err *e)
{
	int ret;

	if (s->rests || s->round == 0)
		start_round(s);
	ret = scrub_until(s, STAGES, e);
	if (ret == 0 && s->stage == STAGES)
		end_round(s);
	save_position(s);
	return ret;
}

static void
begin(struct scrub *s)
{
	*s->out = (struct scrubbed){ .rests = false };
	clock_gettime(CLOCK_MONOTONIC, &s->begun);
}

static void
end(struct scrub *s)
{
	repo_sum_list_release(&s->sums);
	repo_check_free(s->check);
}

int
scrub_some(struct origin *o, const struct scrub_options *options,
    struct scrubbed *out, struct err *e)
{
	struct scrub s = { .o = o, .options = options, .out = out };
	int ret;

	begin(&s);
	ret = load_position(&s, e);
	if (ret == 0 && is_due(&s))
		ret = go_on(&s, e);
	out->rests = ret == 0 && s.rests;
	end(&s);
	return ret;
}

int
scrub_lists(struct origin *o, const struct scrub_options *options,
    struct scrubbed *out, struct err *e)
{
	struct scrub s = { .o = o, .options = options, .out = out };
	int ret;

	begin(&s);
	ret = scrub_until(&s, LISTS, e);
	end(&s);
	return ret;
}
