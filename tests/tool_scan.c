/* tool_scan DIR [CACHE]: scans DIR as a publisher does, with the stat cache of
 * the run before, and prints what it took; the manifest goes to stdout when
 * that is no terminal.  Content is hashed in the scanning thread. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "transcripts/scan.h"

static void
must(int rc, const struct err *e)
{
	if (rc == 0)
		return;
	(void)fprintf(stderr, "%s\n", e->msg);
	exit(1);
}

static int
add(void *arg, const struct manifest_entry *m, struct err *e)
{
	return manifest_writer_add(arg, m, e);
}

static int
print(void *arg, const void *data, size_t len, struct err *e)
{
	if (*(const bool *)arg)
		return 0;
	return fsat_write_all(STDOUT_FILENO, data, len, e);
}

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
open_caches(int dir, const char *name, struct scan_options *o,
    struct timespec *started, struct err *e)
{
	int old, new;

	clock_gettime(CLOCK_REALTIME, started);
	if (fsat_open_file(dir, name, &old, NULL) == 0 &&
	    statcache_reader_new(old, &o->was, NULL) != 0)
		o->was = NULL;
	must(fsat_open_write(dir, "new-cache", 0600, &new, e), e);
	must(statcache_writer_new(new, started, &o->now, e), e);
}

int
main(int argc, char **argv)
{
	bool quiet = isatty(STDOUT_FILENO) != 0;
	struct scan_options o = { .devices = true, .entry = add };
	struct manifest_totals text;
	struct manifest_writer *w;
	struct scan_totals totals;
	struct err e = ERR_INIT;
	struct timespec started;
	double began = now_ms();
	int cache_dir = -1;

	if (argc < 2)
		return 2;
	must(fsat_operator_dir(argv[1], false, 0, &o.dir, &e), &e);
	if (argc > 2) {
		must(
		    fsat_operator_dir(argv[2], true, 0700, &cache_dir, &e), &e);
		open_caches(cache_dir, "cache", &o, &started, &e);
	}
	must(manifest_writer_new(print, &quiet, &w, &e), &e);
	o.arg = w;
	must(scan_run(&o, &totals, &e), &e);
	must(manifest_writer_end(w, &text, &e), &e);
	if (o.now != NULL) {
		must(statcache_writer_end(o.now, &e), &e);
		must(
		    fsat_rename(cache_dir, "new-cache", cache_dir, "cache", &e),
		    &e);
	}
	(void)fprintf(stderr,
	    "entries %llu files %llu wanted %llu skipped %llu text %llu "
	    "ms %.1f\n",
	    (unsigned long long)totals.entries,
	    (unsigned long long)totals.files, (unsigned long long)totals.wanted,
	    (unsigned long long)totals.skipped,
	    (unsigned long long)text.text_bytes, now_ms() - began);
	manifest_writer_free(w);
	statcache_writer_free(o.now);
	statcache_reader_free(o.was);
	return 0;
}
