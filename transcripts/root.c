/* Trust roots.  peciactl writes them; every process reads them. */
#include "transcripts/root.h"

#include "common/text.h"
#include "transcripts/lines.h"

#define ID_BYTES KEY_ID_HEX /* of an id's text, with the NUL */

static const char *const role_names[ROOT_ROLES] = {
	[ROOT_ROLE_ROOT] = "root",
	[ROOT_ROLE_RELEASE] = "release",
	[ROOT_ROLE_HEAD] = "head",
	[ROOT_ROLE_ROSTER] = "roster",
};

/* The keys that a root defines, each with its id; sorted, unique. */
struct defined {
	struct {
		char id[ID_BYTES];
		struct key_public key;
		bool is_used;
	} keys[LIMIT_KEYS];
	size_t count;
};

const char *
root_role_name(enum root_role role)
{
	return role_names[role];
}

static void
parse_key(struct lines *l, struct defined *d)
{
	const char *id = NULL, *p = NULL;
	size_t id_len = 0, len = 0, n = 0;
	struct key_public *key;

	lines_begin(l, "key");
	if (d->count == LIMIT_KEYS)
		lines_fail(l, ERR_LIMIT, "more than %d keys", LIMIT_KEYS);
	if (!lines_word(l, &id, &id_len))
		return;
	lines_literal(l, "ed25519");
	if (!lines_word(l, &p, &len))
		return;
	key = &d->keys[d->count].key;
	if (base64_decode(p, len, key->b, sizeof(key->b), &n) != 0 ||
	    n != sizeof(key->b)) {
		lines_fail(l, ERR_FORMAT, "not 32 bytes in base64");
		return;
	}
	key_id(key, d->keys[d->count].id);
	if (id_len != ID_BYTES - 1 ||
	    memcmp(id, d->keys[d->count].id, id_len) != 0) {
		lines_fail(
		    l, ERR_FORMAT, "the key's id is %s", d->keys[d->count].id);
		return;
	}
	if (d->count > 0)
		lines_ascending(
		    l, d->keys[d->count - 1].id, d->keys[d->count].id);
	d->count++;
}

/* Index of an id among the defined, or d->count. */
static size_t
find_defined(const struct defined *d, const char *id, size_t len)
{
	size_t i;

	for (i = 0; i < d->count; i++) {
		if (len == ID_BYTES - 1 && memcmp(d->keys[i].id, id, len) == 0)
			break;
	}
	return i;
}

/* Ids ascend when their indexes do, as the defined keys are sorted. */
static void
parse_role(struct lines *l, enum root_role role, struct defined *d,
    struct statement_signers *out)
{
	size_t at, first_free = 0, len = 0;
	uint64_t threshold = 0;
	const char *id = NULL;

	lines_begin(l, "role");
	lines_literal(l, role_names[role]);
	lines_u64(l, 1, LIMIT_KEYS, &threshold);
	while (lines_more(l)) {
		at = lines_word(l, &id, &len) ? find_defined(d, id, len)
		                              : d->count;
		if (at == d->count) {
			lines_fail(l, ERR_FORMAT, "no key line has this id");
			return;
		}
		if (at < first_free) {
			lines_fail(l, ERR_FORMAT,
			    "key id is repeated or out of order");
			return;
		}
		first_free = at + 1;
		d->keys[at].is_used = true;
		out->keys[out->count++] = d->keys[at].key;
	}
	if (threshold > out->count)
		lines_fail(l, ERR_FORMAT, "threshold %u, but %zu keys",
		    (unsigned)threshold, out->count);
	out->threshold = (unsigned)threshold;
}

