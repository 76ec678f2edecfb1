/* Feeds files to a fuzz target without libFuzzer: replay_FORMAT DIR.  Each
 * file is given whole and cut at every length up to CUT_BYTES, so that what a
 * fuzzer once found stays found. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz.h"

#define MAX_BYTES ((size_t)16 << 20) /* of one corpus file */
#define CUT_BYTES 512U

/* A copy of exactly `size` bytes lets AddressSanitizer see reads past it. */
static bool
feed(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		return false;
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return true;
}

static bool
feed_cuts(const uint8_t *data, size_t size)
{
	for (size_t n = 0; n < size && n < CUT_BYTES; n++) {
		if (!feed(data, n))
			return false;
	}
	return feed(data, size);
}

static bool
replay(const char *path)
{
	bool ok = false;
	size_t size;
	uint8_t *data = malloc(MAX_BYTES);
	FILE *f = fopen(path, "rb");

	if (!data || !f)
		goto out;
	size = fread(data, 1, MAX_BYTES, f);
	if (!ferror(f) && !feof(f))
		errno = EFBIG;
	else
		ok = !ferror(f) && feed_cuts(data, size);
out:
	if (!ok)
		perror(path);
	if (f)
		(void)fclose(f);
	free(data);
	return ok;
}

int
main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;
	DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;

	if (!dir) {
		(void)fprintf(stderr, "usage: %s CORPUS\n", argv[0]);
		return 2;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		char path[PATH_MAX];

		if (d->d_name[0] == '.')
			continue;
		if (snprintf(path, sizeof(path), "%s/%s", argv[1], d->d_name) >=
		    (int)sizeof(path))
			path[0] = '\0'; /* no such file: a failure */
		(void)printf(
		    "%s\n", d->d_name); /* the last one is the culprit */
		(void)fflush(stdout);
		if (replay(path))
			passed++;
		else
			failed++;
	}
	closedir(dir);
	(void)printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed;
}
