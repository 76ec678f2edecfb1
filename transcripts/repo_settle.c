/* Content that a crash left unfinished; runs in who is about to write. */
#include "transcripts/repo_settle.h"

#include <unistd.h>

#include "common/fsat.h"
#include "transcripts/repo.h"
#include "transcripts/repo_check.h"

struct settling {
	time_t since;
	struct repo_check *check;
};

/* What has no digest for a name is none of ours. */
static int
settle_file(struct settling *s, int dir, const char *name,
    enum repo_check_kind kind, struct err *e)
{
	struct err why = ERR_INIT;
	struct fsat_stat st;
	struct digest d;
	int fd = -1, ret = fsat_stat(dir, name, &st, e);

	if (ret != 0 || (st.mode & S_IFMT) != S_IFREG ||
	    st.ctime.tv_sec < s->since ||
	    digest_parse(name, strlen(name), &d) != 0)
		return ret;
	ret = fsat_open_file(dir, name, &fd, e);
	if (ret != 0)
		return ret;
	ret = repo_check_file(s->check, kind, fd, &d, &why);
	close(fd);
	if (repo_check_is_damage(ret))
		return fsat_unlink(dir, name, e);
	if (ret != 0)
		*e = why;
	return ret;
}

static int
settle_folder(struct settling *s, int dir, const char *path,
    enum repo_check_kind kind, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret = fsat_open_dir(dir, path, &fd, e);

	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret = settle_file(s, fd, names.names[i], kind, e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret == 0 ? 0 : err_prefix(e, "%s", path);
}

static int
settle_objects(struct settling *s, int dir, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret = fsat_open_dir(dir, "v1/object", &fd, e);

	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++)
		ret =
		    settle_folder(s, fd, names.names[i], REPO_CHECK_OBJECT, e);
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

int
repo_settle(struct repo *r, time_t since, struct err *e)
{
	struct settling s = { .since = since };
	int ret = repo_check_new(r, &s.check, e);

	if (ret == 0)
		ret = settle_objects(&s, repo_fd(r), e);
	if (ret == 0)
		ret = settle_folder(
		    &s, repo_fd(r), "v1/manifest", REPO_CHECK_MANIFEST, e);
	if (ret == 0)
		ret = settle_folder(
		    &s, repo_fd(r), "v1/data", REPO_CHECK_PLAIN, e);
	repo_check_free(s.check);
	return ret;
}
