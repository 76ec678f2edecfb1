/* Sessions from run to run; runs in the applier, which does not look into
 * them. */
#include "client/tickets.h"

#include "common/fsat.h"
#include "common/log.h"
#include "transcripts/sessions.h"

#define TICKETS_NAME "tickets"

struct sessions *
tickets_take(const struct state *s)
{
	struct sessions *sessions = NULL;
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, SESSIONS_BYTES);
	if (sessions_new(&sessions, &e) == 0 &&
	    fsat_read_file(s->dir, TICKETS_NAME, b.max, &b, &e) == 0 &&
	    fsat_unlink(s->dir, TICKETS_NAME, &e) == 0 &&
	    sessions_merge(sessions, b.data, b.len, &e) != 0)
		log_err(LOG_INFO, "TLS sessions not taken up", &e, NULL);
	buf_wipe(&b);
	return sessions;
}

void
tickets_leave(const struct state *s, const struct sessions *sessions)
{
	struct err e = ERR_INIT;
	struct buf b;

	if (!sessions_has_any(sessions))
		return;
	buf_init(&b, SESSIONS_BYTES);
	sessions_write(sessions, &b);
	if (buf_check(&b, TICKETS_NAME, &e) != 0 ||
	    fsat_write_loosely(s->dir, TICKETS_NAME, 0600, b.data, b.len, &e) !=
	        0)
		log_err(LOG_INFO, "TLS sessions not kept", &e, NULL);
	buf_wipe(&b);
}
