/* TLS sessions that the fetcher took up and was given; see sessions.h. */
#include <string.h>

#include "transcripts/fetcher_impl.h"
#include "transcripts/sessions.h"

void
fetcher_session_of_place(struct fetcher *f)
{
	const struct resolver_candidate *c = &f->candidate;

	tls_client_release(&f->tls);
	(void)snprintf(f->place, sizeof(f->place), "%s port %u",
	    c->addrs[f->address].text, (unsigned)c->port);
	f->tls.session = sessions_take(
	    f->options->sessions, f->place, &f->tls.session_bytes);
}

/* What came later is of the same place, and better. */
void
fetcher_keep_session(struct fetcher *f)
{
	if (f->tls.session != NULL)
		sessions_put(f->options->sessions, f->place, f->tls.session,
		    f->tls.session_bytes);
	tls_client_release(&f->tls);
}

int
fetcher_sessions(struct fetcher *f, struct err *e)
{
	struct buf b;
	int rc;

	fetcher_keep_session(f);
	buf_init(&b, LIMIT_IPC_BYTES);
	sessions_write(f->options->sessions, &b);
	rc = buf_check(&b, "sessions", e);
	if (rc == 0)
		rc = ipc_send(f->ipc, WIRE_SESSIONS_ARE, b.data, b.len, e);
	buf_wipe(&b);
	return rc;
}
