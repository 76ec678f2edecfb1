/* Metadata; runs in the applier. */
#include "client/meta.h"

#include <sys/xattr.h>
#include <unistd.h>

#include "common/limits.h"
#include "transcripts/manifest.h"

typedef int (*set_fn)(void *where, const struct manifest_xattr *x,
    struct err *e);

static int
each_xattr(const char *text, set_fn set, void *where, struct err *e)
{
	struct manifest_xattrs list = { text, strlen(text) };
	struct manifest_xattr x;
	bool more = true;
	int rc = 0;

	buf_init(&x.value, LIMIT_XATTR_BYTES);
	while (rc == 0 && list.len > 0) {
		rc = manifest_xattr_next(&list, &x, &more, e);
		if (rc != 0 || !more)
			break;
		rc = set(where, &x, e);
	}
	buf_release(&x.value);
	return rc;
}

static int
set_on_fd(void *where, const struct manifest_xattr *x, struct err *e)
{
	const int *fd = where;

	if (fsetxattr(*fd, x->name, buf_str(&x->value), x->value.len, 0) != 0)
		return err_sys(e, "attribute %s", x->name);
	return 0;
}

int
meta_set_fd(int fd, const struct meta *m, const char *path, struct err *e)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		m->mtime };

	if (fchown(fd, m->uid, m->gid) != 0)
		return err_sys(e, "%s: owner %u:%u", path, m->uid, m->gid);
	if (*m->xattrs != '\0' &&
	    each_xattr(m->xattrs, set_on_fd, &fd, e) != 0)
		return err_prefix(e, "%s", path);
	if (fchmod(fd, m->mode) != 0)
		return err_sys(e, "%s: mode %04o", path, m->mode);
	if (futimens(fd, times) != 0)
		return err_sys(e, "%s: time", path);
	return 0;
}

struct place {
	int dir;
	const char *name;
};

static int
set_on_name(void *where, const struct manifest_xattr *x, struct err *e)
{
	const struct place *p = where;

	return fsat_xattr_set(p->dir, p->name, x->name, buf_str(&x->value),
	    x->value.len, e);
}

/* Whether the manifest text has a line for this attribute. */
static bool
is_listed(const char *xattrs, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = xattrs; p != NULL && *p != '\0';) {
		if (strncmp(p + 2, name, len) == 0 && p[2 + len] == ' ')
			return true;
		p = strchr(p, '\n');
		if (p != NULL)
			p++;
	}
	return false;
}

static int
remove_unlisted(int dir, const char *name, const char *xattrs, struct err *e)
{
	struct buf names;
	int rc;

	buf_init(&names, LIMIT_XATTRS * (LIMIT_XATTR_NAME + 1));
	rc = fsat_xattr_list(dir, name, &names, e);
	for (size_t at = 0; rc == 0 && at < names.len;) {
		const char *x = (const char *)names.data + at;

		if (!is_listed(xattrs, x))
			rc = fsat_xattr_remove(dir, name, x, e);
		at += strlen(x) + 1;
	}
	buf_release(&names);
	return rc;
}

static int
set_xattrs(int dir, const char *name, const struct meta *m, bool is_new,
    struct err *e)
{
	struct place p = { dir, name };
	int rc = is_new ? 0 : remove_unlisted(dir, name, m->xattrs, e);

	if (rc == 0 && *m->xattrs != '\0')
		rc = each_xattr(m->xattrs, set_on_name, &p, e);
	return rc;
}

int
meta_set_name(int dir, const char *name, const struct meta *m, unsigned bits,
    struct err *e)
{
	const unsigned owner = COMPARE_OWNER | COMPARE_GROUP;
	int rc = 0;

	if ((bits & owner) != 0)
		rc = fsat_chown(dir, name, m->uid, m->gid, e);
	if (rc == 0 && (bits & COMPARE_XATTRS) != 0)
		rc = set_xattrs(dir, name, m, bits == ~0u, e);
	if (rc == 0 && m->type != MANIFEST_SYMLINK &&
	    (bits & (owner | COMPARE_XATTRS | COMPARE_MODE)) != 0)
		rc = fsat_chmod(dir, name, m->mode, e);
	return rc != 0 ? rc : fsat_utime(dir, name, &m->mtime, e);
}
