/* The chain of trust: roots and roster.  Runs in every process that decides
 * what to accept; touches no file itself. */
#include "transcripts/trust.h"

#include "common/text.h"
#include "transcripts/trust_state.h"

int
trust_get(const struct trust *t, const char *name, size_t max_bytes,
    struct buf *out, struct err *e)
{
	int rc;

	buf_init(out, max_bytes);
	rc = t->store.get(t->store.arg, name, out, e);
	if (rc == 0)
		rc = buf_check(out, name, e);
	if (rc != 0)
		buf_release(out);
	return rc;
}

int
trust_put(const struct trust *t, const char *name, const void *data, size_t len,
    struct err *e)
{
	if (t->store.put(t->store.arg, name, data, len, e) != 0)
		return err_prefix(e, "keeping %s", name);
	return 0;
}

int
trust_copy(struct buf *raw, const void *data, size_t len, struct err *e)
{
	struct buf copy;

	buf_init(&copy, len);
	buf_add(&copy, data, len);
	if (copy.failed != 0) {
		buf_release(&copy);
		return err_memory(e);
	}
	buf_release(raw);
	*raw = copy;
	return 0;
}

int
trust_need_root(const struct trust *t, struct err *e)
{
	if (t->root.version > 0)
		return 0;
	return err_set(
	    e, ERR_NOT_FOUND, "no trust root is held yet: fetch root 1 first");
}

int
trust_check_time(
    const struct trust *t, const char *what, time_t expires, struct err *e)
{
	char when[TEXT_TIME_BYTES];

	if (t->root.expires <= t->now) {
		text_time(when, t->root.expires);
		return err_set(e, ERR_EXPIRED,
		    "%s: nothing new is accepted, as root %llu, the newest, "
		    "expired at %s",
		    what, (unsigned long long)t->root.version, when);
	}
	if (expires <= t->now) {
		text_time(when, expires);
		return err_set(e, ERR_EXPIRED, "%s: expired at %s", what, when);
	}
	return 0;
}

int
trust_fork(struct trust *t, const char *what, const struct buf *kept,
    const void *other, size_t len, struct err *e)
{
	char first[TRUST_NAME_BYTES], second[TRUST_NAME_BYTES];
	struct err store = ERR_INIT;
	struct buf old;
	int rc;

	t->is_forked = true;
	(void)snprintf(first, sizeof(first), "evidence/%s.kept", what);
	(void)snprintf(second, sizeof(second), "evidence/%s.other", what);
	/* Whoever holds the key can make any number; one pair proves it. */
	rc = trust_get(t, second, LIMIT_RELEASE_BYTES, &old, &store);
	if (rc == 0) {
		buf_release(&old);
	} else if (rc == ERR_NOT_FOUND) {
		rc = trust_put(t, first, kept->data, kept->len, &store);
		if (rc == 0)
			rc = trust_put(t, second, other, len, &store);
		t->forks += rc == 0;
	}
	return err_set(e, ERR_CONFLICT,
	    "fork: two different statements of %s are signed; evidence: %s, "
	    "%s%s%s",
	    what, first, second, rc != 0 ? " could not be kept: " : "",
	    rc != 0 ? store.msg : "");
}

static int
read_root(const struct trust *t, const void *data, size_t len, struct root *out,
    struct err *e)
{
	if (t->root.version == 0)
		return root_first(data, len, &t->anchor, out, e);
	if (t->root.version == LIMIT_ROOT_VERSIONS)
		return err_set(e, ERR_LIMIT, "root: more than %d versions",
		    LIMIT_ROOT_VERSIONS);
	return root_next(data, len, &t->root, out, e);
}

/* `raw` is the root's bytes, and given away. */
static void
adopt_root(struct trust *t, const struct root *r, struct buf *raw)
{
	digest_of(raw->data, raw->len, &t->roots[r->version - 1]);
	t->previous = t->root;
	t->root = *r;
	buf_release(&t->root_raw);
	t->root_raw = *raw;
	buf_init(raw, 0);
}

static void
root_name(char name[TRUST_NAME_BYTES], uint64_t version)
{
	(void)snprintf(
	    name, TRUST_NAME_BYTES, "root/%llu", (unsigned long long)version);
}

/* *more false: there is none. */
static int
load_next_root(struct trust *t, bool *more, struct err *e)
{
	char name[TRUST_NAME_BYTES];
	struct root r;
	struct buf raw;
	int rc;

	root_name(name, t->root.version + 1);
	rc = trust_get(t, name, LIMIT_ROOT_BYTES, &raw, e);
	*more = rc == 0;
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : err_prefix(e, "%s", name);
	rc = read_root(t, raw.data, raw.len, &r, e);
	if (rc == 0)
		adopt_root(t, &r, &raw);
	buf_release(&raw);
	return rc == 0 ? 0 : err_prefix(e, "stored %s", name);
}

