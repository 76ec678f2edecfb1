/* pecia status. */
#include "client/verbs.h"

#include <stdio.h>

#include "client/alarms.h"
#include "client/confirm_undo.h"
#include "client/disable.h"
#include "client/due.h"
#include "client/failure.h"
#include "client/held.h"
#include "client/journal.h"
#include "client/session.h"
#include "client/summary.h"
#include "common/fsat.h"
#include "common/json.h"
#include "common/text.h"

struct status {
	const struct session *s;
	const struct head *head; /* accepted, or NULL */
	unsigned alarms;
	bool interrupted, disabled;
	uint64_t held; /* serial that was rolled back, or 0 */
	struct held held_why;
	struct disable disable;
	struct due due; /* after the last change */
	struct confirm confirm;
	uint64_t left_ms; /* of confirm */
	char last_error[FAILURE_BYTES];
	struct summary_last last;
};

static bool
is_due(const struct status *st)
{
	return st->due.check || st->due.count > 0;
}

static bool
is_wrong(const struct status *st)
{
	return st->alarms != 0 || st->interrupted || st->disabled ||
	    is_due(st) || st->last_error[0] != '\0' || !st->s->has_applied ||
	    (st->confirm.stage != CONFIRM_NONE && st->left_ms == 0);
}

static void
look(struct session *s, struct status *st)
{
	struct err ignored = ERR_INIT;
	struct fsat_stat file;

	st->s = s;
	st->alarms = trust_alarms(s->trust, s->settings->channel);
	if (trust_head(s->trust, s->settings->channel, &st->head, &ignored))
		st->head = NULL;
	st->interrupted =
	    fsat_stat(s->state.dir, JOURNAL_NAME, &file, &ignored) == 0 ||
	    fsat_stat(s->state.dir, JOURNAL_STAGES, &file, &ignored) == 0;
	st->held = held_serial(s, NULL);
	if (st->held > 0 && held_read(&s->state, &st->held_why, &ignored) != 0)
		st->held_why.why[0] = '\0';
	if (due_read(&s->state, &st->due, &ignored) != 0)
		due_init(&st->due); /* mostly there is none */
	confirm_look(s, &st->confirm, &st->left_ms);
	failure_read(&s->state, st->last_error);
	summary_last(&s->state, &st->last);
	if (disable_read(&s->state, &st->disabled, &st->disable, &ignored) != 0)
		err_clear(&ignored);
}

static void
print_due(const struct due *d)
{
	(void)printf("wrong     a run ended early; the next runs what is due:");
	for (size_t i = 0; i < d->count; i++)
		(void)printf(" %s", d->list[i].name);
	(void)printf("%s\n", d->check ? " and the checks" : "");
}

static void
print_confirm(const struct status *st)
{
	const struct confirm *c = &st->confirm;
	unsigned long long serial = c->serial;
	unsigned long long left = (st->left_ms + 999) / 1000;
	char until[TEXT_TIME_BYTES];

	text_time(until, c->until);
	if (c->stage == CONFIRM_UNDONE)
		(void)printf("wrong     release %llu was not confirmed until "
		             "%s: rolled back\n",
		    serial, until);
	else if (c->stage != CONFIRM_NONE && left == 0)
		(void)printf("wrong     release %llu was not confirmed until "
		             "%s: it is to be rolled back\n",
		    serial, until);
	else if (c->stage != CONFIRM_NONE)
		(void)printf("waits     release %llu is rolled back in %llu s "
		             "unless `pecia confirm` is said\n",
		    serial, left);
}

static void
add_confirm_json(const struct status *st, struct json *j, struct json *wrong)
{
	static const char *const words[] = { [CONFIRM_WAITING] = "waiting",
		[CONFIRM_UNDOING] = "undoing",
		[CONFIRM_UNDONE] = "undone" };
	const struct confirm *c = &st->confirm;
	struct json *child;
	char until[TEXT_TIME_BYTES];

	if (c->stage == CONFIRM_NONE)
		return;
	child = json_object_new();
	text_time(until, c->until);
	json_set_string(child, "state", words[c->stage]);
	json_set_string(child, "channel", c->channel);
	json_set_u64(child, "serial", c->serial);
	json_set_string(child, "until", until);
	json_set_u64(child, "seconds_left", (st->left_ms + 999) / 1000);
	json_set_child(j, "confirm", child);
	if (st->left_ms == 0)
		json_append_string(wrong, "unconfirmed");
}

static void
print_last(const struct summary_last *l)
{
	struct buf b;

	if (l->when[0] == '\0')
		return;
	(void)printf("last run  %s, %s, %.2f s%s%s\n", l->when, l->outcome,
	    l->seconds, l->route[0] != '\0' ? ", " : "", l->route);
	if (l->site[0] != '\0') {
		buf_init(&b, LIMIT_CONFIG_BYTES);
		served_text(&l->served, &b);
		(void)printf("served    by site %s (%s): %s\n", l->site,
		    l->source, buf_str(&b));
		buf_release(&b);
	}
	if (l->passed[0] != '\0')
		(void)printf("passed    %s\n", l->passed);
}

