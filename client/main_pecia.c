/* pecia: the client; started by root, or by anybody for a tree of his own. */
#include <signal.h>
#include <stdio.h>

#include "client/run.h"
#include "common/log.h"

static int
dispatch(const struct options *o, const struct settings *s)
{
	switch (o->verb) {
	case VERB_INIT:
		return run_init(o, s);
	case VERB_RUN:
		return run_run(o, s);
	case VERB_STATUS:
		return run_status(o, s);
	case VERB_VERIFY:
		return run_verify(o, s);
	case VERB_ROLLBACK:
		return run_rollback(o, s);
	case VERB_BUCKET:
		return run_bucket(o, s);
	case VERB_DIFF:
		return run_diff(o, s);
	case VERB_WHICH:
		return run_which(o, s);
	default:
		return EXIT_USAGE;
	}
}

int
main(int argc, char *argv[])
{
	struct err e = ERR_INIT;
	struct settings settings;
	struct options o;
	int status;

	(void)signal(SIGPIPE, SIG_IGN);
	if (options_parse(argc, argv, &o, &e) != 0) {
		(void)fprintf(stderr, "pecia: %s\n", e.msg);
		return EXIT_USAGE;
	}
	if (o.verb == VERB_HELP) {
		(void)fputs(options_help(), stdout);
		return 0;
	}
	if (o.verb == VERB_VERSION) {
		(void)puts("pecia " PECIA_VERSION);
		return 0;
	}
	log_start("pecia", o.verbose ? LOG_INFO : LOG_WARNING);
	if (settings_load(&o, &settings, &e) != 0) {
		(void)fprintf(stderr, "pecia: %s\n", e.msg);
		return EXIT_USAGE;
	}
	status = dispatch(&o, &settings);
	settings_release(&settings);
	return status;
}
