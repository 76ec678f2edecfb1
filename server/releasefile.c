/* Release files: INI sections to the fields of a release.  Publishers only. */
#include "server/releasefile.h"

#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/text.h"
#include "server/releasefile_actions.h"

static const char *const transcript_keys[] = { "source", "target", "mode",
	"exclude", "owner", "devices", "one_file_system", NULL };
static const char *const profile_keys[] = { "transcripts", NULL };
static const char *const host_keys[] = { "profile", "channel", NULL };
static const struct config_rule rules[] = {
	{ "transcript", CONFIG_NAMED, transcript_keys },
	{ "profile", CONFIG_NAMED, profile_keys },
	{ "host", CONFIG_PATTERN, host_keys },
	{ "trigger", CONFIG_NAMED, releasefile_trigger_keys },
	{ "check", CONFIG_NAMED, releasefile_check_keys },
};

void
releasefile_init(struct releasefile *f)
{
	release_init(&f->release);
	f->sources = NULL;
}

void
releasefile_release(struct releasefile *f)
{
	for (size_t i = 0;
	     f->sources != NULL && i < f->release.transcript_count; i++)
		free(f->sources[i].path);
	free(f->sources);
	release_release(&f->release);
	releasefile_init(f);
}

static int
copy_text(const char *text, char **out, struct err *e)
{
	*out = strdup(text);
	return *out != NULL ? 0 : err_memory(e);
}

