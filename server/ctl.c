/* Which verb, what its errors look like, and what several of them share. */
#include "server/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/json.h"
#include "common/text.h"
#include "server/origin.h"

/* origin_wait.waiting */
static void
tell_waiting(void *arg, const char *holder)
{
	(void)arg;
	(void)fprintf(stderr, "peciactl: waiting for %s\n", holder);
}

/* What changes a repository is for an origin's, but for these. */
static bool
is_for_mirrors(enum ctl_verb verb)
{
	return verb == CTL_PROMOTE || verb == CTL_DEMOTE || verb == CTL_ROTATE;
}

int
ctl_open(
    const struct ctl_options *o, bool lock, struct origin *out, struct err *e)
{
	char what[64];
	struct origin_wait wait = { o->wait_ms, what, tell_waiting, NULL };
	int ret = origin_open(o->repo, out, e);

	(void)snprintf(
	    what, sizeof(what), "peciactl %s", ctl_verb_name(o->verb));
	if (ret == 0 && lock)
		ret = origin_lock(out, &wait, e);
	if (ret == 0 && lock && !is_for_mirrors(o->verb))
		ret = origin_check_own(out, e);
	return ret == 0 ? origin_load(out, e) : ret;
}

int
ctl_print_json(struct json *j, struct err *e)
{
	int ret = json_print(j, JSON_PRETTY, stdout, e);

	json_free(j);
	return ret;
}

int
ctl_flush(struct err *e)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return err_sys(e, "write to stdout");
	return 0;
}

void
ctl_print_text(const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			(void)printf("\\%03o", c);
		else
			(void)putchar(c);
	}
}

void
ctl_json_digest(struct json *j, const char *key, const struct digest *d)
{
	char hex[DIGEST_HEX];

	digest_hex(d, hex);
	json_set_string(j, key, hex);
}

void
ctl_json_time(struct json *j, const char *key, time_t t)
{
	char text[TEXT_TIME_BYTES];

	text_time(text, t);
	json_set_string(j, key, text);
}

static int
run_verb(const struct ctl_options *o, bool *damaged, struct err *e)
{
	switch (o->verb) {
	case CTL_INIT:
		return ctl_init(o, e);
	case CTL_PUBLISH:
		return ctl_publish(o, e);
	case CTL_LOG:
		return ctl_log(o, e);
	case CTL_SHOW:
		return ctl_show(o, e);
	case CTL_VERIFY:
		return ctl_verify(o, damaged, e);
	case CTL_MIRROR_ADD:
		return ctl_mirror_add(o, e);
	case CTL_MIRROR_CHANGE:
		return ctl_mirror_change(o, e);
	case CTL_MIRROR_LIST:
		return ctl_mirror_list(o, e);
	case CTL_MIRROR_REMOVE:
		return ctl_mirror_remove(o, e);
	case CTL_REFRESH:
		return ctl_refresh(o, e);
	case CTL_BACKUP:
		return ctl_backup(o, e);
	case CTL_RESTORE:
		return ctl_restore(o, e);
	case CTL_PROMOTE:
		return ctl_promote(o, e);
	case CTL_DEMOTE:
		return ctl_demote(o, e);
	case CTL_ROTATE:
		return ctl_rotate(o, e);
	case CTL_COLLECT:
		return ctl_collect(o, e);
	case CTL_VERSION:
		(void)printf("peciactl %s\n", PECIA_VERSION);
		return 0;
	default:
		(void)fputs(ctl_help(o->topic), stdout);
		return 0;
	}
}

int
ctl_run(const struct ctl_options *o)
{
	struct err e = ERR_INIT;
	bool damaged = false;
	int ret = run_verb(o, &damaged, &e);

	if (ret == 0)
		ret = ctl_flush(&e);
	if (ret != 0) {
		(void)fprintf(stderr, "peciactl: %s: %s\n",
		    ctl_verb_name(o->verb), e.msg);
		return CTL_FAILED;
	}
	return damaged ? CTL_DAMAGED : CTL_OK;
}
