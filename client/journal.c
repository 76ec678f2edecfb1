/* The journal's file: written once, synced, read back to be carried out.
 *
 *   "pecia journal 1\n", u32 length + bytes of run id, head and applied record,
 *   then steps: u8 kind, u32 length + path, u32 length + stage, u64 inode,
 *   u32 bits, u8 type, u32 mode, u32 uid, u32 gid, u64 seconds, u32 nanoseconds,
 *   u32 length + xattr text; u8 0 ends them; 32 bytes SHA-256 of all before. */
#include "client/journal.h"

#include <errno.h>
#include <unistd.h>

#include "client/syncs.h"
#include "common/fsat.h"
#include "common/limits.h"

#define JOURNAL_MAGIC "pecia journal 1\n"
#define FIELD_MAX     (LIMIT_XATTRS * (size_t)LIMIT_XATTR_BYTES)
#define WRITE_BYTES   ((size_t)256 * 1024)

void
journal_header_init(struct journal_header *h)
{
	h->run_id[0] = '\0';
	buf_init(&h->head, LIMIT_HEAD_BYTES);
	buf_init(&h->applied, LIMIT_CONFIG_BYTES);
}

void
journal_header_release(struct journal_header *h)
{
	buf_release(&h->head);
	buf_release(&h->applied);
}

/* ---- stages ---- */

int
journal_write_stages(int state, const struct plan *p, struct err *e)
{
	char stage[PLAN_STAGE_BYTES];
	struct buf b;
	int rc = 0;

	buf_init(&b, SIZE_MAX / 2);
	for (size_t i = 0; i < p->item_count && rc == 0; i++) {
		if (plan_item(p, i)->root != i)
			continue;
		rc = plan_stage_path(p, &p->items[i], stage, sizeof(stage), e);
		if (rc == 0)
			buf_add(&b, stage, strlen(stage) + 1);
	}
	if (rc == 0)
		rc = buf_check(&b, "list of stages", e);
	if (rc == 0 && b.len > 0)
		rc = fsat_write_file(
		    state, JOURNAL_STAGES, 0600, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

static int
remove_missing_ok(int state, const char *name, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_unlink(state, name, &mine);

	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc != 0)
		*e = mine;
	return rc;
}

/* A damaged list must not lead to what is no stage. */
static int
check_stages(const struct buf *b, struct err *e)
{
	for (size_t at = 0; at < b->len;) {
		const char *path = (const char *)b->data + at;
		const char *slash = strrchr(path, '/');
		const char *name = slash == NULL ? path : slash + 1;
		size_t end = at + strlen(path);

		if (end == b->len ||
		    strncmp(name, PLAN_STAGE_PREFIX,
		        strlen(PLAN_STAGE_PREFIX)) != 0)
			return err_set(e, ERR_FORMAT,
			    "list of stages: damaged: %s is none", path);
		at = end + 1;
	}
	return 0;
}

/* Notes the file system that a path's directory is on. */
static int
will_sync(struct syncs *syncs, int root, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char dir[LIMIT_PATH_BYTES + 1];
	int fd = -1, rc;

	(void)snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 0 : (int)(slash - path), path);
	if ((rc = fsat_hold_dir(root, dir, &fd, e)) != 0)
		return rc;
	rc = syncs_add(syncs, fd, e);
	close(fd);
	return rc;
}

/* Its directory may be gone, or be something else by now. */
static int
remove_stage(struct syncs *syncs, int root, const char *path, struct err *e)
{
	struct err mine = ERR_INIT;
	struct fsat_stat st;
	int rc = fsat_stat(root, path, &st, &mine);

	/* Asked first, for a file system that cannot be written. */
	if (rc == 0)
		rc = will_sync(syncs, root, path, &mine);
	if (rc == 0)
		rc = fsat_remove_tree(root, path, &mine);
	if (rc == 0 || rc == ERR_NOT_FOUND || mine.sys == ENOTDIR ||
	    mine.sys == ELOOP)
		return 0;
	*e = mine;
	return rc;
}

