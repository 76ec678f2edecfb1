/* Metadata; runs in the applier. */
#include "client/meta.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/fscalls.h"
#include "common/limits.h"
#include "transcripts/manifest.h"
#include "transcripts/waived.h"

struct meta
meta_of_item(const struct plan_item *item)
{
	return (struct meta){ .type = item->type,
		.mode = item->mode,
		.uid = item->uid,
		.gid = item->gid,
		.mtime = item->mtime,
		.xattrs = item->xattrs };
}

/* Whether the manifest text has a line for this attribute. */
static bool
is_listed(const char *xattrs, const char *name)
{
	size_t len = strlen(name);
	const char *line = xattrs;

	while (*line != '\0') {
		if (strncmp(line + 2, name, len) == 0 && line[2 + len] == ' ')
			return true;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return false;
}

static void
hint(struct err *e, const char *name)
{
	err_prefix(
	    e, "attribute %s (`ignore = xattr:%s` leaves it out)", name, name);
}

/* New things have some as well: those that a directory's default ACL gives. */
static int
remove_unlisted(int dir, const char *name, const char *xattrs,
    const char *waived, struct err *e)
{
	struct buf names;
	int rc;

	buf_init(&names, LIMIT_XATTR_BYTES);
	rc = fsat_xattr_list(dir, name, &names, e);
	for (size_t at = 0; rc == 0 && at < names.len;) {
		const char *x = (const char *)names.data + at;

		if (!is_listed(xattrs, x) && !waived_xattr(waived, x) &&
		    (rc = fsat_xattr_remove(dir, name, x, e)) != 0)
			hint(e, x);
		at += strlen(x) + 1;
	}
	buf_release(&names);
	return rc;
}

static int
set_listed(int dir, const char *name, const char *xattrs, struct err *e)
{
	struct manifest_xattrs list = { xattrs, strlen(xattrs) };
	struct manifest_xattr x;
	bool more = true;
	int rc = 0;

	buf_init(&x.value, LIMIT_XATTR_BYTES);
	while (rc == 0 && list.len > 0) {
		rc = manifest_xattr_next(&list, &x, &more, e);
		if (rc != 0 || !more)
			break;
		rc = fsat_xattr_set(
		    dir, name, x.name, buf_str(&x.value), x.value.len, e);
		if (rc != 0)
			hint(e, x.name);
	}
	buf_release(&x.value);
	return rc;
}

static int
set_xattrs(int dir, const char *name, const char *xattrs, struct err *e)
{
	char waived[LIMIT_WAIVED_BYTES];
	int rc;

	rc = waived_take_line(xattrs, waived, sizeof(waived), &xattrs, e);
	if (rc == 0)
		rc = remove_unlisted(dir, name, xattrs, waived, e);
	return rc != 0 ? rc : set_listed(dir, name, xattrs, e);
}

/* An ordinary user may not give anything away. */
static const char *
owner_hint(int sys)
{
	return sys == EPERM ? " (`ignore = owner` leaves owners as they are)"
	                    : "";
}

/* A new owner costs a file its setuid bits, an ACL changes its mode. */
static bool
is_mode_right(uint32_t mode, const struct meta *m)
{
	return (mode & 07777) == m->mode && (m->mode & 06000) == 0 &&
	    *m->xattrs == '\0';
}

int
meta_set_fd(int fd, const struct meta *m, const char *path, struct err *e)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		m->mtime };
	struct fsat_stat st;

	if (fsat_stat_fd(fd, &st, e) != 0)
		return err_prefix(e, "%s", path);
	if ((st.uid != m->uid || st.gid != m->gid) &&
	    fscalls()->fchown(fd, m->uid, m->gid) != 0)
		return err_sys(e, "%s: owner %u:%u%s", path, m->uid, m->gid,
		    owner_hint(errno));
	if (set_xattrs(fd, "", m->xattrs, e) != 0)
		return err_prefix(e, "%s", path);
	if (!is_mode_right(st.mode, m) && fscalls()->fchmod(fd, m->mode) != 0)
		return err_sys(e, "%s: mode %04o", path, m->mode);
	if (fscalls()->futimens(fd, times) != 0)
		return err_sys(e, "%s: time", path);
	return 0;
}

int
meta_set_name(int dir, const char *name, const struct meta *m, unsigned bits,
    struct err *e)
{
	const unsigned owner = COMPARE_OWNER | COMPARE_GROUP;
	bool is_owner = (bits & owner) != 0, is_xattrs;
	int rc = 0;

	/* A new owner costs a file its capabilities. */
	is_xattrs =
	    (bits & COMPARE_XATTRS) != 0 || (is_owner && *m->xattrs != '\0');
	if (is_owner)
		rc = fsat_chown(dir, name, m->uid, m->gid, e);
	if (rc != 0)
		return err_prefix(e, "owner %u:%u%s", m->uid, m->gid,
		    owner_hint(e != NULL ? e->sys : 0));
	if (is_xattrs)
		rc = set_xattrs(dir, name, m->xattrs, e);
	if (rc == 0 && m->type != MANIFEST_SYMLINK &&
	    (is_owner || is_xattrs || (bits & COMPARE_MODE) != 0))
		rc = fsat_chmod(dir, name, m->mode, e);
	return rc != 0 ? rc : fsat_utime(dir, name, &m->mtime, e);
}
