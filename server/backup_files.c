/* The files of a backup.  Runs in peciactl. */
#include "server/backup_files.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "server/keys.h"

#define FILE_BYTES 1048576 /* of one key or policy file */

static const char *const identity_files[] = { "key.pem", "cert.pem" };
#define IDENTITY_FILES (sizeof(identity_files) / sizeof(*identity_files))

/* folder/name, from a file below dir. */
static int
add_file(struct backup *b, int dir, const char *file, const char *folder,
    const char *name, struct err *e)
{
	char full[BACKUP_NAME_BYTES];
	struct buf content;
	int n, rc;

	n = snprintf(full, sizeof(full), "%s/%s", folder, name);
	if (n < 0 || (size_t)n >= sizeof(full))
		return err_set(e, ERR_LIMIT, "%s: too long a name", name);
	buf_init(&content, FILE_BYTES);
	rc = fsat_read_file(dir, file, FILE_BYTES, &content, e);
	if (rc == 0)
		rc = backup_add(b, full, content.data, content.len, e);
	buf_wipe(&content);
	return rc;
}

static int
add_keys(struct backup *b, const char *keys, struct err *e)
{
	char name[BACKUP_NAME_BYTES];
	bool has = false;
	struct buf pem;
	int rc = 0;

	for (int k = 0; rc == 0 && k < KEYS_COUNT; k++) {
		rc = keys_has(keys, (enum keys_name)k, &has, e);
		if (rc != 0 || !has)
			continue;
		(void)snprintf(name, sizeof(name), "keys/%s",
		    keys_file((enum keys_name)k));
		buf_init(&pem, FILE_BYTES);
		rc = keys_read(keys, (enum keys_name)k, &pem, e);
		if (rc == 0)
			rc = backup_add(b, name, pem.data, pem.len, e);
		buf_wipe(&pem);
	}
	if (rc == 0 && b->count == 0)
		rc = err_set(e, ERR_NOT_FOUND,
		    "no key is in %s: is it the right --keys?", keys);
	return rc;
}

static int
add_identity(
    struct backup *b, const char *keys, const char *given, struct err *e)
{
	struct err why = ERR_INIT;
	char path[PATH_MAX];
	int fd = -1, rc;

	(void)snprintf(path, sizeof(path), "%s%s", given != NULL ? given : keys,
	    given != NULL ? "" : "/identity");
	rc = fsat_operator_dir(path, false, 0, &fd, &why);
	if (rc == ERR_NOT_FOUND && given == NULL)
		return 0;
	for (size_t i = 0; rc == 0 && i < IDENTITY_FILES; i++)
		rc = add_file(b, fd, identity_files[i], "identity",
		    identity_files[i], &why);
	if (fd >= 0)
		close(fd);
	if (rc != 0 && e != NULL)
		*e = why;
	return rc == 0 ? 0 : err_prefix(e, "identity %s", path);
}

static bool
is_conf(const char *name)
{
	size_t len = strlen(name);

	return len > 5 && strcmp(name + len - 5, ".conf") == 0;
}

