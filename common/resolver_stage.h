/* Inside the resolver: its state, and the stages that make candidates. */
#ifndef COMMON_RESOLVER_STAGE_H
#define COMMON_RESOLVER_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/resolver.h"
#include "common/resolver_conf.h"
#include "common/resolver_query.h"
#include "common/resolver_system.h"

#define RESOLVER_NO_CANDIDATE 1 /* of a stage: nothing here, go on */

enum resolver_stage {
	STAGE_SERVER, /* the server that was asked for, as it is */
	STAGE_BARE,   /* a pass begins: its label in the hosts file */
	STAGE_HOSTS,  /* label and domain in the hosts file */
	STAGE_SRV,
	STAGE_TARGET, /* of the SRV records found, one after another */
	STAGE_LABEL,  /* label and domain in DNS */
	STAGE_FALLBACK,
	STAGE_ROSTER,
	STAGE_END,
};

/* One walk along the search domains. */
struct resolver_pass {
	char label[LIMIT_HOST_BYTES + 1];
	enum resolver_source source;
	bool use_srv;
};

struct resolver_endpoint {
	char host[LIMIT_HOST_BYTES + 1];
	uint16_t port;
};

struct resolver {
	struct resolver_options o; /* with defaults filled in */
	struct resolver_conf conf;
	struct dial_address nameserver; /* of the options */
	struct resolver_servers servers;
	struct resolver_system system;
	struct buf hosts;
	bool hosts_read;
	struct buf trace;
	enum resolver_stage stage;
	struct resolver_endpoint server; /* host "": none to be used as it is */
	struct resolver_pass passes[2];
	size_t pass_count, pass;
	size_t domain;               /* of conf.domains */
	size_t at;                   /* of the fallback or roster list */
	struct resolver_answer hits; /* SRV records being used */
	size_t hit;
	bool hit_ill; /* a target could not be resolved */
	bool ill;
	struct resolver_endpoint given[LIMIT_CANDIDATES];
	size_t given_count;
	struct resolver_answer answer;
	struct resolver_candidate next;
};

/* Adds "what: result" to the trace. */
void resolver_note(struct resolver *r, const char *what, const char *result);

/* Splits HOST[:PORT] as text_host_port; *has_port, which may be NULL, says
 * whether there was a port.  ERR_FORMAT: neither a name nor an address. */
MUST_CHECK int resolver_endpoint_parse(const char *s, uint16_t default_port,
    struct resolver_endpoint *ep, bool *has_port, struct err *e);

/* Does one step of r->stage and sets the stage that comes next.  0: r->next is
 * a candidate; RESOLVER_NO_CANDIDATE: this step gave none.  Not for
 * STAGE_END. */
MUST_CHECK int resolver_stage_run(struct resolver *r, struct err *e);

#endif
