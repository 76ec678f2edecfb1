/* What peciad is told. */
#include "server/daemon_options.h"

#include <getopt.h>

#include "common/config.h"
#include "common/limits.h"
#include "common/text.h"
#include "common/words.h"
#include "server/replicate.h"
#include "server/upstreams.h"

enum {
	OPT_CONFIG = 256,
	OPT_REPO,
	OPT_IDENTITY,
	OPT_LISTEN,
	OPT_UPSTREAM,
	OPT_ANCHOR,
	OPT_KEYS,
	OPT_USER,
	OPT_WORKERS,
	OPT_ACCESS_LOG,
	OPT_SHOW_IDENTITY,
	OPT_NEXT_IDENTITY,
	OPT_USE_NEXT_IDENTITY,
	OPT_JSON,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, OPT_CONFIG },
	{ "repo", required_argument, NULL, OPT_REPO },
	{ "identity", required_argument, NULL, OPT_IDENTITY },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "upstream", required_argument, NULL, OPT_UPSTREAM },
	{ "anchor", required_argument, NULL, OPT_ANCHOR },
	{ "keys", required_argument, NULL, OPT_KEYS },
	{ "user", required_argument, NULL, OPT_USER },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "access-log", no_argument, NULL, OPT_ACCESS_LOG },
	{ "show-identity", no_argument, NULL, OPT_SHOW_IDENTITY },
	{ "next-identity", no_argument, NULL, OPT_NEXT_IDENTITY },
	{ "use-next-identity", no_argument, NULL, OPT_USE_NEXT_IDENTITY },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

const char *
daemon_options_help(void)
{
	return "usage: peciad [OPTION...]\n"
	       "       peciad seed [OPTION...] DIR|ARCHIVE\n"
	       "       peciad status [--json] [OPTION...]\n"
	       "Serves a repository to mirrors and clients; with --upstream, "
	       "keeps it replicated.\n"
	       "seed: what an empty mirror needs is first taken from a local "
	       "tree, backup\n"
	       "or archive, as far as it is there.\n"
	       "\n"
	       "  --repo DIR               the repository "
	       "[" DAEMON_REPO "]\n"
	       "  --identity DIR           our key and certificate, made when "
	       "missing\n"
	       "                           [" DAEMON_IDENTITY "]\n"
	       "  --listen ADDR:PORT[,...] where to serve "
	       "[" DAEMON_LISTEN "]\n"
	       "  --upstream HOST[:PORT]   be a mirror of it; again for more, "
	       "best first;\n"
	       "                           srv: what DNS names\n"
	       "  --anchor sha256:HEX      what a new mirror trusts; needed "
	       "once\n"
	       "  --keys DIR               an origin's keys: heads are kept "
	       "fresh\n"
	       "  --user NAME              whom the processes become "
	       "[owner of the repository]\n"
	       "  --workers N              serving processes [one a "
	       "processor]\n"
	       "  --access-log             log each request\n"
	       "  --config FILE            the same, as an INI file "
	       "[" DAEMON_CONFIG "]\n"
	       "  --show-identity          print sha256:HEX of our key and "
	       "end\n"
	       "  --next-identity          make the key to come, print it and "
	       "end\n"
	       "  --use-next-identity      make it the key from the next HUP "
	       "on\n"
	       "  --json                   of status: as the daemon says it\n"
	       "  -v, --verbose            log more\n"
	       "  -h, --help               this text\n"
	       "  --version                the version\n"
	       "\n"
	       "See peciad(8).\n";
}

void
daemon_options_release(struct daemon_options *o)
{
	free(o->config);
	free(o->repo);
	free(o->identity);
	free(o->keys);
	free(o->anchor);
	free(o->user);
	free(o->source);
	free(o->on_healthy);
	free(o->on_unhealthy);
	free(o->health_user);
	for (size_t i = 0; i < o->listen_count; i++)
		free(o->listens[i]);
	for (size_t i = 0; i < o->upstream_count; i++)
		free(o->upstreams[i]);
	memset(o, 0, sizeof(*o));
}

/* The first value stays: flags are read before the file. */
static int
set(char **dst, const char *text, struct err *e)
{
	if (*dst != NULL)
		return 0;
	*dst = strdup(text);
	return *dst != NULL ? 0 : err_memory(e);
}

static int
add(char **list, size_t *count, size_t max, const char *text, size_t len,
    struct err *e)
{
	char *copy;

	if (*count >= max)
		return err_set(
		    e, ERR_USAGE, "%.*s: more than %zu", (int)len, text, max);
	if ((copy = strndup(text, len)) == NULL)
		return err_memory(e);
	list[(*count)++] = copy;
	return 0; /* NOLINT(clang-analyzer-unix.Malloc): the list has it */
}

