/* Signing and writing statements. */
#include "server/origin.h"

#include <string.h>

int
origin_check_key(const struct origin *o, enum root_role role,
    const struct key *key, struct err *e)
{
	const struct root *root = origin_root(o);
	const struct statement_signers *s = &root->roles[role];
	struct key_public pub;
	char id[KEY_ID_HEX];
	bool may = false;

	key_public_of(key, &pub);
	key_id(&pub, id);
	for (size_t i = 0; i < s->count; i++)
		may |= memcmp(&s->keys[i], &pub, sizeof(pub)) == 0;
	if (!may)
		return err_set(e, ERR_USAGE,
		    "key %s may not sign for the role %s, says root %llu of "
		    "%s: is it another repository's?",
		    id, root_role_name(role), (unsigned long long)root->version,
		    repo_name(o->repo));
	if (s->threshold > 1)
		return err_set(e, ERR_USAGE,
		    "role %s needs %u signatures, says root %llu, and there "
		    "is one key",
		    root_role_name(role), s->threshold,
		    (unsigned long long)root->version);
	return 0;
}

static int
sign(struct buf *text, const struct key *key, const char *what, struct err *e)
{
	int ret = buf_check(text, what, e);

	return ret == 0 ? statement_sign(text, &key, 1, e) : ret;
}

int
origin_put_release(struct origin *o, const struct key *key,
    const struct release *r, struct head *head, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct release again;
	struct buf text;
	int ret;

	release_init(&again);
	buf_init(&text, LIMIT_RELEASE_BYTES);
	release_write(&text, r);
	ret = sign(&text, key, "release", e);
	if (ret == 0) {
		digest_of(text.data, text.len, &head->release);
		head->release_bytes = text.len;
		head->serial = r->serial;
		memcpy(head->channel, r->channel, sizeof(head->channel));
		ret = release_read(
		    origin_root(o), head, text.data, text.len, &again, e);
	}
	if (ret == 0) {
		repo_path_release(path, &head->release);
		ret = repo_put_statement(o->repo, path, text.data, text.len, e);
	}
	release_release(&again);
	buf_release(&text);
	return ret;
}

int
origin_put_roster(struct origin *o, const struct key *key, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct roster again;
	struct buf text;
	int ret;

	o->roster.version++;
	o->roster.expires = origin_root(o)->expires;
	buf_init(&text, LIMIT_ROSTER_BYTES);
	roster_init(&again);
	roster_write(&text, &o->roster);
	ret = sign(&text, key, "roster", e);
	if (ret == 0)
		ret =
		    roster_read(origin_root(o), text.data, text.len, &again, e);
	if (ret == 0) {
		repo_path_roster(path);
		ret = repo_put_statement(o->repo, path, text.data, text.len, e);
	}
	roster_release(&again);
	buf_release(&text);
	return ret;
}

int
origin_put_head(struct origin *o, const struct key *key, struct head *head,
    uint64_t lifetime_s, struct err *e)
{
	struct head again;
	struct buf text;
	int ret;

	head->root_version = origin_root(o)->version;
	head->roster_version = o->roster.version;
	head->issued = time(NULL);
	head->expires = head->issued + (time_t)lifetime_s;
	buf_init(&text, LIMIT_HEAD_BYTES);
	head_write(&text, head);
	ret = sign(&text, key, "head", e);
	if (ret == 0)
		ret = head_read(origin_root(o), head->channel, text.data,
		    text.len, &again, e);
	if (ret == 0)
		ret = repo_switch_head(
		    o->repo, head->channel, text.data, text.len, e);
	buf_release(&text);
	return ret;
}

static bool
is_stale(const struct origin *o, const struct head *h)
{
	return h->root_version != origin_root(o)->version ||
	    h->roster_version != o->roster.version;
}

int
origin_refresh(struct origin *o, const struct key *key, uint64_t lifetime_s,
    bool only_stale, size_t *count, struct err *e)
{
	struct head head;
	size_t n = 0;
	/* Whoever had the lock before may have changed the roster. */
	int ret = origin_load(o, e);

	for (size_t i = 0; ret == 0 && i < o->roster.channel_count; i++) {
		ret = origin_head(o, o->roster.channels[i], &head, e);
		/* The roster lists a channel before it has its first head. */
		if (ret == ERR_NOT_FOUND) {
			ret = 0;
			continue;
		}
		if (ret != 0 || (only_stale && !is_stale(o, &head)))
			continue;
		ret = origin_put_head(o, key, &head, lifetime_s, e);
		n += ret == 0;
	}
	if (ret == 0)
		*count = n;
	return ret;
}
