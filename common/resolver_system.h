/* Addresses of an absolute name as the system sees them: nsswitch.conf,
 * /etc/hosts, gai.conf, with libc's search list switched off. */
#ifndef COMMON_RESOLVER_SYSTEM_H
#define COMMON_RESOLVER_SYSTEM_H

#include <netinet/in.h>
#include <stddef.h>

#include "common/dial.h"

struct resolver_system {
	const struct sockaddr_in *nameserver; /* NULL: those of the system */
	unsigned timeout_ms; /* a server, a round; libc rounds up to seconds */
	unsigned rounds;
};

/* Takes out of the environment what changes libc's answers.  Not while there
 * are other threads. */
void resolver_system_clean_env(void);

/* At most max addresses of `name`, each with `port`, in the order of use.
 * ERR_NOT_FOUND: none, for whatever reason.  Sets the calling thread's
 * libresolv state, and leaves it set. */
MUST_CHECK int resolver_system_lookup(const struct resolver_system *s,
    const char *name, uint16_t port, struct dial_address *addrs, size_t max,
    size_t *count);

#endif
