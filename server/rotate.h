/* New keys in place of those that were lost or stolen, authorised by the root
 * key: a trust root of the next version. */
#ifndef SERVER_ROTATE_H
#define SERVER_ROTATE_H

#include "server/keys.h"
#include "server/origin.h"

struct rotate {
	const char *keys;      /* directory of release.pem and head.pem */
	const char *root_keys; /* of root.pem */
	bool which[KEYS_COUNT];
};

/* Makes the new keys beside the old as NAME.next.pem, puts the trust root that
 * replaces these by those, in every role that they had, and gives them their
 * names; the old files are gone.  Cut off before the root is put, nothing has
 * changed but for keys nobody knows; after it, another call does the rest.
 * The caller holds the lock and has loaded `o`, and loads it again.
 * ERR_USAGE: root.pem may not sign; ERR_UNSUPPORTED: a role has several keys or
 * a threshold, whose holders write roots by hand (doc/formats.md). */
MUST_CHECK int rotate_run(
    struct origin *o, const struct rotate *how, struct err *e);

#endif
