/* A change to a tree, step by step. */
#include "tests/change.h"

#include <check.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/lift.h"
#include "client/probe.h"
#include "common/fsat.h"

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

const struct spec change_before[] = {
	D("."),
	F("attr", "1", .xattr = "old"),
	F("busy/a", "1"),
	F("busy/old", "1"),
	D("busy"),
	F("content", "old"),
	D("dir-meta", .mode = 0700),
	F("dir-meta/f", "1"),
	F("dir-to-file/a/b", "x"),
	F("dir-to-file/c", "x"),
	F("dir-to-link/x", "x"),
	P("fifo-to-file"),
	F("file-to-dir", "x"),
	F("gone", "x"),
	F("gone-dir/x/y", "x"),
	F("gone-dir/z", "x"),
	D("group"),
	F("group/1", "g"),
	H("group/2", "group/1"),
	H("group/3", "group/1"),
	L("link", "a"),
	L("link-to-dir", "same"),
	F("meta", "1"),
	D("quiet"),
	F("quiet/a", "1"),
	F("same", "1"),
	END,
};

const struct spec change_after[] = {
	D(".", .sec = 77),
	F("-dash", "x"),
	F("attr", "1", .xattr = "new"),
	F("attr-new", "1", .xattr = "v"),
	D("busy", .sec = 9, .nsec = 999999999),
	F("busy/a", "1"),
	F("busy/b", "1"),
	F("content", "new", .nsec = 1),
	D("dir-meta", .mode = 0750, .sec = 8),
	F("dir-meta/f", "2"),
	F("dir-to-file", "now a file"),
	L("dir-to-link", "same"),
	F("fifo-to-file", "1"),
	D("file-to-dir", .mode = 0555, .sec = 3),
	D("file-to-dir/d", .mode = 01777),
	F("file-to-dir/d/e", ""),
	F("file-to-dir/f", "deep", .sec = -5),
	D("group"),
	F("group/1", "G"),
	H("group/2", "group/1"),
	H("group/3", "group/1"),
	L("link", "b"),
	D("link-to-dir"),
	L("link-to-dir/l", "x", .sec = 12),
	F("meta", "1", 0600, .sec = 5, .nsec = 5),
	D("new", .mode = 02755),
	F("new/again", "the same content twice"),
	F("new/empty", "", 0400),
	P("new/p", .mode = 0622),
	F("new/setuid", "s", 04755),
	D("new/sub", .mode = 0700),
	F("new/sub/copy", "the same content twice"),
	H("new/sub/hard", "content"),
	D("quiet"),
	F("quiet/a", "1"),
	F("same", "1"),
	H("zlink", "same"),
	END,
};

static int
open_part(struct change *c, const char *name)
{
	struct err e = ERR_INIT;
	int fd = -1;

	OK(fsat_mkdir(c->top.fd, name, 0755, &e));
	OK(fsat_open_dir(c->top.fd, name, &fd, &e));
	return fd;
}

void
change_begin(struct change *c, const struct spec *before,
    const struct source *after, const struct source *was)
{
	struct compare_totals totals;
	struct compare_options o = { 0 };
	struct err e = ERR_INIT;
	struct wanted listed;

	umask(022);
	scratch_make(&c->top);
	c->root = open_part(c, "root");
	c->state = open_part(c, "state");
	c->after = after->specs;
	specs_make(c->root, before);
	wanted_open(&c->wanted, after, 1);
	plan_init(&c->plan);
	o.root = c->root;
	o.want = c->wanted.layer;
	if (was != NULL) {
		wanted_open(&listed, was, 1);
		o.was = listed.layer;
	}
	OK(compare_run(&o, plan_add, &c->plan, &totals, &e));
	if (was != NULL)
		wanted_close(&listed);
	wanted_rewind(&c->wanted);
	OK(plan_finish(&c->plan, c->wanted.layer, CHANGE_RUN, &e));
}

void
change_begin_all(struct change *c)
{
	static const struct source after = { .specs = change_after };

	change_begin(c, change_before, &after, NULL);
}

static const char *
content_of(const struct change *c, const char *path)
{
	for (const struct spec *s = c->after; s->type != 0; s++)
		if (strcmp(s->path, path) == 0)
			return s->text != NULL ? s->text : "";
	ck_abort_msg("%s: not listed", path);
}

/* A staged file with the same content. */
static const struct plan_item *
find_copy(const struct change *c, const struct plan_item *of)
{
	for (size_t i = 0; i < c->plan.item_count; i++) {
		const struct plan_item *item = &c->plan.items[i];

		if (item != of && item->type == MANIFEST_FILE &&
		    item->fetched && item->size_bytes > 0 &&
		    digest_equal(&item->digest, &of->digest))
			return item;
	}
	return NULL;
}

