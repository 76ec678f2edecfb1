#include "tests/samples.h"

#include <check.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/text.h"

/* PKCS #8 of an Ed25519 key (RFC 8410 section 7), up to the 32 secret bytes. */
static const uint8_t pkcs8_head[16] = { 0x30, 0x2e, 0x02, 0x01, 0x00, 0x30,
	0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20 };

struct key *
sample_key(enum sample_key which)
{
	struct key *k = NULL;
	struct err e = ERR_INIT;
	uint8_t der[48];
	struct buf pem;

	memcpy(der, pkcs8_head, sizeof(pkcs8_head));
	memset(der + sizeof(pkcs8_head), 'A' + (int)which, 32);
	buf_init(&pem, 4096);
	buf_add_str(&pem, "-----BEGIN PRIVATE KEY-----\n");
	base64_add(&pem, der, sizeof(der));
	buf_add_str(&pem, "\n-----END PRIVATE KEY-----\n");
	ck_assert_msg(
	    key_from_pem(buf_str(&pem), pem.len, &k, &e) == 0, "%s", e.msg);
	buf_release(&pem);
	return k;
}

void
sample_public(enum sample_key which, struct key_public *out)
{
	struct key *k = sample_key(which);

	key_public_of(k, out);
	key_free(k);
}

void
sample_id(enum sample_key which, char id[KEY_ID_HEX])
{
	struct key_public pub;

	sample_public(which, &pub);
	key_id(&pub, id);
}

void
sample_digest(uint8_t fill, struct digest *out)
{
	memset(out->b, fill, sizeof(out->b));
}

void
sample_sign(struct buf *text, ...)
{
	struct key *keys[SAMPLE_KEYS] = { NULL };
	struct err e = ERR_INIT;
	size_t count = 0, i;
	va_list ap;
	int which;

	va_start(ap, text);
	while ((which = va_arg(ap, int)) >= 0)
		keys[count++] = sample_key((enum sample_key)which);
	va_end(ap);
	ck_assert_msg(statement_sign(text, (const struct key *const *)keys,
	                  count, &e) == 0,
	    "%s", e.msg);
	for (i = 0; i < count; i++)
		key_free(keys[i]);
}

static void
add_key(struct root *r, enum root_role role, enum sample_key which)
{
	struct key_public pub;

	sample_public(which, &pub);
	ck_assert_int_eq(root_add_key(r, role, &pub, NULL), 0);
	r->roles[role].threshold = (unsigned)r->roles[role].count;
}

void
sample_root(struct root *r)
{
	memset(r, 0, sizeof(*r));
	memcpy(r->org, "Example University", 19);
	r->version = 1;
	r->expires = SAMPLE_NOW + 365 * SAMPLE_DAY;
	add_key(r, ROOT_ROLE_ROOT, SAMPLE_ROOT_A);
	add_key(r, ROOT_ROLE_ROOT, SAMPLE_ROOT_B);
	add_key(r, ROOT_ROLE_RELEASE, SAMPLE_RELEASE);
	add_key(r, ROOT_ROLE_HEAD, SAMPLE_HEAD);
	add_key(r, ROOT_ROLE_ROSTER, SAMPLE_ROSTER);
}

static char *
copy(const char *s)
{
	char *p = strdup(s);

	ck_assert_ptr_nonnull(p);
	return p;
}

void
sample_roster(struct roster *r)
{
	char first[] = "pecia.site-a.example.com", second[] = "[fd00::1]:8443";
	struct roster_mirror m = { .name = "m2", .site = "site-b" };
	struct err e = ERR_INIT;

	roster_init(r);
	r->expires = SAMPLE_NOW + 30 * SAMPLE_DAY;
	ck_assert_int_eq(roster_add_channel(r, "testing", &e), 0);
	ck_assert_int_eq(roster_add_channel(r, SAMPLE_CHANNEL, &e), 0);
	sample_digest(0xb1, &m.keys[0]);
	m.key_count = 1;
	ck_assert_int_eq(roster_add_mirror(r, &m, &e), 0);
	m = (struct roster_mirror){ .name = "m1", .site = "site-a" };
	sample_digest(0xa1, &m.keys[0]);
	sample_digest(0xa2, &m.keys[1]);
	m.key_count = 2;
	m.addresses[0] = first;
	m.addresses[1] = second;
	m.address_count = 2;
	ck_assert_int_eq(roster_add_mirror(r, &m, &e), 0);
}

void
sample_head(struct head *h)
{
	struct release r;
	struct buf text;

	memset(h, 0, sizeof(*h));
	sample_release(&r);
	sample_release_text(&text, &r);
	memcpy(h->channel, SAMPLE_CHANNEL, sizeof(SAMPLE_CHANNEL));
	h->serial = r.serial;
	digest_of(text.data, text.len, &h->release);
	h->release_bytes = text.len;
	h->root_version = 1;
	h->roster_version = 1;
	h->issued = SAMPLE_NOW - 3600;
	h->expires = SAMPLE_NOW + SAMPLE_DAY;
	release_release(&r);
	buf_release(&text);
}

