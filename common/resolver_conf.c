/* resolv.conf and hosts; runs where names are resolved, without privilege. */
#include "common/resolver_conf.h"

#include <string.h>
#include <strings.h>

#include "common/buf.h"

#define LABEL_BYTES 63                     /* RFC 1035 section 2.3.4 */
#define WORD_BYTES  (LIMIT_HOST_BYTES + 2) /* a name, its last dot, NUL */

static bool
is_label_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool
resolver_conf_is_name(const char *s)
{
	size_t label = 0, i;

	for (i = 0; i <= LIMIT_HOST_BYTES && s[i] != '\0'; i++) {
		if (s[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if (!is_label_byte(s[i]) || ++label > LABEL_BYTES) {
			return false;
		}
	}
	return label > 0 && i <= LIMIT_HOST_BYTES;
}

void
resolver_conf_lower(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s - 'A' + 'a');
}

/* The next line, ended by LF or the end of the text. */
static bool
next_line(struct reader *text, struct reader *line)
{
	const char *p = NULL;
	const uint8_t *rest = NULL;
	size_t len = 0;

	if (reader_left(text) == 0)
		return false;
	if (reader_line(text, &p, &len) == 0) {
		reader_init(line, p, len);
		return true;
	}
	len = reader_left(text);
	if (reader_bytes(text, len, &rest) != 0)
		return false;
	reader_init(line, rest, len);
	return true;
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The next word, which ends at white space or the line's end; a comment ends
 * the line.  One that is too long to mean anything here, or has a NUL in it,
 * becomes "". */
static bool
next_word(struct reader *line, char word[WORD_BYTES])
{
	size_t len = 0;
	bool usable = true;
	uint8_t c = ' ';

	while (is_space(c))
		if (reader_u8(line, &c) != 0)
			return false;
	if (c == '#' || c == ';')
		return false;
	do {
		if (c == '#') {
			line->pos = line->len;
			break;
		}
		usable = usable && c != '\0' && len < WORD_BYTES - 1;
		if (usable)
			word[len++] = (char)c;
	} while (reader_u8(line, &c) == 0 && !is_space(c));
	word[usable ? len : 0] = '\0';
	return true;
}

static bool
has_domain(const struct resolver_conf *c, const char *name)
{
	for (size_t i = 0; i < c->domain_count; i++)
		if (strcasecmp(c->domains[i], name) == 0)
			return true;
	return false;
}

static void
add_domain(struct resolver_conf *c, char *word)
{
	size_t len = strlen(word);

	if (len > 0 && word[len - 1] == '.')
		word[--len] = '\0';
	if (c->domain_count == LIMIT_SEARCH_DOMAINS ||
	    !resolver_conf_is_name(word) || has_domain(c, word)) {
		c->skipped++;
		return;
	}
	resolver_conf_lower(word);
	memcpy(c->domains[c->domain_count], word, len + 1);
	c->domain_count++;
}

/* `search` takes all words, `domain` one; an empty line changes nothing. */
static void
parse_search(struct resolver_conf *c, struct reader *line, bool all)
{
	char word[WORD_BYTES];

	if (!next_word(line, word))
		return;
	c->domain_count = 0;
	c->skipped = 0;
	do {
		add_domain(c, word);
	} while (all && next_word(line, word));
}

static void
parse_server(struct resolver_conf *c, struct reader *line)
{
	char word[WORD_BYTES];

	if (c->server_count < RESOLVER_CONF_SERVERS && next_word(line, word) &&
	    dial_address_parse(&c->servers[c->server_count], word, 53) == 0)
		c->server_count++;
}

void
resolver_conf_parse(struct resolver_conf *c, const void *text, size_t len)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	struct reader r, line;
	char word[WORD_BYTES];

	memset(c, 0, sizeof(*c));
	reader_init(&r, text, len);
	while (next_line(&r, &line)) {
		/* libc wants the keyword in the first column. */
		if (line.len == 0 || is_space(line.data[0]) ||
		    !next_word(&line, word))
			continue;
		if (strcmp(word, "search") == 0)
			parse_search(c, &line, true);
		else if (strcmp(word, "domain") == 0)
			parse_search(c, &line, false);
		else if (strcmp(word, "nameserver") == 0)
			parse_server(c, &line);
	}
	if (c->server_count == 0)
		dial_address_from_bytes(
		    &c->servers[c->server_count++], AF_INET, loopback, 53);
}

void
resolver_conf_default_domain(struct resolver_conf *c, const char *hostname)
{
	const char *dot = strchr(hostname, '.');
	char word[WORD_BYTES];

	if (c->domain_count > 0 || dot == NULL || dot[1] == '\0' ||
	    strlen(dot + 1) >= sizeof(word))
		return;
	memcpy(word, dot + 1, strlen(dot + 1) + 1);
	add_domain(c, word);
}

static bool
line_has_name(struct reader *line, const char *name)
{
	char word[WORD_BYTES];

	while (next_word(line, word)) {
		size_t len = strlen(word);

		if (len > 0 && word[len - 1] == '.')
			word[len - 1] = '\0';
		if (strcasecmp(word, name) == 0)
			return true;
	}
	return false;
}

size_t
resolver_conf_hosts(const void *text, size_t len, const char *name,
    uint16_t port, struct dial_address *out, size_t max)
{
	struct reader r, line;
	char address[WORD_BYTES];
	size_t count = 0;

	reader_init(&r, text, len);
	while (count < max && next_line(&r, &line)) {
		if (!next_word(&line, address) || !line_has_name(&line, name))
			continue;
		if (dial_address_parse(&out[count], address, port) == 0)
			count++;
	}
	return count;
}