static void
fill(struct change *c, struct stage *s, struct plan_item *item)
{
	const struct plan_item *from = find_copy(c, item);
	const char *text = content_of(c, item->path);
	struct err e = ERR_INIT;

	if (from != NULL) {
		OK(stage_file_copy(s, from, item, &e));
		return;
	}
	/* A first attempt is given up. */
	OK(stage_file_begin(s, item, &e));
	OK(stage_file_write(s, "wrong", 5, &e));
	OK(stage_file_abandon(s, &e));
	OK(stage_file_abandon(s, &e));
	OK(stage_file_begin(s, item, &e));
	for (; *text != '\0'; text++)
		OK(stage_file_write(s, text, 1, &e));
	OK(stage_file_end(s, &e));
}

void
change_stage(struct change *c)
{
	struct syncs syncs = SYNCS_INIT;
	struct stage *s = NULL;
	struct err e = ERR_INIT;

	OK(lift_off(c->state, c->root, &c->plan, &e));
	OK(probe_plan(c->root, &c->plan, &e));
	OK(journal_write_stages(c->state, &c->plan, &e));
	OK(stage_new(c->root, &c->plan, &s, &e));
	OK(stage_frame(s, &e));
	for (size_t i = 0; i < c->plan.item_count; i++) {
		struct plan_item *item = &c->plan.items[i];

		if (item->type == MANIFEST_FILE && item->root != PLAN_NO_ROOT &&
		    item->size_bytes > 0)
			fill(c, s, item);
	}
	OK(stage_finish(s, &syncs, &e));
	OK(stage_settle(s, &e));
	OK(syncs_all(&syncs, &e));
	syncs_release(&syncs);
	stage_free(s);
}

void
change_journal(struct change *c)
{
	struct journal_header h;
	struct err e = ERR_INIT;

	journal_header_init(&h);
	(void)snprintf(h.run_id, sizeof(h.run_id), "%s", CHANGE_RUN);
	buf_add_str(&h.head, "the head");
	buf_add_str(&h.applied, "what is applied");
	OK(journal_write(c->state, c->root, &h, &c->plan, &e));
	journal_header_release(&h);
}

int
change_commit(struct change *c, int state, struct err *e)
{
	struct syncs syncs = SYNCS_INIT;
	struct journal_header h;
	struct journal *j = NULL;
	int rc;

	journal_header_init(&h);
	rc = journal_open(state, &j, &h, e);
	if (rc == 0) {
		ck_assert_str_eq(h.run_id, CHANGE_RUN);
		ck_assert_str_eq(buf_str(&h.head), "the head");
		ck_assert_str_eq(buf_str(&h.applied), "what is applied");
		rc = commit_steps(c->root, j, &syncs, NULL, e);
	}
	if (rc == 0)
		rc = syncs_all(&syncs, e);
	syncs_release(&syncs);
	journal_free(j);
	journal_header_release(&h);
	return rc;
}

static void
pass_field(struct reader *r)
{
	const uint8_t *p;
	uint32_t len;

	ck_assert_int_eq(reader_u32(r, &len), 0);
	ck_assert_int_eq(reader_bytes(r, len, &p), 0);
}

/* Passes one step of a journal's text; false at their end. */
static bool
pass_step(struct reader *r)
{
	const uint8_t *p;
	uint8_t kind;

	ck_assert_int_eq(reader_u8(r, &kind), 0);
	if (kind == 0)
		return false;
	pass_field(r);
	pass_field(r);
	ck_assert_int_eq(reader_bytes(r, 8 + 4 + 1 + 4 + 4 + 4 + 8 + 4, &p), 0);
	pass_field(r);
	return true;
}

bool
change_cut_journal(int from, int to, size_t k)
{
	struct err e = ERR_INIT;
	struct digest sum;
	struct reader r;
	struct buf b;
	const uint8_t *p;
	bool more = true;

	buf_init(&b, 1 << 20);
	OK(fsat_read_file(from, JOURNAL_NAME, 1 << 20, &b, &e));
	reader_init(&r, b.data, b.len);
	ck_assert_int_eq(reader_bytes(&r, strlen("pecia journal 1\n"), &p), 0);
	pass_field(&r);
	pass_field(&r);
	pass_field(&r);
	for (; k > 0 && more; k--)
		more = pass_step(&r);
	if (more) {
		b.len = r.pos;
		buf_add_byte(&b, 0);
		digest_of(b.data, b.len, &sum);
		buf_add(&b, sum.b, sizeof(sum.b));
		OK(fsat_write_file(to, JOURNAL_NAME, 0600, b.data, b.len, &e));
	}
	buf_release(&b);
	return more;
}

void
change_make(struct change *c)
{
	struct err e = ERR_INIT;

	change_stage(c);
	change_journal(c);
	OK(change_commit(c, c->state, &e));
	OK(journal_remove(c->state, &e));
}

void
change_end(struct change *c)
{
	/* Who is not root needs the right to remove. */
	for (const struct spec *s = c->after; s->type != 0; s++)
		if (s->type == 'd')
			(void)!fchmodat(c->root, s->path, 0755, 0);
	plan_release(&c->plan);
	wanted_close(&c->wanted);
	close(c->root);
	close(c->state);
	scratch_remove(&c->top);
}

const struct plan_item *
change_item(const struct change *c, const char *path)
{
	const struct plan_item *item = plan_find(&c->plan, path);

	ck_assert_msg(item != NULL, "%s: not planned", path);
	return item;
}