/* The configuration beside the keys. */
static int
add_all_policy(struct backup *b, const char *keys, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	char path[PATH_MAX];
	int fd = -1, rc;

	(void)snprintf(path, sizeof(path), "%s/..", keys);
	rc = fsat_operator_dir(path, false, 0, &fd, e);
	if (rc == 0)
		rc = fsat_list(fd, &names, e);
	for (size_t i = 0; rc == 0 && i < names.count; i++)
		if (is_conf(names.names[i]) && names.names[i][0] != '.')
			rc = add_file(
			    b, fd, names.names[i], "policy", names.names[i], e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
add_policy(struct backup *b, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char name[BACKUP_NAME_BYTES];
	struct buf content;
	int n, rc;

	n = snprintf(
	    name, sizeof(name), "policy/%s", slash != NULL ? slash + 1 : path);
	if (n < 0 || (size_t)n >= sizeof(name))
		return err_set(e, ERR_LIMIT, "%s: too long a name", path);
	buf_init(&content, FILE_BYTES);
	rc = fsat_operator_read(path, FILE_BYTES, &content, e);
	if (rc == 0)
		rc = backup_add(b, name, content.data, content.len, e);
	buf_wipe(&content);
	return rc;
}

static int
add_statement(
    struct backup *b, struct repo *repo, const char *path, struct err *e)
{
	return add_file(
	    b, repo_fd(repo), path, "repository", path + strlen("v1/"), e);
}

static int
add_channels(struct backup *b, struct repo *repo, struct err *e)
{
	char path[REPO_PATH_BYTES];
	struct fsat_names names = { NULL, 0 };
	int rc = repo_channels(repo, &names, e);

	for (size_t i = 0; rc == 0 && i < names.count; i++) {
		rc = repo_path_channel(path, names.names[i], e);
		if (rc == 0)
			rc = add_statement(b, repo, path, e);
	}
	fsat_names_release(&names);
	return rc;
}

static int
add_repository(struct backup *b, struct repo *repo, struct err *e)
{
	char path[REPO_PATH_BYTES];
	uint64_t newest = 0;
	bool has = false;
	int rc = repo_newest_root(repo, &newest, e);

	for (uint64_t n = 1; rc == 0 && n <= newest; n++) {
		repo_path_root(path, n);
		rc = add_statement(b, repo, path, e);
	}
	repo_path_roster(path);
	if (rc == 0)
		rc = repo_has(repo, path, &has, e);
	if (rc == 0 && has)
		rc = add_statement(b, repo, path, e);
	return rc == 0 ? add_channels(b, repo, e) : rc;
}

int
backup_gather(
    const struct backup_sources *from, struct backup *out, struct err *e)
{
	int rc = add_keys(out, from->keys, e);

	if (rc == 0)
		rc = add_identity(out, from->keys, from->identity, e);
	if (rc == 0 && from->policy_count == 0)
		rc = add_all_policy(out, from->keys, e);
	for (size_t i = 0; rc == 0 && i < from->policy_count; i++)
		rc = add_policy(out, from->policy[i], e);
	if (rc == 0 && from->repo != NULL)
		rc = add_repository(out, from->repo, e);
	return rc;
}

int
backup_check_origin(
    const struct backup *b, const struct origin *o, struct err *e)
{
	const struct backup_entry *root = backup_find(b, "repository/root/1");
	char ours[DIGEST_HEX], theirs[DIGEST_HEX];
	struct digest d;

	if (root == NULL || o->root_count == 0)
		return 0;
	digest_of(root->content.data, root->content.len, &d);
	if (digest_equal(&d, &o->anchor))
		return 0;
	digest_hex(&d, theirs);
	digest_hex(&o->anchor, ours);
	return err_set(e, ERR_CONFLICT,
	    "the backup is of another repository: its anchor is sha256:%s, "
	    "that "
	    "of %s is sha256:%s",
	    theirs, repo_name(o->repo), ours);
}

/* Where an entry goes below the keys; false: nowhere. */
static bool
place_of(const char *name, char path[BACKUP_NAME_BYTES])
{
	if (strncmp(name, "keys/", 5) == 0)
		name += 5;
	else if (strncmp(name, "identity/", 9) != 0 &&
	    strncmp(name, "policy/", 7) != 0)
		return false;
	(void)snprintf(path, BACKUP_NAME_BYTES, "%s", name);
	return true;
}

/* *same false: it is not there. */
static int
compare(int dir, const char *path, const struct buf *content, bool *same,
    struct err *e)
{
	struct buf there;
	int rc;

	buf_init(&there, content->len);
	rc = fsat_read_file(dir, path, content->len, &there, e);
	*same = rc == 0;
	if (rc == ERR_LIMIT ||
	    (rc == 0 &&
	        (there.len != content->len ||
	            (there.len > 0 &&
	                memcmp(there.data, content->data, there.len) != 0))))
		rc = err_set(e, ERR_CONFLICT,
		    "%s is there already and differs; nothing was written: "
		    "choose another --keys, or move it away",
		    path);
	buf_wipe(&there);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int
write_one(int dir, const char *path, const struct buf *content, struct err *e)
{
	const char *slash = strchr(path, '/');
	char folder[BACKUP_NAME_BYTES];
	int fd = -1, rc;

	if (slash == NULL)
		return keys_put(dir, path, content, e);
	(void)snprintf(
	    folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	rc = fsat_mkdir_all(dir, folder, 0700, e);
	if (rc == 0)
		rc = fsat_fsync(dir, e);
	if (rc == 0)
		rc = fsat_open_dir(dir, folder, &fd, e);
	if (rc == 0)
		rc = keys_put(fd, slash + 1, content, e);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Looks only, or writes what is missing. */
static int
each(const struct backup *b, int dir, bool write, struct backup_restored *out,
    struct err *e)
{
	char path[BACKUP_NAME_BYTES];
	bool same = false;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->count; i++) {
		const struct buf *content = &b->entries[i].content;

		if (!place_of(b->entries[i].name, path))
			continue;
		rc = compare(dir, path, content, &same, e);
		if (rc != 0 || !write)
			continue;
		if (!same)
			rc = write_one(dir, path, content, e);
		out->written += !same;
		out->same += same;
	}
	return rc;
}

int
backup_put_back(const struct backup *b, const char *keys,
    struct backup_restored *out, struct err *e)
{
	int dir = -1, rc = fsat_operator_dir(keys, true, 0700, &dir, e);

	*out = (struct backup_restored){ 0 };
	if (rc == 0)
		rc = each(b, dir, false, out, e);
	if (rc == 0)
		rc = each(b, dir, true, out, e);
	if (dir >= 0)
		close(dir);
	return rc == 0 ? 0 : err_prefix(e, "%s", keys);
}
