/* The commands and options of pecia. */
#include "client/options_table.h"

#include <stddef.h>

#include "common/limits.h"
#include "common/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct options_verb options_verbs[] = {
	{ "init", VERB_INIT, 0, 0, "--anchor sha256:HEX",
	    "trust this origin; needed once" },
	{ "run", VERB_RUN, 0, 0, "",
	    "find the site's mirror, make this machine what the newest release "
	    "says" },
	{ "daemon", VERB_DAEMON, 0, 0, "",
	    "run, again and again; at once on SIGUSR1" },
	{ "plan", VERB_PLAN, 0, 0, "",
	    "what run would change, and a name for that" },
	{ "status", VERB_STATUS, 0, 0, "",
	    "which release, since when, from where, how fresh" },
	{ "verify", VERB_VERIFY, 0, 0, "",
	    "every managed path that differs, and how" },
	{ "rollback", VERB_ROLLBACK, 0, 0, "[--to SERIAL]",
	    "back to before the last run that changed something, or to that "
	    "release" },
	{ "confirm", VERB_CONFIRM, 0, 0, "",
	    "keep what the last run changed, which is rolled back else" },
	{ "bucket", VERB_BUCKET, 0, 2, "list|get|diff|restore [PATH]",
	    "what runs replaced or deleted: its names, its content, what "
	    "differs from it now; put it back, or --to FILE" },
	{ "diff", VERB_DIFF, 0, 1, "[PATH]", "what differs from the release" },
	{ "which", VERB_WHICH, 1, 1, "PATH",
	    "which transcript, release and author it is from" },
	{ "disable", VERB_DISABLE, 0, 1, "[MESSAGE]",
	    "let runs change nothing until enable" },
	{ "enable", VERB_ENABLE, 0, 0, "", "let runs change things again" },
	{ "help", VERB_HELP, 0, 0, "", NULL },
};
const size_t options_verb_count = COUNT(options_verbs);

static int
take_wait(struct options *o, const char *text, struct err *e)
{
	uint64_t seconds;

	if (text_u64(text, strlen(text), 86400, &seconds) != 0)
		return err_set(e, ERR_USAGE,
		    "--waitforlock %s: not a number "
		    "of seconds up to a day",
		    text);
	o->wait_ms = (unsigned)seconds * 1000;
	o->wait_given = true;
	return 0;
}

static int
take_confirm(struct options *o, const char *text, struct err *e)
{
	uint64_t seconds;

	if (text_u64(text, strlen(text), LIMIT_CONFIRM_S, &seconds) != 0)
		return err_set(e, ERR_USAGE,
		    "--confirm %s: not a number of seconds up to %d", text,
		    LIMIT_CONFIRM_S);
	o->confirm_s = (unsigned)seconds;
	o->confirm_given = true;
	return 0;
}

static int
take_number(const char *option, const char *text, uint64_t *v, struct err *e)
{
	if (text_u64(text, strlen(text), INT64_MAX, v) != 0)
		return err_set(
		    e, ERR_USAGE, "--%s %s: not a number", option, text);
	return 0;
}

static int
take_serial(struct options *o, const char *text, struct err *e)
{
	o->serial_given = true;
	return take_number("serial", text, &o->serial, e);
}

static int
take_kept(struct options *o, const char *text, struct err *e)
{
	o->kept_given = true;
	return take_number("kept", text, &o->kept, e);
}

static int
take_color(struct options *o, const char *text, struct err *e)
{
	return terminal_parse_color(text, &o->color, e);
}

#define FIELD(name) offsetof(struct options, name)
#define TEXT(name, field, value, help)                      \
 {                                                          \
  name, 0, OPTIONS_TEXT, FIELD(field), 0, NULL, value, help \
 }
#define FLAG(name, field, verbs, help)                       \
 {                                                           \
  name, 0, OPTIONS_FLAG, FIELD(field), verbs, NULL, "", help \
 }
