/* Whom peciad's processes become when it is started as root. */
#ifndef SERVER_DAEMON_USERS_H
#define SERVER_DAEMON_USERS_H

#include "common/err.h"

struct daemon_users {
	char owner[256];  /* whoever writes the repository; "": stay */
	char reader[256]; /* workers and fetchers */
};

/* As configured, or the repository's owner; root reads nothing from outside:
 * where he owns it, readers are nobody. */
MUST_CHECK int daemon_users_choose(const char *configured, int repo_fd,
    struct daemon_users *out, struct err *e);
/* As struct sandbox wants it: NULL is to stay. */
const char *daemon_users_owner(const struct daemon_users *u);

#endif
