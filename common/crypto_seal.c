/* Sealing under a passphrase; runs in peciactl. */
#include "common/crypto_seal.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/crypto_openssl.h"
#include "common/limits.h"

/* Beside the big block scrypt needs a little. */
#define SPARE_BYTES ((uint64_t)1 << 20)

static int
check_cost(const struct seal_cost *c, struct err *e)
{
	if (c->log_n < 1 || c->log_n > LIMIT_SCRYPT_LOG || c->p < 1 ||
	    c->p > LIMIT_SCRYPT_PARALLEL)
		return err_set(e, ERR_LIMIT,
		    "scrypt with N = 2^%u and p = %u: 2^%d and %d at most",
		    c->log_n, c->p, LIMIT_SCRYPT_LOG, LIMIT_SCRYPT_PARALLEL);
	return 0;
}

int
seal_keys_derive(const void *secret, size_t len,
    const uint8_t salt[SEAL_SALT_BYTES], const struct seal_cost *cost,
    struct seal_keys *out, struct err *e)
{
	uint8_t both[sizeof(out->cipher) + sizeof(out->mac)];
	uint64_t n, max_bytes;
	int rc = check_cost(cost, e);

	if (rc != 0)
		return rc;
	n = (uint64_t)1 << cost->log_n;
	max_bytes = (uint64_t)128 * SEAL_SCRYPT_R * n + SPARE_BYTES;
	if (EVP_PBE_scrypt(secret, len, salt, SEAL_SALT_BYTES, n, SEAL_SCRYPT_R,
	        cost->p, max_bytes, both, sizeof(both)) != 1)
		return openssl_err(e, ERR_NO_MEMORY, "scrypt");
	memcpy(out->cipher, both, sizeof(out->cipher));
	memcpy(out->mac, both + sizeof(out->cipher), sizeof(out->mac));
	OPENSSL_cleanse(both, sizeof(both));
	return 0;
}

void
seal_keys_wipe(struct seal_keys *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

int
seal_crypt(const struct seal_keys *k, void *data, size_t len, struct err *e)
{
	/* No two texts have the same key, so that any start will do. */
	static const uint8_t iv[16] = { 0 };
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int made = 0, rc = 0;

	if (ctx == NULL)
		return err_memory(e);
	if (len > INT_MAX)
		rc = err_set(e, ERR_LIMIT, "encryption: too long");
	else if (EVP_EncryptInit_ex2(
	             ctx, EVP_aes_256_ctr(), k->cipher, iv, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, data, &made, data, (int)len) != 1 ||
	    made != (int)len)
		rc = openssl_err(e, ERR_NO_MEMORY, "encryption");
	EVP_CIPHER_CTX_free(ctx);
	return rc;
}

int
seal_mac(const struct seal_keys *k, const void *data, size_t len,
    uint8_t mac[SEAL_MAC_BYTES], struct err *e)
{
	unsigned made = SEAL_MAC_BYTES;

	if (HMAC(EVP_sha256(), k->mac, (int)sizeof(k->mac), data, len, mac,
	        &made) == NULL)
		return openssl_err(e, ERR_NO_MEMORY, "HMAC");
	return 0;
}

bool
seal_mac_equal(const uint8_t a[SEAL_MAC_BYTES], const uint8_t b[SEAL_MAC_BYTES])
{
	return CRYPTO_memcmp(a, b, SEAL_MAC_BYTES) == 0;
}
