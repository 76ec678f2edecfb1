/* Rosters of mirrors.  peciactl writes them; every process reads them. */
#include "transcripts/roster.h"

#include "common/text.h"
#include "transcripts/lines.h"

#define ADDRESS_BYTES (LIMIT_HOST_BYTES + 8) /* "[", "]:65535" */

static void
release_mirror(struct roster_mirror *m)
{
	size_t i;

	for (i = 0; i < m->address_count; i++)
		free(m->addresses[i]);
}

void
roster_init(struct roster *r)
{
	memset(r, 0, sizeof(*r));
	r->version = 1;
}

void
roster_release(struct roster *r)
{
	size_t i;

	for (i = 0; i < r->mirror_count; i++)
		release_mirror(&r->mirrors[i]);
	free(r->mirrors);
	free(r->channels);
	roster_init(r);
}

/* NULL, or why the last of the mirror's keys is refused. */
static const char *
fault_of_key(const struct roster_mirror *m)
{
	size_t i, last = m->key_count - 1;

	for (i = 0; i < last; i++) {
		if (digest_equal(&m->keys[i], &m->keys[last]))
			return "key is repeated";
	}
	return NULL;
}

/* The same for its last address. */
static const char *
fault_of_address(const struct roster_mirror *m)
{
	size_t i, last = m->address_count - 1;
	char host[256];
	uint16_t port = 0;

	if (strlen(m->addresses[last]) > ADDRESS_BYTES ||
	    strchr(m->addresses[last], ',') != NULL ||
	    text_host_port(m->addresses[last], 1, host, &port, NULL) != 0 ||
	    port == 0)
		return "address is not HOST, HOST:PORT, [IPV6] or [IPV6]:PORT";
	for (i = 0; i < last; i++) {
		if (strcmp(m->addresses[i], m->addresses[last]) == 0)
			return "address is repeated";
	}
	return NULL;
}

static void
parse_keys(struct lines *l, struct roster_mirror *m)
{
	const char *fault;

	do {
		if (m->key_count == LIMIT_MIRROR_KEYS) {
			lines_fail(l, ERR_LIMIT, "more than %d keys",
			    LIMIT_MIRROR_KEYS);
			return;
		}
		lines_digest(l, &m->keys[m->key_count++]);
		fault = fault_of_key(m);
		if (fault != NULL)
			lines_fail(l, ERR_FORMAT, "%s", fault);
	} while (lines_comma(l));
}

static void
parse_addresses(struct lines *l, struct roster_mirror *m)
{
	const char *fault;
	char *address;

	if (lines_dash(l))
		return;
	do {
		if (m->address_count == LIMIT_MIRROR_ADDRESSES) {
			lines_fail(l, ERR_LIMIT, "more than %d addresses",
			    LIMIT_MIRROR_ADDRESSES);
			return;
		}
		address = NULL;
		lines_text(l, ADDRESS_BYTES, &address);
		if (address == NULL)
			return;
		m->addresses[m->address_count++] = address;
		fault = fault_of_address(m);
		if (fault != NULL)
			lines_fail(l, ERR_FORMAT, "%s", fault);
	} while (lines_comma(l));
}

static void
parse_mirror(struct lines *l, struct roster *r)
{
	struct roster_mirror *m;

	lines_begin(l, "mirror");
	r->mirrors = lines_room(
	    l, r->mirrors, r->mirror_count, sizeof(*r->mirrors), LIMIT_MIRRORS);
	if (l->failed != 0)
		return;
	m = &r->mirrors[r->mirror_count++];
	lines_list(l);
	lines_name(l, m->name);
	lines_name(l, m->site);
	parse_keys(l, m);
	parse_addresses(l, m);
	if (r->mirror_count > 1)
		lines_ascending(l, m[-1].name, m->name);
}

static void
parse_channel(struct lines *l, struct roster *r)
{
	size_t n = r->channel_count;

	lines_begin(l, "channel");
	r->channels =
	    lines_room(l, r->channels, n, sizeof(*r->channels), LIMIT_CHANNELS);
	if (l->failed != 0)
		return;
	lines_name(l, r->channels[n]);
	if (n > 0)
		lines_ascending(l, r->channels[n - 1], r->channels[n]);
	r->channel_count++;
}

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct digest));
}

/* A key is a mirror's identity: no two may share one. */
static void
check_keys(struct lines *l, const struct roster *r)
{
	size_t i, j, n = 0;
	struct digest *all;

	if (l->failed != 0 || r->mirror_count == 0)
		return;
	all = calloc(r->mirror_count * LIMIT_MIRROR_KEYS, sizeof(*all));
	if (all == NULL) {
		l->failed = err_memory(l->e);
		return;
	}
	for (i = 0; i < r->mirror_count; i++) {
		for (j = 0; j < r->mirrors[i].key_count; j++)
			all[n++] = r->mirrors[i].keys[j];
	}
	qsort(all, n, sizeof(*all), compare_keys);
	for (i = 1; i < n; i++) {
		if (digest_equal(&all[i - 1], &all[i]))
			lines_fail(l, ERR_FORMAT, "two mirrors have one key");
	}
	free(all);
}

