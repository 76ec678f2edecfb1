/* The stages in which a resolver makes candidates; runs where servers are
 * talked to, without privilege.
 *
 * Each stage is one function, which does one step, sets the stage that comes
 * next, and either fills r->next or says that this step gave none. */
#include "common/resolver_stage.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/fsat.h"
#include "common/text.h"

#define SRV_PREFIX "_pecia._tcp."

/* -- the trace -- */

void
resolver_note(struct resolver *r, const char *what, const char *result)
{
	buf_addf(&r->trace, "%s: %s\n", what, result);
}

static void
note_found(
    struct resolver *r, const struct resolver_candidate *c, const char *by)
{
	buf_addf(&r->trace, "%s:", c->host);
	for (size_t i = 0; i < c->count; i++)
		buf_addf(&r->trace, " %s", c->addrs[i].text);
	buf_addf(&r->trace, " (%s)\n", by);
}

/* -- one name -- */

static void
read_hosts(struct resolver *r)
{
	struct err why = ERR_INIT;

	if (r->hosts_read)
		return;
	r->hosts_read = true;
	if (fsat_operator_read(
	        r->o.hosts, LIMIT_CONFIG_BYTES, &r->hosts, &why) == 0)
		return;
	buf_clear(&r->hosts);
	if (why.code != ERR_NOT_FOUND)
		resolver_note(r, "hosts file not used", why.msg);
}

/* Begins the next candidate.  False: it was given out before. */
static bool
candidate_init(struct resolver *r, enum resolver_source source,
    const char *asked, const char *host, uint16_t port)
{
	struct resolver_candidate *c = &r->next;

	for (size_t i = 0; i < r->given_count; i++)
		if (r->given[i].port == port &&
		    strcasecmp(r->given[i].host, host) == 0)
			return false;
	memset(c, 0, sizeof(*c));
	c->source = source;
	c->port = port;
	(void)snprintf(c->asked, sizeof(c->asked), "%s", asked);
	(void)snprintf(c->host, sizeof(c->host), "%s", host);
	return true;
}

static void
candidate_in_domain(struct resolver *r)
{
	(void)snprintf(r->next.domain, sizeof(r->next.domain), "%s",
	    r->conf.domains[r->domain]);
}

static int
find_in_hosts(struct resolver *r)
{
	struct resolver_candidate *c = &r->next;

	read_hosts(r);
	c->count = resolver_conf_hosts(r->hosts.data, r->hosts.len, c->host,
	    c->port, c->addrs, LIMIT_ADDRESSES);
	if (c->count == 0)
		return RESOLVER_NO_CANDIDATE;
	note_found(r, c, "hosts file");
	return 0;
}

/* Our query decides whether there is such a name, and *status says so. */
static int
query_addresses(struct resolver *r, enum resolver_status *status, struct err *e)
{
	struct resolver_candidate *c = &r->next;
	int ret;

	ret = resolver_query(
	    &r->servers, c->host, RESOLVER_A, c->port, &r->answer, e);
	if (ret == 0 && r->answer.status == RESOLVER_NO_DATA)
		ret = resolver_query(&r->servers, c->host, RESOLVER_AAAA,
		    c->port, &r->answer, e);
	if (ret != 0)
		return ret;
	*status = r->answer.status;
	c->count = r->answer.count;
	memcpy(c->addrs, r->answer.addrs, c->count * sizeof(c->addrs[0]));
	return 0;
}

/* Fills the candidate with addresses.  as_is: a name that we were given whole
 * may be known to other services of nsswitch.conf than DNS; one that we made
 * by search is judged by DNS alone. */
static int
find_addresses(
    struct resolver *r, bool as_is, enum resolver_status *status, struct err *e)
{
	struct resolver_candidate *c = &r->next;
	int ret;

	*status = RESOLVER_FOUND;
	if (dial_address_parse(&c->addrs[0], c->host, c->port) == 0) {
		c->count = 1;
		return 0;
	}
	if (find_in_hosts(r) == 0)
		return 0;
	if (strchr(c->host, '.') == NULL) {
		resolver_note(r, c->host,
		    "not in the hosts file; a name without a dot"
		    " is not asked for in DNS");
		return RESOLVER_NO_CANDIDATE;
	}
	ret = query_addresses(r, status, e);
	if (ret != 0)
		return ret;
	if ((*status == RESOLVER_FOUND ||
	        (as_is && !resolver_status_is_ill(*status))) &&
	    resolver_system_lookup(&r->system, c->host, c->port, c->addrs,
	        LIMIT_ADDRESSES, &c->count) == 0)
		*status = RESOLVER_FOUND;
	if (*status != RESOLVER_FOUND) {
		resolver_note(r, c->host, resolver_status_text(*status));
		return RESOLVER_NO_CANDIDATE;
	}
	note_found(r, c, "dns");
	return 0;
}

