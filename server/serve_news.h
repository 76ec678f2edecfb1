/* What a new head leads to, sent behind it: who asks for the head that follows
 * the one it has gets the release, and the data transcripts it would ask for,
 * in the same answer.  doc/protocol.md has the bytes. */
#ifndef SERVER_SERVE_NEWS_H
#define SERVER_SERVE_NEWS_H

#include "server/serve_heads.h"

/* Answers by the head and what follows from it, if the request has
 * ?after=SERIAL&with=NAMES of the serial before, and there is something that is
 * not too large.  false: no answer was made. */
bool serve_news_reply(int repo, struct serve_slot *slot, struct http_request *r,
    const struct serve_head *head);

#endif