static struct json *
last_json(const struct summary_last *l)
{
	struct json *j = json_object_new();

	json_set_string(j, "started", l->when);
	json_set_string(j, "outcome", l->outcome);
	json_set_double(j, "seconds", l->seconds);
	json_set_string(j, "route", l->route);
	json_set_string(j, "source", l->source);
	json_set_string(j, "site", l->site);
	if (l->passed[0] != '\0')
		json_set_string(j, "passed_over", l->passed);
	served_json(&l->served, j);
	return j;
}

static void
print_status(const struct status *st)
{
	const struct applied *a = &st->s->applied;
	char when[TEXT_TIME_BYTES], until[TEXT_TIME_BYTES];

	if (st->s->has_applied) {
		text_time(when, a->when);
		(void)printf("release   %llu of %s, profile %s\n",
		    (unsigned long long)a->serial, a->channel, a->profile);
		(void)printf("applied   %s\nfrom      %s, site %s\n", when,
		    a->from, a->site);
	} else {
		(void)printf("release   none applied yet\n");
	}
	print_last(&st->last);
	if (st->held > 0)
		(void)printf("held      release %llu was rolled back%s%s: runs "
		             "wait for a newer one\n",
		    (unsigned long long)st->held,
		    st->held_why.why[0] != '\0' ? " as " : "",
		    st->held_why.why);
	if (st->head != NULL) {
		text_time(when, st->head->issued);
		text_time(until, st->head->expires);
		(void)printf("head      signed %s, good until %s%s\n", when,
		    until,
		    (st->alarms & TRUST_ALARM_HEAD) != 0 ? " (stale)" : "");
	}
	for (const struct alarm_word *w = alarm_words; w->bit != 0; w++)
		if ((st->alarms & w->bit) != 0)
			(void)printf("wrong     %s\n", w->text);
	print_confirm(st);
	if (st->disabled)
		(void)printf(
		    "disabled  %s %s\n", st->disable.when, st->disable.message);
	if (st->interrupted)
		(void)printf(
		    "wrong     a run was interrupted: the next finishes "
		    "it\n");
	if (is_due(st))
		print_due(&st->due);
	if (st->last_error[0] != '\0')
		(void)printf("wrong     last run failed: %s\n", st->last_error);
}

static int
print_status_json(const struct status *st, struct err *e)
{
	const struct applied *a = &st->s->applied;
	struct json *j = json_object_new(), *wrong = json_array_new(),
	            *due = json_array_new();
	char text[DIGEST_HEX];
	int rc;

	json_set_bool(j, "applied", st->s->has_applied);
	if (st->s->has_applied) {
		json_set_string(j, "channel", a->channel);
		json_set_u64(j, "serial", a->serial);
		digest_hex(&a->release, text);
		json_set_string(j, "release", text);
		json_set_string(j, "profile", a->profile);
		text_time(text, a->when);
		json_set_string(j, "when", text);
		json_set_string(j, "route", a->from);
		json_set_string(j, "site", a->site);
	}
	if (st->held > 0)
		json_set_u64(j, "held", st->held);
	if (st->held > 0 && st->held_why.why[0] != '\0')
		json_set_string(j, "held_why", st->held_why.why);
	if (st->head != NULL) {
		text_time(text, st->head->expires);
		json_set_string(j, "head_expires", text);
	}
	json_set_bool(j, "stale", (st->alarms & TRUST_ALARM_HEAD) != 0);
	for (const struct alarm_word *w = alarm_words; w->bit != 0; w++)
		if ((st->alarms & w->bit) != 0)
			json_append_string(wrong, w->word);
	if (st->interrupted)
		json_append_string(wrong, "interrupted");
	if (is_due(st))
		json_append_string(wrong, "due");
	for (size_t i = 0; i < st->due.count; i++)
		json_append_string(due, st->due.list[i].name);
	if (st->last_error[0] != '\0')
		json_append_string(wrong, st->last_error);
	add_confirm_json(st, j, wrong);
	json_set_bool(j, "disabled", st->disabled);
	if (st->disabled)
		json_set_string(j, "disabled_message", st->disable.message);
	json_set_child(j, "due", due);
	if (st->last.when[0] != '\0')
		json_set_child(j, "last_run", last_json(&st->last));
	json_set_child(j, "wrong", wrong);
	rc = json_print(j, JSON_PRETTY, stdout, e);
	json_free(j);
	return rc;
}

int
verb_status(const struct options *o, const struct settings *s)
{
	struct session session;
	struct err e = ERR_INIT;
	struct status st = { .s = NULL };
	int rc = 0;

	if (session_open(s, false, &session, &e) != 0)
		return verb_failed(&e);
	look(&session, &st);
	if (o->json)
		rc = print_status_json(&st, &e);
	else
		print_status(&st);
	if (rc == 0)
		rc = is_wrong(&st) ? EXIT_FAILED : EXIT_SAME;
	else
		rc = verb_failed(&e);
	due_release(&st.due);
	session_release(&session);
	return rc;
}
