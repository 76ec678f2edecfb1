/* The verbs of peciactl: each does one command and prints its result. */
#ifndef SERVER_CTL_H
#define SERVER_CTL_H

#include "server/ctl_options.h"

struct json;
struct origin;

/* Exit statuses. */
enum {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_DAMAGED = 3, /* verify found something */
};

/* Prints help, version or result on stdout, errors on stderr; an exit
 * status. */
int ctl_run(const struct ctl_options *o);

/* One verb each; 0 or ERR_*.  What was printed counts when it is 0. */
MUST_CHECK int ctl_init(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_publish(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_log(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_show(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_mirror_add(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_mirror_change(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_mirror_list(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_mirror_remove(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_refresh(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_backup(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_restore(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_promote(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_demote(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_rotate(const struct ctl_options *o, struct err *e);
MUST_CHECK int ctl_collect(const struct ctl_options *o, struct err *e);
/* *damaged: findings were printed. */
MUST_CHECK int ctl_verify(
    const struct ctl_options *o, bool *damaged, struct err *e);

/* origin_open, origin_lock, which says on stderr whom it waits for, and
 * origin_load.  To write, the repository must be an origin's, unless the verb
 * is about just that. */
MUST_CHECK int ctl_open(
    const struct ctl_options *o, bool lock, struct origin *out, struct err *e);
/* Unless --offline: ahead_look, with our own identity left out (--identity, or
 * KEYS/identity) and a word on stderr when no mirror answered.  `channel`
 * NULL: all of the roster.  ERR_CONFLICT says what to do. */
MUST_CHECK int ctl_look(const struct ctl_options *o, struct origin *origin,
    const char *channel, struct err *e);
/* roster_add_mirror with the addresses of the command line. */
struct roster;
struct roster_mirror;
MUST_CHECK int ctl_roster_add(const struct ctl_options *o,
    const struct roster_mirror *mirror, struct roster *r, struct err *e);
/* json_print to stdout; frees j. */
MUST_CHECK int ctl_print_json(struct json *j, struct err *e);
/* Prints text from outside on one line, control bytes as \ooo. */
void ctl_print_text(const char *text);
/* Whether all that was printed on stdout arrived there. */
MUST_CHECK int ctl_flush(struct err *e);
void ctl_json_digest(struct json *j, const char *key, const struct digest *d);
void ctl_json_time(struct json *j, const char *key, time_t t);
/* A release's triggers and checks. */
struct release;
void ctl_print_actions(const struct release *r);
void ctl_json_actions(struct json *j, const struct release *r);

#endif