static int
by_name(const void *x, const void *y)
{
	const struct release_transcript *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static int
profile_by_name(const void *x, const void *y)
{
	const struct release_profile *a = x, *b = y;

	return strcmp(a->name, b->name);
}

/* Room for everything that one kind of section can make. */
static int
make_room(struct releasefile *f, size_t transcripts, size_t profiles,
    size_t hosts, struct err *e)
{
	struct release *r = &f->release;

	r->transcripts = calloc(transcripts + 1, sizeof(*r->transcripts));
	r->profiles = calloc(profiles + 1, sizeof(*r->profiles));
	r->hosts = calloc(hosts + 1, sizeof(*r->hosts));
	f->sources = calloc(transcripts + 1, sizeof(*f->sources));
	if (r->transcripts == NULL || r->profiles == NULL || r->hosts == NULL ||
	    f->sources == NULL)
		return err_memory(e);
	return 0;
}

static size_t
index_of(const struct release *r, const char *name)
{
	return (size_t)(release_find_transcript(r, name) - r->transcripts);
}

/* A profile and a host for all, where the operator named none. */
static int
start_default_profile(struct releasefile *f, size_t count, struct err *e)
{
	struct release_profile *p = &f->release.profiles[0];

	p->transcripts = calloc(count + 1, sizeof(*p->transcripts));
	if (p->transcripts == NULL)
		return err_memory(e);
	(void)snprintf(p->name, sizeof(p->name), "default");
	f->release.profile_count = 1;
	return 0;
}

static void
add_to_default_profile(struct releasefile *f, const char *transcript)
{
	struct release_profile *p = &f->release.profiles[0];

	p->transcripts[p->count++] =
	    (uint16_t)index_of(&f->release, transcript);
}

static int
add_default_host(struct releasefile *f, struct err *e)
{
	struct release *r = &f->release;
	int ret = copy_text("*", &r->hosts[0].pattern, e);

	if (ret == 0)
		r->host_count = 1;
	return ret;
}

static int
resolve_source(const char *file, const char *source, char **out, struct err *e)
{
	const char *slash = strrchr(file, '/');
	size_t dir = slash == NULL ? 0 : (size_t)(slash - file) + 1;
	struct buf path;
	int ret;

	if (source[0] == '/')
		dir = 0;
	buf_init(&path, LIMIT_PATH_BYTES);
	buf_add(&path, file, dir);
	buf_add_str(&path, source);
	ret = buf_check(&path, "source", e);
	if (ret == 0)
		ret = copy_text(buf_str(&path), out, e);
	buf_release(&path);
	return ret;
}

static int
read_mode(
    const struct config_section *s, enum release_mode *mode, struct err *e)
{
	const char *text = "overlay";
	int ret = config_string(s, "mode", &text, e);

	if (ret != 0)
		return ret;
	if (strcmp(text, "overlay") == 0)
		*mode = RELEASE_OVERLAY;
	else if (strcmp(text, "exact") == 0)
		*mode = RELEASE_EXACT;
	else
		return config_complain(
		    s, "mode", e, "\"%s\" is neither overlay nor exact", text);
	return 0;
}

static int
read_target(const struct config_section *s, char **target, struct err *e)
{
	const char *text = NULL;
	int ret = config_string(s, "target", &text, e);

	if (ret != 0)
		return ret;
	if (text == NULL)
		return config_complain(s, "target", e,
		    "missing in [transcript %s]: the directory on clients",
		    config_name(s));
	if (!release_is_target(text))
		return config_complain(s, "target", e,
		    "\"%s\" is not an absolute path without \".\", \"..\", "
		    "\"//\" and \"/\" at its end",
		    text);
	return copy_text(text, target, e);
}

static int
read_excludes(
    const struct config_section *s, struct release_transcript *t, struct err *e)
{
	struct config_list list = { NULL, 0 };
	int ret = config_values(s, "exclude", &list, e);

	if (ret == 0 && list.count > LIMIT_EXCLUDES)
		ret = config_complain(
		    s, "exclude", e, "more than %d patterns", LIMIT_EXCLUDES);
	if (ret == 0 && list.count > 0) {
		t->excludes = calloc(list.count, sizeof(*t->excludes));
		ret = t->excludes == NULL ? err_memory(e) : 0;
	}
	for (size_t i = 0; ret == 0 && i < list.count; i++) {
		if (list.items[i][0] == '\0' ||
		    strlen(list.items[i]) > LIMIT_TEXT_BYTES)
			ret = config_complain(s, "exclude", e,
			    "a pattern is empty or longer than %d bytes",
			    LIMIT_TEXT_BYTES);
		else
			ret = copy_text(list.items[i], &t->excludes[i], e);
		if (ret == 0)
			t->exclude_count++;
	}
	config_list_release(&list);
	return ret;
}

static int
read_owner(const struct config_section *s, bool *numeric, struct err *e)
{
	const char *text = "names";
	int ret = config_string(s, "owner", &text, e);

	if (ret != 0)
		return ret;
	if (strcmp(text, "names") != 0 && strcmp(text, "numeric") != 0)
		return config_complain(
		    s, "owner", e, "\"%s\" is neither names nor numeric", text);
	*numeric = strcmp(text, "numeric") == 0;
	return 0;
}

static int
read_source(const char *file, const struct config_section *s,
    struct releasefile_source *source, struct err *e)
{
	const char *text = NULL;
	int ret = config_string(s, "source", &text, e);

	if (ret != 0)
		return ret;
	if (text == NULL || text[0] == '\0')
		return config_complain(s, "source", e,
		    "missing in [transcript %s]: the directory to publish",
		    config_name(s));
	ret = resolve_source(file, text, &source->path, e);
	if (ret == 0)
		ret = read_owner(s, &source->numeric_owner, e);
	if (ret == 0)
		ret = config_bool(s, "devices", &source->devices, e);
	if (ret == 0)
		ret = config_bool(
		    s, "one_file_system", &source->one_file_system, e);
	return ret;
}

static void
set_name(char dst[LIMIT_NAME_BYTES + 1], const char *name)
{
	(void)snprintf(dst, LIMIT_NAME_BYTES + 1, "%s", name);
}

/* One run over a file's sections. */
struct reading {
	const char *file;
	const struct config *config;
	struct releasefile *f;
	const char **order; /* transcripts' names as the file has them */
	struct err *e;
};

static const struct config_section *
section(const struct reading *r, const char *type, size_t i)
{
	const struct config_section *s = config_at(r->config, i);

	return strcmp(config_type(s), type) == 0 ? s : NULL;
}

static size_t
count_sections(const struct reading *r, const char *type)
{
	size_t n = 0;

	for (size_t i = 0; i < config_count(r->config); i++)
		n += section(r, type, i) != NULL;
	return n;
}

static int
check_counts(const struct reading *r)
{
	static const struct {
		const char *type;
		size_t max;
	} limits[] = { { "transcript", LIMIT_TRANSCRIPTS },
		{ "profile", LIMIT_PROFILES }, { "host", LIMIT_HOSTS } };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (count_sections(r, limits[i].type) > limits[i].max)
			return err_set(r->e, ERR_LIMIT,
			    "%s: more than %zu sections [%s]", r->file,
			    limits[i].max, limits[i].type);
	if (count_sections(r, "transcript") == 0)
		return err_set(r->e, ERR_USAGE,
		    "%s: no [transcript NAME], so there is nothing to publish",
		    r->file);
	return 0;
}

/* Sources follow once the transcripts are in their final order. */
static int
read_transcripts(struct reading *r)
{
	struct release *release = &r->f->release;
	size_t n = 0;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < config_count(r->config); i++) {
		const struct config_section *s = section(r, "transcript", i);
		struct release_transcript *t = &release->transcripts[n];

		if (s == NULL)
			continue;
		r->order[n++] = config_name(s);
		release->transcript_count = n;
		set_name(t->name, config_name(s));
		ret = read_mode(s, &t->mode, r->e);
		if (ret == 0)
			ret = read_target(s, &t->target, r->e);
		if (ret == 0)
			ret = read_excludes(s, t, r->e);
	}
	if (n > 1)
		qsort(release->transcripts, n, sizeof(*release->transcripts),
		    by_name);
	for (size_t i = 0; ret == 0 && i < n; i++)
		ret = read_source(r->file,
		    config_find(
		        r->config, "transcript", release->transcripts[i].name),
		    &r->f->sources[i], r->e);
	return ret;
}

