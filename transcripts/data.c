/* Names of a data transcript's members.  Used by writer and reader. */
#include "transcripts/data.h"

#include <string.h>

#define HEX (DIGEST_HEX - 1)

static const char *
folder_of(enum data_kind kind)
{
	switch (kind) {
	case DATA_MANIFEST:
	case DATA_MANIFEST_DELTA:
		return "manifest";
	case DATA_DELTA:
		return "delta";
	case DATA_OBJECT:
		break;
	}
	return "object";
}

void
data_name(const struct data_member *m, char name[DATA_NAME_BYTES])
{
	char digest[DIGEST_HEX], basis[DIGEST_HEX];
	bool delta = m->kind == DATA_MANIFEST_DELTA || m->kind == DATA_DELTA;

	digest_hex(&m->digest, digest);
	digest_hex(&m->basis, basis);
	(void)snprintf(name, DATA_NAME_BYTES, "%s/%s%s%s", folder_of(m->kind),
	    digest, delta ? "-" : "", delta ? basis : "");
}

static bool
kind_of(const char *folder, size_t len, bool delta, enum data_kind *out)
{
	static const enum data_kind kinds[] = { DATA_MANIFEST,
		DATA_MANIFEST_DELTA, DATA_DELTA, DATA_OBJECT };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const char *name = folder_of(kinds[i]);
		bool is_delta =
		    kinds[i] == DATA_MANIFEST_DELTA || kinds[i] == DATA_DELTA;

		if (strlen(name) == len && memcmp(name, folder, len) == 0 &&
		    is_delta == delta) {
			*out = kinds[i];
			return true;
		}
	}
	return false;
}

int
data_name_parse(const char *name, struct data_member *out)
{
	struct data_member m = { .kind = DATA_OBJECT };
	const char *slash = strchr(name, '/');
	size_t len;
	bool delta;

	if (slash == NULL)
		return ERR_FORMAT;
	len = strlen(slash + 1);
	delta = len == 2 * HEX + 1 && slash[1 + HEX] == '-';
	if ((!delta && len != HEX) ||
	    !kind_of(name, (size_t)(slash - name), delta, &m.kind) ||
	    digest_parse(slash + 1, HEX, &m.digest) != 0)
		return ERR_FORMAT;
	if (delta && digest_parse(slash + 2 + HEX, HEX, &m.basis) != 0)
		return ERR_FORMAT;
	m.size_bytes = out->size_bytes;
	*out = m;
	return 0;
}

static unsigned
rank(enum data_kind kind)
{
	switch (kind) {
	case DATA_MANIFEST:
	case DATA_MANIFEST_DELTA:
		return 0;
	case DATA_DELTA:
		return 1;
	case DATA_OBJECT:
		break;
	}
	return 2;
}

bool
data_may_follow(enum data_kind last, enum data_kind kind)
{
	return rank(kind) > rank(last) ||
	    (rank(kind) == rank(last) && rank(kind) > 0);
}