static void
parse_fields(struct lines *l, struct root *r)
{
	struct defined d = { 0 };
	char *org = NULL;
	size_t i;

	lines_header(l);
	lines_begin(l, "org");
	lines_text(l, LIMIT_TEXT_BYTES, &org);
	if (org != NULL)
		memcpy(r->org, org, strlen(org) + 1);
	free(org);
	lines_begin(l, "version");
	lines_u64(l, 1, STATEMENT_NUMBER_MAX, &r->version);
	lines_begin(l, "expires");
	lines_time(l, &r->expires);
	while (lines_follows(l, "key"))
		parse_key(l, &d);
	for (i = 0; i < ROOT_ROLES; i++)
		parse_role(l, (enum root_role)i, &d, &r->roles[i]);
	for (i = 0; i < d.count; i++) {
		if (!d.keys[i].is_used)
			lines_fail(
			    l, ERR_FORMAT, "key %s has no role", d.keys[i].id);
	}
}

int
root_parse(const char *body, size_t len, struct root *out, struct err *e)
{
	struct root r = { 0 };
	struct buf again;
	struct lines l;
	int rc;

	lines_init(&l, "root", body, len, e);
	parse_fields(&l, &r);
	rc = lines_finish(&l);
	if (rc != 0)
		return rc;
	buf_init(&again, len);
	root_write(&again, &r);
	rc = lines_same(&again, "root", body, len, e);
	if (rc == 0)
		*out = r;
	return rc;
}

/* Adds a key in its place, unless it is there. */
static void
define(struct defined *d, const struct key_public *key)
{
	char id[ID_BYTES];
	size_t at = 0;

	key_id(key, id);
	while (at < d->count && strcmp(d->keys[at].id, id) < 0)
		at++;
	if (d->count == LIMIT_KEYS ||
	    (at < d->count && strcmp(d->keys[at].id, id) == 0))
		return;
	memmove(&d->keys[at + 1], &d->keys[at],
	    (d->count - at) * sizeof(d->keys[0]));
	memcpy(d->keys[at].id, id, sizeof(id));
	d->keys[at].key = *key;
	d->count++;
}

static void
write_role(
    struct buf *text, enum root_role role, const struct statement_signers *s)
{
	char id[ID_BYTES];
	size_t i;

	buf_addf(text, "role %s %u", role_names[role], s->threshold);
	for (i = 0; i < s->count; i++) {
		key_id(&s->keys[i], id);
		buf_addf(text, " %s", id);
	}
	buf_add_byte(text, '\n');
}

void
root_write(struct buf *text, const struct root *r)
{
	struct defined d = { 0 };
	char expires[TEXT_TIME_BYTES];
	size_t i, j;

	text_time(expires, r->expires);
	buf_add_str(text, "pecia root 1\norg ");
	text_escape(text, r->org, strlen(r->org));
	buf_addf(text, "\nversion %llu\nexpires %s\n",
	    (unsigned long long)r->version, expires);
	for (i = 0; i < ROOT_ROLES; i++) {
		for (j = 0; j < r->roles[i].count; j++)
			define(&d, &r->roles[i].keys[j]);
	}
	for (i = 0; i < d.count; i++) {
		buf_addf(text, "key %s ed25519 ", d.keys[i].id);
		base64_add(text, d.keys[i].key.b, KEY_PUBLIC_BYTES);
		buf_add_byte(text, '\n');
	}
	for (i = 0; i < ROOT_ROLES; i++)
		write_role(text, (enum root_role)i, &r->roles[i]);
}

/* Place of the first key of the role whose id is not below `id`; *found says
 * whether it has it. */
static size_t
place_of(const struct statement_signers *s, const char *id, bool *found)
{
	char other[ID_BYTES];
	size_t at;
	int order = -1;

	for (at = 0; at < s->count; at++) {
		key_id(&s->keys[at], other);
		order = strcmp(other, id);
		if (order >= 0)
			break;
	}
	*found = at < s->count && order == 0;
	return at;
}

int
root_add_key(struct root *r, enum root_role role, const struct key_public *key,
    struct err *e)
{
	struct statement_signers *s = &r->roles[role];
	char id[ID_BYTES];
	bool found;
	size_t at;

	key_id(key, id);
	at = place_of(s, id, &found);
	if (found)
		return err_set(e, ERR_CONFLICT, "role %s has key %s already",
		    role_names[role], id);
	if (s->count == LIMIT_KEYS)
		return err_set(e, ERR_LIMIT, "role %s: more than %d keys",
		    role_names[role], LIMIT_KEYS);
	memmove(&s->keys[at + 1], &s->keys[at],
	    (s->count - at) * sizeof(s->keys[0]));
	s->keys[at] = *key;
	s->count++;
	return 0;
}

