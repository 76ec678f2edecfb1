/* Learning the newest release; runs in the applier, through the fetcher. */
#include "client/update.h"

#include <time.h>

#include "client/home.h"
#include "client/line.h"
#include "client/tickets.h"
#include "common/clock.h"
#include "common/log.h"
#include "transcripts/sessions.h"

#define FIRST_PAUSE_MS   500 /* before lost servers are gone back to */
#define LONGEST_PAUSE_MS 8000

/* The server said something that only concerns this server. */
static void
note_trouble(struct session *s, const char *route, const struct err *why)
{
	progress_end(s->progress);
	log_event(LOG_WARNING, "server passed over", "route", route, "why",
	    why->msg, NULL);
	buf_addf(&s->troubles, "%s%s: %s", s->troubles.len > 0 ? "; " : "",
	    route, why->msg);
	s->search.died = s->search.died || why->code == ERR_NET;
}

/* Those that took no connection. */
static void
note_passed(struct session *s, const struct fetch_peer *peer)
{
	size_t len = strlen(peer->passed);

	if (len < 2)
		return;
	buf_addf(&s->troubles, "%s%.*s", s->troubles.len > 0 ? "; " : "",
	    (int)len - 2, peer->passed);
	s->search.died = true;
}

/* Content and our certificate are only for servers that the roster lists. */
static int
check_server(struct session *s, struct err *e)
{
	const struct roster_mirror *mirror = NULL;
	int rc;

	if ((rc = learn_check_server(&s->learn, &mirror, e)) != 0)
		return rc;
	(void)snprintf(s->site, sizeof(s->site), "%s", mirror->site);
	(void)snprintf(s->mirror, sizeof(s->mirror), "%s", mirror->name);
	return 0;
}

/* The accepted head stays the wanted one. */
static int
keep_head(struct session *s, struct err *e)
{
	const char *channel = s->settings->channel;
	const struct head *held;
	char name[LIMIT_NAME_BYTES + 16];
	int rc;

	rc = trust_head(s->trust, channel, &held, e);
	if (rc == 0 && held == NULL)
		rc = err_set(e, ERR_NOT_FOUND, "head of %s: not held", channel);
	if (rc != 0)
		return rc;
	s->head = *held;
	(void)snprintf(name, sizeof(name), "channel/%s", channel);
	buf_clear(&s->head_bytes);
	return s->store.get(s->store.arg, name, &s->head_bytes, e);
}

/* What this server knows; its release is s->release afterwards. */
static int
learn_all(struct session *s, struct err *e)
{
	struct learn *l = &s->learn;
	bool changed = false;
	int rc = 0;

	if (trust_root(s->trust) == NULL && (rc = learn_roots(l, e)) != 0)
		return rc;
	if (trust_roster(s->trust) == NULL && (rc = learn_roster(l, e)) != 0)
		return rc;
	changed = line_take_head(s->line, &s->head_bytes, &l->peer);
	if (!changed)
		rc = learn_head(
		    l, s->settings->channel, &s->head_bytes, &changed, e);
	if (rc == 0 && changed)
		rc = learn_offer(
		    l, s->settings->channel, &s->head_bytes, &s->head, e);
	else if (rc == 0)
		rc = keep_head(s, e);
	if (rc != 0 || (rc = check_server(s, e)) != 0)
		return rc;
	release_release(&s->release);
	release_init(&s->release);
	return learn_release(l, &s->head, &s->release, e);
}

/* ---- candidates ---- */

static void
add_addresses(struct session *s, bool of_home, size_t *n)
{
	const struct roster *roster = trust_roster(s->trust);

	for (size_t i = 0; i < roster->mirror_count; i++) {
		const struct roster_mirror *m = &roster->mirrors[i];

		if ((strcmp(m->site, s->home) == 0) != of_home)
			continue;
		for (size_t k = 0; k < m->address_count; k++)
			s->extras[(*n)++] = m->addresses[k];
	}
}

/* The roster's addresses, those of our own site first. */
static int
list_extras(struct session *s, struct err *e)
{
	const struct roster *roster = trust_roster(s->trust);
	size_t n = 0;

	/* The operator's own list takes the roster's place. */
	if (roster == NULL || s->settings->fallback_count > 0 ||
	    s->search.home_only)
		return 0;
	for (size_t i = 0; i < roster->mirror_count; i++)
		n += roster->mirrors[i].address_count;
	free(s->extras);
	if ((s->extras = calloc(n + 1, sizeof(*s->extras))) == NULL)
		return err_memory(e);
	n = 0;
	add_addresses(s, true, &n);
	add_addresses(s, false, &n);
	s->fetch_options.extras = s->extras;
	s->fetch_options.extra_count = n;
	s->search.roster = roster->version;
	return 0;
}

