/* `pecia bucket`. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/bucket.h"
#include "client/operand.h"
#include "client/plan.h"
#include "client/restore.h"
#include "client/verbs.h"
#include "client/textdiff.h"
#include "client/which.h"
#include "common/fsat.h"
#include "common/json.h"
#include "common/log.h"
#include "common/text.h"

#define PIECE_BYTES    65536
#define LINE_MAX_BYTES ((size_t)1 << 20)

static struct bucket_choice
choice_of(const struct options *o)
{
	return (struct bucket_choice){ o->kept_given, o->serial_given, o->kept,
		o->serial };
}

/* ---- list ---- */

struct listing {
	struct json *list; /* NULL: lines */
	size_t count;
};

static int
print_entry(const struct bucket_entry *b, struct err *e)
{
	char when[TEXT_TIME_BYTES];
	struct buf line;
	int rc;

	text_time(when, b->facts.when);
	buf_init(&line, LINE_MAX_BYTES);
	buf_addf(
	    &line, "%llu  %s  ", (unsigned long long)b->facts.number, when);
	if (b->facts.was.is_any)
		buf_addf(&line, "release %llu  ",
		    (unsigned long long)b->facts.was.serial);
	else
		buf_add_str(&line, "no release  ");
	buf_addf(&line, "%s  ", plan_type_word((uint8_t)b->m->type));
	if (b->m->type == MANIFEST_FILE)
		buf_addf(&line, "%llu bytes%s  ",
		    (unsigned long long)b->m->size_bytes,
		    b->state == KEPT_CONTENT ? "" : ", metadata only");
	text_escape(&line, b->path, strlen(b->path));
	rc = buf_check(&line, "bucket", e);
	if (rc == 0)
		(void)printf("%s\n", buf_str(&line));
	buf_release(&line);
	return rc;
}

static struct json *
entry_json(const struct bucket_entry *b)
{
	struct json *j = json_object_new();
	char text[DIGEST_HEX];

	json_set_u64(j, "kept", b->facts.number);
	text_time(text, b->facts.when);
	json_set_string(j, "when", text);
	if (b->facts.was.is_any) {
		json_set_string(j, "channel", b->facts.was.channel);
		json_set_u64(j, "serial", b->facts.was.serial);
	}
	json_set_string(j, "path", b->path);
	json_set_string(j, "type", plan_type_word((uint8_t)b->m->type));
	json_set_bool(j, "content", b->state == KEPT_CONTENT);
	if (b->m->type != MANIFEST_FILE)
		return j;
	json_set_u64(j, "size", b->m->size_bytes);
	digest_hex(&b->m->digest, text);
	json_set_string(j, "sha256", text);
	return j;
}

static int
list_entry(void *arg, const struct bucket_entry *b, struct err *e)
{
	struct listing *l = arg;

	l->count++;
	if (l->list == NULL)
		return print_entry(b, e);
	json_append(l->list, entry_json(b));
	return 0;
}

static int
list(
    const struct options *o, struct session *s, const char *path, struct err *e)
{
	struct listing l = { o->json ? json_array_new() : NULL, 0 };
	const struct bucket_choice choice = choice_of(o);
	int rc = bucket_each(s->state.dir, &choice,
	    o->path == NULL ? NULL : path, list_entry, &l, e);

	if (rc == 0 && o->json)
		rc = json_print(l.list, JSON_PRETTY, stdout, e);
	else if (rc == 0 && l.count == 0)
		(void)puts("nothing is kept");
	json_free(l.list);
	return rc;
}

/* ---- get and diff ---- */

static void
warn_changed(const char *path, bool changed)
{
	if (changed)
		log_event(LOG_WARNING, "written to after it was replaced",
		    "path", path, NULL);
}

static int
print_content(int fd, struct err *e)
{
	uint8_t piece[PIECE_BYTES];
	size_t got = 1;
	int rc = 0;

	while (rc == 0 && got > 0) {
		rc = fsat_read_some(fd, piece, sizeof(piece), &got, e);
		if (rc == 0)
			rc = fsat_write_all(STDOUT_FILENO, piece, got, e);
	}
	return rc;
}

static int
get(const struct session *s, const struct bucket_item *item, struct err *e)
{
	bool changed = false;
	int fd = -1, rc = bucket_open(s, item, &fd, &changed, e);

	if (rc != 0)
		return rc;
	warn_changed(item->m.path, changed);
	rc = print_content(fd, e);
	close(fd);
	return rc;
}

