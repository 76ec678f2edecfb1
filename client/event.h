/* Events of `--json`: one JSON object a line on standard output, as things
 * happen.  Each has the members `event` and `time`; pecia(8) lists them.
 *
 *     j = event_new("change");
 *     json_set_string(j, "path", path);
 *     rc = event_print(j, e);
 */
#ifndef CLIENT_EVENT_H
#define CLIENT_EVENT_H

#include "client/options.h"
#include "client/session.h"

struct json;

struct json *event_new(const char *name);
/* Frees it too. */
MUST_CHECK int event_print(struct json *j, struct err *e);

MUST_CHECK int event_start(
    const struct options *o, const struct settings *s, struct err *e);
/* The server that is used now. */
MUST_CHECK int event_server(const struct session *s, struct err *e);
/* What is wanted; `held` as in struct report. */
MUST_CHECK int event_release(
    const struct session *s, uint64_t held, struct err *e);

#endif
