/* Giving up privilege; the first thing that a worker or a fetcher does. */
#include "common/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/sandbox_landlock.h"

#define KEPT_VARIABLES 32
#define PASSWD_BYTES   16384 /* one entry of the user database */

struct ids {
	bool change;
	uid_t uid;
	gid_t gid;
};

/* Asks the name service, so it comes before everything else. */
static int
find_ids(const struct sandbox *s, struct ids *ids, struct err *e)
{
	struct passwd pw, *found = NULL;
	char text[PASSWD_BYTES];
	int sys;

	ids->change = s->user != NULL && geteuid() == 0;
	if (!ids->change)
		return 0;
	sys = getpwnam_r(s->user, &pw, text, sizeof(text), &found);
	if (found == NULL && sys != 0 && sys != ENOENT) {
		errno = sys;
		return err_sys(e, "user %s", s->user);
	}
	if (found == NULL)
		return err_set(e, ERR_USAGE, "there is no user %s", s->user);
	if (pw.pw_uid == 0)
		return err_set(e, ERR_USAGE,
		    "user %s is root; an unprivileged one is needed", s->user);
	ids->uid = pw.pw_uid;
	ids->gid = pw.pw_gid;
	return 0;
}

/* All three ids are the new ones and there is no way back. */
static bool
is_changed(const struct ids *ids)
{
	uid_t r, f, s;
	gid_t gr, ge, gs;

	return getresuid(&r, &f, &s) == 0 && getresgid(&gr, &ge, &gs) == 0 &&
	    r == ids->uid && f == ids->uid && s == ids->uid && gr == ids->gid &&
	    ge == ids->gid && gs == ids->gid && getgroups(0, NULL) == 1 &&
	    setuid(0) != 0 && setgid(0) != 0;
}

static int
change_ids(const struct ids *ids, struct err *e)
{
	if (!ids->change)
		return 0;
	if (setgroups(1, &ids->gid) != 0 ||
	    setresgid(ids->gid, ids->gid, ids->gid) != 0 ||
	    setresuid(ids->uid, ids->uid, ids->uid) != 0)
		return err_sys(
		    e, "change to user %u, group %u", ids->uid, ids->gid);
	if (!is_changed(ids))
		return err_set(
		    e, ERR_VERIFY, "did not become user %u for good", ids->uid);
	return 0;
}

int
sandbox_become(const char *user, struct err *e)
{
	const struct sandbox box = { .user = user };
	struct ids ids = { 0 };
	int rc = find_ids(&box, &ids, e);

	return rc == 0 ? change_ids(&ids, e) : rc;
}

/* A change of user clears it, so it follows that. */
static int
follow_parent(pid_t parent, struct err *e)
{
	if (parent == 0)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return err_sys(e, "set the parent-death signal");
	if (getppid() != parent) /* it was faster */
		return err_set(e, ERR_CHANGED, "the parent process has gone");
	return 0;
}

static int
scrub_environment(const char *const *keep, struct err *e)
{
	char *values[KEPT_VARIABLES] = { NULL };
	size_t i, count = 0;
	const char *value;
	int bad = 0;

	while (keep != NULL && keep[count] != NULL && count < KEPT_VARIABLES) {
		value = getenv(keep[count]);
		values[count++] = value == NULL ? NULL : strdup(value);
	}
	bad |= clearenv();
	bad |= setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	for (i = 0; i < count; i++) {
		if (values[i] != NULL)
			bad |= setenv(keep[i], values[i], 1);
		free(values[i]);
	}
	return bad != 0 ? err_memory(e) : 0;
}

#ifdef PECIA_NO_SANDBOX

static int
confine_process(const struct sandbox *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

/* A sanitizer holds descriptors of its own. */
static int
close_others(const struct sandbox *s, struct err *e)
{
	(void)s;
	(void)e;
	return 0;
}

#else

static int
limit(__rlimit_resource_t what, uint64_t value, const char *name, struct err *e)
{
	struct rlimit r;

	if (getrlimit(what, &r) != 0)
		return err_sys(e, "read limit of %s", name);
	if (value > r.rlim_max)
		value = r.rlim_max;
	r.rlim_cur = r.rlim_max = value;
	if (setrlimit(what, &r) != 0)
		return err_sys(e, "limit %s", name);
	return 0;
}

static int
set_limits(const struct sandbox *s, struct err *e)
{
	int ret = limit(RLIMIT_CORE, 0, "core size", e);

	if (ret == 0 && s->max_memory_bytes > 0)
		ret = limit(RLIMIT_AS, s->max_memory_bytes, "memory", e);
	if (ret == 0 && s->max_file_bytes > 0)
		ret = limit(RLIMIT_FSIZE, s->max_file_bytes, "file size", e);
	if (ret == 0 && s->max_files > 0)
		ret = limit(RLIMIT_NOFILE, s->max_files, "open files", e);
	return ret;
}

static int
by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int
close_between(unsigned first, unsigned last, struct err *e)
{
	if (first <= last && close_range(first, last, 0) != 0)
		return err_sys(e, "close descriptors");
	return 0;
}

static int
close_others(const struct sandbox *s, struct err *e)
{
	unsigned from = STDERR_FILENO + 1;
	size_t i;
	int ret = 0, *keep;

	keep = malloc((s->keep_count + 1) * sizeof(*keep));
	if (keep == NULL)
		return err_memory(e);
	if (s->keep_count > 0)
		memcpy(keep, s->keep_fds, s->keep_count * sizeof(*keep));
	qsort(keep, s->keep_count, sizeof(*keep), by_number);
	for (i = 0; ret == 0 && i < s->keep_count; i++) {
		if (keep[i] < (int)from)
			continue;
		ret = close_between(from, (unsigned)keep[i] - 1, e);
		from = (unsigned)keep[i] + 1;
	}
	if (ret == 0)
		ret = close_between(from, ~0U, e);
	free(keep);
	return ret;
}

static int
confine_process(const struct sandbox *s, struct err *e)
{
	int ret = set_limits(s, e);

	if (ret == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		ret = err_sys(e, "forbid dumps");
	if (ret == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		ret = err_sys(e, "set no_new_privs");
	return ret;
}

#endif

int
sandbox_enter(const struct sandbox *s, struct err *e)
{
	struct ids ids = { 0 };
	int rules = -1, ret;

	ret = find_ids(s, &ids, e);
	if (ret == 0)
		ret = landlock_rules(s, &rules, e);
	if (ret == 0)
		ret = change_ids(&ids, e);
	if (ret == 0)
		ret = follow_parent(s->parent, e);
	if (ret == 0)
		ret = scrub_environment(s->keep_env, e);
	if (ret == 0)
		ret = confine_process(s, e);
	if (ret == 0)
		ret = landlock_enforce(rules, e);
	else if (rules >= 0)
		close(rules);
	if (ret == 0 && s->close_others)
		ret = close_others(s, e);
	if (ret != 0)
		err_prefix(e, "give up privileges");
	return ret;
}
