/* `pecia which`: where a path comes from. */
#include <stdio.h>

#include "client/apply.h"
#include "client/operand.h"
#include "client/verbs.h"
#include "client/which.h"
#include "common/json.h"
#include "common/text.h"

struct answer {
	const char *path;
	struct which which;
	bool differs;
};

/* Whether there is a difference at this very path. */
static int
compare(struct session *s, struct answer *a, struct err *e)
{
	const struct apply_tree t = { &s->was, s->was_profile, false };
	struct compare_totals totals;
	struct plan plan;
	int rc;

	plan_init(&plan);
	s->head.release = s->applied.release;
	rc = apply_compare(s, &t, &plan, &totals, e);
	a->differs = rc == 0 && plan_find(&plan, a->path) != NULL;
	for (size_t i = 0; rc == 0 && i < plan.delete_count; i++)
		a->differs =
		    a->differs || strcmp(plan.deletes[i].path, a->path) == 0;
	plan_release(&plan);
	return rc;
}

static void
print_text(const char *key, const char *text)
{
	struct buf b;

	if (text == NULL || *text == '\0')
		return;
	/* What control bytes it has, a terminal does not get. */
	buf_init(&b, LIMIT_CONFIG_BYTES);
	for (const char *s = text; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			buf_addf(&b, "\\%03o", (unsigned)(unsigned char)*s);
		else
			buf_add_byte(&b, (uint8_t)*s);
	(void)printf("%-11s %s\n", key, buf_str(&b));
	buf_release(&b);
}

static void
print_release(const struct session *s)
{
	char when[TEXT_TIME_BYTES];

	text_time(when, s->was.created);
	(void)printf("release     %llu of %s, profile %s\n",
	    (unsigned long long)s->applied.serial, s->applied.channel,
	    s->applied.profile);
	(void)printf("published   %s\n", when);
	print_text("author", s->was.author);
	print_text("message", s->was.message);
	print_text("source", s->was.source);
}

static void
print_answer(const struct session *s, const struct answer *a)
{
	const struct which *w = &a->which;

	print_text("path", a->path);
	if (w->winner != NULL && !w->implied)
		(void)printf("transcript  %s\n", w->winner->name);
	else if (w->winner != NULL)
		(void)printf("transcript  %s, to whose target it leads\n",
		    w->winner->name);
	else
		(void)printf("transcript  none%s\n",
		    w->exact ? ": in an exact target, where it would go" : "");
	for (size_t i = w->hidden_count; i-- > 0;)
		(void)printf("hides       %s\n", w->hidden[i]->name);
	print_release(s);
	(void)printf("now         %s\n",
	    a->differs ? "differs (see pecia diff)" : "the same");
}

static int
print_json(const struct session *s, const struct answer *a, struct err *e)
{
	struct json *j = json_object_new(), *hidden = json_array_new();
	const struct which *w = &a->which;
	char when[TEXT_TIME_BYTES];
	int rc;

	json_set_string(j, "path", a->path);
	if (w->winner != NULL)
		json_set_string(j, "transcript", w->winner->name);
	json_set_bool(j, "implied", w->winner != NULL && w->implied);
	json_set_bool(j, "exact", w->exact);
	for (size_t i = w->hidden_count; i-- > 0;)
		json_append_string(hidden, w->hidden[i]->name);
	json_set_child(j, "hides", hidden);
	json_set_string(j, "channel", s->applied.channel);
	json_set_u64(j, "serial", s->applied.serial);
	json_set_string(j, "profile", s->applied.profile);
	text_time(when, s->was.created);
	json_set_string(j, "published", when);
	json_set_string(
	    j, "author", s->was.author != NULL ? s->was.author : "");
	json_set_string(
	    j, "message", s->was.message != NULL ? s->was.message : "");
	json_set_bool(j, "differs", a->differs);
	rc = json_print(j, JSON_PRETTY, stdout, e);
	json_free(j);
	return rc;
}

int
verb_which(const struct options *o, const struct settings *s)
{
	char path[LIMIT_PATH_BYTES + 1];
	struct answer a = { .path = path };
	struct err e = ERR_INIT;
	struct session session;
	int rc;

	verb_raise_open_files();
	if (operand_path(o->path, path, &e) != 0 ||
	    session_open(s, true, &session, &e) != 0)
		return verb_failed(&e);
	rc = which_find(&session, path, &a.which, &e);
	if (rc == 0)
		rc = compare(&session, &a, &e);
	if (rc == 0 && o->json)
		rc = print_json(&session, &a, &e);
	else if (rc == 0)
		print_answer(&session, &a);
	session_release(&session);
	return rc != 0 ? verb_failed(&e) : EXIT_SAME;
}
