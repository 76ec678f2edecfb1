/* Configuration files, split into lines and pairs by inih.
 *
 * inih keeps 49 bytes of a section's name, knows nothing of empty sections and
 * continues a value on an indented line.  So the reader that feeds it takes
 * headers itself and strips what a line starts with. */
#include "common/config.h"

#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/fsat.h"
#include "common/limits.h"
#include "common/text.h"

struct entry {
	char *key;
	char *value;
	unsigned line;
};

struct config_section {
	const struct config *config;
	char *type;
	char *name;
	unsigned line;
	struct entry *entries;
	size_t count, room;
};

struct config {
	char *file;
	struct config_section *sections;
	size_t count, room;
};

struct parse {
	struct config *config;
	struct reader text;
	unsigned line;
	int ret;
	struct err *e;
};

static void
section_release(struct config_section *s)
{
	size_t i;

	for (i = 0; i < s->count; i++) {
		free(s->entries[i].key);
		free(s->entries[i].value);
	}
	free(s->entries);
	free(s->type);
	free(s->name);
}

void
config_free(struct config *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->count; i++)
		section_release(&c->sections[i]);
	free(c->sections);
	free(c->file);
	free(c);
}

/* Room for one more in an array of `count` items; NULL without memory. */
static void *
one_more(void *items, size_t size, size_t count, size_t *room)
{
	size_t more = *room == 0 ? 8 : *room * 2;

	if (count < *room)
		return items;
	items = reallocarray(items, more, size);
	if (items != NULL)
		*room = more;
	return items;
}

static int
complain(struct parse *p, const char *why)
{
	p->ret = err_set(
	    p->e, ERR_FORMAT, "%s:%u: %s", p->config->file, p->line, why);
	return p->ret;
}

static int
add_section(struct parse *p, const char *type, const char *name)
{
	struct config *c = p->config;
	struct config_section *list, *s;

	list = one_more(c->sections, sizeof(*list), c->count, &c->room);
	if (list == NULL)
		return p->ret = err_memory(p->e);
	c->sections = list;
	s = &list[c->count++];
	*s = (struct config_section){ .config = c,
		.type = strdup(type),
		.name = strdup(name),
		.line = p->line };
	if (s->type == NULL || s->name == NULL)
		p->ret = err_memory(p->e);
	return p->ret;
}

/* The ']' that belongs to the '[' at the line's start, or NULL. */
static char *
header_end(char *line)
{
	size_t open = 0;

	for (; *line != '\0'; line++) {
		if (*line == '[')
			open++;
		else if (*line == ']' && --open == 0)
			return line;
	}
	return NULL;
}

/* `line` is NUL-ended, begins with '[' and is taken apart. */
static int
add_header(struct parse *p, char *line)
{
	char *type = line + 1, *end = header_end(line), *name;
	const struct config_section *before;

	if (end == NULL)
		return complain(p, "section header without \"]\"");
	name = end + 1 + strspn(end + 1, " \t\r");
	if (*name != '\0' && *name != ';' && *name != '#')
		return complain(p, "text behind a section header");
	while (end > type && strchr(" \t", end[-1]) != NULL)
		end--;
	*end = '\0';
	type += strspn(type, " \t");
	name = type + strcspn(type, " \t");
	if (*name != '\0') {
		*name++ = '\0';
		name += strspn(name, " \t");
	}
	if (*type == '\0')
		return complain(p, "section header without a type");
	before = config_find(p->config, type, name);
	if (before == NULL)
		return add_section(p, type, name);
	p->ret = err_set(p->e, ERR_FORMAT,
	    "%s:%u: section [%s%s%s] was already given in line %u",
	    p->config->file, p->line, type, *name == '\0' ? "" : " ", name,
	    before->line);
	return p->ret;
}

/* The next line of the text without its LF; false at the end. */
static bool
next_line(struct reader *r, const char **line, size_t *len)
{
	const uint8_t *rest = NULL;

	if (reader_line(r, line, len) == 0)
		return true;
	*len = reader_left(r);
	if (*len == 0 || reader_bytes(r, *len, &rest) != 0)
		return false;
	*line = (const char *)rest;
	return true;
}