/* "A,B" as one value for each. */
static int
add_listens(struct daemon_options *o, const char *text, struct err *e)
{
	int rc = 0;

	while (*text != '\0' && rc == 0) {
		size_t n = strcspn(text, ", ");

		if (n > 0)
			rc = add(o->listens, &o->listen_count, DAEMON_LISTENS,
			    text, n, e);
		text += n + strspn(text + n, ", ");
	}
	return rc;
}

static int
add_upstream(struct daemon_options *o, const char *text, struct err *e)
{
	char host[256];
	uint16_t port;
	int rc;

	if (strcmp(text, UPSTREAM_SRV_WORD) != 0 &&
	    (rc = text_host_port(text, 7440, host, &port, e)) != 0)
		return rc;
	return add(o->upstreams, &o->upstream_count, DAEMON_UPSTREAMS, text,
	    strlen(text), e);
}

static int
set_workers(struct daemon_options *o, const char *text, struct err *e)
{
	if (text_u64(text, strlen(text), DAEMON_WORKERS, &o->workers) != 0 ||
	    o->workers == 0)
		return err_set(e, ERR_USAGE, "--workers %s: not 1 to %d", text,
		    DAEMON_WORKERS);
	return 0;
}

static int
take_flag(struct daemon_options *o, int opt)
{
	switch (opt) {
	case OPT_ACCESS_LOG:
		o->access_log = true;
		return 0;
	case OPT_SHOW_IDENTITY:
		o->verb = DAEMON_SHOW_IDENTITY;
		return 0;
	case OPT_NEXT_IDENTITY:
		o->verb = DAEMON_NEXT_IDENTITY;
		return 0;
	case OPT_USE_NEXT_IDENTITY:
		o->verb = DAEMON_USE_NEXT_IDENTITY;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'h':
		o->verb = DAEMON_HELP;
		return 0;
	case OPT_VERSION:
		o->verb = DAEMON_VERSION;
		return 0;
	default:
		return ERR_USAGE;
	}
}

static int
take_value(struct daemon_options *o, int opt, const char *arg, struct err *e)
{
	switch (opt) {
	case OPT_CONFIG:
		return set(&o->config, arg, e);
	case OPT_REPO:
		return set(&o->repo, arg, e);
	case OPT_IDENTITY:
		return set(&o->identity, arg, e);
	case OPT_LISTEN:
		return add_listens(o, arg, e);
	case OPT_UPSTREAM:
		return add_upstream(o, arg, e);
	case OPT_ANCHOR:
		return set(&o->anchor, arg, e);
	case OPT_KEYS:
		return set(&o->keys, arg, e);
	case OPT_USER:
		return set(&o->user, arg, e);
	default:
		return set_workers(o, arg, e);
	}
}

/* What is to be done, and with what. */
static int
take_words(
    struct daemon_options *o, int count, char *const words[], struct err *e)
{
	bool seed = count > 0 && strcmp(words[0], "seed") == 0;

	if (count == 0)
		return 0;
	if (o->verb != DAEMON_SERVE ||
	    (!seed && (count > 1 || strcmp(words[0], "status") != 0)))
		return err_set(e, ERR_USAGE,
		    "%s: unexpected; see peciad --help", words[count - 1]);
	o->verb = seed ? DAEMON_SEED : DAEMON_STATUS;
	if (seed && count != 2)
		return err_set(
		    e, ERR_USAGE, "seed needs one directory or archive");
	return seed ? set(&o->source, words[1], e) : 0;
}

static int
take_arguments(
    int argc, char *const argv[], struct daemon_options *o, struct err *e)
{
	int opt, rc;

	optind = 0;
	while (
	    (opt = getopt_long(argc, argv, ":hv", long_options, NULL)) != -1) {
		const char *word = argv[optind - 1];

		if (opt == ':')
			return err_set(e, ERR_USAGE, "%s needs a value", word);
		if (opt == '?')
			return err_set(e, ERR_USAGE,
			    "unknown option %s; see peciad --help", word);
		if (take_flag(o, opt) == 0)
			continue;
		if ((rc = take_value(o, opt, optarg, e)) != 0)
			return rc;
	}
	if ((rc = take_words(o, argc - optind, argv + optind, e)) != 0)
		return rc;
	if (o->json && o->verb != DAEMON_STATUS)
		return err_set(e, ERR_USAGE, "--json is for peciad status");
	return 0;
}

/* ---- the file ---- */