static int
start_fetcher(struct session *s, struct err *e)
{
	int rc;

	if ((rc = list_extras(s, e)) != 0)
		return rc;
	if (!line_lend(s->line, s)) {
		if ((rc = session_identity(s, e)) != 0)
			return rc;
		s->fetch_options.identity = s->identity;
		rc = fetch_start(&s->fetch_options, &s->fetch, e);
	}
	s->learn.fetch = s->fetch;
	return rc != 0 ? rc : learn_keys(&s->learn, e);
}

/* What may come with the next head: data transcripts, if it is the next one of
 * what is applied. */
static void
expect_news(struct session *s)
{
	const struct release_profile *p = s->was_profile;
	struct buf *names = &s->transcripts;
	bool follows = s->has_applied &&
	    strcmp(s->applied.channel, s->settings->channel) == 0;

	buf_clear(names);
	for (size_t i = 0; follows && i < p->count; i++)
		buf_addf(names, "%s%s", i == 0 ? "" : ",",
		    s->was.transcripts[p->transcripts[i]].name);
	if (names->failed != 0)
		return;
	s->learn.serial = follows ? s->applied.serial : 0;
	s->learn.transcripts = buf_str(names);
}

int
update_begin(struct session *s, struct err *e)
{
	const struct settings *set = s->settings;
	int rc;

	if ((rc = state_failures(&s->state, &s->failures, e)) != 0 ||
	    (rc = home_read(s, e)) != 0)
		return rc;
	s->search.home_only = set->wan_fallback == WAN_NEVER ||
	    (set->wan_fallback == WAN_AFTER_FAILURES &&
	        s->failures < set->wan_failures);
	s->sessions = tickets_take(&s->state);
	if (!set->tls_resume) {
		sessions_free(s->sessions);
		s->sessions = NULL;
	}
	s->fetch_options = (struct fetch_options){
		.sessions = s->sessions,
		.progress = s->progress,
		.server = set->server,
		.short_name = set->name,
		.port = set->port,
		.no_srv = !set->srv,
		.fallbacks = (const char *const *)set->fallbacks,
		.fallback_count = s->search.home_only ? 0 : set->fallback_count,
		.user = set->user,
	};
	s->learn = (struct learn){ .trust = s->trust, .store = &s->store };
	expect_news(s);
	return start_fetcher(s, e);
}

/* Whether this run got to its own site. */
static int
count_failures(struct session *s, bool at_home, struct err *e)
{
	return state_set_failures(&s->state, at_home ? 0 : s->failures + 1, e);
}

static int
no_server(struct session *s, const struct err *last, struct err *e)
{
	if (count_failures(s, false, e) != 0)
		return e->code;
	return err_set(e, ERR_NET, "no server: %s%s%s",
	    s->troubles.len > 0 ? buf_str(&s->troubles) : "",
	    s->troubles.len > 0 ? "; " : "", last->msg);
}

/* From now on servers are missed. */
static void
begin_search(struct session *s)
{
	clock_gettime(CLOCK_MONOTONIC, &s->search.lost);
	s->search.returns = 0;
	s->search.died = false;
}

static unsigned
next_pause_ms(const struct session_search *r)
{
	unsigned ms = FIRST_PAUSE_MS;

	for (unsigned i = 0; i < r->returns && ms < LONGEST_PAUSE_MS; i++)
		ms *= 2;
	return ms;
}

static bool
may_return(const struct session *s)
{
	const struct session_search *r = &s->search;

	return r->died && r->losses <= LIMIT_LOSSES &&
	    clock_seconds_since(&r->lost) * 1000 + next_pause_ms(r) <=
	    s->settings->server_wait_ms;
}

/* Begins the list again, after a while: what is being restarted is there by
 * then. */