/* -- hosts that are used as they are -- */

int
resolver_endpoint_parse(const char *s, uint16_t default_port,
    struct resolver_endpoint *ep, bool *has_port, struct err *e)
{
	char host[256] = "";
	struct dial_address numeric;
	uint16_t port = 0, other = 0;
	size_t len;
	int ret;

	/* Two defaults tell a port that was given from one that was not. */
	ret = text_host_port(s, 1, host, &other, e);
	if (ret == 0)
		ret = text_host_port(s, 2, host, &port, e);
	if (ret != 0)
		return ret;
	if (port == 0)
		return err_set(e, ERR_FORMAT, "%s: port 0", s);
	len = strlen(host);
	if (len > 0 && host[len - 1] == '.')
		host[--len] = '\0';
	if (len >= sizeof(ep->host) ||
	    (!resolver_conf_is_name(host) &&
	        dial_address_parse(&numeric, host, port) != 0))
		return err_set(
		    e, ERR_FORMAT, "%s: neither a host name nor an address", s);
	if (has_port != NULL)
		*has_port = port == other;
	memset(ep, 0, sizeof(*ep));
	memcpy(ep->host, host, len);
	ep->port = port == other ? port : default_port;
	return 0;
}

static int
use_as_is(struct resolver *r, enum resolver_source source,
    const struct resolver_endpoint *ep, struct err *e)
{
	enum resolver_status status = RESOLVER_FOUND;

	if (!candidate_init(r, source, ep->host, ep->host, ep->port))
		return RESOLVER_NO_CANDIDATE;
	return find_addresses(r, true, &status, e);
}

/* Without a further walk along the domains it is the hosts' turn. */
static void
next_pass(struct resolver *r, size_t pass)
{
	bool server_only = r->o.server_only && r->o.server != NULL;

	r->pass = pass;
	if (pass < r->pass_count)
		r->stage = STAGE_BARE;
	else
		r->stage = server_only ? STAGE_END : STAGE_FALLBACK;
}

static int
stage_server(struct resolver *r, struct err *e)
{
	next_pass(r, 0);
	if (r->server.host[0] == '\0')
		return RESOLVER_NO_CANDIDATE;
	return use_as_is(r, RESOLVER_BY_SERVER, &r->server, e);
}

static int
stage_fallback(struct resolver *r, struct err *e)
{
	struct resolver_endpoint ep = { .port = 0 };
	int ret;

	if (r->at == r->o.fallback_count) {
		r->at = 0;
		r->stage = STAGE_ROSTER;
		return RESOLVER_NO_CANDIDATE;
	}
	ret = resolver_endpoint_parse(
	    r->o.fallback[r->at++], r->o.port, &ep, NULL, e);
	if (ret != 0)
		return ret;
	return use_as_is(r, RESOLVER_BY_FALLBACK, &ep, e);
}

static int
stage_roster(struct resolver *r, struct err *e)
{
	struct err why = ERR_INIT;
	struct resolver_endpoint ep = { .port = 0 };

	if (r->at == r->o.roster_count) {
		r->stage = STAGE_END;
		return RESOLVER_NO_CANDIDATE;
	}
	if (resolver_endpoint_parse(
	        r->o.roster[r->at++], r->o.port, &ep, NULL, &why) != 0) {
		resolver_note(r, "roster", why.msg);
		return RESOLVER_NO_CANDIDATE;
	}
	return use_as_is(r, RESOLVER_BY_ROSTER, &ep, e);
}

/* -- the search -- */

static void
next_domain(struct resolver *r)
{
	r->domain++;
	if (r->domain < r->conf.domain_count)
		r->stage = STAGE_HOSTS;
	else
		next_pass(r, r->pass + 1);
}

/* Going on would take this host to another site because of a hiccup here. */
static void
stop_search(struct resolver *r)
{
	r->ill = true;
	resolver_note(r, "search stopped", "the local name service is ill");
	next_pass(r, r->pass_count);
}

/* Begins the candidate for the label in the current domain. */
static bool
label_in_domain(struct resolver *r)
{
	const struct resolver_pass *p = &r->passes[r->pass];
	const char *domain = r->conf.domains[r->domain];
	char name[2 * LIMIT_HOST_BYTES + 2];

	(void)snprintf(name, sizeof(name), "%s.%s", p->label, domain);
	if (!resolver_conf_is_name(name)) {
		resolver_note(r, name, "too long for a name");
		return false;
	}
	if (!candidate_init(r, p->source, p->label, name, r->o.port))
		return false;
	candidate_in_domain(r);
	return true;
}

