/* A repository and workers that serve it over plain HTTP, for tests of
 * server/serve. */
#ifndef TESTS_SITE_H
#define TESTS_SITE_H

#include <time.h>

#include "server/board.h"
#include "tests/peer.h"
#include "tests/scratch.h"

#define SITE_NAME \
 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The release of all heads, with the files that it names. */
#define SITE_RELEASE \
 "23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef01"

/* Of the test's own process. */
extern struct scratch site_repo;
extern uint16_t site_port;
extern struct board *site_board; /* shared with the workers */

/* Checked fixtures.  The repository has root 1, a roster, a release, manifest,
 * data transcript and object called SITE_NAME, a head of "production" with serial
 * 7, folders v1/object/01 and ab, and secret/key beside v1. */
void site_set_up(void);
void site_tear_down(void);
/* One more worker, or one less; what they log goes to the file "log". */
void site_start_worker(void);
void site_stop_worker(void);

/* Replaces a file of the repository. */
void site_put(const char *path, const void *data, size_t len);
void site_put_str(const char *path, const char *text);
void site_put_head(
    const char *channel, uint64_t serial, time_t issued, time_t expires);
/* "production", for a day from now on. */
void site_put_fresh_head(uint64_t serial);

/* One request on a connection of its own. */
void site_get(const char *path, const char *fields, struct peer_reply *r);
unsigned site_status_of(const char *path, const char *fields);
/* Whether the answer has this text in it. */
bool site_says(const char *path, const char *text);
void site_expect_text(const char *path, const char *text);

#endif
