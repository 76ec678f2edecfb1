/* Options into a plan, the plan into candidates, and what they were made of;
 * runs where servers are talked to, without privilege. */
#include "common/resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/resolver_stage.h"

#define TRACE_MAX_BYTES 65536

const char *
resolver_source_text(enum resolver_source source)
{
	static const char *const texts[] = {
		[RESOLVER_BY_SERVER] = "server",
		[RESOLVER_BY_SRV] = "srv",
		[RESOLVER_BY_SEARCH] = "search",
		[RESOLVER_BY_FALLBACK] = "fallback",
		[RESOLVER_BY_ROSTER] = "roster",
	};

	return texts[source];
}

static uint32_t
random_up_to(void *arg, uint32_t last)
{
	uint32_t v = 0, n = last + 1;

	(void)arg;
	/* Without randomness the order is still one that RFC 2782 allows. */
	while (n != 0 && getrandom(&v, sizeof(v), 0) == sizeof(v) &&
	    v >= UINT32_MAX - UINT32_MAX % n)
		continue;
	return n == 0 ? v : v % n;
}

static void
set_defaults(struct resolver_options *o)
{
	if (o->server != NULL && o->server[0] == '\0')
		o->server = NULL;
	if (o->label == NULL)
		o->label = RESOLVER_LABEL;
	if (o->port == 0)
		o->port = RESOLVER_PORT;
	if (o->resolv_conf == NULL)
		o->resolv_conf = "/etc/resolv.conf";
	if (o->hosts == NULL)
		o->hosts = "/etc/hosts";
	if (o->timeout_ms == 0)
		o->timeout_ms = RESOLVER_TIMEOUT_MS;
	if (o->rounds == 0)
		o->rounds = RESOLVER_ROUNDS;
	if (o->random == NULL)
		o->random = random_up_to;
}

static void
add_pass(struct resolver *r, const char *label, enum resolver_source source,
    bool use_srv)
{
	struct resolver_pass *p = &r->passes[r->pass_count++];

	(void)snprintf(p->label, sizeof(p->label), "%s", label);
	p->source = source;
	p->use_srv = use_srv;
}

static int
usage(struct err *e, const char *what)
{
	(void)err_prefix(e, "%s", what);
	if (e != NULL)
		e->code = ERR_USAGE;
	return ERR_USAGE;
}

/* Checks what the operator gave, and makes the plan of it. */
static int
set_plan(struct resolver *r, struct err *e)
{
	const struct resolver_options *o = &r->o;
	struct resolver_endpoint ep;
	bool has_port;

	if (!resolver_conf_is_name(o->label) || strchr(o->label, '.') != NULL)
		return err_set(e, ERR_USAGE,
		    "short name %s: not one label of letters, digits, - and _",
		    o->label);
	for (size_t i = 0; i < o->fallback_count; i++)
		if (resolver_endpoint_parse(
		        o->fallback[i], o->port, &ep, NULL, e) != 0)
			return usage(e, "fallback");
	if (o->server != NULL) {
		if (resolver_endpoint_parse(
		        o->server, o->port, &ep, &has_port, e) != 0)
			return usage(e, "server");
		if (has_port || strpbrk(o->server, ".:") != NULL)
			r->server = ep;
		else
			add_pass(r, ep.host, RESOLVER_BY_SERVER, false);
		if (o->server_only)
			return 0;
	}
	if (!o->no_search)
		add_pass(r, o->label, RESOLVER_BY_SEARCH, o->use_srv);
	return 0;
}

static void
read_conf(struct resolver *r)
{
	struct buf text;
	struct err why = ERR_INIT;
	char own[LIMIT_HOST_BYTES + 1] = "";
	const char *hostname = r->o.hostname;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	if (fsat_operator_read(
	        r->o.resolv_conf, LIMIT_CONFIG_BYTES, &text, &why) != 0) {
		buf_clear(&text);
		resolver_note(r, "search list not read", why.msg);
	}
	resolver_conf_parse(&r->conf, text.data, text.len);
	buf_release(&text);
	if (hostname == NULL && gethostname(own, sizeof(own) - 1) == 0)
		hostname = own;
	resolver_conf_default_domain(
	    &r->conf, hostname != NULL ? hostname : "");
	if (r->conf.skipped > 0)
		buf_addf(&r->trace,
		    "%s: %zu words of the search list not used\n",
		    r->o.resolv_conf, r->conf.skipped);
	if (r->conf.domain_count == 0)
		resolver_note(r, r->o.resolv_conf, "no domain to search");
}