static void
parse_fields(struct lines *l, struct roster *r)
{
	lines_header(l);
	lines_begin(l, "version");
	lines_u64(l, 1, STATEMENT_NUMBER_MAX, &r->version);
	lines_begin(l, "expires");
	lines_time(l, &r->expires);
	while (lines_follows(l, "channel"))
		parse_channel(l, r);
	while (lines_follows(l, "mirror"))
		parse_mirror(l, r);
	check_keys(l, r);
}

int
roster_parse(const char *body, size_t len, struct roster *out, struct err *e)
{
	struct roster r;
	struct buf again;
	struct lines l;
	int rc;

	roster_init(&r);
	lines_init(&l, "roster", body, len, e);
	parse_fields(&l, &r);
	rc = lines_finish(&l);
	if (rc == 0) {
		buf_init(&again, len);
		roster_write(&again, &r);
		rc = lines_same(&again, "roster", body, len, e);
	}
	if (rc == 0)
		*out = r;
	else
		roster_release(&r);
	return rc;
}

static void
write_mirror(struct buf *text, const struct roster_mirror *m)
{
	char hex[DIGEST_HEX];
	size_t i;

	buf_addf(text, "mirror %s %s ", m->name, m->site);
	for (i = 0; i < m->key_count; i++) {
		digest_hex(&m->keys[i], hex);
		buf_addf(text, "%s%s", i > 0 ? "," : "", hex);
	}
	buf_add_str(text, m->address_count == 0 ? " -" : " ");
	for (i = 0; i < m->address_count; i++) {
		buf_add_str(text, i > 0 ? "," : "");
		text_escape(text, m->addresses[i], strlen(m->addresses[i]));
	}
	buf_add_byte(text, '\n');
}

void
roster_write(struct buf *text, const struct roster *r)
{
	char expires[TEXT_TIME_BYTES];
	size_t i;

	text_time(expires, r->expires);
	buf_addf(text, "pecia roster 1\nversion %llu\nexpires %s\n",
	    (unsigned long long)r->version, expires);
	for (i = 0; i < r->channel_count; i++)
		buf_addf(text, "channel %s\n", r->channels[i]);
	for (i = 0; i < r->mirror_count; i++)
		write_mirror(text, &r->mirrors[i]);
}

int
roster_read(const struct root *root, const void *data, size_t len,
    struct roster *out, struct err *e)
{
	struct statement s;
	int rc;

	if (len > LIMIT_ROSTER_BYTES)
		return err_set(e, ERR_LIMIT, "roster: %zu bytes, %d at most",
		    len, LIMIT_ROSTER_BYTES);
	rc = root_verify(root, ROOT_ROLE_ROSTER, data, len, &s, e);
	if (rc != 0)
		return err_prefix(e, "roster");
	return roster_parse(s.body, s.body_len, out, e);
}

