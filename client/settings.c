/* Settings of the client. */
#include "client/settings.h"

#include <unistd.h>

#include "common/text.h"
#include "transcripts/waived.h"

#define XATTR_WORD "xattr:"

/* Bounds of what may be asked for. */
#define KEEP_RUNS_MAX 10000
#define KEEP_AGE_MAX  36500
#define WAIT_MAX_S    86400

#define SERVER_WAIT_MS 4000 /* longer than a restart of peciad takes */

static const char *const keys[] = { "root", "state", "channel", "environment",
	"host", "name", "site", "server", "user", "fallback", "port", "srv",
	"tls_resume", "wan_fallback", "ignore", "waitforlock", "waitforserver",
	"max_delete", "protect", "prerun_command", "postrun_command",
	"command_timeout", "confirm", "confirm_by", "runinterval", "splay",
	"follow", "follow_splay",

	"keep_runs", "keep_age", "keep_bytes", NULL };

void
settings_release(struct settings *s)
{
	free(s->root);
	free(s->state);
	free(s->channel);
	free(s->host);
	free(s->name);
	free(s->site);
	free(s->server);
	free(s->user);
	free(s->ignore_xattrs);
	for (size_t i = 0; i < s->fallback_count; i++)
		free(s->fallbacks[i]);
	free(s->fallbacks);
	guard_release(&s->guard);
	hooks_release(&s->hooks);
	memset(s, 0, sizeof(*s));
}

static int
set(char **dst, const char *text, struct err *e)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return err_memory(e);
	free(*dst);
	*dst = copy;
	return 0;
}

static int
set_defaults(struct settings *s, struct err *e)
{
	char name[LIMIT_HOST_BYTES + 2];
	int rc;

	s->port = 7440;
	s->srv = true;
	s->tls_resume = true;
	s->wan_fallback = WAN_ALWAYS;
	s->server_wait_ms = SERVER_WAIT_MS;
	guard_init(&s->guard);
	hooks_init(&s->hooks);
	schedule_init(&s->schedule);
	s->keep_runs = 10;
	s->keep_age_days = 90;
	s->keep_bytes = 1ULL << 30;
	if (gethostname(name, sizeof(name) - 1) != 0)
		return err_sys(e, "host name");
	name[sizeof(name) - 1] = '\0';
	if ((rc = set(&s->root, "/", e)) != 0 ||
	    (rc = set(&s->state, "/var/lib/pecia", e)) != 0 ||
	    (rc = set(&s->channel, "production", e)) != 0 ||
	    (rc = set(&s->host, name, e)) != 0 ||
	    (rc = set(&s->name, "pecia", e)) != 0)
		return rc;
	return set(&s->user, "nobody", e);
}

/* NULL, or what is wrong with a HOST[:PORT]. */
static const char *
server_fault(const char *text, struct err *scratch)
{
	char host[LIMIT_HOST_BYTES + 3];
	uint16_t port;

	if (text_host_port(text, 1, host, &port, scratch) == 0)
		return port == 0 ? "port 0" : NULL;
	return scratch->msg;
}

static bool
is_host(const char *s)
{
	return *s != '\0' && strlen(s) <= LIMIT_HOST_BYTES;
}

static int
check_text(const struct config_section *c, const char *key, const char *v,
    struct err *e)
{
	struct err why = ERR_INIT;
	const char *fault = NULL;

	if (*v == '\0')
		fault = "empty";
	else if (strcmp(key, "channel") == 0 ||
	    strcmp(key, "environment") == 0 || strcmp(key, "site") == 0)
		fault = text_is_name(v, strlen(v)) ? NULL : "not a name";
	else if (strcmp(key, "host") == 0 || strcmp(key, "name") == 0)
		fault = is_host(v) ? NULL : "not a host name";
	else if (strcmp(key, "server") == 0)
		fault = server_fault(v, &why);
	return fault == NULL ? 0
	                     : config_complain(c, key, e, "%s: %s", v, fault);
}

static int
take_texts(const struct config_section *c, struct settings *s, struct err *e)
{
	const struct {
		const char *key;
		char **dst;
	} texts[] = {
		{ "root", &s->root },
		{ "state", &s->state },
		{ "channel", &s->channel },
		{ "environment", &s->channel },
		{ "host", &s->host },
		{ "site", &s->site },
		{ "name", &s->name },
		{ "server", &s->server },
		{ "user", &s->user },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts) && rc == 0; i++) {
		const char *v = NULL;

		rc = config_string(c, texts[i].key, &v, e);
		if (rc != 0 || v == NULL)
			continue;
		rc = check_text(c, texts[i].key, v, e);
		if (rc == 0)
			rc = set(texts[i].dst, v, e);
	}
	return rc;
}

