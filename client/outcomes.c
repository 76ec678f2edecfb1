/* Running triggers and checks; runs in the applier. */
#include "client/outcomes.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "common/log.h"

void
outcomes_release(struct outcomes *o)
{
	for (size_t i = 0; i < o->count; i++) {
		command_result_release(&o->list[i].result);
		free(o->list[i].why);
	}
	free(o->list);
	*o = (struct outcomes)OUTCOMES_INIT;
}

static int
add(struct outcomes *o, const char *name, enum action_kind kind,
    struct outcome **out, struct err *e)
{
	struct outcome *more =
	    reallocarray(o->list, o->count + 1, sizeof(*more));

	if (more == NULL)
		return err_memory(e);
	o->list = more;
	*out = &more[o->count++];
	memset(*out, 0, sizeof(**out));
	(void)snprintf((*out)->name, sizeof((*out)->name), "%s", name);
	(*out)->kind = kind;
	command_result_init(&(*out)->result);
	return 0;
}

static int
set_why(struct outcome *o, const struct err *why, struct err *e)
{
	free(o->why);
	o->why = strdup(why->msg);
	return o->why != NULL ? 0 : err_memory(e);
}

int
outcomes_foresee(
    struct outcomes *o, const char *name, enum action_kind kind, struct err *e)
{
	struct outcome *one = NULL;
	int rc = add(o, name, kind, &one, e);

	if (rc == 0)
		one->foreseen = true;
	return rc;
}

int
outcomes_refuse(struct outcomes *o, const char *name, enum action_kind kind,
    const struct err *why, struct err *e)
{
	struct outcome *one = NULL;
	int rc = add(o, name, kind, &one, e);

	return rc != 0 ? rc : set_why(one, why, e);
}

/* ---- running ---- */

enum {
	ENV_ROOT,
	ENV_NAME,
	ENV_CHANNEL,
	ENV_SERIAL,
	ENV_COUNT
};

static int
make_env(const struct outcome_run *run, char *env[ENV_COUNT + 1], struct err *e)
{
	const char *what = run->kind == ACTION_CHECK ? "CHECK" : "TRIGGER";
	int n[ENV_COUNT] = {
		asprintf(&env[ENV_ROOT], "PECIA_ROOT=%s", run->root),
		asprintf(&env[ENV_NAME], "PECIA_%s=%s", what, run->name),
		asprintf(&env[ENV_CHANNEL], "PECIA_CHANNEL=%s", run->channel),
		asprintf(&env[ENV_SERIAL], "PECIA_SERIAL=%llu",
		    (unsigned long long)run->serial),
	};
	int rc = 0;

	for (size_t i = 0; i < ENV_COUNT; i++) {
		if (n[i] >= 0)
			continue;
		env[i] = NULL;
		rc = err_memory(e);
	}
	return rc;
}

static void
wait_s(uint64_t seconds)
{
	struct timespec left = { .tv_sec = (time_t)seconds };

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

/* Until one attempt ends well. */
static bool
try(struct outcome *o, const struct outcome_run *run, const struct command *c,
    struct err *why)
{
	char what[LIMIT_NAME_BYTES + 16];

	(void)snprintf(what, sizeof(what), "%s %s",
	    run->kind == ACTION_CHECK ? "check" : "trigger", run->name);
	for (;;) {
		o->attempts++;
		err_clear(why);
		if (command_run(c, &o->result, why) != 0)
			(void)err_prefix(why, "%s", what);
		else if (command_check(c, &o->result, what, why) == 0)
			return true;
		if (o->attempts >= run->attempts)
			return false;
		wait_s(run->interval_s);
	}
}

int
outcomes_run(struct outcomes *o, const struct outcome_run *run,
    bool *ended_well, struct err *why, struct err *e)
{
	char *env[ENV_COUNT + 1] = { NULL };
	const struct command c = { run->command->list, (const char *const *)env,
		(unsigned)run->timeout_s * 1000 };
	struct outcome *one = NULL;
	int rc = add(o, run->name, run->kind, &one, e);

	if (rc == 0)
		rc = make_env(run, env, e);
	if (rc == 0) {
		*ended_well = try(one, run, &c, why);
		if (*ended_well)
			err_clear(why); /* of earlier attempts */
		rc = *ended_well ? 0 : set_why(one, why, e);
		log_event(*ended_well ? LOG_INFO : LOG_ERROR,
		    run->kind == ACTION_CHECK ? "check" : "trigger", "name",
		    run->name, "result", *ended_well ? "done" : one->why,
		    "output", buf_str(&one->result.output), NULL);
	}
	for (size_t i = 0; i < ENV_COUNT; i++)
		free(env[i]);
	return rc;
}
