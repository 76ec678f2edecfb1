/* Log lines; used by the main files of every program. */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/text.h"

/* Its levels are macros of the names and values that ours have. */
#include <syslog.h>

static struct {
	const char *program;
	enum log_level most;
	bool journal, syslog;
} settings = { "pecia", LOG_INFO, false, false };

static const char *const level_names[] = { "emerg", "alert", "crit", "error",
	"warning", "notice", "info", "debug" };

/* JOURNAL_STREAM is "device:inode" of the stream that systemd gave us; stderr
 * may have been redirected since. */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	(void)snprintf(ours, sizeof(ours), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	return strcmp(stream, ours) == 0;
}

void
log_start(const char *program, enum log_level most)
{
	settings.program = program;
	settings.most = most;
	settings.journal = stderr_is_journal();
}

bool
log_to_syslog(void)
{
	settings.syslog = !settings.journal;
	if (settings.syslog)
		openlog(settings.program, LOG_PID | LOG_CONS, LOG_DAEMON);
	return settings.syslog;
}

int
log_parse_level(const char *name, enum log_level *level)
{
	enum log_level i;

	for (i = LOG_ERROR; i <= LOG_DEBUG; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = i;
			return 0;
		}
	}
	return ERR_USAGE;
}

static bool
is_plain(const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return false;
	}
	return true;
}

static void
add_quoted(struct buf *line, const char *s)
{
	size_t left = strlen(s), n;

	buf_add_byte(line, '"');
	for (; left > 0; s += n, left -= n) {
		n = text_utf8(s, left);
		if (n == 0) {
			buf_addf(line, "\\%03o", (unsigned char)*s);
			n = 1;
			continue;
		}
		if (*s == '"' || *s == '\\')
			buf_add_byte(line, '\\');
		buf_add(line, s, n);
	}
	buf_add_byte(line, '"');
}

static void
add_pair(struct buf *line, const char *key, const char *value)
{
	buf_addf(line, " %s=", key);
	if (value == NULL)
		value = "";
	if (value[0] != '\0' && is_plain(value))
		buf_add_str(line, value);
	else
		add_quoted(line, value);
}

static void
add_pairs(struct buf *line, va_list ap)
{
	const char *key;

	while ((key = va_arg(ap, const char *)) != NULL)
		add_pair(line, key, va_arg(ap, const char *));
}

static void
begin(struct buf *line, enum log_level level, const char *event)
{
	buf_init(line, LOG_LINE_BYTES);
	if (settings.journal)
		buf_addf(line, "<%d>", (int)level);
	else if (!settings.syslog)
		buf_addf(line, "%s: ", settings.program);
	if (!settings.journal && !settings.syslog && level <= LOG_WARNING)
		buf_addf(line, "%s: ", level_names[level]);
	buf_add_str(line, event);
}

static void
end(struct buf *line, enum log_level level)
{
	const char *tail = line->failed != 0 ? " ...\n" : "\n";
	size_t at = 0;
	ssize_t n;

	line->failed = 0;
	line->max = LOG_LINE_BYTES + 8;
	buf_add_str(line, tail);
	if (settings.syslog) {
		syslog((int)level, "%s", buf_str(line));
		at = line->len;
	}
	while (at < line->len) {
		n = write(STDERR_FILENO, line->data + at, line->len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nobody to tell */
		at += (size_t)n;
	}
	buf_release(line);
}

void
log_event(enum log_level level, const char *event, ...)
{
	struct buf line;
	va_list ap;

	if (level > settings.most)
		return;
	begin(&line, level, event);
	va_start(ap, event);
	add_pairs(&line, ap);
	va_end(ap);
	end(&line, level);
}

void
log_err(enum log_level level, const char *event, const struct err *e, ...)
{
	struct buf line;
	va_list ap;

	if (level > settings.most)
		return;
	begin(&line, level, event);
	va_start(ap, e);
	add_pairs(&line, ap);
	va_end(ap);
	add_pair(&line, "error", e->msg);
	end(&line, level);
}

const char *
log_u64(char text[LOG_NUMBER_BYTES], uint64_t n)
{
	(void)snprintf(text, LOG_NUMBER_BYTES, "%ju", (uintmax_t)n);
	return text;
}

bool
log_limit_allows(struct log_limit *limit, time_t now, uint64_t *suppressed)
{
	if (now / 60 != limit->minute) {
		limit->minute = now / 60;
		limit->used = 0;
	}
	if (limit->used >= limit->per_minute) {
		limit->suppressed++;
		return false;
	}
	limit->used++;
	*suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
