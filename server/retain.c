/* Which releases are kept; runs in the keeper and in peciactl. */
#include "server/retain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/quarantine.h"
#include "transcripts/statement.h"

/* One channel, from a head backwards. */
struct walk {
	struct origin *o;
	const struct retain_options *options;
	struct retained *out;
	struct retain_list was;
	struct head *heads; /* accepted, of channels that were walked */
	size_t head_count;
	const char *channel;
	/* Of this channel. */
	size_t index;         /* releases seen */
	size_t known_left;    /* of `was`, not yet seen */
	bool within;          /* the policy keeps what comes */
	bool successor_young; /* it came here less than a grace period ago */
	uint64_t bytes;
	bool has_previous; /* of the last one seen */
	struct digest previous;
	/* Of one release. */
	bool is_newest;
	uint64_t lacking;
};

void
retained_release(struct retained *r)
{
	closure_free(r->closure);
	retain_list_release(&r->list);
	*r = (struct retained){ .closure = NULL };
}

/* ---- what one release needs ---- */

/* Of older releases a mirror never had all: what it had is in quarantine. */
static int
count_lacking(struct walk *w, const char *path, struct err *e)
{
	bool has = false, had = w->is_newest;
	int ret = repo_has(w->o->repo, path, &has, e);

	if (ret == 0 && !has && !had)
		ret = quarantine_has(w->o->repo, path, &had, e);
	w->lacking += ret == 0 && !has && had;
	return ret;
}

/* A closure_visit. */
static int
see_object(
    void *arg, const struct digest *d, uint64_t size_bytes, struct err *e)
{
	struct walk *w = arg;
	char path[REPO_PATH_BYTES];
	struct fsat_stat st;
	int ret = 0;

	(void)size_bytes;
	repo_path_object(path, d);
	if (w->options->lacks != NULL)
		return count_lacking(w, path, e);
	if (w->options->policy.bytes == 0)
		return 0;
	ret = fsat_stat(repo_fd(w->o->repo), path, &st, e);
	if (ret == 0)
		w->bytes += st.size_bytes;
	else if (ret == ERR_NOT_FOUND)
		ret = 0;
	return ret;
}

static int
see_files(struct walk *w, const struct release *r, struct err *e)
{
	char path[REPO_PATH_BYTES];
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->transcript_count; i++) {
		repo_path_manifest(path, &r->transcripts[i].manifest);
		ret = count_lacking(w, path, e);
		repo_path_data(path, &r->transcripts[i].data);
		if (ret == 0 && r->transcripts[i].has_data)
			ret = count_lacking(w, path, e);
	}
	return ret;
}

/* Without its manifest it is not known what the release needs. */
static int
check_manifests(struct walk *w, const struct release *r, struct err *e)
{
	char path[REPO_PATH_BYTES];
	bool has = false, had = false;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->transcript_count; i++) {
		repo_path_manifest(path, &r->transcripts[i].manifest);
		ret = repo_has(w->o->repo, path, &has, e);
		if (ret == 0 && !has)
			ret = quarantine_has(w->o->repo, path, &had, e);
		if (ret == 0 && !has && (had || w->is_newest))
			ret = err_set(e, ERR_NOT_FOUND,
			    "%s of release %llu of %s is missing: what it "
			    "needs is not known until it is repaired",
			    path, (unsigned long long)r->serial, r->channel);
	}
	return ret;
}

static int
mark(struct walk *w, const struct history_item *item, enum closure_depth depth,
    struct err *e)
{
	const struct closure_visit visit = { see_object, w };
	const bool lenient = w->options->lacks != NULL;
	unsigned absent = 0;
	int ret = 0;

	w->lacking = 0;
	if (lenient)
		ret = see_files(w, &item->release, e);
	if (ret == 0)
		ret = closure_add(
		    w->out->closure, &item->release, depth, &visit, &absent, e);
	if (ret != 0)
		return ret;
	if (absent > 0 && !lenient)
		return check_manifests(w, &item->release, e);
	if (lenient && w->lacking > 0)
		ret = w->options->lacks(
		    w->options->arg, item, w->is_newest, w->lacking, e);
	return ret;
}

/* ---- which ---- */

static bool
policy_keeps(const struct walk *w, const struct release *r)
{
	const struct retain_policy *p = &w->options->policy;

	if (w->index == 0)
		return true;
	return (p->releases == 0 || w->index < p->releases) &&
	    (p->age_s == 0 || r->created > w->options->now ||
	        (uint64_t)(w->options->now - r->created) < p->age_s) &&
	    (p->bytes == 0 || w->bytes < p->bytes);
}

/* When it was noticed that it is not kept; 0: too long ago.  A time that is
 * yet to come was noted by a clock that was wrong. */
static time_t
leaving_since(struct walk *w, const struct history_item *item)
{
	const struct retain_item *was =
	    retain_list_find(&w->was, w->channel, &item->digest);
	time_t now = w->options->now, since = now;

	if (was == NULL)
		since = w->successor_young ? now : 0;
	else if (was->since > 0 && was->since <= now)
		since = was->since;
	if (since == 0 || (uint64_t)(now - since) >= w->options->policy.grace_s)
		return 0;
	return since;
}

static int
note(struct walk *w, const struct history_item *item, time_t since,
    struct err *e)
{
	struct retain_item new = { .release = item->digest, .since = since };

	(void)snprintf(new.channel, sizeof(new.channel), "%s", w->channel);
	return retain_list_add(&w->out->list, &new, e);
}

static int
see_age(struct walk *w, const struct digest *release, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct fsat_stat st;
	time_t age;
	int ret;

	repo_path_release(path, release);
	ret = fsat_stat(repo_fd(w->o->repo), path, &st, e);
	if (ret != 0)
		return ret;
	age = w->options->now - st.mtime.tv_sec;
	w->successor_young =
	    age < 0 || (uint64_t)age < w->options->policy.grace_s;
	return 0;
}

