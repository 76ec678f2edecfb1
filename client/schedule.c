/* Times of pecia daemon's runs; pure functions. */
#include "client/schedule.h"

#include "common/limits.h"
#include "common/text.h"

void
schedule_init(struct schedule *s)
{
	s->interval_s = 1800;
	s->splay_s = 0;
	s->follow = false;
	s->follow_splay_s = 0;
}

static const char *
interval_fault(uint64_t seconds)
{
	return seconds == 0 || seconds > LIMIT_INTERVAL_S ? "not 1s to 30d"
	                                                  : NULL;
}

static const char *
splay_fault(uint64_t seconds)
{
	return seconds > LIMIT_INTERVAL_S ? "more than 30d" : NULL;
}

int
schedule_take(const struct config_section *c, struct schedule *s, struct err *e)
{
	struct schedule new = *s;
	int rc;

	if ((rc = config_seconds(c, "runinterval", &new.interval_s, e)) != 0 ||
	    (rc = config_seconds(c, "splay", &new.splay_s, e)) != 0 ||
	    (rc = config_bool(c, "follow", &new.follow, e)) != 0 ||
	    (rc = config_seconds(c, "follow_splay", &new.follow_splay_s, e)) !=
	        0)
		return rc;
	if (interval_fault(new.interval_s) != NULL)
		return config_complain(
		    c, "runinterval", e, "%s", interval_fault(new.interval_s));
	if (splay_fault(new.splay_s) != NULL)
		return config_complain(
		    c, "splay", e, "%s", splay_fault(new.splay_s));
	if (splay_fault(new.follow_splay_s) != NULL)
		return config_complain(c, "follow_splay", e, "%s",
		    splay_fault(new.follow_splay_s));
	*s = new;
	return 0;
}

static int
take_flag(const char *option, const char *text,
    const char *(*find_fault)(uint64_t seconds), uint64_t *v, struct err *e)
{
	uint64_t seconds = 0;
	const char *fault = text_seconds(text, &seconds) != 0
	    ? "not a number of seconds, or one with s, m, h, d"
	    : find_fault(seconds);

	if (fault != NULL)
		return err_set(
		    e, ERR_USAGE, "--%s %s: %s", option, text, fault);
	*v = seconds;
	return 0;
}

int
schedule_flags(
    struct schedule *s, const char *interval, const char *splay, struct err *e)
{
	int rc = 0;

	if (interval != NULL)
		rc = take_flag(
		    "runinterval", interval, interval_fault, &s->interval_s, e);
	if (rc == 0 && splay != NULL)
		rc = take_flag("splay", splay, splay_fault, &s->splay_s, e);
	return rc;
}

uint64_t
schedule_next_ms(const struct schedule *s, uint64_t first_ms, uint64_t now_ms)
{
	const uint64_t step = s->interval_s * 1000;

	return now_ms < first_ms
	    ? first_ms
	    : first_ms + ((now_ms - first_ms) / step + 1) * step;
}
