/* Restoring; runs in the applier. */
#include "client/restore.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include "client/apply.h"
#include "client/lift.h"
#include "client/meta.h"
#include "client/stage.h"
#include "common/fsat.h"
#include "common/log.h"
#include "common/text.h"

#define TEMP_BYTES (sizeof(PLAN_STAGE_PREFIX) + APPLY_ID_BYTES)

/* Records name owners as "#id". */
static int
owner_id(const char *text, uint32_t *id, struct err *e)
{
	uint64_t v;

	if (text[0] != '#' ||
	    text_u64(text + 1, strlen(text + 1), MANIFEST_ID_MAX, &v) != 0)
		return err_set(e, ERR_FORMAT, "kept: owner %s", text);
	*id = (uint32_t)v;
	return 0;
}

/* Owners that need not hold are left to be our own. */
static int
meta_of(const struct session *s, const struct manifest_entry *m,
    struct meta *out, struct err *e)
{
	int rc;

	*out = (struct meta){ .type = (uint8_t)m->type,
		.mode = m->mode,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime = m->mtime,
		.xattrs = m->xattrs.text };
	if (s->settings->ignore_owner)
		return 0;
	rc = owner_id(m->owner, &out->uid, e);
	return rc != 0 ? rc : owner_id(m->group, &out->gid, e);
}

static int
write_file(const struct session *s, const struct bucket_item *item, int to,
    struct err *e)
{
	struct fsat_stat st;
	bool changed = false;
	int from = -1, rc;

	if ((rc = bucket_open(s, item, &from, &changed, e)) != 0)
		return rc;
	if (changed)
		log_event(LOG_WARNING, "written to after it was replaced",
		    "path", item->m.path, NULL);
	rc = fsat_stat_fd(from, &st, e);
	if (rc == 0)
		rc = stage_copy_content(
		    from, to, st.size_bytes, item->m.path, e);
	close(from);
	return rc;
}

