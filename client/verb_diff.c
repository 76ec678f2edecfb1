/* `pecia diff`: what differs from the applied release, and how. */
#include <stdio.h>
#include <unistd.h>

#include "client/apply.h"
#include "client/bucket.h"
#include "client/operand.h"
#include "client/verbs.h"
#include "client/textdiff.h"
#include "client/tree.h"
#include "common/fsat.h"
#include "common/json.h"
#include "common/text.h"

#define LINE_MAX_BYTES ((size_t)1 << 20)
#define TIME_BYTES     48

/* ---- content of the release that is on this machine ---- */

/* A managed file with the same content, which does not differ itself. */
static int
open_managed(struct session *s, const struct plan *p,
    const struct digest *digest, int *fd, struct err *e)
{
	const struct layer_entry *entry;
	struct err ignored = ERR_INIT;
	struct tree *t = NULL;
	struct digest got;
	int rc = tree_open(&s->state, &s->was, s->was_profile, &t, e);

	while (rc == 0 && *fd < 0) {
		rc = layer_next(tree_layer(t), &entry, e);
		if (rc != 0 || entry == NULL)
			break;
		if (entry->m.type != MANIFEST_FILE ||
		    !digest_equal(&entry->m.digest, digest) ||
		    plan_find(p, entry->m.path) != NULL ||
		    fsat_open_file(s->root, entry->m.path, fd, &ignored) != 0)
			continue;
		if (digest_of_fd(*fd, UINT64_MAX, &got, NULL, &ignored) == 0 &&
		    digest_equal(&got, digest))
			break;
		close(*fd);
		*fd = -1;
	}
	tree_free(t);
	return rc;
}

/* *fd stays -1 where it is not here. */
static int
open_wanted(struct session *s, const struct plan *p,
    const struct digest *digest, int *fd, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = bucket_open_digest(s->state.dir, digest, fd, &mine);

	if (rc == 0)
		return 0;
	if (rc == ERR_NOT_FOUND)
		return open_managed(s, p, digest, fd, e);
	*e = mine;
	return rc;
}

static int
print_content(struct session *s, const struct plan *p,
    const struct plan_item *item, struct err *e)
{
	struct textdiff_side release = { -1, "release" }, here = { -1, "here" };
	struct err mine = ERR_INIT;
	int rc = open_wanted(s, p, &item->digest, &release.fd, e);

	if (rc != 0)
		return rc;
	if (release.fd < 0 && item->size_bytes > 0) {
		(void)puts("    the release's content is not on this machine");
		return 0;
	}
	rc = fsat_open_file(s->root, item->path, &here.fd, &mine);
	if (rc == 0)
		rc = textdiff_print(&release, &here, &mine);
	if (release.fd >= 0)
		close(release.fd);
	if (here.fd >= 0)
		close(here.fd);
	/* Gone meanwhile, there is nothing to show. */
	if (rc == 0 || (rc == ERR_NOT_FOUND && here.fd < 0))
		return 0;
	*e = mine;
	return rc;
}

/* ---- metadata ---- */

static void
time_text(char dst[TIME_BYTES], const struct timespec *t)
{
	char when[TEXT_TIME_BYTES];

	text_time(when, t->tv_sec);
	(void)snprintf(dst, TIME_BYTES, "%.19s.%09ldZ", when, t->tv_nsec);
}

static void
print_meta(const struct plan_item *item, const struct fsat_stat *st)
{
	char want[TIME_BYTES], have[TIME_BYTES];

	if ((item->bits & COMPARE_OWNER) != 0)
		(void)printf("    owner: %u in the release, %u here\n",
		    item->uid, st->uid);
	if ((item->bits & COMPARE_GROUP) != 0)
		(void)printf("    group: %u in the release, %u here\n",
		    item->gid, st->gid);
	if ((item->bits & COMPARE_MODE) != 0)
		(void)printf("    mode: %04o in the release, %04o here\n",
		    item->mode, st->mode & MANIFEST_MODE_MAX);
	if ((item->bits & COMPARE_MTIME) == 0)
		return;
	time_text(want, &item->mtime);
	time_text(have, &st->mtime);
	(void)printf("    time: %s in the release, %s here\n", want, have);
}

static int
print_target(
    const struct session *s, const struct plan_item *item, struct err *e)
{
	char have[LIMIT_PATH_BYTES + 1];
	struct buf line;
	int rc = fsat_readlink(s->root, item->path, have, sizeof(have), e);

	if (rc != 0)
		return rc;
	buf_init(&line, LINE_MAX_BYTES);
	buf_add_str(&line, "    target: ");
	text_escape(&line, item->target, strlen(item->target));
	buf_add_str(&line, " in the release, ");
	text_escape(&line, have, strlen(have));
	rc = buf_check(&line, "diff", e);
	if (rc == 0)
		(void)printf("%s here\n", buf_str(&line));
	buf_release(&line);
	return rc;
}

/* ---- one path ---- */

