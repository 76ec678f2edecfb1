/* Words and JSON about a run. */
#include "client/report.h"

#include <stdio.h>

#include "client/event.h"
#include "common/json.h"
#include "common/text.h"

/* Lines of a plan that a person is shown without --verbose. */
#define LINES_SHOWN 40
#define TEXT_MAX    ((size_t)1 << 32)

static const char *const spared_words[] = {
	[COMPARE_CREATE] = "missing",
	[COMPARE_CHANGE] = "different",
	[COMPARE_DELETE] = "unlisted",
};

/* ---- for people ---- */

static void
paint(const struct report *r, struct buf *b, const char *how)
{
	if (r->color)
		buf_add_str(b, how);
}

static void
describe_spared(struct buf *b, const struct plan_spared *s)
{
	buf_add_str(b, "protected ");
	text_escape(b, s->path, strlen(s->path));
	buf_addf(b, " (%s)", spared_words[s->kind]);
}

static void
add_change(const struct report *r, struct buf *b, size_t i)
{
	const struct plan *p = r->plan;

	if (i >= p->item_count) {
		paint(r, b, TERMINAL_RED);
		plan_describe_delete(b, &p->deletes[i - p->item_count]);
	} else {
		paint(r, b,
		    p->items[i].op == PLAN_CREATE ? TERMINAL_GREEN
		                                  : TERMINAL_YELLOW);
		plan_describe(b, &p->items[i]);
	}
	paint(r, b, TERMINAL_PLAIN);
	buf_add_byte(b, '\n');
}

static void
add_spared(const struct report *r, struct buf *b, size_t i)
{
	paint(r, b, TERMINAL_CYAN);
	describe_spared(b, &r->plan->spared[i]);
	paint(r, b, TERMINAL_PLAIN);
	buf_add_byte(b, '\n');
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
	for (size_t i = 0; i < shown; i++)
		add_change(r, &b, i);
	for (size_t i = 0; r->verbose && i < p->spared_count; i++)
		add_spared(r, &b, i);
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
		++*(plan_item(p, i)->op == PLAN_CREATE ? created : changed);
}

/* Who served it, why not those before, and what that cost other sites. */
static void
print_server(const struct session *s)
{
	const struct served_bytes away = served_total(&s->served, true);
	struct buf b;

	(void)printf("%s (%s)\n", s->peer.route, s->site);
	if (s->troubles.len > 0)
		(void)printf("passed over: %s\n", buf_str(&s->troubles));
	if (away.received + away.sent == 0)
		return;
	buf_init(&b, TEXT_MAX);
	served_text(&s->served, &b);
	(void)printf("served by %s\n", buf_str(&b));
	buf_release(&b);
}

static void
print_summary(const struct report *r)
{
	const struct session *s = r->session;
	const struct served_bytes bytes = served_total(&s->served, false);
	size_t created, changed;
	char in[32], out[32];

	count_items(r->plan, &created, &changed);
	text_bytes(in, sizeof(in), bytes.received);
	text_bytes(out, sizeof(out), bytes.sent);
	print_server(s);
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

static void
add_item(struct json *j, const struct plan_item *item)
{
	const char *word;
	unsigned at = 0;
	struct json *what = json_array_new();

	json_set_string(j, "path", item->path);
	json_set_string(
	    j, "action", item->op == PLAN_CREATE ? "create" : "change");
	json_set_bytes(j, "type", (const char *)&item->type, 1);
	while ((word = plan_next_word(item->bits, &at)) != NULL)
		json_append_string(what, word);
	json_set_child(j, "differs", what);
}

/* Of all items and deletions. */
static void
add_nth(struct json *j, const struct plan *p, size_t i)
{
	if (i < p->item_count) {
		add_item(j, &p->items[i]);
		return;
	}
	json_set_string(j, "path", p->deletes[i - p->item_count].path);
	json_set_string(j, "action", "delete");
}

static struct json *
changes_json(const struct plan *p)
{
	struct json *list = json_array_new();

	for (size_t i = 0; i < p->item_count + p->delete_count; i++) {
		struct json *j = json_object_new();

		add_nth(j, p, i);
		json_append(list, j);
	}
	return list;
}

int
report_plan(const struct report *r, struct err *e)
{
	const struct plan *p = r->plan;
	struct json *j;
	int rc = 0;

	for (size_t i = 0;
	     r->json && i < p->item_count + p->delete_count && rc == 0; i++) {
		j = event_new("change");
		add_nth(j, p, i);
		rc = event_print(j, e);
	}
	for (size_t i = 0; r->json && i < p->spared_count && rc == 0; i++) {
		j = event_new("protected");
		json_set_string(j, "path", p->spared[i].path);
		json_set_string(j, "was", spared_words[p->spared[i].kind]);
		rc = event_print(j, e);
	}
	return rc;
}

void
report_settled(const struct settled *s, struct json *j)
{
	if (s == NULL)
		return;
	outcomes_json(&s->outcomes, j);
	json_set_bool(j, "rolled_back", s->rolled_back);
	if (s->rolled_back)
		json_set_u64(j, "rolled_back_to", s->to.serial);
}

int
report_outcomes(const struct report *r, struct err *e)
{
	return r->json || r->settled == NULL
	    ? 0
	    : outcomes_print(&r->settled->outcomes, r->verbose, e);
}

static int
print_settled(const struct report *r, struct err *e)
{
	const struct settled *s = r->settled;
	int rc = report_outcomes(r, e);

	if (rc != 0 || s == NULL || !s->rolled_back)
		return rc;
	(void)printf(
	    "release %llu was rolled back: ", (unsigned long long)s->left);
	if (s->to.is_any)
		(void)printf("release %llu is applied again\n",
		    (unsigned long long)s->to.serial);
	else
		(void)printf("no release is applied\n");
	return 0;
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

int
report_run(const struct report *r, struct err *e)
{
	int rc;

	if (r->json)
		return 0; /* the events have told it */
	if ((rc = print_plan(r, e)) != 0)
		return rc;
	print_held(r);
	if (r->session->profile != NULL)
		print_summary(r);
	return print_settled(r, e);
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
		return print_settled(r, e);
	}
	if ((rc = report_plan(r, e)) != 0)
		return rc;
	j = event_new("summary");
	if (to->is_any) {
		json_set_string(j, "channel", to->channel);
		json_set_u64(j, "serial", to->serial);
		json_set_string(j, "profile", to->profile);
	}
	json_set_bool(j, "noop", r->noop);
	json_set_bool(j, "changed", !plan_is_empty(r->plan));
	report_settled(r->settled, j);
	return event_print(j, e);
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
