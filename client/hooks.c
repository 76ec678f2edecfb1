/* prerun_command and postrun_command. */
#include "client/hooks.h"

#include "client/command.h"
#include "common/limits.h"
#include "common/log.h"

void
hooks_init(struct hooks *h)
{
	memset(h, 0, sizeof(*h));
	h->timeout_ms = 600000;
}

void
hooks_release(struct hooks *h)
{
	words_release(&h->prerun);
	words_release(&h->postrun);
}

static int
take_command(const struct config_section *c, const char *key, struct words *out,
    struct err *e)
{
	struct err why = ERR_INIT;
	const char *text = NULL;
	struct words words = WORDS_INIT;
	int rc = config_string(c, key, &text, e);

	if (rc != 0 || text == NULL)
		return rc;
	if (words_command(text, &words, &why) != 0)
		return config_complain(c, key, e, "%s", why.msg);
	words_release(out);
	*out = words;
	return 0;
}

int
hooks_take(const struct config_section *c, struct hooks *h, struct err *e)
{
	uint64_t seconds = h->timeout_ms / 1000;
	int rc;

	if ((rc = take_command(c, "prerun_command", &h->prerun, e)) != 0 ||
	    (rc = take_command(c, "postrun_command", &h->postrun, e)) != 0 ||
	    (rc = config_seconds(c, "command_timeout", &seconds, e)) != 0)
		return rc;
	if (seconds == 0 || seconds > LIMIT_COMMAND_S)
		return config_complain(
		    c, "command_timeout", e, "not 1 to %d", LIMIT_COMMAND_S);
	h->timeout_ms = (unsigned)seconds * 1000;
	return 0;
}

static int
run_hook(const struct hooks *h, const struct words *words, const char *what,
    const char *const *env, struct err *e)
{
	const struct command c = { words->list, env, h->timeout_ms };
	struct command_result r;
	int rc;

	if (words->count == 0)
		return 0;
	command_result_init(&r);
	rc = command_run(&c, &r, e);
	if (rc == 0)
		rc = command_check(&c, &r, what, e);
	else
		(void)err_prefix(e, "%s", what);
	if (r.output.len > 0)
		log_event(LOG_INFO, what, "output", buf_str(&r.output), NULL);
	command_result_release(&r);
	return rc;
}

/* "PECIA_ROOT=...", which may be as long as a path. */
static int
make_root(char **out, const char *root, struct err *e)
{
	if (asprintf(out, "PECIA_ROOT=%s", root) >= 0)
		return 0;
	*out = NULL;
	return err_memory(e);
}

int
hooks_prerun(const struct hooks *h, const char *root, struct err *e)
{
	char *text = NULL;
	int rc = make_root(&text, root, e);

	if (rc == 0)
		rc = run_hook(h, &h->prerun, "prerun_command",
		    (const char *const[]){ text, NULL }, e);
	free(text);
	return rc;
}

int
hooks_postrun(
    const struct hooks *h, const char *root, bool success, struct err *e)
{
	const char *result =
	    success ? "PECIA_RESULT=success" : "PECIA_RESULT=failure";
	char *text = NULL;
	int rc = make_root(&text, root, e);

	if (rc == 0)
		rc = run_hook(h, &h->postrun, "postrun_command",
		    (const char *const[]){ text, result, NULL }, e);
	free(text);
	return rc;
}

int
hooks_conclude(const struct hooks *h, const char *root, const char *what,
    int rc, struct err *e)
{
	struct err after = ERR_INIT;

	if (hooks_postrun(h, root, rc == 0, &after) == 0)
		return rc;
	if (rc != 0) {
		log_err(LOG_ERROR, "postrun_command failed", &after, NULL);
		return rc;
	}
	return err_set(
	    e, after.code, "the %s was made, but %s", what, after.msg);
}
