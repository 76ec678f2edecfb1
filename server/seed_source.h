/* The files of a seed: those of a directory, or the members of an archive, one
 * after another, each as an open descriptor. */
#ifndef SERVER_SEED_SOURCE_H
#define SERVER_SEED_SOURCE_H

#include "server/seed.h"
#include "transcripts/repo.h"

struct seed_files {
	struct repo *repo; /* for temporary files */
	/* Whether files of that size are of use: others are passed over. */
	bool (*fits)(void *arg, uint64_t size_bytes);
	/* A file, at its start; borrowed.  An error ends the walk. */
	int (*file)(void *arg, int fd, const char *name, uint64_t size_bytes,
	    struct err *e);
	void *arg;
};
/* May be repeated.  An archive is read by a process without privilege. */
MUST_CHECK int seed_source_walk(
    const struct seed_source *source, struct seed_files *files, struct err *e);

#endif