static int
take_fallbacks(
    const struct config_section *c, struct settings *s, struct err *e)
{
	struct config_list words;
	int rc;

	if ((rc = config_words(c, "fallback", &words, e)) != 0)
		return rc;
	for (size_t i = 0; words.count > 0 && i < s->fallback_count; i++)
		free(s->fallbacks[i]);
	if (words.count > 0) {
		free(s->fallbacks);
		s->fallback_count = 0;
		s->fallbacks = calloc(words.count, sizeof(*s->fallbacks));
		rc = s->fallbacks == NULL ? err_memory(e) : 0;
	}
	for (size_t i = 0; i < words.count && rc == 0; i++) {
		struct err why = ERR_INIT;
		const char *fault = server_fault(words.items[i], &why);

		if (fault != NULL)
			rc = config_complain(
			    c, "fallback", e, "%s: %s", words.items[i], fault);
		else
			rc = set(&s->fallbacks[i], words.items[i], e);
		if (rc == 0)
			s->fallback_count++;
	}
	config_list_release(&words);
	return rc;
}

static int
take_wan(const struct config_section *c, struct settings *s, struct err *e)
{
	const char *v = NULL;
	const char after[] = "after-failures ";
	int rc;

	if ((rc = config_string(c, "wan_fallback", &v, e)) != 0 || v == NULL)
		return rc;
	if (strcmp(v, "always") == 0) {
		s->wan_fallback = WAN_ALWAYS;
	} else if (strcmp(v, "never") == 0) {
		s->wan_fallback = WAN_NEVER;
	} else if (strncmp(v, after, strlen(after)) == 0 &&
	    text_u64(v + strlen(after), strlen(v + strlen(after)), 1000000,
	        &s->wan_failures) == 0) {
		s->wan_fallback = WAN_AFTER_FAILURES;
	} else {
		return config_complain(
		    c, "wan_fallback", e, "always, never or after-failures N");
	}
	return 0;
}

static int
add_waived(const struct config_section *c, struct settings *s,
    const char *pattern, struct err *e)
{
	const char *fault = waived_fault(pattern), *had = s->ignore_xattrs;
	char *list = NULL;

	if (fault != NULL)
		return config_complain(
		    c, "ignore", e, XATTR_WORD "%s: %s", pattern, fault);
	if (asprintf(&list, "%s%s%s", had != NULL ? had : "",
	        had != NULL ? " " : "", pattern) < 0)
		return err_memory(e);
	free(s->ignore_xattrs);
	s->ignore_xattrs = list;
	return strlen(list) < LIMIT_WAIVED_BYTES
	    ? 0
	    : config_complain(c, "ignore", e, "more than %d bytes of names",
	          LIMIT_WAIVED_BYTES - 1);
}

static int
take_ignore(const struct config_section *c, struct settings *s, struct err *e)
{
	struct config_list words;
	int rc;

	if ((rc = config_words(c, "ignore", &words, e)) != 0)
		return rc;
	for (size_t i = 0; i < words.count && rc == 0; i++) {
		const char *word = words.items[i];

		if (strcmp(word, "owner") == 0)
			s->ignore_owner = true;
		else if (strcmp(word, "flags") == 0)
			s->ignore_flags = true;
		else if (strncmp(word, XATTR_WORD, strlen(XATTR_WORD)) == 0)
			rc = add_waived(c, s, word + strlen(XATTR_WORD), e);
		else
			rc = config_complain(c, "ignore", e,
			    "%s: only owner, flags and xattr:NAME can be "
			    "ignored",
			    word);
	}
	config_list_release(&words);
	return rc;
}

static int
take_keep(const struct config_section *c, struct settings *s, struct err *e)
{
	int rc;

	if ((rc = config_u64(
	         c, "keep_runs", KEEP_RUNS_MAX, &s->keep_runs, e)) != 0 ||
	    (rc = config_u64(
	         c, "keep_age", KEEP_AGE_MAX, &s->keep_age_days, e)) != 0 ||
	    (rc = config_bytes(c, "keep_bytes", &s->keep_bytes, e)) != 0)
		return rc;
	if (s->keep_age_days == 0 || s->keep_bytes == 0)
		s->keep_runs = 0;
	return 0;
}

static int
take_confirm(const struct config_section *c, struct settings *s, struct err *e)
{
	uint64_t seconds = s->confirm_s;
	const char *by = NULL;
	int rc;

	if ((rc = config_seconds(c, "confirm", &seconds, e)) != 0 ||
	    (rc = config_string(c, "confirm_by", &by, e)) != 0)
		return rc;
	if (seconds > LIMIT_CONFIRM_S)
		return config_complain(
		    c, "confirm", e, "more than %d", LIMIT_CONFIRM_S);
	s->confirm_s = (unsigned)seconds;
	if (by == NULL)
		return 0;
	s->confirm_by_server = strcmp(by, "server") == 0;
	return s->confirm_by_server || strcmp(by, "hand") == 0
	    ? 0
	    : config_complain(c, "confirm_by", e, "hand or server");
}

static int
take_wait(const struct config_section *c, const char *key, unsigned *ms,
    struct err *e)
{
	uint64_t seconds = *ms / 1000;
	int rc = config_seconds(c, key, &seconds, e);

