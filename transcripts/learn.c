/* Hearing of news; runs in the deciding process of mirror and client. */
#include "transcripts/learn.h"

#define PATH_BYTES (LIMIT_NAME_BYTES + 96)

static int
ask(struct learn *l, const struct fetch_get *get, struct buf *body,
    struct fetch_answer *answer, struct err *e)
{
	int rc;

	buf_clear(body);
	rc = fetch_get(l->fetch, get, body, answer, e);
	if (rc == 0)
		l->peer = answer->key;
	return rc;
}

int
learn_get(struct learn *l, const char *path, size_t max_bytes, struct buf *body,
    struct err *e)
{
	struct fetch_get get = { .path = path, .max_bytes = max_bytes };
	struct fetch_answer answer;
	int rc;

	if ((rc = ask(l, &get, body, &answer, e)) != 0)
		return rc;
	if (answer.status == 404)
		return err_set(
		    e, ERR_NOT_FOUND, "%s: the server lacks it", path);
	if (answer.status != 200)
		return err_set(
		    e, ERR_NET, "%s: status %d", path, answer.status);
	return 0;
}

static int
next_root(struct learn *l, struct buf *body, bool *more, struct err *e)
{
	const struct root *held = trust_root(l->trust);
	uint64_t next = held == NULL ? 1 : held->version + 1;
	char path[PATH_BYTES];
	struct err mine = ERR_INIT;
	int rc;

	(void)snprintf(
	    path, sizeof(path), "/v1/root/%llu", (unsigned long long)next);
	*more = true;
	rc = learn_get(l, path, LIMIT_ROOT_BYTES, body, &mine);
	if (rc == ERR_NOT_FOUND && next > 1) {
		*more = false;
		return 0;
	}
	if (rc == 0) {
		rc = trust_offer_root(l->trust, body->data, body->len, &mine);
		if (rc != 0)
			err_prefix(&mine, "%s", path);
	}
	if (rc != 0)
		*e = mine;
	return rc;
}

int
learn_roots(struct learn *l, struct err *e)
{
	struct buf body;
	bool more = true;
	int rc = 0;

	buf_init(&body, LIMIT_ROOT_BYTES);
	for (unsigned i = 0; i < LIMIT_ROOT_VERSIONS && rc == 0 && more; i++)
		rc = next_root(l, &body, &more, e);
	buf_release(&body);
	return rc;
}

int
learn_keys(struct learn *l, struct err *e)
{
	const struct roster *roster = trust_roster(l->trust);
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
	rc = fetch_set_keys(l->fetch, keys, n, e);
	free(keys);
	return rc;
}

static int
offer_roster(struct learn *l, const struct buf *body, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc;

	rc = trust_offer_roster(l->trust, body->data, body->len, &mine);
	if (rc == ERR_VERIFY) {
		/* Signed by the keys of a root not yet held, perhaps. */
		if ((rc = learn_roots(l, e)) != 0)
			return rc;
		rc = trust_offer_roster(l->trust, body->data, body->len, &mine);
	}
	if (rc == 0 || rc == ERR_ROLLBACK)
		return 0;
	*e = mine;
	return err_prefix(e, "/v1/roster");
}

void
learn_etag_of(const struct buf *bytes, char etag[LEARN_ETAG_BYTES])
{
	struct digest d;

	digest_of(bytes->data, bytes->len, &d);
	statement_etag(&d, etag);
}

/* Of what the store has by this name, "" when it has not. */
static void
stored_etag(struct learn *l, const char *name, size_t max_bytes,
    char etag[LEARN_ETAG_BYTES])
{
	struct err ignored = ERR_INIT;
	struct buf b;

	buf_init(&b, max_bytes);
	etag[0] = '\0';
	if (l->store->get(l->store->arg, name, &b, &ignored) == 0)
		learn_etag_of(&b, etag);
	buf_release(&b);
}

/* One that is as it was is not sent: it may be large. */
static int
get_roster(struct learn *l, struct buf *body, bool *changed, struct err *e)
{
	char etag[LEARN_ETAG_BYTES];
	struct fetch_get get = { .path = "/v1/roster",
		.max_bytes = LIMIT_ROSTER_BYTES };
	struct fetch_answer answer;
	int rc;

	if (trust_roster(l->trust) != NULL) {
		stored_etag(l, "roster", LIMIT_ROSTER_BYTES, etag);
		get.if_none_match = etag[0] != '\0' ? etag : NULL;
	}
	if ((rc = ask(l, &get, body, &answer, e)) != 0)
		return rc;
	*changed = answer.status == 200;
	if (*changed || (answer.status == 304 && get.if_none_match != NULL))
		return 0;
	return err_set(e, answer.status == 404 ? ERR_NOT_FOUND : ERR_NET,
	    "/v1/roster: status %d", answer.status);
}

