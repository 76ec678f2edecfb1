/* repo_verify: the order of the work, findings, and the folders themselves.
 * Runs in peciactl with the rights of whoever calls it; writes nothing. */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/fsat.h"
#include "transcripts/repo_verify_impl.h"

void
verify_found(struct verify *v, enum repo_finding kind, const char *path,
    const char *fmt, ...)
{
	char what[ERR_MSG_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&v->lock);
	v->result.findings[kind]++;
	if (v->how->finding != NULL)
		v->how->finding(v->how->arg, kind, path, what);
	pthread_mutex_unlock(&v->lock);
}

void
verify_looked_at(struct verify *v, uint64_t bytes)
{
	pthread_mutex_lock(&v->lock);
	v->result.files++;
	v->result.bytes += bytes;
	if (v->how->progress != NULL)
		v->how->progress(v->how->arg, v->result.files, v->result.bytes);
	pthread_mutex_unlock(&v->lock);
}

int
verify_sum(struct verify *v, const char *path, int fd, struct err *e)
{
	uint64_t sum;
	int ret;

	if (v->sums.count == 0)
		return 0;
	ret = repo_sum_fd(fd, &sum, e);
	if (ret == 0 && lseek(fd, 0, SEEK_SET) != 0)
		ret = err_sys(e, "%s", path);
	if (ret == 0 && repo_sum_list_denies(&v->sums, path, sum))
		ret = err_set(e, ERR_VERIFY,
		    "not the bytes that were stored, though what they hold "
		    "is right");
	return ret;
}

/* Who replaces a statement notes the sum first: it may have happened since our
 * list was read. */
static bool
is_denied(struct verify *v, const char *path, uint64_t sum)
{
	struct repo_sum_list now;
	bool denied = true;

	if (!repo_sum_list_denies(&v->sums, path, sum))
		return false;
	if (repo_sum_list_load(repo_fd(v->repo), &now, NULL) == 0) {
		denied = repo_sum_list_denies(&now, path, sum);
		repo_sum_list_release(&now);
	}
	return denied;
}

int
verify_read(struct verify *v, const char *path, size_t max_bytes,
    struct buf *out, struct err *e)
{
	struct repo_sum sum;
	int ret;

	buf_clear(out);
	ret = repo_read_statement(v->repo, path, max_bytes, out, e);
	if (ret != 0)
		return ret;
	verify_looked_at(v, out->len);
	repo_sum_init(&sum);
	repo_sum_add(&sum, out->data, out->len);
	if (is_denied(v, path, repo_sum_end(&sum)))
		verify_found(
		    v, REPO_DAMAGED, path, "not the bytes that were stored");
	return 0;
}

static int
wanted_cmp(
    const struct wanted *a, enum wanted_kind kind, const struct digest *d)
{
	if (a->kind != kind)
		return a->kind < kind ? -1 : 1;
	return memcmp(a->digest.b, d->b, DIGEST_BYTES);
}

const struct wanted *
verify_wanted(const struct verify *v, enum wanted_kind kind,
    const struct digest *d, size_t *count)
{
	size_t low = 0, high = v->wanted_count, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (wanted_cmp(&v->wanted[middle], kind, d) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + n < v->wanted_count &&
	    wanted_cmp(&v->wanted[low + n], kind, d) == 0)
		n++;
	*count = n;
	return n > 0 ? &v->wanted[low] : NULL;
}

/* Names directly in v1. */
static int
check_top(struct verify *v, struct err *e)
{
	static const char *const known[] = { "root", "roster", "channel",
		"release", "manifest", "data", "object" };
	struct fsat_names names = { NULL, 0 };
	int fd = -1, ret = fsat_open_dir(repo_fd(v->repo), "v1", &fd, e);

	if (ret == 0)
		ret = fsat_list(fd, &names, e);
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		char path[REPO_PATH_BYTES + NAME_MAX];
		bool is_known = false;

		for (size_t j = 0; j < sizeof(known) / sizeof(known[0]); j++)
			if (strcmp(names.names[i], known[j]) == 0)
				is_known = true;
		(void)snprintf(path, sizeof(path), "v1/%s", names.names[i]);
		if (!is_known)
			verify_found(v, REPO_UNKNOWN, path, "unknown file");
	}
	fsat_names_release(&names);
	if (fd >= 0)
		close(fd);
	return ret;
}

static void
verify_release(struct verify *v)
{
	repo_sum_list_release(&v->sums);
	free(v->roots);
	free(v->wanted);
	for (size_t i = 0; i < SHELVES; i++)
		free(v->shelves[i].objects);
	pthread_mutex_destroy(&v->lock);
}

static int
verdict(const struct verify *v, struct err *e)
{
	const uint64_t *n = v->result.findings;

	if (n[REPO_DAMAGED] + n[REPO_MISSING] + n[REPO_UNKNOWN] == 0)
		return 0;
	return err_set(e, ERR_VERIFY,
	    "repository %s: %llu damaged, %llu missing, %llu unknown",
	    repo_name(v->repo), (unsigned long long)n[REPO_DAMAGED],
	    (unsigned long long)n[REPO_MISSING],
	    (unsigned long long)n[REPO_UNKNOWN]);
}

int
repo_verify(struct repo *r, const struct repo_verify *how,
    struct repo_verified *out, struct err *e)
{
	struct verify *v = calloc(1, sizeof(*v));
	int ret;

	if (v == NULL)
		return err_memory(e);
	v->repo = r;
	v->how = how;
	pthread_mutex_init(&v->lock, NULL);
	ret = repo_sum_list_load(repo_fd(r), &v->sums, e);
	if (ret == 0)
		ret = check_top(v, e);
	if (ret == 0)
		ret = verify_chains(v, e);
	if (ret == 0)
		ret = verify_content(v, e);
	if (ret == 0)
		ret = verify_manifests(v, e);
	if (ret == 0) {
		*out = v->result;
		ret = verdict(v, e);
	}
	verify_release(v);
	free(v);
	return ret;
}
