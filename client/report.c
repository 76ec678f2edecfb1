/* Words and JSON about a run. */
#include "client/report.h"

#include <stdio.h>
#include <unistd.h>

#include "common/json.h"
#include "common/text.h"

/* Lines of a plan that a person is shown without --verbose. */
#define LINES_SHOWN 40
#define TEXT_MAX    ((size_t)1 << 32)

/* ---- for people ---- */

static void
describe_spared(struct buf *b, const struct plan_spared *s)
{
	static const char *const words[] = {
		[COMPARE_CREATE] = "missing",
		[COMPARE_CHANGE] = "different",
		[COMPARE_DELETE] = "unlisted",
	};

	buf_add_str(b, "protected ");
	text_escape(b, s->path, strlen(s->path));
	buf_addf(b, " (%s)\n", words[s->kind]);
}

static int
print_plan(const struct report *r, struct err *e)
{
	const struct plan *p = r->plan;
	size_t total = p->item_count + p->delete_count, shown;
	struct buf b;
	int rc;

	shown = r->verbose || total <= LINES_SHOWN ? total : LINES_SHOWN;
	buf_init(&b, TEXT_MAX);
	for (size_t i = 0; i < shown; i++) {
		if (i < p->item_count)
			plan_describe(&b, &p->items[i]);
		else
			plan_describe_delete(
			    &b, &p->deletes[i - p->item_count]);
		buf_add_byte(&b, '\n');
	}
	for (size_t i = 0; r->verbose && i < p->spared_count; i++)
		describe_spared(&b, &p->spared[i]);
	if (shown < total)
		buf_addf(&b, "... and %zu more (--verbose shows them)\n",
		    total - shown);
	rc = buf_check(&b, "report", e);
	if (rc == 0)
		(void)fwrite(buf_str(&b), 1, b.len, stdout);
	buf_release(&b);
	return rc;
}

static void
count_items(const struct plan *p, size_t *created, size_t *changed)
{
	*created = *changed = 0;
	for (size_t i = 0; i < p->item_count; i++)
		++*(p->items[i].op == PLAN_CREATE ? created : changed);
}

static void
print_summary(const struct report *r)
{
	const struct session *s = r->session;
	size_t created, changed;
	char in[32], out[32];

	count_items(r->plan, &created, &changed);
	text_bytes(in, sizeof(in), r->received_bytes);
	text_bytes(out, sizeof(out), r->sent_bytes);
	(void)printf("%s\n", s->peer.route);
	(void)printf("release %llu of %s, profile %s, site %s: ",
	    (unsigned long long)s->head.serial, s->head.channel,
	    s->profile->name, s->site);
	if (plan_is_empty(r->plan))
		(void)printf("nothing to change");
	else
		(void)printf("%s%zu created, %zu changed, %zu deleted",
		    r->noop ? "would be " : "", created, changed,
		    r->plan->delete_count);
	(void)printf("; %s received, %s sent, %.2f s\n", in, out, r->seconds);
	if (r->is_plan)
		(void)printf("plan %s\n", r->plan_id);
	if (r->confirm_s > 0)
		(void)printf("rolled back in %u s unless `pecia confirm` is "
		             "said before\n",
		    r->confirm_s);
}

/* ---- for programs ---- */

static struct json *
item_json(const struct plan_item *item)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {
		{ COMPARE_TYPE, "type" },
		{ COMPARE_CONTENT, "content" },
		{ COMPARE_TARGET, "target" },
		{ COMPARE_LINK, "link" },
		{ COMPARE_DEVICE, "device" },
		{ COMPARE_OWNER, "owner" },
		{ COMPARE_GROUP, "group" },
		{ COMPARE_MODE, "mode" },
		{ COMPARE_MTIME, "time" },
		{ COMPARE_XATTRS, "attributes" },
	};
	struct json *j = json_object_new(), *what = json_array_new();

	json_set_string(j, "path", item->path);
	json_set_string(
	    j, "action", item->op == PLAN_CREATE ? "create" : "change");
	json_set_bytes(j, "type", (const char *)&item->type, 1);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if ((item->bits & words[i].bit) != 0)
			json_append_string(what, words[i].word);
	json_set_child(j, "differs", what);
	return j;
}

static struct json *
changes_json(const struct plan *p)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < p->item_count; i++)
		json_append(list, item_json(&p->items[i]));
	for (size_t i = 0; i < p->delete_count; i++) {
		struct json *j = json_object_new();

		json_set_string(j, "path", p->deletes[i].path);
		json_set_string(j, "action", "delete");
		json_append(list, j);
	}
	return list;
}

static struct json *
spared_json(const struct plan *p)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < p->spared_count; i++)
		json_append_string(list, p->spared[i].path);
	return list;
}

