/* Which releases are kept; runs in the keeper and in peciactl. */
#include "server/retain.h"

#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/quarantine.h"

/* One channel, from a head backwards. */
struct walk {
	struct origin *o;
	const struct retain_options *options;
	struct retained *out;
	struct retain_list was;
	const char *channel;
	/* Of this channel. */
	size_t index;         /* releases seen */
	size_t known_left;    /* of `was`, not yet seen */
	bool within;          /* the policy keeps what comes */
	bool successor_young; /* it came here less than a grace period ago */
	uint64_t bytes;
	bool has_previous; /* of the last one seen */
	struct digest previous;
	struct digest accepted; /* where a walk from what was heard of ends */
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
		ret = closure_add(w->out->closure, &item->release, depth,
		    &visit, &absent, e);
	if (ret != 0)
		return ret;
	if (absent > 0 && !lenient)
		return check_manifests(w, &item->release, e);
	if (lenient && w->lacking > 0)
		ret = w->options->lacks(w->options->arg, item, w->is_newest,
		    w->lacking, e);
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
	if (since == 0 ||
	    (uint64_t)(now - since) >= w->options->policy.grace_s)
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
	w->accepted = head->release;
	ret = history_walk_from(w->o, head, see_release, w, e);
	return ret == 0 ? check_end(w, e) : ret;
}

/* ---- what was heard of, and is not complete yet ---- */

/* A history_fn. */
static int
see_coming(
    void *arg, const struct history_item *item, bool *go_on, struct err *e)
{
	struct walk *w = arg;

	if (digest_equal(&item->digest, &w->accepted)) {
		*go_on = false;
		return 0;
	}
	*go_on = ++w->index < LIMIT_CHAIN;
	return mark(w, item, CLOSURE_WHOLE, e);
}

/* As far as its statements and manifests are here: nobody relies on what
 * manifests name that are not.  What cannot be read is nobody's either. */
static int
walk_coming(struct walk *w, struct err *e)
{
	char path[REPO_PATH_BYTES + LIMIT_NAME_BYTES];
	struct err why = ERR_INIT;
	struct head head;
	int ret;

	(void)snprintf(path, sizeof(path), "seen/%s", w->channel);
	if (w->options->lacks != NULL ||
	    origin_head_at(w->o, path, w->channel, &head, &why) != 0)
		return 0;
	w->index = 0;
	w->is_newest = false;
	ret = history_walk_from(w->o, &head, see_coming, w, &why);
	if (ret == ERR_NOT_FOUND || ret == 0)
		return 0;
	*e = why;
	return ret;
}

/* ---- all ---- */

static int
walk_heads(struct walk *w, const struct fsat_names *names, struct err *e)
{
	struct head head;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < names->count; i++) {
		w->channel = names->names[i];
		memset(&w->accepted, 0, sizeof(w->accepted));
		ret = origin_head(w->o, w->channel, &head, e);
		if (ret == 0)
			ret = walk_channel(w, &head, e);
		if (ret == 0)
			ret = walk_coming(w, e);
	}
	return ret;
}

/* Channels that have not one release yet. */
static int
walk_seen(struct walk *w, const struct fsat_names *heads, struct err *e)
{
	struct fsat_names seen = { NULL, 0 };
	int fd = -1, ret;

	memset(&w->accepted, 0, sizeof(w->accepted));
	ret = fsat_open_dir(repo_fd(w->o->repo), "seen", &fd, e);
	if (ret == 0)
		ret = fsat_list(fd, &seen, e);
	else if (ret == ERR_NOT_FOUND)
		ret = 0;
	for (size_t i = 0; ret == 0 && i < seen.count; i++) {
		bool has_head = false;

		for (size_t k = 0; k < heads->count; k++)
			has_head |= strcmp(seen.names[i], heads->names[k]) == 0;
		w->channel = seen.names[i];
		if (!has_head)
			ret = walk_coming(w, e);
	}
	fsat_names_release(&seen);
	if (fd >= 0)
		close(fd);
	return ret;
}

int
retain_mark(struct origin *o, const struct retain_options *options,
    struct retained *out, struct err *e)
{
	struct walk w = { .o = o, .options = options, .out = out };
	struct fsat_names heads = { NULL, 0 };
	int ret = closure_new(o->repo, &out->closure, e);

	if (ret == 0)
		ret = retain_list_load(o->repo, &w.was, e);
	if (ret == 0)
		ret = repo_channels(o->repo, &heads, e);
	if (ret == 0)
		ret = walk_heads(&w, &heads, e);
	if (ret == 0)
		ret = walk_seen(&w, &heads, e);
	fsat_names_release(&heads);
	retain_list_release(&w.was);
	return ret;
}
