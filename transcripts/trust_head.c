/* The chain of trust: heads of channels and their releases.  Runs in every
 * process that decides what to accept; touches no file itself. */
#include "transcripts/trust.h"

#include "common/text.h"
#include "transcripts/trust_state.h"

static void
forget(struct trust_kept *k)
{
	k->is_held = false;
	buf_release(&k->raw);
}

void
trust_free_channels(struct trust *t)
{
	size_t i;

	for (i = 0; i < t->channel_count; i++) {
		forget(&t->channels[i]->accepted);
		forget(&t->channels[i]->seen);
		free(t->channels[i]);
	}
	t->channel_count = 0;
}

static void
kept_name(char name[TRUST_NAME_BYTES], const struct trust_kept *k,
    const char *channel)
{
	(void)snprintf(name, TRUST_NAME_BYTES, "%s/%s", k->folder, channel);
}

static int
parse_kept(const struct statement *s, const char *channel, struct head *out,
    struct err *e)
{
	int rc = head_parse(s->body, s->body_len, out, e);

	if (rc == 0 && strcmp(out->channel, channel) != 0)
		rc =
		    err_set(e, ERR_VERIFY, "it is of channel %s", out->channel);
	return rc;
}

/* A head as it was kept; *root_version of the root that it was accepted
 * under. */
static int
load_kept(const struct trust *t, const char *channel, struct trust_kept *k,
    uint64_t *root_version, struct err *e)
{
	char name[TRUST_NAME_BYTES];
	struct trust_signed by;
	struct buf raw;
	int rc;

	kept_name(name, k, channel);
	rc = trust_get(t, name, LIMIT_HEAD_BYTES, &raw, e);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : err_prefix(e, "%s", name);
	rc = trust_signing_root(t, ROOT_ROLE_HEAD, raw.data, raw.len, &by, e);
	if (rc == 0)
		rc = parse_kept(&by.statement, channel, &k->head, e);
	if (rc != 0) {
		buf_release(&raw);
		return err_prefix(e, "stored %s", name);
	}
	k->raw = raw;
	k->is_held = true;
	*root_version = by.root.version;
	return 0;
}

/* What a head names must be there before it is accepted. */
static int
check_named(const struct trust *t, const struct head *h, struct err *e)
{
	uint64_t roster = trust_roster(t) == NULL ? 0 : t->roster.version;

	if (h->root_version > t->root.version)
		return err_set(e, ERR_NOT_FOUND,
		    "head of channel %s names root %llu, the newest held is "
		    "%llu",
		    h->channel, (unsigned long long)h->root_version,
		    (unsigned long long)t->root.version);
	if (h->roster_version > roster)
		return err_set(e, ERR_NOT_FOUND,
		    "head of channel %s names roster %llu, the newest held is "
		    "%llu",
		    h->channel, (unsigned long long)h->roster_version,
		    (unsigned long long)roster);
	return 0;
}

static void
recheck_seen(const struct trust *t, struct trust_channel *c)
{
	struct statement s;

	if (c->seen.is_held &&
	    root_verify(&t->root, ROOT_ROLE_HEAD, c->seen.raw.data,
	        c->seen.raw.len, &s, NULL) != 0)
		forget(&c->seen);
}

void
trust_recheck_seen(struct trust *t)
{
	size_t i;

	for (i = 0; i < t->channel_count; i++)
		recheck_seen(t, t->channels[i]);
}

static int
load_channel(const struct trust *t, struct trust_channel *c, struct err *e)
{
	uint64_t by = 0;
	int rc = load_kept(t, c->name, &c->accepted, &by, e);

	if (rc == 0 && c->accepted.is_held &&
	    check_named(t, &c->accepted.head, e) != 0)
		rc = err_prefix(e, "stored channel/%s", c->name);
	if (rc == 0)
		rc = load_kept(t, c->name, &c->seen, &by, e);
	/* One that only an older root allows is not waited for. */
	if (rc == 0 && c->seen.is_held && by != t->root.version)
		forget(&c->seen);
	return rc;
}

