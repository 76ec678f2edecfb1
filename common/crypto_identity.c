/* Key and certificate files of a host; opened by each program at its start,
 * before privilege is given up. */
#include "common/crypto_identity.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/crypto_openssl.h"
#include "common/fsat.h"

#define KEY_FILE     "key.pem"
#define CERT_FILE    "cert.pem"
#define LOCK_FILE    ".lock"
#define PEM_BYTES    65536 /* RSA 16384 takes 13 KB */
#define LOCK_WAIT_MS 5000

/* Some clients have no clock when they start; the key is what counts. */
#define VALID_FROM  "19700101000000Z"
#define VALID_UNTIL "99991231235959Z"

bool
openssl_spki_digest(const X509 *cert, struct digest *out)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	if (len <= 0)
		return false;
	digest_of(der, (size_t)len, out);
	OPENSSL_free(der);
	return true;
}

static int
check_mode(int dir, struct err *e)
{
	struct fsat_stat st;
	int ret = fsat_stat(dir, KEY_FILE, &st, e);

	if (ret != 0)
		return ret;
	if ((st.mode & 07) != 0)
		return err_set(e, ERR_USAGE,
		    "%s: mode %03o lets everybody use it; chmod it to 600",
		    KEY_FILE, (unsigned)st.mode & 0777);
	return 0;
}

static int
read_key(int dir, EVP_PKEY **out, struct err *e)
{
	struct buf pem;
	int ret;

	buf_init(&pem, PEM_BYTES);
	ret = fsat_read_file(dir, KEY_FILE, PEM_BYTES, &pem, e);
	if (ret != 0)
		goto out;
	ret = check_mode(dir, e);
	if (ret != 0)
		goto out;
	ret = openssl_key_from_pem(buf_str(&pem), pem.len, out, e);
	if (ret != 0)
		err_prefix(e, "%s", KEY_FILE);
out:
	buf_wipe(&pem);
	return ret;
}

static int
make_key(int dir, EVP_PKEY **out, struct err *e)
{
	EVP_PKEY *pkey = NULL;
	struct buf pem;
	int ret;

	buf_init(&pem, PEM_BYTES);
	ret = openssl_keygen(&pkey, e);
	if (ret != 0)
		goto out;
	ret = openssl_key_to_pem(pkey, &pem, e);
	if (ret != 0)
		goto out;
	ret = fsat_write_file(dir, KEY_FILE, 0600, pem.data, pem.len, e);
	if (ret != 0)
		goto out;
	*out = pkey;
	pkey = NULL;
out:
	EVP_PKEY_free(pkey);
	buf_wipe(&pem);
	return ret;
}

static int
read_cert(int dir, X509 **out, struct err *e)
{
	struct buf pem;
	BIO *bio = NULL;
	int ret;

	buf_init(&pem, PEM_BYTES);
	ret = fsat_read_file(dir, CERT_FILE, PEM_BYTES, &pem, e);
	if (ret != 0)
		goto out;
	bio = BIO_new_mem_buf(buf_str(&pem), (int)pem.len);
	if (bio == NULL) {
		ret = err_memory(e);
		goto out;
	}
	*out = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	if (*out == NULL)
		ret = openssl_err(
		    e, ERR_FORMAT, CERT_FILE ": not a PEM certificate");
out:
	BIO_free(bio);
	buf_release(&pem);
	return ret;
}

static bool
fill_cert(X509 *cert, EVP_PKEY *pkey)
{
	const unsigned char *name = (const unsigned char *)"pecia";
	X509_NAME *subject = X509_get_subject_name(cert);
	uint64_t serial = 0;

	return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
	    ASN1_INTEGER_set_uint64(
	        X509_get_serialNumber(cert), serial >> 1 | 1) == 1 &&
	    X509_set_version(cert, X509_VERSION_3) == 1 &&
	    ASN1_TIME_set_string_X509(X509_getm_notBefore(cert), VALID_FROM) ==
	    1 &&
	    ASN1_TIME_set_string_X509(X509_getm_notAfter(cert), VALID_UNTIL) ==
	    1 &&
	    X509_NAME_add_entry_by_txt(
	        subject, "CN", MBSTRING_ASC, name, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, subject) == 1 &&
	    X509_set_pubkey(cert, pkey) == 1;
}

