/* What is wrong with what this machine believes; stops no run, somebody has to
 * look. */
#ifndef CLIENT_ALARMS_H
#define CLIENT_ALARMS_H

#include "client/session.h"

struct alarm_word {
	unsigned bit;            /* TRUST_ALARM_* */
	const char *word, *text; /* for programs, for people */
};
/* All of them; ends with a bit of 0. */
extern const struct alarm_word alarm_words[];

void alarms_log(const struct session *s);

#endif