static const char *const keys[] = { "repo", "identity", "listen", "upstream",
	"anchor", "keys", "user", "workers", "access_log", "head_lifetime",
	"max_connections", "max_connections_per_peer", "on_healthy",
	"on_unhealthy", "health_user", "health_hold", "health_interval",
	"look_around", "max_rate", "splay", "keep_releases", "keep_age",
	"keep_bytes", "keep_grace", "scrub_rate", "scrub_interval",
	"collect_interval", "keeper_delay", "tls_resume", NULL };

static int
take_texts(
    const struct config_section *c, struct daemon_options *o, struct err *e)
{
	const struct {
		const char *key;
		char **dst;
	} texts[] = {
		{ "repo", &o->repo },
		{ "identity", &o->identity },
		{ "anchor", &o->anchor },
		{ "keys", &o->keys },
		{ "user", &o->user },
		{ "on_healthy", &o->on_healthy },
		{ "on_unhealthy", &o->on_unhealthy },
		{ "health_user", &o->health_user },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts) && rc == 0; i++) {
		const char *v = NULL;

		rc = config_string(c, texts[i].key, &v, e);
		if (rc == 0 && v != NULL)
			rc = set(texts[i].dst, v, e);
	}
	return rc;
}

static int
take_lists(
    const struct config_section *c, struct daemon_options *o, struct err *e)
{
	bool listens = o->listen_count == 0, upstreams = o->upstream_count == 0;
	struct config_list words;
	int rc;

	if ((rc = config_words(c, "listen", &words, e)) != 0)
		return rc;
	for (size_t i = 0; i < words.count && rc == 0 && listens; i++)
		rc = add_listens(o, words.items[i], e);
	config_list_release(&words);
	if (rc != 0 || (rc = config_words(c, "upstream", &words, e)) != 0)
		return rc;
	for (size_t i = 0; i < words.count && rc == 0 && upstreams; i++)
		rc = add_upstream(o, words.items[i], e);
	config_list_release(&words);
	return rc;
}

/* How a mirror goes about its upstreams. */
static int
take_line(
    const struct config_section *c, struct daemon_options *o, struct err *e)
{
	struct config_list rates;
	struct err why = ERR_INIT;
	int rc = config_seconds(c, "look_around", &o->look_s, e);

	if (rc == 0 && (o->look_s < 1 || o->look_s > 86400))
		return config_complain(
		    c, "look_around", e, "not a second to a day");
	if (rc == 0)
		rc = config_seconds(c, "splay", &o->splay_s, e);
	if (rc == 0 && o->splay_s > 86400)
		return config_complain(c, "splay", e, "more than a day");
	if (rc != 0 || (rc = config_values(c, "max_rate", &rates, e)) != 0)
		return rc;
	for (size_t i = 0; i < rates.count && rc == 0; i++)
		rc = rate_add(&o->rate, rates.items[i], &why);
	config_list_release(&rates);
	return rc == 0 ? 0 : config_complain(c, "max_rate", e, "%s", why.msg);
}

static int
check_command(const struct config_section *c, const char *key, const char *text,
    struct err *e)
{
	struct words words = WORDS_INIT;
	struct err why = ERR_INIT;

	if (text == NULL)
		return 0;
	if (words_command(text, &words, &why) != 0)
		return config_complain(c, key, e, "%s", why.msg);
	words_release(&words);
	return 0;
}

static int
take_health(
    const struct config_section *c, struct daemon_options *o, struct err *e)
{
	int rc;

	if ((rc = check_command(c, "on_healthy", o->on_healthy, e)) != 0 ||
	    (rc = check_command(c, "on_unhealthy", o->on_unhealthy, e)) != 0 ||
	    (rc = config_u64(c, "health_hold", LIMIT_HEALTH_HOLD,
	         &o->health_hold, e)) != 0 ||
	    (rc = config_seconds(
	         c, "health_interval", &o->health_interval_s, e)) != 0)
		return rc;
	if (o->health_hold == 0)
		return config_complain(c, "health_hold", e, "not 1 or more");
	if (o->health_interval_s == 0 || o->health_interval_s > 3600)
		return config_complain(
		    c, "health_interval", e, "not 1 second to 1 hour");
	return 0;
}

static int
take_keeping(
    const struct config_section *c, struct daemon_keeping *k, struct err *e)
{
	int rc;

	if ((rc = config_u64(c, "keep_releases", LIMIT_KEPT_RELEASES,
	         &k->releases, e)) != 0 ||
	    (rc = config_seconds(c, "keep_age", &k->age_s, e)) != 0 ||
	    (rc = config_bytes(c, "keep_bytes", &k->bytes, e)) != 0 ||
	    (rc = config_seconds(c, "keep_grace", &k->grace_s, e)) != 0 ||
	    (rc = config_bytes(c, "scrub_rate", &k->scrub_rate, e)) != 0 ||
	    (rc = config_seconds(
	         c, "scrub_interval", &k->scrub_interval_s, e)) != 0 ||
	    (rc = config_seconds(
	         c, "collect_interval", &k->collect_interval_s, e)) != 0)
		return rc;
	return config_seconds(c, "keeper_delay", &k->delay_s, e);
}

