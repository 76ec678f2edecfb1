/* Seed: a mirror's first content from what lies nearby, so that little has to
 * come over its line.  The signed statements and manifests come from an
 * upstream; objects are taken from a directory, or an archive, by their digest
 * alone: what its files are called, and who made it, does not matter.  Besides
 * go old versions that the newest release's deltas start from.
 *
 * What is stored is verified like everything else; nothing is served of it
 * before the replicator has made a release complete. */
#ifndef SERVER_SEED_H
#define SERVER_SEED_H

#include "server/replicate.h"

struct progress;

struct seed_options {
	/* Repository (locked by seed_run), anchor, upstreams, identity. */
	const struct replicate_options *replicate;
	const char *source; /* directory, or archive */
	struct progress *progress;
};
struct seed_result {
	uint64_t channels;             /* that the upstream has a head of */
	uint64_t wanted, wanted_bytes; /* objects that were missing: content */
	uint64_t found, found_bytes;   /* of these, now here */
	uint64_t bases, base_bytes;    /* old versions that were stored */
};

/* Where the source is opened: before privilege is given up. */
struct seed_source {
	int fd;
	bool is_archive;
};
MUST_CHECK int seed_source_open(
    const char *path, struct seed_source *out, struct err *e);
void seed_source_close(struct seed_source *source);

/* ERR_CONFLICT: a replicator has the repository.  What was found before an
 * error stays. */
MUST_CHECK int seed_run(const struct seed_options *options,
    const struct seed_source *source, struct seed_result *out, struct err *e);

#endif
