/* Getting bytes from a server, seen from the side that decides.
 *
 * fetch_start forks the *fetcher* (fetcher.h): a process without privilege
 * that does DNS, TLS, HTTP, zstd, tar and deltas.  This side asks it over a
 * socketpair, believes nothing, hashes all content itself and alone touches
 * files.  A fetcher that dies, hangs or lies is an error of one call.
 *
 * Calling sequence: fetch_start; fetch_connect until a server suits (each call
 * goes on to the next candidate); fetch_get, fetch_download, fetch_objects,
 * fetch_unpack; fetch_stop. */
#ifndef TRANSCRIPTS_FETCH_H
#define TRANSCRIPTS_FETCH_H

#include <sys/types.h>

#include "common/buf.h"
#include "common/crypto_digest.h"
#include "common/limits.h"

struct progress;
struct sessions;
struct tls_identity;
struct fetch;

/* Where servers may be; all borrowed until fetch_stop. */
struct fetch_options {
	const char *server;     /* --server, or NULL */
	const char *short_name; /* "pecia"; NULL: no search */
	uint16_t port;          /* where no other is said */
	bool no_srv;
	const char *const *fallbacks; /* HOST[:PORT], in order */
	size_t fallback_count;
	const char *const *extras; /* a roster's addresses, tried last */
	size_t extra_count;
	const struct tls_identity *identity; /* ours; may be NULL */
	const char *user;          /* whom the fetcher becomes when root */
	const char *resolv_conf;   /* NULL: /etc/resolv.conf */
	struct progress *progress; /* told of files as they come; or NULL */
	/* FETCH_KINDS counters in memory that is shared with the fetcher, which
	 * adds the bytes of bodies as they come off the line; or NULL. */
	_Atomic uint64_t *received;
	struct rate_gate *gate;       /* how fast they may; or NULL */
	const struct rate_plan *rate; /* for the gate; or NULL */
	/* TLS sessions to take up again, and where fetch_stop puts what came
	 * in their place; or NULL. */
	struct sessions *sessions;
	bool sessions_stay; /* in the fetcher: fetch_stop does not ask it */
};

/* What crosses the line. */
enum fetch_kind {
	FETCH_KIND_STATEMENT, /* roots, roster, heads, releases */
	FETCH_KIND_MANIFEST,
	FETCH_KIND_DATA,
	FETCH_KIND_OBJECT,
	FETCH_KINDS,
};

MUST_CHECK int fetch_start(
    const struct fetch_options *options, struct fetch **out, struct err *e);
/* Nothing more will be asked: what fetch_stop takes of the fetcher is taken now,
 * and it ends while we do something else.  Only fetch_stop may follow.  In a fork
 * of the process that started it, nothing.  NULL is fine. */
void fetch_dismiss(struct fetch *f);
/* Ends the fetcher and waits for it; in a fork of the process that started it
 * only lets go of it.  NULL is fine. */
void fetch_stop(struct fetch *f);
/* To be read when the fetcher has said something, or is gone. */
int fetch_fd(const struct fetch *f);
/* Of the fetcher, while it is a child of this process; else 0. */
pid_t fetch_pid(const struct fetch *f);
/* Whether it is a fetcher that an ancestor started, in step: what is asked
 * last may be left for the ancestor to be answered. */
bool fetch_is_borrowed(const struct fetch *f);

/* Keys (SHA-256 of SPKI) that our certificate may be shown to. */
MUST_CHECK int fetch_set_keys(
    struct fetch *f, const struct digest *keys, size_t count, struct err *e);

#define FETCH_PASSED_BYTES 1024
struct fetch_peer {
	uint32_t number;  /* of candidates so far, this one included */
	uint32_t beyond;  /* of these, from fallbacks and roster */
	char source[16];  /* "server", "srv", "search", "fallback", "roster" */
	char route[512];  /* "pecia -> pecia.a.example (search) -> 10.1.0.5" */
	char address[64]; /* numeric, with port */
	/* Who could not be connected to since the last call, and why: texts,
	 * each ended by "; ". */
	char passed[FETCH_PASSED_BYTES];
	char search[FETCH_PASSED_BYTES]; /* of one beyond: what came of it */
};
/* The next place that accepts a connection: the other addresses of the present
 * candidate, then the next candidate; who it is shows with the first answer.
 * ERR_NOT_FOUND when there are no more; its message says what each
 * said. */
MUST_CHECK int fetch_connect(
    struct fetch *f, struct fetch_peer *peer, struct err *e);
/* Starts the list of candidates again. */
MUST_CHECK int fetch_rewind(struct fetch *f, struct err *e);

enum fetch_aim {
	FETCH_AIM_OPTIONS, /* as fetch_options say */
	FETCH_AIM_HOST,    /* one HOST[:PORT] of the operator's */
	FETCH_AIM_ROSTER,  /* one of a roster's */
	FETCH_AIM_SRV,     /* _pecia._tcp of each search domain */
};
#define FETCH_HOST_BYTES 320
/* Whom fetch_connect goes to from now on, beginning with the first.  The host
 * is copied, and NULL where the aim needs none. */
MUST_CHECK int fetch_aim(
    struct fetch *f, enum fetch_aim aim, const char *host, struct err *e);

/* Called while answers come, after each message of the fetcher, so that other
 * work gets its turn: between two of them up to LIMIT_STALL_MS may pass.  It
 * must not use `f`.  NULL ends it. */
void fetch_set_tick(struct fetch *f, void (*tick)(void *arg), void *arg);

