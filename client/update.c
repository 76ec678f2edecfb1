/* Learning the newest release; runs in the applier, through the fetcher. */
#include "client/update.h"

#include "common/log.h"

#define ETAG_BYTES (DIGEST_HEX + 2)

/* The server said something that only concerns this server. */
static void
note_trouble(struct session *s, const char *route, const struct err *why)
{
	log_event(LOG_WARNING, "server passed over", "route", route, "why",
	    why->msg, NULL);
	buf_addf(&s->troubles, "%s%s: %s", s->troubles.len > 0 ? "; " : "",
	    route, why->msg);
}

static int
get(struct session *s, const char *path, const char *etag, size_t max_bytes,
    struct buf *body, struct fetch_answer *answer, struct err *e)
{
	struct fetch_get g = { .path = path, .if_none_match = etag,
		.max_bytes = max_bytes };

	buf_clear(body);
	return fetch_get(s->fetch, &g, body, answer, e);
}

static int
unexpected(const char *path, int status, struct err *e)
{
	return err_set(e, status == 404 ? ERR_NOT_FOUND : ERR_NET,
	    "%s: status %d", path, status);
}

/* Roots after the one held, as many as there are. */
static int
update_roots(struct session *s, struct err *e)
{
	struct fetch_answer answer;
	struct buf body;
	char path[64];
	int rc = 0;

	buf_init(&body, LIMIT_ROOT_BYTES);
	for (unsigned i = 0; i < LIMIT_ROOT_VERSIONS && rc == 0; i++) {
		const struct root *held = trust_root(s->trust);
		uint64_t next = held == NULL ? 1 : held->version + 1;

		snprintf(path, sizeof(path), "/v1/root/%llu",
		    (unsigned long long)next);
		rc = get(s, path, NULL, LIMIT_ROOT_BYTES, &body, &answer, e);
		if (rc != 0 || (answer.status == 404 && next > 1))
			break;
		if (answer.status != 200)
			rc = unexpected(path, answer.status, e);
		else
			rc = trust_offer_root(s->trust, body.data, body.len,
			    e);
		if (rc != 0)
			err_prefix(e, "%s", path);
	}
	buf_release(&body);
	return rc;
}

static int
tell_keys(struct session *s, struct err *e)
{
	const struct roster *roster = trust_roster(s->trust);
	struct digest *keys;
	size_t n = 0, at = 0;
	int rc;

	if (roster == NULL)
		return 0;
	for (size_t i = 0; i < roster->mirror_count; i++)
		n += roster->mirrors[i].key_count;
	if ((keys = calloc(n + 1, sizeof(*keys))) == NULL)
		return err_memory(e);
	for (size_t i = 0; i < roster->mirror_count; i++)
		for (size_t k = 0; k < roster->mirrors[i].key_count; k++)
			keys[at++] = roster->mirrors[i].keys[k];
	rc = fetch_set_keys(s->fetch, keys, n, e);
	free(keys);
	return rc;
}

static int
update_roster(struct session *s, struct err *e)
{
	static const char path[] = "/v1/roster";
	struct fetch_answer answer;
	struct buf body;
	int rc;

	buf_init(&body, LIMIT_ROSTER_BYTES);
	rc = get(s, path, NULL, LIMIT_ROSTER_BYTES, &body, &answer, e);
	if (rc == 0 && answer.status != 200)
		rc = unexpected(path, answer.status, e);
	if (rc == 0 &&
	    (rc = trust_offer_roster(s->trust, body.data, body.len, e)) != 0)
		err_prefix(e, "%s", path);
	buf_release(&body);
	return rc != 0 ? rc : tell_keys(s, e);
}

/* The accepted head as the server would tag it, to be told "not modified". */
static int
head_etag(struct session *s, char etag[ETAG_BYTES])
{
	struct digest d;
	char hex[DIGEST_HEX];
	struct err ignored = ERR_INIT;
	char name[LIMIT_NAME_BYTES + 16];

	snprintf(name, sizeof(name), "channel/%s", s->settings->channel);
	buf_clear(&s->head_bytes);
	if (s->store.get(s->store.arg, name, &s->head_bytes, &ignored) != 0)
		return ERR_NOT_FOUND;
	digest_of(s->head_bytes.data, s->head_bytes.len, &d);
	digest_hex(&d, hex);
	snprintf(etag, ETAG_BYTES, "\"%s\"", hex);
	return 0;
}

/* A head signed by keys that a newer root names, or that names one. */
static int
offer_head(struct session *s, struct err *e)
{
	const char *channel = s->settings->channel;
	const struct root *root;
	struct err mine = ERR_INIT;
	int rc;

	rc = trust_offer_head(s->trust, channel, s->head_bytes.data,
	    s->head_bytes.len, &s->head, &mine);
	root = trust_root(s->trust);
	if (rc == ERR_VERIFY ||
	    (rc == 0 && s->head.root_version > root->version)) {
		if ((rc = update_roots(s, e)) != 0)
			return rc;
		rc = trust_offer_head(s->trust, channel, s->head_bytes.data,
		    s->head_bytes.len, &s->head, &mine);
	}
	if (rc != 0)
		*e = mine;
	return rc;
}

