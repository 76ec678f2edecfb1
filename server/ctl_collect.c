/* peciactl collect: what no kept release needs goes. */
#include <inttypes.h>
#include <stdio.h>

#include "common/json.h"
#include "common/text.h"
#include "server/collect.h"
#include "server/ctl.h"

#define PAUSE_MS 20 /* so that whoever waits for the lock gets it */

static void
print_counts(const struct collected *c, bool noop)
{
	char bytes[32];

	text_bytes(bytes, sizeof(bytes), c->bytes);
	(void)printf("%" PRIu64 " releases kept", c->kept);
	if (c->leaving > 0)
		(void)printf(", %" PRIu64 " more for a while", c->leaving);
	(void)printf("; %" PRIu64 " files needed; %s: %" PRIu64 " files, %s",
	    c->needed, noop ? "to be removed" : "removed", c->files, bytes);
	if (c->young > 0)
		(void)printf("; %" PRIu64 " too new to go", c->young);
	(void)printf("\n");
}

static int
print_json(const struct collected *c, bool noop, struct err *e)
{
	struct json *j = json_object_new();

	json_set_bool(j, "noop", noop);
	json_set_u64(j, "kept_releases", c->kept);
	json_set_u64(j, "leaving_releases", c->leaving);
	json_set_u64(j, "needed_files", c->needed);
	json_set_u64(j, "removed_files", c->files);
	json_set_u64(j, "removed_bytes", c->bytes);
	json_set_u64(j, "young_files", c->young);
	return ctl_print_json(j, e);
}

/* collect_options.removed */
static void
tell(void *arg, const char *path, uint64_t size_bytes)
{
	(void)arg;
	(void)printf("%s %" PRIu64 "\n", path, size_bytes);
}

int
ctl_collect(const struct ctl_options *o, struct err *e)
{
	const struct collect_options options = {
		.policy = { .releases = o->keep_releases,
		    .age_s = o->keep_age_s,
		    .bytes = o->keep_bytes,
		    .grace_s = o->grace_s },
		.noop = o->noop,
		.wait_ms = o->wait_ms,
		.pause_ms = PAUSE_MS,
		.removed = o->noop && !o->json ? tell : NULL,
	};
	struct collected c;
	struct origin origin;
	int ret = origin_open(o->repo, &origin, e);

	if (ret == 0)
		ret = collect_run(&origin, &options, &c, e);
	origin_release(&origin);
	if (ret != 0)
		return ret;
	if (o->json)
		return print_json(&c, o->noop, e);
	print_counts(&c, o->noop);
	return 0;
}
