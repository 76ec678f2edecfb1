/* Learning the newest release; runs in the applier, through the fetcher. */
#include "client/update.h"

#include "common/log.h"

/* The server said something that only concerns this server. */
static void
note_trouble(struct session *s, const char *route, const struct err *why)
{
	progress_end(s->progress);
	log_event(LOG_WARNING, "server passed over", "route", route, "why",
	    why->msg, NULL);
	buf_addf(&s->troubles, "%s%s: %s", s->troubles.len > 0 ? "; " : "",
	    route, why->msg);
}

/* Content and our certificate are only for servers that the roster lists. */
static int
check_server(struct session *s, struct err *e)
{
	const struct roster_mirror *mirror = NULL;
	int rc;

	if ((rc = learn_check_server(&s->learn, &mirror, e)) != 0)
		return rc;
	(void)snprintf(s->site, sizeof(s->site), "%s", mirror->site);
	(void)snprintf(s->mirror, sizeof(s->mirror), "%s", mirror->name);
	return 0;
}

/* The accepted head stays the wanted one. */
static int
keep_head(struct session *s, struct err *e)
{
	const char *channel = s->settings->channel;
	const struct head *held;
	char name[LIMIT_NAME_BYTES + 16];
	int rc;

	rc = trust_head(s->trust, channel, &held, e);
	if (rc == 0 && held == NULL)
		rc = err_set(e, ERR_NOT_FOUND, "head of %s: not held", channel);
	if (rc != 0)
		return rc;
	s->head = *held;
	(void)snprintf(name, sizeof(name), "channel/%s", channel);
	buf_clear(&s->head_bytes);
	return s->store.get(s->store.arg, name, &s->head_bytes, e);
}

/* What this server knows; its release is s->release afterwards. */
static int
learn_all(struct session *s, struct err *e)
{
	struct learn *l = &s->learn;
	bool changed = false;
	int rc = 0;

	if (trust_root(s->trust) == NULL && (rc = learn_roots(l, e)) != 0)
		return rc;
	if (trust_roster(s->trust) == NULL && (rc = learn_roster(l, e)) != 0)
		return rc;
	rc = learn_head(l, s->settings->channel, &s->head_bytes, &changed, e);
	if (rc == 0 && changed)
		rc = learn_offer(
		    l, s->settings->channel, &s->head_bytes, &s->head, e);
	else if (rc == 0)
		rc = keep_head(s, e);
	if (rc != 0 || (rc = check_server(s, e)) != 0)
		return rc;
	release_release(&s->release);
	release_init(&s->release);
	return learn_release(l, &s->head, &s->release, e);
}

/* ---- candidates ---- */

static int
list_extras(struct session *s, struct err *e)
{
	const struct roster *roster = trust_roster(s->trust);
	size_t n = 0;

	/* The operator's own list takes the roster's place. */
	if (roster == NULL || s->settings->fallback_count > 0)
		return 0;
	for (size_t i = 0; i < roster->mirror_count; i++)
		n += roster->mirrors[i].address_count;
	if ((s->extras = calloc(n + 1, sizeof(*s->extras))) == NULL)
		return err_memory(e);
	n = 0;
	for (size_t i = 0; i < roster->mirror_count; i++)
		for (size_t k = 0; k < roster->mirrors[i].address_count; k++)
			s->extras[n++] = roster->mirrors[i].addresses[k];
	s->fetch_options.extras = s->extras;
	s->fetch_options.extra_count = n;
	return 0;
}

static int
start(struct session *s, struct err *e)
{
	const struct settings *set = s->settings;
	bool home_only;
	int rc;

	if ((rc = state_failures(&s->state, &s->failures, e)) != 0)
		return rc;
	home_only = set->wan_fallback == WAN_NEVER ||
	    (set->wan_fallback == WAN_AFTER_FAILURES &&
	        s->failures < set->wan_failures);

	s->fetch_options = (struct fetch_options){
		.progress = s->progress,
		.server = set->server,
		.short_name = set->name,
		.port = set->port,
		.no_srv = !set->srv,
		.fallbacks = (const char *const *)set->fallbacks,
		.fallback_count = home_only ? 0 : set->fallback_count,
		.identity = s->identity,
		.user = set->user,
	};
	if (!home_only && (rc = list_extras(s, e)) != 0)
		return rc;
	rc = fetch_start(&s->fetch_options, &s->fetch, e);
	s->learn = (struct learn){
		.trust = s->trust, .store = &s->store, .fetch = s->fetch
	};
	return rc != 0 ? rc : learn_keys(&s->learn, e);
}

static int
no_server(struct session *s, const struct err *last, struct err *e)
{
	return err_set(e, ERR_NET, "no server: %s%s%s",
	    s->troubles.len > 0 ? buf_str(&s->troubles) : "",
	    s->troubles.len > 0 ? "; " : "", last->msg);
}

/* Home is where the search leads, or the operator: going elsewhere may be
 * allowed after some runs that did not get there. */
static bool
is_home(const struct session *s)
{
	return strcmp(s->peer.source, "fallback") != 0 &&
	    strcmp(s->peer.source, "roster") != 0;
}

static int
find_server(struct session *s, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	for (unsigned i = 0; i < 2 * LIMIT_CANDIDATES; i++) {
		rc = fetch_connect(s->fetch, &s->peer, &why);
		if (rc == ERR_NOT_FOUND || rc == ERR_USAGE)
			break;
		if (rc != 0) {
			note_trouble(s, "fetcher", &why);
			continue;
		}
		if (learn_all(s, &why) == 0)
			return state_set_failures(
			    &s->state, is_home(s) ? 0 : s->failures + 1, e);
		note_trouble(s, s->peer.route, &why);
	}
	if (state_set_failures(&s->state, s->failures + 1, e) != 0)
		return e->code;
	return no_server(s, &why, e);
}

int
update_find(struct session *s, struct err *e)
{
	int rc;

	if ((rc = start(s, e)) != 0)
		return rc;
	if ((rc = find_server(s, e)) != 0)
		return rc;
	rc = release_profile_of(&s->release, s->settings->host, &s->profile, e);
	if (rc != 0)
		return rc;
	log_event(LOG_INFO, "server", "route", s->peer.route, "site", s->site,
	    "mirror", s->mirror, NULL);
	return 0;
}

int
update_next_server(struct session *s, const struct err *failed, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf body;
	int rc = ERR_NOT_FOUND;

	note_trouble(s, s->peer.route, failed);
	buf_init(&body, LIMIT_ROOT_BYTES);
	/* A fetcher that dies each time must not hold us for ever. */
	for (unsigned i = 0; i < 2 * LIMIT_CANDIDATES; i++) {
		rc = fetch_connect(s->fetch, &s->peer, &why);
		if (rc == ERR_NOT_FOUND)
			break;
		/* Any answer shows who it is. */
		if (rc == 0)
			rc = learn_get(&s->learn, "/v1/root/1",
			    LIMIT_ROOT_BYTES, &body, &why);
		if (rc == 0)
			rc = check_server(s, &why);
		if (rc == 0)
			break;
		note_trouble(s, s->peer.route, &why);
	}
	buf_release(&body);
	return rc == 0 ? 0 : no_server(s, &why, e);
}
