/* Scans of scratch trees to test with. */
#ifndef TESTS_SCAN_FIXTURE_H
#define TESTS_SCAN_FIXTURE_H

#include "tests/scratch.h"
#include "transcripts/scan.h"

#define HELLO_SUM \
 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

/* A scan of a scratch directory and what came of it. */
struct run {
	struct scratch scratch;
	struct scan_options o;
	struct scan_totals totals;
	struct manifest_writer
	    *writer;        /* holds entries to the format's rules */
	struct buf text;    /* the manifest */
	struct buf listing; /* "f path\n", "h first path\n" */
	struct buf skipped, wanted;
	struct err e;
	void (*on_entry)(struct run *r, const struct manifest_entry *m);
	void (*on_want)(struct run *r, const struct scan_job *job);
};

void run_init(struct run *r);
void run_release(struct run *r);

/* Scans with r->o; what came of it is in *r, from this scan alone. */
int run_scan(struct run *r);
void run_must_scan(struct run *r);
/* Scans with the stat cache in fd, and leaves there that of this scan, as if
 * the scan had begun `seconds` from now. */
int run_scan_cached(struct run *r, int fd, bool has_cache, int seconds);

/* Callbacks, with the run as arg, for options that are set otherwise. */
int run_take_entry(void *arg, const struct manifest_entry *m, struct err *e);
/* A manifest_sink into a buf. */
int run_add_text(void *arg, const void *data, size_t len, struct err *e);

/* Things of the tree. */
void put_file(const struct run *r, const char *path, const char *content);
void put_dir(const struct run *r, const char *path);
void put_symlink(const struct run *r, const char *target, const char *path);
void put_link(const struct run *r, const char *from, const char *path);
void put_socket(const struct run *r, const char *name);

#endif
