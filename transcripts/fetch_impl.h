/* Inside the deciding half of fetching (fetch*.c) only: the
 * conversation with the fetcher process. */
#ifndef TRANSCRIPTS_FETCH_IMPL_H
#define TRANSCRIPTS_FETCH_IMPL_H

#include <sys/types.h>

#include "common/ipc.h"
#include "transcripts/fetch.h"

struct fetch {
	const struct fetch_options *options;
	struct ipc *ipc;
	struct ipc_slots *slots; /* what the fetcher sends */
	pid_t pid;
	pid_t owner; /* whose child that is: a fork of it has this too */
	struct digest_state *hash;
	struct buf keys; /* of fetch_set_keys, for a fetcher started again */
	uint32_t tried;  /* candidates asked for since the start or rewind */
	struct buf aim;  /* WIRE_AIM, for the same; empty: the options' */
	void (*tick)(void *arg);
	void *tick_arg;
	/* The conversation is out of step: nothing more is asked. */
	bool broken;
	bool failed; /* the fetcher ended its last answer with FAILED */
	/* An object that was cut off, as long as the hash is of it. */
	bool has_part;
	struct digest part;
	uint64_t part_bytes;
};

/* The answer makes no sense: nothing more is asked.  Returns ERR_NET. */
int fetch_out_of_step(struct fetch *f, struct err *e);
/* The text of an OBJECT_END or MEMBER_END into dst, "" when all is well. */
void fetch_end_text(const struct ipc_msg *msg, char *dst, size_t size);
/* The hash of something new. */
void fetch_hash_anew(struct fetch *f);
/* Sends one request. */
MUST_CHECK int fetch_request(struct fetch *f, uint32_t type, const void *data,
    size_t len, struct err *e);
/* The next message; a FAILED becomes the error it carries. */
MUST_CHECK int fetch_next_reply(
    struct fetch *f, struct ipc_msg *msg, unsigned extra_ms, struct err *e);
/* The next message, which must be of this type. */
MUST_CHECK int fetch_expect(struct fetch *f, uint32_t type, struct ipc_msg *msg,
    unsigned extra_ms, struct err *e);

/* fetch_process.c; connecting ends a fetcher that broke and starts another. */
MUST_CHECK int fetch_start_process(struct fetch *f, struct err *e);
void fetch_end_process(struct fetch *f);

#endif
