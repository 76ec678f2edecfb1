/* What no transcript lists; runs in the client.  The walk keeps a directory a
 * level open and no C stack. */
#include "transcripts/compare_unlisted.h"

#include <unistd.h>

#include "common/limits.h"

/* One directory on the way down. */
struct doomed {
	struct unlisted_dir dir;
	struct fsat_stat st;
	struct fsat_names names;
	size_t next;
	bool kept; /* something in it stays, so it does */
};

struct doom {
	struct unlisted *u;
	struct doomed *list;
	size_t depth, room;
	bool whole; /* nothing may stay, and the top is reported by others */
};

/* Puts "/name" behind the path of `at`. */
static int
join(struct unlisted *u, const struct unlisted_dir *at, const char *name,
    struct err *e)
{
	size_t room = sizeof(u->path) - at->path_len;
	int n = snprintf(u->path + at->path_len, room, "%s%s",
	    at->path_len > 0 ? "/" : "", name);

	if (n < 0 || (size_t)n >= room ||
	    at->path_len + (size_t)n > LIMIT_PATH_BYTES) {
		u->path[at->path_len] = '\0';
		return err_set(e, ERR_LIMIT,
		    "%s: a path below it is longer than %d bytes", u->path,
		    LIMIT_PATH_BYTES);
	}
	return 0;
}

/* What vanishes meanwhile need not go: *there is false. */
static int
look(const struct unlisted_dir *at, const char *name, struct fsat_stat *st,
    bool *there, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_stat(at->fd, name, st, &mine);

	*there = rc == 0;
	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

/* Why the thing at u->path stays, or NULL. */
static const char *
why_kept(const struct unlisted *u, const struct unlisted_dir *at,
    const struct fsat_stat *st)
{
	const struct compare_options *o = u->o;

	for (size_t i = 0; i < o->keep_count; i++) {
		if (strcmp(o->keep[i], u->path) == 0)
			return "belongs to this program";
	}
	if (o->keep_dir != NULL && o->keep_dir->dev == st->dev &&
	    o->keep_dir->ino == st->ino)
		return "belongs to this program";
	if (layer_is_excluded(o->want, u->path))
		return "is excluded";
	return st->mount_id != at->mount_id ? "is a mount point" : NULL;
}

static int
report(struct unlisted *u, const struct fsat_stat *st, struct err *e)
{
	const struct compare_diff diff = {
		.kind = COMPARE_DELETE,
		.path = u->path,
		.have = st,
	};

	return u->fn(u->arg, &diff, e);
}

static void
doom_pop(struct doom *d)
{
	struct doomed *last = &d->list[--d->depth];

	if (last->dir.fd >= 0)
		close(last->dir.fd);
	fsat_names_release(&last->names);
}

static int
doom_grow(struct doom *d, struct err *e)
{
	size_t room = d->room == 0 ? 16 : 2 * d->room;
	struct doomed *list;

	if (d->depth < d->room)
		return 0;
	list = reallocarray(d->list, room, sizeof(*list));
	if (list == NULL)
		return err_memory(e);
	d->list = list;
	d->room = room;
	return 0;
}

/* Goes down into the directory at u->path. */
static int
doom_push(struct doom *d, const struct unlisted_dir *at, const char *name,
    const struct fsat_stat *st, struct err *e)
{
	struct err mine = ERR_INIT;
	struct doomed *next;
	int parent = at->fd, rc;

	/* `at` may be in the list, which moves. */
	rc = doom_grow(d, e);
	if (rc != 0)
		return rc;
	next = &d->list[d->depth++];
	*next =
	    (struct doomed){ .dir = { -1, strlen(d->u->path), st->mount_id },
		    .st = *st };
	rc = fsat_open_dir(parent, name, &next->dir.fd, &mine);
	if (rc == 0)
		rc = fsat_list(next->dir.fd, &next->names, &mine);
	if (rc == 0)
		return 0;
	doom_pop(d);
	if (rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return err_prefix(e, "%s", d->u->path);
}

static int
keep(struct doom *d, struct doomed *in, const char *why, struct err *e)
{
	const struct unlisted *u = d->u;

	in->kept = true;
	if (!d->whole)
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
	    "%.*s: the directory cannot make place for something else: %s %s",
	    (int)d->list[0].dir.path_len, u->path, u->path, why);
}

/* The next name of the last directory: reports it, or goes down. */
static int
doom_name(struct doom *d, struct err *e)
{
	struct doomed *in = &d->list[d->depth - 1];
	const char *name = in->names.names[in->next++];
	struct unlisted_dir at = in->dir;
	struct fsat_stat st;
	const char *why;
	bool there;
	int rc;

	rc = join(d->u, &at, name, e);
	if (rc == 0)
		rc = look(&at, name, &st, &there, e);
	if (rc != 0 || !there)
		return rc;
	why = why_kept(d->u, &at, &st);
	if (why != NULL)
		return keep(d, in, why, e);
	if (S_ISDIR(st.mode))
		return doom_push(d, &at, name, &st, e);
	return report(d->u, &st, e);
}

/* Leaves the last directory, of which all names were passed. */
static int
doom_leave(struct doom *d, struct err *e)
{
	struct doomed *last = &d->list[d->depth - 1];
	int rc = 0;

	d->u->path[last->dir.path_len] = '\0';
	if (last->kept) {
		if (d->depth > 1)
			d->list[d->depth - 2].kept = true;
	} else if (!d->whole || d->depth > 1) {
		rc = report(d->u, &last->st, e);
	}
	doom_pop(d);
	return rc;
}

static int
doom_tree(struct doom *d, const struct unlisted_dir *at, const char *name,
    const struct fsat_stat *st, struct err *e)
{
	int rc = doom_push(d, at, name, st, e);

	while (rc == 0 && d->depth > 0) {
		const struct doomed *last = &d->list[d->depth - 1];

		rc = last->next < last->names.count ? doom_name(d, e)
		                                    : doom_leave(d, e);
	}
	while (d->depth > 0)
		doom_pop(d);
	free(d->list);
	return rc;
}

int
unlisted_report(struct unlisted *u, const struct unlisted_dir *at,
    const char *name, struct err *e)
{
	struct doom d = { .u = u };
	struct fsat_stat st;
	bool there;
	int rc;

	rc = join(u, at, name, e);
	if (rc == 0)
		rc = look(at, name, &st, &there, e);
	if (rc != 0 || !there || why_kept(u, at, &st) != NULL)
		return rc;
	return S_ISDIR(st.mode) ? doom_tree(&d, at, name, &st, e)
	                        : report(u, &st, e);
}

int
unlisted_clear(struct unlisted *u, const struct unlisted_dir *at,
    const char *name, struct err *e)
{
	struct doom d = { .u = u, .whole = true };
	struct fsat_stat st;
	const char *why;
	bool there;
	int rc;

	rc = join(u, at, name, e);
	if (rc == 0)
		rc = look(at, name, &st, &there, e);
	if (rc != 0 || !there || !S_ISDIR(st.mode))
		return rc;
	why = why_kept(u, at, &st);
	/* An exclude spares what is unlisted; this name is listed. */
	if (why != NULL && !layer_is_excluded(u->o->want, u->path))
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: something else shall take its place, but it %s",
		    u->path, why);
	return doom_tree(&d, at, name, &st, e);
}