/* A history_fn. */
static int
see_release(
    void *arg, const struct history_item *item, bool *go_on, struct err *e)
{
	struct walk *w = arg;
	time_t since = 0;
	int ret = 0;

	w->is_newest = w->index == 0;
	w->within = w->within && policy_keeps(w, &item->release);
	if (retain_list_find(&w->was, w->channel, &item->digest) != NULL)
		w->known_left--;
	if (!w->within)
		since = leaving_since(w, item);
	if (w->within || since > 0) {
		w->out->kept += w->within;
		w->out->leaving += !w->within;
		ret = note(w, item, since, e);
		if (ret == 0)
			ret = mark(w, item, CLOSURE_WHOLE, e);
	} else if (w->index < LIMIT_CHAIN) {
		ret = mark(w, item, CLOSURE_DATA, e);
	}
	if (ret == 0)
		ret = see_age(w, &item->digest, e);
	w->index++;
	w->has_previous = item->release.has_previous;
	w->previous = item->release.previous;
	*go_on = w->within || w->index < LIMIT_CHAIN || w->known_left > 0 ||
	    w->successor_young;
	return ret;
}

/* The chain ends where a statement is not here: by its age, or because it was
 * found wrong, and then more belongs to it. */
static int
check_end(struct walk *w, struct err *e)
{
	char path[REPO_PATH_BYTES];
	bool has = false, had = false;
	int ret;

	if (!w->has_previous || w->options->lacks != NULL)
		return 0;
	repo_path_release(path, &w->previous);
	ret = repo_has(w->o->repo, path, &has, e);
	if (ret == 0 && !has)
		ret = quarantine_has(w->o->repo, path, &had, e);
	return ret == 0 && had
	    ? err_set(e, ERR_NOT_FOUND,
	          "%s is missing: which releases were before it is not known "
	          "until it is repaired",
	          path)
	    : ret;
}

static int
walk_channel(struct walk *w, const struct head *head, struct err *e)
{
	int ret;

	w->index = 0;
	w->bytes = 0;
	w->within = true;
	w->successor_young = false;
	w->has_previous = false;
	w->known_left = retain_list_count(&w->was, w->channel);
	ret = history_walk_from(w->o, head, see_release, w, e);
	return ret == 0 ? check_end(w, e) : ret;
}

/* ---- what is not complete yet ---- */

int
retain_read_release(
    struct repo *r, const struct digest *d, struct release *out, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct statement s;
	struct digest got;
	struct buf text;
	int ret;

	repo_path_release(path, d);
	buf_init(&text, LIMIT_RELEASE_BYTES);
	ret = repo_read_statement(r, path, LIMIT_RELEASE_BYTES, &text, e);
	if (ret == 0) {
		digest_of(text.data, text.len, &got);
		if (!digest_equal(&got, d))
			ret = err_set(e, ERR_VERIFY, "digest is not its name");
	}
	if (ret == 0)
		ret = statement_split(text.data, text.len, &s, e);
	if (ret == 0)
		ret = release_parse(s.body, s.body_len, out, e);
	buf_release(&text);
	return ret == 0 ? 0 : err_prefix(e, "%s", path);
}

/* 0 for a channel without a head. */
static uint64_t
accepted_serial(const struct walk *w, const char *channel)
{
	for (size_t i = 0; i < w->head_count; i++)
		if (strcmp(w->heads[i].channel, channel) == 0)
			return w->heads[i].serial;
	return 0;
}

/* As far as its manifests are here: nobody relies yet on what others name. */
static int
see_coming(struct walk *w, const struct digest *d, struct err *e)
{
	unsigned absent;
	struct release r;
	int ret;

	release_init(&r);
	ret = retain_read_release(w->o->repo, d, &r, e);
	if (ret == 0 && r.serial > accepted_serial(w, r.channel))
		ret = closure_add(
		    w->out->closure, &r, CLOSURE_WHOLE, NULL, &absent, e);
	release_release(&r);
	return ret;
}

/* A release that is newer than its channel's head is being fetched, from here
 * on or from where an earlier fetch was cut: the statement came first. */
static int
walk_coming(struct walk *w, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	struct digest d;
	int fd = -1, ret;

	ret = fsat_open_dir(repo_fd(w->o->repo), "v1/release", &fd, e);
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		if (digest_parse(names.names[i], strlen(names.names[i]), &d) ==
		    0)
			ret = see_coming(w, &d, e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* ---- all ---- */

static int
walk_heads(struct walk *w, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int ret = repo_channels(w->o->repo, &names, e);

	if (ret == 0) {
		w->heads = calloc(names.count + 1, sizeof(*w->heads));
		if (w->heads == NULL)
			ret = err_memory(e);
	}
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		struct head *head = &w->heads[w->head_count];

		w->channel = names.names[i];
		ret = origin_head(w->o, w->channel, head, e);
		if (ret == 0) {
			w->head_count++;
			ret = walk_channel(w, head, e);
		}
	}
	fsat_names_release(&names);
	return ret;
}

int
retain_mark(struct origin *o, const struct retain_options *options,
    struct retained *out, struct err *e)
{
	struct walk w = { .o = o, .options = options, .out = out };
	int ret = closure_new(o->repo, &out->closure, e);

	if (ret == 0)
		ret = retain_list_load(o->repo, &w.was, e);
	if (ret == 0)
		ret = walk_heads(&w, e);
	if (ret == 0 && options->lacks == NULL)
		ret = walk_coming(&w, e);
	retain_list_release(&w.was);
	free(w.heads);
	return ret;
}
