#include "server/daemon_users.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "common/fsat.h"

static int
copy_name(char dst[256], uid_t uid, struct err *e)
{
	struct passwd pw, *found = NULL;
	char text[4096];

	if (getpwuid_r(uid, &pw, text, sizeof(text), &found) != 0 ||
	    found == NULL)
		return err_set(e, ERR_USAGE,
		    "the repository's owner, uid %u, has no name", uid);
	(void)snprintf(dst, 256, "%s", found->pw_name);
	return 0;
}

int
daemon_users_choose(const char *configured, int repo_fd,
    struct daemon_users *out, struct err *e)
{
	struct fsat_stat st;
	int rc;

	out->owner[0] = '\0';
	(void)snprintf(out->reader, sizeof(out->reader), "nobody");
	if (configured != NULL) {
		(void)snprintf(
		    out->owner, sizeof(out->owner), "%s", configured);
		(void)snprintf(
		    out->reader, sizeof(out->reader), "%s", configured);
		return 0;
	}
	if ((rc = fsat_stat_fd(repo_fd, &st, e)) != 0 || st.uid == 0 ||
	    geteuid() != 0)
		return rc;
	if ((rc = copy_name(out->owner, st.uid, e)) == 0)
		(void)snprintf(
		    out->reader, sizeof(out->reader), "%s", out->owner);
	return rc;
}

const char *
daemon_users_owner(const struct daemon_users *u)
{
	return u->owner[0] != '\0' ? u->owner : NULL;
}