static int
set_servers(struct resolver *r, struct err *e)
{
	const struct sockaddr_in *given = r->o.nameserver;

	r->servers = (struct resolver_servers){ .addrs = r->conf.servers,
		.count = r->conf.server_count,
		.timeout_ms = r->o.timeout_ms,
		.rounds = r->o.rounds };
	r->system = (struct resolver_system){ .nameserver = given,
		.timeout_ms = r->o.timeout_ms,
		.rounds = r->o.rounds };
	if (given == NULL)
		return 0;
	r->servers.addrs = &r->nameserver;
	r->servers.count = 1;
	if (dial_address_from_socket(&r->nameserver,
	        (const struct sockaddr *)given, ntohs(given->sin_port)) != 0)
		return err_set(e, ERR_USAGE, "name server: no IPv4 address");
	return 0;
}

int
resolver_new(const struct resolver_options *options, struct resolver **out,
    struct err *e)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int ret;

	if (r == NULL)
		return err_memory(e);
	r->o = *options;
	set_defaults(&r->o);
	buf_init(&r->trace, TRACE_MAX_BYTES);
	buf_init(&r->hosts, LIMIT_CONFIG_BYTES);
	resolver_system_clean_env();
	ret = set_plan(r, e);
	if (ret == 0) {
		read_conf(r);
		ret = set_servers(r, e);
	}
	if (ret != 0) {
		resolver_free(r);
		return ret;
	}
	*out = r;
	return 0;
}

void
resolver_free(struct resolver *r)
{
	if (r == NULL)
		return;
	buf_release(&r->hosts);
	buf_release(&r->trace);
	free(r);
}

static int
no_more(const struct resolver *r, struct err *e)
{
	char text[ERR_MSG_BYTES];
	size_t len = 0;

	for (const char *p = buf_str(&r->trace);
	     *p != '\0' && len + 3 < sizeof(text); p++) {
		if (*p != '\n') {
			text[len++] = *p;
		} else if (p[1] != '\0') {
			text[len++] = ';';
			text[len++] = ' ';
		}
	}
	text[len] = '\0';
	return err_set(e, ERR_NOT_FOUND, "%s: %s",
	    r->given_count > 0 ? "no other server" : "no server found", text);
}

int
resolver_next(struct resolver *r, struct resolver_candidate *c, struct err *e)
{
	struct resolver_endpoint *given = &r->given[r->given_count];
	int ret = RESOLVER_NO_CANDIDATE;

	while (ret == RESOLVER_NO_CANDIDATE && r->stage != STAGE_END &&
	    r->given_count < LIMIT_CANDIDATES)
		ret = resolver_stage_run(r, e);
	if (ret == RESOLVER_NO_CANDIDATE)
		return no_more(r, e);
	if (ret != 0)
		return ret;
	memcpy(given->host, r->next.host, sizeof(given->host));
	given->port = r->next.port;
	r->given_count++;
	*c = r->next;
	return 0;
}

const char *
resolver_trace(const struct resolver *r)
{
	return buf_str(&r->trace);
}

bool
resolver_is_ill(const struct resolver *r)
{
	return r->ill;
}

void
resolver_describe(const struct resolver_candidate *c, size_t index,
    char dst[RESOLVER_DESCRIBE_BYTES])
{
	bool same = strcmp(c->asked, c->host) == 0;
	bool v6 = strchr(c->host, ':') != NULL;
	char port[8] = "";

	if (c->port != RESOLVER_PORT)
		(void)snprintf(port, sizeof(port), ":%u", c->port);
	(void)snprintf(dst, RESOLVER_DESCRIBE_BYTES, "%s%s%s%s%s%s (%s) -> %s",
	    same ? "" : c->asked, same ? "" : " -> ", v6 ? "[" : "", c->host,
	    v6 ? "]" : "", port, resolver_source_text(c->source),
	    c->addrs[index].text);
}
