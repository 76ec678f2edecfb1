/* Ed25519 keys, signatures and their spellings.  Private keys are used by
 * peciactl and by the process that signs heads; every process verifies. */
#include "common/crypto_key.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "common/crypto_openssl.h"
#include "common/text.h"

struct key {
	EVP_PKEY *pkey;
	struct key_public pub;
};

int
openssl_err(struct err *e, int code, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	if (reason == NULL)
		return err_set(e, code, "%s", what);
	return err_set(e, code, "%s: %s", what, reason);
}

int
openssl_keygen(EVP_PKEY **out, struct err *e)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (pkey == NULL)
		return openssl_err(e, ERR_NO_MEMORY, "making an Ed25519 key");
	*out = pkey;
	return 0;
}

/* Without it OpenSSL would ask at the terminal. */
static int
no_passphrase(char *dst, int size, int writing, void *arg)
{
	(void)dst, (void)size, (void)writing, (void)arg;
	return -1;
}

/* A key as openssl_keygen and openssl_key_to_pem make it, or NULL: OpenSSL's own
 * reader looks through all its decoders first, which takes longer than a
 * handshake. */
static EVP_PKEY *
read_plain_key(const char *pem, size_t len)
{
	static const char begin[] = "-----BEGIN PRIVATE KEY-----\n",
	                  end[] = "\n-----END PRIVATE KEY-----\n";
	/* RFC 8410: version 0, Ed25519, an octet string in an octet string. */
	static const uint8_t front[] = { 0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3,
		0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20 };
	const size_t text_len = len - (sizeof(begin) - 1) - (sizeof(end) - 1);
	uint8_t der[sizeof(front) + 32];
	EVP_PKEY *pkey = NULL;
	size_t n = 0;

	if (len < sizeof(begin) + sizeof(end) ||
	    memcmp(pem, begin, sizeof(begin) - 1) != 0 ||
	    memcmp(pem + len - (sizeof(end) - 1), end, sizeof(end) - 1) != 0)
		return NULL;
	if (base64_decode(
	        pem + sizeof(begin) - 1, text_len, der, sizeof(der), &n) == 0 &&
	    n == sizeof(der) && memcmp(der, front, sizeof(front)) == 0)
		pkey = EVP_PKEY_new_raw_private_key(
		    EVP_PKEY_ED25519, NULL, der + sizeof(front), 32);
	OPENSSL_cleanse(der, sizeof(der));
	return pkey;
}

int
openssl_key_from_pem(const char *pem, size_t len, EVP_PKEY **out, struct err *e)
{
	EVP_PKEY *pkey;
	BIO *bio;

	if (len > INT_MAX)
		return err_set(e, ERR_LIMIT, "private key: too long");
	pkey = read_plain_key(pem, len);
	if (pkey != NULL) {
		*out = pkey;
		return 0;
	}
	bio = BIO_new_mem_buf(pem, (int)len);
	if (bio == NULL)
		return err_memory(e);
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (pkey == NULL)
		return openssl_err(
		    e, ERR_FORMAT, "private key: not an unencrypted PEM key");
	*out = pkey;
	return 0;
}

int
openssl_key_to_pem(const EVP_PKEY *pkey, struct buf *pem, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;
	int ret;

	if (bio == NULL)
		return err_memory(e);
	if (PEM_write_bio_PKCS8PrivateKey(
	        bio, pkey, NULL, NULL, 0, NULL, NULL) != 1) {
		ret = openssl_err(e, ERR_NO_MEMORY, "writing a private key");
		goto out;
	}
	len = BIO_get_mem_data(bio, &text);
	buf_add(pem, text, (size_t)len);
	ret = buf_check(pem, "private key", e);
out:
	BIO_free(bio); /* cleanses its memory */
	return ret;
}

void
key_id(const struct key_public *pub, char id[KEY_ID_HEX])
{
	struct digest d;

	digest_of(pub->b, sizeof(pub->b), &d);
	text_hex(id, d.b, (KEY_ID_HEX - 1) / 2);
}

/* Takes pkey over, also when it fails. */
static int
wrap(EVP_PKEY *pkey, struct key **out, struct err *e)
{
	size_t len = KEY_PUBLIC_BYTES;
	struct key *k = NULL;
	int ret;

	if (EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519) {
		ret = err_set(e, ERR_FORMAT, "private key: not an Ed25519 key");
		goto out;
	}
	k = calloc(1, sizeof(*k));
	if (k == NULL) {
		ret = err_memory(e);
		goto out;
	}
	if (EVP_PKEY_get_raw_public_key(pkey, k->pub.b, &len) != 1 ||
	    len != KEY_PUBLIC_BYTES) {
		ret = openssl_err(e, ERR_FORMAT, "private key: no public half");
		goto out;
	}
	k->pkey = pkey;
	*out = k;
	return 0;
out:
	EVP_PKEY_free(pkey);
	free(k);
	return ret;
}

