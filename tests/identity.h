/* TLS identities in a scratch directory. */
#ifndef TESTS_IDENTITY_H
#define TESTS_IDENTITY_H

#include "common/crypto_identity.h"
#include "tests/scratch.h"

/* The one of that name, made where there is none; the test fails with it. */
struct tls_identity *identity_in(const struct scratch *s, const char *name);

#endif
