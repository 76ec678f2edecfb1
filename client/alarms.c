/* Words for the trust store's alarms. */
#include "client/alarms.h"

#include "common/log.h"

const struct alarm_word alarm_words[] = {
	{ TRUST_ALARM_ROOT, "root expired",
	    "the trust root has expired: the "
	    "origin must publish a new one" },
	{ TRUST_ALARM_ROSTER, "roster expired",
	    "the roster of mirrors has "
	    "expired: run `peciactl refresh` on the origin" },
	{ TRUST_ALARM_HEAD, "stale",
	    "the head has expired: no origin has "
	    "signed it again, or somebody keeps newer ones from here" },
	{ TRUST_ALARM_CLOCK, "clock",
	    "this machine's clock is behind the "
	    "head's: set it" },
	{ 0, NULL, NULL },
};

void
alarms_log(const struct session *s)
{
	unsigned alarms = trust_alarms(s->trust, s->settings->channel);

	for (const struct alarm_word *w = alarm_words; w->bit != 0; w++)
		if ((alarms & w->bit) != 0)
			log_event(LOG_WARNING, w->word, "why", w->text, NULL);
}
