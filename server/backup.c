/* Backups of an origin: entries, header, seal.  Runs in peciactl. */
#include "server/backup.h"

#include <stdlib.h>
#include <string.h>

#include "common/crypto_key.h"
#include "common/text.h"
#include "transcripts/lines.h"

#define HEADER_MAX 512 /* bytes; every header is shorter */
#define HEADER_END "\n--\n"

static const char *const secret_names[BACKUP_SECRETS] = {
	[BACKUP_PASSPHRASE] = "passphrase",
	[BACKUP_KEY_FILE] = "key-file",
};

void
backup_init(struct backup *b)
{
	memset(b, 0, sizeof(*b));
}

void
backup_release(struct backup *b)
{
	for (size_t i = 0; i < b->count; i++)
		buf_wipe(&b->entries[i].content);
	free(b->entries);
	backup_init(b);
}

static bool
is_part(const char *s, size_t len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                              "abcdefghijklmnopqrstuvwxyz"
	                              "0123456789._-";

	return len > 0 && s[0] != '.' && strspn(s, allowed) >= len;
}

bool
backup_is_name(const char *name)
{
	size_t len;

	if (strlen(name) >= BACKUP_NAME_BYTES)
		return false;
	for (;; name += len + 1) {
		len = strcspn(name, "/");
		if (!is_part(name, len))
			return false;
		if (name[len] == '\0')
			return true;
	}
}

const struct backup_entry *
backup_find(const struct backup *b, const char *name)
{
	for (size_t i = 0; i < b->count; i++)
		if (strcmp(b->entries[i].name, name) == 0)
			return &b->entries[i];
	return NULL;
}

int
backup_add(struct backup *b, const char *name, const void *data, size_t len,
    struct err *e)
{
	struct backup_entry *more, *entry;

	if (!backup_is_name(name))
		return err_set(
		    e, ERR_USAGE, "'%s' is no name in a backup", name);
	if (backup_find(b, name) != NULL)
		return err_set(
		    e, ERR_CONFLICT, "%s: twice in the backup", name);
	if (b->count == LIMIT_BACKUP_ENTRIES || len > LIMIT_BACKUP_BYTES)
		return err_set(e, ERR_LIMIT,
		    "backup: %d files of %d bytes at most",
		    LIMIT_BACKUP_ENTRIES, LIMIT_BACKUP_BYTES);
	more = realloc(b->entries, (b->count + 1) * sizeof(*more));
	if (more == NULL)
		return err_memory(e);
	b->entries = more;
	entry = &more[b->count];
	(void)snprintf(entry->name, sizeof(entry->name), "%s", name);
	buf_init(&entry->content, len);
	buf_add(&entry->content, data, len);
	if (entry->content.failed != 0) {
		buf_wipe(&entry->content);
		return err_memory(e);
	}
	b->count++;
	return 0;
}

static void
write_header(struct buf *out, const struct backup_header *h)
{
	char salt[DIGEST_HEX], made[TEXT_TIME_BYTES];

	digest_hex(&h->salt, salt);
	text_time(made, h->made);
	buf_addf(out, "pecia backup 1\nmade %s\nsecret %s\n", made,
	    secret_names[h->secret]);
	buf_addf(out, "scrypt %llu %d %u %s\n", 1ULL << h->cost.log_n,
	    SEAL_SCRYPT_R, h->cost.p, salt);
	buf_addf(out, "bytes %llu\n--\n", (unsigned long long)h->bytes);
}

static void
parse_secret(struct lines *l, enum backup_secret *kind)
{
	const char *word;
	size_t len;

	lines_begin(l, "secret");
	if (!lines_word(l, &word, &len))
		return;
	for (int i = 0; i < BACKUP_SECRETS; i++)
		if (len == strlen(secret_names[i]) &&
		    memcmp(word, secret_names[i], len) == 0) {
			*kind = (enum backup_secret)i;
			return;
		}
	lines_fail(l, ERR_FORMAT, "not passphrase or key-file");
}

static void
parse_cost(struct lines *l, struct seal_cost *cost)
{
	uint64_t n = 0, r = 0, p = 0;

	lines_begin(l, "scrypt");
	lines_u64(l, 2, (uint64_t)1 << LIMIT_SCRYPT_LOG, &n);
	if ((n & (n - 1)) != 0)
		lines_fail(l, ERR_FORMAT, "not a power of two");
	lines_u64(l, SEAL_SCRYPT_R, SEAL_SCRYPT_R, &r);
	lines_u64(l, 1, LIMIT_SCRYPT_PARALLEL, &p);
	for (; n > 1; n /= 2)
		cost->log_n++;
	cost->p = (unsigned)p;
}

