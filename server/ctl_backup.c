/* peciactl backup, peciactl restore: what an origin cannot do without. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/text.h"
#include "server/backup_files.h"
#include "server/ctl.h"
#include "server/keys.h"
#include "server/passphrase.h"

static int
get_secret(const struct ctl_options *o, const char *file, bool twice,
    struct buf *out, struct err *e)
{
	if (o->key_file != NULL)
		return passphrase_from_key_file(o->key_file, out, e);
	if (o->passphrase_file != NULL)
		return passphrase_from_file(o->passphrase_file, out, e);
	return passphrase_ask(file, twice, out, e);
}

/* The directory that FILE is in, and its name there. */
static int
open_place(const char *file, int *dir, const char **name, struct err *e)
{
	const char *slash = strrchr(file, '/');
	char path[PATH_MAX] = ".";

	*name = slash != NULL ? slash + 1 : file;
	if (**name == '\0')
		return err_set(e, ERR_USAGE, "%s: not a file's name", file);
	if (slash != NULL)
		(void)snprintf(
		    path, sizeof(path), "%.*s/", (int)(slash - file), file);
	return fsat_operator_dir(path, false, 0, dir, e);
}

static int
refuse_existing(
    int dir, const char *name, const struct ctl_options *o, struct err *e)
{
	struct fsat_stat st;
	int rc = fsat_stat(dir, name, &st, e);

	if (rc == ERR_NOT_FOUND) {
		err_clear(e);
		return 0;
	}
	if (rc == 0 && !o->force)
		rc = err_set(e, ERR_CONFLICT,
		    "%s is there already; --force replaces it", o->sources[0]);
	return rc;
}

/* What is on the disk is what was sealed. */
static int
read_again(int dir, const char *name, const struct buf *want, struct err *e)
{
	struct buf file;
	int rc;

	buf_init(&file, LIMIT_BACKUP_BYTES);
	rc = fsat_read_file(dir, name, LIMIT_BACKUP_BYTES, &file, e);
	if (rc == 0 &&
	    (file.len != want->len ||
	        memcmp(file.data, want->data, file.len) != 0))
		rc = err_set(e, ERR_VERIFY, "it is not what was written");
	buf_release(&file);
	return rc == 0 ? 0 : err_prefix(e, "read back from the disk");
}

static int
write_backup(const struct ctl_options *o, const struct backup *b,
    const struct buf *secret, size_t *bytes, struct err *e)
{
	bool is_key_file = o->key_file != NULL;
	struct seal_cost cost =
	    is_key_file ? SEAL_COST_KEY_FILE : SEAL_COST_PASSPHRASE;
	const char *name = NULL;
	struct buf file;
	int dir = -1, rc;

	buf_init(&file, LIMIT_BACKUP_BYTES);
	rc = open_place(o->sources[0], &dir, &name, e);
	if (rc == 0)
		rc = refuse_existing(dir, name, o, e);
	if (rc == 0)
		rc = backup_seal(b,
		    is_key_file ? BACKUP_KEY_FILE : BACKUP_PASSPHRASE, &cost,
		    secret, &file, e);
	if (rc == 0)
		rc = fsat_write_file(dir, name, 0600, file.data, file.len, e);
	if (rc == 0)
		rc = read_again(dir, name, &file, e);
	*bytes = file.len;
	buf_release(&file);
	if (dir >= 0)
		close(dir);
	return rc;
}

static void
print_entries(const struct backup *b)
{
	for (size_t i = 0; i < b->count; i++)
		(void)printf("%8zu  %s\n", b->entries[i].content.len,
		    b->entries[i].name);
}

static void
warn_of_missing_keys(const struct ctl_options *o, const struct backup *b)
{
	char name[BACKUP_NAME_BYTES];

	for (int k = 0; k < KEYS_COUNT; k++) {
		(void)snprintf(name, sizeof(name), "keys/%s",
		    keys_file((enum keys_name)k));
		if (backup_find(b, name) == NULL)
			(void)fprintf(stderr,
			    "peciactl: backup: %s/%s is not there and not in "
			    "the backup: keep it elsewhere\n",
			    o->keys, keys_file((enum keys_name)k));
	}
}

static int
gather(const struct ctl_options *o, struct backup *out, struct err *e)
{
	struct backup_sources from = { .keys = o->keys,
		.identity = o->identity,
		.policy = o->sources + 1,
		.policy_count = o->source_count - 1 };
	struct err why = ERR_INIT;
	struct origin origin;
	int rc = origin_open(o->repo, &origin, &why);

	if (rc == 0)
		from.repo = origin.repo;
	else
		(void)fprintf(stderr,
		    "peciactl: backup: without the repository's statements: "
		    "%s\n",
		    why.msg);
	rc = backup_gather(&from, out, e);
	origin_release(&origin);
	return rc;
}