/* NULL for keys that bring their own digest, as Ed25519 does. */
static const EVP_MD *
digest_for(EVP_PKEY *pkey)
{
	int id = EVP_PKEY_get_id(pkey);

	return id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448 ? NULL
	                                                      : EVP_sha256();
}

static int
write_cert(int dir, X509 *cert, struct err *e)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;
	int ret;

	if (bio == NULL)
		return err_memory(e);
	if (PEM_write_bio_X509(bio, cert) == 1) {
		len = BIO_get_mem_data(bio, &text);
		ret =
		    fsat_write_file(dir, CERT_FILE, 0644, text, (size_t)len, e);
	} else {
		ret = openssl_err(e, ERR_NO_MEMORY, "writing a certificate");
	}
	BIO_free(bio);
	return ret;
}

static int
make_cert(int dir, EVP_PKEY *pkey, X509 **out, struct err *e)
{
	X509 *cert = X509_new();
	int ret;

	if (cert == NULL)
		return err_memory(e);
	if (!fill_cert(cert, pkey) ||
	    X509_sign(cert, pkey, digest_for(pkey)) <= 0) {
		ret = openssl_err(e, ERR_NO_MEMORY, "making a certificate");
		goto out;
	}
	ret = write_cert(dir, cert, e);
	if (ret != 0)
		goto out;
	*out = cert;
	cert = NULL;
out:
	X509_free(cert);
	return ret;
}

static int
read_pair(int dir, struct tls_identity *id, struct err *e)
{
	int ret = read_key(dir, &id->pkey, e);

	return ret != 0 ? ret : read_cert(dir, &id->cert, e);
}

static int
make_missing(int dir, struct tls_identity *id, struct err *e)
{
	int lock = -1, ret;

	ret = fsat_open_write(dir, LOCK_FILE, 0600, &lock, e);
	if (ret != 0)
		return ret;
	ret = fsat_lock(lock, LOCK_WAIT_MS, e);
	if (ret != 0)
		goto out;
	if (id->pkey == NULL) {
		ret = read_key(dir, &id->pkey, e);
		if (ret == ERR_NOT_FOUND)
			ret = make_key(dir, &id->pkey, e);
		if (ret != 0)
			goto out;
	}
	ret = read_cert(dir, &id->cert, e);
	if (ret == ERR_NOT_FOUND)
		ret = make_cert(dir, id->pkey, &id->cert, e);
out:
	close(lock);
	return ret;
}

static int
check_pair(struct tls_identity *id, struct err *e)
{
	if (X509_check_private_key(id->cert, id->pkey) != 1) {
		ERR_clear_error();
		return err_set(e, ERR_VERIFY, "%s is not for the key in %s",
		    CERT_FILE, KEY_FILE);
	}
	if (!openssl_spki_digest(id->cert, &id->spki))
		return openssl_err(e, ERR_FORMAT, CERT_FILE ": no public key");
	return 0;
}

int
tls_identity_open(
    const char *dir, bool create, struct tls_identity **out, struct err *e)
{
	struct tls_identity *id = NULL;
	int fd = -1, ret;

	ret = fsat_operator_dir(dir, create, 0700, &fd, e);
	if (ret != 0)
		return ret;
	id = calloc(1, sizeof(*id));
	if (id == NULL) {
		ret = err_memory(e);
		goto out;
	}
	ret = read_pair(fd, id, e);
	if (ret == ERR_NOT_FOUND && create)
		ret = make_missing(fd, id, e);
	if (ret == 0)
		ret = check_pair(id, e);
	if (ret != 0) {
		err_prefix(e, "%s", dir);
		goto out;
	}
	*out = id;
	id = NULL;
out:
	tls_identity_free(id);
	close(fd);
	return ret;
}

void
tls_identity_free(struct tls_identity *id)
{
	if (id == NULL)
		return;
	EVP_PKEY_free(id->pkey);
	X509_free(id->cert);
	free(id);
}

void
tls_identity_digest(const struct tls_identity *id, struct digest *out)
{
	*out = id->spki;
}