	if (rc == 0 && seconds > WAIT_MAX_S)
		return config_complain(c, key, e, "out of range");
	if (rc == 0)
		*ms = (unsigned)seconds * 1000;
	return rc;
}

static int
take_section(const struct config_section *c, struct settings *s, struct err *e)
{
	uint64_t port = s->port;
	int rc;

	if ((rc = take_texts(c, s, e)) != 0 ||
	    (rc = take_fallbacks(c, s, e)) != 0 ||
	    (rc = take_wan(c, s, e)) != 0 || (rc = take_ignore(c, s, e)) != 0 ||
	    (rc = guard_take(c, &s->guard, e)) != 0 ||
	    (rc = hooks_take(c, &s->hooks, e)) != 0 ||
	    (rc = take_keep(c, s, e)) != 0 ||
	    (rc = schedule_take(c, &s->schedule, e)) != 0 ||
	    (rc = config_u64(c, "port", 65535, &port, e)) != 0 ||
	    (rc = config_bool(c, "srv", &s->srv, e)) != 0 ||
	    (rc = config_bool(c, "tls_resume", &s->tls_resume, e)) != 0 ||
	    (rc = take_confirm(c, s, e)) != 0 ||
	    (rc = take_wait(c, "waitforlock", &s->wait_ms, e)) != 0 ||
	    (rc = take_wait(c, "waitforserver", &s->server_wait_ms, e)) != 0)
		return rc;
	if (port == 0)
		return config_complain(c, "port", e, "out of range");
	s->port = (uint16_t)port;
	return 0;
}

static int
take_file(const char *path, bool needed, struct settings *s, struct err *e)
{
	const struct config_section *section = NULL;
	struct config *c = NULL;
	int rc = config_load_main(path, needed, keys, &c, &section, e);

	if (rc == 0 && section != NULL)
		rc = take_section(section, s, e);
	config_free(c);
	return rc;
}

static int
take_flags(const struct options *o, struct settings *s, struct err *e)
{
	const char *server =
	    o->server != NULL ? o->server : getenv("PECIA_SERVER");
	int rc = 0;

	if (o->root != NULL)
		rc = set(&s->root, o->root, e);
	if (rc == 0 && o->state != NULL)
		rc = set(&s->state, o->state, e);
	if (rc == 0 && o->channel != NULL)
		rc = set(&s->channel, o->channel, e);
	if (rc == 0 && o->host != NULL)
		rc = set(&s->host, o->host, e);
	if (rc == 0 && server != NULL && *server != '\0')
		rc = set(&s->server, server, e);
	if (rc == 0 && o->max_delete != NULL)
		rc = guard_max_parse(o->max_delete, &s->guard.max_delete, e);
	if (rc == 0)
		rc = schedule_flags(&s->schedule, o->runinterval, o->splay, e);
	s->schedule.follow = s->schedule.follow || o->follow;
	if (o->confirm_given)
		s->confirm_s = o->confirm_s;
	if (o->wait_given)
		s->wait_ms = o->wait_ms;
	return rc;
}

static int
check(const struct settings *s, struct err *e)
{
	struct err why = ERR_INIT;
	const char *fault =
	    s->server == NULL ? NULL : server_fault(s->server, &why);

	if (fault != NULL)
		return err_set(e, ERR_USAGE, "server %s: %s", s->server, fault);
	if (!text_is_name(s->channel, strlen(s->channel)))
		return err_set(
		    e, ERR_USAGE, "channel %s: not a name", s->channel);
	if (!is_host(s->host))
		return err_set(
		    e, ERR_USAGE, "host %s: not a host name", s->host);
	if (s->confirm_s > 0 && s->keep_runs == 0)
		return err_set(e, ERR_USAGE,
		    "confirm: nothing could be rolled back: keep_runs, "
		    "keep_age or keep_bytes is 0");
	return 0;
}

/* Where the state is must be known before what init left there is read. */
static int
load_all(const struct options *o, struct settings *s, struct err *e)
{
	const char *config = o->config != NULL ? o->config : SETTINGS_CONFIG;
	struct settings first = { .root = NULL };
	char *init = NULL;
	int rc;

	rc = set_defaults(&first, e);
	if (rc == 0)
		rc = take_file(config, o->config != NULL, &first, e);
	if (rc == 0)
		rc = take_flags(o, &first, e);
	if (rc == 0 && asprintf(&init, "%s/" SETTINGS_INIT, first.state) < 0)
		rc = err_memory(e);
	settings_release(&first);
	if (rc == 0)
		rc = set_defaults(s, e);
	if (rc == 0)
		rc = take_file(init, false, s, e);
	if (rc == 0)
		rc = take_file(config, o->config != NULL, s, e);
	if (rc == 0)
		rc = take_flags(o, s, e);
	free(init);
	return rc != 0 ? rc : check(s, e);
}

int
settings_load(const struct options *o, struct settings *out, struct err *e)
{
	struct settings s = { .root = NULL };
	int rc = load_all(o, &s, e);

	if (rc != 0)
		settings_release(&s);
	else
		*out = s;
	return rc;
}