static int
go_back(struct session *s, struct err *e)
{
	const unsigned ms = next_pause_ms(&s->search);
	const struct timespec pause = { .tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	s->search.returns++;
	log_event(LOG_INFO, "the servers are tried again", NULL);
	(void)nanosleep(&pause, NULL);
	return fetch_rewind(s->fetch, e);
}

/* A roster that came in this run may list servers that are not known yet. */
static bool
knows_more(const struct session *s)
{
	const struct roster *roster = trust_roster(s->trust);

	return roster != NULL && !s->search.home_only &&
	    s->settings->server == NULL && s->settings->fallback_count == 0 &&
	    roster->version != s->search.roster;
}

/* The line between sites is not for what a little patience mends: before home
 * is left it is gone back to once; where it was there in this run, as often as
 * there is time. */
static bool
leaves_home(const struct session *s)
{
	return !home_is_found(s) && s->peer.number > s->peer.beyond &&
	    (s->search.returns == 0 || s->search.losses > 0);
}

/* The next candidate.  ERR_NOT_FOUND: there is none, and was none after some
 * waiting. */
static int
connect_next(struct session *s, struct err *e)
{
	int rc;

	for (;;) {
		if (s->fetch == NULL && (rc = start_fetcher(s, e)) != 0)
			return rc;
		if (line_take_connection(s->line, &s->peer))
			return 0;
		rc = fetch_connect(s->fetch, &s->peer, e);
		if (rc == 0) {
			note_passed(s, &s->peer);
			if (!leaves_home(s) || !may_return(s))
				return 0;
		} else if (rc != ERR_NOT_FOUND) {
			return rc;
		} else if (knows_more(s)) {
			served_count(s);
			fetch_stop(s->fetch);
			s->fetch = NULL;
			s->line = NULL;
			continue;
		} else {
			/* Nobody was there at all. */
			s->search.died = s->search.died || s->troubles.len == 0;
			if (!may_return(s))
				return rc;
		}
		if ((rc = go_back(s, e)) != 0)
			return rc;
	}
}

static void
pass_over(struct session *s, const char *route, const struct err *why)
{
	served_count(s);
	s->mirror[0] = s->site[0] = '\0';
	note_trouble(s, route, why);
}

static int
accept_server(struct session *s, struct err *e)
{
	served_count(s);
	return count_failures(s, home_is_found(s), e);
}

static int
find_server(struct session *s, struct err *e)
{
	struct err why = ERR_INIT;
	int rc;

	for (unsigned i = 0; i < 2 * LIMIT_CANDIDATES; i++) {
		rc = connect_next(s, &why);
		if (rc == ERR_NOT_FOUND || rc == ERR_USAGE)
			break;
		if (rc != 0) {
			note_trouble(s, "fetcher", &why);
			continue;
		}
		if (learn_all(s, &why) == 0)
			return home_learn(s, e) != 0 ? e->code
			                             : accept_server(s, e);
		pass_over(s, s->peer.route, &why);
	}
	return no_server(s, &why, e);
}

int
update_find(struct session *s, struct err *e)
{
	int rc;

	begin_search(s);
	if ((rc = update_begin(s, e)) != 0 || (rc = find_server(s, e)) != 0)
		return rc;
	rc = release_profile_of(&s->release, s->settings->host, &s->profile, e);
	if (rc != 0)
		return rc;
	log_event(LOG_INFO, "server", "route", s->peer.route, "site", s->site,
	    "mirror", s->mirror, NULL);
	return 0;
}

int
update_next_server(struct session *s, const struct err *failed, struct err *e)
{
	struct err why = ERR_INIT;
	struct buf body;
	int rc = ERR_NOT_FOUND;

	begin_search(s);
	s->search.losses++;
	pass_over(s, s->peer.route, failed);
	buf_init(&body, LIMIT_ROOT_BYTES);
	/* A fetcher that dies each time must not hold us for ever. */
	for (unsigned i = 0; i < 2 * LIMIT_CANDIDATES; i++) {
		rc = connect_next(s, &why);
		if (rc == ERR_NOT_FOUND || rc == ERR_USAGE)
			break;
		/* Any answer shows who it is. */
		if (rc == 0)
			rc = learn_get(&s->learn, "/v1/root/1",
			    LIMIT_ROOT_BYTES, &body, &why);
		if (rc == 0)
			rc = check_server(s, &why);
		if (rc == 0)
			break;
		pass_over(s, s->peer.route, &why);
	}
	buf_release(&body);
	return rc == 0 ? accept_server(s, e) : no_server(s, &why, e);
}

void
update_end(struct session *s)
{
	served_count(s);
	fetch_dismiss(s->fetch);
}
