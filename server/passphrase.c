/* Secrets for backups.  Runs in peciactl. */
#include "server/passphrase.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "common/fsat.h"
#include "common/limits.h"

#define INTERRUPT 3 /* what ^C is without ISIG */

/* A line of the terminal, which has neither echo nor signals now: so nothing
 * can end us and leave it like that. */
static int
read_line(struct buf *out, struct err *e)
{
	size_t got = 0;
	char c;
	int rc;

	for (;;) {
		rc = fsat_read_some(STDIN_FILENO, &c, 1, &got, e);
		if (rc != 0)
			return rc;
		if (got == 0 || c == INTERRUPT)
			return err_set(e, ERR_USAGE, "no passphrase was given");
		if (c == '\n')
			return buf_check(out, "passphrase", e);
		buf_add(out, &c, 1);
	}
}

static int
ask(const char *prompt, const char *what, struct buf *out, struct err *e)
{
	struct termios was, quiet;
	int rc;

	if (tcgetattr(STDIN_FILENO, &was) != 0)
		return err_sys(e, "terminal");
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	quiet.c_lflag |= ICANON;
	quiet.c_cc[VEOL] = INTERRUPT; /* else it would wait for a line */
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
		return err_sys(e, "terminal");
	(void)fprintf(stderr, "%s%s: ", prompt, what);
	rc = read_line(out, e);
	(void)fputc('\n', stderr);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &was) != 0 && rc == 0)
		rc = err_sys(e, "terminal");
	if (rc == 0 && out->len == 0)
		rc = err_set(e, ERR_USAGE,
		    "an empty passphrase protects "
		    "nothing");
	return rc;
}

int
passphrase_ask(const char *what, bool twice, struct buf *out, struct err *e)
{
	struct buf again;
	int rc;

	if (isatty(STDIN_FILENO) != 1)
		return err_set(e, ERR_USAGE,
		    "no terminal to ask for a passphrase at: give "
		    "--passphrase-file or --key-file");
	buf_init(&again, LIMIT_SECRET_BYTES);
	rc = ask("passphrase of ", what, out, e);
	if (rc == 0 && twice)
		rc = ask("once more, of ", what, &again, e);
	if (rc == 0 && twice &&
	    (again.len != out->len ||
	        memcmp(again.data, out->data, out->len) != 0))
		rc = err_set(e, ERR_USAGE, "these two differ");
	buf_wipe(&again);
	return rc;
}

int
passphrase_from_file(const char *path, struct buf *out, struct err *e)
{
	const uint8_t *end;
	int rc = fsat_operator_read(path, LIMIT_SECRET_BYTES, out, e);

	if (rc != 0)
		return err_prefix(e, "--passphrase-file");
	end = out->len > 0 ? memchr(out->data, '\n', out->len) : NULL;
	if (end != NULL)
		out->len = (size_t)(end - out->data);
	if (out->len == 0)
		return err_set(e, ERR_USAGE,
		    "--passphrase-file %s: its first line is empty", path);
	return 0;
}

int
passphrase_from_key_file(const char *path, struct buf *out, struct err *e)
{
	int rc = fsat_operator_read(path, LIMIT_SECRET_BYTES, out, e);

	if (rc != 0)
		return err_prefix(e, "--key-file");
	if (out->len < PASSPHRASE_KEY_FILE_MIN)
		return err_set(e, ERR_USAGE,
		    "--key-file %s: %zu bytes; %d random ones at least, as "
		    "openssl rand makes",
		    path, out->len, PASSPHRASE_KEY_FILE_MIN);
	return 0;
}