int
journal_undo_stages(int state, int root, struct err *e)
{
	struct syncs syncs = SYNCS_INIT;
	struct err mine = ERR_INIT;
	struct buf b;
	int rc;

	buf_init(&b, SIZE_MAX / 2);
	rc = fsat_read_file(state, JOURNAL_STAGES, SIZE_MAX / 4, &b, &mine);
	if (rc == ERR_NOT_FOUND) {
		rc = 0;
		goto out;
	}
	if (rc != 0) {
		*e = mine;
		goto out;
	}
	rc = check_stages(&b, e);
	for (size_t at = 0; at < b.len && rc == 0;
	     at += strlen((char *)b.data + at) + 1)
		rc = remove_stage(&syncs, root, (char *)b.data + at, e);
	/* A list that is gone before its stages would leave them for ever. */
	if (rc == 0)
		rc = syncs_all(&syncs, e);
	if (rc == 0)
		rc = remove_missing_ok(state, JOURNAL_STAGES, e);
out:
	syncs_release(&syncs);
	buf_release(&b);
	return rc;
}

/* ---- writing ---- */

struct writer {
	int fd;
	struct digest_state *hash;
	struct buf b;
};

static int
writer_flush(struct writer *w, struct err *e)
{
	int rc;

	if ((rc = buf_check(&w->b, "journal", e)) != 0)
		return rc;
	digest_add(w->hash, w->b.data, w->b.len);
	rc = fsat_write_all(w->fd, w->b.data, w->b.len, e);
	buf_clear(&w->b);
	return rc;
}

static void
put_field(struct buf *b, const void *data, size_t len)
{
	buf_add_u32(b, (uint32_t)len);
	if (len > 0)
		buf_add(b, data, len);
}

static void
put_text(struct buf *b, const char *s)
{
	put_field(b, s != NULL ? s : "", s != NULL ? strlen(s) : 0);
}

static int
put_step(struct writer *w, const struct journal_step *s, struct err *e)
{
	buf_add_byte(&w->b, (uint8_t)s->kind);
	put_text(&w->b, s->path);
	put_text(&w->b, s->stage);
	buf_add_u64(&w->b, s->ino);
	buf_add_u32(&w->b, s->bits);
	buf_add_byte(&w->b, s->type);
	buf_add_u32(&w->b, s->mode);
	buf_add_u32(&w->b, s->uid);
	buf_add_u32(&w->b, s->gid);
	buf_add_u64(&w->b, (uint64_t)s->mtime.tv_sec);
	buf_add_u32(&w->b, (uint32_t)s->mtime.tv_nsec);
	put_text(&w->b, s->xattrs);
	return w->b.len < WRITE_BYTES ? 0 : writer_flush(w, e);
}

static int
put_renames(struct writer *w, int root, const struct plan *p, struct err *e)
{
	char stage[PLAN_STAGE_BYTES];
	struct fsat_stat st;
	int rc;

	for (size_t i = 0; i < p->item_count; i++) {
		const struct plan_item *item = plan_item(p, i);
		struct journal_step s = { .kind = JOURNAL_RENAME,
			.path = item->path,
			.stage = stage };

		if (item->root != i)
			continue;
		rc = plan_stage_path(p, item, stage, sizeof(stage), e);
		if (rc != 0)
			return rc;
		if (item->op == PLAN_EXCHANGE) {
			if ((rc = fsat_stat(root, s.stage, &st, e)) != 0)
				return rc;
			s.kind = JOURNAL_EXCHANGE;
			s.ino = st.ino;
		}
		if ((rc = put_step(w, &s, e)) != 0)
			return rc;
	}
	return 0;
}

static int
put_deletes(struct writer *w, const struct plan *p, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->delete_count && rc == 0; i++) {
		struct journal_step s = { .path = plan_deletion(p, i)->path };

		s.kind = p->deletes[i].is_dir ? JOURNAL_RMDIR : JOURNAL_UNLINK;
		if (!p->deletes[i].inside)
			rc = put_step(w, &s, e);
	}
	return rc;
}

static int
put_meta(struct writer *w, const struct plan *p, struct err *e)
{
	int rc = 0;

	/* Backwards: a directory's time is set after its children's. */
	for (size_t i = p->item_count; i-- > 0 && rc == 0;) {
		const struct plan_item *item = plan_item(p, i);
		struct journal_step s = { .kind = JOURNAL_META,
			.path = item->path,
			.ino = item->ino,
			.bits = item->bits,
			.type = item->type,
			.mode = item->mode,
			.uid = item->uid,
			.gid = item->gid,
			.mtime = item->mtime,
			.xattrs = item->xattrs };

		if (item->op == PLAN_META)
			rc = put_step(w, &s, e);
	}
	return rc;
}