static int
check_line(struct parse *p, const char *line, size_t len)
{
	size_t i;

	if (len > CONFIG_LINE_BYTES)
		return complain(p, "line too long");
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)line[i];

		if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
			return complain(p, "control byte in the line");
	}
	return 0;
}

/* inih's fgets: one line into dst, NULL at the end or after an error. */
static char *
feed_line(char *dst, int size, void *stream)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct parse *p = stream;
	const char *line;
	size_t len;

	if (p->ret != 0 || !next_line(&p->text, &line, &len))
		return NULL;
	p->line++;
	if (p->line == 1 && len >= 3 && memcmp(line, bom, 3) == 0) {
		line += 3;
		len -= 3;
	}
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	if (check_line(p, line, len) != 0)
		return NULL;
	if (len + 2 > (size_t)size) {
		complain(p, "line too long");
		return NULL;
	}
	memcpy(dst, line, len);
	dst[len] = '\0';
	if (dst[0] == '[') {
		add_header(p, dst);
		len = 0;
	}
	dst[len] = '\n';
	dst[len + 1] = '\0';
	return dst;
}

/* inih's handler: non-zero is success. */
static int
add_pair(void *user, const char *section, const char *key, const char *value)
{
	struct parse *p = user;
	struct config *c = p->config;
	struct config_section *s;
	struct entry *list, new = { NULL, NULL, p->line };

	(void)section;
	if (p->ret != 0)
		return 0;
	if (key[0] == '\0')
		return complain(p, "a value without a key") == 0;
	if (c->count == 0 && add_section(p, "", "") != 0)
		return 0;
	s = &c->sections[c->count - 1];
	new.key = strdup(key);
	new.value = strdup(value);
	list = one_more(s->entries, sizeof(*list), s->count, &s->room);
	if (list != NULL)
		s->entries = list;
	if (new.key == NULL || new.value == NULL || list == NULL) {
		free(new.key);
		free(new.value);
		p->ret = err_memory(p->e);
		return 0;
	}
	s->entries[s->count++] = new;
	return 1;
}

/* The library's settings are the process's; nobody else reads INI. */
static void
set_up_library(void)
{
	ini_use_stack = false;
	ini_max_line = CONFIG_LINE_BYTES + 3;
	ini_initial_alloc = CONFIG_LINE_BYTES + 3;
	ini_allow_multiline = false;
	ini_stop_on_first_error = true;
}

static int
parse_text(struct parse *p)
{
	int bad;

	set_up_library();
	bad = ini_parse_stream(feed_line, p, add_pair, p);
	if (p->ret == 0 && bad > 0)
		complain(p, "neither \"key = value\" nor a [section]");
	if (p->ret == 0 && bad < 0)
		p->ret = err_memory(p->e);
	return p->ret;
}

int
config_parse(const char *file, const void *text, size_t len,
    struct config **out, struct err *e)
{
	struct parse p = { .e = e };

	if (len > LIMIT_CONFIG_BYTES)
		return err_set(e, ERR_LIMIT, "%s: more than %d bytes", file,
		    LIMIT_CONFIG_BYTES);
	p.config = calloc(1, sizeof(*p.config));
	if (p.config == NULL)
		return err_memory(e);
	p.config->file = strdup(file);
	reader_init(&p.text, text, len);
	p.ret = p.config->file == NULL ? err_memory(e) : parse_text(&p);
	if (p.ret == 0)
		*out = p.config;
	else
		config_free(p.config);
	return p.ret;
}

int
config_load(const char *path, struct config **out, struct err *e)
{
	struct buf text;
	int ret;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	ret = fsat_operator_read(path, LIMIT_CONFIG_BYTES, &text, e);
	if (ret == 0)
		ret = config_parse(path, text.data, text.len, out, e);
	buf_release(&text);
	return ret;
}

size_t
config_count(const struct config *c)
{
	return c->count;
}

const struct config_section *
config_at(const struct config *c, size_t i)
{
	return &c->sections[i];
}

const struct config_section *
config_find(const struct config *c, const char *type, const char *name)
{
	size_t i;

	for (i = 0; i < c->count; i++) {
		if (strcmp(c->sections[i].type, type) == 0 &&
		    strcmp(c->sections[i].name, name) == 0)
			return &c->sections[i];
	}
	return NULL;
}