static struct trust_channel *
find_channel(const struct trust *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->channel_count; i++) {
		if (strcmp(t->channels[i]->name, name) == 0)
			return t->channels[i];
	}
	return NULL;
}

int
trust_open_channel(struct trust *t, const char *name,
    struct trust_channel **out, struct err *e)
{
	struct trust_channel *c = NULL;
	int rc;

	if (!text_is_name(name, strlen(name)))
		return err_set(e, ERR_USAGE,
		    "'%.64s' is not a channel's name (1 to 64 of "
		    "A-Za-z0-9._-)",
		    name);
	c = find_channel(t, name);
	if (c != NULL) {
		*out = c;
		return 0;
	}
	if (t->channel_count == LIMIT_CHANNELS)
		return err_set(
		    e, ERR_LIMIT, "more than %d channels", LIMIT_CHANNELS);
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return err_memory(e);
	memcpy(c->name, name, strlen(name) + 1);
	c->accepted.folder = "channel";
	c->seen.folder = "seen";
	rc = load_channel(t, c, e);
	if (rc != 0) {
		forget(&c->accepted);
		forget(&c->seen);
		free(c);
		return rc;
	}
	t->channels[t->channel_count++] = c;
	*out = c;
	return 0;
}

int
trust_head(struct trust *t, const char *channel, const struct head **out,
    struct err *e)
{
	struct trust_channel *c = NULL;
	int rc = trust_open_channel(t, channel, &c, e);

	if (rc == 0)
		*out = c->accepted.is_held ? &c->accepted.head : NULL;
	return rc;
}

static bool
is_kept(const struct trust_kept *k, const struct head *h)
{
	return k->is_held && k->head.serial == h->serial &&
	    k->head.release_bytes == h->release_bytes &&
	    digest_equal(&k->head.release, &h->release);
}

/* The highest serial that was seen is not the accepted one. */
static bool
is_wanted(const struct trust_channel *c)
{
	return c->seen.is_held &&
	    (!c->accepted.is_held ||
	        c->seen.head.serial > c->accepted.head.serial);
}

/* The head of the highest serial, which no other may fall below. */
static const struct trust_kept *
highest(const struct trust_channel *c)
{
	return is_wanted(c) ? &c->seen : &c->accepted;
}

/* Of two heads of one release.  What is signed twice within a second names a
 * newer roster or root, or is good for longer, or is the same. */
static bool
is_newer(const struct head *h, const struct head *held)
{
	if (h->issued != held->issued)
		return h->issued > held->issued;
	if (h->roster_version != held->roster_version)
		return h->roster_version > held->roster_version;
	if (h->root_version != held->root_version)
		return h->root_version > held->root_version;
	return h->expires > held->expires;
}

static void
fork_name(
    char what[TRUST_NAME_BYTES], const struct trust_channel *c, uint64_t serial)
{
	(void)snprintf(what, TRUST_NAME_BYTES, "channel/%s.%llu", c->name,
	    (unsigned long long)serial);
}

/* Two releases of this serial were seen, in this run or before. */
static int
check_contested(const struct trust *t, const struct trust_channel *c,
    const struct head *h, struct err *e)
{
	char what[TRUST_NAME_BYTES], name[TRUST_NAME_BYTES];
	struct buf other;
	int rc;

	fork_name(what, c, h->serial);
	(void)snprintf(name, sizeof(name), "evidence/%.160s.other", what);
	rc = trust_get(t, name, LIMIT_RELEASE_BYTES, &other, e);
	if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		return 0;
	}
	if (rc != 0)
		return err_prefix(e, "%s", name);
	buf_release(&other);
	return err_set(e, ERR_CONFLICT,
	    "fork: two different statements of %s are signed, neither is "
	    "accepted; evidence: %s",
	    what, name);
}

