/* The command line of peciactl: which options there are, what each takes, and
 * which verbs it belongs to. */
#include "server/ctl_options.h"

#include <getopt.h>
#include <string.h>

#include "common/text.h"

#define BIT(verb) (1u << (verb))
#define CHANNELED (BIT(CTL_PUBLISH) | BIT(CTL_LOG) | BIT(CTL_SHOW))
#define ENTERING  (BIT(CTL_MIRROR_ADD) | BIT(CTL_MIRROR_CHANGE))
#define ROSTERING (ENTERING | BIT(CTL_MIRROR_REMOVE))
#define SIGNING                                                        \
 (BIT(CTL_PUBLISH) | BIT(CTL_REFRESH) | ROSTERING | BIT(CTL_PROMOTE) | \
     BIT(CTL_ROTATE))
#define SEALED (BIT(CTL_BACKUP) | BIT(CTL_RESTORE))
#define SHOWING \
 (CHANNELED | BIT(CTL_VERIFY) | BIT(CTL_MIRROR_LIST) | BIT(CTL_COLLECT))
#define ADDRESSED (BIT(CTL_INIT) | ENTERING)

#define WAIT_MAX_S     86400
#define LIFETIME_MAX_S ((uint64_t)366 * 86400)

enum {
	OPT_REPO = 256,
	OPT_KEYS,
	OPT_JSON,
	OPT_CHANNEL,
	OPT_MESSAGE,
	OPT_AUTHOR,
	OPT_SOURCE,
	OPT_NOOP,
	OPT_EXACT,
	OPT_FULL,
	OPT_EXPECT,
	OPT_WAIT,
	OPT_LIFETIME,
	OPT_ORG,
	OPT_IDENTITY,
	OPT_ADDRESS,
	OPT_SITE,
	OPT_KEY,
	OPT_ANCHOR,
	OPT_PASSPHRASE_FILE,
	OPT_KEY_FILE,
	OPT_LIST,
	OPT_FORCE,
	OPT_OFFLINE,
	OPT_ROOT_KEYS,
	OPT_ABOVE,
	OPT_KEEP,
	OPT_AGE,
	OPT_BYTES,
	OPT_GRACE,
	OPT_HELP,
	OPT_VERSION,
	OPT_END,
};
#define OPTIONS (OPT_END - OPT_REPO)

static const struct option long_options[] = {
	{ "repo", required_argument, NULL, OPT_REPO },
	{ "keys", required_argument, NULL, OPT_KEYS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "channel", required_argument, NULL, OPT_CHANNEL },
	{ "message", required_argument, NULL, OPT_MESSAGE },
	{ "author", required_argument, NULL, OPT_AUTHOR },
	{ "source", required_argument, NULL, OPT_SOURCE },
	{ "noop", no_argument, NULL, OPT_NOOP },
	{ "exact", no_argument, NULL, OPT_EXACT },
	{ "full", no_argument, NULL, OPT_FULL },
	{ "expect", required_argument, NULL, OPT_EXPECT },
	{ "wait", required_argument, NULL, OPT_WAIT },
	{ "lifetime", required_argument, NULL, OPT_LIFETIME },
	{ "org", required_argument, NULL, OPT_ORG },
	{ "identity", required_argument, NULL, OPT_IDENTITY },
	{ "address", required_argument, NULL, OPT_ADDRESS },
	{ "site", required_argument, NULL, OPT_SITE },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "anchor", required_argument, NULL, OPT_ANCHOR },
	{ "passphrase-file", required_argument, NULL, OPT_PASSPHRASE_FILE },
	{ "key-file", required_argument, NULL, OPT_KEY_FILE },
	{ "list", no_argument, NULL, OPT_LIST },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "offline", no_argument, NULL, OPT_OFFLINE },
	{ "root-keys", required_argument, NULL, OPT_ROOT_KEYS },
	{ "above", required_argument, NULL, OPT_ABOVE },
	{ "keep", required_argument, NULL, OPT_KEEP },
	{ "age", required_argument, NULL, OPT_AGE },
	{ "bytes", required_argument, NULL, OPT_BYTES },
	{ "grace", required_argument, NULL, OPT_GRACE },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* The verbs that an option belongs to; 0 is all of them. */