/* One that trust_load verified: it need only be the same still. */
static int
load_old_root(
    const struct trust *t, uint64_t version, struct root *out, struct err *e)
{
	char name[TRUST_NAME_BYTES];
	struct statement s;
	struct digest d;
	struct buf raw;
	int rc;

	root_name(name, version);
	rc = trust_get(t, name, LIMIT_ROOT_BYTES, &raw, e);
	if (rc != 0)
		return err_prefix(e, "%s", name);
	digest_of(raw.data, raw.len, &d);
	if (!digest_equal(&d, &t->roots[version - 1]))
		rc = err_set(
		    e, ERR_VERIFY, "%s: changed since it was verified", name);
	if (rc == 0)
		rc = statement_split(raw.data, raw.len, &s, e);
	if (rc == 0)
		rc = root_parse(s.body, s.body_len, out, e);
	buf_release(&raw);
	return rc;
}

int
trust_signing_root(const struct trust *t, enum root_role role, const void *data,
    size_t len, struct trust_signed *out, struct err *e)
{
	uint64_t version;
	int rc = trust_need_root(t, e);

	if (rc == 0)
		rc = root_verify(&t->root, role, data, len, &out->statement, e);
	if (rc == 0)
		out->root = t->root;
	if (rc != ERR_VERIFY)
		return rc;
	for (version = t->root.version - 1; version >= 1; version--) {
		rc = load_old_root(t, version, &out->root, e);
		if (rc != 0)
			return rc;
		if (root_verify(&out->root, role, data, len, &out->statement,
		        NULL) == 0)
			return 0;
	}
	return err_set(e, ERR_VERIFY,
	    "role %s of none of the %llu roots held signed it",
	    root_role_name(role), (unsigned long long)t->root.version);
}

static int
load_roster(struct trust *t, struct err *e)
{
	struct trust_signed by = { .statement = { .body = NULL } };
	struct buf raw;
	int rc = trust_get(t, "roster", LIMIT_ROSTER_BYTES, &raw, e);

	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc != 0)
		return err_prefix(e, "roster");
	rc = trust_signing_root(t, ROOT_ROLE_ROSTER, raw.data, raw.len, &by, e);
	if (rc == 0)
		rc = roster_parse(
		    by.statement.body, by.statement.body_len, &t->roster, e);
	if (rc != 0) {
		buf_release(&raw);
		return err_prefix(e, "stored roster");
	}
	t->roster_raw = raw;
	return 0;
}

static int
load_all(struct trust *t, struct err *e)
{
	struct trust_channel *channel;
	bool more = true;
	int rc = 0;
	size_t i;

	while (rc == 0 && more && t->root.version < LIMIT_ROOT_VERSIONS)
		rc = load_next_root(t, &more, e);
	if (rc == 0)
		rc = load_roster(t, e);
	for (i = 0; rc == 0 && i < t->roster.channel_count; i++)
		rc = trust_open_channel(t, t->roster.channels[i], &channel, e);
	return rc;
}

int
trust_load(const struct trust_store *store, const struct digest *anchor,
    time_t now, struct trust **out, struct err *e)
{
	struct trust *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return err_memory(e);
	t->store = *store;
	t->anchor = *anchor;
	t->now = now;
	roster_init(&t->roster);
	rc = load_all(t, e);
	if (rc == 0)
		*out = t;
	else
		trust_free(t);
	return rc;
}

void
trust_free(struct trust *t)
{
	if (t == NULL)
		return;
	trust_free_channels(t);
	roster_release(&t->roster);
	buf_release(&t->roster_raw);
	buf_release(&t->root_raw);
	free(t);
}

void
trust_set_time(struct trust *t, time_t now)
{
	t->now = now;
}

const struct root *
trust_root(const struct trust *t)
{
	return t->root.version > 0 ? &t->root : NULL;
}

const struct roster *
trust_roster(const struct trust *t)
{
	return t->roster_raw.len > 0 ? &t->roster : NULL;
}

bool
trust_known_key(const struct trust *t, const struct digest *spki,
    const struct roster_mirror **mirror)
{
	const struct roster_mirror *m = roster_find_key(&t->roster, spki);

	if (m != NULL && mirror != NULL)
		*mirror = m;
	return m != NULL;
}

static unsigned
alarms_of_head(const struct trust *t, const struct head *h)
{
	unsigned alarms = 0;

	if (h->expires <= t->now)
		alarms |= TRUST_ALARM_HEAD;
	if (h->issued > t->now + TRUST_CLOCK_SKEW_S)
		alarms |= TRUST_ALARM_CLOCK;
	return alarms;
}

