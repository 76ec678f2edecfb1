/* Inside the fetcher process (transcripts/fetcher*.c) only. */
#ifndef TRANSCRIPTS_FETCHER_IMPL_H
#define TRANSCRIPTS_FETCHER_IMPL_H

#include "common/http_client.h"
#include "common/ipc.h"
#include "common/resolver.h"
#include "common/zst.h"
#include "transcripts/fetch_wire.h"
#include "transcripts/fetcher.h"
#include "transcripts/news.h"

/* A text that was cut off, as it came: the next server may have the rest. */
struct fetcher_text {
	char path[96];
	int fd; /* -1: none */
};

/* The same of an object; the decoder has its state. */
struct fetcher_object {
	bool kept;
	enum fetch_form form;
	struct digest digest;
	uint64_t done;    /* bytes of the frame */
	bool told;        /* as in struct stream */
	struct buf small; /* while it is not told */
};

/* "10.1.0.5 port 7440" */
#define FETCHER_PLACE_BYTES 64

struct fetcher {
	const struct fetch_options *options;
	struct ipc *ipc;
	struct resolver *resolver;
	struct resolver_candidate candidate; /* addresses not used up */
	size_t address;           /* of the candidate: the connection's */
	struct http_client *http; /* to the current candidate, or NULL */
	struct tls_client tls;
	bool content;        /* what is asked for now is not for strangers */
	struct digest *keys; /* sorted */
	size_t key_count;
	uint32_t tried, beyond; /* as in struct fetch_peer */
	enum fetch_aim aim;
	char host[FETCH_HOST_BYTES]; /* of the aim */
	const char *hosts[1];        /* the same, as a list */
	bool no_batch;               /* this server has no POST /v1/objects */
	bool no_select;              /* ... or takes no numbers */
	struct buf wants;            /* WIRE_WANT_BYTES each */
	struct buf select;           /* the same, as of WIRE_SELECT */
	struct buf reasons;          /* why candidates were passed over */
	size_t reasons_told;         /* of these */
	struct zst_decoder *decoder;
	struct fetcher_text text;
	struct fetcher_object object;
	struct news news;        /* of the server there is a connection to */
	uint64_t received, sent; /* of connections that are closed */
	char place[FETCHER_PLACE_BYTES]; /* of the connection */
};

/* The session that is kept of the place of the connection to come, if any, is
 * there to be offered; that of the connection that ends is kept. */
void fetcher_session_of_place(struct fetcher *f);
void fetcher_keep_session(struct fetcher *f);

/* Each answers one request; an error is of the conversation, not of the
 * request, and ends the process. */
void fetcher_objects_init(struct fetcher *f);
MUST_CHECK int fetcher_objects(
    struct fetcher *f, const struct ipc_msg *msg, struct err *e);
MUST_CHECK int fetcher_unpack(
    struct fetcher *f, struct ipc_msg *msg, struct err *e);

MUST_CHECK int fetcher_sessions(struct fetcher *f, struct err *e);
MUST_CHECK int fetcher_get(
    struct fetcher *f, const struct ipc_msg *msg, struct err *e);

/* A request of WIRE_GET's form. */
struct fetcher_asked {
	struct http_request req; /* its texts are the message's */
	uint32_t wait_s;
};
MUST_CHECK int fetcher_parse_get(struct reader *r, struct fetcher_asked *out);
/* WIRE_ANSWER. */
MUST_CHECK int fetcher_send_answer(struct fetcher *f,
    const struct http_response *resp, uint32_t which, struct err *e);
/* Whether a path asks for a head and what follows from it. */
bool fetcher_asks_news(const char *path);

/* Sends WIRE_FAILED with what `why` says. */
MUST_CHECK int fetcher_fail(
    struct fetcher *f, const struct err *why, struct err *e);
/* Content or a file in pieces of at most WIRE_PIECE_BYTES. */
MUST_CHECK int fetcher_send_data(
    struct fetcher *f, const void *data, size_t len, struct err *e);
/* A peer that is held back fills what our side has room for first: not more
 * than a little, when there is a rate. */
void fetcher_keep_window(const struct fetcher *f, int fd);
/* Bytes of a body that came off the line. */
void fetcher_count(
    const struct fetch_options *o, enum fetch_kind kind, size_t bytes);
/* One request over the current connection.  ERR_VERIFY for content from a
 * server that no roster lists. */
MUST_CHECK int fetcher_http(struct fetcher *f, const struct http_request *req,
    struct http_response *resp, struct err *e);

#endif
