/* What is in quarantine and not in its place, and what the newest releases
 * need; runs in the keeper. */
#include "server/repair_find.h"

#include <string.h>

#include "common/fsat.h"
#include "server/quarantine.h"
#include "server/scrub_statements.h"

struct finding {
	struct origin *o;
	struct lacking *out;
	bool quarantined; /* something is */
};

static bool
is_statement(const char *path)
{
	static const char *const starts[] = { "v1/root/", "v1/roster",
		"v1/channel/", "v1/release/" };

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (strncmp(path, starts[i], strlen(starts[i])) == 0)
			return true;
	return false;
}

static void
add_statement(struct lacking *l, const char *path)
{
	for (size_t i = 0; i < l->statement_count; i++)
		if (strcmp(l->statements[i], path) == 0)
			return;
	l->files++;
	if (l->statement_count == REPAIR_STATEMENTS ||
	    strlen(path) >= REPO_PATH_BYTES)
		return;
	(void)snprintf(
	    l->statements[l->statement_count++], REPO_PATH_BYTES, "%s", path);
}

/* For quarantine_each. */
static int
see_quarantined(void *arg, const char *path, uint64_t size_bytes, struct err *e)
{
	struct finding *f = arg;
	bool has = false;
	int ret;

	(void)size_bytes;
	f->quarantined = true;
	ret = repo_has(f->o->repo, path, &has, e);
	f->out->absent += ret == 0 && !has;
	if (ret == 0 && !has && is_statement(path))
		add_statement(f->out, path);
	return ret;
}

/* *whole: each head's release is here. */
static int
see_heads(struct finding *f, bool *whole, struct err *e)
{
	struct fsat_names names = { NULL, 0 };
	struct err why = ERR_INIT;
	char path[REPO_PATH_BYTES];
	struct head head;
	bool has = false;
	int ret = repo_channels(f->o->repo, &names, e);

	*whole = true;
	for (size_t i = 0; ret == 0 && i < names.count; i++) {
		ret = origin_head(f->o, names.names[i], &head, &why);
		if (ret != 0 && scrub_is_damage(ret, &why)) {
			/* Its turn comes once roots and roster are right. */
			*whole = false;
			f->out->files++;
			ret = 0;
			continue;
		}
		if (ret != 0) {
			*e = why;
			break;
		}
		repo_path_release(path, &head.release);
		ret = repo_has(f->o->repo, path, &has, e);
		if (ret == 0 && !has) {
			*whole = false;
			add_statement(f->out, path);
		}
	}
	fsat_names_release(&names);
	return ret;
}

/* retain_options.lacks */
static int
see_release(void *arg, const struct history_item *item, bool newest,
    uint64_t files, struct err *e)
{
	struct finding *f = arg;
	struct lacking *l = f->out;

	(void)e;
	l->files += files;
	if (l->release_count < REPAIR_RELEASES)
		l->releases[l->release_count++] =
		    (struct lacking_release){ item->digest, newest };
	return 0;
}

int
repair_find(struct origin *o, const struct retain_policy *policy,
    struct lacking *out, struct err *e)
{
	struct finding f = { o, out, false };
	struct retain_options options = { .policy = { .releases = 1 },
		.now = time(NULL),
		.lacks = see_release,
		.arg = &f };
	struct retained marked = { .closure = NULL };
	bool whole = false;
	int ret;

	memset(out, 0, sizeof(*out));
	ret = quarantine_each(o->repo, see_quarantined, &f, e);
	if (f.quarantined)
		options.policy = *policy;
	if (ret == 0 && o->root_count > 0)
		ret = see_heads(&f, &whole, e);
	if (ret == 0 && whole)
		ret = retain_mark(o, &options, &marked, e);
	retained_release(&marked);
	return ret;
}
