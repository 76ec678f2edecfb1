/* Plan pinning: a plan as a canonical text, and its name, so that a run can be
 * held to the plan that somebody has seen.
 *
 *     pecia plan 1
 *     release <hex>
 *     profile <name>
 *     create file etc/motd
 *     change file etc/hosts (content, time)
 *     delete file srv/old
 *
 * Neither the names of stages nor the time of the run are in it. */
#ifndef CLIENT_PIN_H
#define CLIENT_PIN_H

#include "client/plan.h"
#include "client/state.h"

#define PIN_ID_BYTES 33 /* 32 hex digits and a NUL */
/* Texts kept in the state directory, in plans/. */
#define PIN_KEPT       8
#define PIN_KEPT_BYTES 1048576 /* of one; a longer one is not kept */

struct pin {
	char id[PIN_ID_BYTES];
	struct buf text; /* all of it, unless it is too long to be kept */
	bool is_long;
};

void pin_init(struct pin *pin);
void pin_release(struct pin *pin);
/* Of a finished plan. */
MUST_CHECK int pin_make(struct pin *pin, const struct digest *release,
    const char *profile, const struct plan *plan, struct err *e);
/* 32 lower-case hex digits. */
bool pin_is_id(const char *id);

/* Keeps it, and the newest of the others. */
MUST_CHECK int pin_keep(
    const struct state *s, const struct pin *pin, struct err *e);
/* 0 when the plan is `wanted`; else ERR_CONFLICT, and `changes` gets a line for
 * each action that is no more ("- ...") or is new ("+ ..."), up to
 * PIN_CHANGES, as far as the wanted one was kept. */
#define PIN_CHANGES 40
MUST_CHECK int pin_check(const struct state *s, const struct pin *pin,
    const char *wanted, struct buf *changes, struct err *e);

#endif