static const unsigned belongs[OPTIONS] = {
	[OPT_JSON - OPT_REPO] = SHOWING,
	[OPT_CHANNEL - OPT_REPO] = CHANNELED,
	[OPT_MESSAGE - OPT_REPO] = BIT(CTL_PUBLISH),
	[OPT_AUTHOR - OPT_REPO] = BIT(CTL_PUBLISH),
	[OPT_SOURCE - OPT_REPO] = BIT(CTL_PUBLISH),
	[OPT_NOOP - OPT_REPO] = BIT(CTL_PUBLISH) | BIT(CTL_COLLECT),
	[OPT_EXACT - OPT_REPO] = BIT(CTL_PUBLISH),
	[OPT_FULL - OPT_REPO] = BIT(CTL_PUBLISH),
	[OPT_EXPECT - OPT_REPO] = BIT(CTL_PUBLISH),
	[OPT_WAIT - OPT_REPO] = SIGNING | BIT(CTL_DEMOTE) | BIT(CTL_COLLECT),
	[OPT_LIFETIME - OPT_REPO] = SIGNING,
	[OPT_ORG - OPT_REPO] = BIT(CTL_INIT),
	[OPT_IDENTITY - OPT_REPO] = BIT(CTL_INIT) | BIT(CTL_BACKUP) | SIGNING,
	[OPT_ADDRESS - OPT_REPO] = ADDRESSED,
	[OPT_SITE - OPT_REPO] = ENTERING,
	[OPT_KEY - OPT_REPO] = ENTERING,
	[OPT_ANCHOR - OPT_REPO] = BIT(CTL_VERIFY),
	[OPT_PASSPHRASE_FILE - OPT_REPO] = SEALED,
	[OPT_KEY_FILE - OPT_REPO] = SEALED,
	[OPT_LIST - OPT_REPO] = BIT(CTL_BACKUP),
	[OPT_FORCE - OPT_REPO] = BIT(CTL_BACKUP),
	[OPT_OFFLINE - OPT_REPO] = SIGNING,
	[OPT_ROOT_KEYS - OPT_REPO] = BIT(CTL_ROTATE),
	[OPT_ABOVE - OPT_REPO] = BIT(CTL_PROMOTE) | BIT(CTL_ROTATE),
	[OPT_KEEP - OPT_REPO] = BIT(CTL_COLLECT),
	[OPT_AGE - OPT_REPO] = BIT(CTL_COLLECT),
	[OPT_BYTES - OPT_REPO] = BIT(CTL_COLLECT),
	[OPT_GRACE - OPT_REPO] = BIT(CTL_COLLECT),
};

static const struct {
	const char *first, *second;
} verb_words[CTL_VERBS] = {
	[CTL_HELP] = { "help", NULL },
	[CTL_VERSION] = { "version", NULL },
	[CTL_INIT] = { "init", NULL },
	[CTL_PUBLISH] = { "publish", NULL },
	[CTL_LOG] = { "log", NULL },
	[CTL_SHOW] = { "show", NULL },
	[CTL_VERIFY] = { "verify", NULL },
	[CTL_MIRROR_ADD] = { "mirror", "add" },
	[CTL_MIRROR_CHANGE] = { "mirror", "change" },
	[CTL_MIRROR_LIST] = { "mirror", "list" },
	[CTL_MIRROR_REMOVE] = { "mirror", "remove" },
	[CTL_REFRESH] = { "refresh", NULL },
	[CTL_BACKUP] = { "backup", NULL },
	[CTL_RESTORE] = { "restore", NULL },
	[CTL_PROMOTE] = { "promote", NULL },
	[CTL_DEMOTE] = { "demote", NULL },
	[CTL_ROTATE] = { "rotate", NULL },
	[CTL_COLLECT] = { "collect", NULL },
};

/* One run of the parser. */
struct parse {
	struct ctl_options o;
	uint64_t given; /* options, bit OPT_... - OPT_REPO */
	char *const *words;
	size_t word_count;
	struct err *e;
};

