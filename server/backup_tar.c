/* The tar in a backup: ustar (POSIX.1-1988), regular files alone.  By hand, as
 * it is some dozens of small files, and so that what reads them is this short;
 * any tar reads what this writes.  Runs in peciactl. */
#include <string.h>

#include "common/text.h"
#include "server/backup.h"

#define BLOCK 512

/* All as the standard has it; everything is text. */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12];
	char checksum[8], type, linkname[100], magic[6], version[2];
	char uname[32], gname[32], devmajor[8], devminor[8], prefix[155];
	char pad[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a ustar header is a block");

static unsigned
checksum_of(const struct ustar *u)
{
	struct ustar blank = *u;
	uint8_t bytes[BLOCK];
	unsigned sum = 0;

	memset(blank.checksum, ' ', sizeof(blank.checksum));
	memcpy(bytes, &blank, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		sum += bytes[i];
	return sum;
}

static void
fill(struct ustar *u, const char *name, size_t len)
{
	memset(u, 0, sizeof(*u));
	memcpy(u->name, name, strlen(name));
	memcpy(u->mode, "0000600", 8);
	memcpy(u->uid, "0000000", 8);
	memcpy(u->gid, "0000000", 8);
	(void)snprintf(u->size, sizeof(u->size), "%011zo", len);
	memcpy(u->mtime, "00000000000", 12);
	u->type = '0';
	memcpy(u->magic, "ustar", 6);
	memcpy(u->version, "00", 2);
	(void)snprintf(
	    u->checksum, sizeof(u->checksum), "%06o", checksum_of(u));
	u->checksum[7] = ' ';
}

static size_t
padding(size_t len)
{
	return (BLOCK - len % BLOCK) % BLOCK;
}

int
backup_write_tar(const struct backup *b, struct buf *out, struct err *e)
{
	static const uint8_t zeros[2 * BLOCK] = { 0 };
	struct ustar u;

	for (size_t i = 0; i < b->count; i++) {
		const struct buf *content = &b->entries[i].content;

		fill(&u, b->entries[i].name, content->len);
		buf_add(out, &u, sizeof(u));
		buf_add(out, content->data, content->len);
		buf_add(out, zeros, padding(content->len));
	}
	buf_add(out, zeros, sizeof(zeros));
	return buf_check(out, "backup", e);
}

/* What fill writes for the same name and size, to the byte. */
static int
check_header(const struct ustar *u, char name[BACKUP_NAME_BYTES], size_t *len,
    struct err *e)
{
	struct ustar want;
	uint32_t size = 0;

	memcpy(name, u->name, sizeof(u->name));
	name[sizeof(u->name)] = '\0';
	if (!backup_is_name(name))
		return err_set(e, ERR_FORMAT, "backup: a name in it is none");
	if (text_octal(u->size + 1, sizeof(u->size) - 2, &size) != 0)
		return err_set(e, ERR_FORMAT, "backup: %s has no size", name);
	fill(&want, name, size);
	if (memcmp(&want, u, sizeof(want)) != 0)
		return err_set(
		    e, ERR_FORMAT, "backup: %s is no plain file", name);
	*len = size;
	return 0;
}

static int
read_entry(
    struct reader *r, const uint8_t *block, struct backup *out, struct err *e)
{
	char name[BACKUP_NAME_BYTES];
	const uint8_t *content, *rest;
	struct ustar u;
	size_t len = 0;
	int rc;

	memcpy(&u, block, sizeof(u));
	rc = check_header(&u, name, &len, e);
	if (rc != 0)
		return rc;
	if (reader_bytes(r, len, &content) != 0 ||
	    reader_bytes(r, padding(len), &rest) != 0)
		return err_set(e, ERR_FORMAT, "backup: %s is cut short", name);
	for (size_t i = 0; i < padding(len); i++)
		if (rest[i] != 0)
			return err_set(e, ERR_FORMAT,
			    "backup: something stands behind %s", name);
	return backup_add(out, name, content, len, e);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] != 0)
			return false;
	return true;
}

static int
read_all(struct reader *r, struct backup *out, struct err *e)
{
	const uint8_t *block = NULL;
	int rc = 0;

	while (rc == 0) {
		if (reader_bytes(r, BLOCK, &block) != 0)
			return err_set(e, ERR_FORMAT, "backup: cut short");
		if (is_zero(block, BLOCK))
			break;
		rc = read_entry(r, block, out, e);
	}
	if (rc != 0)
		return rc;
	if (reader_left(r) != BLOCK || reader_bytes(r, BLOCK, &block) != 0 ||
	    !is_zero(block, BLOCK))
		return err_set(e, ERR_FORMAT, "backup: no proper end");
	return 0;
}

int
backup_read_tar(const void *data, size_t len, struct backup *out, struct err *e)
{
	struct backup read;
	struct reader r;
	int rc;

	backup_init(&read);
	reader_init(&r, data, len);
	rc = read_all(&r, &read, e);
	if (rc != 0) {
		backup_release(&read);
		return rc;
	}
	*out = read;
	return 0;
}
