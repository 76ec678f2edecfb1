/* Frames and signatures of statements.  peciactl and the process that signs
 * heads write them; every process checks them. */
#include "transcripts/statement.h"

#include "common/text.h"
#include "transcripts/lines.h"

static const char separator[] = "--\n";

/* Length of the body: what stands before the first line "--". */
static int
find_body(const void *data, size_t len, size_t *body_len, struct err *e)
{
	struct reader r;
	size_t line_len = 0, start;
	const char *line = NULL;

	reader_init(&r, data, len);
	do {
		start = r.pos;
		if (reader_line(&r, &line, &line_len) != 0)
			return err_set(e, ERR_FORMAT,
			    "statement: no line '--' before its signatures");
	} while (line_len != 2 || memcmp(line, separator, 2) != 0);
	if (start == 0)
		return err_set(e, ERR_FORMAT, "statement: it is empty");
	*body_len = start;
	return 0;
}

static void
parse_signature(struct lines *l, struct statement_signature *out)
{
	uint8_t id[(KEY_ID_HEX - 1) / 2];
	const char *p = NULL;
	size_t len = 0, n = 0;

	lines_begin(l, "sig");
	lines_literal(l, "ed25519");
	if (!lines_word(l, &p, &len))
		return;
	if (text_unhex(id, sizeof(id), p, len) != 0) {
		lines_fail(l, ERR_FORMAT, "not a key id of 32 hex digits");
		return;
	}
	text_hex(out->id, id, sizeof(id));
	if (lines_word(l, &p, &len) &&
	    (base64_decode(p, len, out->sig, sizeof(out->sig), &n) != 0 ||
	        n != sizeof(out->sig)))
		lines_fail(l, ERR_FORMAT, "not 64 bytes in base64");
}

static int
parse_signatures(
    const void *data, size_t len, struct statement *s, struct err *e)
{
	struct statement_signature *sig;
	struct lines l;

	lines_init(&l, "signatures of the", data, len, e);
	do {
		if (s->sig_count == LIMIT_SIGNATURES) {
			lines_fail(&l, ERR_LIMIT, "more than %d signatures",
			    LIMIT_SIGNATURES);
			break;
		}
		sig = &s->sigs[s->sig_count++];
		parse_signature(&l, sig);
		if (s->sig_count > 1)
			lines_ascending(&l, sig[-1].id, sig->id);
	} while (lines_follows(&l, "sig"));
	return lines_finish(&l);
}

int
statement_split(
    const void *data, size_t len, struct statement *out, struct err *e)
{
	struct statement s = { 0 };
	const uint8_t *body = NULL, *rest = NULL;
	struct reader r;
	int rc = find_body(data, len, &s.body_len, e);

	if (rc != 0)
		return rc;
	reader_init(&r, data, len);
	if (reader_bytes(&r, s.body_len, &body) != 0 ||
	    reader_bytes(&r, sizeof(separator) - 1, &rest) != 0 ||
	    reader_bytes(&r, reader_left(&r), &rest) != 0)
		return err_set(e, ERR_FORMAT, "statement: cut off");
	s.body = (const char *)body;
	rc = parse_signatures(
	    rest, len - s.body_len - sizeof(separator) + 1, &s, e);
	if (rc == 0)
		*out = s;
	return rc;
}

static const struct statement_signature *
signature_of(const struct statement *s, const struct key_public *key)
{
	char id[KEY_ID_HEX];
	size_t i;

	key_id(key, id);
	for (i = 0; i < s->sig_count; i++) {
		if (strcmp(s->sigs[i].id, id) == 0)
			return &s->sigs[i];
	}
	return NULL;
}

/* A list of signers made by hand may name a key twice; it counts once. */
static bool
is_repeated(const struct statement_signers *signers, size_t at)
{
	size_t i;

	for (i = 0; i < at; i++) {
		if (memcmp(signers->keys[i].b, signers->keys[at].b,
		        KEY_PUBLIC_BYTES) == 0)
			return true;
	}
	return false;
}

