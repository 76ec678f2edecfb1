/* librsync's job interface with our own buffers, so that output is counted
 * while it is made; runs in publishers. */
#include "transcripts/delta.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <librsync.h>

#define BUFFER_BYTES ((size_t)128 * 1024)
#define SMALL_BYTES  ((uint64_t)256 * 1024)
#define BLOCKS_MAX   ((uint64_t)128 * 1024)
/* Of the strong sums: chance is out of the question, and nobody who could
 * want a collision gets to choose between contents of one publisher. */
#define STRONG_BYTES 16

/* One librsync job between a source and a sink. */
struct run {
	rs_job_t *job;
	delta_source source;
	void *source_arg;
	delta_sink sink;
	void *sink_arg;
	uint64_t left; /* bytes the sink may still get */
	uint8_t *in, *out;
	rs_buffers_t bufs;
};

static void
no_trace(rs_loglevel level, char const *msg)
{
	(void)level;
	(void)msg;
}

static void
silence(void)
{
	rs_trace_to(no_trace);
}

/* librsync writes to stderr unless told otherwise, for the whole process. */
static void
be_quiet(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, silence);
}

static int
run_init(struct run *r, struct err *e)
{
	be_quiet();
	r->in = malloc(BUFFER_BYTES);
	r->out = malloc(BUFFER_BYTES);
	if (r->in == NULL || r->out == NULL)
		return err_memory(e);
	return 0;
}

static void
run_release(struct run *r)
{
	if (r->job != NULL)
		rs_job_free(r->job);
	free(r->in);
	free(r->out);
}

static int
fill(struct run *r, struct err *e)
{
	size_t got = 0;
	int ret;

	if (r->bufs.avail_in > 0 || r->bufs.eof_in)
		return 0;
	ret = r->source(r->source_arg, r->in, BUFFER_BYTES, &got, e);
	if (ret != 0)
		return ret;
	r->bufs.next_in = (char *)r->in;
	r->bufs.avail_in = got;
	r->bufs.eof_in = got == 0;
	return 0;
}

static int
drain(struct run *r, struct err *e)
{
	size_t len = BUFFER_BYTES - r->bufs.avail_out;

	if (len == 0)
		return 0;
	if (len > r->left)
		return err_set(
		    e, ERR_LIMIT, "delta: more output than the bytes allowed");
	r->left -= len;
	return r->sink(r->sink_arg, r->out, len, e);
}

static int
job_failed(const char *what, rs_result result, struct err *e)
{
	if (result == RS_MEM_ERROR)
		return err_memory(e);
	return err_set(e, ERR_FORMAT, "%s: %s", what, rs_strerror(result));
}

/* Runs r->job to its end and frees it. */
static int
run_job(struct run *r, const char *what, struct err *e)
{
	rs_result result;
	int ret;

	do {
		ret = fill(r, e);
		if (ret != 0)
			return ret;
		r->bufs.next_out = (char *)r->out;
		r->bufs.avail_out = BUFFER_BYTES;
		result = rs_job_iter(r->job, &r->bufs);
		if (result != RS_DONE && result != RS_BLOCKED)
			return job_failed(what, result, e);
		ret = drain(r, e);
		if (ret != 0)
			return ret;
		/* Blocked at the end of input without any output. */
		if (result == RS_BLOCKED && r->bufs.eof_in &&
		    r->bufs.avail_in == 0 && r->bufs.avail_out == BUFFER_BYTES)
			return job_failed(what, RS_INPUT_ENDED, e);
	} while (result != RS_DONE);
	rs_job_free(r->job);
	r->job = NULL;
	return 0;
}

struct file {
	int fd;
	uint64_t offset;
};

/* A delta_source: a file from its start. */
static int
read_file(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct file *f = arg;
	ssize_t n = pread(f->fd, dst, size, (off_t)f->offset);

	if (n < 0)
		return err_sys(e, "delta: read");
	f->offset += (uint64_t)n;
	*got = (size_t)n;
	return 0;
}

/* A delta_sink: the signature goes straight on into the job that loads it. */
static int
load_signature(void *arg, const void *data, size_t len, struct err *e)
{
	rs_job_t *loader = arg;
	union {
		const void *given;
		char *wanted; /* librsync only reads it */
	} bytes = { data };
	rs_buffers_t b = { bytes.wanted, len, 0, NULL, 0 };
	rs_result result = rs_job_iter(loader, &b);

	if (result == RS_BLOCKED && b.avail_in > 0)
		result = RS_INTERNAL_ERROR;
	if (result != RS_BLOCKED && result != RS_DONE)
		return job_failed("delta: signature", result, e);
	return 0;
}

static int
load_end(rs_job_t *loader, rs_signature_t *sums, struct err *e)
{
	rs_buffers_t b = { NULL, 0, 1, NULL, 0 };
	rs_result result = rs_job_iter(loader, &b);

	if (result == RS_DONE)
		result = rs_build_hash_table(sums);
	return result == RS_DONE ? 0
	                         : job_failed("delta: signature", result, e);
}

/* Short blocks make much smaller deltas and cost no time; only the memory
 * that the signature of a large file takes sets a bound. */
static size_t
block_length(const struct delta_pair *pair)
{
	uint64_t block = pair->block_bytes;

	if (block == 0)
		block = pair->basis_bytes <= SMALL_BYTES ? 64 : 128;
	while (pair->basis_bytes / block > BLOCKS_MAX)
		block *= 2;
	return (size_t)block;
}

static int
make_signature(
    const struct delta_pair *pair, rs_signature_t **sums, struct err *e)
{
	struct file basis = { pair->basis_fd, 0 };
	rs_job_t *loader = rs_loadsig_begin(sums);
	struct run r = { .source = read_file,
		.source_arg = &basis,
		.sink = load_signature,
		.sink_arg = loader,
		.left = UINT64_MAX };
	int ret = run_init(&r, e);

	if (ret == 0)
		r.job = rs_sig_begin(
		    block_length(pair), STRONG_BYTES, RS_RK_BLAKE2_SIG_MAGIC);
	if (ret == 0)
		ret = run_job(&r, "delta: signature", e);
	if (ret == 0)
		ret = load_end(loader, *sums, e);
	rs_job_free(loader);
	run_release(&r);
	return ret;
}

int
delta_make(
    const struct delta_pair *pair, delta_sink sink, void *arg, struct err *e)
{
	struct file new_file = { pair->new_fd, 0 };
	rs_signature_t *sums = NULL;
	struct run r = { .source = read_file,
		.source_arg = &new_file,
		.sink = sink,
		.sink_arg = arg,
		.left = pair->max_bytes };
	int ret = run_init(&r, e);

	if (ret == 0)
		ret = make_signature(pair, &sums, e);
	if (ret == 0)
		r.job = rs_delta_begin(sums);
	if (ret == 0)
		ret = run_job(&r, "delta", e);
	run_release(&r);
	if (sums != NULL)
		rs_free_sumset(sums);
	return ret;
}
