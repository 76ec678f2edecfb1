/* Whom a mirror follows; runs in the replicator. */
#include "server/upstreams.h"

#include <string.h>

#define MOST_SIBLINGS 16 /* before the configured ones */

size_t
upstreams_find(const struct upstreams *us, const struct upstream *wanted)
{
	size_t i = 0;

	while (i < us->count && strcmp(us->list[i].host, wanted->host) != 0)
		i++;
	return i;
}

static void
add(struct upstreams *us, enum upstream_kind kind, const char *host)
{
	struct upstream u = { .kind = kind };

	if (us->count == LIMIT_UPSTREAMS || strlen(host) >= sizeof(u.host))
		return;
	memcpy(u.host, host, strlen(host) + 1);
	if (upstreams_find(us, &u) == us->count)
		us->list[us->count++] = u;
}

static void
add_mirror(struct upstreams *us, enum upstream_kind kind,
    const struct roster_mirror *m)
{
	for (size_t i = 0; i < m->address_count; i++)
		add(us, kind, m->addresses[i]);
}

static void
add_siblings(struct upstreams *us, const struct roster *roster,
    const struct roster_mirror *own)
{
	for (const struct roster_mirror *m = roster->mirrors;
	     m != own && us->count < MOST_SIBLINGS; m++)
		if (strcmp(m->site, own->site) == 0)
			add_mirror(us, UPSTREAM_SIBLING, m);
}

static void
add_configured(struct upstreams *us, const char *const *hosts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(hosts[i], UPSTREAM_SRV_WORD) == 0)
			add(us, UPSTREAM_SRV, "");
		else
			add(us, UPSTREAM_CONFIGURED, hosts[i]);
	}
}

/* The mirrors from the one behind us on and round, of our site or not. */
static void
add_others(struct upstreams *us, const struct roster *roster,
    const struct roster_mirror *own, bool of_our_site)
{
	size_t n = roster->mirror_count, after = 0;

	if (own != NULL)
		after = (size_t)(own - roster->mirrors) + 1;
	for (size_t i = 0; i < n; i++) {
		const struct roster_mirror *m =
		    &roster->mirrors[(after + i) % n];
		bool ours = own != NULL && strcmp(m->site, own->site) == 0;

		if (m != own && ours == of_our_site)
			add_mirror(us, UPSTREAM_ROSTER, m);
	}
}

void
upstreams_make(const struct roster *roster, const struct digest *own_key,
    const char *const *configured, size_t configured_count,
    struct upstreams *out)
{
	const struct roster_mirror *own =
	    roster == NULL ? NULL : roster_find_key(roster, own_key);

	out->count = 0;
	if (own != NULL)
		add_siblings(out, roster, own);
	add_configured(out, configured, configured_count);
	if (roster == NULL)
		return;
	add_others(out, roster, own, true);
	add_others(out, roster, own, false);
}

enum fetch_aim
upstream_aim(const struct upstream *u)
{
	switch (u->kind) {
	case UPSTREAM_CONFIGURED:
		return FETCH_AIM_HOST;
	case UPSTREAM_SRV:
		return FETCH_AIM_SRV;
	case UPSTREAM_SIBLING:
	case UPSTREAM_ROSTER:
		break;
	}
	return FETCH_AIM_ROSTER;
}
