/* One connection to one upstream; runs in the replicator. */
#include <string.h>

#include "common/log.h"
#include "server/board.h"
#include "server/replicate_impl.h"
#include "transcripts/statement.h"

static int
start(struct replicator *r, struct visit *v, struct err *e)
{
	int rc;

	if (v->fetch == NULL &&
	    (rc = fetch_start(&r->fetch_options, &v->fetch, e)) != 0)
		return rc;
	v->learn = (struct learn){
		.trust = r->trust, .store = &r->store, .fetch = v->fetch
	};
	v->heard_count = 0;
	return visit_tell_keys(r, v, e);
}

int
visit_tell_keys(struct replicator *r, struct visit *v, struct err *e)
{
	const struct roster *roster = trust_roster(r->trust);

	v->roster_version = roster == NULL ? 0 : roster->version;
	return learn_keys(&v->learn, e);
}

void
visit_close(struct visit *v)
{
	fetch_stop(v->fetch);
	v->fetch = NULL;
}

/* Who it is shows with the first answer. */
static int
check_peer(struct replicator *r, struct visit *v, struct err *e)
{
	if (digest_equal(&v->learn.peer, &r->own_key))
		return err_set(e, ERR_USAGE, "it is ourselves");
	return learn_check_server(&v->learn, NULL, e);
}

int
visit_greet(struct replicator *r, struct visit *v, struct err *e)
{
	int rc;

	trust_set_time(r->trust, time(NULL));
	if (trust_root(r->trust) == NULL &&
	    (rc = learn_roots(&v->learn, e)) != 0)
		return rc;
	if ((rc = learn_roster(&v->learn, e)) != 0)
		return rc;
	return check_peer(r, v, e);
}

/* By the next root, which mostly there is not; nothing is made of it here. */
static int
ask_who(struct replicator *r, struct visit *v, struct err *e)
{
	const struct root *root = trust_root(r->trust);
	struct err ignored = ERR_INIT;
	struct buf body;
	char path[64];
	int rc;

	(void)snprintf(path, sizeof(path), "/v1/root/%llu",
	    root == NULL ? 1ULL : (unsigned long long)root->version + 1);
	buf_init(&body, LIMIT_ROOT_BYTES);
	rc = learn_get(&v->learn, path, LIMIT_ROOT_BYTES, &body, &ignored);
	buf_release(&body);
	if (rc != 0 && rc != ERR_NOT_FOUND) {
		*e = ignored;
		return rc;
	}
	if (digest_equal(&v->learn.peer, &r->own_key))
		return err_set(e, ERR_USAGE, "it is ourselves");
	return 0;
}

int
visit_open(struct replicator *r, struct visit *v, const struct upstream *u,
    struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	if ((rc = start(r, v, e)) != 0)
		return rc;
	v->upstream = *u;
	v->peer.route[0] = '\0';
	rc = fetch_aim(v->fetch, upstream_aim(u), u->host, e);
	if (rc != 0)
		return rc;
	/* Bounded: a fetcher that dies each time has no last candidate. */
	for (unsigned i = 0; i < 2 * LIMIT_CANDIDATES; i++) {
		struct err last = ERR_INIT;

		rc = fetch_connect(v->fetch, &v->peer, &last);
		if (rc == 0)
			rc = ask_who(r, v, &last);
		if (rc == 0)
			return 0;
		if (why.code == 0 || rc != ERR_NOT_FOUND)
			why = last;
		if (rc == ERR_NOT_FOUND)
			break;
	}
	/* Here it is no answer, but that there is nobody to ask. */
	return err_set(
	    e, why.code == ERR_NOT_FOUND ? ERR_NET : why.code, "%s", why.msg);
}

/* ---- what it has ---- */

struct heard *
visit_heard(struct visit *v, const char *channel)
{
	struct heard *h;

	for (size_t i = 0; i < v->heard_count; i++)
		if (strcmp(v->heard[i].channel, channel) == 0)
			return &v->heard[i];
	/* Channels that the roster has no more make room. */
	if (v->heard_count == LIMIT_CHANNELS)
		v->heard_count = 0;
	h = &v->heard[v->heard_count++];
	memset(h, 0, sizeof(*h));
	(void)snprintf(h->channel, sizeof(h->channel), "%s", channel);
	return h;
}

