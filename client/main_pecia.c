/* pecia: the client; started by root, or by anybody for a tree of his own. */
#include <signal.h>
#include <stdio.h>

#include "client/verbs.h"
#include "common/log.h"

static int
print_help(void)
{
	struct buf text;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	options_help(&text);
	(void)fputs(buf_str(&text), stdout);
	buf_release(&text);
	return 0;
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
	if (o.verb == VERB_HELP)
		return print_help();
	if (o.verb == VERB_VERSION) {
		(void)puts("pecia " PECIA_VERSION);
		return 0;
	}
	log_start("pecia", o.verbose ? LOG_INFO : LOG_WARNING);
	if (settings_load(&o, &settings, &e) != 0) {
		(void)fprintf(stderr, "pecia: %s\n", e.msg);
		return EXIT_USAGE;
	}
	status = verb_find(o.verb)(&o, &settings);
	settings_release(&settings);
	return status;
}
