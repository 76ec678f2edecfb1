/* peciactl verify: repo_verify with its findings printed. */
#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "common/progress.h"
#include "common/text.h"
#include "server/ctl.h"
#include "transcripts/repo.h"

/* Findings in one JSON document, which is held in memory. */
#define LISTED_MAX 100000

static const char *const kinds[REPO_FINDINGS] = {
	[REPO_DAMAGED] = "damaged",
	[REPO_MISSING] = "missing",
	[REPO_UNKNOWN] = "unknown",
	[REPO_UNREFERENCED] = "unreferenced",
};

struct verifying {
	struct json *list; /* NULL: print them */
	uint64_t listed;
	struct progress *progress;
};

/* repo_verify.finding; what is right but not referred to is only counted. */
static void
tell(void *arg, enum repo_finding kind, const char *path, const char *what)
{
	struct verifying *v = arg;
	struct json *j;

	if (kind == REPO_UNREFERENCED)
		return;
	if (v->list != NULL) {
		if (v->listed++ >= LISTED_MAX)
			return;
		j = json_object_new();
		json_set_string(j, "kind", kinds[kind]);
		json_set_string(j, "path", path);
		json_set_string(j, "what", what);
		json_append(v->list, j);
		return;
	}
	progress_end(v->progress);
	(void)printf("%-8s ", kinds[kind]);
	ctl_print_text(path);
	(void)printf(": ");
	ctl_print_text(what);
	(void)printf("\n");
}

/* repo_verify.progress */
static void
show_progress(void *arg, uint64_t files, uint64_t bytes)
{
	struct verifying *v = arg;

	progress_set(v->progress, files, bytes);
}

static void
print_counts(const struct repo_verified *v, bool damaged)
{
	char bytes[32];

	text_bytes(bytes, sizeof(bytes), v->bytes);
	(void)printf("%s: %" PRIu64 " files, %s, %" PRIu64 " releases",
	    damaged ? "not all is well" : "all is well", v->files, bytes,
	    v->releases);
	for (int i = 0; i < REPO_FINDINGS; i++)
		(void)printf(", %" PRIu64 " %s", v->findings[i], kinds[i]);
	(void)printf("\n");
}

static int
print_json(const struct repo_verified *v, bool damaged, struct json *list,
    struct err *e)
{
	struct json *j = json_object_new();

	json_set_bool(j, "ok", !damaged);
	json_set_u64(j, "files", v->files);
	json_set_u64(j, "bytes", v->bytes);
	json_set_u64(j, "releases", v->releases);
	for (int i = 0; i < REPO_FINDINGS; i++)
		json_set_u64(j, kinds[i], v->findings[i]);
	json_set_child(j, "findings", list);
	return ctl_print_json(j, e);
}

static int
verify(
    const struct ctl_options *o, struct repo *r, bool *damaged, struct err *e)
{
	struct verifying v = { o->json ? json_array_new() : NULL, 0,
		progress_new(false, TERMINAL_AUTO) };
	struct repo_verify how = { .anchor = o->has_anchor ? &o->anchor : NULL,
		.finding = tell,
		.progress = v.progress != NULL ? show_progress : NULL,
		.arg = &v };
	struct repo_verified result;
	int ret;

	progress_begin(v.progress, "verifying", repo_name(r));
	ret = repo_verify(r, &how, &result, e);
	progress_free(v.progress);
	if (ret != 0 && ret != ERR_VERIFY) {
		json_free(v.list);
		return ret;
	}
	*damaged = ret != 0;
	if (o->json)
		return print_json(&result, *damaged, v.list, e);
	print_counts(&result, *damaged);
	return 0;
}

int
ctl_verify(const struct ctl_options *o, bool *damaged, struct err *e)
{
	struct repo *r = NULL;
	int ret = repo_open(o->repo, &r, e);

	if (ret == 0)
		ret = verify(o, r, damaged, e);
	repo_close(r);
	return ret;
}
