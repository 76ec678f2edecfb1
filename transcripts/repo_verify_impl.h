/* What the parts of repo_verify share: findings, and what the kept releases
 * need of the other files. */
#ifndef TRANSCRIPTS_REPO_VERIFY_IMPL_H
#define TRANSCRIPTS_REPO_VERIFY_IMPL_H

#include <pthread.h>

#include "transcripts/repo.h"
#include "transcripts/root.h"

enum wanted_kind {
	WANTED_RELEASE,
	WANTED_MANIFEST,
	WANTED_DATA
};

/* A file that a verified release or head names. */
struct wanted {
	enum wanted_kind kind;
	struct digest digest;
	uint64_t size_bytes;    /* of the text, or of the file */
	uint64_t entries;       /* of a manifest */
	uint64_t content_bytes; /* of a manifest */
	bool newest;            /* by the newest release of a channel */
};

/* One object that is there; `key` is bytes 1 to 8 of its digest, as the
 * first is its shelf. */
struct shelved {
	uint64_t key;
	uint64_t state; /* size of the content << 2 | SHELVED_* */
};
#define SHELVED_BAD  1U
#define SHELVED_USED 2U

struct shelf {
	struct shelved *objects; /* sorted by key */
	size_t count;
};
#define SHELVES 256

struct verify {
	struct repo *repo;
	const struct repo_verify *how;
	struct repo_sum_list sums;
	struct root *roots; /* verified, oldest first */
	size_t root_count;
	struct wanted *wanted; /* sorted by kind and digest once complete */
	size_t wanted_count, wanted_cap;
	struct shelf shelves[SHELVES];
	/* Of all threads. */
	pthread_mutex_t lock;
	struct repo_verified result;
	bool references_unknown; /* a manifest or statement could not be read */
};

void verify_found(struct verify *v, enum repo_finding kind, const char *path,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Counts a file; tells of progress. */
void verify_looked_at(struct verify *v, uint64_t bytes);
/* Compares a file with cache/sums; fd stands at its start, and does again. */
MUST_CHECK int verify_sum(
    struct verify *v, const char *path, int fd, struct err *e);
/* A statement into `out`, counted and compared with cache/sums; damage is
 * found and not an error.  ERR_NOT_FOUND is left to the caller. */
MUST_CHECK int verify_read(struct verify *v, const char *path, size_t max_bytes,
    struct buf *out, struct err *e);

/* Roots, roster, heads, releases: fills in roots and wanted. */
MUST_CHECK int verify_chains(struct verify *v, struct err *e);

/* The first wanted one of a kind and digest, or NULL; *count of them are
 * alike. */
const struct wanted *verify_wanted(const struct verify *v,
    enum wanted_kind kind, const struct digest *d, size_t *count);

/* Every file below v1/object onto the shelves, and below v1/data. */
MUST_CHECK int verify_content(struct verify *v, struct err *e);
/* Every file below v1/manifest, against the shelves; then what is missing and
 * what nobody needs. */
MUST_CHECK int verify_manifests(struct verify *v, struct err *e);

#endif
