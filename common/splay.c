/* Spreading hosts; all programs. */
#include "common/splay.h"

#include <string.h>
#include <unistd.h>

#include "common/crypto_digest.h"
#include "common/limits.h"

uint64_t
splay_share(uint64_t splay, const char *host)
{
	struct digest d;
	uint64_t n = 0;

	if (splay == 0)
		return 0;
	digest_of(host, strlen(host), &d);
	for (size_t i = 0; i < sizeof(n); i++)
		n = n << 8 | d.b[i];
	return n % splay;
}

uint64_t
splay_own_share(uint64_t splay)
{
	char name[LIMIT_HOST_BYTES + 2] = "";

	if (gethostname(name, sizeof(name) - 1) != 0)
		name[0] = '\0';
	return splay_share(splay, name);
}