#define TAKE(name, take, verbs, value, help)         \
 {                                                   \
  name, 0, OPTIONS_TAKE, 0, verbs, take, value, help \
 }

const struct options_row options_rows[] = {
	TEXT("config", config, "FILE", "[/etc/pecia/pecia.conf]"),
	TEXT("root", root, "DIR", "apply below DIR [/]"),
	TEXT("state", state, "DIR", "what pecia knows [/var/lib/pecia]"),
	{ "anchor", 0, OPTIONS_TEXT, FIELD(anchor), OPTIONS_ON(VERB_INIT), NULL,
	    "sha256:HEX", "digest of the origin's first trust root" },
	TEXT("server", server, "HOST[:PORT]",
	    "use this server only; PECIA_SERVER does the same"),
	TEXT("channel", channel, "NAME", "line of releases [production]"),
	TEXT("environment", channel, "NAME", NULL),
	TEXT("host", host, "NAME", "this machine's name [its host name]"),
	FLAG("noop", noop,
	    OPTIONS_ON(VERB_RUN) | OPTIONS_ON(VERB_ROLLBACK) |
	        OPTIONS_ON(VERB_DAEMON),
	    "show what run would change, change nothing"),
	FLAG("detailed-exitcodes", detailed_exitcodes, 0,
	    "0 the same, 1 failed, 2 changed, 4 something after it failed, "
	    "6 both"),
	TAKE("waitforlock", take_wait, 0, "SECONDS",
	    "wait for another run to end [0]"),
	{ "max-delete", 0, OPTIONS_TEXT, FIELD(max_delete),
	    OPTIONS_ON(VERB_RUN) | OPTIONS_ON(VERB_PLAN), NULL, "N|N%|none",
	    "how much this run may delete [50%]" },
	{ "plan", 0, OPTIONS_TEXT, FIELD(plan), OPTIONS_ON(VERB_RUN), NULL,
	    "ID", "refuse if that is not today's plan" },
	TAKE("confirm", take_confirm, OPTIONS_ON(VERB_RUN), "SECONDS",
	    "roll back unless `pecia confirm` is said in time [0: do not]"),
	FLAG("retry", retry, OPTIONS_ON(VERB_RUN),
	    "run: apply a release that was rolled back again"),
	{ "runinterval", 0, OPTIONS_TEXT, FIELD(runinterval),
	    OPTIONS_ON(VERB_DAEMON), NULL, "TIME",
	    "from run to run: seconds, or with s, m, h, d [30m]" },
	{ "splay", 0, OPTIONS_TEXT, FIELD(splay), OPTIONS_ON(VERB_DAEMON), NULL,
	    "TIME",
	    "the first run comes after a share of this that is the host's own "
	    "[0]" },
	FLAG("follow", follow, OPTIONS_ON(VERB_DAEMON),
	    "run as well as soon as there is a new release"),
	{ "to", 0, OPTIONS_TEXT, FIELD(to),
	    OPTIONS_ON(VERB_ROLLBACK) | OPTIONS_ON(VERB_BUCKET), NULL,
	    "SERIAL|FILE", "of rollback, of bucket restore" },
	TAKE("serial", take_serial, OPTIONS_ON(VERB_BUCKET), "N",
	    "what runs to this release took away"),
	TAKE("kept", take_kept, OPTIONS_ON(VERB_BUCKET), "N",
	    "what this kept run took away"),
	FLAG("json", json, 0, "results for programs"),
	TAKE("color", take_color, 0, "WHEN", "auto, always or never [auto]"),
	{ "verbose", 'v', OPTIONS_FLAG, FIELD(verbose), 0, NULL, "",
	    "say each step" },
	{ "help", 'h', OPTIONS_VERB, VERB_HELP, 0, NULL, "", "this text" },
	{ "version", 0, OPTIONS_VERB, VERB_VERSION, 0, NULL, "",
	    "the version" },
};
const size_t options_row_count = COUNT(options_rows);
_Static_assert(COUNT(options_rows) <= OPTIONS_ROWS_MAX, "options fit");
