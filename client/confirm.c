/* The file `confirm`; runs in the applier. */
#include "client/confirm.h"

#include <stdlib.h>

#include "common/fsat.h"
#include "common/text.h"
#include "transcripts/lines.h"
#include "transcripts/statement.h"

#define NAME          "confirm"
#define CONFIRM_BYTES 1024
#define BOOT_ID       "/proc/sys/kernel/random/boot_id"

static const char *const stages[] = { [CONFIRM_WAITING] = "waiting",
	[CONFIRM_UNDOING] = "undoing",
	[CONFIRM_UNDONE] = "undone" };

/* ---- time ---- */

int
confirm_clock_read(struct confirm_clock *out, struct err *e)
{
	struct timespec now;
	struct buf text;
	size_t len;
	int rc;

	buf_init(&text, 256);
	rc = fsat_operator_read(BOOT_ID, text.max - 1, &text, e);
	len = rc == 0 ? strcspn(buf_str(&text), "\n") : 0;
	if (rc == 0 && !text_is_name(buf_str(&text), len))
		rc = err_set(e, ERR_FORMAT, BOOT_ID ": not a name");
	if (rc == 0)
		(void)snprintf(out->boot, sizeof(out->boot), "%.*s", (int)len,
		    buf_str(&text));
	buf_release(&text);
	if (rc == 0 && clock_gettime(CLOCK_BOOTTIME, &now) != 0)
		rc = err_sys(e, "time since boot");
	if (rc != 0)
		return rc;
	out->ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	out->wall = time(NULL);
	return 0;
}

void
confirm_init(struct confirm *c, const struct kept_release *now,
    const struct confirm_clock *clock, unsigned seconds)
{
	*c = (struct confirm){ .stage = CONFIRM_WAITING,
		.serial = now->serial,
		.since = clock->wall,
		.until = clock->wall + (time_t)seconds,
		.since_ms = clock->ms,
		.until_ms = clock->ms + (uint64_t)seconds * 1000 };
	memcpy(c->channel, now->channel, sizeof(c->channel));
	memcpy(c->boot, clock->boot, sizeof(c->boot));
}

uint64_t
confirm_left_ms(const struct confirm *c, const struct confirm_clock *clock)
{
	if (strcmp(c->boot, clock->boot) != 0 || clock->ms < c->since_ms ||
	    clock->ms >= c->until_ms)
		return 0;
	return c->until_ms - clock->ms;
}

/* ---- text ---- */

static void
read_stage(struct lines *l, struct confirm *c)
{
	const char *word = NULL;
	size_t len = 0;

	lines_begin(l, "stage");
	if (!lines_word(l, &word, &len))
		return;
	for (size_t i = CONFIRM_WAITING; i <= CONFIRM_UNDONE; i++)
		if (strlen(stages[i]) == len &&
		    memcmp(stages[i], word, len) == 0)
			c->stage = (enum confirm_stage)i;
	if (c->stage == CONFIRM_NONE)
		lines_fail(l, ERR_FORMAT, "not waiting, undoing or undone");
}

int
confirm_parse(const void *text, size_t len, struct confirm *out, struct err *e)
{
	struct confirm c = { .stage = CONFIRM_NONE };
	struct lines l;
	int rc;

	lines_init(&l, "confirm", text, len, e);
	lines_header(&l);
	read_stage(&l, &c);
	lines_begin(&l, "kept");
	lines_u64(&l, 1, STATEMENT_NUMBER_MAX, &c.kept);
	lines_begin(&l, "release");
	lines_name(&l, c.channel);
	lines_u64(&l, 1, STATEMENT_NUMBER_MAX, &c.serial);
	lines_begin(&l, "time");
	lines_time(&l, &c.since);
	lines_time(&l, &c.until);
	lines_begin(&l, "boot");
	lines_name(&l, c.boot);
	lines_u64(&l, 0, STATEMENT_NUMBER_MAX, &c.since_ms);
	lines_u64(&l, c.since_ms, STATEMENT_NUMBER_MAX, &c.until_ms);
	rc = lines_finish(&l);
	if (rc == 0)
		*out = c;
	return rc;
}

int
confirm_write(const struct state *s, const struct confirm *c, struct err *e)
{
	char text[CONFIRM_BYTES], since[TEXT_TIME_BYTES];
	char until[TEXT_TIME_BYTES];
	int len;

	text_time(since, c->since);
	text_time(until, c->until);
	len = snprintf(text, sizeof(text),
	    "pecia confirm 1\nstage %s\nkept %llu\nrelease %s %llu\n"
	    "time %s %s\nboot %s %llu %llu\n",
	    stages[c->stage], (unsigned long long)c->kept, c->channel,
	    (unsigned long long)c->serial, since, until, c->boot,
	    (unsigned long long)c->since_ms, (unsigned long long)c->until_ms);
	return fsat_write_file(s->dir, NAME, 0600, text, (size_t)len, e);
}

int
confirm_forget(const struct state *s, struct err *e)
{
	struct err mine = ERR_INIT;
	int rc = fsat_unlink(s->dir, NAME, &mine);

	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc == 0)
		return fsat_fsync(s->dir, e);
	*e = mine;
	return rc;
}

/* ---- against the kept runs ---- */

static int
newest_kept(const struct state *s, uint64_t *number, struct err *e)
{
	uint64_t *numbers = NULL;
	size_t count = 0;
	int rc = kept_list(s->dir, &numbers, &count, e);

	if (rc == 0)
		*number = count > 0 ? numbers[count - 1] : 0;
	free(numbers);
	return rc;
}

int
confirm_next_kept(const struct state *s, uint64_t *number, struct err *e)
{
	int rc = newest_kept(s, number, e);

	if (rc == 0)
		++*number;
	return rc;
}

/* Every change is a kept run: one after it, as somebody's rollback, is the
 * word that was waited for. */
static void
judge(struct confirm *c)
{
	if (c->stage != CONFIRM_WAITING)
		return;
	if (c->newest > c->kept)
		c->stage = CONFIRM_NONE;
	else if (c->newest < c->kept)
		c->stage = CONFIRM_BEGUN;
}

int
confirm_read(const struct state *s, struct confirm *out, struct err *e)
{
	struct confirm c = { .stage = CONFIRM_NONE };
	struct err mine = ERR_INIT;
	struct buf text;
	int rc;

	buf_init(&text, CONFIRM_BYTES);
	rc = fsat_read_file(s->dir, NAME, CONFIRM_BYTES - 1, &text, &mine);
	if (rc == 0)
		rc = confirm_parse(buf_str(&text), text.len, &c, &mine);
	if (rc == 0)
		rc = newest_kept(s, &c.newest, &mine);
	buf_release(&text);
	if (rc == ERR_LIMIT)
		rc = err_set(&mine, ERR_FORMAT, "confirm: too long");
	if (rc != 0 && rc != ERR_NOT_FOUND) {
		*e = mine;
		return rc;
	}
	judge(&c);
	*out = c;
	return 0;
}