static int
print_item(struct session *s, const struct plan *p,
    const struct plan_item *item, struct err *e)
{
	struct err ignored = ERR_INIT;
	struct fsat_stat st;
	struct buf line;
	int rc;

	buf_init(&line, LINE_MAX_BYTES);
	plan_describe(&line, item);
	rc = buf_check(&line, "diff", e);
	if (rc == 0)
		(void)printf("%s\n", buf_str(&line));
	buf_release(&line);
	if (rc != 0 || fsat_stat(s->root, item->path, &st, &ignored) != 0)
		return rc;
	print_meta(item, &st);
	if ((item->bits & COMPARE_TARGET) != 0)
		rc = print_target(s, item, e);
	if (rc == 0 && (item->bits & COMPARE_CONTENT) != 0)
		rc = print_content(s, p, item, e);
	return rc;
}

static int
print_delete(const struct plan_delete *d, struct err *e)
{
	struct buf line;
	int rc;

	buf_init(&line, LINE_MAX_BYTES);
	buf_addf(&line, "delete %s ", d->is_dir ? "directory" : "file");
	text_escape(&line, d->path, strlen(d->path));
	rc = buf_check(&line, "diff", e);
	if (rc == 0)
		(void)printf("%s\n", buf_str(&line));
	buf_release(&line);
	return rc;
}

static struct json *
item_json(const struct session *s, const struct plan_item *item)
{
	struct json *j = json_object_new(), *want, *have;
	struct err ignored = ERR_INIT;
	char text[TIME_BYTES];
	struct fsat_stat st;

	json_set_string(j, "path", item->path);
	json_set_string(
	    j, "action", item->op == PLAN_CREATE ? "create" : "change");
	json_set_bool(
	    j, "content_differs", (item->bits & COMPARE_CONTENT) != 0);
	if (item->type == MANIFEST_HARDLINK ||
	    fsat_stat(s->root, item->path, &st, &ignored) != 0)
		return j;
	want = json_object_new();
	have = json_object_new();
	json_set_u64(want, "uid", item->uid);
	json_set_u64(have, "uid", st.uid);
	json_set_u64(want, "gid", item->gid);
	json_set_u64(have, "gid", st.gid);
	json_set_u64(want, "mode", item->mode);
	json_set_u64(have, "mode", st.mode & MANIFEST_MODE_MAX);
	time_text(text, &item->mtime);
	json_set_string(want, "time", text);
	time_text(text, &st.mtime);
	json_set_string(have, "time", text);
	json_set_child(j, "release", want);
	json_set_child(j, "here", have);
	return j;
}

/* ---- all of them ---- */

static int
print_json(const struct session *s, const struct plan *p, const char *top,
    struct err *e)
{
	struct json *list = json_array_new();
	int rc;

	for (size_t i = 0; i < p->item_count; i++)
		if (operand_within(p->items[i].path, top))
			json_append(list, item_json(s, &p->items[i]));
	for (size_t i = 0; i < p->delete_count; i++) {
		struct json *j;

		if (!operand_within(p->deletes[i].path, top))
			continue;
		j = json_object_new();
		json_set_string(j, "path", p->deletes[i].path);
		json_set_string(j, "action", "delete");
		json_append(list, j);
	}
	rc = json_print(list, JSON_PRETTY, stdout, e);
	json_free(list);
	return rc;
}

static int
print_plan(
    struct session *s, const struct plan *p, const char *top, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->item_count && rc == 0; i++)
		if (operand_within(p->items[i].path, top))
			rc = print_item(s, p, &p->items[i], e);
	for (size_t i = 0; i < p->delete_count && rc == 0; i++)
		if (operand_within(p->deletes[i].path, top))
			rc = print_delete(&p->deletes[i], e);
	return rc;
}

static bool
is_any_within(const struct plan *p, const char *top)
{
	for (size_t i = 0; i < p->item_count; i++)
		if (operand_within(p->items[i].path, top))
			return true;
	for (size_t i = 0; i < p->delete_count; i++)
		if (operand_within(p->deletes[i].path, top))
			return true;
	return false;
}

static int
compare(struct session *s, struct plan *p, struct err *e)
{
	const struct apply_tree t = { &s->was, s->was_profile, false };
	struct compare_totals totals;

	if (!s->has_applied)
		return err_set(
		    e, ERR_NOT_FOUND, "no release is applied: run `pecia run`");
	s->head.release = s->applied.release;
	return apply_compare(s, &t, p, &totals, e);
}

int
verb_diff(const struct options *o, const struct settings *s)
{
	char top[LIMIT_PATH_BYTES + 1] = ".";
	struct err e = ERR_INIT;
	struct session session;
	struct plan plan;
	bool differs;
	int rc;

	verb_raise_open_files();
	if ((o->path != NULL && operand_path(o->path, top, &e) != 0) ||
	    session_open(s, true, &session, &e) != 0)
		return verb_failed(&e);
	plan_init(&plan);
	rc = compare(&session, &plan, &e);
	differs = rc == 0 && is_any_within(&plan, top);
	if (rc == 0)
		rc = o->json ? print_json(&session, &plan, top, &e)
		             : print_plan(&session, &plan, top, &e);
	plan_release(&plan);
	session_release(&session);
	if (rc != 0)
		return verb_failed(&e);
	return differs ? EXIT_CHANGED : EXIT_SAME;
}
