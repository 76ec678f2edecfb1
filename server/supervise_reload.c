/* SIGHUP: configuration and identity are read again.
 *
 * Everything that can fail comes first, and changes nothing; then the new takes
 * the old's place.  Listening sockets that stay are the same sockets, so nobody
 * is turned away; workers are replaced by such as know the new, and end what
 * they are sending; other processes begin again where what they were told has
 * changed. */
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypto_tls.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/notify.h"
#include "server/supervise_impl.h"

/* What is to take the old's place. */
struct fresh {
	struct daemon_options options;
	struct tls_identity *identity;
	struct ssl_ctx_st *tls;         /* NULL: the old one's */
	int listen_fds[DAEMON_LISTENS]; /* as options.listens; -1: not open */
	bool kept[DAEMON_LISTENS];      /* of the old ones, by their number */
	struct digest anchor;
};

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_list(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
	bool same = a_count == b_count;

	for (size_t i = 0; same && i < a_count; i++)
		same = strcmp(a[i], b[i]) == 0;
	return same;
}

static int
check_same(
    const struct supervisor *s, const struct daemon_options *new, struct err *e)
{
	if (!same_text(s->o->repo, new->repo))
		return err_set(e, ERR_USAGE,
		    "repo cannot change from %s to %s while it runs: restart",
		    s->o->repo, new->repo);
	if (!same_text(s->o->user, new->user))
		return err_set(
		    e, ERR_USAGE, "user cannot change while it runs: restart");
	return 0;
}

static int
read_identity(const struct supervisor *s, struct fresh *f, struct err *e)
{
	struct digest old, new;
	int rc = tls_identity_open(f->options.identity, true, &f->identity, e);

	if (rc != 0)
		return rc;
	tls_identity_digest(s->identity, &old);
	tls_identity_digest(f->identity, &new);
	/* Tickets that were given stay good, if it is still the same server. */
	return digest_equal(&old, &new) &&
	        s->o->tls_resume == f->options.tls_resume
	    ? 0
	    : supervise_context(&f->options, f->identity, &f->tls, e);
}

static int
take_listeners(const struct supervisor *s, struct fresh *f, struct err *e)
{
	for (size_t i = 0; i < f->options.listen_count; i++) {
		const char *where = f->options.listens[i];
		size_t old = 0;
		int rc;

		while (old < s->listen_count &&
		    (f->kept[old] || strcmp(s->o->listens[old], where) != 0))
			old++;
		if (old < s->listen_count) {
			f->kept[old] = true;
			f->listen_fds[i] = s->listen_fds[old];
		} else if ((rc = http_listen(where, &f->listen_fds[i], e)) !=
		    0) {
			return rc;
		}
	}
	return 0;
}

static bool
is_kept(const struct supervisor *s, const struct fresh *f, int fd)
{
	for (size_t i = 0; i < s->listen_count; i++)
		if (f->kept[i] && s->listen_fds[i] == fd)
			return true;
	return false;
}

static int
prepare(struct supervisor *s, struct fresh *f, struct err *e)
{
	struct daemon_options *old = s->o;
	struct digest anchor = s->anchor;
	int rc;

	rc = daemon_options_load(s->argc, s->argv, &f->options, e);
	if (rc == 0)
		rc = check_same(s, &f->options, e);
	if (rc == 0)
		rc = read_identity(s, f, e);
	if (rc == 0)
		rc = take_listeners(s, f, e);
	if (rc != 0)
		return rc;
	s->o = &f->options;
	rc = supervise_open_repository(s, e);
	s->o = old;
	f->anchor = s->anchor;
	s->anchor = anchor;
	return rc;
}

static void
discard(const struct supervisor *s, struct fresh *f)
{
	for (size_t i = 0; i < DAEMON_LISTENS; i++)
		if (f->listen_fds[i] >= 0 && !is_kept(s, f, f->listen_fds[i]))
			close(f->listen_fds[i]);
	tls_context_free(f->tls);
	tls_identity_free(f->identity);
	daemon_options_release(&f->options);
}

/* ---- the other processes ---- */

