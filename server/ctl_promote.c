/* peciactl promote, demote, rotate: who signs, and where. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/ctl.h"
#include "server/keys.h"
#include "server/origin.h"
#include "server/promote.h"
#include "server/rotate.h"

#define AUTHOR "peciactl"

struct signers {
	struct key *release, *head;
	struct origin_signers by;
};

static int
open_signers(const struct ctl_options *o, const struct origin *origin,
    const char *message, struct signers *s, struct err *e)
{
	int ret = keys_open(o->keys, KEYS_RELEASE, &s->release, e);

	if (ret == 0)
		ret = keys_open(o->keys, KEYS_HEAD, &s->head, e);
	if (ret == 0)
		ret =
		    origin_check_key(origin, ROOT_ROLE_RELEASE, s->release, e);
	if (ret == 0)
		ret = origin_check_key(origin, ROOT_ROLE_ROSTER, s->release, e);
	if (ret == 0)
		ret = origin_check_key(origin, ROOT_ROLE_HEAD, s->head, e);
	s->by = (struct origin_signers){ .release = s->release,
		.head = s->head,
		.author = AUTHOR,
		.message = message,
		.lifetime_s = o->lifetime_s,
		.above = o->above };
	return ret;
}

static void
release_signers(struct signers *s)
{
	key_free(s->release);
	key_free(s->head);
}

/* ---- promote ---- */

static void
advise_keys(const struct ctl_options *o)
{
	(void)fprintf(stderr,
	    "peciactl: promote needs keys that may sign here.  With a backup "
	    "of the lost\norigin's keys:\n"
	    "    peciactl --repo %s --keys %s restore FILE\n"
	    "Or, with root.pem alone, in the directory DIR, new keys:\n"
	    "    peciactl --repo %s --keys %s rotate release head "
	    "--root-keys DIR\n"
	    "Then promote again.\n",
	    o->repo, o->keys, o->repo, o->keys);
}

static void
print_promoted(const struct ctl_options *o, const struct origin *origin,
    const struct promoted *done)
{
	char hex[DIGEST_HEX];

	for (size_t i = 0; i < done->count; i++) {
		const struct promote_channel *c = &done->channels[i];

		if (c->serial == 0) {
			(void)printf(
			    "channel %s: no release of it is here\n", c->name);
			continue;
		}
		(void)printf("channel %s: release %" PRIu64
		             " goes on as serial %" PRIu64 "\n",
		    c->name, c->held, c->serial);
		if (c->highest > c->held)
			(void)printf("channel %s: serial %" PRIu64
			             " was announced, and is not here: publish "
			             "what it had again\n",
			    c->name, c->highest);
	}
	digest_hex(&origin->anchor, hex);
	(void)printf("roster %" PRIu64 "\n", origin->roster.version);
	(void)printf("%s is an origin's repository now.  What is left to do:\n"
	             "- in peciad.conf of this host: remove upstream and "
	             "anchor, add keys = %s, restart peciad\n"
	             "- mirrors that know only the lost origin as upstream: "
	             "upstream = this host\n"
	             "- if it stays lost: peciactl mirror remove NAME\n"
	             "- peciactl backup FILE\n",
	    o->repo, o->keys);
	(void)printf("anchor sha256:%s (as before)\n", hex);
}

static int
promote(const struct ctl_options *o, struct origin *origin, struct err *e)
{
	struct signers s = { .release = NULL };
	struct repo_verified found;
	struct promoted done;
	int ret;

	ret = open_signers(o, origin, "goes on here: promoted", &s, e);
	if (ret != 0)
		advise_keys(o);
	if (ret == 0)
		ret = ctl_look(o, origin, NULL, e);
	if (ret == 0)
		ret = promote_sign_again(origin, &s.by, e);
	if (ret == 0)
		ret = promote_check(origin, &found, e);
	if (ret == 0)
		ret = promote_run(origin, &s.by, &done, e);
	if (ret == 0)
		print_promoted(o, origin, &done);
	release_signers(&s);
	return ret;
}

/* Nobody else replicates into a mirror's repository until *claim is closed. */
static int
claim_mirror(struct origin *origin, bool *is_mirror, int *claim, struct err *e)
{
	int ret = origin_is_mirror(origin, is_mirror, e);

	if (ret == 0 && *is_mirror)
		ret = repo_claim(origin->repo, "replicator", claim, e);
	return ret;
}

static int
ask_whether_it_runs(int ret, struct err *e)
{
	struct err found = *e;

	return ret != ERR_CONFLICT
	    ? ret
	    : err_set(e, ERR_CONFLICT,
	          "%s: is its peciad still running? end it first", found.msg);
}