static int
put_touches(struct writer *w, const struct plan *p, struct err *e)
{
	int rc = 0;

	for (size_t i = p->touch_count; i-- > 0 && rc == 0;) {
		struct journal_step s = { .kind = JOURNAL_TIME,
			.path = p->touches[i].path,
			.mtime = p->touches[i].mtime };

		rc = put_step(w, &s, e);
	}
	return rc;
}

static int
put_leftovers(struct writer *w, const struct plan *p, struct err *e)
{
	char stage[PLAN_STAGE_BYTES];
	int rc = 0;

	for (size_t i = 0; i < p->item_count && rc == 0; i++) {
		const struct plan_item *item = plan_item(p, i);
		struct journal_step s = { .kind = JOURNAL_LEFTOVER,
			.path = item->path,
			.stage = stage };

		if (item->op != PLAN_EXCHANGE || item->root != i)
			continue;
		rc = plan_stage_path(p, item, stage, sizeof(stage), e);
		if (rc == 0)
			rc = put_step(w, &s, e);
	}
	return rc;
}

/* Steps that are taken again find the flags that the last ones set. */
static int
put_flags_off(struct writer *w, const struct plan *p, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->lift_count && rc == 0; i++) {
		struct journal_step s = { .kind = JOURNAL_FLAGS,
			.path = p->lifts[i].path,
			.ino = p->lifts[i].ino };

		rc = put_step(w, &s, e);
	}
	return rc;
}

static int
put_staged_flags(
    struct writer *w, int root, const struct plan *p, struct err *e)
{
	char stage[PLAN_STAGE_BYTES];
	struct fsat_stat st;
	int rc = 0;

	/* Backwards: nothing below an immutable directory can be reached. */
	for (size_t i = p->item_count; i-- > 0 && rc == 0;) {
		const struct plan_item *item = plan_item(p, i);
		struct journal_step s = { .kind = JOURNAL_FLAGS,
			.path = item->path,
			.bits = item->flags & MANIFEST_CHATTR };

		if (s.bits == 0 || item->root == PLAN_NO_ROOT)
			continue;
		rc = plan_stage_path(p, item, stage, sizeof(stage), e);
		if (rc == 0)
			rc = fsat_stat(root, stage, &st, e);
		if (rc != 0)
			break;
		s.ino = st.ino;
		rc = put_step(w, &s, e);
	}
	return rc;
}

/* Modes and flags of what stays: as the release wants them, or as they were. */
static int
put_lifted(struct writer *w, const struct plan *p, struct err *e)
{
	int rc = 0;

	for (size_t i = p->lift_count; i-- > 0 && rc == 0;) {
		const struct plan_lift *l = &p->lifts[i];
		const struct plan_item *item = plan_find(p, l->path);
		struct journal_step s = { .path = l->path, .ino = l->ino };

		s.mode = item != NULL ? item->mode : l->mode;
		s.bits =
		    item != NULL ? item->flags & MANIFEST_CHATTR : l->flags;
		s.kind = JOURNAL_MODE;
		if (l->mode != 0)
			rc = put_step(w, &s, e);
		s.kind = JOURNAL_FLAGS;
		if (rc == 0 && s.bits != 0)
			rc = put_step(w, &s, e);
	}
	return rc;
}

static int
put_steps(struct writer *w, int root, const struct plan *p, struct err *e)
{
	int rc;

	if ((rc = put_flags_off(w, p, e)) != 0 ||
	    (rc = put_renames(w, root, p, e)) != 0 ||
	    (rc = put_leftovers(w, p, e)) != 0 ||
	    (rc = put_deletes(w, p, e)) != 0 || (rc = put_meta(w, p, e)) != 0 ||
	    (rc = put_touches(w, p, e)) != 0 ||
	    (rc = put_staged_flags(w, root, p, e)) != 0 ||
	    (rc = put_lifted(w, p, e)) != 0)
		return rc;
	buf_add_byte(&w->b, 0);
	return writer_flush(w, e);
}

