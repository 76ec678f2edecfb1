/* Restoring; runs in the applier. */
#include "client/restore.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include "client/apply.h"
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

/* A hard link is made again as a file of its own, with the metadata of its
 * first name. */
static int
as_file(const struct session *s, const struct bucket_item *item, int dir,
    const char *temp, struct err *e)
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
	rc = make_file(s, &first, dir, temp, e);
	bucket_item_release(&first);
	return rc;
}

static int
make(const struct session *s, const struct bucket_item *item, int dir,
    const char *temp, struct err *e)
{
	switch (item->m.type) {
	case MANIFEST_FILE:
		return make_file(s, item, dir, temp, e);
	case MANIFEST_HARDLINK:
		return as_file(s, item, dir, temp, e);
	default:
		return make_node(s, &item->m, dir, temp, e);
	}
}

static bool
is_dir_there(int dir, const char *name)
{
	struct err ignored = ERR_INIT;
	struct fsat_stat st;

	return fsat_stat(dir, name, &st, &ignored) == 0 && S_ISDIR(st.mode);
}

int
restore_item(const struct session *s, const struct bucket_item *item, int dir,
    const char *name, struct err *e)
{
	char id[APPLY_ID_BYTES], temp[TEMP_BYTES];
	struct err ignored = ERR_INIT;
	struct meta m;
	int rc;

	if (item->m.type == MANIFEST_DIR && is_dir_there(dir, name)) {
		rc = meta_of(s, &item->m, &m, e);
		return rc != 0 ? rc : meta_set_name(dir, name, &m, ~0u, e);
	}
	if ((rc = apply_new_id(id, e)) != 0)
		return rc;
	(void)snprintf(temp, sizeof(temp), PLAN_STAGE_PREFIX "%s", id);
	rc = make(s, item, dir, temp, e);
	if (rc == 0)
		rc = fsat_rename(dir, temp, dir, name, e);
	if (rc != 0 && fsat_remove_tree(dir, temp, &ignored) != 0)
		log_err(LOG_WARNING, "left behind", &ignored, NULL);
	return rc != 0 ? rc : fsat_fsync(dir, e);
}