const char *
config_type(const struct config_section *s)
{
	return s->type;
}

const char *
config_name(const struct config_section *s)
{
	return s->name;
}

static bool
is_listed(const char *key, const char *const *keys)
{
	for (; *keys != NULL; keys++) {
		if (strcmp(key, *keys) == 0)
			return true;
	}
	return false;
}

static int
check_section(const struct config_section *s, const struct config_rule *rule,
    struct err *e)
{
	size_t i;

	if (rule->named == CONFIG_PATTERN && s->name[0] == '\0')
		return err_set(e, ERR_USAGE, "%s:%u: [%s PATTERN] needs one",
		    s->config->file, s->line, s->type);
	if (rule->named == CONFIG_NAMED &&
	    !text_is_name(s->name, strlen(s->name)))
		return err_set(e, ERR_USAGE,
		    "%s:%u: [%s NAME] needs a name of letters, digits, "
		    "\".\", \"_\", \"-\"",
		    s->config->file, s->line, s->type);
	if (rule->named == CONFIG_UNNAMED && s->name[0] != '\0')
		return err_set(e, ERR_USAGE, "%s:%u: [%s] takes no name",
		    s->config->file, s->line, s->type);
	for (i = 0; i < s->count; i++) {
		if (!is_listed(s->entries[i].key, rule->keys))
			return err_set(e, ERR_USAGE,
			    "%s:%u: unknown key \"%s\" in [%s]",
			    s->config->file, s->entries[i].line,
			    s->entries[i].key, s->type);
	}
	return 0;
}

static const struct config_rule *
rule_for(const char *type, const struct config_rule *rules, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (strcmp(rules[i].type, type) == 0)
			return &rules[i];
	}
	return NULL;
}

int
config_check(const struct config *c, const struct config_rule *rules,
    size_t count, struct err *e)
{
	const struct config_rule *rule;
	size_t i;
	int ret = 0;

	for (i = 0; ret == 0 && i < c->count; i++) {
		const struct config_section *s = &c->sections[i];

		rule = rule_for(s->type, rules, count);
		if (rule != NULL)
			ret = check_section(s, rule, e);
		else if (s->type[0] == '\0')
			ret = err_set(e, ERR_USAGE,
			    "%s:%u: a key before the first [section]", c->file,
			    s->line);
		else
			ret =
			    err_set(e, ERR_USAGE, "%s:%u: unknown section [%s]",
			        c->file, s->line, s->type);
	}
	return ret;
}

int
config_load_main(const char *path, bool needed, const char *const *keys,
    struct config **out, const struct config_section **section, struct err *e)
{
	const struct config_rule rule = { "main", CONFIG_UNNAMED, keys };
	struct err mine = ERR_INIT;
	struct config *c = NULL;
	int ret = config_load(path, &c, &mine);

	if (ret == ERR_NOT_FOUND && !needed)
		ret = 0;
	else if (ret == 0)
		ret = config_check(c, &rule, 1, &mine);
	if (ret != 0) {
		config_free(c);
		*e = mine;
		return ret;
	}
	*out = c;
	*section = c == NULL ? NULL : config_find(c, "main", "");
	return 0;
}

/* The last value of the key. */
static const struct entry *
last_entry(const struct config_section *s, const char *key)
{
	size_t i;

	for (i = s == NULL ? 0 : s->count; i > 0; i--) {
		if (strcmp(s->entries[i - 1].key, key) == 0)
			return &s->entries[i - 1];
	}
	return NULL;
}

