/* getaddrinfo, held on a leash; runs where names are resolved. */
#include "common/resolver_system.h"

#include <netdb.h>
#include <resolv.h>
#include <stdlib.h>

void
resolver_system_clean_env(void)
{
	(void)unsetenv("LOCALDOMAIN");
	(void)unsetenv("RES_OPTIONS");
	(void)unsetenv("HOSTALIASES");
}

/* A name with a dot at its end would not be searched either, but libc would
 * not look for it in /etc/hosts.  RES_IGNTC, because libc waits for ever on
 * TCP. */
static int
set_libc_state(const struct resolver_system *s)
{
	if (res_init() != 0)
		return ERR_NOT_FOUND;
	_res.options &= ~(unsigned long)(RES_DNSRCH | RES_DEFNAMES);
	_res.options |= RES_IGNTC;
	_res.retrans = (int)((s->timeout_ms + 999) / 1000);
	_res.retry = (int)s->rounds;
	if (s->nameserver != NULL) {
		_res.nscount = 1;
		_res.nsaddr_list[0] = *s->nameserver;
	}
	return 0;
}

int
resolver_system_lookup(const struct resolver_system *s, const char *name,
    uint16_t port, struct dial_address *addrs, size_t max, size_t *count)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	size_t n = 0;

	if (set_libc_state(s) != 0 ||
	    getaddrinfo(name, NULL, &hints, &found) != 0)
		return ERR_NOT_FOUND;
	for (const struct addrinfo *a = found; a != NULL && n < max;
	     a = a->ai_next)
		if (dial_address_from_socket(&addrs[n], a->ai_addr, port) == 0)
			n++;
	freeaddrinfo(found);
	if (n == 0)
		return ERR_NOT_FOUND;
	*count = n;
	return 0;
}