static int
judge_serial(struct trust *t, const struct trust_channel *c,
    const struct head *h, const void *data, size_t len, struct err *e)
{
	const struct trust_kept *top = highest(c);
	char what[TRUST_NAME_BYTES];

	if (!top->is_held || h->serial > top->head.serial || is_kept(top, h))
		return 0;
	if (h->serial < top->head.serial)
		return err_set(e, ERR_ROLLBACK,
		    "head of channel %s: serial %llu, but %llu was seen before",
		    c->name, (unsigned long long)h->serial,
		    (unsigned long long)top->head.serial);
	fork_name(what, c, h->serial);
	return trust_fork(t, what, &top->raw, data, len, e);
}

static int
check_head_time(const struct trust *t, const struct head *h, struct err *e)
{
	char what[TRUST_NAME_BYTES];

	(void)snprintf(what, sizeof(what), "head %llu of channel %s",
	    (unsigned long long)h->serial, h->channel);
	return trust_check_time(t, what, h->expires, e);
}

static int
judge_head(struct trust *t, const struct trust_channel *c, const void *data,
    size_t len, struct head *out, struct err *e)
{
	struct head h;
	int rc = trust_need_root(t, e);

	if (rc == 0)
		rc = head_read(&t->root, c->name, data, len, &h, e);
	if (rc == 0)
		rc = judge_serial(t, c, &h, data, len, e);
	if (rc == 0 && !is_kept(&c->accepted, &h))
		rc = check_head_time(t, &h, e);
	if (rc == 0 && !is_kept(&c->accepted, &h))
		rc = check_contested(t, c, &h, e);
	if (rc == 0)
		*out = h;
	return rc;
}

/* In the store first, then in memory. */
static int
keep(const struct trust *t, struct trust_kept *k, const struct head *h,
    const void *data, size_t len, struct err *e)
{
	char name[TRUST_NAME_BYTES];
	struct buf raw;
	int rc;

	buf_init(&raw, len);
	kept_name(name, k, h->channel);
	rc = trust_copy(&raw, data, len, e);
	if (rc == 0)
		rc = trust_put(t, name, data, len, e);
	if (rc != 0) {
		buf_release(&raw);
		return rc;
	}
	forget(k);
	k->raw = raw;
	k->head = *h;
	k->is_held = true;
	return 0;
}

int
trust_offer_head(struct trust *t, const char *channel, const void *data,
    size_t len, struct head *out, struct err *e)
{
	struct trust_channel *c = NULL;
	struct head h;
	int rc = trust_open_channel(t, channel, &c, e);

	if (rc == 0)
		rc = judge_head(t, c, data, len, &h, e);
	if (rc == 0 &&
	    (!is_kept(highest(c), &h) ||
	        (is_wanted(c) && is_newer(&h, &c->seen.head))))
		rc = keep(t, &c->seen, &h, data, len, e);
	if (rc == 0)
		*out = h;
	return rc;
}

int
trust_wanted(struct trust *t, const char *channel, const struct head **out,
    const struct buf **raw, struct err *e)
{
	struct trust_channel *c = NULL;
	int rc = trust_open_channel(t, channel, &c, e);
	bool wanted = rc == 0 && is_wanted(c);

	if (wanted)
		rc = check_contested(t, c, &c->seen.head, e);
	if (rc == ERR_CONFLICT) {
		err_clear(e);
		wanted = false;
		rc = 0;
	}
	if (rc != 0)
		return rc;
	*out = wanted ? &c->seen.head : NULL;
	if (raw != NULL)
		*raw = wanted ? &c->seen.raw : NULL;
	return 0;
}

/* A new release is judged by the newest root, an accepted one by the root that
 * it was accepted under. */