int
config_complain(const struct config_section *s, const char *key, struct err *e,
    const char *fmt, ...)
{
	const struct entry *entry = last_entry(s, key);
	char why[ERR_MSG_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return err_set(e, ERR_USAGE, "%s:%u: %s: %s", s->config->file,
	    entry == NULL ? s->line : entry->line, key, why);
}

bool
config_has(const struct config_section *s, const char *key)
{
	return last_entry(s, key) != NULL;
}

int
config_string(const struct config_section *s, const char *key, const char **v,
    struct err *e)
{
	const struct entry *entry = last_entry(s, key);
	const struct entry *i;

	if (entry == NULL)
		return 0;
	for (i = s->entries; i < entry; i++) {
		if (strcmp(i->key, key) == 0)
			return config_complain(
			    s, key, e, "already given in line %u", i->line);
	}
	*v = entry->value;
	return 0;
}

/* A number, perhaps with one of the letters of `units` behind it. */
static int
get_scaled(const struct config_section *s, const char *key, const char *units,
    int (*read)(const char *text, uint64_t *v), uint64_t *v, struct err *e)
{
	const char *text = NULL;
	int ret = config_string(s, key, &text, e);

	if (ret != 0 || text == NULL)
		return ret;
	if (read(text, v) != 0)
		return config_complain(s, key, e,
		    "\"%s\" is no number, or too large (units: %s)", text,
		    units);
	return 0;
}

int
config_u64(const struct config_section *s, const char *key, uint64_t max,
    uint64_t *v, struct err *e)
{
	const char *text = NULL;
	int ret = config_string(s, key, &text, e);

	if (ret != 0 || text == NULL)
		return ret;
	if (text_u64(text, strlen(text), max, v) != 0)
		return config_complain(s, key, e,
		    "\"%s\" is no number from 0 to %ju", text, (uintmax_t)max);
	return 0;
}

int
config_seconds(
    const struct config_section *s, const char *key, uint64_t *v, struct err *e)
{
	return get_scaled(s, key, "smhd", text_seconds, v, e);
}

int
config_bytes(
    const struct config_section *s, const char *key, uint64_t *v, struct err *e)
{
	return get_scaled(s, key, "KMGT", text_size, v, e);
}

int
config_bool(
    const struct config_section *s, const char *key, bool *v, struct err *e)
{
	static const char *const yes[] = { "yes", "true", "on", "1", NULL };
	static const char *const no[] = { "no", "false", "off", "0", NULL };
	const char *text = NULL;
	int ret = config_string(s, key, &text, e);

	if (ret != 0 || text == NULL)
		return ret;
	if (!is_listed(text, yes) && !is_listed(text, no))
		return config_complain(
		    s, key, e, "\"%s\" is not yes or no", text);
	*v = is_listed(text, yes);
	return 0;
}

/* Room for every item that the key's values can hold, and their text, in one
 * block. */
static int
list_new(const struct config_section *s, const char *key,
    struct config_list *list, char **text, struct err *e)
{
	size_t i, bytes = 0, items = 0;

	for (i = 0; s != NULL && i < s->count; i++) {
		if (strcmp(s->entries[i].key, key) == 0) {
			bytes += strlen(s->entries[i].value) + 1;
			items += strlen(s->entries[i].value) / 2 + 1;
		}
	}
	list->count = 0;
	list->items = malloc(items * sizeof(*list->items) + bytes + 1);
	if (list->items == NULL)
		return err_memory(e);
	*text = (char *)(list->items + items);
	return 0;
}

static int
fill_list(const struct config_section *s, const char *key, const char *blanks,
    struct config_list *out, struct err *e)
{
	struct config_list list;
	char *text = NULL, *word, *rest;
	size_t i, size;
	int ret = list_new(s, key, &list, &text, e);

	if (ret != 0)
		return ret;
	for (i = 0; s != NULL && i < s->count; i++) {
		if (strcmp(s->entries[i].key, key) != 0)
			continue;
		size = strlen(s->entries[i].value) + 1;
		memcpy(text, s->entries[i].value, size);
		rest = text;
		while ((word = strsep(&rest, blanks)) != NULL) {
			if (word[0] != '\0' || blanks[0] == '\0')
				list.items[list.count++] = word;
		}
		text += size;
	}
	*out = list;
	return 0;
}

int
config_values(const struct config_section *s, const char *key,
    struct config_list *out, struct err *e)
{
	return fill_list(s, key, "", out, e);
}

int
config_words(const struct config_section *s, const char *key,
    struct config_list *out, struct err *e)
{
	return fill_list(s, key, " \t", out, e);
}

void
config_list_release(struct config_list *list)
{
	free(list->items);
	list->items = NULL;
	list->count = 0;
}
