/* What a new head leads to, sent behind it: the release, and to whoever is one
 * behind the data transcripts it would ask for, all in one answer.
 * doc/protocol.md has the bytes. */
#ifndef SERVER_SERVE_NEWS_H
#define SERVER_SERVE_NEWS_H

#include "server/serve_heads.h"

/* Answers by the head and what follows from it, if the request has
 * ?after=SERIAL&with=NAMES of an older serial, and the release is not too large.
 * false: no answer was made. */
bool serve_news_reply(int repo, struct serve_slot *slot, struct http_request *r,
    const struct serve_head *head);

#endif
