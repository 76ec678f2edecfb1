/* The anchor of a mirror; runs in the supervisor. */
#include "server/repo_anchor.h"

#include "common/fsat.h"
#include "common/text.h"

#define LINE_BYTES (DIGEST_HEX + 8) /* "sha256:", hex, LF, NUL */

static int
read_kept(int repo_fd, struct digest *out, struct err *e)
{
	struct buf b;
	int rc;

	buf_init(&b, LINE_BYTES);
	rc = fsat_read_file(repo_fd, REPO_ANCHOR, LINE_BYTES, &b, e);
	if (rc == 0 && b.len > 0 && b.data[b.len - 1] == '\n')
		b.data[--b.len] = '\0';
	if (rc == 0 && text_sha256(buf_str(&b), out->b) != 0)
		rc = err_set(e, ERR_FORMAT, "anchor: not sha256:<hex>");
	buf_release(&b);
	return rc;
}

static int
keep(int repo_fd, const struct digest *anchor, struct err *e)
{
	char hex[DIGEST_HEX], line[LINE_BYTES];

	digest_hex(anchor, hex);
	(void)snprintf(line, sizeof(line), "sha256:%s\n", hex);
	return fsat_write_file(
	    repo_fd, REPO_ANCHOR, 0644, line, strlen(line), e);
}

int
repo_anchor_settle(
    int repo_fd, const char *given, struct digest *out, struct err *e)
{
	struct err mine = ERR_INIT;
	struct digest kept, wanted;
	int rc;

	if (given != NULL && text_sha256(given, wanted.b) != 0)
		return err_set(
		    e, ERR_USAGE, "anchor %s: not sha256:<hex>", given);
	rc = read_kept(repo_fd, &kept, &mine);
	if (rc == ERR_NOT_FOUND && given == NULL)
		return err_set(e, ERR_USAGE,
		    "a new mirror needs --anchor "
		    "sha256:..., the last line that `peciactl init` printed");
	if (rc == ERR_NOT_FOUND) {
		*out = wanted;
		return keep(repo_fd, &wanted, e);
	}
	if (rc != 0) {
		*e = mine;
		return rc;
	}
	if (given != NULL && !digest_equal(&kept, &wanted))
		return err_set(e, ERR_CONFLICT,
		    "the repository trusts another anchor already");
	*out = kept;
	return 0;
}
