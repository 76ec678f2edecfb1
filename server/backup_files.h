/* What goes into a backup, and where it goes back to.
 *
 *     keys/root.pem, keys/release.pem, keys/head.pem
 *     identity/key.pem, identity/cert.pem    of the origin's peciad
 *     policy/NAME                            release definitions, settings
 *     repository/root/N, repository/roster, repository/channel/NAME
 *                                            to tell whose keys these are */
#ifndef SERVER_BACKUP_FILES_H
#define SERVER_BACKUP_FILES_H

#include "server/backup.h"
#include "server/origin.h"

struct backup_sources {
	const char *keys;
	const char
	    *identity;       /* directory; NULL: KEYS/identity if it is there */
	struct repo *repo;   /* NULL: there is none here */
	char *const *policy; /* files */
	size_t policy_count; /* 0: *.conf of the directory that keys is in */
};
/* ERR_NOT_FOUND: no key at all, or a file that was named. */
MUST_CHECK int backup_gather(
    const struct backup_sources *from, struct backup *out, struct err *e);

/* ERR_CONFLICT unless the repository begins with the same trust root as that
 * of the backup; one of them that has none says nothing. */
MUST_CHECK int backup_check_origin(
    const struct backup *b, const struct origin *o, struct err *e);

struct backup_restored {
	size_t written, same; /* files */
};
/* Puts keys, identity (KEYS/identity) and policy (KEYS/policy) back.  All is
 * looked at before anything is written: ERR_CONFLICT names a file that is
 * there and differs.  Each file arrives as a whole and durable; what was cut
 * off between two is finished by another call. */
MUST_CHECK int backup_put_back(const struct backup *b, const char *keys,
    struct backup_restored *out, struct err *e);

#endif
