/* Trying out metadata; runs in the applier. */
#include "client/probe.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/meta.h"
#include "common/buf.h"
#include "common/fsat.h"
#include "common/limits.h"
#include "transcripts/manifest.h"

#define DEFAULT_ACL "x system.posix_acl_default "
#define ACCESS_ACL  "x system.posix_acl_access "
#define USER_CLASS  "x user."
#define MAY_FAIL    (COMPARE_OWNER | COMPARE_GROUP | COMPARE_XATTRS)

struct probe {
	int root;
	int fd; /* unnamed, on the device below; or -1 */
	uint64_t dev;
	const char *holder; /* path whose directory was looked at last */
	/* What fd was given last. */
	const struct plan_item *tried;
	unsigned flags;
};

static size_t
dir_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? 0 : (size_t)(slash - path);
}

static void
forget(struct probe *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->tried = NULL;
	p->flags = 0;
}

/* Makes p->fd a file on the file system that holds the path. */
static int
be_near(struct probe *p, const char *path, struct err *e)
{
	char dir[LIMIT_PATH_BYTES + 1];
	size_t len = dir_len(path);
	struct fsat_stat st;
	int rc;

	if (p->holder != NULL && dir_len(p->holder) == len &&
	    memcmp(p->holder, path, len) == 0)
		return 0;
	(void)snprintf(dir, sizeof(dir), "%.*s", len > 0 ? (int)len : 1,
	    len > 0 ? path : ".");
	if ((rc = fsat_stat(p->root, dir, &st, e)) != 0)
		return rc;
	p->holder = path;
	if (p->fd >= 0 && p->dev == st.dev)
		return 0;
	forget(p);
	p->dev = st.dev;
	return fsat_unnamed(p->root, dir, &p->fd, e);
}

/* A file takes no default ACL, but where there is the one there is the other. */
static int
add_lines(struct buf *b, const char *xattrs, struct err *e)
{
	bool has_access = strstr(xattrs, ACCESS_ACL) != NULL;
	const char *line = xattrs;

	while (*line != '\0') {
		size_t n = strcspn(line, "\n");
		size_t skip = strlen(DEFAULT_ACL);

		n += line[n] == '\n';
		if (strncmp(line, DEFAULT_ACL, skip) != 0) {
			buf_add(b, line, n);
		} else if (!has_access) {
			buf_add_str(b, ACCESS_ACL);
			buf_add(b, line + skip, n - skip);
		}
		line += n;
	}
	return buf_check(b, "attributes", e);
}

static int
set_all(struct probe *p, const struct plan_item *item, struct err *e)
{
	struct meta m = { .type = MANIFEST_FILE,
		.mode = item->mode,
		.uid = item->uid,
		.gid = item->gid,
		.mtime = item->mtime };
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	rc = add_lines(&b, item->xattrs, e);
	m.xattrs = buf_str(&b);
	if (rc == 0)
		rc = meta_set_fd(p->fd, &m, item->path, e);
	buf_release(&b);
	return rc;
}

static bool
is_same(const struct plan_item *a, const struct plan_item *b)
{
	return a != NULL && a->uid == b->uid && a->gid == b->gid &&
	    strcmp(a->xattrs, b->xattrs) == 0;
}

static int
try_meta(struct probe *p, const struct plan_item *item, struct err *e)
{
	bool is_plain =
	    item->type == MANIFEST_FILE || item->type == MANIFEST_DIR;
	int rc;

	if (!is_plain && strstr(item->xattrs, USER_CLASS) != NULL)
		return err_set(e, ERR_UNSUPPORTED,
		    "%s: user attributes (`ignore = xattr:user.*` leaves them "
		    "out): only files and directories have them",
		    item->path);
	if (is_same(p->tried, item))
		return 0;
	if (be_near(p, item->path, e) != 0)
		return err_prefix(e, "%s", item->path);
	p->tried = NULL;
	rc = set_all(p, item, e);
	if (rc == 0)
		p->tried = item;
	return rc;
}

static int
try_flags(struct probe *p, const struct plan_item *item, struct err *e)
{
	unsigned flags = item->flags & MANIFEST_CHATTR;
	int rc;

	rc = be_near(p, item->path, e);
	if (rc == 0 && (flags & ~p->flags) != 0) {
		rc = fsat_set_flags(p->fd, "", flags, e);
		if (rc == 0)
			rc = fsat_set_flags(p->fd, "", 0, e);
		p->flags |= flags;
	}
	return rc != 0
	    ? err_prefix(
	          e, "%s: flags (`ignore = flags` leaves them out)", item->path)
	    : 0;
}

/* Only the owner may. */
static int
check_owner(int root, const struct plan_item *item, struct err *e)
{
	struct fsat_stat st;

	if (geteuid() == 0)
		return 0;
	if (fsat_stat(root, item->path, &st, e) != 0)
		return err_prefix(e, "%s", item->path);
	if (st.uid == geteuid())
		return 0;
	return err_set(e, ERR_UNSUPPORTED,
	    "%s: mode, time or attributes: belongs to user %u, and only that "
	    "one or root may change them",
	    item->path, st.uid);
}

bool
probe_is_beside(const struct plan_item *item)
{
	return item->op == PLAN_META &&
	    ((item->bits & MAY_FAIL) != 0 ||
	        (item->flags & MANIFEST_CHATTR) != 0);
}

static int
try_item(struct probe *p, const struct plan_item *item, struct err *e)
{
	int rc = 0;

	if (item->op == PLAN_META)
		rc = check_owner(p->root, item, e);
	if (rc == 0 && item->op == PLAN_META && (item->bits & MAY_FAIL) != 0)
		rc = try_meta(p, item, e);
	return rc;
}

int
probe_plan(int root, const struct plan *plan, struct err *e)
{
	struct probe p = { .root = root, .fd = -1 };
	int rc = 0;

	for (size_t i = 0; i < plan->item_count && rc == 0; i++) {
		const struct plan_item *item = plan_item(plan, i);
		size_t top = item->root == PLAN_NO_ROOT ? i : item->root;

		rc = try_item(&p, item, e);
		/* What arrives inside a new directory is tried beside that. */
		if (rc == 0 && (item->flags & MANIFEST_CHATTR) != 0)
			rc = top == i
			    ? try_flags(&p, item, e)
			    : try_flags(&p,
			          &(struct plan_item){ .flags = item->flags,
			              .path = plan->items[top].path },
			          e);
	}
	forget(&p);
	return rc;
}
