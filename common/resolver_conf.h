/* What the files of the local name service say: the search list and name
 * servers of resolv.conf, the addresses of the hosts file.
 *
 * Both are read by us because libc does not give what we need: its state
 * keeps 6 search domains although it searches more, and says nowhere whether
 * a name stands in the hosts file.  Pure functions over bytes; what no reader
 * of these files could use is skipped, never an error. */
#ifndef COMMON_RESOLVER_CONF_H
#define COMMON_RESOLVER_CONF_H

#include <stdbool.h>
#include <stddef.h>

#include "common/dial.h"
#include "common/limits.h"

#define RESOLVER_CONF_SERVERS 3 /* MAXNS of libresolv */

struct resolver_conf {
	char domains[LIMIT_SEARCH_DOMAINS][LIMIT_HOST_BYTES + 1];
	size_t domain_count;
	size_t skipped; /* words of the search list that were not used */
	struct dial_address servers[RESOLVER_CONF_SERVERS]; /* port 53 */
	size_t server_count;
};

/* Whether s is one or more labels of 1 to 63 letters, digits, '-' and '_',
 * joined by dots, at most LIMIT_HOST_BYTES in all; no dot at the end. */
bool resolver_conf_is_name(const char *s);

/* A to Z become a to z. */
void resolver_conf_lower(char *s);

/* Reads resolv.conf.  The last of all `search` and `domain` lines that name
 * anything counts; domains lose a trailing dot, and are lower case and
 * different from each other; the root is no domain to search.  `nameserver`
 * lines past RESOLVER_CONF_SERVERS are left out; without any it is 127.0.0.1.
 * From: resolv.conf(5); glibc 2.36 res_init.c. */
void resolver_conf_parse(struct resolver_conf *c, const void *text, size_t len);

/* Without a domain to search, takes what follows the first dot of the host's
 * own name. */
void resolver_conf_default_domain(
    struct resolver_conf *c, const char *hostname);

/* The addresses, at most max, that a hosts file has for `name`; any letter
 * case, as name or alias.  Each gets `port`.  Returns how many. */
size_t resolver_conf_hosts(const void *text, size_t len, const char *name,
    uint16_t port, struct dial_address *out, size_t max);

#endif
