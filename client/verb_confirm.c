/* pecia confirm. */
#include "client/verbs.h"

#include <stdio.h>

#include "client/confirm.h"
#include "common/json.h"

/* The lock may be held by a look of somebody's for a while. */
#define LOCK_MS 30000

static int
tell(const struct options *o, const struct confirm *c, struct err *e)
{
	struct json *j;
	int rc;

	if (!o->json) {
		if (c->kept > 0)
			(void)printf("release %llu of %s is confirmed\n",
			    (unsigned long long)c->serial, c->channel);
		else
			(void)printf("the machine stays as it is\n");
		return 0;
	}
	j = json_object_new();
	json_set_bool(j, "confirmed", true);
	if (c->kept > 0) {
		json_set_string(j, "channel", c->channel);
		json_set_u64(j, "serial", c->serial);
	}
	rc = json_print(j, JSON_PRETTY, stdout, e);
	json_free(j);
	return rc;
}

/* A rollback that did not come to its end is still one that may be called
 * off. */
static bool
is_undone(const struct confirm *c)
{
	return c->stage == CONFIRM_UNDONE ||
	    (c->stage == CONFIRM_UNDOING && c->newest != c->kept);
}

static int
confirm(const struct options *o, const struct session *s, int *status,
    struct err *e)
{
	struct confirm c = { .stage = CONFIRM_WAITING };
	int rc = confirm_read(&s->state, &c, e);

	if (rc == ERR_FORMAT) { /* the operator's word ends that too */
		(void)fprintf(stderr, "pecia: %s\n", e->msg);
		err_clear(e);
		rc = 0;
	}
	if (rc != 0)
		return rc;
	if (is_undone(&c))
		return err_set(e, ERR_CONFLICT,
		    "too late: release %llu was not confirmed and is rolled "
		    "back; `pecia run --retry` applies it again",
		    (unsigned long long)c.serial);
	if (c.stage == CONFIRM_NONE || c.stage == CONFIRM_BEGUN) {
		*status = EXIT_NOTHING;
		return err_set(
		    e, ERR_NOT_FOUND, "nothing waits to be confirmed");
	}
	rc = confirm_forget(&s->state, e);
	return rc != 0 ? rc : tell(o, &c, e);
}

int
verb_confirm(const struct options *o, const struct settings *s)
{
	struct settings patient = *s;
	struct err e = ERR_INIT;
	struct session session;
	int status = EXIT_FAILED, rc;

	if (patient.wait_ms < LOCK_MS)
		patient.wait_ms = LOCK_MS;
	if (verb_open_unsettled(&patient, &session, &e) != 0)
		return verb_failed(&e);
	rc = confirm(o, &session, &status, &e);
	session_release(&session);
	if (rc == 0)
		return EXIT_SAME;
	(void)verb_failed(&e);
	return status;
}