int
key_generate(struct key **out, struct err *e)
{
	EVP_PKEY *pkey = NULL;
	int ret = openssl_keygen(&pkey, e);

	return ret != 0 ? ret : wrap(pkey, out, e);
}

int
key_from_pem(const char *pem, size_t len, struct key **out, struct err *e)
{
	EVP_PKEY *pkey = NULL;
	int ret = openssl_key_from_pem(pem, len, &pkey, e);

	return ret != 0 ? ret : wrap(pkey, out, e);
}

int
key_to_pem(const struct key *k, struct buf *pem, struct err *e)
{
	return openssl_key_to_pem(k->pkey, pem, e);
}

void
key_free(struct key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

void
key_public_of(const struct key *k, struct key_public *pub)
{
	*pub = k->pub;
}

int
key_sign(const struct key *k, const void *msg, size_t len,
    uint8_t sig[KEY_SIGNATURE_BYTES], struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t made[KEY_SIGNATURE_BYTES];
	size_t made_len = sizeof(made);
	int ret = 0;

	if (ctx == NULL)
		return err_memory(e);
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) != 1 ||
	    EVP_DigestSign(ctx, made, &made_len, msg, len) != 1 ||
	    made_len != sizeof(made))
		ret = openssl_err(e, ERR_NO_MEMORY, "signing");
	else
		memcpy(sig, made, sizeof(made));
	EVP_MD_CTX_free(ctx);
	return ret;
}

int
key_verify(const struct key_public *pub, const void *msg, size_t len,
    const uint8_t sig[KEY_SIGNATURE_BYTES], struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(
	    EVP_PKEY_ED25519, NULL, pub->b, sizeof(pub->b));
	char id[KEY_ID_HEX];
	int ret = 0;

	if (ctx == NULL || pkey == NULL ||
	    EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) != 1) {
		ret = openssl_err(e, ERR_NO_MEMORY, "checking a signature");
	} else if (EVP_DigestVerify(ctx, sig, KEY_SIGNATURE_BYTES, msg, len) !=
	    1) {
		key_id(pub, id);
		ERR_clear_error();
		ret = err_set(
		    e, ERR_VERIFY, "signature does not match key %s", id);
	}
	EVP_PKEY_free(pkey);
	EVP_MD_CTX_free(ctx);
	return ret;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Up to three bytes as four characters. */
static void
base64_add_group(struct buf *b, const uint8_t *src, size_t n)
{
	uint32_t v = (uint32_t)src[0] << 16;
	char text[4] = { 0, 0, '=', '=' };

	if (n > 1)
		v |= (uint32_t)src[1] << 8;
	if (n > 2)
		v |= src[2];
	for (size_t i = 0; i <= n; i++)
		text[i] = base64_digits[(v >> (18 - 6 * i)) & 63];
	buf_add(b, text, sizeof(text));
}

void
base64_add(struct buf *b, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i += 3)
		base64_add_group(b, p + i, len - i < 3 ? len - i : 3);
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* Four characters, the last 4-n-1 of them padding, into n bytes. */
static int
base64_decode_group(const char *s, uint8_t *dst, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i <= n; i++) {
		int digit = base64_value(s[i]);

		if (digit < 0)
			return ERR_FORMAT;
		v |= (uint32_t)digit << (18 - 6 * i);
	}
	/* Bits that no byte takes must be zero: one spelling only. */
	if (n < 3 && (v & (0xffffffu >> (8 * n)) & 0xffffffu) != 0)
		return ERR_FORMAT;
	for (size_t i = 0; i < n; i++)
		dst[i] = (uint8_t)(v >> (16 - 8 * i));
	return 0;
}

int
base64_decode(
    const char *s, size_t len, uint8_t *dst, size_t size, size_t *out_len)
{
	size_t padding = 0, total;

	if (len % 4 != 0)
		return ERR_FORMAT;
	if (len > 0 && s[len - 1] == '=')
		padding = s[len - 2] == '=' ? 2 : 1;
	total = len / 4 * 3 - padding;
	if (total > size)
		return ERR_LIMIT;
	for (size_t in = 0, at = 0; in < len; in += 4, at += 3) {
		size_t n = total - at < 3 ? total - at : 3;

		if (base64_decode_group(s + in, dst + at, n) != 0)
			return ERR_FORMAT;
	}
	*out_len = total;
	return 0;
}

int
random_bytes(void *dst, size_t len, struct err *e)
{
	if (len > INT_MAX)
		return err_set(e, ERR_LIMIT, "too many random bytes");
	if (RAND_bytes(dst, (int)len) != 1)
		return openssl_err(e, ERR_SYS, "random bytes");
	return 0;
}
