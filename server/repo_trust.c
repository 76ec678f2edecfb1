/* Trust store in a repository; runs in the replicator. */
#include "server/repo_trust.h"

#include "common/fsat.h"

#define NAME_BYTES 256

static bool
is_served(const char *name)
{
	return strncmp(name, "seen/", 5) != 0 &&
	    strncmp(name, "evidence/", 9) != 0;
}

static void
path_of(const char *name, char path[NAME_BYTES])
{
	(void)snprintf(
	    path, NAME_BYTES, "%s%s", is_served(name) ? "v1/" : "", name);
}

static int
get(void *arg, const char *name, struct buf *out, struct err *e)
{
	struct repo *r = arg;
	char path[NAME_BYTES];

	path_of(name, path);
	return fsat_read_file(repo_fd(r), path, out->max, out, e);
}

static int
put(void *arg, const char *name, const void *data, size_t len, struct err *e)
{
	struct repo *r = arg;
	const char *slash = strrchr(name, '/');
	char path[NAME_BYTES], dir[NAME_BYTES];
	int rc;

	path_of(name, path);
	if (strncmp(name, "channel/", 8) == 0)
		return repo_switch_head(r, name + 8, data, len, e);
	if (is_served(name))
		return repo_put_statement(r, path, data, len, e);
	if (slash != NULL) {
		(void)snprintf(
		    dir, sizeof(dir), "%.*s", (int)(slash - name), name);
		rc = fsat_mkdir_all(repo_fd(r), dir, 0755, e);
		if (rc != 0)
			return rc;
	}
	return fsat_write_file(repo_fd(r), path, 0644, data, len, e);
}

void
repo_trust_store(struct repo *r, struct trust_store *out)
{
	out->get = get;
	out->put = put;
	out->arg = r;
}