int
journal_write(int state, int root, const struct journal_header *h,
    const struct plan *p, struct err *e)
{
	struct writer w = { .fd = -1 };
	struct err ignored = ERR_INIT;
	char temp[FSAT_TMP_BYTES] = "";
	struct digest sum;
	int rc;

	buf_init(&w.b, WRITE_BYTES + 2 * FIELD_MAX);
	if ((rc = digest_new(&w.hash, e)) != 0 ||
	    (rc = fsat_temporary(state, 0600, temp, &w.fd, e)) != 0)
		goto out;
	buf_add_str(&w.b, JOURNAL_MAGIC);
	put_text(&w.b, h->run_id);
	put_field(&w.b, h->head.data, h->head.len);
	put_field(&w.b, h->applied.data, h->applied.len);
	if ((rc = put_steps(&w, root, p, e)) != 0)
		goto out;
	digest_end(w.hash, &sum);
	if ((rc = fsat_write_all(w.fd, sum.b, sizeof(sum.b), e)) != 0 ||
	    (rc = fsat_fsync(w.fd, e)) != 0 ||
	    (rc = fsat_close(&w.fd, "journal", e)) != 0 ||
	    (rc = fsat_rename(state, temp, state, JOURNAL_NAME, e)))
		goto out;
	rc = fsat_fsync(state, e);
out:
	if (w.fd >= 0)
		close(w.fd);
	/* It may have filled what the next run needs. */
	if (rc != 0)
		(void)!fsat_unlink(state, temp, &ignored);
	digest_free(w.hash);
	buf_release(&w.b);
	return rc != 0 ? err_prefix(e, "journal") : 0;
}

/* ---- reading ---- */

struct journal {
	int fd;
	struct buf b; /* read and not yet consumed from `at` */
	size_t at;
	struct buf fields; /* texts of the current step, NUL-ended */
};

static int
damaged(struct err *e)
{
	return err_set(e, ERR_FORMAT,
	    "journal: damaged; to go on without finishing that "
	    "run, remove it from the state directory");
}

/* Makes `len` bytes available at b.data + at. */
static int
need(struct journal *j, size_t len, struct err *e)
{
	size_t got;
	int rc;

	if (j->b.len - j->at >= len)
		return 0;
	if (j->at > 0) {
		memmove(j->b.data, j->b.data + j->at, j->b.len - j->at);
		j->b.len -= j->at;
		j->at = 0;
	}
	while (j->b.len < len) {
		uint8_t *p = buf_reserve(&j->b, WRITE_BYTES);

		if (p == NULL)
			return buf_check(&j->b, "journal", e);
		rc = fsat_read_some(j->fd, p, WRITE_BYTES, &got, e);
		if (rc != 0)
			return rc;
		if (got == 0)
			return damaged(e);
		buf_commit(&j->b, got);
	}
	return 0;
}

static int
get_number(struct journal *j, size_t bytes, uint64_t *v, struct err *e)
{
	int rc;

	if ((rc = need(j, bytes, e)) != 0)
		return rc;
	*v = 0;
	for (size_t i = 0; i < bytes; i++)
		*v = *v << 8 | j->b.data[j->at + i];
	j->at += bytes;
	return 0;
}

static int
get_field(struct journal *j, struct buf *out, struct err *e)
{
	uint64_t len;
	int rc;

	if ((rc = get_number(j, 4, &len, e)) != 0)
		return rc;
	if (len > FIELD_MAX)
		return damaged(e);
	if ((rc = need(j, (size_t)len, e)) != 0)
		return rc;
	if (len > 0)
		buf_add(out, j->b.data + j->at, (size_t)len);
	j->at += (size_t)len;
	return buf_check(out, "journal", e);
}

/* The offset of a text in j->fields. */
static int
get_text(struct journal *j, size_t *offset, struct err *e)
{
	int rc;

	*offset = j->fields.len;
	if ((rc = get_field(j, &j->fields, e)) != 0)
		return rc;
	buf_add_byte(&j->fields, '\0');
	return buf_check(&j->fields, "journal", e);
}

static int
check_digest(int fd, struct err *e)
{
	struct digest want, got;
	off_t size = lseek(fd, 0, SEEK_END);
	struct digest_state *hash = NULL;
	uint8_t block[65536];
	int rc;

	if (size < DIGEST_BYTES + (off_t)sizeof(JOURNAL_MAGIC))
		return damaged(e);
	if ((rc = digest_new(&hash, e)) != 0)
		return rc;
	size -= DIGEST_BYTES;
	for (off_t at = 0; at < size;) {
		size_t most = size - at < (off_t)sizeof(block)
		    ? (size_t)(size - at)
		    : sizeof(block);
		ssize_t n = pread(fd, block, most, at);

		if (n <= 0) {
			rc = n < 0 ? err_sys(e, "journal") : damaged(e);
			goto out;
		}
		digest_add(hash, block, (size_t)n);
		at += n;
	}
	digest_end(hash, &got);
	if (pread(fd, want.b, DIGEST_BYTES, size) != DIGEST_BYTES ||
	    !digest_equal(&want, &got))
		rc = damaged(e);
	if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
		rc = err_sys(e, "journal");
out:
	digest_free(hash);
	return rc;
}