static int
stage_bare(struct resolver *r, struct err *e)
{
	const struct resolver_pass *p = &r->passes[r->pass];

	(void)e;
	r->domain = 0;
	r->stage = STAGE_HOSTS;
	if (r->conf.domain_count == 0)
		next_domain(r);
	if (r->o.srv_only ||
	    !candidate_init(r, p->source, p->label, p->label, r->o.port))
		return RESOLVER_NO_CANDIDATE;
	return find_in_hosts(r);
}

static int
stage_hosts(struct resolver *r, struct err *e)
{
	(void)e;
	r->stage = r->passes[r->pass].use_srv ? STAGE_SRV : STAGE_LABEL;
	if (r->o.srv_only || !label_in_domain(r))
		return RESOLVER_NO_CANDIDATE;
	return find_in_hosts(r);
}

/* A sole target "." says that the service is not to be had in the domain;
 * among others it says nothing. */
static void
use_srv_records(struct resolver *r, const char *asked)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->hits.count; i++)
		if (r->hits.srv[i].target[0] != '\0')
			r->hits.srv[kept++] = r->hits.srv[i];
	r->hits.count = kept;
	if (kept == 0) {
		resolver_note(
		    r, asked, "the service is not offered in this domain");
		next_domain(r);
		return;
	}
	resolver_srv_order(r->hits.srv, kept, r->o.random, r->o.random_arg);
	for (size_t i = 0; i < kept; i++)
		buf_addf(&r->trace, "%s: %s:%u\n", asked, r->hits.srv[i].target,
		    r->hits.srv[i].port);
	r->hit = 0;
	r->hit_ill = false;
	r->stage = STAGE_TARGET;
}

static int
stage_srv(struct resolver *r, struct err *e)
{
	char asked[RESOLVER_ASKED_BYTES];
	int ret;

	r->stage = STAGE_LABEL;
	(void)snprintf(asked, sizeof(asked), "%s%s", SRV_PREFIX,
	    r->conf.domains[r->domain]);
	if (!resolver_conf_is_name(asked)) {
		resolver_note(r, asked, "too long for a name");
		return RESOLVER_NO_CANDIDATE;
	}
	ret = resolver_query(&r->servers, asked, RESOLVER_SRV, 0, &r->hits, e);
	if (ret != 0)
		return ret;
	if (r->hits.status == RESOLVER_FOUND) {
		use_srv_records(r, asked);
		return RESOLVER_NO_CANDIDATE;
	}
	resolver_note(r, asked, resolver_status_text(r->hits.status));
	if (resolver_status_is_ill(r->hits.status))
		stop_search(r);
	return RESOLVER_NO_CANDIDATE;
}

/* A target that cannot be resolved leaves the other targets of the site, and
 * nothing after them: only a time-out would repeat itself. */
static int
stage_target(struct resolver *r, struct err *e)
{
	char asked[RESOLVER_ASKED_BYTES];
	const struct resolver_srv *srv;
	enum resolver_status status;
	int ret;

	if (r->hit == r->hits.count) {
		r->stage = STAGE_LABEL;
		if (r->hit_ill)
			stop_search(r);
		return RESOLVER_NO_CANDIDATE;
	}
	srv = &r->hits.srv[r->hit++];
	(void)snprintf(asked, sizeof(asked), "%s%s", SRV_PREFIX,
	    r->conf.domains[r->domain]);
	if (!candidate_init(r, RESOLVER_BY_SRV, asked, srv->target, srv->port))
		return RESOLVER_NO_CANDIDATE;
	candidate_in_domain(r);
	ret = find_addresses(r, false, &status, e);
	if (ret == RESOLVER_NO_CANDIDATE && resolver_status_is_ill(status)) {
		r->hit_ill = true;
		if (status == RESOLVER_TIMEOUT)
			r->hit = r->hits.count;
	}
	return ret;
}

static int
stage_label(struct resolver *r, struct err *e)
{
	enum resolver_status status = RESOLVER_NO_DATA;
	int ret = RESOLVER_NO_CANDIDATE;

	if (!r->o.srv_only && label_in_domain(r))
		ret = find_addresses(r, false, &status, e);
	if (ret == RESOLVER_NO_CANDIDATE && resolver_status_is_ill(status))
		stop_search(r);
	else
		next_domain(r);
	return ret;
}

int
resolver_stage_run(struct resolver *r, struct err *e)
{
	static int (*const stages[])(struct resolver *, struct err *) = {
		[STAGE_SERVER] = stage_server,
		[STAGE_BARE] = stage_bare,
		[STAGE_HOSTS] = stage_hosts,
		[STAGE_SRV] = stage_srv,
		[STAGE_TARGET] = stage_target,
		[STAGE_LABEL] = stage_label,
		[STAGE_FALLBACK] = stage_fallback,
		[STAGE_ROSTER] = stage_roster,
	};

	return stages[r->stage](r, e);
}