int
learn_roster(struct learn *l, struct err *e)
{
	bool changed = false;
	struct buf body;
	int rc;

	buf_init(&body, LIMIT_ROSTER_BYTES);
	rc = get_roster(l, &body, &changed, e);
	if (rc == 0 && changed)
		rc = offer_roster(l, &body, e);
	buf_release(&body);
	return rc != 0 ? rc : learn_keys(l, e);
}

void
learn_etag(struct learn *l, const char *channel, char etag[LEARN_ETAG_BYTES])
{
	char name[PATH_BYTES];

	(void)snprintf(name, sizeof(name), "channel/%s", channel);
	stored_etag(l, name, LIMIT_HEAD_BYTES, etag);
}

int
learn_head(struct learn *l, const char *channel, struct buf *bytes,
    bool *changed, struct err *e)
{
	char path[PATH_BYTES + LIMIT_NEWS_LIST_BYTES], etag[LEARN_ETAG_BYTES];
	struct fetch_get get = { .path = path, .max_bytes = LIMIT_HEAD_BYTES };
	struct fetch_answer answer;
	int rc;

	(void)snprintf(path, sizeof(path), "/v1/channel/%s", channel);
	if (l->transcripts != NULL)
		(void)snprintf(path, sizeof(path),
		    "/v1/channel/%s?after=%llu&with=%s", channel,
		    (unsigned long long)l->serial, l->transcripts);
	learn_etag(l, channel, etag);
	if (etag[0] != '\0')
		get.if_none_match = etag;
	if ((rc = ask(l, &get, bytes, &answer, e)) != 0)
		return rc;
	if (answer.status == 404)
		return err_set(
		    e, ERR_NOT_FOUND, "it has no channel %s", channel);
	*changed = answer.status == 200;
	if (answer.status == 200 ||
	    (answer.status == 304 && get.if_none_match != NULL))
		return 0;
	return err_set(e, ERR_NET, "%s: status %d", path, answer.status);
}

static int
offer_head(struct learn *l, const char *channel, const struct buf *bytes,
    struct head *head, struct err *e)
{
	return trust_offer_head(
	    l->trust, channel, bytes->data, bytes->len, head, e);
}

int
learn_offer(struct learn *l, const char *channel, const struct buf *bytes,
    struct head *head, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc;

	rc = offer_head(l, channel, bytes, head, &mine);
	if (rc == ERR_VERIFY ||
	    (rc == 0 && head->root_version > trust_root(l->trust)->version)) {
		if ((rc = learn_roots(l, e)) != 0)
			return rc;
		rc = offer_head(l, channel, bytes, head, &mine);
	}
	if (rc != 0) {
		*e = mine;
		return err_prefix(e, "head of %s", channel);
	}
	if (trust_roster(l->trust) != NULL &&
	    head->roster_version <= trust_roster(l->trust)->version)
		return 0;
	return learn_roster(l, e);
}

int
learn_release(struct learn *l, const struct head *head, struct release *out,
    struct err *e)
{
	struct err ignored = ERR_INIT;
	char path[PATH_BYTES], hex[DIGEST_HEX];
	struct buf body;
	int rc;

	if (trust_find_release(l->trust, head, out, &ignored) == 0)
		return 0;
	digest_hex(&head->release, hex);
	(void)snprintf(path, sizeof(path), "/v1/release/%s", hex);
	buf_init(&body, LIMIT_RELEASE_BYTES);
	rc = learn_get(l, path, (size_t)head->release_bytes, &body, e);
	if (rc == 0 &&
	    (rc = trust_accept_release(
	         l->trust, head, body.data, body.len, out, e)) != 0)
		err_prefix(e, "%s", path);
	buf_release(&body);
	return rc;
}

int
learn_check_server(
    struct learn *l, const struct roster_mirror **mirror, struct err *e)
{
	char hex[DIGEST_HEX];

	if (trust_known_key(l->trust, &l->peer, mirror))
		return 0;
	digest_hex(&l->peer, hex);
	return err_set(
	    e, ERR_VERIFY, "its key sha256:%s is not in the roster", hex);
}
