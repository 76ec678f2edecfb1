/* The command line of pecia. */
#include "client/options.h"

#include <getopt.h>

#include "common/text.h"

enum {
	OPT_CONFIG = 256,
	OPT_ROOT,
	OPT_STATE,
	OPT_ANCHOR,
	OPT_SERVER,
	OPT_CHANNEL,
	OPT_HOST,
	OPT_NOOP,
	OPT_EXITCODES,
	OPT_JSON,
	OPT_WAIT,
	OPT_VERSION,
	OPT_TO,
	OPT_SERIAL,
	OPT_KEPT,
	OPT_RETRY,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "state", required_argument, NULL, OPT_STATE },
	{ "anchor", required_argument, NULL, OPT_ANCHOR },
	{ "server", required_argument, NULL, OPT_SERVER },
	{ "channel", required_argument, NULL, OPT_CHANNEL },
	{ "environment", required_argument, NULL, OPT_CHANNEL },
	{ "host", required_argument, NULL, OPT_HOST },
	{ "noop", no_argument, NULL, OPT_NOOP },
	{ "detailed-exitcodes", no_argument, NULL, OPT_EXITCODES },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "waitforlock", required_argument, NULL, OPT_WAIT },
	{ "to", required_argument, NULL, OPT_TO },
	{ "serial", required_argument, NULL, OPT_SERIAL },
	{ "kept", required_argument, NULL, OPT_KEPT },
	{ "retry", no_argument, NULL, OPT_RETRY },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

const char *
options_help(void)
{
	return "usage: pecia [--config FILE] [--root DIR] [--state DIR] "
	       "COMMAND "
	       "[OPTION...]\n"
	       "\n"
	       "commands\n"
	       "  init --anchor sha256:HEX   trust this origin; needed once\n"
	       "  run                        find the site's mirror, make this "
	       "machine what\n"
	       "                             the newest release says\n"
	       "  status                     which release, since when, from "
	       "where, how fresh\n"
	       "  verify                     every managed path that differs, "
	       "and "
	       "how\n"
	       "  rollback [--to SERIAL]     back to before the last run "
	       "that changed\n"
	       "                             something, or to that release\n"
	       "  bucket list [PATH]         what runs replaced or deleted\n"
	       "  bucket get PATH            its content\n"
	       "  bucket diff PATH           what differs from it now\n"
	       "  bucket restore PATH        back in its place, or --to FILE\n"
	       "  diff [PATH]                what differs from the release\n"
	       "  which PATH                 which transcript, release and "
	       "author it is from\n"
	       "\n"
	       "options\n"
	       "  --config FILE          [/etc/pecia/pecia.conf]\n"
	       "  --root DIR             apply below DIR [/]\n"
	       "  --state DIR            what pecia knows [/var/lib/pecia]\n"
	       "  --server HOST[:PORT]   use this server only; PECIA_SERVER "
	       "does "
	       "the same\n"
	       "  --channel NAME         line of releases [production]\n"
	       "  --host NAME            this machine's name [its host name]\n"
	       "  --noop                 show what run would change, change "
	       "nothing\n"
	       "  --detailed-exitcodes   0 the same, 1 failed, 2 changed\n"
	       "  --retry                run: apply a release that was rolled "
	       "back again\n"
	       "  --to SERIAL|FILE       of rollback, of bucket restore\n"
	       "  --serial N, --kept N   bucket: of this release, of this "
	       "kept run\n"
	       "  --waitforlock SECONDS  wait for another run to end [0]\n"
	       "  --json                 results for programs\n"
	       "  -v, --verbose          say each step\n"
	       "  -h, --help             this text\n"
	       "  --version              the version\n"
	       "\n"
	       "See pecia(8).\n";
}

static int
find_verb(const char *word, enum verb *verb, struct err *e)
{
	static const struct {
		const char *word;
		enum verb verb;
	} verbs[] = {
		{ "init", VERB_INIT },
		{ "run", VERB_RUN },
		{ "status", VERB_STATUS },
		{ "verify", VERB_VERIFY },
		{ "rollback", VERB_ROLLBACK },
		{ "bucket", VERB_BUCKET },
		{ "diff", VERB_DIFF },
		{ "which", VERB_WHICH },
		{ "help", VERB_HELP },
	};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(word, verbs[i].word) == 0) {
			*verb = verbs[i].verb;
			return 0;
		}
	return err_set(
	    e, ERR_USAGE, "unknown command %s; see pecia --help", word);
}

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
take_number(const char *option, const char *text, bool *given, uint64_t *v,
    struct err *e)
{
	if (text_u64(text, strlen(text), INT64_MAX, v) != 0)
		return err_set(
		    e, ERR_USAGE, "%s %s: not a number", option, text);
	*given = true;
	return 0;
}

static int
take_text(struct options *o, int opt, const char *text)
{
	switch (opt) {
	case OPT_CONFIG:
		o->config = text;
		return 0;
	case OPT_ROOT:
		o->root = text;
		return 0;
	case OPT_STATE:
		o->state = text;
		return 0;
	case OPT_ANCHOR:
		o->anchor = text;
		return 0;
	case OPT_SERVER:
		o->server = text;
		return 0;
	case OPT_CHANNEL:
		o->channel = text;
		return 0;
	case OPT_HOST:
		o->host = text;
		return 0;
	case OPT_TO:
		o->to = text;
		return 0;
	default:
		return ERR_USAGE;
	}
}

