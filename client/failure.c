/* The note of the last run's failure. */
#include "client/failure.h"

#include "common/fsat.h"
#include "common/log.h"
#include "common/text.h"

#define NAME "last_error"

void
failure_note(const struct state *s, time_t now, const struct err *why)
{
	char when[TEXT_TIME_BYTES];
	struct err e = ERR_INIT;
	struct buf b;

	if (s->dir < 0)
		return;
	text_time(when, now);
	buf_init(&b, FAILURE_BYTES);
	buf_addf(&b, "%s %s\n", when, why->msg);
	if (fsat_write_file(s->dir, NAME, 0600, buf_str(&b), b.len, &e) != 0)
		log_err(LOG_WARNING, "failure not noted", &e, NULL);
	buf_release(&b);
}

void
failure_forget(const struct state *s)
{
	struct err ignored = ERR_INIT;

	if (fsat_unlink(s->dir, NAME, &ignored) != 0)
		err_clear(&ignored); /* mostly there is none */
}

void
failure_read(const struct state *s, char text[FAILURE_BYTES])
{
	struct err ignored = ERR_INIT;
	struct buf b;

	text[0] = '\0';
	buf_init(&b, FAILURE_BYTES - 1);
	if (fsat_read_file(s->dir, NAME, b.max, &b, &ignored) == 0)
		(void)snprintf(text, FAILURE_BYTES, "%.*s",
		    (int)strcspn(buf_str(&b), "\n"), buf_str(&b));
	buf_release(&b);
}