uint64_t
trust_forks(const struct trust *t)
{
	return t->forks;
}

unsigned
trust_alarms(const struct trust *t, const char *channel)
{
	unsigned alarms = t->is_forked ? TRUST_ALARM_FORK : 0;
	const struct trust_channel *c;
	size_t i;

	if (t->root.version > 0 && t->root.expires <= t->now)
		alarms |= TRUST_ALARM_ROOT;
	if (t->roster_raw.len > 0 && t->roster.expires <= t->now)
		alarms |= TRUST_ALARM_ROSTER;
	for (i = 0; channel != NULL && i < t->channel_count; i++) {
		c = t->channels[i];
		if (c->accepted.is_held && strcmp(c->name, channel) == 0)
			alarms |= alarms_of_head(t, &c->accepted.head);
	}
	return alarms;
}

/* The same statement, whoever signed it. */
static bool
is_same_body(const struct buf *held, const void *data, size_t len)
{
	struct statement a, b;

	return statement_split(held->data, held->len, &a, NULL) == 0 &&
	    statement_split(data, len, &b, NULL) == 0 &&
	    a.body_len == b.body_len && memcmp(a.body, b.body, a.body_len) == 0;
}

static bool
is_known_root(const struct trust *t, const void *data, size_t len)
{
	struct digest d;
	uint64_t i;

	digest_of(data, len, &d);
	for (i = 0; i < t->root.version; i++) {
		if (digest_equal(&d, &t->roots[i]))
			return true;
	}
	return false;
}

/* What cannot follow the newest root, for the reason in `e`, may be its double:
 * just as well signed by the one before. */
static int
judge_double(
    struct trust *t, const void *data, size_t len, int why, struct err *e)
{
	char what[TRUST_NAME_BYTES];
	struct root r;

	if (t->root.version < 2 ||
	    root_next(data, len, &t->previous, &r, NULL) != 0)
		return why;
	if (is_same_body(&t->root_raw, data, len))
		return 0;
	root_name(what, r.version);
	return trust_fork(t, what, &t->root_raw, data, len, e);
}

int
trust_offer_root(struct trust *t, const void *data, size_t len, struct err *e)
{
	char name[TRUST_NAME_BYTES];
	struct buf raw;
	struct root r;
	int rc;

	if (is_known_root(t, data, len))
		return 0;
	rc = read_root(t, data, len, &r, e);
	if (rc != 0)
		return judge_double(t, data, len, rc, e);
	buf_init(&raw, len);
	rc = trust_copy(&raw, data, len, e);
	if (rc != 0)
		return rc;
	root_name(name, r.version);
	rc = trust_put(t, name, data, len, e);
	if (rc == 0) {
		adopt_root(t, &r, &raw);
		trust_recheck_seen(t);
	}
	buf_release(&raw);
	return rc;
}

/* Whether a verified roster may follow the one held. */
static int
judge_roster(struct trust *t, const struct roster *r, const void *data,
    size_t len, struct err *e)
{
	unsigned long long got = r->version, held = t->roster.version;
	char what[TRUST_NAME_BYTES];

	if (trust_roster(t) == NULL || got > held)
		return trust_check_time(t, "roster", r->expires, e);
	if (got < held)
		return err_set(e, ERR_ROLLBACK,
		    "roster: version %llu, but %llu was seen before", got,
		    held);
	if (is_same_body(&t->roster_raw, data, len))
		return 0;
	(void)snprintf(what, sizeof(what), "roster/%llu", got);
	return trust_fork(t, what, &t->roster_raw, data, len, e);
}

static bool
is_held(const struct buf *raw, const void *data, size_t len)
{
	return raw->len > 0 && raw->len == len &&
	    memcmp(raw->data, data, len) == 0;
}

int
trust_offer_roster(struct trust *t, const void *data, size_t len, struct err *e)
{
	struct roster r;
	struct buf raw;
	int rc = trust_need_root(t, e);

	if (rc != 0 || is_held(&t->roster_raw, data, len))
		return rc;
	rc = roster_read(&t->root, data, len, &r, e);
	if (rc != 0)
		return rc;
	buf_init(&raw, len);
	rc = judge_roster(t, &r, data, len, e);
	if (rc == 0)
		rc = trust_copy(&raw, data, len, e);
	if (rc == 0)
		rc = trust_put(t, "roster", data, len, e);
	if (rc != 0) {
		roster_release(&r);
		buf_release(&raw);
		return rc;
	}
	roster_release(&t->roster);
	buf_release(&t->roster_raw);
	t->roster = r;
	t->roster_raw = raw;
	return 0;
}
