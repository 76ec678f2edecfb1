/* Keys of session tickets.  Made in peciad's supervisor, used in its workers. */
#include "common/crypto_tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "common/crypto_openssl.h"
#include "common/limits.h"

#define STEP_MS (UINT64_C(1000) * LIMIT_TICKET_KEY_S)

struct ticket_keys {
	uint64_t due_ms;
	struct digest secret;             /* of the step after the newest */
	struct ticket_key newest, former; /* at first there is no former */
	bool has_former;
};

/* What follows from the secret for one purpose. */
static void
derive(const struct digest *secret, uint8_t purpose, void *out, size_t len)
{
	uint8_t text[DIGEST_BYTES + 1];
	struct digest d;

	memcpy(text, secret->b, DIGEST_BYTES);
	text[DIGEST_BYTES] = purpose;
	digest_of(text, sizeof(text), &d);
	memcpy(out, d.b, len);
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(&d, sizeof(d));
}

static void
step(struct ticket_keys *k)
{
	struct ticket_key *new = &k->newest;

	k->former = k->newest;
	derive(&k->secret, 'n', new->name, sizeof(new->name));
	derive(&k->secret, 'c', new->cipher, sizeof(new->cipher));
	derive(&k->secret, 'm', new->mac, sizeof(new->mac));
	derive(&k->secret, 's', &k->secret, sizeof(k->secret));
}

int
ticket_keys_new(uint64_t now_ms, struct ticket_keys **out, struct err *e)
{
	struct ticket_keys *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return err_memory(e);
	if (RAND_priv_bytes(k->secret.b, DIGEST_BYTES) != 1) {
		ticket_keys_free(k);
		return openssl_err(e, ERR_SYS, "random bytes");
	}
	step(k);
	k->due_ms = now_ms + STEP_MS;
	*out = k;
	return 0;
}

void
ticket_keys_free(struct ticket_keys *k)
{
	if (k != NULL)
		OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

void
ticket_keys_turn(struct ticket_keys *k, uint64_t now_ms)
{
	for (; k->due_ms <= now_ms; k->due_ms += STEP_MS) {
		step(k);
		k->has_former = true;
	}
}

const struct ticket_key *
ticket_keys_newest(const struct ticket_keys *k)
{
	return &k->newest;
}

const struct ticket_key *
ticket_keys_find(const struct ticket_keys *k, const uint8_t name[16])
{
	if (memcmp(k->newest.name, name, sizeof(k->newest.name)) == 0)
		return &k->newest;
	if (k->has_former &&
	    memcmp(k->former.name, name, sizeof(k->former.name)) == 0)
		return &k->former;
	return NULL;
}