static int
diff(const struct session *s, const struct bucket_item *item, struct err *e)
{
	struct textdiff_side old = { -1, "kept" }, now = { -1, item->m.path };
	struct err mine = ERR_INIT;
	bool changed = false;
	char label[64];
	int rc = bucket_open(s, item, &old.fd, &changed, e);

	if (rc != 0)
		return rc;
	warn_changed(item->m.path, changed);
	(void)snprintf(label, sizeof(label), "before kept run %llu",
	    (unsigned long long)item->entry.facts.number);
	old.label = label;
	rc = fsat_open_file(s->root, item->m.path, &now.fd, &mine);
	if (rc == ERR_NOT_FOUND) {
		now.label = "nothing there now";
		rc = 0;
	}
	if (rc == 0)
		rc = textdiff_print(&old, &now, &mine);
	if (rc != 0)
		*e = mine;
	close(old.fd);
	if (now.fd >= 0)
		close(now.fd);
	return rc;
}

/* ---- restore ---- */

/* Holds the directory that the file is to be in; *name points into copy. */
static int
hold_place(const struct session *s, const char *to, char *path, int *dir,
    const char **name, struct err *e)
{
	char *slash, *copy;
	int rc;

	if (to == NULL) {
		slash = strrchr(path, '/');
		*name = slash == NULL ? path : slash + 1;
		if (slash == NULL)
			return fsat_open_dir(s->root, ".", dir, e);
		*slash = '\0';
		rc = fsat_open_dir(s->root, path, dir, e);
		return rc != 0 ? err_prefix(e, "restore the directory first")
		               : 0;
	}
	slash = strrchr(to, '/');
	*name = slash == NULL ? to : slash + 1;
	if (**name == '\0' || strcmp(*name, ".") == 0 ||
	    strcmp(*name, "..") == 0)
		return err_set(e, ERR_USAGE, "--to %s: not a file's name", to);
	copy = strdup(to);
	if (copy == NULL)
		return err_memory(e);
	rc = fsat_operator_dir(dirname(copy), false, 0, dir, e);
	free(copy);
	return rc;
}

/* What is managed is made what the release says again. */
static void
say_managed(struct session *s, const char *path)
{
	struct err ignored = ERR_INIT;
	struct which w;

	if (which_find(s, path, &w, &ignored) != 0)
		return;
	if (w.winner != NULL && !w.implied)
		(void)printf("it is managed (transcript %s): the next run "
		             "changes it again\n",
		    w.winner->name);
	else if (w.winner == NULL && w.exact)
		(void)printf("the release has nothing there: the next run "
		             "deletes it again\n");
}

static int
restore(const struct options *o, struct session *s,
    const struct bucket_item *item, struct err *e)
{
	char path[LIMIT_PATH_BYTES + 1];
	const char *name = NULL;
	int dir = -1, rc;

	(void)snprintf(path, sizeof(path), "%s", item->m.path);
	rc = hold_place(s, o->to, path, &dir, &name, e);
	if (rc == 0)
		rc = restore_item(s, item, dir, name, o->to == NULL, e);
	if (dir >= 0)
		close(dir);
	if (rc != 0)
		return rc;
	(void)printf("%s: as it was before kept run %llu\n",
	    o->to != NULL ? o->to : item->m.path,
	    (unsigned long long)item->entry.facts.number);
	if (o->to == NULL)
		say_managed(s, item->m.path);
	return 0;
}

static int
one_item(
    const struct options *o, struct session *s, const char *path, struct err *e)
{
	const struct bucket_choice choice = choice_of(o);
	struct bucket_item item;
	int rc = bucket_find(s->state.dir, &choice, path, &item, e);

	if (rc != 0)
		return rc;
	if (strcmp(o->what, "get") == 0)
		rc = get(s, &item, e);
	else if (strcmp(o->what, "diff") == 0)
		rc = diff(s, &item, e);
	else
		rc = restore(o, s, &item, e);
	bucket_item_release(&item);
	return rc;
}

int
verb_bucket(const struct options *o, const struct settings *s)
{
	bool writes = strcmp(o->what, "restore") == 0;
	char path[LIMIT_PATH_BYTES + 1] = "";
	struct err e = ERR_INIT;
	struct session session;
	int rc = 0;

	if (o->path != NULL && operand_path(o->path, path, &e) != 0)
		return verb_failed(&e);
	rc = writes ? verb_open_recovered(s, &session, &e)
	            : session_open(s, false, &session, &e);
	if (rc != 0)
		return verb_failed(&e);
	rc = strcmp(o->what, "list") == 0 ? list(o, &session, path, &e)
	                                  : one_item(o, &session, path, &e);
	session_release(&session);
	return rc != 0 ? verb_failed(&e) : EXIT_SAME;
}