static int
make(const struct ctl_options *o, struct err *e)
{
	struct backup b;
	struct buf secret;
	size_t bytes = 0;
	int rc;

	backup_init(&b);
	buf_init(&secret, LIMIT_SECRET_BYTES);
	rc = gather(o, &b, e);
	if (rc == 0)
		rc = get_secret(o, o->sources[0], true, &secret, e);
	if (rc == 0)
		rc = write_backup(o, &b, &secret, &bytes, e);
	if (rc == 0) {
		print_entries(&b);
		(void)printf("%s: %zu files, %zu bytes, read back and right\n",
		    o->sources[0], b.count, bytes);
		warn_of_missing_keys(o, &b);
	}
	buf_wipe(&secret);
	backup_release(&b);
	return rc;
}

static int
open_file(const struct ctl_options *o, struct backup *out, time_t *made,
    struct err *e)
{
	const char *path = o->sources[0];
	struct backup_header h;
	struct buf file, secret;
	int rc;

	buf_init(&file, LIMIT_BACKUP_BYTES);
	buf_init(&secret, LIMIT_SECRET_BYTES);
	rc = fsat_operator_read(path, LIMIT_BACKUP_BYTES, &file, e);
	if (rc == 0 &&
	    (rc = backup_read_header(file.data, file.len, &h, e)) != 0)
		err_prefix(e, "%s", path);
	if (rc == 0 && h.secret == BACKUP_KEY_FILE && o->key_file == NULL)
		rc = err_set(e, ERR_USAGE,
		    "%s was made with a key file: give --key-file", path);
	if (rc == 0 && h.secret == BACKUP_PASSPHRASE && o->key_file != NULL)
		rc = err_set(e, ERR_USAGE,
		    "%s was made with a passphrase and no key file", path);
	if (rc == 0)
		rc = get_secret(o, path, false, &secret, e);
	if (rc == 0 &&
	    (rc = backup_open(file.data, file.len, &secret, out, e)) != 0)
		err_prefix(e, "%s", path);
	if (rc == 0)
		*made = h.made;
	buf_wipe(&secret);
	buf_release(&file);
	return rc;
}

static void
print_made(const char *path, time_t made)
{
	char when[TEXT_TIME_BYTES];

	text_time(when, made);
	(void)printf("%s: made %s\n", path, when);
}

int
ctl_backup(const struct ctl_options *o, struct err *e)
{
	struct backup b;
	time_t made = 0;
	int rc;

	if (!o->list)
		return make(o, e);
	backup_init(&b);
	rc = open_file(o, &b, &made, e);
	if (rc == 0) {
		print_made(o->sources[0], made);
		print_entries(&b);
	}
	backup_release(&b);
	return rc;
}

/* What each key is good for in this repository now. */
static int
judge_keys(
    const struct ctl_options *o, const struct origin *origin, struct err *e)
{
	static const enum root_role role_of[KEYS_COUNT] = {
		[KEYS_ROOT] = ROOT_ROLE_ROOT,
		[KEYS_RELEASE] = ROOT_ROLE_RELEASE,
		[KEYS_HEAD] = ROOT_ROLE_HEAD,
	};
	struct err why = ERR_INIT;
	struct key *key = NULL;
	bool has = false;
	int rc = 0;

	for (int k = 0; rc == 0 && k < KEYS_COUNT; k++) {
		rc = keys_has(o->keys, (enum keys_name)k, &has, e);
		if (rc == 0 && has)
			rc = keys_open(o->keys, (enum keys_name)k, &key, e);
		if (rc != 0 || !has)
			continue;
		if (origin_check_key(origin, role_of[k], key, &why) != 0)
			(void)fprintf(stderr, "peciactl: restore: %s: %s\n",
			    keys_file((enum keys_name)k), why.msg);
		key_free(key);
		key = NULL;
	}
	return rc;
}

static int
put_back(const struct ctl_options *o, const struct backup *b, struct err *e)
{
	struct err none = ERR_INIT;
	struct backup_restored done;
	struct origin origin;
	bool has_repo;
	int rc = origin_open(o->repo, &origin, &none);

	if (rc == 0)
		rc = origin_load(&origin, &none);
	has_repo = rc == 0;
	if (!has_repo)
		(void)fprintf(stderr,
		    "peciactl: restore: not compared with a repository: %s\n",
		    none.msg);
	rc = has_repo ? backup_check_origin(b, &origin, e) : 0;
	if (rc == 0)
		rc = backup_put_back(b, o->keys, &done, e);
	if (rc == 0)
		(void)printf("%s: %zu files restored, %zu were there and are "
		             "the same\n",
		    o->keys, done.written, done.same);
	if (rc == 0 && has_repo)
		rc = judge_keys(o, &origin, e);
	origin_release(&origin);
	return rc;
}

int
ctl_restore(const struct ctl_options *o, struct err *e)
{
	struct backup b;
	time_t made = 0;
	int rc;

	backup_init(&b);
	rc = open_file(o, &b, &made, e);
	if (rc == 0)
		print_made(o->sources[0], made);
	if (rc == 0)
		rc = put_back(o, &b, e);
	backup_release(&b);
	return rc;
}
