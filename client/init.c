/* pecia init. */
#include "client/verbs.h"

#include <stdio.h>

#include "client/state.h"
#include "common/crypto_tls.h"
#include "common/fsat.h"
#include "common/text.h"

static void
add_setting(struct buf *b, const char *key, const char *value)
{
	if (value != NULL)
		buf_addf(b, "%s = %s\n", key, value);
}

/* What init is told besides the anchor holds for later runs. */
static int
keep_settings(const struct options *o, const struct state *state, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, LIMIT_CONFIG_BYTES);
	buf_add_str(&b, "[main]\n");
	add_setting(&b, "server", o->server);
	add_setting(&b, "channel", o->channel);
	add_setting(&b, "host", o->host);
	rc = buf_check(&b, "settings", e);
	if (rc == 0)
		rc = fsat_write_file(
		    state->dir, SETTINGS_INIT, 0600, b.data, b.len, e);
	buf_release(&b);
	return rc;
}

static int
set_anchor(struct state *state, const struct digest *anchor, struct err *e)
{
	struct digest old;
	int rc;

	rc = state_anchor(state, &old, e);
	if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		return state_set_anchor(state, anchor, e);
	}
	if (rc == 0 && !digest_equal(&old, anchor))
		return err_set(e, ERR_CONFLICT,
		    "%s trusts another anchor "
		    "already; to change it, remove that directory",
		    state->path);
	return rc;
}

int
verb_init(const struct options *o, const struct settings *s)
{
	struct tls_identity *identity = NULL;
	struct state state = STATE_INIT;
	struct err e = ERR_INIT;
	struct digest anchor;
	char *dir = NULL;
	int rc;

	if (text_sha256(o->anchor, anchor.b) != 0) {
		(void)err_set(&e, ERR_USAGE,
		    "--anchor %s: not sha256: and 64 "
		    "hex digits",
		    o->anchor);
		return verb_failed(&e);
	}
	rc = state_open(&state, s->state, true, &e);
	if (rc == 0)
		rc = state_lock(&state, s->wait_ms, &e);
	if (rc == 0)
		rc = set_anchor(&state, &anchor, &e);
	if (rc == 0)
		rc = keep_settings(o, &state, &e);
	if (rc == 0 && asprintf(&dir, "%s/identity", s->state) < 0)
		rc = err_memory(&e);
	if (rc == 0)
		rc = tls_identity_open(dir, true, &identity, &e);
	tls_identity_free(identity);
	free(dir);
	state_release(&state);
	if (rc != 0)
		return verb_failed(&e);
	(void)printf(
	    "%s trusts %s; next: pecia run --noop\n", s->state, o->anchor);
	return EXIT_SAME;
}