const char *
ctl_verb_name(enum ctl_verb verb)
{
	switch (verb) {
	case CTL_MIRROR_ADD:
		return "mirror add";
	case CTL_MIRROR_CHANGE:
		return "mirror change";
	case CTL_MIRROR_LIST:
		return "mirror list";
	case CTL_MIRROR_REMOVE:
		return "mirror remove";
	default:
		return verb_words[verb].first;
	}
}

bool
ctl_is_pair(const char *word)
{
	const char *equals = strchr(word, '=');

	return equals != NULL && text_is_name(word, (size_t)(equals - word));
}

static int
take_number(struct parse *p, const char *option, const char *text, uint64_t max,
    uint64_t *v)
{
	if (text_u64(text, strlen(text), max, v) == 0)
		return 0;
	return err_set(p->e, ERR_USAGE, "%s %s: not a number from 0 to %llu",
	    option, text, (unsigned long long)max);
}

/* Seconds, or a number with s, m, h or d. */
static int
take_lifetime(struct parse *p, const char *text)
{
	static const struct {
		char letter;
		unsigned seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	size_t len = strlen(text);
	uint64_t unit = 1, n;

	for (size_t i = 0; len > 0 && i < 4; i++)
		if (text[len - 1] == units[i].letter) {
			unit = units[i].seconds;
			len--;
			break;
		}
	if (text_u64(text, len, LIFETIME_MAX_S / unit, &n) != 0 || n == 0)
		return err_set(p->e, ERR_USAGE,
		    "--lifetime %s: not a time like 24h, a year at most", text);
	p->o.lifetime_s = n * unit;
	return 0;
}

static int
take_span(struct parse *p, const char *option, const char *text, uint64_t *v)
{
	if (text_seconds(text, v) == 0)
		return 0;
	return err_set(
	    p->e, ERR_USAGE, "%s %s: not a time like 30d", option, text);
}

static int
take_size(struct parse *p, const char *text)
{
	if (text_size(text, &p->o.keep_bytes) == 0)
		return 0;
	return err_set(
	    p->e, ERR_USAGE, "--bytes %s: not a size like 100G", text);
}

static int
take_digest(
    struct parse *p, const char *option, const char *text, struct digest *d)
{
	if (text_sha256(text, d->b) == 0)
		return 0;
	return err_set(p->e, ERR_USAGE,
	    "%s %s: not sha256: and 64 hexadecimal digits", option, text);
}

static int
take_key(struct parse *p, const char *text)
{
	struct ctl_options *o = &p->o;

	if (o->spki_count == LIMIT_MIRROR_KEYS)
		return err_set(
		    p->e, ERR_USAGE, "--key: %d at most", LIMIT_MIRROR_KEYS);
	if (take_digest(p, "--key", text, &o->spki[o->spki_count]) != 0)
		return ERR_USAGE;
	o->spki_count++;
	return 0;
}

static int
take_address(struct parse *p, const char *text)
{
	struct ctl_options *o = &p->o;
	char host[256];
	uint16_t port;

	if (o->address_count == LIMIT_MIRROR_ADDRESSES)
		return err_set(p->e, ERR_USAGE, "--address: %d at most",
		    LIMIT_MIRROR_ADDRESSES);
	if (text_host_port(text, 1, host, &port, p->e) != 0) {
		err_prefix(p->e, "--address");
		return ERR_USAGE;
	}
	o->addresses[o->address_count++] = text;
	return 0;
}

static int
take_name(
    struct parse *p, const char *option, const char *text, const char **name)
{
	if (!text_is_name(text, strlen(text)))
		return err_set(p->e, ERR_USAGE,
		    "%s %s: a name is 1 to %d letters, digits, \".\", \"_\" "
		    "and \"-\", the first a letter or digit",
		    option, text, LIMIT_NAME_BYTES);
	*name = text;
	return 0;
}

static int
take_text(struct parse *p, const char *option, const char *text, const char **v)
{
	if (strlen(text) > LIMIT_TEXT_BYTES)
		return err_set(p->e, ERR_USAGE, "%s: more than %d bytes",
		    option, LIMIT_TEXT_BYTES);
	*v = text;
	return 0;
}

static int
take_flag(struct parse *p, int opt)
{
	switch (opt) {
	case OPT_JSON:
		p->o.json = true;
		break;
	case OPT_NOOP:
		p->o.noop = true;
		break;
	case OPT_EXACT:
		p->o.exact = true;
		break;
	case OPT_FULL:
		p->o.full = true;
		break;
	case OPT_LIST:
		p->o.list = true;
		break;
	case OPT_FORCE:
		p->o.force = true;
		break;
	case OPT_OFFLINE:
		p->o.offline = true;
		break;
	case OPT_HELP:
		p->o.verb = CTL_HELP;
		break;
	case OPT_VERSION:
		if (p->o.verb != CTL_HELP)
			p->o.verb = CTL_VERSION;
		break;
	default:
		return ERR_USAGE;
	}
	return 0;
}

static int
take_value(struct parse *p, int opt, const char *arg)
{
	struct ctl_options *o = &p->o;
	uint64_t n = 0;
	int ret;

	switch (opt) {
	case OPT_REPO:
		o->repo = arg;
		return 0;
	case OPT_KEYS:
		o->keys = arg;
		return 0;
	case OPT_CHANNEL:
		return take_name(p, "--channel", arg, &o->channel);
	case OPT_MESSAGE:
		return take_text(p, "--message", arg, &o->message);
	case OPT_AUTHOR:
		return take_text(p, "--author", arg, &o->author);
	case OPT_SOURCE:
		return take_text(p, "--source", arg, &o->source);
	case OPT_EXPECT:
		o->expects = true;
		return take_number(p, "--expect", arg, INT64_MAX, &o->expect);
	case OPT_WAIT:
		ret = take_number(p, "--wait", arg, WAIT_MAX_S, &n);
		o->wait_ms = (unsigned)n * 1000;
		return ret;
	case OPT_LIFETIME:
		return take_lifetime(p, arg);
	case OPT_ORG:
		return take_text(p, "--org", arg, &o->org);
	case OPT_IDENTITY:
		o->identity = arg;
		return 0;
	case OPT_ADDRESS:
		return take_address(p, arg);
	case OPT_SITE:
		return take_name(p, "--site", arg, &o->site);
	case OPT_KEY:
		return take_key(p, arg);
	case OPT_PASSPHRASE_FILE:
		o->passphrase_file = arg;
		return 0;
	case OPT_KEY_FILE:
		o->key_file = arg;
		return 0;
	case OPT_ROOT_KEYS:
		o->root_keys = arg;
		return 0;
	case OPT_ABOVE:
		return take_number(p, "--above", arg, INT64_MAX - 1, &o->above);
	case OPT_KEEP:
		return take_number(
		    p, "--keep", arg, LIMIT_KEPT_RELEASES, &o->keep_releases);
	case OPT_AGE:
		return take_span(p, "--age", arg, &o->keep_age_s);
	case OPT_BYTES:
		return take_size(p, arg);
	case OPT_GRACE:
		return take_span(p, "--grace", arg, &o->grace_s);
	default:
		o->has_anchor = true;
		return take_digest(p, "--anchor", arg, &o->anchor);
	}
}

/* Whether one more of this option is one too many. */
static bool
is_repeated(const struct parse *p, int opt)
{
	return (p->given & (uint64_t)1 << (opt - OPT_REPO)) != 0 &&
	    opt != OPT_KEY && opt != OPT_ADDRESS;
}

static int
take_options(struct parse *p, int argc, char *const argv[])
{
	int opt, ret;

	optind = 0;
	while (
	    (opt = getopt_long(argc, argv, ":hm:", long_options, NULL)) != -1) {
		if (opt == 'h')
			opt = OPT_HELP;
		if (opt == 'm')
			opt = OPT_MESSAGE;
		if (opt == ':')
			return err_set(p->e, ERR_USAGE, "%s needs a value",
			    argv[optind - 1]);
		if (opt == '?')
			return err_set(p->e, ERR_USAGE,
			    "unknown option %s; see peciactl --help",
			    argv[optind - 1]);
		if (is_repeated(p, opt))
			return err_set(p->e, ERR_USAGE, "--%s is given twice",
			    long_options[opt - OPT_REPO].name);
		p->given |= (uint64_t)1 << (opt - OPT_REPO);
		ret = optarg == NULL ? take_flag(p, opt)
		                     : take_value(p, opt, optarg);
		if (ret != 0)
			return ret;
	}
	p->words = argv + optind;
	p->word_count = (size_t)(argc - optind);
	return 0;
}

/* Takes the verb's one or two words off. */
static int
take_verb(struct parse *p, enum ctl_verb *verb)
{
	const char *word = p->words[0], *next;
	bool is_group = false;

	next = p->word_count > 1 ? p->words[1] : "";
	for (int v = CTL_NONE + 1; v < CTL_VERBS; v++) {
		const char *second = verb_words[v].second;

		if (strcmp(verb_words[v].first, word) != 0)
			continue;
		is_group = second != NULL;
		if (second != NULL && strcmp(second, next) != 0)
			continue;
		*verb = (enum ctl_verb)v;
		p->words += is_group ? 2 : 1;
		p->word_count -= is_group ? 2 : 1;
		return 0;
	}
	if (is_group)
		return err_set(p->e, ERR_USAGE,
		    "mirror: add, change, list or remove? see peciactl mirror "
		    "--help");
	return err_set(
	    p->e, ERR_USAGE, "unknown command %s; see peciactl --help", word);
}

/* The verb of `peciactl VERB --help` and `peciactl help VERB`. */
static int
take_topic(struct parse *p)
{
	if (p->word_count == 0)
		return 0;
	if (strcmp(p->words[0], "mirror") == 0) {
		p->o.topic = CTL_MIRROR_ADD;
		return 0;
	}
	return take_verb(p, &p->o.topic);
}

static int
check_belongs(const struct parse *p)
{
	for (int i = 0; i < OPTIONS; i++) {
		if ((p->given & (uint64_t)1 << i) == 0 || belongs[i] == 0 ||
		    (belongs[i] & BIT(p->o.verb)) != 0)
			continue;
		return err_set(p->e, ERR_USAGE,
		    "--%s does not belong to %s; see peciactl %s --help",
		    long_options[i].name, ctl_verb_name(p->o.verb),
		    ctl_verb_name(p->o.verb));
	}
	return 0;
}

static int
check_publish(struct parse *p)
{
	struct ctl_options *o = &p->o;
	bool pairs;

	if (p->word_count == 0)
		return err_set(p->e, ERR_USAGE,
		    "publish needs a FILE.conf or NAME=DIR[:TARGET]");
	pairs = ctl_is_pair(p->words[0]);
	for (size_t i = 1; i < p->word_count; i++)
		if (!pairs || !ctl_is_pair(p->words[i]))
			return err_set(p->e, ERR_USAGE,
			    "publish takes one FILE.conf, or any number of "
			    "NAME=DIR[:TARGET]; %s is one too many",
			    p->words[i]);
	if (o->exact && !pairs)
		return err_set(p->e, ERR_USAGE,
		    "--exact goes with NAME=DIR; in a file, write "
		    "\"mode = exact\"");
	o->sources = p->words;
	o->source_count = p->word_count;
	p->word_count = 0;
	return 0;
}

static int
check_mirror(struct parse *p)
{
	struct ctl_options *o = &p->o;

	if (p->word_count == 0)
		return err_set(p->e, ERR_USAGE, "%s needs the mirror's NAME",
		    ctl_verb_name(o->verb));
	if (take_name(p, ctl_verb_name(o->verb), p->words[0], &o->name) != 0)
		return ERR_USAGE;
	p->words++;
	p->word_count--;
	if (o->verb == CTL_MIRROR_REMOVE)
		return 0;
	if (o->verb == CTL_MIRROR_CHANGE) {
		if (o->site != NULL || o->spki_count + o->address_count > 0)
			return 0;
		return err_set(p->e, ERR_USAGE,
		    "mirror change needs --site, --key or --address");
	}
	if (o->site == NULL)
		return err_set(p->e, ERR_USAGE, "mirror add needs --site");
	if (o->spki_count == 0)
		return err_set(p->e, ERR_USAGE,
		    "mirror add needs --key sha256:..., which peciad "
		    "--show-identity prints");
	return 0;
}

static int
check_show(struct parse *p)
{
	if (p->word_count == 0)
		return 0;
	if (take_number(p, "show", p->words[0], INT64_MAX, &p->o.serial) != 0)
		return ERR_USAGE;
	p->words++;
	p->word_count--;
	return 0;
}

/* Words that the verb itself looks at: `least` to `most`. */
static int
check_operands(struct parse *p, size_t least, size_t most, const char *operands)
{
	if (p->word_count < least)
		return err_set(p->e, ERR_USAGE, "%s needs %s",
		    ctl_verb_name(p->o.verb), operands);
	p->o.sources = p->words;
	p->o.source_count = p->word_count < most ? p->word_count : most;
	p->words += p->o.source_count;
	p->word_count -= p->o.source_count;
	return 0;
}

static int
check_backup(struct parse *p)
{
	const struct ctl_options *o = &p->o;

	if (o->passphrase_file != NULL && o->key_file != NULL)
		return err_set(p->e, ERR_USAGE,
		    "--passphrase-file or --key-file, not both");
	if (o->list && o->force)
		return err_set(
		    p->e, ERR_USAGE, "--list and --force exclude each other");
	if (o->verb == CTL_RESTORE || o->list)
		return check_operands(p, 1, 1, "a FILE");
	return check_operands(p, 1, SIZE_MAX, "a FILE");
}

static int
check_words(struct parse *p)
{
	int ret = 0;

	if (p->o.verb == CTL_PUBLISH)
		ret = check_publish(p);
	else if ((ROSTERING & BIT(p->o.verb)) != 0)
		ret = check_mirror(p);
	else if (p->o.verb == CTL_SHOW)
		ret = check_show(p);
	else if ((SEALED & BIT(p->o.verb)) != 0)
		ret = check_backup(p);
	else if (p->o.verb == CTL_ROTATE)
		ret = check_operands(p, 1, SIZE_MAX, "root, release or head");
	if (ret == 0 && p->word_count > 0)
		ret = err_set(p->e, ERR_USAGE,
		    "%s: unexpected; see peciactl %s --help", p->words[0],
		    ctl_verb_name(p->o.verb));
	return ret;
}

static int
parse_all(struct parse *p, int argc, char *const argv[])
{
	int ret = take_options(p, argc, argv);

	if (ret != 0 || p->o.verb == CTL_VERSION)
		return ret;
	if (p->o.verb == CTL_HELP)
		return take_topic(p);
	if (p->word_count == 0)
		return err_set(
		    p->e, ERR_USAGE, "no command given; see peciactl --help");
	ret = take_verb(p, &p->o.verb);
	if (ret != 0 || p->o.verb == CTL_VERSION)
		return ret;
	if (p->o.verb == CTL_HELP)
		return take_topic(p);
	ret = check_belongs(p);
	return ret == 0 ? check_words(p) : ret;
}

int
ctl_options_parse(
    int argc, char *const argv[], struct ctl_options *out, struct err *e)
{
	struct parse p = { .e = e };
	int ret;

	p.o.channel = CTL_DEFAULT_CHANNEL;
	p.o.wait_ms = CTL_DEFAULT_WAIT_S * 1000;
	p.o.lifetime_s = CTL_DEFAULT_LIFETIME_S;
	p.o.grace_s = CTL_DEFAULT_GRACE_S;
	ret = parse_all(&p, argc, argv);
	if (ret == 0)
		*out = p.o;
	return ret;
}

void
ctl_options_defaults(
    struct ctl_options *o, const char *env_repo, const char *env_keys)
{
	if (o->repo == NULL && env_repo != NULL && env_repo[0] != '\0')
		o->repo = env_repo;
	if (o->repo == NULL)
		o->repo = CTL_DEFAULT_REPO;
	if (o->keys == NULL && env_keys != NULL && env_keys[0] != '\0')
		o->keys = env_keys;
	if (o->keys == NULL)
		o->keys = CTL_DEFAULT_KEYS;
}
