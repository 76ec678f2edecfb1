/* Asking the mirrors.  A process for each, which verifies what it hears with
 * the repository's own chain of trust, and tells a line; what it learns stays
 * in its memory.  Runs in peciactl. */
#include "server/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/sandbox.h"
#include "server/repo_trust.h"
#include "transcripts/fetcher.h"
#include "transcripts/learn.h"

#define PORT     7440
#define CONNECTS 16 /* addresses of one mirror */

/* ---- a trust store that the repository does not notice ---- */

struct kept {
	char *name;
	struct buf bytes;
};
struct memory {
	struct trust_store repo;
	struct kept *kept;
	size_t count;
};

static struct kept *
find_kept(struct memory *m, const char *name)
{
	for (size_t i = 0; i < m->count; i++)
		if (strcmp(m->kept[i].name, name) == 0)
			return &m->kept[i];
	return NULL;
}

static int
memory_get(void *arg, const char *name, struct buf *out, struct err *e)
{
	struct memory *m = arg;
	const struct kept *k = find_kept(m, name);

	if (k == NULL)
		return m->repo.get(m->repo.arg, name, out, e);
	buf_add(out, k->bytes.data, k->bytes.len);
	return 0;
}

static int
memory_put(
    void *arg, const char *name, const void *data, size_t len, struct err *e)
{
	struct memory *m = arg;
	struct kept *k = find_kept(m, name), *more;

	if (k == NULL) {
		more = realloc(m->kept, (m->count + 1) * sizeof(*more));
		if (more == NULL)
			return err_memory(e);
		m->kept = more;
		k = &more[m->count];
		k->name = strdup(name);
		if (k->name == NULL)
			return err_memory(e);
		buf_init(&k->bytes, LIMIT_RELEASE_BYTES);
		m->count++;
	}
	buf_clear(&k->bytes);
	buf_add(&k->bytes, data, len);
	return buf_check(&k->bytes, name, e);
}

static void
memory_release(struct memory *m)
{
	for (size_t i = 0; i < m->count; i++) {
		free(m->kept[i].name);
		buf_release(&m->kept[i].bytes);
	}
	free(m->kept);
}

/* ---- one mirror ---- */

/* What its process tells; shorter than PIPE_BUF, so that it comes whole. */
struct answer {
	bool is_ahead;
	char what[512];
};

struct visit {
	struct origin *o;
	const struct roster_mirror *mirror;
	const char *channel; /* NULL: all */
	struct learn learn;
	struct answer *answer;
};

static void
say_ahead(struct visit *v, const char *what)
{
	v->answer->is_ahead = true;
	(void)snprintf(v->answer->what, sizeof(v->answer->what),
	    "mirror %s at site %s has %s", v->mirror->name, v->mirror->site,
	    what);
}

/* Chains that go on from ours: somebody else has signed. */
static void
judge_chain(struct visit *v)
{
	const struct root *root = trust_root(v->learn.trust);
	const struct roster *roster = trust_roster(v->learn.trust);
	char what[256];

	if (v->answer->is_ahead)
		return;
	if (root->version > origin_root(v->o)->version) {
		(void)snprintf(what, sizeof(what),
		    "trust root %llu, and %llu is the newest here",
		    (unsigned long long)root->version,
		    (unsigned long long)origin_root(v->o)->version);
		say_ahead(v, what);
	} else if (roster != NULL && roster->version > v->o->roster.version) {
		(void)snprintf(what, sizeof(what),
		    "roster %llu, and %llu is the newest here",
		    (unsigned long long)roster->version,
		    (unsigned long long)v->o->roster.version);
		say_ahead(v, what);
	}
}

static void
judge_head(struct visit *v, const char *channel, const struct head *theirs)
{
	struct head ours = { .serial = 0 };
	struct err none = ERR_INIT;
	char what[256];

	if (origin_head(v->o, channel, &ours, &none) != 0)
		ours.serial = 0;
	if (theirs->serial <= ours.serial)
		return;
	(void)snprintf(what, sizeof(what),
	    "serial %llu of channel %s, and %llu is the newest here",
	    (unsigned long long)theirs->serial, channel,
	    (unsigned long long)ours.serial);
	say_ahead(v, what);
}