int
ctl_promote(const struct ctl_options *o, struct err *e)
{
	struct origin origin;
	bool is_mirror = false;
	int claim = -1, ret = ctl_open(o, true, &origin, e);

	if (ret == 0)
		ret = claim_mirror(&origin, &is_mirror, &claim, e);
	ret = ask_whether_it_runs(ret, e);
	if (ret == 0 && !is_mirror)
		(void)printf("%s is an origin's repository already\n", o->repo);
	if (ret == 0 && is_mirror)
		ret = promote(o, &origin, e);
	if (claim >= 0)
		close(claim);
	origin_release(&origin);
	return ret;
}

int
ctl_demote(const struct ctl_options *o, struct err *e)
{
	struct origin origin;
	char hex[DIGEST_HEX];
	int ret = ctl_open(o, true, &origin, e);

	if (ret == 0)
		ret = promote_undo(&origin, e);
	if (ret == 0) {
		digest_hex(&origin.anchor, hex);
		(void)printf("%s is a mirror's repository now, anchor "
		             "sha256:%s.  What is left to do:\n"
		             "- in peciad.conf of this host: remove keys, add "
		             "upstream = HOST of another, restart peciad\n"
		             "- move the keys away: %s\n",
		    o->repo, hex, o->keys);
	}
	origin_release(&origin);
	return ret;
}

/* ---- rotate ---- */

static int
parse_names(const struct ctl_options *o, struct rotate *how, struct err *e)
{
	for (size_t i = 0; i < o->source_count; i++) {
		const char *name = o->sources[i];

		if (strcmp(name, "root") == 0)
			how->which[KEYS_ROOT] = true;
		else if (strcmp(name, "release") == 0)
			how->which[KEYS_RELEASE] = true;
		else if (strcmp(name, "head") == 0)
			how->which[KEYS_HEAD] = true;
		else
			return err_set(e, ERR_USAGE,
			    "%s: not root, release or head", name);
	}
	return 0;
}

/* All that the keys sign is signed again by the new ones.  A new release key
 * has to sign the newest releases too: who comes later believes no other. */
static int
sign_again(const struct ctl_options *o, struct origin *origin,
    const struct rotate *how, struct err *e)
{
	struct signers s = { .release = NULL };
	size_t count = 0;
	int ret = origin_load(origin, e);

	if (ret == 0)
		ret = open_signers(o, origin, "signed by a new key", &s, e);
	if (ret == 0)
		ret = origin_put_roster(origin, s.release, e);
	for (size_t i = 0; ret == 0 && how->which[KEYS_RELEASE] &&
	     i < origin->roster.channel_count;
	     i++) {
		const char *channel = origin->roster.channels[i];
		struct err why = ERR_INIT;
		uint64_t serial = 0;

		ret = origin_carry_on(origin, channel, &s.by, &serial, &why);
		if (ret == 0)
			(void)printf("channel %s: the same as serial %" PRIu64
			             "\n",
			    channel, serial);
		else if (ret != ERR_NOT_FOUND)
			*e = why;
		else
			ret = 0;
	}
	if (ret == 0)
		ret = origin_refresh(
		    origin, s.head, o->lifetime_s, false, &count, e);
	release_signers(&s);
	return ret;
}

static int
rotate(const struct ctl_options *o, struct origin *origin,
    const struct rotate *how, struct err *e)
{
	bool is_mirror = false;
	int claim = -1, ret = claim_mirror(origin, &is_mirror, &claim, e);

	ret = ask_whether_it_runs(ret, e);
	if (ret == 0)
		ret = ctl_look(o, origin, NULL, e);
	if (ret == 0)
		ret = rotate_run(origin, how, e);
	if (ret == 0)
		ret = origin_load(origin, e);
	if (ret == 0)
		(void)printf("root %" PRIu64 ": new keys are in %s\n",
		    origin_root(origin)->version, o->keys);
	if (ret == 0 && !is_mirror)
		ret = sign_again(o, origin, how, e);
	if (ret == 0)
		(void)printf("%sThe old keys are worth nothing any more: "
		             "peciactl backup FILE\n",
		    is_mirror ? "Next: peciactl promote.  " : "");
	if (claim >= 0)
		close(claim);
	return ret;
}

int
ctl_rotate(const struct ctl_options *o, struct err *e)
{
	struct rotate how = { .keys = o->keys,
		.root_keys = o->root_keys != NULL ? o->root_keys : o->keys };
	struct origin origin;
	int ret = parse_names(o, &how, e);

	if (ret != 0)
		return ret;
	ret = ctl_open(o, true, &origin, e);
	if (ret == 0)
		ret = rotate(o, &origin, &how, e);
	origin_release(&origin);
	return ret;
}