struct fetch_get {
	const char *path;          /* "/v1/roster" */
	const char *if_none_match; /* entity tag, or NULL */
	uint64_t max_bytes;        /* of the body: ERR_LIMIT past it */
	unsigned wait_s;           /* the server may hold the answer so long */
};
struct fetch_answer {
	int status;     /* HTTP: 200, 206, 304, 404, ... */
	char etag[128]; /* with its quotes; "" when none */
	uint64_t range_start;
	struct digest key; /* of the server's certificate */
	bool known; /* it is among fetch_set_keys.  A stranger is asked for
	             * roots, roster and heads only */
};
/* One small thing into memory.  Any status is success of the call; `body` is
 * filled for 200 only. */
MUST_CHECK int fetch_get(struct fetch *f, const struct fetch_get *get,
    struct buf *body, struct fetch_answer *answer, struct err *e);
/* The same in two steps, for a long poll whose answer is taken when
 * fetch_fd can be read: nothing else may be asked in between. */
MUST_CHECK int fetch_ask(
    struct fetch *f, const struct fetch_get *get, struct err *e);
MUST_CHECK int fetch_take(struct fetch *f, const struct fetch_get *get,
    struct buf *body, struct fetch_answer *answer, struct err *e);
/* Several long polls at once; the first 200 wins: *which is its index and
 * body has it.  *which == count: none had anything new. */
MUST_CHECK int fetch_race(struct fetch *f, const struct fetch_get *gets,
    size_t count, size_t *which, struct buf *body, struct err *e);

/* A file of known digest and size, appended to what fd already holds: a cut
 * transfer goes on where it stopped.  ERR_VERIFY when the whole is wrong (fd
 * is then emptied); ERR_NOT_FOUND when the server lacks it.  With digest NULL,
 * size_bytes is the most it may have, and the caller checks what came. */
MUST_CHECK int fetch_download(struct fetch *f, const char *path,
    const struct digest *digest, uint64_t size_bytes, int fd, struct err *e);

/* A gzip'd text (a manifest) decoded into fd, which is empty; digest and size
 * are the text's.  What fd has after an error is of no use; but when it was cut
 * off, the next call for this path asks for the rest only. */
MUST_CHECK int fetch_text(struct fetch *f, const char *path,
    const struct digest *digest, uint64_t size_bytes, int fd, struct err *e);

/* Objects in the order wanted. */
struct fetch_want {
	struct digest digest;
	uint64_t size_bytes; /* of the content */
	uint64_t number; /* with a manifest: of it among its regular files */
};
enum fetch_form {
	FETCH_CONTENT, /* decoded, digest checked here before `end` */
	FETCH_FRAME,   /* as stored; the taker checks it */
};
struct fetch_taker {
	enum fetch_form form;
	/* NULL, or what all that are wanted are of, in its order: servers that
	 * can are asked by number, with less to send. */
	const struct digest *manifest;
	void *arg;
	/* Each object: begin, data.., end; or missing.  An error from any ends
	 * the call with it.  `bad`: NULL when complete and right, else why not;
	 * the taker throws away what it has. */
	int (*begin)(void *arg, const struct fetch_want *want, struct err *e);
	int (*data)(void *arg, const void *data, size_t len, struct err *e);
	int (*end)(void *arg, const struct fetch_want *want, const char *bad,
	    struct err *e);
	int (*missing)(void *arg, const struct fetch_want *want, struct err *e);
	/* NULL, or the taker keeps what it has of an object in which a call was
	 * cut off (ERR_NET, ERR_TIMEOUT), and wants it first in the next call:
	 * this may then come in place of begin, and only the rest after it.  If
	 * begin comes for it, or missing, what is kept is of no use. */
	int (*rest)(void *arg, const struct fetch_want *want, struct err *e);
};
/* Any count; asked for in batches.  0 also when some were missing or bad. */
MUST_CHECK int fetch_objects(struct fetch *f, const struct fetch_want *wants,
    size_t count, const struct fetch_taker *taker, struct err *e);

/* What a data transcript offers, one member after another. */
enum fetch_member_kind {
	FETCH_MEMBER_MANIFEST, /* text, in full */
	FETCH_MEMBER_MANIFEST_DELTA,
	FETCH_MEMBER_OBJECT,
	FETCH_MEMBER_OBJECT_DELTA,
};
struct fetch_member {
	enum fetch_member_kind kind;
	struct digest digest; /* of the result */
	struct digest basis;  /* of deltas */
};
struct fetch_unpacker {
	void *arg;
	/* Only manifests may be taken; objects are told of, which is faster
	 * than to be asked for each. */
	bool texts_only;
	/* Whether to take it: *size_bytes is the signed size of the result, and
	 * for deltas *basis_fd a descriptor of the basis, read by offset
	 * (borrowed until `end`); *take false to pass over it. */
	int (*offer)(void *arg, const struct fetch_member *m, bool *take,
	    uint64_t *size_bytes, int *basis_fd, struct err *e);
	int (*data)(void *arg, const void *data, size_t len, struct err *e);
	/* `bad` as for fetch_taker; digest and size were checked here. */
	int (*end)(void *arg, const struct fetch_member *m, const char *bad,
	    struct err *e);
};
/* Unpacks the data transcript in fd (its digest was checked before).  A result
 * that is wrong is told to `end`; a damaged archive is ERR_FORMAT. */
MUST_CHECK int fetch_unpack(struct fetch *f, int fd, uint64_t size_bytes,
    const struct fetch_unpacker *unpacker, struct err *e);

/* Bytes on the wire so far, TLS included, since the fetcher was started: one
 * that died takes what it counted with it. */
struct fetch_traffic {
	uint64_t received, sent;
	struct digest key; /* of the server of the newest connection; zeroes:
	                    * there was none yet */
};
MUST_CHECK int fetch_traffic(
    struct fetch *f, struct fetch_traffic *out, struct err *e);

#endif
