/* The verbs of pecia. */
#include "client/run.h"

#include <stdio.h>
#include <sys/resource.h>

#include "client/apply.h"
#include "client/journal.h"
#include "client/report.h"
#include "client/update.h"
#include "common/fsat.h"
#include "common/json.h"
#include "common/log.h"
#include "common/text.h"

#define LAST_ERROR       "last_error"
#define LAST_ERROR_BYTES 2048

static int
failed(const struct err *e)
{
	(void)fprintf(stderr, "pecia: %s\n", e->msg);
	return e->code == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

/* ---- init ---- */

static void
add_setting(struct buf *b, const char *key, const char *value)
{
	if (value != NULL)
		buf_addf(b, "%s = %s\n", key, value);
}

/* What init is told besides the anchor holds for later runs. */
static int
keep_settings(const struct options *o, const struct state *state, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, LIMIT_CONFIG_BYTES);
	buf_add_str(&b, "[main]\n");
	add_setting(&b, "server", o->server);
	add_setting(&b, "channel", o->channel);
	add_setting(&b, "host", o->host);
	rc = buf_check(&b, "settings", e);
	if (rc == 0)
		rc = fsat_write_file(
		    state->dir, SETTINGS_INIT, 0600, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

static int
set_anchor(struct state *state, const struct digest *anchor, struct err *e)
{
	struct digest old;
	int rc;

	rc = state_anchor(state, &old, e);
	if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		return state_set_anchor(state, anchor, e);
	}
	if (rc == 0 && !digest_equal(&old, anchor))
		return err_set(e, ERR_CONFLICT,
		    "%s trusts another anchor "
		    "already; to change it, remove that directory",
		    state->path);
	return rc;
}

int
run_init(const struct options *o, const struct settings *s)
{
	struct tls_identity *identity = NULL;
	struct state state = STATE_INIT;
	struct err e = ERR_INIT;
	struct digest anchor;
	char *dir = NULL;
	int rc;

	if (text_sha256(o->anchor, anchor.b) != 0) {
		(void)err_set(&e, ERR_USAGE,
		    "--anchor %s: not sha256: and 64 "
		    "hex digits",
		    o->anchor);
		return failed(&e);
	}
	rc = state_open(&state, s->state, true, &e);
	if (rc == 0)
		rc = state_lock(&state, s->wait_ms, &e);
	if (rc == 0)
		rc = set_anchor(&state, &anchor, &e);
	if (rc == 0)
		rc = keep_settings(o, &state, &e);
	if (rc == 0 && asprintf(&dir, "%s/identity", s->state) < 0)
		rc = err_memory(&e);
	if (rc == 0)
		rc = tls_identity_open(dir, true, &identity, &e);
	tls_identity_free(identity);
	free(dir);
	state_release(&state);
	if (rc != 0)
		return failed(&e);
	(void)printf(
	    "%s trusts %s; next: pecia run --noop\n", s->state, o->anchor);
	return EXIT_SAME;
}

/* ---- alarms ---- */

static const struct {
	unsigned bit;
	const char *word, *text;
} alarm_words[] = {
	{ TRUST_ALARM_ROOT, "root expired",
	    "the trust root has expired: the "
	    "origin must publish a new one" },
	{ TRUST_ALARM_ROSTER, "roster expired",
	    "the roster of mirrors has "
	    "expired: run `peciactl refresh` on the origin" },
	{ TRUST_ALARM_HEAD, "stale",
	    "the head has expired: no origin has "
	    "signed it again, or somebody keeps newer ones from here" },
	{ TRUST_ALARM_CLOCK, "clock",
	    "this machine's clock is behind the "
	    "head's: set it" },
};

/* What is wrong with what is believed stops no run: somebody has to look. */
static void
log_alarms(const struct session *s)
{
	unsigned alarms = trust_alarms(s->trust, s->settings->channel);

	for (size_t i = 0; i < sizeof(alarm_words) / sizeof(*alarm_words); i++)
		if ((alarms & alarm_words[i].bit) != 0)
			log_event(LOG_WARNING, alarm_words[i].word, "why",
			    alarm_words[i].text, NULL);
}

/* ---- run ---- */

static double
seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) +
	    (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* A directory a level is held open while trees are compared. */
static void
raise_open_files(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 &&
	    lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &lim) != 0)
			log_event(LOG_DEBUG, "open files stay limited", NULL);
	}
}