static int
read_release(struct trust *t, const struct head *h, const void *data,
    size_t len, struct release *out, struct err *e)
{
	const struct trust_channel *c = find_channel(t, h->channel);
	struct trust_signed by;
	int rc;

	if (c != NULL && is_kept(&c->accepted, h)) {
		rc =
		    trust_signing_root(t, ROOT_ROLE_RELEASE, data, len, &by, e);
		if (rc == 0)
			rc = release_read(&by.root, h, data, len, out, e);
		return rc;
	}
	if (c == NULL || !is_kept(&c->seen, h))
		return err_set(e, ERR_USAGE,
		    "release %llu of channel %s: no head that was offered "
		    "names it",
		    (unsigned long long)h->serial, h->channel);
	rc = check_head_time(t, h, e);
	if (rc == 0)
		rc = release_read(&t->root, h, data, len, out, e);
	return rc;
}

static void
release_name(char name[TRUST_NAME_BYTES], const struct head *h)
{
	char hex[DIGEST_HEX];

	digest_hex(&h->release, hex);
	(void)snprintf(name, TRUST_NAME_BYTES, "release/%s", hex);
}

/* The release after the accepted one must say so.  When it does not, there
 * were two of one serial, and this side got the other. */
static void
note_fork_before(
    struct trust *t, const struct release *r, const void *data, size_t len)
{
	const struct trust_channel *c = find_channel(t, r->channel);
	char what[TRUST_NAME_BYTES];

	if (!c->accepted.is_held || !r->has_previous ||
	    r->serial != c->accepted.head.serial + 1 ||
	    digest_equal(&r->previous, &c->accepted.head.release))
		return;
	fork_name(what, c, r->serial - 1);
	trust_fork(t, what, &c->accepted.raw, data, len, NULL);
}

int
trust_accept_release(struct trust *t, const struct head *head, const void *data,
    size_t len, struct release *out, struct err *e)
{
	char name[TRUST_NAME_BYTES];
	struct release r;
	int rc = read_release(t, head, data, len, &r, e);

	if (rc != 0)
		return rc;
	release_name(name, head);
	rc = trust_put(t, name, data, len, e);
	if (rc != 0) {
		release_release(&r);
		return rc;
	}
	note_fork_before(t, &r, data, len);
	*out = r;
	return 0;
}

int
trust_find_release(struct trust *t, const struct head *head,
    struct release *out, struct err *e)
{
	char name[TRUST_NAME_BYTES];
	struct buf raw;
	int rc;

	release_name(name, head);
	rc = trust_get(t, name, LIMIT_RELEASE_BYTES, &raw, e);
	if (rc != 0)
		return err_prefix(e, "%s", name);
	rc = read_release(t, head, raw.data, raw.len, out, e);
	buf_release(&raw);
	return rc == 0 ? 0 : err_prefix(e, "stored %s", name);
}

static int
check_release_held(struct trust *t, const struct head *h, struct err *e)
{
	struct release r;
	int rc = trust_find_release(t, h, &r, e);

	if (rc != 0)
		return err_prefix(e, "head %llu of channel %s",
		    (unsigned long long)h->serial, h->channel);
	release_release(&r);
	return 0;
}

/* The accepted head, though a higher serial was seen since. */
static bool
is_signed_again(const struct trust *t, const struct trust_channel *c,
    const void *data, size_t len, struct head *out)
{
	return head_read(&t->root, c->name, data, len, out, NULL) == 0 &&
	    is_kept(&c->accepted, out);
}

int
trust_commit_head(struct trust *t, const char *channel, const void *data,
    size_t len, struct err *e)
{
	struct trust_channel *c = NULL;
	struct err why = ERR_INIT;
	struct head h;
	int rc = trust_open_channel(t, channel, &c, e);

	if (rc != 0)
		return rc;
	rc = trust_offer_head(t, channel, data, len, &h, &why);
	if (rc == ERR_ROLLBACK && is_signed_again(t, c, data, len, &h))
		rc = 0;
	if (rc == 0)
		rc = check_named(t, &h, &why);
	if (rc != 0) {
		if (e != NULL)
			*e = why;
		return rc;
	}
	if (!is_kept(&c->accepted, &h))
		rc = check_release_held(t, &h, e);
	else if (!is_newer(&h, &c->accepted.head))
		return 0;
	return rc != 0 ? rc : keep(t, &c->accepted, &h, data, len, e);
}
