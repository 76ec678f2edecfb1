/* Rates by the hour; used where bytes come in, and parsed by who starts it. */
#include "common/rate.h"

#include <ctype.h>
#include <stdatomic.h>
#include <string.h>

#include "common/text.h"

#define DAY_MINUTES 1440
#define ALL_DAYS    0x7f
#define WORD_BYTES  64
#define NS_PER_S    UINT64_C(1000000000)
#define BURST_NS    (NS_PER_S / 10)
#define NAP_NS      (NS_PER_S / 50) /* shorter sleeps are saved up */
#define WINDOW_MIN  16384
#define WINDOW_MAX  212992 /* net.core.rmem_max, as kernels have it */
/* A window of WINDOW_MAX keeps a line of 80 ms busy up to here. */
#define WINDOWED_BYTES_S ((uint64_t)12 * WINDOW_MAX)

/* ---- lines ---- */

static int
parse_rate(const char *word, uint64_t *bytes_s)
{
	static const struct {
		const char *name;
		uint64_t numerator, denominator;
	} units[] = {
		{ "kbit", 1000, 8 },
		{ "Mbit", 1000000, 8 },
		{ "Gbit", 1000000000, 8 },
		{ "kB", 1000, 1 },
		{ "MB", 1000000, 1 },
		{ "GB", 1000000000, 1 },
	};
	size_t digits = strspn(word, "0123456789"), len;
	uint64_t n;

	if (strcmp(word, "none") == 0) {
		*bytes_s = 0;
		return 0;
	}
	if (text_u64(word, digits, 1000000, &n) != 0)
		return ERR_FORMAT;
	word += digits;
	len = strlen(word);
	if (len > 2 && strcmp(word + len - 2, "/s") == 0)
		len -= 2;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strlen(units[i].name) != len ||
		    strncmp(units[i].name, word, len) != 0)
			continue;
		*bytes_s = n * units[i].numerator / units[i].denominator;
		return *bytes_s < LIMIT_RATE_MIN ? ERR_LIMIT : 0;
	}
	return ERR_FORMAT;
}

/* The three letters at *s, and passes over them. */
static int
parse_day(const char **s, unsigned *day)
{
	static const char names[7][4] = { "sun", "mon", "tue", "wed", "thu",
		"fri", "sat" };

	for (unsigned i = 0; i < 7; i++) {
		if (strncmp(*s, names[i], 3) != 0)
			continue;
		*s += 3;
		*day = i;
		return 0;
	}
	return ERR_FORMAT;
}

static int
parse_days(const char *s, uint8_t *days)
{
	unsigned first, last, set = 0;

	for (;; s++) {
		if (parse_day(&s, &first) != 0)
			return ERR_FORMAT;
		last = first;
		if (*s == '-') {
			s++;
			if (parse_day(&s, &last) != 0)
				return ERR_FORMAT;
		}
		set |= 1U << last;
		for (unsigned day = first; day != last; day = (day + 1) % 7)
			set |= 1U << day;
		if (*s != ',')
			break;
	}
	*days = (uint8_t)set;
	return *s == '\0' ? 0 : ERR_FORMAT;
}

/* HH:MM up to 24:00. */
static int
parse_minute(const char *s, uint16_t *minute)
{
	unsigned hour, rest;

	for (size_t i = 0; i < 5; i++)
		if (i == 2 ? s[i] != ':' : !isdigit((unsigned char)s[i]))
			return ERR_FORMAT;
	hour = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
	rest = (unsigned)(s[3] - '0') * 10 + (unsigned)(s[4] - '0');
	if (rest > 59 || hour * 60 + rest > DAY_MINUTES)
		return ERR_FORMAT;
	*minute = (uint16_t)(hour * 60 + rest);
	return 0;
}

static int
parse_hours(const char *s, struct rate_line *line)
{
	if (strlen(s) != 11 || s[5] != '-' ||
	    parse_minute(s, &line->from) != 0 ||
	    parse_minute(s + 6, &line->to) != 0 || line->from == line->to ||
	    line->from == DAY_MINUTES || line->to == 0)
		return ERR_FORMAT;
	return 0;
}

/* The next word of *s into `word`; "" behind the last one. */
static int
next_word(const char **s, char word[WORD_BYTES])
{
	size_t len;

	*s += strspn(*s, " \t");
	len = strcspn(*s, " \t");
	if (len >= WORD_BYTES)
		return ERR_FORMAT;
	memcpy(word, *s, len);
	word[len] = '\0';
	*s += len;
	return 0;
}

