/* peciactl: the operator's program on the origin.  One process with the
 * operator's rights; threads where contents are hashed and compressed. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/ctl.h"

int
main(int argc, char *argv[])
{
	struct ctl_options options;
	struct err e = ERR_INIT;

	(void)signal(SIGPIPE, SIG_IGN);
	/* What compressors free goes back at once, to be had by the next. */
	mallopt(M_MMAP_THRESHOLD, 1024 * 1024);
	if (ctl_options_parse(argc, argv, &options, &e) != 0) {
		(void)fprintf(stderr, "peciactl: %s\n", e.msg);
		return CTL_USAGE;
	}
	ctl_options_defaults(
	    &options, getenv("PECIA_REPO"), getenv("PECIA_KEYS"));
	return ctl_run(&options);
}