static int
make_file(const struct session *s, const struct bucket_item *item, int dir,
    const char *temp, struct err *e)
{
	struct meta m;
	int fd = -1, rc = meta_of(s, &item->m, &m, e);

	if (rc == 0)
		rc = fsat_create(dir, temp, 0600, &fd, e);
	if (rc == 0)
		rc = write_file(s, item, fd, e);
	if (rc == 0)
		rc = meta_set_fd(fd, &m, item->m.path, e);
	if (rc == 0)
		rc = fsat_fsync(fd, e);
	if (rc == 0)
		rc = fsat_close(&fd, item->m.path, e);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
make_node(const struct session *s, const struct manifest_entry *m, int dir,
    const char *temp, struct err *e)
{
	uint32_t type = m->type == MANIFEST_FIFO ? S_IFIFO
	    : m->type == MANIFEST_BLOCK          ? S_IFBLK
	                                         : S_IFCHR;
	struct meta meta;
	int rc = meta_of(s, m, &meta, e);

	if (rc == 0 && m->type == MANIFEST_DIR)
		rc = fsat_mkdir(dir, temp, 0700, e);
	else if (rc == 0 && m->type == MANIFEST_SYMLINK)
		rc = fsat_symlink(m->target, dir, temp, e);
	else if (rc == 0)
		rc = fsat_mknod(
		    dir, temp, type | 0600, makedev(m->major, m->minor), e);
	return rc != 0 ? rc : meta_set_name(dir, temp, &meta, ~0u, e);
}

static int
make(const struct session *s, const struct bucket_item *item, int dir,
    const char *temp, struct err *e)
{
	return item->m.type == MANIFEST_FILE
	    ? make_file(s, item, dir, temp, e)
	    : make_node(s, &item->m, dir, temp, e);
}

/* Nothing with such flags can be renamed: they are tried out before, and set
 * behind it. */
static int
try_flags(int dir, const char *temp, unsigned flags, struct err *e)
{
	int rc = 0;

	if (flags != 0)
		rc = fsat_set_flags(dir, temp, flags, e);
	if (rc == 0 && flags != 0)
		rc = fsat_set_flags(dir, temp, 0, e);
	return rc != 0
	    ? err_prefix(e, "flags (`ignore = flags` leaves them out)")
	    : 0;
}

static bool
is_dir_there(int dir, const char *name)
{
	struct err ignored = ERR_INIT;
	struct fsat_stat st;

	return fsat_stat(dir, name, &st, &ignored) == 0 && S_ISDIR(st.mode);
}

static int
set_dir(const struct session *s, const struct bucket_item *item, int dir,
    const char *name, struct err *e)
{
	struct meta m;
	int rc = meta_of(s, &item->m, &m, e);

	return rc != 0 ? rc : meta_set_name(dir, name, &m, ~0u, e);
}

/* All but its flags. */
static int
put(const struct session *s, const struct bucket_item *item, int dir,
    const char *name, unsigned flags, struct err *e)
{
	char id[APPLY_ID_BYTES], temp[TEMP_BYTES];
	struct err ignored = ERR_INIT;
	int rc;

	if (item->m.type == MANIFEST_DIR && is_dir_there(dir, name))
		return set_dir(s, item, dir, name, e);
	if ((rc = apply_new_id(id, e)) != 0)
		return rc;
	(void)snprintf(temp, sizeof(temp), PLAN_STAGE_PREFIX "%s", id);
	rc = make(s, item, dir, temp, e);
	if (rc == 0)
		rc = try_flags(dir, temp, flags, e);
	if (rc == 0)
		rc = fsat_rename(dir, temp, dir, name, e);
	if (rc != 0 && fsat_remove_tree(dir, temp, &ignored) != 0)
		log_err(LOG_WARNING, "left behind", &ignored, NULL);
	return rc;
}

/* What forbids that something else takes its place. */
static int
lift(const struct session *s, const char *path, struct err *e)
{
	char copy[LIMIT_PATH_BYTES + 1];
	struct err ignored = ERR_INIT;
	struct fsat_stat st = { .ino = 0 };
	struct plan_delete place = { .path = copy };
	struct plan plan;
	int rc;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	if (fsat_stat(s->root, path, &st, &ignored) == 0) {
		place.ino = st.ino;
		place.had_flags = st.flags;
	}
	plan_init(&plan);
	plan.deletes = &place;
	plan.delete_count = 1;
	rc = lift_off(s->state.dir, s->root, &plan, e);
	plan.deletes = NULL;
	plan.delete_count = 0;
	plan_release(&plan);
	return rc;
}

static int
set_flags(const struct bucket_item *item, int dir, const char *name,
    unsigned flags, struct err *e)
{
	struct fsat_stat st;
	int rc;

	if (item->m.type != MANIFEST_FILE && item->m.type != MANIFEST_DIR)
		return 0;
	rc = fsat_stat(dir, name, &st, e);
	return rc != 0 || st.flags == flags
	    ? rc
	    : fsat_set_flags(dir, name, flags, e);
}

static int
restore(const struct session *s, const struct bucket_item *item, int dir,
    const char *name, bool in_place, struct err *e)
{
	unsigned flags = item->m.flags & MANIFEST_CHATTR;
	struct err mine = ERR_INIT;
	bool ignore = s->settings->ignore_flags;
	int rc = 0, back;

	if (in_place)
		rc = lift(s, item->entry.path, e);
	if (rc == 0)
		rc = put(s, item, dir, name, ignore ? 0 : flags, e);
	/* What is new there has another inode. */
	back = in_place ? lift_restore(s->state.dir, s->root, &mine) : 0;
	if (rc == 0 && (rc = back) != 0)
		*e = mine;
	if (rc == 0 && !ignore)
		rc = set_flags(item, dir, name, flags, e);
	return rc != 0 ? rc : fsat_fsync(dir, e);
}

/* A hard link is made again as a file of its own, with the metadata of its
 * first name. */
static int
restore_link(const struct session *s, const struct bucket_item *item, int dir,
    const char *name, bool in_place, struct err *e)
{
	const struct bucket_choice run = { .is_number = true,
		.number = item->entry.facts.number };
	struct bucket_item first;
	int rc = bucket_find(s->state.dir, &run, item->m.target, &first, e);

	if (rc != 0)
		return err_prefix(e,
		    "%s was a hard link to what is still there (ln makes it "
		    "again)",
		    item->m.path);
	first.entry.path = item->m.path;
	rc = restore(s, &first, dir, name, in_place, e);
	bucket_item_release(&first);
	return rc;
}

int
restore_item(const struct session *s, const struct bucket_item *item, int dir,
    const char *name, bool in_place, struct err *e)
{
	return item->m.type == MANIFEST_HARDLINK
	    ? restore_link(s, item, dir, name, in_place, e)
	    : restore(s, item, dir, name, in_place, e);
}