static int
update_head(struct session *s, struct fetch_answer *answer, struct err *e)
{
	char path[LIMIT_NAME_BYTES + 32], etag[ETAG_BYTES];
	const struct head *held;
	bool have = head_etag(s, etag) == 0;
	struct buf body;
	int rc;

	snprintf(path, sizeof(path), "/v1/channel/%s", s->settings->channel);
	buf_init(&body, LIMIT_HEAD_BYTES);
	rc = get(s, path, have ? etag : NULL, LIMIT_HEAD_BYTES, &body, answer,
	    e);
	if (rc != 0)
		goto out;
	if (answer->status == 304 && have) {
		rc = trust_head(s->trust, s->settings->channel, &held, e);
		if (rc == 0 && held == NULL)
			rc = err_set(e, ERR_NOT_FOUND, "%s: not held", path);
		if (rc == 0)
			s->head = *held;
		goto out;
	}
	if (answer->status != 200) {
		rc = unexpected(path, answer->status, e);
		if (rc == ERR_NOT_FOUND)
			err_set(e, rc, "the server has no channel %s",
			    s->settings->channel);
		goto out;
	}
	buf_clear(&s->head_bytes);
	buf_add(&s->head_bytes, body.data, body.len);
	rc = offer_head(s, e);
	if (rc != 0)
		err_prefix(e, "%s", path);
out:
	buf_release(&body);
	return rc;
}

static int
update_release(struct session *s, struct err *e)
{
	struct fetch_answer answer;
	struct err mine = ERR_INIT;
	char path[128], hex[DIGEST_HEX];
	struct buf body;
	int rc;

	release_release(&s->release);
	release_init(&s->release);
	rc = trust_find_release(s->trust, &s->head, &s->release, &mine);
	if (rc == 0)
		return 0;
	digest_hex(&s->head.release, hex);
	snprintf(path, sizeof(path), "/v1/release/%s", hex);
	buf_init(&body, LIMIT_RELEASE_BYTES);
	rc = get(s, path, NULL, (size_t)s->head.release_bytes, &body, &answer,
	    e);
	if (rc == 0 && answer.status != 200)
		rc = unexpected(path, answer.status, e);
	if (rc == 0 && (rc = trust_accept_release(s->trust, &s->head,
	    body.data, body.len, &s->release, e)) != 0)
		err_prefix(e, "%s", path);
	buf_release(&body);
	return rc;
}

/* Content and our certificate are only for servers that the roster lists. */
static int
check_server(struct session *s, const struct fetch_answer *answer,
    struct err *e)
{
	const struct roster_mirror *mirror = NULL;
	char hex[DIGEST_HEX];

	if (!trust_known_key(s->trust, &answer->key, &mirror)) {
		digest_hex(&answer->key, hex);
		return err_set(e, ERR_VERIFY,
		    "its key sha256:%s is not in the roster", hex);
	}
	snprintf(s->site, sizeof(s->site), "%s", mirror->site);
	snprintf(s->mirror, sizeof(s->mirror), "%s", mirror->name);
	return 0;
}

static int
learn(struct session *s, struct err *e)
{
	const struct roster *roster;
	struct fetch_answer answer = { .status = 0 };
	int rc = 0;

	if (trust_root(s->trust) == NULL && (rc = update_roots(s, e)) != 0)
		return rc;
	if (trust_roster(s->trust) == NULL && (rc = update_roster(s, e)) != 0)
		return rc;
	if ((rc = update_head(s, &answer, e)) != 0)
		return rc;
	roster = trust_roster(s->trust);
	if (s->head.roster_version > roster->version &&
	    (rc = update_roster(s, e)) != 0)
		return rc;
	if ((rc = check_server(s, &answer, e)) != 0)
		return rc;
	return update_release(s, e);
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

	s->fetch_options = (struct fetch_options) {
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
	return rc != 0 ? rc : tell_keys(s, e);
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
		if ((rc = learn(s, &why)) == 0)
			return state_set_failures(&s->state,
			    is_home(s) ? 0 : s->failures + 1, e);
		note_trouble(s, s->peer.route, &why);
	}
	if ((rc = state_set_failures(&s->state, s->failures + 1, e)) != 0)
		return rc;
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
	rc = release_profile_of(&s->release, s->settings->host, &s->profile,
	    e);
	if (rc != 0)
		return rc;
	log_event(LOG_INFO, "server", "route", s->peer.route, "site", s->site,
	    "mirror", s->mirror, NULL);
	return 0;
}

int
update_next_server(struct session *s, const struct err *failed, struct err *e)
{
	struct fetch_answer answer = { .status = 0 };
	struct err why = ERR_INIT;
	struct buf body;
	int rc;

	note_trouble(s, s->peer.route, failed);
	buf_init(&body, LIMIT_ROOT_BYTES);
	for (;;) {
		rc = fetch_connect(s->fetch, &s->peer, &why);
		if (rc == ERR_NOT_FOUND) {
			rc = no_server(s, &why, e);
			break;
		}
		/* Any answer shows who it is. */
		if (rc == 0)
			rc = get(s, "/v1/root/1", NULL, LIMIT_ROOT_BYTES,
			    &body, &answer, &why);
		if (rc == 0)
			rc = check_server(s, &answer, &why);
		if (rc == 0)
			break;
		note_trouble(s, s->peer.route, &why);
	}
	buf_release(&body);
	return rc;
}
