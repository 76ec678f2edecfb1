/* peciactl init: keys, repository, trust root, roster.
 *
 * A marker beside the keys says that an init has begun; it goes when all is
 * durable.  With it, what is there already is taken and the rest is made; so
 * that an init that was cut off is finished by another.  Without it, keys or a
 * repository that are there belong to somebody. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/crypto_identity.h"
#include "common/fsat.h"
#include "common/text.h"
#include "server/ctl.h"
#include "server/keys.h"
#include "server/origin.h"

#define MARKER       "init.unfinished"
#define ROOT_YEARS   10
#define YEAR_S       ((time_t)31556952)
#define MIRROR_NAME  "origin"
#define MARKER_BYTES 8192

struct init {
	const struct ctl_options *o;
	int keys_fd;
	struct key *keys[KEYS_COUNT];
	char *identity_dir;
	struct digest identity;
	struct origin origin;
};

/* Whether the repository has a first root; no error when it is not there. */
static int
look_at_repo(const char *path, bool *has_root, struct err *e)
{
	char root[REPO_PATH_BYTES];
	struct fsat_stat st;
	int fd = -1, ret = fsat_operator_dir(path, false, 0, &fd, e);

	repo_path_root(root, 1);
	if (ret == 0)
		ret = fsat_stat(fd, root, &st, e);
	if (fd >= 0)
		close(fd);
	if (ret != 0 && ret != ERR_NOT_FOUND)
		return ret;
	*has_root = ret == 0;
	return 0;
}

/* The marker holds the path of the repository that is being made. */
static int
read_marker(struct init *i, bool *begun, struct err *e)
{
	struct buf text;
	int ret;

	buf_init(&text, MARKER_BYTES);
	ret = fsat_read_file(i->keys_fd, MARKER, MARKER_BYTES, &text, e);
	*begun = ret == 0;
	if (ret == 0 && strcmp(buf_str(&text), i->o->repo) != 0)
		ret = err_set(e, ERR_CONFLICT,
		    "an unfinished init of another repository, %s, is in %s; "
		    "finish that one, or remove %s and the keys beside it",
		    buf_str(&text), i->o->keys, MARKER);
	buf_release(&text);
	return ret == ERR_NOT_FOUND ? 0 : ret;
}

static int
refuse_existing(struct init *i, struct err *e)
{
	bool has = false;
	int ret = 0;

	for (int k = 0; ret == 0 && k < KEYS_COUNT; k++) {
		ret = keys_has(i->o->keys, (enum keys_name)k, &has, e);
		if (ret == 0 && has)
			return err_set(e, ERR_CONFLICT,
			    "%s/%s is there already, and keys are never "
			    "overwritten; choose another --keys",
			    i->o->keys, keys_file((enum keys_name)k));
	}
	if (ret == 0)
		ret = look_at_repo(i->o->repo, &has, e);
	if (ret == 0 && has)
		return err_set(e, ERR_CONFLICT,
		    "%s is a repository already; choose another --repo",
		    i->o->repo);
	return ret;
}

static int
begin(struct init *i, struct err *e)
{
	bool begun = false;
	int ret = fsat_operator_dir(i->o->keys, true, 0700, &i->keys_fd, e);

	if (ret == 0)
		ret = read_marker(i, &begun, e);
	if (ret == 0 && !begun)
		ret = refuse_existing(i, e);
	if (ret == 0 && !begun)
		ret = fsat_write_file(i->keys_fd, MARKER, 0600, i->o->repo,
		    strlen(i->o->repo), e);
	return ret;
}

static int
make_keys(struct init *i, struct err *e)
{
	bool has = false;
	int ret = 0;

	for (int k = 0; ret == 0 && k < KEYS_COUNT; k++) {
		enum keys_name which = (enum keys_name)k;

		ret = keys_has(i->o->keys, which, &has, e);
		if (ret == 0 && has)
			ret = keys_open(i->o->keys, which, &i->keys[k], e);
		else if (ret == 0)
			ret = keys_create(i->o->keys, which, &i->keys[k], e);
	}
	return ret;
}

static int
make_identity(struct init *i, struct err *e)
{
	struct tls_identity *id = NULL;
	char dir[PATH_MAX];
	int ret, n;

	n = snprintf(dir, sizeof(dir), "%s%s",
	    i->o->identity != NULL ? i->o->identity : i->o->keys,
	    i->o->identity != NULL ? "" : "/identity");
	if (n < 0 || (size_t)n >= sizeof(dir))
		return err_set(e, ERR_LIMIT, "--identity: path too long");
	i->identity_dir = strdup(dir);
	if (i->identity_dir == NULL)
		return err_memory(e);
	ret = tls_identity_open(dir, true, &id, e);
	if (ret != 0)
		return err_prefix(e, "identity %s", dir);
	tls_identity_digest(id, &i->identity);
	tls_identity_free(id);
	return 0;
}

/* This host's name; "localhost" when it has none. */
static void
host_name(char name[256])
{
	if (gethostname(name, 255) != 0 || name[0] == '\0')
		(void)snprintf(name, 256, "localhost");
	name[255] = '\0';
}

