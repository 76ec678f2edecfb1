/* Error records; every process uses them. */
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Control bytes would let a peer write to the reader's terminal. */
static void
copy_escaped(char *dst, size_t size, const char *src)
{
	size_t n = 0;

	for (; *src != '\0' && n + 5 < size; src++) {
		unsigned char c = (unsigned char)*src;

		if (c >= 0x20 && c != 0x7f) {
			dst[n++] = (char)c;
			continue;
		}
		dst[n++] = '\\';
		dst[n++] = (char)('0' + (c >> 6));
		dst[n++] = (char)('0' + ((c >> 3) & 7));
		dst[n++] = (char)('0' + (c & 7));
	}
	dst[n] = '\0';
}

static void set_message(struct err *, const char *, va_list)
    __attribute__((format(printf, 2, 0)));

static void
set_message(struct err *e, const char *fmt, va_list ap)
{
	char raw[ERR_MSG_BYTES];

	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	copy_escaped(e->msg, sizeof(e->msg), raw);
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	e->code = code;
	e->sys = 0;
	va_start(ap, fmt);
	set_message(e, fmt, ap);
	va_end(ap);
	return code;
}

static int
code_of_errno(int sys)
{
	switch (sys) {
	case ENOENT:
		return ERR_NOT_FOUND;
	case ENOMEM:
		return ERR_NO_MEMORY;
	default:
		return ERR_SYS;
	}
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int sys = errno, code = code_of_errno(sys);
	char text[128];
	size_t len;
	va_list ap;

	if (e == NULL)
		return code;
	va_start(ap, fmt);
	set_message(e, fmt, ap);
	va_end(ap);
	e->code = code;
	e->sys = sys;
	len = strlen(e->msg);
	(void)snprintf(e->msg + len, sizeof(e->msg) - len, ": %s",
	    strerror_r(sys, text, sizeof(text)));
	errno = sys;
	return code;
}

int
err_prefix(struct err *e, const char *fmt, ...)
{
	char old[ERR_MSG_BYTES];
	size_t len;
	va_list ap;

	if (e == NULL)
		return ERR_SYS;
	memcpy(old, e->msg, sizeof(old));
	va_start(ap, fmt);
	set_message(e, fmt, ap);
	va_end(ap);
	len = strlen(e->msg);
	(void)snprintf(e->msg + len, sizeof(e->msg) - len, ": %s", old);
	return e->code;
}

int
err_memory(struct err *e)
{
	return err_set(e, ERR_NO_MEMORY, "out of memory");
}

void
err_clear(struct err *e)
{
	e->code = 0;
	e->sys = 0;
	e->msg[0] = '\0';
}
