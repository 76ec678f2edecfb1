/* A directory of its own for a test. */
#include "tests/scratch.h"

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "common/fsat.h"

void
scratch_make(struct scratch *s)
{
	const char *top = getenv("TMPDIR");
	struct err e = ERR_INIT;

	(void)snprintf(s->path, sizeof(s->path), "%s/pecia-check-XXXXXX",
	    top != NULL ? top : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(s->path));
	ck_assert_msg(fsat_operator_dir(s->path, false, 0700, &s->fd, &e) == 0,
	    "%s", e.msg);
}

void
scratch_remove(struct scratch *s)
{
	struct err e = ERR_INIT;
	struct fsat_names names;

	ck_assert_int_eq(fsat_list(s->fd, &names, &e), 0);
	for (size_t i = 0; i < names.count; i++)
		ck_assert_msg(fsat_remove_tree(s->fd, names.names[i], &e) == 0,
		    "%s", e.msg);
	fsat_names_release(&names);
	close(s->fd);
	ck_assert_int_eq(rmdir(s->path), 0);
}

bool
scratch_own_mounts(void)
{
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return true;
	(void)printf("passed over: no mounts of our own: %s\n",
	    geteuid() == 0 ? strerror(errno) : "not root");
	return false;
}
