/* Before an origin signs: does another one? */
#include <limits.h>
#include <stdio.h>

#include "common/crypto_identity.h"
#include "server/ahead.h"
#include "server/ctl.h"

/* This host's key in the roster; an origin that has none here asks itself,
 * which does no harm. */
static bool
own_key(const struct ctl_options *o, struct digest *out)
{
	struct tls_identity *id = NULL;
	struct err none = ERR_INIT;
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s",
	    o->identity != NULL ? o->identity : o->keys,
	    o->identity != NULL ? "" : "/identity");
	if (tls_identity_open(path, false, &id, &none) != 0)
		return false;
	tls_identity_digest(id, out);
	tls_identity_free(id);
	return true;
}

/* What to do about it, by what this repository is. */
static int
explain(struct origin *origin, struct err *e)
{
	struct err found = *e;
	bool is_mirror = false;

	if (origin_is_mirror(origin, &is_mirror, e) != 0)
		return e->code;
	if (is_mirror)
		return err_set(e, ERR_CONFLICT,
		    "%s: let %s replicate that first, or promote that mirror",
		    found.msg, repo_name(origin->repo));
	return err_set(e, ERR_CONFLICT,
	    "%s: another origin publishes now, and nothing was signed here; "
	    "peciactl demote makes this repository a mirror's",
	    found.msg);
}

int
ctl_look(const struct ctl_options *o, struct origin *origin,
    const char *channel, struct err *e)
{
	struct ahead found = { 0, 0 };
	struct digest self;
	int ret;

	if (o->offline)
		return 0;
	ret = ahead_look(
	    origin, channel, own_key(o, &self) ? &self : NULL, &found, e);
	if (ret == ERR_CONFLICT)
		return explain(origin, e);
	if (ret == 0 && found.asked > 0 && found.answered == 0)
		(void)fprintf(stderr,
		    "peciactl: none of %u mirrors answered: whether another "
		    "origin publishes is not known\n",
		    found.asked);
	return ret;
}
