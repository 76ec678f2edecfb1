/* Text forms; pure functions used by every process. */
#include "common/text.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <string.h>

#include "common/limits.h"

#define TIME_MAX 253402300799 /* 9999-12-31T23:59:59Z */

void
text_hex(char *dst, const uint8_t *src, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		dst[2 * i] = digits[src[i] >> 4];
		dst[2 * i + 1] = digits[src[i] & 15];
	}
	dst[2 * len] = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int
text_unhex(uint8_t *dst, size_t len, const char *src, size_t src_len)
{
	int high, low;
	size_t i;

	if (src_len % 2 != 0 || src_len / 2 != len)
		return ERR_FORMAT;
	for (i = 0; i < len; i++) {
		high = hex_digit(src[2 * i]);
		low = hex_digit(src[2 * i + 1]);
		if (high < 0 || low < 0)
			return ERR_FORMAT;
		dst[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static bool
is_escaped(unsigned char c)
{
	return c <= 0x20 || c == '\\' || c == 0x7f;
}

void
text_escape(struct buf *b, const char *s, size_t len)
{
	size_t i, done = 0;
	uint8_t code[4];

	if (len == 0) {
		buf_add_str(b, "\\-");
		return;
	}
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!is_escaped(c))
			continue;
		code[0] = '\\';
		code[1] = (uint8_t)('0' + (c >> 6));
		code[2] = (uint8_t)('0' + ((c >> 3) & 7));
		code[3] = (uint8_t)('0' + (c & 7));
		buf_add(b, s + done, i - done);
		buf_add(b, code, sizeof(code));
		done = i + 1;
	}
	buf_add(b, s + done, len - done);
}

/* The byte that \ooo at s stands for, or -1. */
static int
octal_escape(const char *s, size_t len)
{
	int v = 0;
	size_t i;

	if (len < 4 || s[0] != '\\')
		return -1;
	for (i = 1; i < 4; i++) {
		if (s[i] < '0' || s[i] > '7')
			return -1;
		v = v * 8 + (s[i] - '0');
	}
	return v > 0 && v < 256 && is_escaped((unsigned char)v) ? v : -1;
}

int
text_unescape(
    char *dst, size_t size, const char *s, size_t len, size_t *out_len)
{
	size_t i = 0, n = 0;
	int c;

	if (len == 0 || size == 0)
		return len == 0 ? ERR_FORMAT : ERR_LIMIT;
	if (len == 2 && s[0] == '\\' && s[1] == '-')
		i = len;
	while (i < len) {
		c = (unsigned char)s[i];
		if (is_escaped((unsigned char)c)) {
			c = octal_escape(s + i, len - i);
			if (c < 0)
				return ERR_FORMAT;
			i += 3;
		}
		i++;
		if (n + 1 >= size)
			return ERR_LIMIT;
		dst[n++] = (char)c;
	}
	dst[n] = '\0';
	if (out_len != NULL)
		*out_len = n;
	return 0;
}

int
text_u64(const char *s, size_t len, uint64_t max, uint64_t *v)
{
	uint64_t n = 0;
	size_t i;

	if (len == 0 || len > 20 || (len > 1 && s[0] == '0'))
		return ERR_FORMAT;
	for (i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)s[i] - '0';

		if (digit > 9)
			return ERR_FORMAT;
		if (digit > max || n > (max - digit) / 10)
			return ERR_LIMIT;
		n = n * 10 + digit;
	}
	*v = n;
	return 0;
}

static int
read_scaled(
    const char *s, const char *units, const uint64_t *factors, uint64_t *v)
{
	size_t len = strlen(s);
	const char *unit = len > 0 ? strchr(units, s[len - 1]) : NULL;
	uint64_t factor = unit != NULL ? factors[unit - units] : 1, n = 0;
	int rc =
	    text_u64(s, unit != NULL ? len - 1 : len, INT64_MAX / factor, &n);

	if (rc == 0)
		*v = n * factor;
	return rc;
}

int
text_seconds(const char *s, uint64_t *v)
{
	static const uint64_t factors[] = { 1, 60, 3600, 86400 };

	return read_scaled(s, "smhd", factors, v);
}

int
text_size(const char *s, uint64_t *v)
{
	static const uint64_t factors[] = { 1ULL << 10, 1ULL << 20, 1ULL << 30,
		1ULL << 40 };

	return read_scaled(s, "KMGT", factors, v);
}