static void
fill_transcripts(struct release *r)
{
	struct release_transcript *t = calloc(2, sizeof(*t));

	ck_assert_ptr_nonnull(t);
	memcpy(t[0].name, "base", 5);
	sample_digest(0x11, &t[0].manifest);
	t[0].manifest_bytes = 4711;
	t[0].entries = 42;
	t[0].content_bytes = 123456789;
	t[0].has_data = true;
	sample_digest(0x12, &t[0].data);
	t[0].data_bytes = 34567;
	t[0].target = copy("/");
	memcpy(t[1].name, "web", 4);
	t[1].mode = RELEASE_EXACT;
	sample_digest(0x13, &t[1].manifest);
	t[1].manifest_bytes = 815;
	t[1].target = copy("/srv/www data");
	t[1].excludes = calloc(2, sizeof(char *));
	ck_assert_ptr_nonnull(t[1].excludes);
	t[1].excludes[0] = copy("*.swp");
	t[1].excludes[1] = copy("cache/*");
	t[1].exclude_count = 2;
	r->transcripts = t;
	r->transcript_count = 2;
}

void
sample_release(struct release *r)
{
	release_init(r);
	memcpy(r->channel, SAMPLE_CHANNEL, sizeof(SAMPLE_CHANNEL));
	r->serial = 1;
	r->created = SAMPLE_NOW - 7200;
	r->author = copy("Ada <ada@example.com>");
	r->message = copy("First release\n\nwith two lines");
	fill_transcripts(r);
	r->profiles = calloc(1, sizeof(*r->profiles));
	r->hosts = calloc(2, sizeof(*r->hosts));
	ck_assert(r->profiles != NULL && r->hosts != NULL);
	memcpy(r->profiles[0].name, "www", 4);
	r->profiles[0].transcripts = calloc(2, sizeof(uint16_t));
	ck_assert_ptr_nonnull(r->profiles[0].transcripts);
	r->profiles[0].transcripts[1] = 1;
	r->profiles[0].count = 2;
	r->profile_count = 1;
	r->hosts[0].pattern = copy("test-*.example.com");
	memcpy(r->hosts[0].channel, "testing", 8);
	r->hosts[1].pattern = copy("www[0-9]*.example.com");
	r->host_count = 2;
}

void
sample_root_text(struct buf *text, const struct root *r)
{
	buf_init(text, LIMIT_ROOT_BYTES);
	root_write(text, r);
	sample_sign(text, SAMPLE_ROOT_A, SAMPLE_ROOT_B, -1);
}

void
sample_roster_text(struct buf *text, const struct roster *r)
{
	buf_init(text, LIMIT_ROSTER_BYTES);
	roster_write(text, r);
	sample_sign(text, SAMPLE_ROSTER, -1);
}

void
sample_head_text(struct buf *text, const struct head *h)
{
	buf_init(text, LIMIT_HEAD_BYTES);
	head_write(text, h);
	sample_sign(text, SAMPLE_HEAD, -1);
}

void
sample_release_text(struct buf *text, const struct release *r)
{
	buf_init(text, LIMIT_RELEASE_BYTES);
	release_write(text, r);
	sample_sign(text, SAMPLE_RELEASE, -1);
}

static void
must_refuse(sample_reader read, void *arg, const struct buf *damaged,
    const char *how, size_t at)
{
	struct err e = ERR_INIT;
	/* Exactly as long as it says, so that a sanitizer sees what reads on. */
	uint8_t *exact = malloc(damaged->len > 0 ? damaged->len : 1);
	int rc;

	ck_assert_ptr_nonnull(exact);
	if (damaged->len > 0)
		memcpy(exact, damaged->data, damaged->len);
	rc = read(arg, exact, damaged->len, &e);
	free(exact);
	ck_assert_msg(rc == ERR_FORMAT || rc == ERR_VERIFY,
	    "%s %zu: gave %d (%s)", how, at, rc, e.msg);
	ck_assert_msg(
	    e.code == rc && e.msg[0] != '\0', "%s %zu: no message", how, at);
}

/* SAMPLE_FLIPS in the environment: each n-th bit is enough, where all take long,
 * as in valgrind. */
static size_t
flip_step(size_t step)
{
	const char *every = getenv("SAMPLE_FLIPS");
	size_t n = every == NULL ? 1 : strtoul(every, NULL, 10);

	return n > 0 ? n * step : step;
}

void
sample_damage(
    const struct buf *text, size_t step, sample_reader read, void *arg)
{
	struct err e = ERR_INIT;
	struct buf bad;
	size_t i;

	buf_init(&bad, text->len);
	for (i = 0; i < text->len; i += step) {
		buf_clear(&bad);
		buf_add(&bad, text->data, i);
		must_refuse(read, arg, &bad, "cut at", i);
	}
	buf_clear(&bad);
	buf_add(&bad, text->data, text->len);
	step = flip_step(step);
	for (i = 0; i < 8 * text->len; i += step) {
		bad.data[i / 8] ^= (uint8_t)(1U << (i % 8));
		must_refuse(read, arg, &bad, "flipped bit", i);
		bad.data[i / 8] ^= (uint8_t)(1U << (i % 8));
	}
	ck_assert_msg(
	    read(arg, bad.data, bad.len, &e) == 0, "as it is: %s", e.msg);
	buf_release(&bad);
}

void
sample_replace(
    struct buf *out, const struct buf *body, const char *old, const char *new)
{
	const char *text = buf_str(body), *at = strstr(text, old);

	ck_assert_msg(at != NULL, "no '%s' in the sample", old);
	buf_init(out, LIMIT_RELEASE_BYTES);
	buf_add(out, text, (size_t)(at - text));
	buf_add_str(out, new);
	buf_add_str(out, at + strlen(old));
}
