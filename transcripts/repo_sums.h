/* Check sums of files as they were stored, in a repository's cache/sums.
 *
 * Digests and signatures prove content.  They do not notice a bit of a
 * compressed file that may flip without changing what it decompresses to, nor
 * one of a signature nobody needs; disks that do that are to be found, too.
 * The file is private, need not be there, and may lack entries: records of 16
 * bytes, sum of the path and sum of the file, in the machine's byte order. */
#ifndef TRANSCRIPTS_REPO_SUMS_H
#define TRANSCRIPTS_REPO_SUMS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* A sum over bytes that come in pieces.  Any one changed word changes it; it
 * withstands accidents, not enemies. */
struct repo_sum {
	uint64_t state;
	uint64_t bytes;
	uint8_t tail[sizeof(uint64_t)]; /* bytes % 8 of them wait here */
};
void repo_sum_init(struct repo_sum *s);
void repo_sum_add(struct repo_sum *s, const void *data, size_t len);
uint64_t repo_sum_end(const struct repo_sum *s);
/* Of what remains to be read from fd. */
MUST_CHECK int repo_sum_fd(int fd, uint64_t *sum, struct err *e);

struct repo_sum_record {
	uint64_t path, file;
};

/* Writing; several threads may use one.  repo_fd is borrowed. */
#define REPO_SUMS_BUFFER 512
struct repo_sums {
	pthread_mutex_t lock;
	int repo_fd;
	int fd; /* -1: not opened yet */
	size_t count;
	struct repo_sum_record buffer[REPO_SUMS_BUFFER];
};
void repo_sums_init(struct repo_sums *s, int repo_fd);
/* What was not flushed is lost, which does no harm. */
void repo_sums_release(struct repo_sums *s);
MUST_CHECK int repo_sums_record(
    struct repo_sums *s, const char *path, uint64_t sum, struct err *e);
MUST_CHECK int repo_sums_flush(struct repo_sums *s, struct err *e);
/* The same, durable. */
MUST_CHECK int repo_sums_sync(struct repo_sums *s, struct err *e);

/* Reading. */
struct repo_sum_list {
	struct repo_sum_record *records; /* sorted */
	size_t count;
};
/* No file, or none that we may read, is an empty list. */
MUST_CHECK int repo_sum_list_load(
    int repo_fd, struct repo_sum_list *out, struct err *e);
void repo_sum_list_release(struct repo_sum_list *list);
/* Whether sums were recorded for the path and this is none of them. */
bool repo_sum_list_denies(
    const struct repo_sum_list *list, const char *path, uint64_t sum);

#endif