static int
add_members(struct reading *r, const struct config_section *s,
    struct release_profile *p, const struct config_list *names)
{
	bool taken[LIMIT_TRANSCRIPTS] = { false };
	const struct release *release = &r->f->release;

	if (names->count == 0)
		return config_complain(
		    s, "transcripts", r->e, "a profile needs at least one");
	p->transcripts = calloc(names->count, sizeof(*p->transcripts));
	if (p->transcripts == NULL)
		return err_memory(r->e);
	for (size_t i = 0; i < names->count; i++) {
		const char *name = names->items[i];
		size_t at;

		if (release_find_transcript(release, name) == NULL)
			return config_complain(s, "transcripts", r->e,
			    "there is no [transcript %s]", name);
		at = index_of(release, name);
		if (taken[at])
			return config_complain(
			    s, "transcripts", r->e, "%s is there twice", name);
		taken[at] = true;
		p->transcripts[p->count++] = (uint16_t)at;
	}
	return 0;
}

static int
read_profiles(struct reading *r)
{
	struct release *release = &r->f->release;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < config_count(r->config); i++) {
		const struct config_section *s = section(r, "profile", i);
		struct config_list names = { NULL, 0 };
		struct release_profile *p;

		if (s == NULL)
			continue;
		p = &release->profiles[release->profile_count++];
		set_name(p->name, config_name(s));
		ret = config_words(s, "transcripts", &names, r->e);
		if (ret == 0)
			ret = add_members(r, s, p, &names);
		config_list_release(&names);
	}
	if (ret == 0 && release->profile_count == 0) {
		ret = start_default_profile(
		    r->f, release->transcript_count, r->e);
		for (size_t i = 0; ret == 0 && i < release->transcript_count;
		     i++)
			add_to_default_profile(r->f, r->order[i]);
	}
	if (release->profile_count > 1)
		qsort(release->profiles, release->profile_count,
		    sizeof(*release->profiles), profile_by_name);
	return ret;
}

