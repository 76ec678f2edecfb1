/* Staging; runs in the applier.  Nothing here touches a name that anybody
 * reads: a crash leaves names that the list of stages knows. */
#include "client/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "client/meta.h"
#include "client/stage_small.h"
#include "common/dirstack.h"
#include "common/fsat.h"
#include "common/fscalls.h"
#include "common/limits.h"
#include "common/write_behind.h"
#include "transcripts/manifest.h"

#define COPY_BYTES 65536
/* So long a file is on its way to the disk while the next ones are made. */
#define WRITE_OUT_BYTES ((uint64_t)1024 * 1024)

struct stage {
	int root;
	struct plan *plan;
	struct dirstack *dirs, *firsts; /* of stages; of what is linked to */
	struct syncs syncs;
	struct stage_small *small;
	struct write_behind *behind; /* of the root's file system */
	struct plan_item *item;      /* the file being written */
	bool is_small;               /* it is gathered: there is no fd */
	int fd;
	uint64_t at;                 /* its bytes so far, when it has holes */
	char path[PLAN_STAGE_BYTES]; /* of the stage being made */
};

int
stage_new(int root, struct plan *plan, struct stage **out, struct err *e)
{
	struct stage *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return err_memory(e);
	s->root = root;
	s->plan = plan;
	s->fd = -1;
	if ((rc = dirstack_new(root, &s->dirs, e)) != 0 ||
	    (rc = dirstack_new(root, &s->firsts, e)) != 0 ||
	    (rc = stage_small_new(plan, &s->small, e)) != 0 ||
	    (rc = write_behind_new(root, &s->behind, e)) != 0) {
		stage_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

void
stage_free(struct stage *s)
{
	if (s == NULL)
		return;
	if (s->fd >= 0)
		close(s->fd);
	stage_small_free(s->small);
	write_behind_free(s->behind);
	dirstack_free(s->dirs);
	dirstack_free(s->firsts);
	syncs_release(&s->syncs);
	free(s);
}

/* Held directory and name of the item's stage. */
static int
place_of(struct stage *s, const struct plan_item *item, int *dir,
    const char **name, struct err *e)
{
	int rc;

	rc = plan_stage_path(s->plan, item, s->path, sizeof(s->path), e);
	if (rc == 0)
		rc = dirstack_at(s->dirs, s->path, dir, name, e);
	return rc != 0 ? rc : syncs_follow(&s->syncs, s->dirs, *dir, e);
}

/* Stages have names that nobody knows. */
static int
say_path(int rc, const struct plan_item *item, struct err *e)
{
	return rc != 0 ? err_prefix(e, "%s", item->path) : 0;
}

static bool
is_staged(const struct plan_item *item)
{
	return item->root != PLAN_NO_ROOT;
}

static uint32_t
node_type(uint8_t type)
{
	switch (type) {
	case MANIFEST_FIFO:
		return S_IFIFO;
	case MANIFEST_BLOCK:
		return S_IFBLK;
	default:
		return S_IFCHR;
	}
}

static int
make_special(struct stage *s, const struct plan_item *item, struct err *e)
{
	struct meta m = meta_of_item(item);
	const char *name;
	int dir, rc;

	if ((rc = place_of(s, item, &dir, &name, e)) != 0)
		return rc;
	switch (item->type) {
	case MANIFEST_DIR: /* metadata come when its children are there */
		return fsat_mkdir(dir, name, 0700, e);
	case MANIFEST_SYMLINK:
		rc = fsat_symlink(item->target, dir, name, e);
		break;
	default:
		rc = fsat_mknod(
		    dir, name, node_type(item->type) | 0600, item->rdev, e);
	}
	return rc != 0 ? rc : meta_set_name(dir, name, &m, ~0u, e);
}

int
stage_frame(struct stage *s, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < s->plan->item_count && rc == 0; i++) {
		struct plan_item *item = plan_item(s->plan, i);

		if (!is_staged(item) || item->type == MANIFEST_HARDLINK)
			continue;
		if (item->type != MANIFEST_FILE)
			rc = say_path(make_special(s, item, e), item, e);
		else if (item->size_bytes == 0 &&
		    (rc = stage_file_begin(s, item, e)) == 0)
			rc = stage_file_end(s, e);
	}
	return rc;
}

static int
begin_file(
    struct stage *s, struct plan_item *item, bool is_small, struct err *e)
{
	const char *name;
	int dir, rc;

	rc = place_of(s, item, &dir, &name, e);
	if (rc != 0)
		return say_path(rc, item, e);
	if (is_small)
		rc = stage_small_begin(
		    s->small, dir, dirstack_moves(s->dirs), e);
	else
		rc = say_path(fsat_create(dir, name, 0600, &s->fd, e), item, e);
	if (rc != 0)
		return rc;
	s->item = item;
	s->is_small = is_small;
	s->at = 0;
	return 0;
}

int
stage_file_begin(struct stage *s, struct plan_item *item, struct err *e)
{
	return begin_file(s, item, stage_small_takes(item), e);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static bool
has_holes(const struct plan_item *item)
{
	return (item->flags & MANIFEST_SPARSE) != 0;
}

/* Writes what is not zero of each block that data are part of: what is left
 * out of a block reads as zeros too. */
static int
write_holes(struct stage *s, const uint8_t *p, size_t len, struct err *e)
{
	int rc = 0;

	while (len > 0 && rc == 0) {
		size_t n =
		    (size_t)(MANIFEST_HOLE_BYTES - s->at % MANIFEST_HOLE_BYTES);

		n = n < len ? n : len;
		rc = is_zero(p, n) ? fsat_skip(s->fd, n, e)
		                   : fsat_write_all(s->fd, p, n, e);
		s->at += n;
		p += n;
		len -= n;
	}
	return rc;
}

int
stage_file_write(struct stage *s, const void *data, size_t len, struct err *e)
{
	int rc;

	if (s->is_small)
		rc = stage_small_write(s->small, data, len, e);
	else
		rc = has_holes(s->item) ? write_holes(s, data, len, e)
		                        : fsat_write_all(s->fd, data, len, e);
	return rc != 0 ? err_prefix(e, "%s", s->item->path) : 0;
}

static int
end_file(struct stage *s, struct err *e)
{
	const struct meta m = meta_of_item(s->item);
	int rc;

	if (has_holes(s->item) && fsat_end_hole(s->fd, e) != 0)
		return err_prefix(e, "%s", s->item->path);
	if (s->item->size_bytes >= WRITE_OUT_BYTES)
		write_behind_file(s->behind, s->fd);
	rc = meta_set_fd(s->fd, &m, s->item->path, e);
	return rc != 0 ? rc : fsat_close(&s->fd, s->item->path, e);
}

int
stage_file_end(struct stage *s, struct err *e)
{
	int rc = 0;

	if (s->is_small)
		stage_small_end(s->small, s->item);
	else
		rc = end_file(s, e);
	if (rc != 0)
		return rc;
	write_behind_note(s->behind, s->item->size_bytes);
	s->item->fetched = true;
	s->item = NULL;
	return 0;
}

int
stage_file_abandon(struct stage *s, struct err *e)
{
	const struct plan_item *item = s->item;
	const char *name;
	int dir, rc;

	if (item == NULL)
		return 0;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->item = NULL;
	if (s->is_small)
		return 0;
	rc = place_of(s, item, &dir, &name, e);
	return rc != 0 ? rc : fsat_unlink(dir, name, e);
}

/* What the kernel says where it cannot copy between these two. */
static bool
is_no_copy(int sys)
{
	return sys == EXDEV || sys == EINVAL || sys == ENOSYS ||
	    sys == EOPNOTSUPP || sys == EPERM;
}

/* One piece by hand; *n is 0 at the end. */
static int
copy_piece(int from, int to, size_t most, size_t *n, struct err *e)
{
	uint8_t piece[COPY_BYTES];
	int rc;

	rc = fsat_read_some(
	    from, piece, most < sizeof(piece) ? most : sizeof(piece), n, e);
	return rc != 0 ? rc : fsat_write_all(to, piece, *n, e);
}

int
stage_copy_content(
    int from, int to, uint64_t len, const char *path, struct err *e)
{
	bool in_kernel = true;
	int rc = 0;

	while (len > 0 && rc == 0) {
		size_t most = len < (1u << 30) ? (size_t)len : 1u << 30, got;
		ssize_t n = -1;

		if (in_kernel)
			n = fscalls()->copy_file_range(
			    from, NULL, to, NULL, most, 0);
		if (n < 0 && in_kernel && errno == EINTR)
			continue;
		if (n < 0 && in_kernel && !is_no_copy(errno))
			return err_sys(e, "%s: copy", path);
		in_kernel = n >= 0;
		got = in_kernel ? (size_t)n : 0;
		if (!in_kernel)
			rc = copy_piece(from, to, most, &got, e);
		if (rc == 0 && got == 0)
			rc = err_set(e, ERR_CHANGED, "staged copy is short");
		len -= got;
	}
	return rc != 0 ? err_prefix(e, "%s", path) : 0;
}

/* By hand, as the kernel of most file systems would fill the holes. */
static int
copy_with_holes(struct stage *s, int from, struct err *e)
{
	uint8_t piece[COPY_BYTES];
	uint64_t left = s->item->size_bytes;
	size_t got = 1;
	int rc = 0;

	while (rc == 0 && left > 0 && got > 0) {
		rc = fsat_read_some(from, piece,
		    left < sizeof(piece) ? (size_t)left : sizeof(piece), &got,
		    e);
		if (rc == 0 && got > 0)
			rc = stage_file_write(s, piece, got, e);
		left -= got;
	}
	return rc != 0 || left == 0
	    ? rc
	    : err_set(
	          e, ERR_CHANGED, "%s: staged copy is short", s->item->path);
}

int
stage_file_copy(struct stage *s, const struct plan_item *from,
    struct plan_item *item, struct err *e)
{
	const char *name;
	int dir, fd = -1, rc;

	if ((rc = stage_small_settle(s->small, e)) != 0)
		return rc;
	/* The other stack: both files' directories stay held. */
	rc = plan_stage_path(s->plan, from, s->path, sizeof(s->path), e);
	if (rc == 0)
		rc = dirstack_at(s->firsts, s->path, &dir, &name, e);
	if (rc == 0)
		rc = fsat_open_file(dir, name, &fd, e);
	if (rc != 0)
		return rc;
	if ((rc = begin_file(s, item, false, e)) == 0)
		rc = has_holes(item) ? copy_with_holes(s, fd, e)
		                     : stage_copy_content(fd, s->fd,
		                           item->size_bytes, item->path, e);
	if (rc == 0)
		rc = stage_file_end(s, e);
	close(fd);
	return rc;
}

/* The first name is staged too, or stands in the live tree unchanged. */
static int
make_hardlink(struct stage *s, const struct plan_item *item, struct err *e)
{
	const struct plan_item *first = plan_find(s->plan, item->target);
	char from[PLAN_STAGE_BYTES];
	const char *name, *from_name;
	int dir, from_dir, rc;

	if (first != NULL && is_staged(first))
		rc = plan_stage_path(s->plan, first, from, sizeof(from), e);
	else
		rc = snprintf(from, sizeof(from), "%s", item->target) < 0;
	if (rc == 0)
		rc = place_of(s, item, &dir, &name, e);
	/* Staged, it may be deeper than one call reaches. */
	if (rc == 0)
		rc = dirstack_at(s->firsts, from, &from_dir, &from_name, e);
	if (rc == 0)
		rc = fsat_link(from_dir, from_name, dir, name, e);
	if (rc == ERR_SYS && e->sys == EXDEV)
		return err_set(e, ERR_UNSUPPORTED,
		    "hard link to %s, which is on another file system",
		    item->target);
	return rc;
}

static int
set_dir_meta(struct stage *s, const struct plan_item *item, struct err *e)
{
	struct meta m = meta_of_item(item);
	const char *name;
	int dir, rc;

	rc = place_of(s, item, &dir, &name, e);
	return rc != 0 ? rc : meta_set_name(dir, name, &m, ~0u, e);
}

int
stage_finish(struct stage *s, struct syncs *syncs, struct err *e)
{
	struct plan *p = s->plan;
	int rc = stage_small_settle(s->small, e);

	for (size_t i = 0; i < p->item_count && rc == 0; i++) {
		const struct plan_item *item = plan_item(p, i);

		if (is_staged(item) && item->type == MANIFEST_HARDLINK)
			rc = say_path(make_hardlink(s, item, e), item, e);
	}
	for (size_t i = p->item_count; i-- > 0 && rc == 0;) {
		const struct plan_item *item = plan_item(p, i);

		if (is_staged(item) && item->type == MANIFEST_DIR)
			rc = say_path(set_dir_meta(s, item, e), item, e);
	}
	if (rc != 0)
		return rc;
	*syncs = s->syncs;
	s->syncs = (struct syncs)SYNCS_INIT;
	return 0;
}

int
stage_settle(struct stage *s, struct err *e)
{
	return write_behind_settle(s->behind, e);
}
