/* Fetching again; runs in the keeper, which verifies and writes.  Its fetcher
 * talks to the network. */
#include "server/repair.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto_identity.h"
#include "common/fsat.h"
#include "common/log.h"
#include "common/text.h"
#include "server/pull.h"
#include "server/repair_find.h"
#include "server/upstreams.h"

#define SERVERS_MAX (2 * LIMIT_CANDIDATES)

struct repair {
	struct origin *o;
	const struct repair_options *options;
	struct lacking lacking;
	struct fetch_options fetch_options;
	struct upstreams upstreams;
	const char *servers[LIMIT_UPSTREAMS]; /* of those */
	struct fetch *fetch;
	struct fetch_peer peer;
	struct pull pull;
};

/* ---- statements ---- */

static int
get(struct repair *r, const char *path, size_t max_bytes, struct buf *body,
    struct err *e)
{
	char url[REPO_PATH_BYTES + 1];
	struct fetch_get request = { .path = url, .max_bytes = max_bytes };
	struct fetch_answer answer;
	int ret;

	(void)snprintf(url, sizeof(url), "/%s", path);
	ret = fetch_get(r->fetch, &request, body, &answer, e);
	if (ret != 0)
		return ret;
	if (!answer.known)
		return err_set(e, ERR_VERIFY, "it is not in the roster");
	if (answer.status == 404)
		return err_set(e, ERR_NOT_FOUND, "it lacks %s", path);
	return answer.status == 200
	    ? 0
	    : err_set(e, ERR_NET, "%s: status %d", path, answer.status);
}

/* The roots before it must be right. */
static int
check_root(
    struct repair *r, uint64_t version, const struct buf *body, struct err *e)
{
	struct root root;

	if (!r->options->has_anchor)
		return err_set(e, ERR_USAGE, "an origin's roots are its own");
	if (version == 1)
		return root_first(
		    body->data, body->len, &r->options->anchor, &root, e);
	if (r->o->root_count + 1 < version)
		return err_set(
		    e, ERR_NOT_FOUND, "the root before it is missing, too");
	return root_next(
	    body->data, body->len, &r->o->roots[version - 2], &root, e);
}

static int
put(struct repair *r, const char *path, const struct buf *body, struct err *e)
{
	int ret = repo_lock(r->o->repo, r->options->wait_ms, e);

	if (ret == 0)
		ret = repo_put_statement(
		    r->o->repo, path, body->data, body->len, e);
	repo_unlock(r->o->repo);
	return ret;
}

