/* A fetch and the servers it goes to, which answer by a list. */
#ifndef TESTS_FETCH_VISIT_H
#define TESTS_FETCH_VISIT_H

#include "tests/http_visit.h"
#include "transcripts/fetch.h"

/* The first route whose texts are all in the request answers it; none: 404. */
struct route {
	const char *request; /* how the request begins: "GET /v1/roster" */
	const char *field;   /* in its header, or NULL */
	struct buf answer;   /* status line, header and body; empty: hangs */
	bool close;          /* the connection ends with it */
};

#define ROUTES 16
struct site {
	struct route routes[ROUTES];
	size_t count;
	struct tls_server server;
};

/* Adds an answer: "200 OK", further header lines, body.  The body may be given
 * in part, for a connection that is cut off. */
struct route_body {
	const void *data;
	size_t len, cut; /* cut: only so much of it is sent; 0: all */
};
void site_add(struct site *s, const char *request, const char *status,
    const char *fields, struct route_body body);
void site_add_text(struct site *s, const char *request, const char *status,
    const char *fields, const char *body);
/* Asked for this, it says nothing. */
void site_add_hanging(struct site *s, const char *request);
/* Its routes are final then. */
void site_open(struct site *s);
void site_close(struct site *s);

/* A fetch of the sites as fallbacks, in order; connected to the first one that
 * is there, which was asked for a root to see who it is. */
struct fetch_visit {
	struct fetch *fetch;
	struct fetch_options options;
	char places[4][32];
	const char *fallbacks[4];
	struct fetch_peer peer;
	struct err e; /* of the last call */
};
void fetch_visit_start(
    struct fetch_visit *v, const struct site *sites, size_t count, bool known);
/* The next server, asked for a root. */
int fetch_visit_next(struct fetch_visit *v);
void fetch_visit_stop(struct fetch_visit *v);
/* The servers' key, or another. */
void fetch_visit_keys(struct fetch_visit *v, bool known);

/* fetch_get of a path; the status, or the error. */
int fetch_visit_get(struct fetch_visit *v, const char *path, struct buf *body,
    struct fetch_answer *answer);

#endif