static bool
same_for(enum role role, const struct supervisor *s, const struct fresh *f)
{
	const struct daemon_options *a = s->o, *b = &f->options;

	switch (role) {
	case ROLE_WORKER:
	case ROLES:
		break;
	case ROLE_REPLICATOR:
		return f->tls == NULL && digest_equal(&s->anchor, &f->anchor) &&
		    same_list(a->upstreams, a->upstream_count, b->upstreams,
		        b->upstream_count) &&
		    a->look_s == b->look_s && a->splay_s == b->splay_s &&
		    rate_equal(&a->rate, &b->rate);
	case ROLE_KEEPER:
		return f->tls == NULL && digest_equal(&s->anchor, &f->anchor) &&
		    same_list(a->upstreams, a->upstream_count, b->upstreams,
		        b->upstream_count) &&
		    memcmp(&a->keeping, &b->keeping, sizeof(a->keeping)) == 0 &&
		    rate_equal(&a->rate, &b->rate);
	case ROLE_LOOKOUT:
		return f->tls == NULL;
	case ROLE_REFRESHER:
		return same_text(a->keys, b->keys) &&
		    a->head_lifetime_s == b->head_lifetime_s;
	}
	return false;
}

static void
end_child(struct child *c)
{
	if (c->pid > 0)
		(void)kill(c->pid, SIGTERM);
}

/* Ends it where it is not wanted, or was told something else. */
static void
renew(struct supervisor *s, const struct fresh *f, enum role role)
{
	bool is_there = false, want = supervise_wants(&f->options, role);

	for (size_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->children[i];

		if (c->role != role || c->retired)
			continue;
		is_there = want;
		if (want && same_for(role, s, f))
			continue;
		c->retired = !want;
		c->renewed = want && c->pid > 0;
		c->due = 0;
		end_child(c);
	}
	if (want && !is_there)
		supervise_add_child(s, role);
}

/* ---- workers ---- */

static size_t
count_retired(const struct supervisor *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->child_count; i++)
		if (s->children[i].role == ROLE_WORKER &&
		    s->children[i].retired)
			n++;
	return n;
}

/* They take no connection any more and end what they are sending.  Where too
 * many do so already, those that began first get HTTP_GRACE_MS. */
static void
retire_workers(struct supervisor *s)
{
	size_t many = count_retired(s);

	for (size_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->children[i];

		if (c->role != ROLE_WORKER)
			continue;
		if (c->retired && many > LIMIT_RETIRING / 2)
			end_child(c);
		if (!c->retired && c->pid > 0)
			(void)kill(c->pid, HTTP_RETIRE_SIGNAL);
		c->retired = true;
	}
}

/* ---- all of it ---- */

static void
take_over(struct supervisor *s, struct fresh *f)
{
	for (enum role r = ROLE_REPLICATOR; r < ROLES; r++)
		renew(s, f, r);
	for (size_t i = 0; i < s->listen_count; i++)
		if (!f->kept[i])
			close(s->listen_fds[i]);
	s->listen_count = f->options.listen_count;
	memcpy(s->listen_fds, f->listen_fds, sizeof(s->listen_fds));
	if (f->tls != NULL) {
		tls_context_free(s->tls);
		s->tls = f->tls;
	}
	tls_identity_free(s->identity);
	s->identity = f->identity;
	s->anchor = f->anchor;
	daemon_options_release(s->o);
	*s->o = f->options;
	log_start("peciad",
	    s->o->verbose || s->o->access_log ? LOG_INFO : LOG_NOTICE);
	supervise_describe(s);
	retire_workers(s);
	supervise_add_workers(s);
}

static void
tell(const char *lines)
{
	struct err e = ERR_INIT;

	if (notify_send(lines, &e) != 0)
		log_err(LOG_WARNING, "service manager not told", &e, NULL);
}

/* Workers that still end transfers of earlier reloads leave no room. */
static bool
has_room(const struct supervisor *s)
{
	return s->child_count + DAEMON_WORKERS + ROLES <=
	    sizeof(s->children) / sizeof(s->children[0]);
}

void
supervise_reload(struct supervisor *s)
{
	struct fresh f = { .tls = NULL };
	struct err e = ERR_INIT;
	char text[64], hex[DIGEST_HEX];
	int rc;

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
	    (unsigned long long)clock_ms() * 1000);
	tell(text);
	for (size_t i = 0; i < DAEMON_LISTENS; i++)
		f.listen_fds[i] = -1;
	rc = has_room(s) ? prepare(s, &f, &e)
	                 : err_set(&e, ERR_CONFLICT,
	                       "too many reloads while transfers go on");
	if (rc == 0) {
		take_over(s, &f);
		digest_hex(&s->self.key, hex);
		log_event(
		    LOG_NOTICE, "configuration reloaded", "key", hex, NULL);
	} else {
		discard(s, &f);
		log_err(LOG_ERROR,
		    "configuration not reloaded, the old one stays", &e, NULL);
	}
	tell("READY=1");
}