/* Old releases come back from nowhere once the origin has none. */
static void
set_keeping(const struct config_section *c, const struct daemon_options *o,
    struct daemon_keeping *k)
{
	if (o->upstream_count > 0 &&
	    (c == NULL ||
	        (!config_has(c, "keep_releases") &&
	            !config_has(c, "keep_age") &&
	            !config_has(c, "keep_bytes"))))
		k->releases = DAEMON_RELEASES;
}

static int
take_section(
    const struct config_section *c, struct daemon_options *o, struct err *e)
{
	uint64_t workers = o->workers;
	bool access_log = o->access_log;
	int rc;

	if ((rc = take_texts(c, o, e)) != 0 ||
	    (rc = take_lists(c, o, e)) != 0 ||
	    (rc = config_u64(c, "workers", DAEMON_WORKERS, &workers, e)) != 0 ||
	    (rc = config_u64(
	         c, "max_connections", 1000000, &o->connections, e)) != 0 ||
	    (rc = config_u64(c, "max_connections_per_peer", 1000000,
	         &o->per_peer, e)) != 0 ||
	    (rc = take_health(c, o, e)) != 0 ||
	    (rc = take_keeping(c, &o->keeping, e)) != 0 ||
	    (rc = config_bool(c, "access_log", &access_log, e)) != 0 ||
	    (rc = config_bool(c, "tls_resume", &o->tls_resume, e)) != 0 ||
	    (rc = config_seconds(c, "head_lifetime", &o->head_lifetime_s, e)) !=
	        0 ||
	    (rc = take_line(c, o, e)) != 0)
		return rc;
	if (o->head_lifetime_s < 60)
		return config_complain(
		    c, "head_lifetime", e, "less than a minute");
	if (o->workers == 0)
		o->workers = workers;
	o->access_log = o->access_log || access_log;
	return 0;
}

static int
take_file(struct daemon_options *o, struct err *e)
{
	const char *path = o->config != NULL ? o->config : DAEMON_CONFIG;
	const struct config_section *section = NULL;
	struct config *c = NULL;
	int rc =
	    config_load_main(path, o->config != NULL, keys, &c, &section, e);

	if (rc == 0 && section != NULL)
		rc = take_section(section, o, e);
	set_keeping(section, o, &o->keeping);
	config_free(c);
	return rc;
}

static int
set_defaults(struct daemon_options *o, struct err *e)
{
	int rc;

	if ((rc = set(&o->repo, DAEMON_REPO, e)) != 0 ||
	    (rc = set(&o->identity, DAEMON_IDENTITY, e)) != 0)
		return rc;
	return o->listen_count > 0 ? 0 : add_listens(o, DAEMON_LISTEN, e);
}

static int
check(const struct daemon_options *o, struct err *e)
{
	uint8_t digest[32];

	if (o->anchor != NULL && text_sha256(o->anchor, digest) != 0)
		return err_set(e, ERR_USAGE,
		    "anchor %s: not sha256: and 64 hex digits", o->anchor);
	if (o->verb == DAEMON_SEED && o->upstream_count == 0)
		return err_set(e, ERR_USAGE,
		    "seed needs an upstream, which says what is wanted");
	if (o->upstream_count > 0 && o->keys != NULL)
		return err_set(e, ERR_USAGE,
		    "keys are an origin's and upstream is a mirror's");
	return 0;
}

int
daemon_options_load(
    int argc, char *const argv[], struct daemon_options *out, struct err *e)
{
	struct daemon_options o = { .verb = DAEMON_SERVE,
		.tls_resume = true,
		.head_lifetime_s = 86400,
		.health_hold = 3,
		.health_interval_s = 5,
		.look_s = REPLICATE_LOOK_S,

		.keeping = { .grace_s = 86400,
		    .scrub_rate = (uint64_t)10 << 20,
		    .scrub_interval_s = (uint64_t)30 * 86400,
		    .collect_interval_s = (uint64_t)6 * 3600,
		    .delay_s = UINT64_MAX } };
	int rc;

	rc = take_arguments(argc, argv, &o, e);
	if (rc == 0 && o.verb != DAEMON_HELP && o.verb != DAEMON_VERSION)
		rc = take_file(&o, e);
	if (rc == 0)
		rc = set_defaults(&o, e);
	if (rc == 0)
		rc = check(&o, e);
	if (rc != 0)
		daemon_options_release(&o);
	else
		*out = o;
	return rc;
}