int
text_octal(const char *s, size_t len, uint32_t *v)
{
	uint32_t n = 0;
	size_t i;

	if (len == 0 || len > 10)
		return ERR_FORMAT;
	for (i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '7')
			return ERR_FORMAT;
		n = n << 3 | (uint32_t)(s[i] - '0');
	}
	*v = n;
	return 0;
}

/* width digits of v, with leading zeros. */
static char *
put_digits(char *dst, int v, size_t width)
{
	size_t i;

	for (i = width; i > 0; i--, v /= 10)
		dst[i - 1] = (char)('0' + v % 10);
	return dst + width;
}

void
text_time(char dst[TEXT_TIME_BYTES], time_t t)
{
	struct tm tm;
	char *p;

	t = t < 0 ? 0 : t > TIME_MAX ? TIME_MAX : t;
	gmtime_r(&t, &tm);
	p = put_digits(dst, tm.tm_year + 1900, 4);
	*p++ = '-';
	p = put_digits(p, tm.tm_mon + 1, 2);
	*p++ = '-';
	p = put_digits(p, tm.tm_mday, 2);
	*p++ = 'T';
	p = put_digits(p, tm.tm_hour, 2);
	*p++ = ':';
	p = put_digits(p, tm.tm_min, 2);
	*p++ = ':';
	p = put_digits(p, tm.tm_sec, 2);
	*p++ = 'Z';
	*p = '\0';
}

/* Whatever is no digit gives a number that the comparison below catches. */
static int
get_digits(const char *s, size_t width)
{
	int v = 0;
	size_t i;

	for (i = 0; i < width; i++) {
		if (s[i] < '0' || s[i] > '9')
			return 0;
		v = v * 10 + (s[i] - '0');
	}
	return v;
}

int
text_untime(const char *s, size_t len, time_t *t)
{
	char again[TEXT_TIME_BYTES];
	struct tm tm = { 0 };
	time_t v;

	if (len != TEXT_TIME_BYTES - 1)
		return ERR_FORMAT;
	tm.tm_year = get_digits(s, 4) - 1900;
	tm.tm_mon = get_digits(s + 5, 2) - 1;
	tm.tm_mday = get_digits(s + 8, 2);
	tm.tm_hour = get_digits(s + 11, 2);
	tm.tm_min = get_digits(s + 14, 2);
	tm.tm_sec = get_digits(s + 17, 2);
	v = timegm(&tm);
	/* Only what we would write is a time: no 30 February, no second 60. */
	text_time(again, v);
	if (memcmp(again, s, len) != 0)
		return ERR_FORMAT;
	*t = v;
	return 0;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

bool
text_is_name(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > LIMIT_NAME_BYTES || !is_alnum(s[0]))
		return false;
	for (i = 1; i < len; i++) {
		if (!is_alnum(s[i]) && s[i] != '.' && s[i] != '_' &&
		    s[i] != '-')
			return false;
	}
	return true;
}

int
text_sha256(const char *s, uint8_t dst[32])
{
	static const char prefix[] = "sha256:";

	if (strncmp(s, prefix, sizeof(prefix) - 1) == 0)
		s += sizeof(prefix) - 1;
	return text_unhex(dst, 32, s, strlen(s));
}

static bool
is_host(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > LIMIT_HOST_BYTES || s[0] == '.' || s[0] == '-')
		return false;
	for (i = 0; i < len; i++) {
		if (!is_alnum(s[i]) && s[i] != '.' && s[i] != '-' &&
		    s[i] != '_')
			return false;
	}
	return true;
}

/* An address and perhaps %zone, as between brackets. */
static bool
is_ipv6(const char *s, size_t len)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	const char *zone = memchr(s, '%', len);
	size_t n = zone == NULL ? len : (size_t)(zone - s);

	if (n >= sizeof(text) || len > LIMIT_HOST_BYTES)
		return false;
	if (zone != NULL && !text_is_name(zone + 1, len - n - 1))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