uint64_t
head_claims(const struct buf *bytes)
{
	struct head h;

	return head_peek(bytes, &h) ? h.serial : 0;
}

bool
visit_note_head(struct visit *v, const char *channel, const struct buf *bytes)
{
	struct heard *h = visit_heard(v, channel);
	char before[LEARN_ETAG_BYTES];

	memcpy(before, h->etag, sizeof(before));
	learn_etag_of(bytes, h->etag);
	h->serial = head_claims(bytes);
	return strcmp(before, h->etag) != 0;
}

static enum view
view_of_head(struct replicator *r, const char *channel, const struct buf *bytes)
{
	const struct head *known = heads_known(r, channel);
	struct head h;

	if (!head_peek(bytes, &h))
		return VIEW_BEHIND;
	if (known == NULL || h.serial > known->serial)
		return VIEW_AHEAD;
	if (h.serial < known->serial)
		return VIEW_BEHIND;
	/* Signed again, or a contradiction. */
	return h.issued > known->issued ||
	        !digest_equal(&h.release, &known->release)
	    ? VIEW_AHEAD
	    : VIEW_LEVEL;
}

static int
view_channel(struct replicator *r, struct visit *v, const char *channel,
    enum view *out, struct err *e)
{
	struct buf bytes;
	bool changed = false;
	int rc;

	*out = VIEW_LEVEL;
	buf_init(&bytes, LIMIT_HEAD_BYTES);
	rc = learn_head(&v->learn, channel, &bytes, &changed, e);
	if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		if (heads_known(r, channel) != NULL)
			*out = VIEW_BEHIND;
		rc = 0;
	} else if (rc == 0 && changed) {
		*out = view_of_head(r, channel, &bytes);
	} else if (rc == 0 && heads_is_wanted(r, channel)) {
		*out = VIEW_BEHIND; /* it has what we have, not what we want */
	}
	buf_release(&bytes);
	return rc;
}

int
visit_view(struct replicator *r, struct visit *v, enum view *out, struct err *e)
{
	const struct roster *roster = trust_roster(r->trust);
	bool ahead = false, behind = false;
	int rc;

	for (size_t i = 0; roster != NULL && i < roster->channel_count; i++) {
		enum view one;

		rc = view_channel(r, v, roster->channels[i], &one, e);
		if (rc != 0)
			return rc;
		ahead = ahead || one == VIEW_AHEAD;
		behind = behind || one == VIEW_BEHIND;
	}
	*out = ahead ? VIEW_AHEAD : behind ? VIEW_BEHIND : VIEW_LEVEL;
	return 0;
}

/* ---- what is told of it ---- */

static enum board_trouble
trouble_of(int code)
{
	switch (code) {
	case ERR_NET:
		return BOARD_UNREACHABLE;
	case ERR_TIMEOUT:
		return BOARD_TIMEOUT;
	case ERR_VERIFY:
	case ERR_FORMAT:
	case ERR_LIMIT:
	case ERR_EXPIRED:
	case ERR_ROLLBACK:
	case ERR_CONFLICT:
		return BOARD_WRONG;
	case ERR_NOT_FOUND:
		return BOARD_LACKS;
	case ERR_SYS:
	case ERR_NO_MEMORY:
		return BOARD_STORAGE;
	default:
		return BOARD_OTHER;
	}
}

void
told_trouble(struct replicator *r, const struct visit *v, const struct err *why)
{
	char text[BOARD_TEXT_BYTES];

	(void)snprintf(text, sizeof(text), "%.200s: %.300s",
	    v->peer.route[0] != '\0' ? v->peer.route : v->upstream.host,
	    why->msg);
	if (r->o->board == NULL)
		return;
	board_say(&r->o->board->replication.trouble, text);
	board_add(&r->o->board->replication.troubles[trouble_of(why->code)], 1);
}

void
told_contact(struct replicator *r, const struct visit *v)
{
	if (r->o->board == NULL)
		return;
	board_set(&r->o->board->replication.contact_s, (uint64_t)time(NULL));
	if (v == &r->here)
		board_say(&r->o->board->replication.upstream, v->peer.route);
}
