/* Rotation of keys.  Runs in peciactl. */
#include "server/rotate.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/fsat.h"

#define ROOT_LIFE_S ((time_t)315569520) /* ten years */

static const enum root_role role_of[KEYS_COUNT] = {
	[KEYS_ROOT] = ROOT_ROLE_ROOT,
	[KEYS_RELEASE] = ROOT_ROLE_RELEASE,
	[KEYS_HEAD] = ROOT_ROLE_HEAD,
};
static const enum keys_name next_of[KEYS_COUNT] = {
	[KEYS_ROOT] = KEYS_ROOT_NEXT,
	[KEYS_RELEASE] = KEYS_RELEASE_NEXT,
	[KEYS_HEAD] = KEYS_HEAD_NEXT,
};

struct rotation {
	const struct rotate *how;
	struct origin *o;
	struct key *signer;           /* root.pem, as it was */
	struct key *next[KEYS_COUNT]; /* NULL: not rotated */
	struct root root;             /* to be */
};

static const char *
dir_of(const struct rotation *r, enum keys_name which)
{
	return which == KEYS_ROOT ? r->how->root_keys : r->how->keys;
}

static bool
has_role(const struct root *root, enum root_role role, const struct key *key)
{
	struct key_public pub;

	key_public_of(key, &pub);
	for (size_t i = 0; i < root->roles[role].count; i++)
		if (memcmp(&root->roles[role].keys[i], &pub, sizeof(pub)) == 0)
			return true;
	return false;
}

/* Found again when a rotation was cut off. */
static int
open_next(struct rotation *r, enum keys_name which, struct err *e)
{
	const char *dir = dir_of(r, which);
	bool has = false;
	int rc = keys_has(dir, next_of[which], &has, e);

	if (rc != 0)
		return rc;
	return has ? keys_open(dir, next_of[which], &r->next[which], e)
	           : keys_create(dir, next_of[which], &r->next[which], e);
}

/* In each role that has the old key. */
static int
replace(struct rotation *r, enum keys_name which, struct err *e)
{
	const struct statement_signers *had =
	    &origin_root(r->o)->roles[role_of[which]];
	struct key_public now;
	char old[KEY_ID_HEX];
	int rc = 0;

	if (had->count != 1)
		return err_set(e, ERR_UNSUPPORTED,
		    "role %s has %zu keys, whose holders sign the next root "
		    "by hand: see doc/formats.md",
		    root_role_name(role_of[which]), had->count);
	key_id(&had->keys[0], old);
	key_public_of(r->next[which], &now);
	for (int role = 0; rc == 0 && role < ROOT_ROLES; role++) {
		struct err none = ERR_INIT;

		if (root_remove_key(
		        &r->root, (enum root_role)role, old, &none) == 0)
			rc = root_add_key(
			    &r->root, (enum root_role)role, &now, e);
	}
	return rc;
}

static int
write_root(struct rotation *r, struct buf *text, struct err *e)
{
	const struct key *signers[2] = { r->signer, r->next[KEYS_ROOT] };
	time_t expires = time(NULL) + ROOT_LIFE_S;
	struct root again;
	int rc = 0;

	r->root = *origin_root(r->o);
	r->root.version++;
	if (expires > r->root.expires)
		r->root.expires = expires;
	for (int k = 0; rc == 0 && k < KEYS_COUNT; k++)
		if (r->next[k] != NULL)
			rc = replace(r, (enum keys_name)k, e);
	if (rc != 0)
		return rc;
	root_write(text, &r->root);
	rc = buf_check(text, "root", e);
	if (rc == 0)
		rc = statement_sign(
		    text, signers, r->next[KEYS_ROOT] != NULL ? 2 : 1, e);
	if (rc == 0)
		rc = root_next(
		    text->data, text->len, origin_root(r->o), &again, e);
	return rc;
}

static int
put_root(struct rotation *r, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_ROOT_BYTES);
	rc = write_root(r, &text, e);
	repo_path_root(path, r->root.version);
	if (rc == 0)
		rc = repo_put_statement(
		    r->o->repo, path, text.data, text.len, e);
	buf_release(&text);
	return rc;
}

static int
take_name(struct rotation *r, enum keys_name which, struct err *e)
{
	int dir = -1,
	    rc = fsat_operator_dir(dir_of(r, which), false, 0, &dir, e);

	if (rc == 0)
		rc = fsat_rename(
		    dir, keys_file(next_of[which]), dir, keys_file(which), e);
	if (rc == 0)
		rc = fsat_fsync(dir, e);
	if (dir >= 0)
		close(dir);
	return rc;
}

/* Whether the newest root is the one that this rotation wanted: it was cut off
 * behind it. */
static bool
is_put(const struct rotation *r)
{
	for (int k = 0; k < KEYS_COUNT; k++)
		if (r->next[k] != NULL &&
		    !has_role(origin_root(r->o), role_of[k], r->next[k]))
			return false;
	return true;
}

static int
run(struct rotation *r, struct err *e)
{
	int rc = 0;

	for (int k = 0; rc == 0 && k < KEYS_COUNT; k++)
		if (r->how->which[k])
			rc = open_next(r, (enum keys_name)k, e);
	if (rc == 0 && !is_put(r)) {
		rc = keys_open(r->how->root_keys, KEYS_ROOT, &r->signer, e);
		if (rc == 0)
			rc = origin_check_key(
			    r->o, ROOT_ROLE_ROOT, r->signer, e);
		if (rc == 0)
			rc = put_root(r, e);
	}
	for (int k = 0; rc == 0 && k < KEYS_COUNT; k++)
		if (r->next[k] != NULL)
			rc = take_name(r, (enum keys_name)k, e);
	return rc;
}

int
rotate_run(struct origin *o, const struct rotate *how, struct err *e)
{
	struct rotation r = { .how = how, .o = o };
	int rc = run(&r, e);

	key_free(r.signer);
	for (int k = 0; k < KEYS_COUNT; k++)
		key_free(r.next[k]);
	return rc;
}