/* The host's place within s, and what follows it ("" or ":PORT"). */
static int
split_host(const char *s, const char **host, size_t *len, struct err *e)
{
	const char *end;

	if (s[0] == '[') {
		end = strchr(s, ']');
		if (end == NULL || !is_ipv6(s + 1, (size_t)(end - s) - 1))
			return err_set(e, ERR_FORMAT,
			    "%s: no IPv6 address in brackets", s);
		*host = s + 1;
		*len = (size_t)(end - s) - 1;
		return 0;
	}
	*host = s;
	*len = strcspn(s, ":");
	if (strchr(s + *len, ':') != strrchr(s, ':'))
		return err_set(
		    e, ERR_FORMAT, "%s: write an IPv6 address in brackets", s);
	if (!is_host(s, *len))
		return err_set(e, ERR_FORMAT, "%s: no host name", s);
	return 0;
}

int
text_host_port(const char *s, uint16_t default_port, char *host, uint16_t *port,
    struct err *e)
{
	uint64_t number = default_port;
	const char *start = NULL, *rest;
	size_t len = 0;
	int ret;

	ret = split_host(s, &start, &len, e);
	if (ret != 0)
		return ret;
	rest = start + len + (s[0] == '[' ? 1 : 0);
	if (rest[0] != '\0' &&
	    (rest[0] != ':' ||
	        text_u64(rest + 1, strlen(rest + 1), 65535, &number) != 0))
		return err_set(e, ERR_FORMAT,
		    "%s: no port number from 0 to 65535 after the host", s);
	memcpy(host, start, len);
	host[len] = '\0';
	*port = (uint16_t)number;
	return 0;
}

size_t
text_utf8(const char *s, size_t len)
{
	/* The least code point of each length: longer forms are malformed. */
	static const uint32_t least[] = { 0, 0x20, 0xa0, 0x800, 0x10000 };
	uint32_t c = len > 0 ? (unsigned char)s[0] : 0;
	size_t i, n;

	n = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	if (n == 0 || n > len || c > 0xf4)
		return 0;
	if (n > 1)
		c &= 0x7fU >> n;
	for (i = 1; i < n; i++) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || c == 0x7f ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

void
text_bytes(char *dst, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB",
		"EB" };
	uint64_t unit = 1000;
	size_t i = 0;

	if (bytes < unit) {
		(void)snprintf(dst, size, "%u B", (unsigned)bytes);
		return;
	}
	/* The next unit from where rounding would give 1000.0 of this one. */
	while (i + 1 < sizeof(units) / sizeof(units[0]) &&
	    bytes / unit * 20 + bytes % unit * 20 / unit >= 19999) {
		unit *= 1000;
		i++;
	}
	(void)snprintf(
	    dst, size, "%.1f %s", (double)bytes / (double)unit, units[i]);
}

static unsigned
path_rank(char c)
{
	unsigned v = (unsigned char)c;

	return v == 0 ? 0 : v == '/' ? 1 : v + 1;
}

int
text_path_cmp(const char *a, const char *b)
{
	unsigned x, y;

	while (*a == *b && *a != '\0') {
		a++;
		b++;
	}
	x = path_rank(*a);
	y = path_rank(*b);
	return x < y ? -1 : x > y;
}

/* Copies without '/' at either end; false when it does not fit. */
static bool
copy_trimmed(char *dst, size_t size, const char *s)
{
	size_t len;

	s += strspn(s, "/");
	len = strlen(s);
	while (len > 0 && s[len - 1] == '/')
		len--;
	if (len >= size)
		return false;
	memcpy(dst, s, len);
	dst[len] = '\0';
	return len > 0;
}

/* As '*' never takes a '/', only the leading part of the path with as many
 * components as the pattern can match. */
static bool
match_anchored(const char *pattern, char *path)
{
	const char *p = pattern;
	char *end = strchr(path, '/');

	while (end != NULL && (p = strchr(p, '/')) != NULL) {
		p++;
		end = strchr(end + 1, '/');
	}
	if (end != NULL)
		*end = '\0';
	return fnmatch(pattern, path, FNM_PATHNAME) == 0;
}

bool
text_path_match(const char *pattern, const char *path)
{
	char copy[LIMIT_PATH_BYTES + 1], trimmed[LIMIT_TEXT_BYTES + 1];
	char *name, *next;

	if (!copy_trimmed(copy, sizeof(copy), path) ||
	    !copy_trimmed(trimmed, sizeof(trimmed), pattern))
		return false;
	if (strchr(pattern, '/') != NULL)
		return match_anchored(trimmed, copy);
	for (name = copy; name != NULL; name = next) {
		next = strchr(name, '/');
		if (next != NULL)
			*next++ = '\0';
		if (fnmatch(trimmed, name, 0) == 0)
			return true;
	}
	return false;
}