static int
ask_channel(struct visit *v, const char *channel, struct err *e)
{
	struct head head;
	struct buf bytes;
	bool changed = false;
	int rc;

	buf_init(&bytes, LIMIT_HEAD_BYTES);
	rc = learn_head(&v->learn, channel, &bytes, &changed, e);
	if (rc == 0 && changed) {
		rc = learn_offer(&v->learn, channel, &bytes, &head, e);
		if (rc == 0)
			judge_head(v, channel, &head);
		else if (rc == ERR_CONFLICT)
			say_ahead(v,
			    "another release of a serial that is here "
			    "too");
	}
	buf_release(&bytes);
	/* Behind, without that channel, or not to be believed. */
	return rc == ERR_NET || rc == ERR_TIMEOUT ? rc : 0;
}

static int
ask_channels(struct visit *v, struct err *e)
{
	const struct roster *r = &v->o->roster;
	int rc = 0;

	if (v->channel != NULL)
		return ask_channel(v, v->channel, e);
	for (size_t i = 0;
	     rc == 0 && i < r->channel_count && !v->answer->is_ahead; i++)
		rc = ask_channel(v, r->channels[i], e);
	return rc;
}

/* At one address. */
static int
ask(struct visit *v, struct err *e)
{
	int rc = learn_roots(&v->learn, e);

	if (rc == 0)
		rc = ask_channels(v, e);
	if (rc == 0)
		judge_chain(v);
	return rc;
}

/* At its addresses until one answers. */
static int
ask_at_addresses(struct visit *v, struct err *e)
{
	struct fetch_peer peer;
	int rc = ERR_NET;

	for (int i = 0; rc != 0 && i < CONNECTS; i++) {
		rc = fetch_connect(v->learn.fetch, &peer, e);
		if (rc == ERR_NOT_FOUND)
			return rc;
		if (rc == 0)
			rc = ask(v, e);
	}
	return rc;
}

static int
enter_sandbox(const struct visit *v, struct err *e)
{
	int fd = repo_fd(v->o->repo);
	struct sandbox box = { .read_paths = fetcher_read_paths(),
		.read_fds = &fd,
		.read_count = 1,
		.parent = getppid() };

	return sandbox_enter(&box, e);
}

/* Expired is no less true here: the time is that of nothing's expiry. */
static int
run_visit(struct visit *v, struct err *e)
{
	struct fetch_options options = { .port = PORT,
		.fallbacks = (const char *const *)v->mirror->addresses,
		.fallback_count = v->mirror->address_count,
		.user = "nobody" };
	struct memory memory = { .count = 0 };
	struct trust_store store = { memory_get, memory_put, &memory };
	int rc;

	repo_trust_store(v->o->repo, &memory.repo);
	v->learn.store = &store;
	rc = enter_sandbox(v, e);
	if (rc == 0)
		rc = trust_load(&store, &v->o->anchor, 0, &v->learn.trust, e);
	if (rc == 0)
		rc = fetch_start(&options, &v->learn.fetch, e);
	if (rc == 0)
		rc = ask_at_addresses(v, e);
	fetch_stop(v->learn.fetch);
	trust_free(v->learn.trust);
	memory_release(&memory);
	v->learn = (struct learn){ .trust = NULL };
	return rc;
}

/* ---- all of them ---- */

struct look {
	struct visit visit; /* what they have in common */
	pid_t pids[LIMIT_LOOK_MIRRORS];
	struct pollfd polls[LIMIT_LOOK_MIRRORS]; /* fd -1: it has ended */
	size_t count;
};

static _Noreturn void
visit_main(struct look *l, const struct roster_mirror *mirror, int fd)
{
	struct answer answer = { .is_ahead = false };
	struct visit v = l->visit;
	struct err e = ERR_INIT;

	v.mirror = mirror;
	v.answer = &answer;
	(void)signal(SIGPIPE, SIG_IGN);
	if (run_visit(&v, &e) != 0 && !answer.is_ahead)
		_exit(1);
	_exit(fsat_write_all(fd, &answer, sizeof(answer), &e) == 0 ? 0 : 1);
}