/* For `pecia status`: why the last run failed, until one does not. */
static void
note_failure(const struct session *s, const struct err *why)
{
	char when[TEXT_TIME_BYTES];
	struct err e = ERR_INIT;
	struct buf b;

	if (s->state.dir < 0)
		return;
	text_time(when, s->now);
	buf_init(&b, LAST_ERROR_BYTES);
	buf_addf(&b, "%s %s\n", when, why->msg);
	if (fsat_write_file(
	        s->state.dir, LAST_ERROR, 0600, buf_str(&b), b.len, &e) != 0)
		log_err(LOG_WARNING, "failure not noted", &e, NULL);
	buf_release(&b);
}

static void
forget_failure(const struct session *s)
{
	struct err ignored = ERR_INIT;

	if (fsat_unlink(s->state.dir, LAST_ERROR, &ignored) != 0)
		err_clear(&ignored); /* mostly there is none */
}

static int
one_run(struct session *s, const struct options *o, struct plan *plan,
    struct report *report, struct err *e)
{
	struct content *content = NULL;
	struct progress progress;
	int rc;

	report_progress_init(&progress);
	rc = update_find(s, e);
	if (rc == 0)
		rc = content_new(s, &content, e);
	if (rc == 0)
		content_watch(content, report_progress_show, &progress);
	if (rc == 0)
		rc = content_manifests(content, e);
	if (rc == 0)
		rc = apply_compare(s,
		    &(struct apply_tree){ &s->release, s->profile, false },
		    plan, &report->result.totals, e);
	if (rc == 0 && !o->noop)
		rc = apply_plan(s, content, plan, &report->result, e);
	report_progress_end(&progress);
	content_free(content);
	if (rc == 0)
		rc = fetch_traffic(
		    s->fetch, &report->received_bytes, &report->sent_bytes, e);
	return rc;
}

/* A session with nothing interrupted left. */
static int
open_recovered(const struct settings *s, struct session *session, struct err *e)
{
	bool recovered = false;
	int rc;

	if ((rc = session_open(s, true, session, e)) != 0)
		return rc;
	rc = apply_recover(session, &recovered, e);
	if (rc == 0 && !recovered)
		return 0;
	session_release(session);
	if (rc != 0)
		return rc;
	log_event(LOG_NOTICE, "an interrupted run was finished", NULL);
	return session_open(s, true, session, e);
}

static int
run_locked(const struct options *o, const struct settings *s,
    struct report *report, struct plan *plan, struct err *e)
{
	struct timespec start;
	struct session session;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if ((rc = open_recovered(s, &session, e)) != 0)
		return rc;
	report->session = &session;
	rc = one_run(&session, o, plan, report, e);
	report->seconds = seconds_since(&start);
	if (rc == 0)
		rc = report_run(report, e);
	log_alarms(&session);
	if (rc != 0)
		note_failure(&session, e);
	else
		forget_failure(&session);
	report->session = NULL;
	session_release(&session);
	return rc;
}

int
run_run(const struct options *o, const struct settings *s)
{
	struct report report = {
		.json = o->json, .verbose = o->verbose, .noop = o->noop
	};
	struct err e = ERR_INIT;
	struct plan plan;
	bool changed;
	int rc;

	raise_open_files();
	plan_init(&plan);
	report.plan = &plan;
	rc = run_locked(o, s, &report, &plan, &e);
	changed = !plan_is_empty(&plan);
	plan_release(&plan);
	if (rc != 0)
		return failed(&e);
	return changed && o->detailed_exitcodes ? EXIT_CHANGED : EXIT_SAME;
}

/* ---- verify ---- */

static int
verify_session(
    struct session *s, struct report *report, struct plan *plan, struct err *e)
{
	int rc;

	if (!s->has_applied)
		return err_set(e, ERR_NOT_FOUND,
		    "nothing was applied yet: run `pecia run`");
	rc = apply_compare(s,
	    &(struct apply_tree){ &s->was, s->was_profile, true }, plan,
	    &report->result.totals, e);
	return rc != 0 ? rc : report_drift(report, e);
}