static int
write_root(struct init *i, struct buf *text, struct err *e)
{
	static const enum keys_name key_of[ROOT_ROLES] = {
		[ROOT_ROLE_ROOT] = KEYS_ROOT,
		[ROOT_ROLE_RELEASE] = KEYS_RELEASE,
		[ROOT_ROLE_HEAD] = KEYS_HEAD,
		[ROOT_ROLE_ROSTER] = KEYS_RELEASE,
	};
	const struct key *signer = i->keys[KEYS_ROOT];
	struct root root = { .version = 1 };
	char host[256];
	int ret = 0;

	host_name(host);
	(void)snprintf(root.org, sizeof(root.org), "%s",
	    i->o->org != NULL ? i->o->org : host);
	root.expires = time(NULL) + ROOT_YEARS * YEAR_S;
	for (int r = 0; ret == 0 && r < ROOT_ROLES; r++) {
		struct key_public pub;

		key_public_of(i->keys[key_of[r]], &pub);
		root.roles[r].threshold = 1;
		ret = root_add_key(&root, (enum root_role)r, &pub, e);
	}
	if (ret != 0)
		return ret;
	root_write(text, &root);
	ret = buf_check(text, "root", e);
	return ret == 0 ? statement_sign(text, &signer, 1, e) : ret;
}

static int
put_root(struct init *i, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct digest digest;
	struct root again;
	struct buf text;
	int ret;

	buf_init(&text, LIMIT_ROOT_BYTES);
	ret = write_root(i, &text, e);
	if (ret == 0) {
		digest_of(text.data, text.len, &digest);
		ret = root_first(text.data, text.len, &digest, &again, e);
	}
	repo_path_root(path, 1);
	if (ret == 0)
		ret = repo_put_statement(
		    i->origin.repo, path, text.data, text.len, e);
	buf_release(&text);
	return ret;
}

static int
put_roster(struct init *i, struct err *e)
{
	struct roster_mirror m = {
		.name = MIRROR_NAME, .site = MIRROR_NAME, .key_count = 1
	};
	int ret;

	m.keys[0] = i->identity;
	ret = ctl_roster_add(i->o, &m, &i->origin.roster, e);
	if (ret == 0)
		ret = origin_put_roster(&i->origin, i->keys[KEYS_RELEASE], e);
	return ret;
}

/* Root 1 may be there from an init that was cut off, with the keys here. */
static int
check_root(struct init *i, struct err *e)
{
	int ret = origin_load(&i->origin, e);

	if (ret == 0)
		ret = origin_check_key(
		    &i->origin, ROOT_ROLE_ROOT, i->keys[KEYS_ROOT], e);
	if (ret == 0)
		ret = origin_check_key(
		    &i->origin, ROOT_ROLE_RELEASE, i->keys[KEYS_RELEASE], e);
	if (ret == 0)
		ret = origin_check_key(
		    &i->origin, ROOT_ROLE_HEAD, i->keys[KEYS_HEAD], e);
	if (ret == 0)
		return 0;
	return err_prefix(e,
	    "an init that was cut off left a repository and keys that do not "
	    "belong together; remove %s and %s and begin again",
	    i->o->repo, i->o->keys);
}

static int
make_repository(struct init *i, struct err *e)
{
	struct origin_wait wait = { i->o->wait_ms, "peciactl init", NULL,
		NULL };
	bool has_root = false;
	int ret = repo_create(i->o->repo, e);

	if (ret == 0)
		ret = origin_open(i->o->repo, &i->origin, e);
	if (ret == 0)
		ret = origin_lock(&i->origin, &wait, e);
	if (ret == 0)
		ret = look_at_repo(i->o->repo, &has_root, e);
	if (ret == 0 && !has_root)
		ret = put_root(i, e);
	if (ret == 0)
		ret = check_root(i, e);
	if (ret == 0 && i->origin.roster.version == 0)
		ret = put_roster(i, e);
	return ret;
}

/* The path itself, and each folder above it that may be new, is durable before
 * anybody is told the anchor. */
static int
end(struct init *i, struct err *e)
{
	int ret = fsat_syncfs(i->keys_fd, e);

	if (ret == 0)
		ret = repo_sync(i->origin.repo, e);
	if (ret == 0)
		ret = fsat_unlink(i->keys_fd, MARKER, e);
	return ret == 0 ? fsat_fsync(i->keys_fd, e) : ret;
}

static void
print(const struct init *i)
{
	char hex[DIGEST_HEX];

	(void)printf(
	    "keys        %s (root.pem, release.pem, head.pem)\n", i->o->keys);
	(void)printf("repository  %s\n", i->o->repo);
	digest_hex(&i->identity, hex);
	(void)printf("identity    %s\n", i->identity_dir);
	(void)printf("mirror      " MIRROR_NAME " at site " MIRROR_NAME
	             ", key sha256:%s\n",
	    hex);
	(void)printf("Keep root.pem off line, and a copy of all three keys.\n");
	digest_hex(&i->origin.anchor, hex);
	(void)printf("anchor sha256:%s\n", hex);
}

static int
init_all(struct init *i, struct err *e)
{
	int ret = begin(i, e);

	if (ret == 0)
		ret = make_keys(i, e);
	if (ret == 0)
		ret = make_identity(i, e);
	if (ret == 0)
		ret = make_repository(i, e);
	if (ret == 0)
		ret = end(i, e);
	return ret;
}

int
ctl_init(const struct ctl_options *o, struct err *e)
{
	struct init i = { .o = o, .keys_fd = -1 };
	int ret;

	ret = init_all(&i, e);
	if (ret == 0)
		print(&i);
	if (i.origin.repo != NULL)
		origin_release(&i.origin);
	for (int k = 0; k < KEYS_COUNT; k++)
		key_free(i.keys[k]);
	if (i.keys_fd >= 0)
		close(i.keys_fd);
	free(i.identity_dir);
	return ret;
}