/* Not older than what any head here asks for. */
static int
check_roster(struct repair *r, const struct buf *body, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	struct roster roster;
	struct head head;
	int ret =
	    roster_read(origin_root(r->o), body->data, body->len, &roster, e);

	if (ret != 0)
		return ret;
	ret = repo_channels(r->o->repo, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		if (origin_head(r->o, names.names[i], &head, NULL) == 0 &&
		    head.roster_version > roster.version)
			ret = err_set(e, ERR_ROLLBACK,
			    "its roster is older than the head of %s",
			    names.names[i]);
	fsat_names_release(&names);
	roster_release(&roster);
	return ret;
}

static int
check_statement(
    struct repair *r, const char *path, const struct buf *body, struct err *e)
{
	struct digest want, got;
	uint64_t version = 0;

	if (strncmp(path, "v1/release/", 11) == 0) {
		digest_of(body->data, body->len, &got);
		if (digest_parse(path + 11, strlen(path + 11), &want) != 0 ||
		    !digest_equal(&want, &got))
			return err_set(
			    e, ERR_VERIFY, "%s: digest is not its name", path);
		return 0;
	}
	if (strncmp(path, "v1/root/", 8) == 0)
		return text_u64(path + 8, strlen(path + 8), LIMIT_ROOT_VERSIONS,
		           &version) != 0 ||
		        version == 0
		    ? err_set(e, ERR_FORMAT, "%s is no root", path)
		    : check_root(r, version, body, e);
	if (r->o->root_count == 0)
		return err_set(e, ERR_NOT_FOUND, "the roots are missing, too");
	return check_roster(r, body, e);
}

/* ---- heads ---- */

/* Of a channel's head that was wrong: not older than what was heard of. */
static int
check_head(struct repair *r, const char *channel, const struct buf *body,
    struct head *head, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct head seen;
	int ret = head_read(
	    origin_root(r->o), channel, body->data, body->len, head, e);

	if (ret != 0)
		return ret;
	(void)snprintf(path, sizeof(path), "seen/%s", channel);
	if (origin_head_at(r->o, path, channel, &seen, NULL) != 0)
		return 0;
	if (head->serial < seen.serial)
		return err_set(e, ERR_ROLLBACK,
		    "its head of %s is older than one seen before", channel);
	if (head->serial == seen.serial &&
	    !digest_equal(&head->release, &seen.release))
		return err_set(e, ERR_CONFLICT,
		    "its head of %s contradicts one seen before", channel);
	return 0;
}

static int
get_release(struct repair *r, const struct head *head, struct release *out,
    struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct buf body;
	bool has = false;
	int ret;

	repo_path_release(path, &head->release);
	ret = repo_has(r->o->repo, path, &has, e);
	buf_init(&body, LIMIT_RELEASE_BYTES);
	if (ret == 0 && !has) {
		ret = get(r, path, LIMIT_RELEASE_BYTES, &body, e);
		if (ret == 0)
			ret = check_statement(r, path, &body, e);
		if (ret == 0)
			ret = put(r, path, &body, e);
	}
	buf_release(&body);
	return ret == 0 ? origin_release_of(r->o, head, out, e) : ret;
}

/* The lock is held while it is fetched: it is little.  What a writer left that
 * ended before it had synced is put in order first, as our sync ends its
 * mark. */
static int
pull(struct repair *r, const struct release *release, bool whole, struct err *e)
{
	int ret = repo_lock(r->o->repo, r->options->wait_ms, e);

	if (ret == 0)
		ret = repo_clean(r->o->repo, e);
	if (ret == 0)
		ret = pull_one(&r->pull, release, NULL, !whole, e);
	if (ret == 0)
		ret = repo_sync(r->o->repo, e);
	repo_unlock(r->o->repo);
	return ret;
}

/* Complete first, then seen. */
static int
repair_head(struct repair *r, const char *channel, const struct buf *body,
    struct err *e)
{
	struct release release;
	struct head head;
	int ret;

	if (r->o->root_count == 0)
		return err_set(e, ERR_NOT_FOUND, "the roots are missing, too");
	release_init(&release);
	ret = check_head(r, channel, body, &head, e);
	if (ret == 0)
		ret = get_release(r, &head, &release, e);
	if (ret == 0)
		ret = pull(r, &release, true, e);
	if (ret == 0)
		ret = repo_lock(r->o->repo, r->options->wait_ms, e);
	if (ret == 0) {
		ret = repo_switch_head(
		    r->o->repo, channel, body->data, body->len, e);
		repo_unlock(r->o->repo);
	}
	release_release(&release);
	return ret;
}

static int
repair_statement(struct repair *r, const char *path, struct err *e)
{
	const bool is_head = strncmp(path, "v1/channel/", 11) == 0;
	struct buf body;
	int ret;

	buf_init(&body, LIMIT_RELEASE_BYTES);
	ret = get(r, path, LIMIT_RELEASE_BYTES, &body, e);
	if (ret == 0 && is_head)
		ret = repair_head(r, path + 11, &body, e);
	else if (ret == 0) {
		ret = check_statement(r, path, &body, e);
		if (ret == 0)
			ret = put(r, path, &body, e);
	}
	buf_release(&body);
	return ret;
}

/* ---- what is lacking ---- */

/* As far as it can be: roots and roster may be what is lacking. */
static int
load(struct repair *r, struct err *e)
{
	struct err why = ERR_INIT;
	int ret = origin_load(r->o, &why);

	if (ret == ERR_NO_MEMORY || ret == ERR_SYS) {
		*e = why;
		return ret;
	}
	return 0;
}

static int
look(struct repair *r, struct err *e)
{
	int ret = load(r, e);

	return ret == 0 ? repair_find(r->o, &r->options->policy, &r->lacking, e)
	                : ret;
}

/* ---- one server ---- */

static bool
is_servers_fault(int ret)
{
	return ret != ERR_NO_MEMORY && ret != ERR_SYS;
}

static int
note_failing(
    struct repair *r, const char *what, int ret, struct err *why, struct err *e)
{
	if (ret == 0)
		return 0;
	if (!is_servers_fault(ret)) {
		*e = *why;
		return ret;
	}
	log_err(LOG_WARNING, "not repaired", why, "what", what, "from",
	    r->peer.route, NULL);
	return 0;
}

static int
repair_release(struct repair *r, const struct lacking_release *l, struct err *e)
{
	struct release release;
	int ret;

	release_init(&release);
	ret = retain_read_release(r->o->repo, &l->digest, &release, e);
	if (ret == 0)
		ret = pull(r, &release, l->newest, e);
	release_release(&release);
	return ret;
}

/* Our own key: we ask ourselves, by another name. */
static int
check_server(struct repair *r, struct err *e)
{
	struct fetch_get request = { .path = "/v1/roster",
		.max_bytes = LIMIT_ROSTER_BYTES };
	struct fetch_answer answer;
	struct digest own;
	struct buf body;
	int ret;

	buf_init(&body, LIMIT_ROSTER_BYTES);
	ret = fetch_get(r->fetch, &request, &body, &answer, e);
	buf_release(&body);
	if (ret != 0)
		return ret;
	tls_identity_digest(r->options->identity, &own);
	if (digest_equal(&own, &answer.key))
		return err_set(e, ERR_USAGE, "it is ourselves");
	return answer.known ? 0
	                    : err_set(e, ERR_VERIFY, "it is not in the roster");
}

static int
repair_from(struct repair *r, struct err *e)
{
	struct err why = ERR_INIT;
	int ret = check_server(r, &why);

	if (ret != 0)
		return note_failing(r, "all", ret, &why, e);
	for (size_t i = 0; ret == 0 && i < r->lacking.statement_count; i++) {
		const char *path = r->lacking.statements[i];

		ret = note_failing(
		    r, path, repair_statement(r, path, &why), &why, e);
	}
	/* With the statements, it shows what they need. */
	if (ret == 0 && r->lacking.statement_count > 0)
		ret = look(r, e);
	for (size_t i = 0; ret == 0 && i < r->lacking.release_count; i++)
		ret = note_failing(r, "release",
		    repair_release(r, &r->lacking.releases[i], &why), &why, e);
	return ret;
}

/* ---- all servers ---- */

/* Copied: the roster may be loaded again while they are asked. */
static void
list_servers(struct repair *r)
{
	struct digest own;
	size_t n = 0;

	tls_identity_digest(r->options->identity, &own);
	upstreams_make(&r->o->roster, &own, r->options->upstreams,
	    r->options->upstream_count, &r->upstreams);
	for (size_t i = 0; i < r->upstreams.count; i++)
		if (r->upstreams.list[i].kind != UPSTREAM_SRV)
			r->servers[n++] = r->upstreams.list[i].host;
	r->fetch_options.fallbacks = r->servers;
	r->fetch_options.fallback_count = n;
}

static int
tell_keys(struct repair *r, struct err *e)
{
	const struct roster *roster = &r->o->roster;
	struct digest *keys;
	size_t n = 0;
	int ret;

	keys =
	    calloc(roster->mirror_count + 1, sizeof(*keys) * LIMIT_MIRROR_KEYS);
	if (keys == NULL)
		return err_memory(e);
	for (size_t i = 0; i < roster->mirror_count; i++)
		for (size_t k = 0; k < roster->mirrors[i].key_count; k++)
			keys[n++] = roster->mirrors[i].keys[k];
	ret = fetch_set_keys(r->fetch, keys, n, e);
	free(keys);
	return ret;
}

static void
tell_repaired(struct repair *r, uint64_t absent, uint64_t files)
{
	uint64_t repaired = absent - r->lacking.absent;
	uint64_t found = files - r->lacking.files;

	if (r->lacking.absent < absent)
		board_add(&r->options->board->repaired, repaired);
	else
		repaired = 0;
	if (repaired == 0 && r->lacking.files >= files)
		return;
	log_event(LOG_NOTICE, "repaired", "from", r->peer.route, "files",
	    log_u64(
	        (char[LOG_NUMBER_BYTES]){ 0 }, repaired > 0 ? repaired : found),
	    "lacking", log_u64((char[LOG_NUMBER_BYTES]){ 0 }, r->lacking.files),
	    NULL);
}

static int
ask_all(struct repair *r, struct err *e)
{
	struct err why = ERR_INIT;
	int ret = 0;

	for (unsigned i = 0;
	     ret == 0 && r->lacking.files > 0 && i < SERVERS_MAX; i++) {
		uint64_t absent = r->lacking.absent, files = r->lacking.files;

		err_clear(&why);
		ret = fetch_connect(r->fetch, &r->peer, &why);
		if (ret == ERR_NOT_FOUND)
			return 0;
		if (ret != 0) {
			ret = note_failing(r, "all", ret, &why, e);
			continue;
		}
		ret = repair_from(r, e);
		if (ret == 0)
			ret = look(r, e);
		if (ret == 0)
			tell_repaired(r, absent, files);
	}
	return ret;
}

static int
repair(struct repair *r, struct err *e)
{
	int ret;

	r->fetch_options = (struct fetch_options){
		.port = r->options->port,
		.no_srv = true,
		.gate = r->options->gate,
		.rate = r->options->rate,
		.identity = r->options->identity,
		.user = r->options->user,
	};
	list_servers(r);
	if ((ret = pull_init(&r->pull, r->o->repo, e)) == 0 &&
	    (ret = fetch_start(&r->fetch_options, &r->fetch, e)) == 0 &&
	    (ret = tell_keys(r, e)) == 0) {
		r->pull.fetch = r->fetch;
		ret = ask_all(r, e);
	}
	fetch_stop(r->fetch);
	pull_release(&r->pull);
	return ret;
}

int
repair_run(struct origin *o, const struct repair_options *options,
    uint64_t *lacking, struct err *e)
{
	struct repair *r = calloc(1, sizeof(*r));
	int ret;

	if (r == NULL)
		return err_memory(e);
	r->o = o;
	r->options = options;
	ret = look(r, e);
	if (ret == 0 && r->lacking.files > 0)
		ret = repair(r, e);
	if (ret == 0)
		*lacking = r->lacking.files;
	free(r);
	return ret;
}
