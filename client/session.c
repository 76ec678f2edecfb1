/* Opening and closing a run's context. */
#include "client/session.h"

#include <unistd.h>

#include "client/tickets.h"
#include "common/fsat.h"
#include "transcripts/sessions.h"

static int
find_profile(const struct release *r, const char *name,
    const struct release_profile **out)
{
	for (size_t i = 0; i < r->profile_count; i++)
		if (strcmp(r->profiles[i].name, name) == 0) {
			*out = &r->profiles[i];
			return 0;
		}
	return ERR_NOT_FOUND;
}

/* The release that is applied, if its statement and record are there.  After a
 * rollback it is older than the accepted head. */
static int
load_applied(struct session *s, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc;

	rc = state_applied(&s->state, &s->applied, &mine);
	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	rc = state_find_release(&s->state, &s->applied, &s->was, &mine);
	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	s->has_applied = true;
	/* A profile that is gone from its own release cannot be. */
	if (find_profile(&s->was, s->applied.profile, &s->was_profile) != 0)
		return err_set(e, ERR_FORMAT,
		    "applied: no profile %s in its release",
		    s->applied.profile);
	return 0;
}

int
session_identity(struct session *s, struct err *e)
{
	char *dir = NULL;
	int rc;

	if (s->identity != NULL)
		return 0;
	if (asprintf(&dir, "%s/identity", s->settings->state) < 0)
		return err_memory(e);
	rc = tls_identity_open(dir, true, &s->identity, e);
	free(dir);
	return rc;
}

int
session_open(const struct settings *settings, bool lock, struct session *out,
    struct err *e)
{
	struct session *s = out;
	struct digest anchor;
	int rc;

	memset(s, 0, sizeof(*s));
	s->settings = settings;
	s->state = (struct state)STATE_INIT;
	s->root = -1;
	s->now = time(NULL);
	buf_init(&s->troubles, LIMIT_CONFIG_BYTES);
	buf_init(&s->head_bytes, LIMIT_HEAD_BYTES);
	buf_init(&s->transcripts, LIMIT_NEWS_LIST_BYTES - 1);
	release_init(&s->was);
	release_init(&s->release);
	if ((rc = state_open(&s->state, settings->state, false, e)) != 0 ||
	    (rc = state_anchor(&s->state, &anchor, e)) != 0 ||
	    (lock && (rc = state_lock(&s->state, settings->wait_ms, e)) != 0) ||
	    (lock && (rc = state_let_in(&s->state, e)) != 0) ||
	    (lock && (rc = state_clean(&s->state, e)) != 0))
		goto fail;
	state_trust_store(&s->state, &s->store);
	if ((rc = trust_load(&s->store, &anchor, s->now, &s->trust, e)) != 0 ||
	    (rc = load_applied(s, e)) != 0 ||
	    (rc = fsat_operator_dir(settings->root, false, 0, &s->root, e)))
		goto fail;
	return 0;
fail:
	session_release(s);
	return rc;
}

void
session_release(struct session *s)
{
	fetch_stop(s->fetch);
	tickets_leave(&s->state, s->sessions);
	sessions_free(s->sessions);
	trust_free(s->trust);
	tls_identity_free(s->identity);
	release_release(&s->was);
	release_release(&s->release);
	buf_release(&s->head_bytes);
	buf_release(&s->transcripts);
	buf_release(&s->troubles);
	free(s->extras);
	if (s->root >= 0)
		close(s->root);
	state_release(&s->state);
	memset(s, 0, sizeof(*s));
	s->root = -1;
	s->state = (struct state)STATE_INIT;
}