static int
start(struct look *l, const struct roster_mirror *mirror, struct err *e)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return err_sys(e, "pipe");
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		visit_main(l, mirror, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_sys(e, "fork");
	}
	l->pids[l->count] = pid;
	l->polls[l->count++] =
	    (struct pollfd){ .fd = fds[0], .events = POLLIN };
	return 0;
}

static bool
is_self(const struct roster_mirror *m, const struct digest *self)
{
	for (size_t i = 0; self != NULL && i < m->key_count; i++)
		if (digest_equal(&m->keys[i], self))
			return true;
	return false;
}

static bool
is_first_of_site(const struct roster *r, size_t which)
{
	for (size_t i = 0; i < which; i++)
		if (strcmp(r->mirrors[i].site, r->mirrors[which].site) == 0 &&
		    r->mirrors[i].address_count > 0)
			return false;
	return true;
}

static int
start_all(struct look *l, const struct digest *self, struct err *e)
{
	const struct roster *r = &l->visit.o->roster;
	int rc = 0;

	for (int first = 1; first >= 0; first--)
		for (size_t i = 0; rc == 0 && i < r->mirror_count &&
		     l->count < LIMIT_LOOK_MIRRORS;
		     i++) {
			const struct roster_mirror *m = &r->mirrors[i];

			if (m->address_count > 0 && !is_self(m, self) &&
			    is_first_of_site(r, i) == (first == 1))
				rc = start(l, m, e);
		}
	return rc;
}

static int
left_ms(const struct timespec *begun)
{
	struct timespec now;
	long long ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (long long)(now.tv_sec - begun->tv_sec) * 1000 +
	    (now.tv_nsec - begun->tv_nsec) / 1000000;
	return ms >= LIMIT_LOOK_MS ? 0 : (int)(LIMIT_LOOK_MS - ms);
}

/* *answer is kept if it is worse than what was heard before. */
static void
hear(struct pollfd *p, struct answer *answer, unsigned *answered)
{
	struct answer heard = { .is_ahead = false };
	ssize_t got = read(p->fd, &heard, sizeof(heard));

	close(p->fd);
	p->fd = -1;
	if (got != (ssize_t)sizeof(heard))
		return;
	heard.what[sizeof(heard.what) - 1] = '\0';
	++*answered;
	if (heard.is_ahead)
		*answer = heard;
}

static void
hear_all(struct look *l, struct answer *answer, unsigned *answered)
{
	struct timespec begun;
	size_t waiting = l->count;
	int ms;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	while (waiting > 0 && !answer->is_ahead && (ms = left_ms(&begun)) > 0) {
		if (poll(l->polls, l->count, ms) < 0 && errno != EINTR)
			return;
		for (size_t i = 0; i < l->count; i++)
			if (l->polls[i].fd >= 0 && l->polls[i].revents != 0) {
				hear(&l->polls[i], answer, answered);
				waiting--;
			}
	}
}

static void
end_all(struct look *l)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->polls[i].fd >= 0)
			close(l->polls[i].fd);
		kill(l->pids[i], SIGKILL);
		while (waitpid(l->pids[i], NULL, 0) < 0 && errno == EINTR)
			continue;
	}
}

int
ahead_look(struct origin *o, const char *channel, const struct digest *self,
    struct ahead *out, struct err *e)
{
	struct look l = { .visit = { .o = o, .channel = channel } };
	struct answer answer = { .is_ahead = false };
	unsigned answered = 0;
	int rc = start_all(&l, self, e);

	if (rc == 0)
		hear_all(&l, &answer, &answered);
	end_all(&l);
	if (rc != 0)
		return rc;
	*out = (struct ahead){ (unsigned)l.count, answered };
	if (!answer.is_ahead)
		return 0;
	return err_set(e, ERR_CONFLICT, "%s", answer.what);
}