/* optopt is the letter of a short option, which may be one of several in a
 * word that getopt has not left yet. */
static int
unknown(const char *word, struct err *e)
{
	if (optopt > 0 && optopt < OPT_CONFIG)
		return err_set(e, ERR_USAGE,
		    "unknown option -%c; see pecia --help", optopt);
	return err_set(
	    e, ERR_USAGE, "unknown option %s; see pecia --help", word);
}

static int
take_option(struct options *o, int opt, const char *arg, const char *word,
    struct err *e)
{
	switch (opt) {
	case OPT_NOOP:
		o->noop = true;
		return 0;
	case OPT_EXITCODES:
		o->detailed_exitcodes = true;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		o->verb = VERB_HELP;
		return 0;
	case OPT_VERSION:
		o->verb = VERB_VERSION;
		return 0;
	case OPT_WAIT:
		return take_wait(o, arg, e);
	case OPT_SERIAL:
		return take_number(
		    "--serial", arg, &o->serial_given, &o->serial, e);
	case OPT_KEPT:
		return take_number("--kept", arg, &o->kept_given, &o->kept, e);
	case OPT_RETRY:
		o->retry = true;
		return 0;
	case ':':
		return err_set(e, ERR_USAGE, "%s needs a value", word);
	default:
		if (take_text(o, opt, arg) == 0)
			return 0;
		return unknown(word, e);
	}
}

/* Words of `bucket`, and whether they need a path. */
static int
check_bucket(const struct options *o, struct err *e)
{
	static const char *const words[] = { "list", "get", "diff", "restore" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(o->what, words[i]) != 0)
			continue;
		if (o->path == NULL && i > 0)
			return err_set(
			    e, ERR_USAGE, "bucket %s needs a path", o->what);
		return 0;
	}
	return err_set(e, ERR_USAGE,
	    "bucket %s: unknown; it is list, get, diff or restore", o->what);
}

static int
check_past(const struct options *o, struct err *e)
{
	const char *bucket = o->verb == VERB_BUCKET ? o->what : "";

	if (o->verb == VERB_BUCKET && check_bucket(o, e) != 0)
		return ERR_USAGE;
	if (o->verb == VERB_WHICH && o->path == NULL)
		return err_set(e, ERR_USAGE, "which needs a path");
	if (o->retry && o->verb != VERB_RUN)
		return err_set(e, ERR_USAGE, "--retry belongs to run");
	if (o->to != NULL && o->verb != VERB_ROLLBACK &&
	    strcmp(bucket, "restore") != 0)
		return err_set(e, ERR_USAGE,
		    "--to belongs to rollback and to bucket restore");
	if ((o->kept_given || o->serial_given) && o->verb != VERB_BUCKET &&
	    o->verb != VERB_ROLLBACK)
		return err_set(
		    e, ERR_USAGE, "--serial and --kept belong to bucket");
	return 0;
}

static int
check(const struct options *o, struct err *e)
{
	if (o->verb == VERB_NONE)
		return err_set(
		    e, ERR_USAGE, "no command given; see pecia --help");
	if (o->verb == VERB_INIT && o->anchor == NULL)
		return err_set(e, ERR_USAGE,
		    "init needs --anchor sha256:..., "
		    "the last line that `peciactl init` printed");
	if (o->verb != VERB_INIT && o->anchor != NULL)
		return err_set(e, ERR_USAGE, "--anchor belongs to init");
	if (o->noop && o->verb != VERB_RUN && o->verb != VERB_ROLLBACK)
		return err_set(
		    e, ERR_USAGE, "--noop belongs to run and rollback");
	return check_past(o, e);
}

/* What follows some commands: a word of bucket, a path; and rollback's
 * --to. */
static int
take_operands(struct options *o, int argc, char *const argv[], struct err *e)
{
	int at = optind;
	bool ignored;

	if (o->verb == VERB_BUCKET)
		o->what = at < argc ? argv[at++] : "list";
	if ((o->verb == VERB_BUCKET || o->verb == VERB_DIFF ||
	        o->verb == VERB_WHICH) &&
	    at < argc)
		o->path = argv[at++];
	if (at < argc)
		return err_set(
		    e, ERR_USAGE, "%s: unexpected; see pecia --help", argv[at]);
	if (o->verb != VERB_ROLLBACK)
		return 0;
	if (o->serial_given || o->kept_given)
		return err_set(e, ERR_USAGE, "rollback goes --to SERIAL");
	return o->to == NULL
	    ? 0
	    : take_number("--to", o->to, &ignored, &o->serial, e);
}

int
options_parse(int argc, char *const argv[], struct options *out, struct err *e)
{
	struct options o = { .verb = VERB_NONE };
	int opt, rc;

	optind = 0;
	while (
	    (opt = getopt_long(argc, argv, ":hv", long_options, NULL)) != -1) {
		rc = take_option(&o, opt, optarg, argv[optind - 1], e);
		if (rc != 0)
			return rc;
	}
	if (o.verb == VERB_NONE && optind < argc &&
	    (rc = find_verb(argv[optind++], &o.verb, e)) != 0)
		return rc;
	if (o.verb == VERB_HELP || o.verb == VERB_VERSION) {
		*out = o;
		return 0;
	}
	if ((rc = take_operands(&o, argc, argv, e)) != 0)
		return rc;
	if ((rc = check(&o, e)) == 0)
		*out = o;
	return rc;
}
