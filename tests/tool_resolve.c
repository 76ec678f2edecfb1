/* Shows on the system's own files and name servers what the resolver finds.
 *
 *   tool_resolve [--server S] [--srv] [--dial] [FALLBACK...]
 *
 * One line a candidate; with --dial each is connected to, and the first that
 * stands ends the run.  Then the trace, each line after "# ".  Exit status 1:
 * there was none. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/resolver.h"

static unsigned
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)((uint64_t)t.tv_sec * 1000 +
	    (uint64_t)t.tv_nsec / 1000000);
}

/* Whether the candidate is what is wanted. */
static bool
show(const struct resolver_candidate *c, bool connect)
{
	char line[RESOLVER_DESCRIBE_BYTES];
	unsigned start = now_ms();
	struct err e = ERR_INIT;
	size_t index = 0;
	int fd = -1;

	if (connect && dial(c->addrs, c->count, NULL, &fd, &index, &e) != 0) {
		(void)printf("%s: %s\n", c->host, e.msg);
		return false;
	}
	resolver_describe(c, index, line);
	(void)printf("%s\n", line);
	if (!connect)
		return false;
	close(fd);
	(void)printf("connected in %u ms\n", now_ms() - start);
	return true;
}

static void
show_trace(const struct resolver *r)
{
	bool start = true;

	for (const char *p = resolver_trace(r); *p != '\0'; p++) {
		(void)printf("%s%c", start ? "# " : "", *p);
		start = *p == '\n';
	}
}

int
main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "server", required_argument, NULL, 's' },
		{ "srv", no_argument, NULL, 'v' },
		{ "dial", no_argument, NULL, 'd' },
		{ NULL, 0, NULL, 0 },
	};
	static struct resolver_candidate c;
	struct resolver_options o = { .server = getenv("PECIA_SERVER"),
		.timeout_ms = 1000 };
	struct resolver *r = NULL;
	struct err e = ERR_INIT;
	bool connect = false, found = false, done = false;
	int option, ret;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == 's')
			o.server = optarg;
		else if (option == 'v')
			o.use_srv = true;
		else if (option == 'd')
			connect = true;
		else
			return 2;
	}
	o.fallback = (const char *const *)&argv[optind];
	o.fallback_count = (size_t)(argc - optind);
	ret = resolver_new(&o, &r, &e);
	while (ret == 0 && !done && (ret = resolver_next(r, &c, &e)) == 0) {
		done = show(&c, connect);
		found = done || !connect;
	}
	if (ret != 0 && ret != ERR_NOT_FOUND)
		(void)fprintf(stderr, "tool_resolve: %s\n", e.msg);
	if (r != NULL)
		show_trace(r);
	resolver_free(r);
	return found ? 0 : 1;
}