/* Index of the first mirror whose name is not below `name`. */
static size_t
place_of(const struct roster *r, const char *name)
{
	size_t low = 0, high = r->mirror_count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (strcmp(r->mirrors[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct roster_mirror *
roster_find_name(const struct roster *r, const char *name)
{
	size_t at = place_of(r, name);

	if (at == r->mirror_count || strcmp(r->mirrors[at].name, name) != 0)
		return NULL;
	return &r->mirrors[at];
}

const struct roster_mirror *
roster_find_key(const struct roster *r, const struct digest *spki)
{
	size_t i, j;

	for (i = 0; i < r->mirror_count; i++) {
		for (j = 0; j < r->mirrors[i].key_count; j++) {
			if (digest_equal(&r->mirrors[i].keys[j], spki))
				return &r->mirrors[i];
		}
	}
	return NULL;
}

static int
check_mirror(
    const struct roster *r, const struct roster_mirror *m, struct err *e)
{
	struct roster_mirror part = *m;
	const struct roster_mirror *other;
	const char *fault = NULL;
	size_t i;

	if (!text_is_name(m->name, strlen(m->name)) ||
	    !text_is_name(m->site, strlen(m->site)))
		return err_set(e, ERR_FORMAT,
		    "mirror '%s' at site '%s': a name is 1 to 64 of "
		    "A-Za-z0-9._-",
		    m->name, m->site);
	if (m->key_count == 0)
		return err_set(e, ERR_FORMAT, "mirror %s: no key", m->name);
	for (i = 0; i < m->key_count; i++) {
		part.key_count = i + 1;
		fault = fault == NULL ? fault_of_key(&part) : fault;
		other = roster_find_key(r, &m->keys[i]);
		if (other != NULL && strcmp(other->name, m->name) != 0)
			return err_set(e, ERR_CONFLICT,
			    "mirror %s: mirror %s has this key", m->name,
			    other->name);
	}
	for (i = 0; i < m->address_count; i++) {
		part.address_count = i + 1;
		fault = fault == NULL ? fault_of_address(&part) : fault;
	}
	if (fault != NULL)
		return err_set(e, ERR_FORMAT, "mirror %s: %s", m->name, fault);
	return 0;
}

static int
copy_mirror(
    const struct roster_mirror *m, struct roster_mirror *out, struct err *e)
{
	struct roster_mirror copy = *m;

	for (copy.address_count = 0; copy.address_count < m->address_count;
	     copy.address_count++) {
		copy.addresses[copy.address_count] =
		    strdup(m->addresses[copy.address_count]);
		if (copy.addresses[copy.address_count] == NULL) {
			release_mirror(&copy);
			return err_memory(e);
		}
	}
	*out = copy;
	return 0;
}

/* Makes room for one more in an array, as lines_room does. */
static void *
room(void *items, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return items;
	return reallocarray(items, count == 0 ? 1 : 2 * count, size);
}

int
roster_add_mirror(
    struct roster *r, const struct roster_mirror *m, struct err *e)
{
	size_t at = place_of(r, m->name);
	struct roster_mirror copy, *grown;
	int rc;

	if (roster_find_name(r, m->name) != NULL)
		return err_set(e, ERR_CONFLICT,
		    "mirror %s is in the roster already", m->name);
	if (r->mirror_count == LIMIT_MIRRORS)
		return err_set(e, ERR_LIMIT, "roster: more than %d mirrors",
		    LIMIT_MIRRORS);
	rc = check_mirror(r, m, e);
	if (rc == 0)
		rc = copy_mirror(m, &copy, e);
	if (rc != 0)
		return rc;
	grown = room(r->mirrors, r->mirror_count, sizeof(*grown));
	if (grown == NULL) {
		release_mirror(&copy);
		return err_memory(e);
	}
	r->mirrors = grown;
	memmove(&grown[at + 1], &grown[at],
	    (r->mirror_count - at) * sizeof(*grown));
	grown[at] = copy;
	r->mirror_count++;
	return 0;
}

static int
check_has_mirror(const struct roster *r, const char *name, struct err *e)
{
	if (roster_find_name(r, name) != NULL)
		return 0;
	return err_set(
	    e, ERR_NOT_FOUND, "the roster has no mirror %.64s", name);
}

int
roster_replace_mirror(
    struct roster *r, const struct roster_mirror *m, struct err *e)
{
	size_t at = place_of(r, m->name);
	struct roster_mirror copy;
	int rc = check_has_mirror(r, m->name, e);

	if (rc == 0)
		rc = check_mirror(r, m, e);
	if (rc == 0)
		rc = copy_mirror(m, &copy, e);
	if (rc != 0)
		return rc;
	release_mirror(&r->mirrors[at]);
	r->mirrors[at] = copy;
	return 0;
}

int
roster_remove_mirror(struct roster *r, const char *name, struct err *e)
{
	size_t at = place_of(r, name), last = r->mirror_count;
	struct roster_mirror *m = r->mirrors;
	int rc = check_has_mirror(r, name, e);

	if (rc != 0)
		return rc;
	release_mirror(&m[at]);
	memmove(&m[at], &m[at + 1], (last - at - 1) * sizeof(*m));
	r->mirror_count--;
	return 0;
}

bool
roster_has_channel(const struct roster *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->channel_count; i++) {
		if (strcmp(r->channels[i], name) == 0)
			return true;
	}
	return false;
}

int
roster_add_channel(struct roster *r, const char *name, struct err *e)
{
	size_t at = 0, len = strlen(name);
	void *grown;

	if (!text_is_name(name, len))
		return err_set(e, ERR_FORMAT,
		    "channel '%.64s': a name is 1 to 64 of A-Za-z0-9._-", name);
	if (roster_has_channel(r, name))
		return 0;
	if (r->channel_count == LIMIT_CHANNELS)
		return err_set(e, ERR_LIMIT, "roster: more than %d channels",
		    LIMIT_CHANNELS);
	grown = room(r->channels, r->channel_count, sizeof(*r->channels));
	if (grown == NULL)
		return err_memory(e);
	r->channels = grown;
	while (at < r->channel_count && strcmp(r->channels[at], name) < 0)
		at++;
	memmove(&r->channels[at + 1], &r->channels[at],
	    (r->channel_count - at) * sizeof(*r->channels));
	memcpy(r->channels[at], name, len + 1);
	r->channel_count++;
	return 0;
}