static int
read_host(
    struct reading *r, const struct config_section *s, struct release_host *h)
{
	const struct release *release = &r->f->release;
	const char *profile = NULL, *channel = "";
	const struct release_profile *p;
	int ret = config_string(s, "profile", &profile, r->e);

	if (ret == 0)
		ret = config_string(s, "channel", &channel, r->e);
	if (ret != 0)
		return ret;
	if (profile == NULL && release->profile_count == 1)
		profile = release->profiles[0].name;
	if (profile == NULL)
		return config_complain(s, "profile", r->e,
		    "missing in [host %s], and there are several",
		    config_name(s));
	p = release_find_profile(release, profile);
	if (p == NULL)
		return config_complain(
		    s, "profile", r->e, "there is no [profile %s]", profile);
	if (channel[0] != '\0' && !text_is_name(channel, strlen(channel)))
		return config_complain(
		    s, "channel", r->e, "\"%s\" is no channel's name", channel);
	h->profile = (uint16_t)(p - release->profiles);
	set_name(h->channel, channel);
	return copy_text(config_name(s), &h->pattern, r->e);
}

static int
read_hosts(struct reading *r)
{
	struct release *release = &r->f->release;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < config_count(r->config); i++) {
		const struct config_section *s = section(r, "host", i);

		if (s == NULL)
			continue;
		ret = read_host(r, s, &release->hosts[release->host_count]);
		if (ret == 0)
			release->host_count++;
	}
	if (ret != 0 || release->host_count > 0)
		return ret;
	if (release->profile_count > 1)
		return err_set(r->e, ERR_USAGE,
		    "%s: there are %zu profiles and no [host PATTERN] that "
		    "says who gets which",
		    r->file, release->profile_count);
	return add_default_host(r->f, r->e);
}

static int
read_sections(struct reading *r)
{
	int ret = config_check(
	    r->config, rules, sizeof(rules) / sizeof(rules[0]), r->e);

	if (ret == 0)
		ret = check_counts(r);
	if (ret == 0)
		ret = make_room(r->f, count_sections(r, "transcript"),
		    count_sections(r, "profile"), count_sections(r, "host"),
		    r->e);
	if (ret == 0)
		ret = read_transcripts(r);
	if (ret == 0)
		ret = read_profiles(r);
	if (ret == 0)
		ret = read_hosts(r);
	return ret == 0 ? releasefile_actions(r->config, &r->f->release, r->e)
	                : ret;
}

static int
from_config(const char *file, const struct config *c, struct releasefile *out,
    struct err *e)
{
	struct releasefile f;
	struct reading r = { file, c, &f, NULL, e };
	int ret = 0;

	releasefile_init(&f);
	r.order = calloc(config_count(c) + 1, sizeof(*r.order));
	if (r.order == NULL)
		ret = err_memory(e);
	if (ret == 0)
		ret = read_sections(&r);
	free(r.order);
	if (ret == 0)
		*out = f;
	else
		releasefile_release(&f);
	return ret;
}

int
releasefile_parse(const char *path, const void *text, size_t len,
    struct releasefile *out, struct err *e)
{
	struct config *c = NULL;
	int ret = config_parse(path, text, len, &c, e);

	if (ret == 0)
		ret = from_config(path, c, out, e);
	config_free(c);
	return ret;
}

int
releasefile_load(const char *path, struct releasefile *out, struct err *e)
{
	struct config *c = NULL;
	int ret = config_load(path, &c, e);

	if (ret == 0)
		ret = from_config(path, c, out, e);
	config_free(c);
	return ret;
}

/* A pair, apart. */
struct pair {
	char name[LIMIT_NAME_BYTES + 1];
	char *path;
	char *target;
};