int
run_verify(const struct options *o, const struct settings *s)
{
	struct report report = { .json = o->json, .verbose = true };
	struct session session;
	struct err e = ERR_INIT;
	struct plan plan;
	bool drift;
	int rc;

	raise_open_files();
	plan_init(&plan);
	report.plan = &plan;
	report.session = &session;
	if (session_open(s, true, &session, &e) != 0)
		return failed(&e);
	session.head.release = session.applied.release;
	rc = verify_session(&session, &report, &plan, &e);
	drift = !plan_is_empty(&plan);
	plan_release(&plan);
	session_release(&session);
	if (rc != 0)
		return failed(&e);
	return drift ? EXIT_CHANGED : EXIT_SAME;
}

/* ---- status ---- */

struct status {
	const struct session *s;
	const struct head *head; /* accepted, or NULL */
	unsigned alarms;
	bool interrupted;
	char last_error[LAST_ERROR_BYTES];
};

static bool
is_wrong(const struct status *st)
{
	return st->alarms != 0 || st->interrupted ||
	    st->last_error[0] != '\0' || !st->s->has_applied;
}

static void
look(struct session *s, struct status *st)
{
	struct err ignored = ERR_INIT;
	struct fsat_stat file;
	struct buf b;

	st->s = s;
	st->alarms = trust_alarms(s->trust, s->settings->channel);
	if (trust_head(s->trust, s->settings->channel, &st->head, &ignored))
		st->head = NULL;
	st->interrupted =
	    fsat_stat(s->state.dir, JOURNAL_NAME, &file, &ignored) == 0 ||
	    fsat_stat(s->state.dir, JOURNAL_STAGES, &file, &ignored) == 0;
	buf_init(&b, sizeof(st->last_error) - 1);
	if (fsat_read_file(s->state.dir, LAST_ERROR, b.max, &b, &ignored) == 0)
		(void)snprintf(st->last_error, sizeof(st->last_error), "%.*s",
		    (int)strcspn(buf_str(&b), "\n"), buf_str(&b));
	buf_release(&b);
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
	if (st->head != NULL) {
		text_time(when, st->head->issued);
		text_time(until, st->head->expires);
		(void)printf("head      signed %s, good until %s%s\n", when,
		    until,
		    (st->alarms & TRUST_ALARM_HEAD) != 0 ? " (stale)" : "");
	}
	for (size_t i = 0; i < sizeof(alarm_words) / sizeof(*alarm_words); i++)
		if ((st->alarms & alarm_words[i].bit) != 0)
			(void)printf("wrong     %s\n", alarm_words[i].text);
	if (st->interrupted)
		(void)printf(
		    "wrong     a run was interrupted: the next finishes "
		    "it\n");
	if (st->last_error[0] != '\0')
		(void)printf("wrong     last run failed: %s\n", st->last_error);
}

static int
print_status_json(const struct status *st, struct err *e)
{
	const struct applied *a = &st->s->applied;
	struct json *j = json_object_new(), *wrong = json_array_new();
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
	if (st->head != NULL) {
		text_time(text, st->head->expires);
		json_set_string(j, "head_expires", text);
	}
	json_set_bool(j, "stale", (st->alarms & TRUST_ALARM_HEAD) != 0);
	for (size_t i = 0; i < sizeof(alarm_words) / sizeof(*alarm_words); i++)
		if ((st->alarms & alarm_words[i].bit) != 0)
			json_append_string(wrong, alarm_words[i].word);
	if (st->interrupted)
		json_append_string(wrong, "interrupted");
	if (st->last_error[0] != '\0')
		json_append_string(wrong, st->last_error);
	json_set_child(j, "wrong", wrong);
	rc = json_print(j, JSON_PRETTY, stdout, e);
	json_free(j);
	return rc;
}

int
run_status(const struct options *o, const struct settings *s)
{
	struct session session;
	struct err e = ERR_INIT;
	struct status st = { .s = NULL };
	int rc = 0;

	if (session_open(s, false, &session, &e) != 0)
		return failed(&e);
	look(&session, &st);
	if (o->json)
		rc = print_status_json(&st, &e);
	else
		print_status(&st);
	if (rc == 0)
		rc = is_wrong(&st) ? EXIT_FAILED : EXIT_SAME;
	else
		rc = failed(&e);
	session_release(&session);
	return rc;
}
