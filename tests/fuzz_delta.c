/* Deltas against a basis of 4096 bytes, each the low byte of its place and of
 * its block of 256. */
#include "tests/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/delta_apply.h"

#define BASIS_BYTES 4096
#define MAX_BYTES   (1U << 20)

struct input {
	const uint8_t *data;
	size_t left;
};

/* A delta_source. */
static int
give(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct input *in = arg;
	size_t n = in->left < size ? in->left : size;

	(void)e;
	if (n > 0)
		memcpy(dst, in->data, n);
	in->data += n;
	in->left -= n;
	*got = n;
	return 0;
}

/* A delta_sink. */
static int
count(void *arg, const void *data, size_t len, struct err *e)
{
	size_t *total = arg;

	(void)data;
	(void)e;
	*total += len;
	if (*total > MAX_BYTES)
		abort();
	return 0;
}

static int
basis(void)
{
	uint8_t bytes[BASIS_BYTES];
	int fd = memfd_create("basis", MFD_CLOEXEC);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i ^ i / 256);
	if (fd < 0 ||
	    pwrite(fd, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		abort();
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	size_t total = 0;
	struct err e = ERR_INIT;
	struct delta_apply patch = { .basis_fd = basis(),
		.source = give,
		.source_arg = &in,
		.sink = count,
		.sink_arg = &total,
		.max_bytes = MAX_BYTES };

	if (delta_apply(&patch, &e) == 0 && total == 0)
		e.code = 0; /* an empty result is one */
	close(patch.basis_fd);
	return 0;
}