static int
get_header(struct journal *j, struct journal_header *h, struct err *e)
{
	const size_t magic = strlen(JOURNAL_MAGIC);
	struct buf id;
	int rc;

	if ((rc = need(j, magic, e)) != 0)
		return rc;
	if (memcmp(j->b.data, JOURNAL_MAGIC, magic) != 0)
		return damaged(e);
	j->at = magic;
	buf_init(&id, sizeof(h->run_id) - 1);
	rc = get_field(j, &id, e);
	if (rc == 0)
		(void)snprintf(
		    h->run_id, sizeof(h->run_id), "%s", buf_str(&id));
	buf_release(&id);
	if (rc == 0)
		rc = get_field(j, &h->head, e);
	return rc != 0 ? rc : get_field(j, &h->applied, e);
}

int
journal_open(
    int state, struct journal **out, struct journal_header *h, struct err *e)
{
	struct journal *j = calloc(1, sizeof(*j));
	int rc;

	if (j == NULL)
		return err_memory(e);
	j->fd = -1;
	buf_init(&j->b, 4 * FIELD_MAX);
	buf_init(&j->fields, 4 * FIELD_MAX);
	rc = fsat_open_file(state, JOURNAL_NAME, &j->fd, e);
	if (rc == 0)
		rc = check_digest(j->fd, e);
	if (rc == 0)
		rc = get_header(j, h, e);
	if (rc != 0) {
		journal_free(j);
		return rc;
	}
	*out = j;
	return 0;
}

struct raw_step {
	size_t path, stage, xattrs; /* offsets in fields */
	uint64_t ino, bits, type, mode, uid, gid, sec, nsec;
};

static int
get_raw(struct journal *j, struct raw_step *r, struct err *e)
{
	int rc;

	if ((rc = get_text(j, &r->path, e)) != 0 ||
	    (rc = get_text(j, &r->stage, e)) != 0 ||
	    (rc = get_number(j, 8, &r->ino, e)) != 0 ||
	    (rc = get_number(j, 4, &r->bits, e)) != 0 ||
	    (rc = get_number(j, 1, &r->type, e)) != 0 ||
	    (rc = get_number(j, 4, &r->mode, e)) != 0 ||
	    (rc = get_number(j, 4, &r->uid, e)) != 0 ||
	    (rc = get_number(j, 4, &r->gid, e)) != 0 ||
	    (rc = get_number(j, 8, &r->sec, e)) != 0 ||
	    (rc = get_number(j, 4, &r->nsec, e)) != 0)
		return rc;
	return get_text(j, &r->xattrs, e);
}

int
journal_next(
    struct journal *j, struct journal_step *step, bool *more, struct err *e)
{
	struct raw_step r;
	const char *texts;
	uint64_t kind;
	int rc;

	if ((rc = get_number(j, 1, &kind, e)) != 0)
		return rc;
	*more = kind != 0;
	if (kind == 0)
		return 0;
	if (kind > JOURNAL_MODE)
		return damaged(e);
	buf_clear(&j->fields);
	if ((rc = get_raw(j, &r, e)) != 0)
		return rc;
	texts = buf_str(&j->fields);
	*step = (struct journal_step){
		.kind = (enum journal_kind)kind,
		.path = texts + r.path,
		.stage = texts + r.stage,
		.ino = r.ino,
		.bits = (unsigned)r.bits,
		.type = (uint8_t)r.type,
		.mode = (uint32_t)r.mode,
		.uid = (uint32_t)r.uid,
		.gid = (uint32_t)r.gid,
		.mtime = { (time_t)r.sec, (long)r.nsec },
		.xattrs = texts + r.xattrs,
	};
	return 0;
}

void
journal_free(struct journal *j)
{
	if (j == NULL)
		return;
	if (j->fd >= 0)
		close(j->fd);
	buf_release(&j->b);
	buf_release(&j->fields);
	free(j);
}

int
journal_remove(int state, struct err *e)
{
	int rc = remove_missing_ok(state, JOURNAL_NAME, e);

	if (rc == 0)
		rc = remove_missing_ok(state, JOURNAL_STAGES, e);
	return rc != 0 ? rc : fsat_fsync(state, e);
}
