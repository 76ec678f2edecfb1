/* SHA-256 by EVP, which takes the processor's SHA instructions.  Used by every
 * process; a state and the fetched algorithm are kept for many digests, as
 * looking the algorithm up costs more than hashing a small file. */
#include "common/crypto_digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "common/text.h"

#define READ_BYTES ((size_t)256 * 1024)

struct digest_state {
	EVP_MD_CTX *ctx;
	EVP_MD *md;
};

/* Nothing in a started SHA-256 can fail; should it, no wrong digest may be
 * taken for a right one. */
static void
must(int ok)
{
	if (ok != 1)
		abort();
}

int
digest_new(struct digest_state **out, struct err *e)
{
	struct digest_state *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return err_memory(e);
	d->ctx = EVP_MD_CTX_new();
	d->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (d->ctx == NULL || d->md == NULL ||
	    EVP_DigestInit_ex2(d->ctx, d->md, NULL) != 1) {
		digest_free(d);
		return err_set(
		    e, ERR_UNSUPPORTED, "OpenSSL offers no SHA-256 here");
	}
	*out = d;
	return 0;
}

void
digest_free(struct digest_state *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	EVP_MD_free(d->md);
	free(d);
}

void
digest_reset(struct digest_state *d)
{
	must(EVP_DigestInit_ex2(d->ctx, NULL, NULL));
}

void
digest_add(struct digest_state *d, const void *data, size_t len)
{
	must(EVP_DigestUpdate(d->ctx, data, len));
}

void
digest_end(struct digest_state *d, struct digest *out)
{
	must(EVP_DigestFinal_ex(d->ctx, out->b, NULL));
}

void
digest_of(const void *data, size_t len, struct digest *out)
{
	must(EVP_Digest(data, len, out->b, NULL, EVP_sha256(), NULL));
}

/* Adds the rest of fd to d. */
static int
add_fd(struct digest_state *d, int fd, uint64_t max_bytes, uint64_t *size,
    struct err *e)
{
	uint8_t *chunk = malloc(READ_BYTES);
	uint64_t total = 0;
	ssize_t n = 0;
	int ret = 0;

	if (chunk == NULL)
		return err_memory(e);
	for (;;) {
		n = read(fd, chunk, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if ((uint64_t)n > max_bytes - total) {
			ret = err_set(e, ERR_LIMIT, "more than %llu bytes",
			    (unsigned long long)max_bytes);
			goto out;
		}
		digest_add(d, chunk, (size_t)n);
		total += (uint64_t)n;
	}
	if (n < 0)
		ret = err_sys(e, "read");
	else
		*size = total;
out:
	free(chunk);
	return ret;
}

int
digest_of_fd(int fd, uint64_t max_bytes, struct digest *out, uint64_t *size,
    struct err *e)
{
	struct digest_state *d = NULL;
	uint64_t total = 0;
	int ret;

	ret = digest_new(&d, e);
	if (ret != 0)
		return ret;
	ret = add_fd(d, fd, max_bytes, &total, e);
	if (ret == 0) {
		digest_end(d, out);
		if (size != NULL)
			*size = total;
	}
	digest_free(d);
	return ret;
}

bool
digest_equal(const struct digest *a, const struct digest *b)
{
	return CRYPTO_memcmp(a->b, b->b, DIGEST_BYTES) == 0;
}

bool
digest_is_zero(const struct digest *d)
{
	static const struct digest zero;

	return digest_equal(d, &zero);
}

void
digest_hex(const struct digest *d, char hex[DIGEST_HEX])
{
	text_hex(hex, d->b, DIGEST_BYTES);
}

int
digest_parse(const char *s, size_t len, struct digest *out)
{
	return text_unhex(out->b, DIGEST_BYTES, s, len);
}