int
statement_verify(const struct statement *s,
    const struct statement_signers *signers, struct err *e)
{
	const struct statement_signature *sig;
	unsigned signed_by = 0;
	size_t i;
	int rc;

	for (i = 0; i < signers->count && i < LIMIT_KEYS; i++) {
		sig = signature_of(s, &signers->keys[i]);
		if (sig == NULL || is_repeated(signers, i))
			continue;
		rc = key_verify(
		    &signers->keys[i], s->body, s->body_len, sig->sig, e);
		if (rc != 0)
			return rc;
		signed_by++;
	}
	if (signed_by > 0 && signed_by >= signers->threshold)
		return 0;
	return err_set(e, ERR_VERIFY,
	    "signed by %u of the %zu keys that may sign it; %u must", signed_by,
	    signers->count, signers->threshold);
}

static int
compare_ids(const void *a, const void *b)
{
	const struct statement_signature *x = a, *y = b;

	return strcmp(x->id, y->id);
}

/* Sorts the signatures and adds "--" and their lines. */
static int
write_signatures(struct buf *text, struct statement *s, struct err *e)
{
	size_t i;

	qsort(s->sigs, s->sig_count, sizeof(s->sigs[0]), compare_ids);
	buf_add_str(text, separator);
	for (i = 0; i < s->sig_count; i++) {
		if (i > 0 && strcmp(s->sigs[i - 1].id, s->sigs[i].id) == 0)
			return err_set(e, ERR_CONFLICT,
			    "key %s has signed the statement already",
			    s->sigs[i].id);
		buf_addf(text, "sig ed25519 %s ", s->sigs[i].id);
		base64_add(text, s->sigs[i].sig, KEY_SIGNATURE_BYTES);
		buf_add_byte(text, '\n');
	}
	return buf_check(text, "statement", e);
}

/* One more signature over the body. */
static int
add_signature(struct statement *s, const struct key *k, struct err *e)
{
	struct statement_signature *sig;
	struct key_public pub;

	if (s->sig_count == LIMIT_SIGNATURES)
		return err_set(e, ERR_LIMIT,
		    "statement: more than %d signatures", LIMIT_SIGNATURES);
	sig = &s->sigs[s->sig_count];
	key_public_of(k, &pub);
	key_id(&pub, sig->id);
	s->sig_count++;
	return key_sign(k, s->body, s->body_len, sig->sig, e);
}

static int
check_body(const struct buf *text, size_t body_len, struct err *e)
{
	size_t found = 0;
	int rc = find_body(text->data, text->len, &found, e);

	if (rc == 0 && found == body_len)
		return 0;
	return err_set(e, ERR_USAGE,
	    "statement: its body is not whole lines, or has a line '--'");
}

/* Takes the end off again. */
static void
cut(struct buf *text, size_t len)
{
	text->len = len;
	text->failed = 0;
	if (text->data != NULL)
		text->data[len] = '\0';
}

int
statement_sign(struct buf *text, const struct key *const keys[], size_t count,
    struct err *e)
{
	size_t body_len = text->len, i;
	struct statement s = { 0 };
	int rc = buf_check(text, "statement", e);

	if (rc != 0)
		return rc;
	if (count == 0)
		return err_set(e, ERR_USAGE, "statement: no key to sign with");
	s.body = buf_str(text);
	s.body_len = body_len;
	for (i = 0; i < count && rc == 0; i++)
		rc = add_signature(&s, keys[i], e);
	if (rc == 0)
		rc = write_signatures(text, &s, e);
	if (rc == 0)
		rc = check_body(text, body_len, e);
	if (rc != 0)
		cut(text, body_len);
	return rc;
}

int
statement_cosign(struct buf *text, const struct key *k, struct err *e)
{
	struct statement s;
	struct buf made;
	int rc = statement_split(text->data, text->len, &s, e);

	if (rc != 0)
		return rc;
	buf_init(&made, text->max);
	rc = add_signature(&s, k, e);
	if (rc == 0) {
		buf_add(&made, s.body, s.body_len);
		rc = write_signatures(&made, &s, e);
	}
	if (rc == 0) {
		buf_clear(text);
		buf_add(text, made.data, made.len);
		rc = buf_check(text, "statement", e);
	}
	buf_release(&made);
	return rc;
}

void
statement_etag(const struct digest *d, char etag[STATEMENT_ETAG_BYTES])
{
	char hex[DIGEST_HEX];

	digest_hex(d, hex);
	(void)snprintf(etag, STATEMENT_ETAG_BYTES, "\"%.32s\"", hex);
}
