/* repo_verify: everything that is signed, from the first root to the oldest
 * release that is kept. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/head.h"
#include "transcripts/release.h"
#include "transcripts/repo_verify_impl.h"
#include "transcripts/roster.h"

/* The state of one walk along the chains. */
struct chains {
	struct verify *v;
	struct buf text;
	uint64_t roster_version; /* 0: none */
};

/* Passes on what stops the whole, reports the rest. */
static int
damaged(struct chains *c, const char *path, int ret, struct err *e)
{
	if (ret == ERR_NO_MEMORY)
		return ret;
	c->v->references_unknown = true;
	verify_found(c->v, REPO_DAMAGED, path, "%s", e->msg);
	err_clear(e);
	return 0;
}

static int
add_wanted(struct chains *c, const struct wanted *w, struct err *e)
{
	struct verify *v = c->v;

	if (v->wanted_count == v->wanted_cap) {
		size_t cap = v->wanted_cap == 0 ? 64 : 2 * v->wanted_cap;
		struct wanted *more = calloc(cap, sizeof(*more));

		if (more == NULL)
			return err_memory(e);
		if (v->wanted_count > 0)
			memcpy(
			    more, v->wanted, v->wanted_count * sizeof(*more));
		free(v->wanted);
		v->wanted = more;
		v->wanted_cap = cap;
	}
	v->wanted[v->wanted_count++] = *w;
	return 0;
}

/* Room for one more root behind those that were verified. */
static int
grow_roots(struct verify *v, struct err *e)
{
	struct root *more = calloc(v->root_count + 1, sizeof(*more));

	if (more == NULL)
		return err_memory(e);
	if (v->root_count > 0)
		memcpy(more, v->roots, v->root_count * sizeof(*more));
	free(v->roots);
	v->roots = more;
	return 0;
}

static int
verify_root(struct chains *c, const char *path, struct err *e)
{
	struct verify *v = c->v;
	struct root *root;
	struct digest d;
	int ret = verify_read(v, path, LIMIT_ROOT_BYTES, &c->text, e);

	if (ret == 0)
		ret = grow_roots(v, e);
	if (ret != 0)
		return ret;
	root = &v->roots[v->root_count];
	if (v->root_count > 0) {
		ret = root_next(c->text.data, c->text.len, root - 1, root, e);
	} else {
		digest_of(c->text.data, c->text.len, &d);
		ret = root_first(c->text.data, c->text.len,
		    v->how->anchor != NULL ? v->how->anchor : &d, root, e);
	}
	if (ret == 0)
		v->root_count++;
	return ret;
}

/* Names in v1/root are 1..n. */
static int
check_root_names(struct chains *c, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	char path[REPO_PATH_BYTES + NAME_MAX];
	int fd = -1, ret;

	ret = fsat_open_dir(repo_fd(c->v->repo), "v1/root", &fd, e);
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		const char *name = names.names[i];
		uint64_t n = 0;

		(void)snprintf(path, sizeof(path), "v1/root/%s", name);
		if (text_u64(name, strlen(name), names.count, &n) != 0 ||
		    n == 0)
			verify_found(c->v, REPO_UNKNOWN, path,
			    "not one of the roots from 1 on");
	}
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

/* The first that is wrong ends the chain. */
static int
verify_roots(struct chains *c, struct err *e)
{
	char path[REPO_PATH_BYTES];
	int ret = check_root_names(c, e);

	while (ret == 0 && c->v->root_count < LIMIT_ROOT_VERSIONS) {
		repo_path_root(path, c->v->root_count + 1);
		ret = verify_root(c, path, e);
	}
	if (ret == ERR_NOT_FOUND)
		return 0;
	return ret == 0 ? 0 : damaged(c, path, ret, e);
}

static const struct root *
newest_root(const struct chains *c)
{
	return &c->v->roots[c->v->root_count - 1];
}

static int
verify_roster(struct chains *c, struct err *e)
{
	struct roster roster;
	char path[REPO_PATH_BYTES];
	int ret;

	roster_init(&roster);
	repo_path_roster(path);
	ret = verify_read(c->v, path, LIMIT_ROSTER_BYTES, &c->text, e);
	if (ret == 0)
		ret = roster_read(
		    newest_root(c), c->text.data, c->text.len, &roster, e);
	if (ret == 0)
		c->roster_version = roster.version;
	else if (ret == ERR_NOT_FOUND)
		ret = 0;
	else
		ret = damaged(c, path, ret, e);
	roster_release(&roster);
	return ret;
}

static int
want_release(
    struct chains *c, const struct release *r, bool newest, struct err *e)
{
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < r->transcript_count; i++) {
		const struct release_transcript *t = &r->transcripts[i];
		struct wanted m = { WANTED_MANIFEST, t->manifest,
			t->manifest_bytes, t->entries, t->content_bytes,
			newest };
		struct wanted d = { WANTED_DATA, t->data, t->data_bytes, 0, 0,
			newest };

		ret = add_wanted(c, &m, e);
		if (ret == 0 && t->has_data)
			ret = add_wanted(c, &d, e);
	}
	return ret;
}

/* A release below a verified head or release.  Its digest is in what was
 * signed later; its own signature may be of a key since withdrawn. */
static int
read_release(struct chains *c, const struct head *head,
    const struct release *next, struct release *out, struct err *e)
{
	struct err first = ERR_INIT, other, *report = &first;
	int ret = ERR_VERIFY;

	for (size_t i = c->v->root_count; i > 0 && ret == ERR_VERIFY; i--) {
		const struct root *root = &c->v->roots[i - 1];

		ret = head != NULL
		    ? release_read(
		          root, head, c->text.data, c->text.len, out, report)
		    : release_read_previous(
		          root, next, c->text.data, c->text.len, out, report);
		report = &other;
	}
	if (ret != 0)
		*e = first;
	return ret;
}

