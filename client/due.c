/* The files due.new and due; runs in the applier. */
#include "client/due.h"

#include <stdlib.h>

#include "common/fsat.h"
#include "transcripts/lines.h"
#include "transcripts/statement.h"

/* Those of two releases, and what was left of a third. */
#define TRIGGERS_MAX (3 * (size_t)LIMIT_ACTIONS)

void
due_init(struct due *d)
{
	memset(d, 0, sizeof(*d));
}

void
due_release(struct due *d)
{
	for (size_t i = 0; i < d->count; i++)
		words_release(&d->list[i].command);
	free(d->list);
	due_init(d);
}

static bool
has(const struct due *d, const char *name)
{
	for (size_t i = 0; i < d->count; i++)
		if (strcmp(d->list[i].name, name) == 0)
			return true;
	return false;
}

static int
copy_words(const struct words *from, struct words *to, struct err *e)
{
	to->list = calloc(from->count + 1, sizeof(*to->list));
	if (to->list == NULL)
		return err_memory(e);
	for (; to->count < from->count; to->count++) {
		to->list[to->count] = strdup(from->list[to->count]);
		if (to->list[to->count] == NULL)
			return err_memory(e);
	}
	return 0;
}

int
due_add(struct due *d, const struct action *trigger, struct err *e)
{
	struct due_trigger *more, *t;

	if (has(d, trigger->name))
		return 0;
	more = reallocarray(d->list, d->count + 1, sizeof(*more));
	if (more == NULL)
		return err_memory(e);
	d->list = more;
	t = &more[d->count++];
	memset(t, 0, sizeof(*t));
	memcpy(t->name, trigger->name, sizeof(t->name));
	t->timeout_s = trigger->timeout_s;
	return copy_words(&trigger->command, &t->command, e);
}

void
due_drop_first(struct due *d)
{
	if (d->count == 0)
		return;
	words_release(&d->list[0].command);
	d->count--;
	memmove(&d->list[0], &d->list[1], d->count * sizeof(*d->list));
}

/* ---- the file ---- */

static void
parse_release(struct lines *l, struct due *d)
{
	lines_begin(l, "release");
	if (lines_dash(l)) {
		lines_u64(l, 0, 0, &d->serial);
		return;
	}
	lines_name(l, d->channel);
	lines_u64(l, 1, STATEMENT_NUMBER_MAX, &d->serial);
}

static void
parse_check(struct lines *l, struct due *d)
{
	const char *p = NULL;
	size_t len = 0;

	lines_begin(l, "check");
	if (!lines_word(l, &p, &len))
		return;
	d->check = len == 3 && memcmp(p, "yes", 3) == 0;
	if (!d->check && (len != 2 || memcmp(p, "no", 2) != 0))
		lines_fail(l, ERR_FORMAT, "neither yes nor no");
}

static void
parse_trigger(struct lines *l, struct due *d)
{
	char name[LIMIT_NAME_BYTES + 1] = "";
	struct due_trigger *t;

	lines_begin(l, "trigger");
	d->list =
	    lines_room(l, d->list, d->count, sizeof(*d->list), TRIGGERS_MAX);
	lines_name(l, name);
	if (l->failed == 0 && has(d, name))
		lines_fail(l, ERR_FORMAT, "'%s' is repeated", name);
	if (l->failed != 0)
		return;
	t = &d->list[d->count++];
	memcpy(t->name, name, sizeof(t->name));
	lines_u64(l, 1, LIMIT_COMMAND_S, &t->timeout_s);
	lines_u64(l, 0, DUE_BEGUN_MAX, &t->begun);
	actions_parse_command(l, &t->command);
}

int
due_parse(const void *text, size_t len, struct due *out, struct err *e)
{
	struct due d;
	struct lines l;
	int rc;

	due_init(&d);
	lines_init(&l, "due", text, len, e);
	lines_header(&l);
	parse_release(&l, &d);
	parse_check(&l, &d);
	while (lines_follows(&l, "trigger"))
		parse_trigger(&l, &d);
	rc = lines_finish(&l);
	if (rc == 0)
		*out = d;
	else
		due_release(&d);
	return rc;
}

static int
write_text(struct buf *text, const struct due *d, struct err *e)
{
	buf_addf(text, "pecia due 1\nrelease %s %llu\ncheck %s\n",
	    d->channel[0] != '\0' ? d->channel : "-",
	    (unsigned long long)d->serial, d->check ? "yes" : "no");
	for (size_t i = 0; i < d->count; i++) {
		const struct due_trigger *t = &d->list[i];

		buf_addf(text, "trigger %s %llu %llu\n", t->name,
		    (unsigned long long)t->timeout_s,
		    (unsigned long long)t->begun);
		actions_write_command(text, &t->command);
	}
	return buf_check(text, DUE_NAME, e);
}

static int
put(const struct state *s, const char *name, const struct due *d, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_RELEASE_BYTES);
	rc = write_text(&text, d, e);
	if (rc == 0)
		rc =
		    fsat_write_file(s->dir, name, 0600, text.data, text.len, e);
	buf_release(&text);
	return rc;
}

static int
forget(int state, const char *name, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_unlink(state, name, &mine);

	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

int
due_read(const struct state *s, struct due *out, struct err *e)
{
	struct buf text;
	int rc;

	buf_init(&text, LIMIT_RELEASE_BYTES);
	rc =
	    fsat_read_file(s->dir, DUE_NAME, LIMIT_RELEASE_BYTES - 1, &text, e);
	if (rc == 0)
		rc = due_parse(buf_str(&text), text.len, out, e);
	buf_release(&text);
	return rc;
}

int
due_write(const struct state *s, const struct due *d, struct err *e)
{
	return d->count == 0 && !d->check ? forget(s->dir, DUE_NAME, e)
	                                  : put(s, DUE_NAME, d, e);
}

/* ---- around a commit ---- */

/* What a run left behind comes first; whether it was checked is of no account
 * any more. */
static int
add_rest(const struct state *s, struct due *d, bool *had, struct err *e)
{
	struct err mine = ERR_INIT;
	struct due_trigger *all;
	struct due old;
	size_t n = 0;

	due_init(&old);
	*had = due_read(s, &old, &mine) != ERR_NOT_FOUND;
	all = calloc(old.count + d->count + 1, sizeof(*all));
	if (all == NULL) {
		due_release(&old);
		return err_memory(e);
	}
	for (size_t i = 0; i < old.count; i++) {
		if (has(d, old.list[i].name))
			continue;
		all[n++] = old.list[i];
		old.list[i].command = (struct words)WORDS_INIT;
	}
	for (size_t i = 0; i < d->count; i++)
		all[n++] = d->list[i];
	free(d->list);
	d->list = all;
	d->count = n;
	due_release(&old);
	return 0;
}

int
due_prepare(const struct state *s, struct due *d, struct err *e)
{
	bool had = false;
	int rc = add_rest(s, d, &had, e);

	if (rc != 0 || (!had && d->count == 0 && !d->check))
		return rc;
	return put(s, DUE_NEW, d, e);
}

int
due_publish(int state, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_rename(state, DUE_NEW, state, DUE_NAME, &mine);

	if (rc == 0 || rc == ERR_NOT_FOUND)
		return 0;
	*e = mine;
	return rc;
}

int
due_discard(int state, struct err *e)
{
	return forget(state, DUE_NEW, e);
}