static int
parse_line(const char *s, struct rate_line *line)
{
	char word[WORD_BYTES] = "";
	int rc = next_word(&s, word);

	if (rc == 0)
		rc = parse_rate(word, &line->bytes_s);
	if (rc == 0)
		rc = next_word(&s, word);
	if (rc == 0 && isalpha((unsigned char)word[0]) &&
	    (rc = parse_days(word, &line->days)) == 0)
		rc = next_word(&s, word);
	if (rc == 0 && word[0] != '\0' && (rc = parse_hours(word, line)) == 0)
		rc = next_word(&s, word);
	return rc == 0 && word[0] != '\0' ? ERR_FORMAT : rc;
}

int
rate_add(struct rate_plan *plan, const char *text, struct err *e)
{
	struct rate_line line = { 0, ALL_DAYS, 0, DAY_MINUTES };
	int rc = parse_line(text, &line);

	if (rc == ERR_LIMIT)
		return err_set(e, ERR_USAGE,
		    "%.64s: less than %d bytes a second", text, LIMIT_RATE_MIN);
	if (rc != 0)
		return err_set(e, ERR_USAGE,
		    "%.64s: not RATE [DAYS] [HOURS], as in \"2Mbit mon-fri "
		    "08:00-18:00\"",
		    text);
	if (plan->count == LIMIT_RATE_LINES)
		return err_set(
		    e, ERR_USAGE, "more than %d rates", LIMIT_RATE_LINES);
	plan->lines[plan->count++] = line;
	tzset(); /* who passes bytes may not be able to read the zone */
	return 0;
}

/* ---- moments ---- */

static bool
has_day(const struct rate_line *l, int day)
{
	return (l->days >> day & 1) != 0;
}

static bool
fits(const struct rate_line *l, int day, int minute)
{
	if (l->from < l->to)
		return has_day(l, day) && minute >= l->from && minute < l->to;
	/* Over midnight; the small hours are the day before's. */
	return (minute >= l->from && has_day(l, day)) ||
	    (minute < l->to && has_day(l, (day + 6) % 7));
}

bool
rate_equal(const struct rate_plan *a, const struct rate_plan *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct rate_line *x = &a->lines[i], *y = &b->lines[i];

		if (x->bytes_s != y->bytes_s || x->days != y->days ||
		    x->from != y->from || x->to != y->to)
			return false;
	}
	return true;
}

uint64_t
rate_at(const struct rate_plan *plan, time_t now)
{
	struct tm tm;

	if (plan->count == 0 || localtime_r(&now, &tm) == NULL)
		return 0;
	for (size_t i = 0; i < plan->count; i++)
		if (fits(&plan->lines[i], tm.tm_wday,
		        tm.tm_hour * 60 + tm.tm_min))
			return plan->lines[i].bytes_s;
	return 0;
}

/* ---- the gate ---- */

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Books the time that it takes.  Returns when it is over. */
static uint64_t
book(struct rate_gate *gate, uint64_t now, uint64_t takes_ns)
{
	uint64_t old = atomic_load(&gate->free_ns), from;

	do
		from = old + BURST_NS < now ? now - BURST_NS : old;
	while (!atomic_compare_exchange_weak(
	    &gate->free_ns, &old, from + takes_ns));
	return from + takes_ns;
}

void
rate_pass(struct rate_gate *gate, const struct rate_plan *plan, size_t bytes)
{
	uint64_t bytes_s = rate_at(plan, time(NULL)), now, end;
	struct timespec nap;

	if (bytes_s == 0)
		return;
	now = now_ns();
	end = book(gate, now, bytes * NS_PER_S / bytes_s);
	if (end < now + NAP_NS)
		return;
	nap.tv_sec = (time_t)((end - now) / NS_PER_S);
	nap.tv_nsec = (long)((end - now) % NS_PER_S);
	nanosleep(&nap, NULL); /* a signal ends it, which costs little */
}

int
rate_window(const struct rate_plan *plan, time_t now)
{
	uint64_t bytes_s = rate_at(plan, now), window = bytes_s / 3;

	if (bytes_s == 0 || bytes_s > WINDOWED_BYTES_S)
		return 0;
	if (window > WINDOW_MAX)
		window = WINDOW_MAX;
	return window < WINDOW_MIN ? WINDOW_MIN : (int)window;
}
