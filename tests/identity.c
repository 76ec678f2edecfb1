/* TLS identities in a scratch directory. */
#include "tests/identity.h"

#include <check.h>

struct tls_identity *
identity_in(const struct scratch *s, const char *name)
{
	struct tls_identity *id = NULL;
	struct err e = ERR_INIT;
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
	ck_assert_msg(tls_identity_open(path, true, &id, &e) == 0, "%s", e.msg);
	return id;
}