static int
parse_header(
    const char *text, size_t len, struct backup_header *out, struct err *e)
{
	struct backup_header h = { .secret = BACKUP_PASSPHRASE };
	struct buf again;
	struct lines l;
	int rc;

	lines_init(&l, "backup", text, len - strlen("--\n"), e);
	lines_header(&l);
	lines_begin(&l, "made");
	lines_time(&l, &h.made);
	parse_secret(&l, &h.secret);
	parse_cost(&l, &h.cost);
	lines_digest(&l, &h.salt);
	lines_begin(&l, "bytes");
	lines_u64(&l, 0, LIMIT_BACKUP_BYTES, &h.bytes);
	rc = lines_finish(&l);
	if (rc != 0)
		return rc;
	h.length = len;
	buf_init(&again, len);
	write_header(&again, &h);
	rc = lines_same(&again, "backup", text, len, e);
	if (rc == 0)
		*out = h;
	return rc;
}

int
backup_read_header(
    const void *data, size_t len, struct backup_header *out, struct err *e)
{
	size_t max = len < HEADER_MAX ? len : HEADER_MAX;
	const char *end = memmem(data, max, HEADER_END, strlen(HEADER_END));
	struct backup_header h;
	int rc;

	if (end == NULL)
		return err_set(
		    e, ERR_FORMAT, "not a backup: it does not begin as one");
	rc = parse_header(data,
	    (size_t)(end - (const char *)data) + strlen(HEADER_END), &h, e);
	if (rc != 0)
		return rc;
	if (len != h.length + h.bytes + SEAL_MAC_BYTES)
		return err_set(e, ERR_FORMAT,
		    "backup: %zu bytes, and it says that it has %llu: was it "
		    "cut short?",
		    len,
		    (unsigned long long)(h.length + h.bytes + SEAL_MAC_BYTES));
	*out = h;
	return 0;
}

/* Header, tar, and its encryption in place. */
static int
add_sealed(struct buf *out, struct backup_header *h, const struct buf *tar,
    const struct seal_keys *keys, struct err *e)
{
	uint8_t mac[SEAL_MAC_BYTES];
	size_t at;
	int rc;

	h->bytes = tar->len;
	write_header(out, h);
	at = out->len;
	buf_add(out, tar->data, tar->len);
	rc = buf_check(out, "backup", e);
	if (rc == 0)
		rc = seal_crypt(keys, out->data + at, tar->len, e);
	if (rc == 0)
		rc = seal_mac(keys, out->data, out->len, mac, e);
	if (rc != 0)
		return rc;
	buf_add(out, mac, sizeof(mac));
	return buf_check(out, "backup", e);
}

int
backup_seal(const struct backup *b, enum backup_secret kind,
    const struct seal_cost *cost, const struct buf *secret, struct buf *out,
    struct err *e)
{
	struct backup_header h = {
		.made = time(NULL), .secret = kind, .cost = *cost
	};
	struct seal_keys keys;
	struct buf tar;
	int rc = random_bytes(h.salt.b, sizeof(h.salt.b), e);

	if (rc == 0)
		rc = seal_keys_derive(
		    secret->data, secret->len, h.salt.b, cost, &keys, e);
	if (rc != 0)
		return rc;
	buf_init(&tar, LIMIT_BACKUP_BYTES);
	rc = backup_write_tar(b, &tar, e);
	if (rc == 0)
		rc = add_sealed(out, &h, &tar, &keys, e);
	buf_wipe(&tar);
	seal_keys_wipe(&keys);
	return rc;
}

static int
open_sealed(const void *data, const struct backup_header *h,
    const struct seal_keys *keys, struct buf *tar, struct err *e)
{
	const uint8_t *bytes = data;
	size_t sealed = h->length + (size_t)h->bytes;
	uint8_t mac[SEAL_MAC_BYTES];
	int rc = seal_mac(keys, bytes, sealed, mac, e);

	if (rc == 0 && !seal_mac_equal(mac, bytes + sealed))
		rc = err_set(e, ERR_VERIFY, "wrong %s, or the file was changed",
		    h->secret == BACKUP_KEY_FILE ? "key file" : "passphrase");
	if (rc != 0)
		return rc;
	buf_add(tar, bytes + h->length, (size_t)h->bytes);
	rc = buf_check(tar, "backup", e);
	return rc == 0 ? seal_crypt(keys, tar->data, tar->len, e) : rc;
}

int
backup_open(const void *data, size_t len, const struct buf *secret,
    struct backup *out, struct err *e)
{
	struct backup_header h;
	struct seal_keys keys;
	struct buf tar;
	int rc = backup_read_header(data, len, &h, e);

	if (rc == 0)
		rc = seal_keys_derive(
		    secret->data, secret->len, h.salt.b, &h.cost, &keys, e);
	if (rc != 0)
		return rc;
	buf_init(&tar, LIMIT_BACKUP_BYTES);
	rc = open_sealed(data, &h, &keys, &tar, e);
	if (rc == 0)
		rc = backup_read_tar(tar.data, tar.len, out, e);
	buf_wipe(&tar);
	seal_keys_wipe(&keys);
	return rc;
}