static struct json *
run_json(const struct report *r)
{
	const struct session *s = r->session;
	struct json *j = json_object_new();
	char hex[DIGEST_HEX];

	digest_hex(&s->head.release, hex);
	json_set_string(j, "channel", s->head.channel);
	json_set_u64(j, "serial", s->head.serial);
	json_set_string(j, "release", hex);
	json_set_string(j, "profile", s->profile->name);
	json_set_string(j, "route", s->peer.route);
	json_set_string(j, "site", s->site);
	json_set_string(j, "mirror", s->mirror);
	json_set_string(j, "plan", r->plan_id);
	json_set_bool(j, "noop", r->noop);
	json_set_bool(j, "changed", !plan_is_empty(r->plan));
	if (r->held > 0)
		json_set_u64(j, "held", r->held);
	if (r->confirm_s > 0)
		json_set_u64(j, "confirm_seconds", r->confirm_s);
	json_set_u64(j, "entries", r->result.totals.entries);
	json_set_child(j, "changes", changes_json(r->plan));
	json_set_child(j, "protected", spared_json(r->plan));
	json_set_u64(j, "files_local", r->result.content.local_files);
	json_set_u64(j, "files_kept", r->result.content.kept_files);
	json_set_u64(j, "files_from_data", r->result.content.data_files);
	json_set_u64(j, "files_from_objects", r->result.content.object_files);
	json_set_u64(j, "files_copied", r->result.content.copied_files);
	json_set_u64(j, "bytes_received", r->received_bytes);
	json_set_u64(j, "bytes_sent", r->sent_bytes);
	json_set_double(j, "seconds", r->seconds);
	return j;
}

static void
print_held(const struct report *r)
{
	if (r->held > 0)
		(void)printf("release %llu was rolled back on this machine: "
		             "waiting for a newer one; `pecia run --retry` "
		             "applies it again\n",
		    (unsigned long long)r->held);
}

/* With nothing applied and the newest release held back. */
static struct json *
held_json(const struct report *r)
{
	struct json *j = json_object_new();

	json_set_string(j, "channel", r->session->head.channel);
	json_set_bool(j, "noop", r->noop);
	json_set_bool(j, "changed", false);
	json_set_u64(j, "held", r->held);
	return j;
}

int
report_run(const struct report *r, struct err *e)
{
	bool is_any = r->session->profile != NULL;
	struct json *j;
	int rc;

	if (!r->json) {
		if ((rc = print_plan(r, e)) != 0)
			return rc;
		print_held(r);
		if (is_any)
			print_summary(r);
		return 0;
	}
	j = is_any ? run_json(r) : held_json(r);
	rc = json_print(j, JSON_PRETTY, stdout, e);
	json_free(j);
	return rc;
}

static void
print_rollback(const struct report *r, const struct kept_release *to)
{
	size_t created, changed;

	count_items(r->plan, &created, &changed);
	if (to->is_any)
		(void)printf("%s release %llu of %s, profile %s: ",
		    r->noop ? "back to" : "rolled back to",
		    (unsigned long long)to->serial, to->channel, to->profile);
	else
		(void)printf("%s before the first release: ",
		    r->noop ? "back to" : "rolled back to");
	if (plan_is_empty(r->plan))
		(void)printf("nothing to change\n");
	else
		(void)printf("%s%zu created, %zu changed, %zu deleted\n",
		    r->noop ? "would be " : "", created, changed,
		    r->plan->delete_count);
}

int
report_rollback(
    const struct report *r, const struct kept_release *to, struct err *e)
{
	struct json *j;
	int rc;

	if (!r->json) {
		if ((rc = print_plan(r, e)) != 0)
			return rc;
		print_rollback(r, to);
		return 0;
	}
	j = json_object_new();
	if (to->is_any) {
		json_set_string(j, "channel", to->channel);
		json_set_u64(j, "serial", to->serial);
		json_set_string(j, "profile", to->profile);
	}
	json_set_bool(j, "noop", r->noop);
	json_set_bool(j, "changed", !plan_is_empty(r->plan));
	json_set_child(j, "changes", changes_json(r->plan));
	rc = json_print(j, JSON_PRETTY, stdout, e);
	json_free(j);
	return rc;
}

int
report_drift(const struct report *r, struct err *e)
{
	const struct session *s = r->session;
	size_t n = r->plan->item_count + r->plan->delete_count;
	struct json *j;
	int rc;

	if (!r->json) {
		if ((rc = print_plan(r, e)) != 0)
			return rc;
		(void)printf("release %llu of %s: %llu entries, %zu differ\n",
		    (unsigned long long)s->applied.serial, s->applied.channel,
		    (unsigned long long)r->result.totals.entries, n);
		return 0;
	}
	j = json_object_new();
	json_set_string(j, "channel", s->applied.channel);
	json_set_u64(j, "serial", s->applied.serial);
	json_set_u64(j, "entries", r->result.totals.entries);
	json_set_child(j, "differs", changes_json(r->plan));
	rc = json_print(j, JSON_PRETTY, stdout, e);
	json_free(j);
	return rc;
}

/* ---- progress ---- */

void
report_progress_init(struct progress *p)
{
	memset(p, 0, sizeof(*p));
	p->wanted = isatty(STDERR_FILENO) == 1;
}

void
report_progress_show(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	struct progress *p = arg;
	struct timespec now;
	char done[32], total[32];

	if (!p->wanted)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (p->shown &&
	    (now.tv_sec - p->last.tv_sec) * 1000 +
	            (now.tv_nsec - p->last.tv_nsec) / 1000000 <
	        100)
		return;
	p->last = now;
	p->shown = true;
	text_bytes(done, sizeof(done), done_bytes);
	text_bytes(total, sizeof(total), total_bytes);
	(void)fprintf(stderr, "\r%s of %s\033[K", done, total);
}

void
report_progress_end(struct progress *p)
{
	if (p->shown)
		(void)fputs("\r\033[K", stderr);
}