int
root_remove_key(
    struct root *r, enum root_role role, const char *id, struct err *e)
{
	struct statement_signers *s = &r->roles[role];
	bool found;
	size_t at = place_of(s, id, &found);

	if (!found)
		return err_set(e, ERR_NOT_FOUND, "role %s has no key %s",
		    role_names[role], id);
	s->count--;
	memmove(&s->keys[at], &s->keys[at + 1],
	    (s->count - at) * sizeof(s->keys[0]));
	return 0;
}

static int
check_size(size_t len, struct err *e)
{
	if (len > LIMIT_ROOT_BYTES)
		return err_set(e, ERR_LIMIT, "root: %zu bytes, %d at most", len,
		    LIMIT_ROOT_BYTES);
	return 0;
}

int
root_first(const void *data, size_t len, const struct digest *anchor,
    struct root *out, struct err *e)
{
	char want[DIGEST_HEX], have[DIGEST_HEX];
	struct statement s;
	struct digest d;
	struct root r;
	int rc = check_size(len, e);

	if (rc != 0)
		return rc;
	digest_of(data, len, &d);
	if (!digest_equal(&d, anchor)) {
		digest_hex(anchor, want);
		digest_hex(&d, have);
		return err_set(e, ERR_VERIFY,
		    "root: its digest is %s, that of the trust anchor is %s",
		    have, want);
	}
	rc = statement_split(data, len, &s, e);
	if (rc == 0)
		rc = root_parse(s.body, s.body_len, &r, e);
	if (rc != 0)
		return rc;
	if (r.version != 1)
		return err_set(e, ERR_VERIFY,
		    "root: the anchor is version %llu, it must be 1",
		    (unsigned long long)r.version);
	rc = statement_verify(&s, &r.roles[ROOT_ROLE_ROOT], e);
	if (rc != 0)
		return err_prefix(e, "root 1, by its own keys");
	*out = r;
	return 0;
}

static int
check_succession(const struct root *old, const struct root *r, struct err *e)
{
	unsigned long long have = old->version, got = r->version;

	if (got <= have)
		return err_set(e, ERR_ROLLBACK,
		    "root: version %llu, but %llu is trusted already", got,
		    have);
	if (got != have + 1)
		return err_set(e, ERR_VERIFY,
		    "root: version %llu cannot follow %llu: those between "
		    "come first",
		    got, have);
	if (strcmp(old->org, r->org) != 0)
		return err_set(e, ERR_VERIFY,
		    "root %llu: of '%.64s', not of '%.64s'", got, r->org,
		    old->org);
	return 0;
}

int
root_next(const void *data, size_t len, const struct root *old,
    struct root *out, struct err *e)
{
	struct statement s;
	struct root r;
	int rc = check_size(len, e);

	if (rc == 0)
		rc = root_verify(old, ROOT_ROLE_ROOT, data, len, &s, e);
	if (rc == 0)
		rc = root_parse(s.body, s.body_len, &r, e);
	if (rc == 0)
		rc = check_succession(old, &r, e);
	if (rc != 0)
		return rc;
	rc = statement_verify(&s, &r.roles[ROOT_ROLE_ROOT], e);
	if (rc != 0)
		return err_prefix(e, "root %llu, by its own keys",
		    (unsigned long long)r.version);
	*out = r;
	return 0;
}

int
root_verify(const struct root *r, enum root_role role, const void *data,
    size_t len, struct statement *out, struct err *e)
{
	struct statement s;
	int rc = statement_split(data, len, &s, e);

	if (rc != 0)
		return rc;
	rc = statement_verify(&s, &r->roles[role], e);
	if (rc != 0)
		return err_prefix(e, "role %s of root %llu", role_names[role],
		    (unsigned long long)r->version);
	*out = s;
	return 0;
}
