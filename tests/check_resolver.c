/* resolver: the candidates it gives, and each query it makes for them.
 *
 * tests/dnsd.py answers on a free port of 127.0.0.1 as resolver.rules say,
 * refuses what no rule names, and logs each query. */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/resolver.h"
#include "common/resolver_conf.h"
#include "common/resolver_query.h"
#include "tests/scratch.h"

#define PATH_BYTES 512
#define LOG_BYTES  65536
#define COUNT(a)   (sizeof(a) / sizeof((a)[0]))

static struct scratch scratch;
static char log_path[PATH_BYTES];
static pid_t dnsd_pid;
static int dnsd_stdin;
static struct sockaddr_in dnsd_addr;
static size_t log_start;

/* -- the server and the files -- */

static const char *
write_file(const char *name, const char *text, char path[PATH_BYTES])
{
	FILE *f;

	(void)snprintf(path, PATH_BYTES, "%s/%s", scratch.path, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	return path;
}

static void
start_dnsd(void)
{
	int in[2], out[2];
	unsigned long port;
	char line[32];
	FILE *f;

	scratch_make(&scratch);
	write_file("log", "", log_path);
	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	dnsd_pid = fork();
	ck_assert_int_ge(dnsd_pid, 0);
	if (dnsd_pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execlp("python3", "python3", "tests/dnsd.py",
		    "tests/resolver.rules", log_path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	dnsd_stdin = in[1];
	f = fdopen(out[0], "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_msg(fgets(line, sizeof(line), f) != NULL &&
	        strncmp(line, "ready ", 6) == 0,
	    "tests/dnsd.py did not start");
	port = strtoul(line + 6, NULL, 10);
	(void)fclose(f);
	dnsd_addr = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
}

static void
stop_dnsd(void)
{
	close(dnsd_stdin);
	waitpid(dnsd_pid, NULL, 0);
	scratch_remove(&scratch);
}

static void
read_log(char text[LOG_BYTES])
{
	FILE *f = fopen(log_path, "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, (long)log_start, SEEK_SET), 0);
	n = fread(text, 1, LOG_BYTES - 1, f);
	text[n] = '\0';
	(void)fclose(f);
}

/* Forgets the queries so far. */
static void
start_log(void)
{
	char text[LOG_BYTES];

	log_start = 0;
	read_log(text);
	log_start = strlen(text);
}

static unsigned
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)((uint64_t)t.tv_sec * 1000 +
	    (uint64_t)t.tv_nsec / 1000000);
}

static char conf_path[PATH_BYTES], hosts_path[PATH_BYTES];

/* Options for these search domains, with short time-outs. */
static struct resolver_options
options_for(const char *search, const char *hosts)
{
	char text[4096];

	start_log();
	(void)snprintf(
	    text, sizeof(text), "search %s\nnameserver 192.0.2.1\n", search);
	write_file("resolv.conf", text, conf_path);
	write_file("hosts", hosts, hosts_path);
	return (struct resolver_options){ .resolv_conf = conf_path,
		.hosts = hosts_path,
		.hostname = "host",
		.nameserver = &dnsd_addr,
		.timeout_ms = 600,
		.rounds = 1 };
}

/* Runs through all candidates; describes them in out, one a line; returns
 * whether the search was stopped. */
static bool
run_all(const struct resolver_options *o, char *out, size_t size)
{
	struct resolver_candidate *c = calloc(1, sizeof(*c));
	struct resolver *r = NULL;
	struct err e = ERR_INIT;
	char line[RESOLVER_DESCRIBE_BYTES];
	size_t len = 0;
	bool ill;
	int ret;

	ck_assert_ptr_nonnull(c);
	ret = resolver_new(o, &r, &e);
	ck_assert_msg(ret == 0, "%s", e.msg);
	out[0] = '\0';
	while ((ret = resolver_next(r, c, &e)) == 0) {
		ck_assert_uint_ge(c->count, 1);
		ck_assert_uint_le(c->count, LIMIT_ADDRESSES);
		resolver_describe(c, 0, line);
		len += (size_t)snprintf(out + len, size - len, "%s\n", line);
		ck_assert_uint_lt(len, size);
	}
	ck_assert_msg(ret == ERR_NOT_FOUND, "%d %s", ret, e.msg);
	ck_assert_int_eq(resolver_next(r, c, &e), ERR_NOT_FOUND);
	ill = resolver_is_ill(r);
	resolver_free(r);
	free(c);
	return ill;
}

/* -- the search: what each answer of the first domain leads to -- */

#define OK_LINE "pecia -> pecia.ok.test (search) -> 10.1.0.5\n"
#define FB_LINE "192.0.2.7 (fallback) -> 192.0.2.7\n"
#define OK_ASKED                              \
 "udp pecia.ok.test A\nudp pecia.ok.test A\n" \
 "udp pecia.ok.test AAAA\n"
#define ASKED(d, t) "udp pecia." d ".test " t "\n"

static const struct {
	const char *site; /* asked before ok.test */
	const char *candidates;
	const char *asked;
	const char *said; /* in the trace */
	bool ill;
} search_cases[] = {
	{ "nx", OK_LINE FB_LINE, ASKED("nx", "A") OK_ASKED, "NXDOMAIN", false },
	{ "nodata", OK_LINE FB_LINE,
	    ASKED("nodata", "A") ASKED("nodata", "AAAA") OK_ASKED, "no data",
	    false },
	{ "servfail", FB_LINE, ASKED("servfail", "A"), "SERVFAIL", true },
	{ "refused", FB_LINE, ASKED("refused", "A"), "REFUSED", true },
	{ "drop", FB_LINE, ASKED("drop", "A"), "timed out", true },
	{ "lame", FB_LINE, ASKED("lame", "A"),
	    "name server has no answer and seeks none", true },
	{ "garbage", FB_LINE, ASKED("garbage", "A"), "malformed answer", true },
	{ "notimp", FB_LINE, ASKED("notimp", "A"), "error answer", true },
	{ "wrongid", FB_LINE, ASKED("wrongid", "A"), "timed out", true },
	{ "wrongname", FB_LINE, ASKED("wrongname", "A"), "timed out", true },
	{ "mute", FB_LINE, ASKED("mute", "A") "tcp pecia.mute.test A\n",
	    "timed out", true },
	{ "cut", FB_LINE, ASKED("cut", "A") "tcp pecia.cut.test A\n",
	    "name server unreachable", true },
	{ "loop", FB_LINE, ASKED("loop", "A"), "malformed answer", true },
	{ "counts", FB_LINE, ASKED("counts", "A"), "malformed answer", true },
	{ "chop", FB_LINE, ASKED("chop", "A"), "malformed answer", true },
	{ "other", OK_LINE FB_LINE,
	    ASKED("other", "A") ASKED("other", "AAAA") OK_ASKED, "no data",
	    false },
	{ "short", OK_LINE FB_LINE,
	    ASKED("short", "A") ASKED("short", "AAAA") OK_ASKED, "no data",
	    false },
	{ "chain", FB_LINE, ASKED("chain", "A"), "malformed answer", true },
	{ "circle", FB_LINE, ASKED("circle", "A"), "malformed answer", true },
};

START_TEST(only_no_such_name_leads_to_the_next_domain)
{
	static const char *const fallback[] = { "192.0.2.7" };
	char search[64], out[1024], asked[LOG_BYTES], said[128];
	struct resolver_options o;
	struct resolver_candidate *c = calloc(1, sizeof(*c));
	struct resolver *r = NULL;
	struct err e = ERR_INIT;
	unsigned start;

	ck_assert_ptr_nonnull(c);
	(void)snprintf(
	    search, sizeof(search), "%s.test ok.test", search_cases[_i].site);
	o = options_for(search, "");
	o.fallback = fallback;
	o.fallback_count = 1;
	start = now_ms();
	ck_assert_int_eq(run_all(&o, out, sizeof(out)), search_cases[_i].ill);
	ck_assert_uint_lt(now_ms() - start, 4000);
	read_log(asked);
	ck_assert_str_eq(out, search_cases[_i].candidates);
	ck_assert_str_eq(asked, search_cases[_i].asked);

	ck_assert_int_eq(resolver_new(&o, &r, &e), 0);
	while (resolver_next(r, c, &e) == 0)
		continue;
	(void)snprintf(said, sizeof(said), "pecia.%s.test: %s\n",
	    search_cases[_i].site, search_cases[_i].said);
	ck_assert_msg(
	    strstr(resolver_trace(r), said) != NULL, "%s", resolver_trace(r));
	said[strlen(said) - 1] = '\0';
	ck_assert_msg(strstr(e.msg, said) != NULL, "%s", e.msg);
	resolver_free(r);
	free(c);
}
END_TEST

static const struct {
	const char *site;
	const char *candidate;
} found_cases[] = {
	{ "ok", "10.1.0.5" },
	{ "six", "fd00::5" },
	{ "alias", "10.1.0.7" },
	{ "tc", "10.1.0.9" },
	{ "stale", "10.1.0.10" },
	{ "slow", "10.1.0.8" },
	{ "many", "10.0.0.0" },
};

START_TEST(addresses_are_found)
{
	char search[64], out[1024], want[128];
	struct resolver_options o;

	(void)snprintf(search, sizeof(search), "%s.test", found_cases[_i].site);
	o = options_for(search, "");
	o.timeout_ms = 1500;
	run_all(&o, out, sizeof(out));
	(void)snprintf(want, sizeof(want),
	    "pecia -> pecia.%s.test (search) -> %s\n", found_cases[_i].site,
	    found_cases[_i].candidate);
	ck_assert_str_eq(out, want);
}
END_TEST

START_TEST(nothing_is_asked_before_it_is_needed)
{
	struct resolver_options o = options_for("two.test ok.test", "");
	struct resolver_candidate *c = calloc(1, sizeof(*c));
	struct resolver *r = NULL;
	struct err e = ERR_INIT;
	char asked[LOG_BYTES], line[RESOLVER_DESCRIBE_BYTES];

	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(resolver_new(&o, &r, &e), 0);
	read_log(asked);
	ck_assert_str_eq(asked, "");
	ck_assert_int_eq(resolver_next(r, c, &e), 0);
	read_log(asked);
	ck_assert_str_eq(
	    asked, ASKED("two", "A") ASKED("two", "A") ASKED("two", "AAAA"));
	ck_assert_uint_eq(c->count, 2);
	ck_assert_int_eq(c->source, RESOLVER_BY_SEARCH);
	ck_assert_str_eq(c->domain, "two.test");
	ck_assert_str_eq(c->host, "pecia.two.test");
	ck_assert_uint_eq(c->port, RESOLVER_PORT);
	resolver_describe(c, 1, line);
	ck_assert_ptr_nonnull(strstr(line, " -> 10.2.0."));
	ck_assert_str_eq(
	    resolver_trace(r), "pecia.two.test: 10.2.0.5 10.2.0.6 (dns)\n");
	resolver_free(r);
	free(c);
}
END_TEST

START_TEST(a_dead_name_server_is_told_from_a_silent_one)
{
	struct resolver_options o = options_for("ok.test", "");
	struct sockaddr_in closed = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct resolver_candidate *c = calloc(1, sizeof(*c));
	struct resolver *r = NULL;
	struct err e = ERR_INIT;
	socklen_t len = sizeof(closed);
	int tcp = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(
	    bind(tcp, (struct sockaddr *)&closed, sizeof(closed)), 0);
	ck_assert_int_eq(getsockname(tcp, (struct sockaddr *)&closed, &len), 0);
	o.nameserver = &closed;
	o.rounds = 2;
	ck_assert_int_eq(resolver_new(&o, &r, &e), 0);
	ck_assert_int_eq(resolver_next(r, c, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(
	    strstr(e.msg, "pecia.ok.test: name server unreachable"));
	ck_assert(resolver_is_ill(r));
	resolver_free(r);
	free(c);
	close(tcp);
}
END_TEST

/* -- several servers, below the search -- */

START_TEST(the_next_server_answers_for_a_silent_one)
{
	struct resolver_answer *a = calloc(1, sizeof(*a));
	struct dial_address addrs[3];
	struct resolver_servers servers = {
		.addrs = addrs, .count = 3, .timeout_ms = 600, .rounds = 2
	};
	struct sockaddr_in own = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct err e = ERR_INIT;
	socklen_t len = sizeof(own);
	int silent = socket(AF_INET, SOCK_DGRAM, 0);

	ck_assert_ptr_nonnull(a);
	ck_assert_int_eq(bind(silent, (struct sockaddr *)&own, len), 0);
	ck_assert_int_eq(getsockname(silent, (struct sockaddr *)&own, &len), 0);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(
		    dial_address_from_socket(&addrs[i], (struct sockaddr *)&own,
		        ntohs(i < 2 ? own.sin_port : dnsd_addr.sin_port)),
		    0);
	ck_assert_int_eq(
	    resolver_query(&servers, "pecia.ok.test", RESOLVER_A, 7440, a, &e),
	    0);
	ck_assert_int_eq(a->status, RESOLVER_FOUND);
	ck_assert_uint_eq(servers.first, 2);
	/* SERVFAIL says more than silence, and is what is reported. */
	ck_assert_int_eq(resolver_query(&servers, "pecia.servfail.test",
	                     RESOLVER_A, 7440, a, &e),
	    0);
	ck_assert_int_eq(a->status, RESOLVER_SERVFAIL);
	close(silent);
	free(a);
}
END_TEST

/* -- SRV -- */

static uint32_t
fixed(void *arg, uint32_t last)
{
	const uint32_t *v = arg;

	return *v <= last ? *v : last;
}

static const struct {
	const char *search;
	const char *candidates;
	const char *asked;
	bool ill;
} srv_cases[] = {
	{ "srv.test",
	    "_pecia._tcp.srv.test -> a.srv.test:7002 (srv) -> 10.3.0.1\n"
	    "_pecia._tcp.srv.test -> b.srv.test:7003 (srv) -> 10.3.0.2\n"
	    "_pecia._tcp.srv.test -> c.srv.test:7001 (srv) -> 10.3.0.3\n"
	    "pecia -> pecia.srv.test (search) -> 10.3.0.4\n",
	    "udp _pecia._tcp.srv.test SRV\n"
	    "udp a.srv.test A\nudp a.srv.test A\nudp a.srv.test AAAA\n"
	    "udp b.srv.test A\nudp b.srv.test A\nudp b.srv.test AAAA\n"
	    "udp c.srv.test A\nudp c.srv.test A\nudp c.srv.test AAAA\n"
	    "udp pecia.srv.test A\nudp pecia.srv.test A\n"
	    "udp pecia.srv.test AAAA\n",
	    false },
	{ "nx.test same.test",
	    "_pecia._tcp.same.test -> pecia.same.test (srv) -> 10.3.0.5\n",
	    "udp _pecia._tcp.nx.test SRV\nudp pecia.nx.test A\n"
	    "udp _pecia._tcp.same.test SRV\nudp pecia.same.test A\n"
	    "udp pecia.same.test A\nudp pecia.same.test AAAA\n",
	    false },
	{ "none.test nx.test", "",
	    "udp _pecia._tcp.none.test SRV\nudp _pecia._tcp.nx.test SRV\n"
	    "udp pecia.nx.test A\n",
	    false },
	{ "illsrv.test nx.test", "", "udp _pecia._tcp.illsrv.test SRV\n",
	    true },
	{ "illtarget.test nx.test",
	    "_pecia._tcp.illtarget.test -> y.illtarget.test:7001 (srv)"
	    " -> 10.3.0.6\n",
	    "udp _pecia._tcp.illtarget.test SRV\nudp x.illtarget.test A\n"
	    "udp y.illtarget.test A\nudp y.illtarget.test A\n"
	    "udp y.illtarget.test AAAA\n",
	    true },
	{ "odd.test", "", "udp _pecia._tcp.odd.test SRV\n", false },
	{ "tcsrv.test",
	    "_pecia._tcp.tcsrv.test -> a.srv.test:7001 (srv) -> 10.3.0.1\n",
	    "udp _pecia._tcp.tcsrv.test SRV\ntcp _pecia._tcp.tcsrv.test SRV\n"
	    "udp a.srv.test A\nudp a.srv.test A\nudp a.srv.test AAAA\n"
	    "udp pecia.tcsrv.test A\n",
	    true },
};

START_TEST(srv_records_come_before_the_short_name)
{
	char out[2048], asked[LOG_BYTES];
	uint32_t lowest = 0;
	struct resolver_options o = options_for(srv_cases[_i].search, "");

	o.use_srv = true;
	o.random = fixed;
	o.random_arg = &lowest;
	ck_assert_int_eq(run_all(&o, out, sizeof(out)), srv_cases[_i].ill);
	read_log(asked);
	ck_assert_str_eq(out, srv_cases[_i].candidates);
	ck_assert_str_eq(asked, srv_cases[_i].asked);
}
END_TEST

START_TEST(a_search_for_srv_records_alone_asks_for_no_short_name)
{
	struct resolver_options o = options_for("srv.test a.test", "");
	char out[2048], asked[LOG_BYTES];
	uint32_t lowest = 0;

	o.use_srv = o.srv_only = true;
	o.random = fixed;
	o.random_arg = &lowest;
	run_all(&o, out, sizeof(out));
	read_log(asked);
	ck_assert_ptr_nonnull(strstr(out, "(srv) -> 10.3.0.1\n"));
	ck_assert_ptr_null(strstr(out, "(search)"));
	ck_assert_ptr_nonnull(strstr(asked, "_pecia._tcp.a.test SRV"));
	ck_assert_ptr_null(strstr(asked, "udp pecia."));
}
END_TEST

START_TEST(the_usual_order_of_chance_is_any)
{
	struct resolver_options o = options_for("srv.test", "");
	char out[2048];

	o.use_srv = true;
	run_all(&o, out, sizeof(out));
	ck_assert_ptr_nonnull(strstr(out, "(srv) -> 10.3.0.1\n"));
	ck_assert_ptr_nonnull(strstr(out, "(srv) -> 10.3.0.2\n"));
	ck_assert_ptr_nonnull(
	    strstr(out, "(srv) -> 10.3.0.3\npecia -> pecia.srv.test (search)"));
}
END_TEST

/* -- the hosts file -- */

static const struct {
	const char *search;
	const char *hosts;
	const char *candidates;
	const char *asked;
} file_cases[] = {
	/* DNS says NXDOMAIN. */
	{ "nx.test", "10.9.0.1 pecia.nx.test\n10.9.0.2 pecia.nx.test\n",
	    "pecia -> pecia.nx.test (search) -> 10.9.0.1\n", "" },
	/* No name server answers. */
	{ "drop.test", "10.9.0.1 pecia.drop.test\n",
	    "pecia -> pecia.drop.test (search) -> 10.9.0.1\n", "" },
	{ "nx.test ok.test", "10.9.0.1 other pecia.ok.test\n",
	    "pecia -> pecia.ok.test (search) -> 10.9.0.1\n",
	    "udp pecia.nx.test A\n" },
	/* The short name itself. */
	{ "nx.test", "10.9.0.3 pecia\n", "pecia (search) -> 10.9.0.3\n",
	    "udp pecia.nx.test A\n" },
};

START_TEST(the_hosts_file_comes_before_dns)
{
	char out[1024], asked[LOG_BYTES];
	struct resolver_options o =
	    options_for(file_cases[_i].search, file_cases[_i].hosts);

	run_all(&o, out, sizeof(out));
	read_log(asked);
	ck_assert_str_eq(out, file_cases[_i].candidates);
	ck_assert_str_eq(asked, file_cases[_i].asked);
}
END_TEST

/* -- servers that were asked for -- */

static const struct {
	const char *server;
	const char *candidates;
	const char *asked;
} server_cases[] = {
	{ "full.test", "full.test (server) -> 10.4.0.1\n",
	    "udp full.test A\nudp full.test A\nudp full.test AAAA\n" },
	{ "full.test.:99", "full.test:99 (server) -> 10.4.0.1\n",
	    "udp full.test A\nudp full.test A\nudp full.test AAAA\n" },
	{ "10.4.0.9", "10.4.0.9 (server) -> 10.4.0.9\n", "" },
	{ "[fd00::9]:80", "[fd00::9]:80 (server) -> fd00::9\n", "" },
	{ "mirror", "mirror -> mirror.ok.test (server) -> 10.1.0.11\n",
	    "udp mirror.nx.test A\nudp mirror.ok.test A\nudp mirror.ok.test A\n"
	    "udp mirror.ok.test AAAA\n" },
	{ "mirror:81", "", "" },
	{ "mirror.", "", "" },
	{ "known:81", "known:81 (server) -> 10.9.0.4\n", "" },
	{ "known", "known (server) -> 10.9.0.4\n",
	    "udp known.nx.test A\nudp known.ok.test A\n" },
};

START_TEST(a_server_with_a_dot_or_port_is_never_searched)
{
	char out[1024], asked[LOG_BYTES];
	struct resolver_options o =
	    options_for("nx.test ok.test", "10.9.0.4 known\n");

	o.server = server_cases[_i].server;
	o.server_only = true;
	o.use_srv = true;
	run_all(&o, out, sizeof(out));
	read_log(asked);
	ck_assert_str_eq(out, server_cases[_i].candidates);
	ck_assert_str_eq(asked, server_cases[_i].asked);
}
END_TEST

START_TEST(after_the_server_come_search_fallback_and_roster)
{
	static const char *const fallback[] = { "192.0.2.1", "full.test:80",
		"short", "[fd00::1]" };
	static const char *const roster[] = { "not a host", "192.0.2.1",
		"192.0.2.2:90" };
	struct resolver_options o = options_for("ok.test", "");
	char out[1024], asked[LOG_BYTES];

	o.server = "192.0.2.9";
	o.fallback = fallback;
	o.fallback_count = COUNT(fallback);
	o.roster = roster;
	o.roster_count = COUNT(roster);
	o.port = 7000;
	run_all(&o, out, sizeof(out));
	read_log(asked);
	ck_assert_str_eq(out,
	    "192.0.2.9:7000 (server) -> 192.0.2.9\n"
	    "pecia -> pecia.ok.test:7000 (search) -> 10.1.0.5\n"
	    "192.0.2.1:7000 (fallback) -> 192.0.2.1\n"
	    "full.test:80 (fallback) -> 10.4.0.1\n"
	    "[fd00::1]:7000 (fallback) -> fd00::1\n"
	    "192.0.2.2:90 (roster) -> 192.0.2.2\n");
	ck_assert_str_eq(asked,
	    OK_ASKED "udp full.test A\nudp full.test A\n"
	             "udp full.test AAAA\n");
}
END_TEST

START_TEST(without_search_there_are_the_hosts_given)
{
	static const char *const fallback[] = { "192.0.2.1" };
	struct resolver_options o = options_for("ok.test", "10.9.0.1 pecia\n");
	char out[1024], asked[LOG_BYTES];

	o.no_search = true;
	o.use_srv = true;
	o.fallback = fallback;
	o.fallback_count = COUNT(fallback);
	run_all(&o, out, sizeof(out));
	ck_assert_str_eq(out, "192.0.2.1 (fallback) -> 192.0.2.1\n");
	o.server = "192.0.2.9";
	run_all(&o, out, sizeof(out));
	ck_assert_str_eq(out,
	    "192.0.2.9 (server) -> 192.0.2.9\n"
	    "192.0.2.1 (fallback) -> 192.0.2.1\n");
	o.server = "mirror";
	run_all(&o, out, sizeof(out));
	ck_assert_str_eq(out,
	    "mirror -> mirror.ok.test (server) -> 10.1.0.11\n"
	    "192.0.2.1 (fallback) -> 192.0.2.1\n");
	read_log(asked);
	ck_assert_ptr_null(strstr(asked, "pecia"));
}
END_TEST

static const char *const bad_hosts[] = { "a b.test", "host:0", "host:65536",
	"host:", ":80", "[fd00::1", "fd00::1", "..", "-x", "a..b", "h\n.test",
	"http://host/" };

START_TEST(what_is_no_host_is_refused_by_name)
{
	struct resolver_options o = options_for("ok.test", "");
	struct resolver *r = NULL;
	struct err e = ERR_INIT;

	o.server = bad_hosts[_i];
	ck_assert_int_eq(resolver_new(&o, &r, &e), ERR_USAGE);
	ck_assert_ptr_eq(r, NULL);
	ck_assert_ptr_eq(strstr(e.msg, "server: "), e.msg);
	ck_assert_int_eq(resolver_new(&o, &r, NULL), ERR_USAGE);
	o.server = "";
	o.fallback = &bad_hosts[_i];
	o.fallback_count = 1;
	ck_assert_int_eq(resolver_new(&o, &r, &e), ERR_USAGE);
	ck_assert_ptr_eq(strstr(e.msg, "fallback: "), e.msg);
	o.fallback_count = 0;
	o.label = "two.labels";
	ck_assert_int_eq(resolver_new(&o, &r, &e), ERR_USAGE);
}
END_TEST

/* -- surroundings -- */

START_TEST(the_environment_changes_nothing)
{
	struct resolver_options o = options_for("nx.test", "");
	char out[1024], asked[LOG_BYTES], aliases[PATH_BYTES];

	write_file("aliases", "pecia pecia.ok.test\n", aliases);
	setenv("LOCALDOMAIN", "ok.test", 1);
	setenv("RES_OPTIONS", "ndots:9 use-vc", 1);
	setenv("HOSTALIASES", aliases, 1);
	o.server = "full.test";
	run_all(&o, out, sizeof(out));
	read_log(asked);
	ck_assert_str_eq(out, "full.test (server) -> 10.4.0.1\n");
	ck_assert_str_eq(asked,
	    "udp full.test A\nudp full.test A\n"
	    "udp full.test AAAA\nudp pecia.nx.test A\n");
}
END_TEST

START_TEST(missing_files_leave_the_fallback)
{
	static const char *const fallback[] = { "192.0.2.7" };
	struct resolver_options o = options_for("ok.test", "");
	struct resolver_candidate *c = calloc(1, sizeof(*c));
	struct resolver *r = NULL;
	struct err e = ERR_INIT;

	ck_assert_ptr_nonnull(c);
	o.resolv_conf = "/nonexistent/resolv.conf";
	o.hosts = "/nonexistent/hosts";
	o.fallback = fallback;
	o.fallback_count = 1;
	ck_assert_int_eq(resolver_new(&o, &r, &e), 0);
	ck_assert_int_eq(resolver_next(r, c, &e), 0);
	ck_assert_int_eq(c->source, RESOLVER_BY_FALLBACK);
	ck_assert_int_eq(resolver_next(r, c, &e), ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.msg, "/nonexistent/resolv.conf"));
	ck_assert_ptr_nonnull(strstr(e.msg, "no domain to search"));
	resolver_free(r);
	o.hostname = "host.ok.test";
	ck_assert_int_eq(resolver_new(&o, &r, &e), 0);
	ck_assert_int_eq(resolver_next(r, c, &e), 0);
	ck_assert_str_eq(c->host, "pecia.ok.test");
	resolver_free(r);
	free(c);
}
END_TEST

START_TEST(candidates_are_bounded)
{
	struct resolver_options o = options_for("nx.test", "");
	const char *roster[2 * LIMIT_CANDIDATES];
	char text[2 * LIMIT_CANDIDATES][16], out[16384];
	size_t lines = 0;

	for (size_t i = 0; i < COUNT(roster); i++) {
		(void)snprintf(text[i], sizeof(text[i]), "10.0.0.%zu", i);
		roster[i] = text[i];
	}
	o.roster = roster;
	o.roster_count = COUNT(roster);
	run_all(&o, out, sizeof(out));
	for (const char *p = out; *p != '\0'; p++)
		lines += *p == '\n';
	ck_assert_uint_eq(lines, LIMIT_CANDIDATES);
}
END_TEST

START_TEST(names_too_long_to_be_are_not_asked_for)
{
	char domain[LIMIT_HOST_BYTES + 1], search[512], out[1024];
	char asked[LOG_BYTES];
	struct resolver_options o;

	for (size_t i = 0; i < LIMIT_HOST_BYTES; i++)
		domain[i] = i % 2 == 0 ? 'a' : '.';
	domain[LIMIT_HOST_BYTES] = '\0';
	(void)snprintf(search, sizeof(search), "%s ok.test", domain);
	o = options_for(search, "");
	run_all(&o, out, sizeof(out));
	ck_assert_str_eq(out, OK_LINE);
	read_log(asked);
	ck_assert_str_eq(asked, OK_ASKED);
}
END_TEST

#define ADD_LOOP(t, f, cases) tcase_add_loop_test(t, f, 0, (int)COUNT(cases))

int
main(void)
{
	Suite *suite = suite_create("resolver");
	TCase *names = tcase_create("names");
	SRunner *runner;
	int failed;

	tcase_add_unchecked_fixture(names, start_dnsd, stop_dnsd);
	ADD_LOOP(
	    names, only_no_such_name_leads_to_the_next_domain, search_cases);
	ADD_LOOP(names, addresses_are_found, found_cases);
	tcase_add_test(names, nothing_is_asked_before_it_is_needed);
	tcase_add_test(names, a_dead_name_server_is_told_from_a_silent_one);
	tcase_add_test(names, the_next_server_answers_for_a_silent_one);
	ADD_LOOP(names, srv_records_come_before_the_short_name, srv_cases);
	tcase_add_test(
	    names, a_search_for_srv_records_alone_asks_for_no_short_name);
	tcase_add_test(names, the_usual_order_of_chance_is_any);
	ADD_LOOP(names, the_hosts_file_comes_before_dns, file_cases);
	ADD_LOOP(
	    names, a_server_with_a_dot_or_port_is_never_searched, server_cases);
	tcase_add_test(names, after_the_server_come_search_fallback_and_roster);
	tcase_add_test(names, without_search_there_are_the_hosts_given);
	ADD_LOOP(names, what_is_no_host_is_refused_by_name, bad_hosts);
	tcase_add_test(names, the_environment_changes_nothing);
	tcase_add_test(names, missing_files_leave_the_fallback);
	tcase_add_test(names, candidates_are_bounded);
	tcase_add_test(names, names_too_long_to_be_are_not_asked_for);
	suite_add_tcase(suite, names);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
