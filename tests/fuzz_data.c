/* Data transcripts as a fetcher reads them. */
#include "tests/fuzz.h"

#include <string.h>

#include "transcripts/data.h"

/* Of all members together: an archive may well hold more. */
#define ENOUGH_BYTES (1U << 20)

struct input {
	const uint8_t *data;
	size_t left;
};

/* A data_source. */
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

static int
read_member(struct data_reader *r, size_t *total, struct err *e)
{
	static uint8_t piece[65536];
	size_t got = 1;
	int ret = 0;

	while (ret == 0 && got > 0 && *total < ENOUGH_BYTES) {
		ret = data_reader_read(r, piece, sizeof(piece), &got, e);
		*total += ret == 0 ? got : 0;
	}
	return ret;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct data_reader *r = NULL;
	struct data_member m;
	struct err e = ERR_INIT;
	size_t total = 0;
	bool more = true;
	int ret = data_reader_new(give, &in, size, &r, &e);

	while (ret == 0 && more && total < ENOUGH_BYTES) {
		ret = data_reader_next(r, &m, &more, &e);
		if (ret == 0 && more)
			ret = read_member(r, &total, &e);
	}
	data_reader_free(r);
	return 0;
}