/* Reads one release of the chain.  *more is false at the chain's end. */
static int
verify_release_of(struct chains *c, const struct head *head,
    const struct release *next, struct release *out, bool *more, struct err *e)
{
	struct wanted w = { .kind = WANTED_RELEASE, .newest = head != NULL };
	char path[REPO_PATH_BYTES];
	int ret;

	*more = false;
	w.digest = head != NULL ? head->release : next->previous;
	repo_path_release(path, &w.digest);
	ret = verify_read(c->v, path, LIMIT_RELEASE_BYTES, &c->text, e);
	if (ret == ERR_NOT_FOUND) {
		if (head != NULL)
			verify_found(c->v, REPO_MISSING, path,
			    "release %llu of channel %s is not there",
			    (unsigned long long)head->serial, head->channel);
		c->v->references_unknown |= head != NULL;
		return 0;
	}
	if (ret == 0)
		ret = add_wanted(c, &w, e);
	if (ret == 0)
		ret = read_release(c, head, next, out, e);
	if (ret == 0)
		ret = want_release(c, out, head != NULL, e);
	if (ret != 0)
		return damaged(c, path, ret, e);
	c->v->result.releases++;
	*more = true;
	return 0;
}

static int
verify_history(struct chains *c, const struct head *head, struct err *e)
{
	struct release now, before;
	bool more = false;
	int ret;

	release_init(&now);
	ret = verify_release_of(c, head, NULL, &now, &more, e);
	while (ret == 0 && more && now.has_previous) {
		release_init(&before);
		ret = verify_release_of(c, NULL, &now, &before, &more, e);
		release_release(&now);
		now = before;
	}
	release_release(&now);
	return ret;
}

static int
verify_head(struct chains *c, const char *channel, struct err *e)
{
	struct head head;
	char path[REPO_PATH_BYTES + NAME_MAX];
	int ret;

	if (repo_path_channel(path, channel, NULL) != 0) {
		(void)snprintf(path, sizeof(path), "v1/channel/%s", channel);
		verify_found(c->v, REPO_UNKNOWN, path, "not a channel's name");
		return 0;
	}
	ret = verify_read(c->v, path, LIMIT_HEAD_BYTES, &c->text, e);
	if (ret == 0)
		ret = head_read(newest_root(c), channel, c->text.data,
		    c->text.len, &head, e);
	if (ret != 0)
		return damaged(c, path, ret, e);
	if (head.root_version > c->v->root_count)
		verify_found(c->v, REPO_MISSING, path,
		    "names root %llu, the newest here is %zu",
		    (unsigned long long)head.root_version, c->v->root_count);
	if (head.roster_version > c->roster_version)
		verify_found(c->v, REPO_MISSING, path,
		    "names roster %llu, here is %llu",
		    (unsigned long long)head.roster_version,
		    (unsigned long long)c->roster_version);
	return verify_history(c, &head, e);
}

static int
verify_heads(struct chains *c, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int ret = repo_channels(c->v->repo, &names, e);

	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret = verify_head(c, names.names[i], e);
	fsat_names_release(&names);
	return ret;
}

static int
by_kind_and_digest(const void *x, const void *y)
{
	const struct wanted *a = x, *b = y;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return memcmp(a->digest.b, b->digest.b, DIGEST_BYTES);
}

/* A release no chain leads to is still held to its name. */
static int
verify_stray(struct chains *c, const char *name, struct err *e)
{
	char path[REPO_PATH_BYTES + NAME_MAX];
	struct digest d, got;
	size_t count = 0;
	int ret;

	(void)snprintf(path, sizeof(path), "v1/release/%s", name);
	if (digest_parse(name, strlen(name), &d) != 0) {
		verify_found(c->v, REPO_UNKNOWN, path, "not a digest");
		return 0;
	}
	if (verify_wanted(c->v, WANTED_RELEASE, &d, &count) != NULL)
		return 0;
	ret = verify_read(c->v, path, LIMIT_RELEASE_BYTES, &c->text, e);
	if (ret != 0)
		return damaged(c, path, ret, e);
	digest_of(c->text.data, c->text.len, &got);
	if (digest_equal(&d, &got))
		verify_found(c->v, REPO_UNREFERENCED, path,
		    "no channel leads to this release");
	else
		verify_found(
		    c->v, REPO_DAMAGED, path, "digest is not its name");
	return 0;
}

static int
verify_strays(struct chains *c, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret;

	ret = fsat_open_dir(repo_fd(c->v->repo), "v1/release", &fd, e);
	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret = verify_stray(c, names.names[i], e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

int
verify_chains(struct verify *v, struct err *e)
{
	struct chains c = { .v = v };
	int ret;

	buf_init(&c.text, LIMIT_RELEASE_BYTES);
	ret = verify_roots(&c, e);
	if (ret == 0 && v->root_count > 0)
		ret = verify_roster(&c, e);
	if (ret == 0 && v->root_count > 0)
		ret = verify_heads(&c, e);
	if (ret == 0 && v->root_count == 0)
		verify_found(v, REPO_MISSING, "v1/root/1", "no root to trust");
	if (ret == 0 && v->wanted_count > 0)
		qsort(v->wanted, v->wanted_count, sizeof(*v->wanted),
		    by_kind_and_digest);
	if (ret == 0)
		ret = verify_strays(&c, e);
	buf_release(&c.text);
	return ret;
}
