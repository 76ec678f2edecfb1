/* Objects to be fetched, and a taker that checks what comes. */
#ifndef TESTS_FETCH_TAKEN_H
#define TESTS_FETCH_TAKEN_H

#include "tests/fetch_visit.h"

enum {
	EMPTY,
	SMALL,
	EDGE,  /* about what goes into one message */
	LARGE, /* more than that */
	OTHER, /* as long as SMALL */
	CONTENTS
};
/* Of the test's own process. */
extern struct buf contents[CONTENTS], frames[CONTENTS];
extern struct fetch_want wants[CONTENTS];
extern struct site site;
extern struct fetch_visit visit;

/* Checked fixtures: what is above, but for the site's routes. */
void contents_set_up(void);
void contents_tear_down(void);
/* Opens the site and a fetch of it; and the end of both. */
void contents_start(void);
void contents_stop(void);
/* A sink with a struct buf as argument. */
int contents_gather(void *arg, const void *data, size_t len, struct err *e);
size_t contents_index(const struct digest *digest);

/* What a taker was told, as text: "3", "3!why", "3-", "3+" for the index of a
 * want that was complete, bad, missing, gone on with. */
struct taken {
	struct buf text;
	struct buf got; /* of the present object */
	bool frames;    /* what is expected to come */
	int fail_at;    /* the call that fails, from 1; 0: none */
	int calls;
};
void taken_init(struct taken *t);
void taken_release(struct taken *t);
/* The taker's functions, with a struct taken as argument. */
int taken_begin(void *arg, const struct fetch_want *want, struct err *e);
int taken_data(void *arg, const void *data, size_t len, struct err *e);
int taken_end(
    void *arg, const struct fetch_want *want, const char *bad, struct err *e);
int taken_missing(void *arg, const struct fetch_want *want, struct err *e);
int taken_rest(void *arg, const struct fetch_want *want, struct err *e);

#endif
