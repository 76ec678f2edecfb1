/* Key files.  Used by peciactl, and by peciad on an origin for head.pem. */
#include "server/keys.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"

#define PEM_BYTES 4096

const char *
keys_file(enum keys_name which)
{
	static const char *const names[KEYS_FILES] = {
		[KEYS_ROOT] = "root.pem",
		[KEYS_RELEASE] = "release.pem",
		[KEYS_HEAD] = "head.pem",
		[KEYS_ROOT_NEXT] = "root.next.pem",
		[KEYS_RELEASE_NEXT] = "release.next.pem",
		[KEYS_HEAD_NEXT] = "head.next.pem",
	};

	return names[which];
}

/* link() and not rename(): it refuses a name that is taken. */
int
keys_put(int dir_fd, const char *file, const struct buf *content, struct err *e)
{
	char name[FSAT_TMP_BYTES];
	int fd = -1, ret = fsat_temporary(dir_fd, 0600, name, &fd, e);

	if (ret != 0)
		return ret;
	ret = fsat_write_all(fd, content->data, content->len, e);
	if (ret == 0)
		ret = fsat_fsync(fd, e);
	if (ret == 0)
		ret = fsat_link(dir_fd, name, dir_fd, file, e);
	if (ret != 0 && e->sys == EEXIST)
		ret = err_set(e, ERR_CONFLICT, "%s is there already", file);
	close(fd);
	if (fsat_unlink(dir_fd, name, ret == 0 ? e : NULL) != 0 && ret == 0)
		ret = e->code;
	if (ret == 0)
		ret = fsat_fsync(dir_fd, e);
	return ret;
}

int
keys_create(
    const char *dir, enum keys_name which, struct key **out, struct err *e)
{
	struct key *key = NULL;
	struct buf pem;
	int fd = -1, ret;

	buf_init(&pem, PEM_BYTES);
	ret = fsat_operator_dir(dir, true, 0700, &fd, e);
	if (ret == 0)
		ret = key_generate(&key, e);
	if (ret == 0)
		ret = key_to_pem(key, &pem, e);
	if (ret == 0)
		ret = keys_put(fd, keys_file(which), &pem, e);
	buf_wipe(&pem);
	if (fd >= 0)
		close(fd);
	if (ret != 0) {
		key_free(key);
		return err_prefix(e, "key %s/%s", dir, keys_file(which));
	}
	*out = key;
	return 0;
}

static int
check_mode(int fd, struct err *e)
{
	struct fsat_stat st;
	int ret = fsat_stat_fd(fd, &st, e);

	if (ret != 0)
		return ret;
	if ((st.mode & 027) != 0)
		return err_set(e, ERR_USAGE,
		    "mode %04o lets others read it or its group write it; "
		    "chmod 600 it",
		    st.mode & 07777);
	return 0;
}

static int
read_file(int dir, const char *file, struct buf *pem, struct err *e)
{
	int fd = -1, ret = fsat_open_file(dir, file, &fd, e);

	if (ret != 0)
		return ret;
	ret = check_mode(fd, e);
	if (ret == 0)
		ret = fsat_read_all(fd, PEM_BYTES, pem, e);
	close(fd);
	return ret;
}

int
keys_read(const char *dir, enum keys_name which, struct buf *pem, struct err *e)
{
	int fd = -1, ret = fsat_operator_dir(dir, false, 0, &fd, e);

	if (ret == 0)
		ret = read_file(fd, keys_file(which), pem, e);
	if (fd >= 0)
		close(fd);
	return ret == 0 ? 0 : err_prefix(e, "key %s/%s", dir, keys_file(which));
}

int
keys_open(
    const char *dir, enum keys_name which, struct key **out, struct err *e)
{
	struct buf pem;
	int ret;

	buf_init(&pem, PEM_BYTES);
	ret = keys_read(dir, which, &pem, e);
	if (ret == 0 && key_from_pem(buf_str(&pem), pem.len, out, e) != 0)
		ret = err_prefix(e, "key %s/%s", dir, keys_file(which));
	buf_wipe(&pem);
	return ret;
}

int
keys_has(const char *dir, enum keys_name which, bool *has, struct err *e)
{
	struct fsat_stat st;
	int fd = -1, ret = fsat_operator_dir(dir, false, 0, &fd, e);

	if (ret == 0)
		ret = fsat_stat(fd, keys_file(which), &st, e);
	if (fd >= 0)
		close(fd);
	if (ret != 0 && ret != ERR_NOT_FOUND)
		return ret;
	*has = ret == 0;
	return 0;
}