/* Where the target begins, or NULL. */
static const char *
find_target(const char *dir)
{
	const char *at = NULL, *next = dir;

	while ((next = strstr(next, ":/")) != NULL)
		at = ++next;
	return at;
}

static int
split_pair(const char *text, struct pair *p, struct err *e)
{
	const char *dir = strchr(text, '='), *target;
	size_t len;

	if (dir == NULL || !text_is_name(text, (size_t)(dir - text)))
		return err_set(e, ERR_USAGE, "%s: not NAME=DIR[:TARGET]", text);
	memcpy(p->name, text, (size_t)(dir - text));
	p->name[dir - text] = '\0';
	dir++;
	target = find_target(dir);
	len = target == NULL ? strlen(dir) : (size_t)(target - dir) - 1;
	if (target == NULL)
		target = "/";
	if (len == 0)
		return err_set(e, ERR_USAGE, "%s: no directory", text);
	if (!release_is_target(target))
		return err_set(e, ERR_USAGE,
		    "%s: target %s is not an absolute path without \".\", "
		    "\"..\", \"//\" and \"/\" at its end",
		    text, target);
	p->path = strndup(dir, len);
	p->target = strdup(target);
	return p->path != NULL && p->target != NULL ? 0 : err_memory(e);
}

static int
pair_by_name(const void *x, const void *y)
{
	const struct pair *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static int
take_pairs(struct releasefile *f, struct pair *pairs, size_t count, bool exact,
    struct err *e)
{
	int ret = make_room(f, count, 1, 1, e);

	if (ret != 0)
		return ret;
	qsort(pairs, count, sizeof(*pairs), pair_by_name);
	for (size_t i = 0; i < count; i++) {
		struct release_transcript *t = &f->release.transcripts[i];

		if (i > 0 && strcmp(t[-1].name, pairs[i].name) == 0)
			return err_set(e, ERR_USAGE,
			    "transcript %s is given twice", pairs[i].name);
		memcpy(t->name, pairs[i].name, sizeof(t->name));
		t->mode = exact ? RELEASE_EXACT : RELEASE_OVERLAY;
		t->target = pairs[i].target;
		f->sources[i].path = pairs[i].path;
		pairs[i].target = pairs[i].path = NULL;
		f->release.transcript_count++;
	}
	return 0;
}

/* The profile has the pairs' order. */
static int
profile_of_pairs(
    struct releasefile *f, char *const *pairs, size_t count, struct err *e)
{
	char name[LIMIT_NAME_BYTES + 1];
	int ret = start_default_profile(f, count, e);

	for (size_t i = 0; ret == 0 && i < count; i++) {
		size_t len = strcspn(pairs[i], "=");

		memcpy(name, pairs[i], len);
		name[len] = '\0';
		add_to_default_profile(f, name);
	}
	return ret == 0 ? add_default_host(f, e) : ret;
}

int
releasefile_from_pairs(char *const *pairs, size_t count, bool exact,
    struct releasefile *out, struct err *e)
{
	struct pair *parts = calloc(count + 1, sizeof(*parts));
	struct releasefile f;
	int ret = 0;

	releasefile_init(&f);
	if (parts == NULL)
		ret = err_memory(e);
	else if (count == 0 || count > LIMIT_TRANSCRIPTS)
		ret = err_set(
		    e, ERR_USAGE, "not 1 to %d transcripts", LIMIT_TRANSCRIPTS);
	for (size_t i = 0; ret == 0 && i < count; i++)
		ret = split_pair(pairs[i], &parts[i], e);
	if (ret == 0)
		ret = take_pairs(&f, parts, count, exact, e);
	if (ret == 0)
		ret = profile_of_pairs(&f, pairs, count, e);
	for (size_t i = 0; parts != NULL && i < count; i++) {
		free(parts[i].path);
		free(parts[i].target);
	}
	free(parts);
	if (ret == 0)
		*out = f;
	else
		releasefile_release(&f);
	return ret;
}
