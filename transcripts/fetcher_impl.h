/* Inside the fetcher process (transcripts/fetcher*.c) only. */
#ifndef TRANSCRIPTS_FETCHER_IMPL_H
#define TRANSCRIPTS_FETCHER_IMPL_H

#include "common/http_client.h"
#include "common/ipc.h"
#include "common/resolver.h"
#include "common/zst.h"
#include "transcripts/fetch_wire.h"
#include "transcripts/fetcher.h"

struct fetcher {
	const struct fetch_options *options;
	struct ipc *ipc;
	struct resolver *resolver;
	struct resolver_candidate candidate;
	struct http_client *http; /* to the current candidate, or NULL */
	struct tls_client tls;
	struct digest *keys; /* sorted */
	size_t key_count;
	uint32_t tried;
	enum fetch_aim aim;
	char host[FETCH_HOST_BYTES]; /* of the aim */
	const char *hosts[1];        /* the same, as a list */
	bool no_batch;               /* this server has no POST /v1/objects */
	struct buf wants;            /* WIRE_WANT_BYTES each */
	struct buf reasons;          /* why candidates were passed over */
	struct zst_decoder *decoder;
	uint64_t received, sent; /* of connections that are closed */
};

/* Each answers one request; an error is of the conversation, not of the
 * request, and ends the process. */
MUST_CHECK int fetcher_objects(
    struct fetcher *f, const struct ipc_msg *msg, struct err *e);
MUST_CHECK int fetcher_unpack(
    struct fetcher *f, struct ipc_msg *msg, struct err *e);

/* Sends WIRE_FAILED with what `why` says. */
MUST_CHECK int fetcher_fail(
    struct fetcher *f, const struct err *why, struct err *e);
/* Content or a file in pieces of at most WIRE_PIECE_BYTES. */
MUST_CHECK int fetcher_send_data(
    struct fetcher *f, const void *data, size_t len, struct err *e);
/* One request over the current connection.  ERR_VERIFY for content from a
 * server that no roster lists. */
MUST_CHECK int fetcher_http(struct fetcher *f, const struct http_request *req,
    struct http_response *resp, struct err *e);

#endif
