/* Manifest transcripts. */
#include "transcripts/manifest.h"

#include <check.h>

#include "common/text.h"

#define SUM_A "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define SUM_0 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define TOP   "d 0755 root root 1718000000.000000000 .\n"
#define ETC   "d 0755 root root 1718000000.000000001 etc\n"

/* Every type, escapes, extreme numbers, xattrs. */
static const char sample[] =
    "pecia manifest 1\n" TOP "x user.comment aGVsbG8=\n"
    "x user.empty \\-\n"
    "d 0750 #0 adm -1.999999999 dev\n"
    "a ai\n"
    "b 0660 root disk 0.000000000 4095 1048575 dev/disk\n"
    "p 0600 root root 0.000000000 dev/pipe\n"
    "c 0666 root root 0.000000000 1 3 dev/zero\n" ETC
    "f 0644 www\\134data #4294967294 1718000000.123456789 4 " SUM_A
    " etc/a\\040b\n"
    "a i\n"
    "x security.capability AQAAAgAgAAAAAAAAAAAAAAAAAAA=\n"
    "f 4755 root root 999999999999999999.000000000 999999999999999999 " SUM_0
    " etc/empty\n"
    "l 0777 root root -999999999999999999.000000000 ../x\\012y etc/link\n"
    "h etc/a\\040b etc/same\n"
    "d 0755 root root 1.000000000 etc-old\n"
    "f 0000 root root 1.000000000 0 " SUM_0 " etc-old/\xc3\xa4\n"
    "f 0000 root root 1.000000000 0 " SUM_0 " \\177\\001\\134\n"
    "f 0000 root root 1.000000000 0 " SUM_0 " \xff\n";

struct memory {
	const char *data;
	size_t len, piece;
};

static int
from_memory(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct memory *m = arg;

	(void)e;
	size = size < m->piece ? size : m->piece;
	size = size < m->len ? size : m->len;
	memcpy(dst, m->data, size);
	m->data += size;
	m->len -= size;
	*got = size;
	return 0;
}

static int
to_buf(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "text", e);
}

/* Reads all; with `again` not NULL writes it too.  The first error. */
static int
copy(const char *text, size_t len, size_t piece, struct buf *again,
    struct err *e)
{
	struct memory source = { text, len, piece };
	const struct manifest_entry *m = NULL;
	struct manifest_reader *r = NULL;
	struct manifest_writer *w = NULL;
	struct manifest_totals totals;
	int rc = manifest_reader_new(from_memory, &source, &r, e);

	if (rc == 0 && again != NULL)
		rc = manifest_writer_new(to_buf, again, &w, e);
	while (rc == 0) {
		rc = manifest_reader_next(r, &m, e);
		if (rc != 0 || m == NULL)
			break;
		if (w != NULL)
			ck_assert_msg(manifest_writer_add(w, m, e) == 0,
			    "the writer refuses: %s", e->msg);
	}
	if (rc == 0 && w != NULL)
		ck_assert_int_eq(manifest_writer_end(w, &totals, e), 0);
	manifest_reader_free(r);
	manifest_writer_free(w);
	return rc;
}

static void
must_be_same(const struct buf *again, const char *text, size_t len)
{
	ck_assert_uint_eq(again->len, len);
	ck_assert_mem_eq(again->data, text, len);
}

static const size_t pieces[] = { 1, 2, 7, 100, 1 << 20 };

START_TEST(what_is_read_is_written_back)
{
	struct err e = ERR_INIT;
	struct buf again;

	buf_init(&again, 1 << 20);
	ck_assert_msg(copy(sample, strlen(sample), pieces[_i], &again, &e) == 0,
	    "%s", e.msg);
	must_be_same(&again, sample, strlen(sample));
	buf_release(&again);
}
END_TEST

static const struct {
	struct manifest_entry m;
	const char *xattrs;
} wanted[] = {
	{ { MANIFEST_DIR, ".", 0755, "root", "root", { 1718000000, 0 }, 0, 0,
	      { { 0 } }, NULL, 0, 0, { 0 }, 0 },
	    "x user.comment aGVsbG8=\nx user.empty \\-\n" },
	{ { MANIFEST_DIR, "dev", 0750, "#0", "adm", { -1, 999999999 }, 0, 0,
	      { { 0 } }, NULL, 0, 0, { 0 },
	      MANIFEST_APPEND | MANIFEST_IMMUTABLE },
	    "" },
	{ { MANIFEST_BLOCK, "dev/disk", 0660, "root", "disk", { 0, 0 }, 0, 0,
	      { { 0 } }, NULL, 4095, 1048575, { 0 }, 0 },
	    "" },
	{ { MANIFEST_FIFO, "dev/pipe", 0600, "root", "root", { 0, 0 }, 0, 0,
	      { { 0 } }, NULL, 0, 0, { 0 }, 0 },
	    "" },
	{ { MANIFEST_CHAR, "dev/zero", 0666, "root", "root", { 0, 0 }, 0, 0,
	      { { 0 } }, NULL, 1, 3, { 0 }, 0 },
	    "" },
	{ { MANIFEST_DIR, "etc", 0755, "root", "root", { 1718000000, 1 }, 0, 0,
	      { { 0 } }, NULL, 0, 0, { 0 }, 0 },
	    "" },
	{ { MANIFEST_FILE, "etc/a b", 0644, "www\\data", "#4294967294",
	      { 1718000000, 123456789 }, 4, 0,
	      { { 0x9f, 0x86, 0xd0, 0x81, 0x88, 0x4c, 0x7d, 0x65, 0x9a, 0x2f,
	          0xea, 0xa0, 0xc5, 0x5a, 0xd0, 0x15, 0xa3, 0xbf, 0x4f, 0x1b,
	          0x2b, 0x0b, 0x82, 0x2c, 0xd1, 0x5d, 0x6c, 0x15, 0xb0, 0xf0,
	          0x0a, 0x08 } },
	      NULL, 0, 0, { 0 }, MANIFEST_IMMUTABLE },
	    "x security.capability AQAAAgAgAAAAAAAAAAAAAAAAAAA=\n" },
};

static void
must_equal(const struct manifest_entry *a, const struct manifest_entry *b)
{
	ck_assert_int_eq(a->type, b->type);
	ck_assert_str_eq(a->path, b->path);
	ck_assert_uint_eq(a->mode, b->mode);
	ck_assert_str_eq(a->owner, b->owner);
	ck_assert_str_eq(a->group, b->group);
	ck_assert_int_eq(a->mtime.tv_sec, b->mtime.tv_sec);
	ck_assert_int_eq(a->mtime.tv_nsec, b->mtime.tv_nsec);
	ck_assert_uint_eq(a->size_bytes, b->size_bytes);
	ck_assert(digest_equal(&a->digest, &b->digest));
	if (a->type == MANIFEST_FILE)
		ck_assert_uint_eq(a->number, b->number);
	ck_assert_ptr_eq(a->target, b->target);
	ck_assert_uint_eq(a->major, b->major);
	ck_assert_uint_eq(a->minor, b->minor);
	ck_assert_uint_eq(a->flags, b->flags);
}

START_TEST(fields_are_what_the_text_says)
{
	struct memory source = { sample, strlen(sample), 50 };
	const struct manifest_entry *m;
	struct manifest_reader *r;

	ck_assert_int_eq(
	    manifest_reader_new(from_memory, &source, &r, NULL), 0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		ck_assert_int_eq(manifest_reader_next(r, &m, NULL), 0);
		must_equal(m, &wanted[i].m);
		ck_assert_uint_eq(m->xattrs.len, strlen(wanted[i].xattrs));
		ck_assert(memcmp(m->xattrs.text, wanted[i].xattrs,
		              m->xattrs.len) == 0);
	}
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), 0);
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), 0);
	ck_assert_str_eq(m->target, "../x\ny");
	ck_assert_int_eq(m->mtime.tv_sec, -999999999999999999);
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), 0);
	ck_assert_int_eq(m->type, MANIFEST_HARDLINK);
	ck_assert_str_eq(m->target, "etc/a b");
	manifest_reader_free(r);
}
END_TEST

START_TEST(digest_and_totals_are_those_of_the_text)
{
	struct memory source = { sample, strlen(sample), 64 };
	const struct manifest_entry *m;
	struct manifest_totals totals;
	struct manifest_reader *r;
	struct manifest_writer *w;
	struct digest digest, wanted_digest;
	uint64_t len, entries = 0;
	struct buf again;

	buf_init(&again, 1 << 20);
	digest_of(sample, strlen(sample), &wanted_digest);
	ck_assert_int_eq(
	    manifest_reader_new(from_memory, &source, &r, NULL), 0);
	ck_assert_int_eq(manifest_writer_new(to_buf, &again, &w, NULL), 0);
	while (manifest_reader_next(r, &m, NULL) == 0 && m != NULL) {
		ck_assert_int_eq(manifest_writer_add(w, m, NULL), 0);
		entries++;
	}
	manifest_reader_digest(r, &digest, &len);
	ck_assert(digest_equal(&digest, &wanted_digest));
	ck_assert_uint_eq(len, strlen(sample));
	ck_assert_int_eq(manifest_writer_end(w, &totals, NULL), 0);
	ck_assert(digest_equal(&totals.digest, &wanted_digest));
	ck_assert_uint_eq(totals.text_bytes, strlen(sample));
	ck_assert_uint_eq(totals.entries, entries);
	ck_assert_uint_eq(totals.content_bytes, 999999999999999999 + 4);
	/* The end stays the end. */
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), 0);
	ck_assert_ptr_null(m);
	manifest_reader_free(r);
	manifest_writer_free(w);
	buf_release(&again);
}
END_TEST

#define F "f 0644 root root 1.000000000 0 " SUM_0 " "

/* Lines behind the entries of "." and "etc", and what is said of them. */
static const struct {
	const char *lines, *says;
} refused[] = {
	/* Paths. */
	{ F "/etc/x\n", "absolute" },
	{ F "\n", "empty" },
	{ F "\\-\n", "empty" },
	{ F "etc/\n", "empty component" },
	{ F "etc//x\n", "empty component" },
	{ F "etc/.\n", "\".\"" },
	{ F "etc/..\n", "\"..\"" },
	{ F "..\n", "\"..\"" },
	{ F ".\n", "\".\"" },
	{ F "etc/../x\n", "\"..\"" },
	{ F "etc/./x\n", "\".\"" },
	{ F "etc\n", "twice" },
	{ F "etc/x\n" F "etc/x\n", "twice" },
	{ F "etb\n", "out of order" },
	{ F "etc/b\n" F "etc/a\n", "out of order" },
	{ F "etc-x\n" F "etc/a\n", "out of order" },
	{ F "etc/a\n" F "etc/a/b\n", "not below a directory" },
	{ F "usr/x\n", "not below a directory" },
	{ F "etc/a/b\n", "not below a directory" },
	{ F "etca/b\n", "not below a directory" },
	{ "l 0777 root root 1.000000000 etc usr\n" F "usr/x\n",
	    "not below a directory" },
	/* Escapes. */
	{ F "a b\n", "escaped canonically" },
	{ F "etc/\\000\n", "escaped canonically" },
	{ F "etc/\\141\n", "escaped canonically" },
	{ F "etc/\\\\\n", "escaped canonically" },
	{ F "etc/\\04\n", "escaped canonically" },
	{ F "etc/\\777\n", "escaped canonically" },
	{ F "etc/\t\n", "escaped canonically" },
	{ F "etc/\x7f\n", "escaped canonically" },
	{ F "etc/x \n", "escaped canonically" },
	{ F "etc/x\r\n", "escaped canonically" },
	/* Types and fields. */
	{ "\n", "no type" },
	{ "z 0644 root root 1.000000000 etc/x\n", "no type" },
	{ "d\n", "no type" },
	{ "d  0755 root root 1.000000000 etc/x\n", "mode" },
	{ " d 0755 root root 1.000000000 etc/x\n", "no type" },
	{ "D 0755 root root 1.000000000 etc/x\n", "no type" },
	{ "d 755 root root 1.000000000 etc/x\n", "mode" },
	{ "d 00755 root root 1.000000000 etc/x\n", "mode" },
	{ "d 0788 root root 1.000000000 etc/x\n", "mode" },
	{ "d 0755  root 1.000000000 etc/x\n", "empty" },
	{ "d 0755 \\- root 1.000000000 etc/x\n", "empty" },
	{ "d 0755 #-1 root 1.000000000 etc/x\n", "'#'" },
	{ "d 0755 # root 1.000000000 etc/x\n", "'#'" },
	{ "d 0755 #01 root 1.000000000 etc/x\n", "'#'" },
	{ "d 0755 root #4294967295 1.000000000 etc/x\n", "'#'" },
	{ "d 0755 root root 1 etc/x\n", "time" },
	{ "d 0755 root root 1.0 etc/x\n", "time" },
	{ "d 0755 root root 1.0000000000 etc/x\n", "time" },
	{ "d 0755 root root 01.000000000 etc/x\n", "time" },
	{ "d 0755 root root -0.000000000 etc/x\n", "time" },
	{ "d 0755 root root +1.000000000 etc/x\n", "time" },
	{ "d 0755 root root .000000000 etc/x\n", "time" },
	{ "d 0755 root root 1000000000000000000.000000000 etc/x\n", "time" },
	{ "d 0755 root root 1.000000000\n", "time" },
	{ "d 0755 root root\n", "missing" },
	{ "d 0755\n", "mode" },
	{ "f 0644 root root 1.000000000 00 " SUM_0 " etc/x\n", "number" },
	{ "f 0644 root root 1.000000000 -1 " SUM_0 " etc/x\n", "number" },
	{ "f 0644 root root 1.000000000  " SUM_0 " etc/x\n", "number" },
	{ "f 0644 root root 1.000000000 1000000000000000000 " SUM_0 " etc/x\n",
	    "number" },
	{ "f 0644 root root 1.000000000 1 E" SUM_0 " etc/x\n", "digest" },
	{ "f 0644 root root 1.000000000 1 etc/x\n", "digest" },
	{ "f 0644 root root 1.000000000 1 "
	  "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
	  " etc/x\n",
	    "digest" },
	{ "f 0644 root root 1.000000000 1 " SUM_0 "\n", "digest" },
	{ "l 0777 root root 1.000000000  etc/x\n", "target is empty" },
	{ "l 0777 root root 1.000000000 \\- etc/x\n", "target is empty" },
	{ "l 0777 root root 1.000000000 etc/x\n", "missing" },
	{ "l 0777 root root 1.000000000 a\\000b etc/x\n", "escaped" },
	{ "b 0600 root root 1.000000000 4096 1 etc/x\n", "number" },
	{ "c 0600 root root 1.000000000 1 1048576 etc/x\n", "number" },
	{ "c 0600 root root 1.000000000 1 etc/x\n", "number" },
	{ "p 0600 root root 1.000000000 1 etc/x\n", "escaped" },
	{ "h etc/x\n", "missing" },
	{ "h etc/x etc/x\n", "not before it" },
	{ "h etc/y etc/x\n", "not before it" },
	{ "h /etc/a etc/x\n", "no path" },
	{ "h . etc/x\n", "no path" },
	{ "h etc/../etc/a etc/x\n", "no path" },
	{ "h etc/a  etc/x\n", "escaped" },
	/* Extended attributes. */
	{ "x\n", "begin with \"x \"" },
	{ "x user.a\n", "no value" },
	{ "x user.a \n", "no value" },
	{ "x  AAAA\n", "name is empty" },
	{ "x \\- AAAA\n", "name is empty" },
	{ "x user.a AAA\n", "base64" },
	{ "x user.a AAAA=\n", "base64" },
	{ "x user.a AB==\n", "base64" },
	{ "x user.a AA AA\n", "base64" },
	{ "x user.a AAAA\nx user.a AAAA\n", "out of order" },
	{ "x user.b AAAA\nx user.a AAAA\n", "out of order" },
	{ "h dev etc/x\nx user.a AAAA\n", "xattr of a hard link" },
	/* Flags. */
	{ "a\n", "flag" },
	{ "a \n", "flag" },
	{ "a\ti\n", "flag" },
	{ "a ia\n", "out of order" },
	{ "a ii\n", "twice" },
	{ "a  i\n", "unknown" },
	{ "a i \n", "unknown" },
	{ "a d\n", "unknown" },
	{ "a I\n", "unknown" },
	{ "a i\na a\n", "no type" },
	{ "x user.a AAAA\na i\n", "no type" },
	{ F "etc/x\na s\n", "holes" },
	{ "d 0755 root root 1.000000000 etc/x\na s\n", "holes" },
	{ "h dev etc/x\na i\n", "neither file nor directory" },
	{ "p 0600 root root 1.000000000 etc/x\na i\n",
	    "neither file nor directory" },
};

START_TEST(a_broken_line_is_refused_by_number)
{
	const char *lines = refused[_i].lines, *lf = strrchr(lines, '\n');
	struct err e = ERR_INIT;
	char number[32];
	struct buf text;
	unsigned line = 4;

	buf_init(&text, 1 << 20);
	buf_add_str(&text, "pecia manifest 1\n" TOP ETC);
	buf_add_str(&text, lines);
	for (const char *p = lines; p < lf; p++)
		line += *p == '\n';
	(void)snprintf(number, sizeof(number), "line %u:", line);
	ck_assert_msg(
	    copy(buf_str(&text), text.len, 999, NULL, &e) == ERR_FORMAT, "%s",
	    lines);
	ck_assert_msg(strstr(e.msg, refused[_i].says) != NULL &&
	        strstr(e.msg, number) != NULL,
	    "%s says %s", lines, e.msg);
	buf_release(&text);
}
END_TEST

static const struct {
	const char *text, *says;
} bad_starts[] = {
	{ "", "line 1" },
	{ "pecia manifest 1", "no LF" },
	{ "pecia manifest 2\n" TOP, "line 1" },
	{ "pecia  manifest 1\n" TOP, "line 1" },
	{ "pecia manifest 1\r\n" TOP, "line 1" },
	{ "\npecia manifest 1\n" TOP, "line 1" },
	{ "pecia manifest 1\n", "line 2: no entry" },
	{ "pecia manifest 1\n" ETC, "must come first" },
	{ "pecia manifest 1\n" F ".\n", "must come first" },
	{ "pecia manifest 1\nx user.a AAAA\n" TOP, "no type" },
	{ "pecia manifest 1\na i\n" TOP, "no type" },
	{ "pecia manifest 1\n" TOP TOP, "\".\"" },
};

START_TEST(a_manifest_begins_with_its_target)
{
	struct err e = ERR_INIT;
	const char *text = bad_starts[_i].text;

	ck_assert_int_eq(copy(text, strlen(text), 999, NULL, &e), ERR_FORMAT);
	ck_assert_msg(strstr(e.msg, bad_starts[_i].says) != NULL, "%s", e.msg);
}
END_TEST

/* What is left of the sample when it is cut may only be whole where a line
 * ends; then it reads as what it is. */
START_TEST(every_truncation_is_refused_or_whole)
{
	size_t whole = 0;

	for (size_t len = 1; len < strlen(sample); len++) {
		struct err e = ERR_INIT;
		struct buf again;

		buf_init(&again, 1 << 20);
		if (copy(sample, len, 4096, &again, &e) == 0) {
			whole++;
			ck_assert_int_eq(sample[len - 1], '\n');
			must_be_same(&again, sample, len);
		} else {
			ck_assert(e.msg[0] != '\0');
		}
		buf_release(&again);
	}
	ck_assert_uint_eq(whole, 18);
}
END_TEST

START_TEST(what_a_flipped_bit_leaves_valid_is_canonical)
{
	char *text = strdup(sample);

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < strlen(sample) * 8; i++) {
		struct err e = ERR_INIT;
		struct buf again;

		text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
		buf_init(&again, 1 << 20);
		if (copy(text, strlen(sample), 4096, &again, &e) == 0)
			must_be_same(&again, text, strlen(sample));
		text[i / 8] = sample[i / 8];
		buf_release(&again);
	}
	free(text);
}
END_TEST

START_TEST(an_error_is_final)
{
	static const char text[] = "pecia manifest 1\n" TOP "z\n" ETC;
	struct memory source = { text, strlen(text), 4096 };
	const struct manifest_entry *m;
	struct manifest_reader *r;

	ck_assert_int_eq(
	    manifest_reader_new(from_memory, &source, &r, NULL), 0);
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), 0);
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), ERR_FORMAT);
	ck_assert_int_eq(manifest_reader_next(r, &m, NULL), ERR_FORMAT);
	manifest_reader_free(r);
}
END_TEST

static const struct manifest_entry good_file = {
	.type = MANIFEST_FILE, .path = "x", .owner = "root", .group = "root"
};

#define BAD(...)                                                        \
 {                                                                      \
  .type = MANIFEST_FILE, .path = "x", .owner = "root", .group = "root", \
  __VA_ARGS__                                                           \
 }

/* gcc 12 and clang 14: the later of two initialisers counts. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const struct manifest_entry bad_entries[] = {
	BAD(.path = "/x"),
	BAD(.path = ""),
	BAD(.path = "a/b"),
	BAD(.path = ".."),
	BAD(.owner = ""),
	BAD(.owner = "#x"),
	BAD(.group = "#4294967295"),
	BAD(.mode = 010000),
	BAD(.mtime = { 0, 1000000000 }),
	BAD(.mtime = { 0, -1 }),
	BAD(.mtime = { 1000000000000000000, 0 }),
	BAD(.mtime = { -1000000000000000000, 0 }),
	BAD(.size_bytes = 1000000000000000000),
	BAD(.type = MANIFEST_SYMLINK, .target = ""),
	BAD(.type = MANIFEST_HARDLINK, .target = "x"),
	BAD(.type = MANIFEST_HARDLINK, .target = "y"),
	BAD(.type = MANIFEST_HARDLINK, .target = "../a"),
	BAD(.type = MANIFEST_HARDLINK, .target = "a",
	    .xattrs = { "x user.a AAAA\n", 14 }),
	BAD(.type = MANIFEST_CHAR, .major = 4096),
	BAD(.type = MANIFEST_BLOCK, .minor = 1048576),
	BAD(.type = (enum manifest_type)'x'),
	BAD(.flags = 8),
	BAD(.type = MANIFEST_SYMLINK, .target = "a", .flags = MANIFEST_APPEND),
	BAD(.type = MANIFEST_HARDLINK, .target = "a",
	    .flags = MANIFEST_IMMUTABLE),
	BAD(.type = MANIFEST_FIFO, .flags = MANIFEST_APPEND),
	BAD(.xattrs = { "x user.a", 8 }),
	BAD(.xattrs = { "x user.a AAA\n", 13 }),
	BAD(.xattrs = { "f user.a AAAA\n", 14 }),
};
#pragma GCC diagnostic pop

START_TEST(the_writer_refuses_what_the_reader_would)
{
	const struct manifest_entry top = { .type = MANIFEST_DIR,
		.path = ".",
		.owner = "root",
		.group = "root" };
	struct manifest_totals totals;
	struct manifest_writer *w;
	struct err e = ERR_INIT;
	struct buf text;

	buf_init(&text, 4096);
	ck_assert_int_eq(manifest_writer_new(to_buf, &text, &w, &e), 0);
	ck_assert_int_eq(manifest_writer_end(w, &totals, &e), ERR_FORMAT);
	ck_assert_int_eq(manifest_writer_add(w, &good_file, &e), ERR_FORMAT);
	ck_assert_int_eq(manifest_writer_add(w, &top, &e), 0);
	ck_assert_int_eq(
	    manifest_writer_add(w, &bad_entries[_i], &e), ERR_FORMAT);
	ck_assert(strstr(e.msg, bad_entries[_i].path) != NULL);
	ck_assert_int_eq(manifest_writer_add(w, &good_file, &e), 0);
	ck_assert_int_eq(manifest_writer_add(w, &good_file, &e), ERR_FORMAT);
	manifest_writer_free(w);
	buf_release(&text);
}
END_TEST

/* In order. */
static const char *const ordered[] = { ".", "\001", "-x", "a", "a/", "a/b",
	"a/b/c", "a/bc", "a\001", "a-b", "a-b/c", "a.b", "ab", "abcdefgh/i",
	"abcdefgh/ij", "abcdefghi", "b", "\xc3\xa4", "\xff" };

START_TEST(paths_compare_as_the_order_says)
{
	const size_t n = sizeof(ordered) / sizeof(ordered[0]);

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++) {
			const char *a = ordered[i], *b = ordered[k];
			int cmp = manifest_path_cmp(a, strlen(a), b, strlen(b));

			ck_assert_int_eq(cmp, i < k ? -1 : i > k);
			if (i > 0 && k > 0)
				ck_assert_int_eq(cmp, text_path_cmp(a, b));
		}
	}
}
END_TEST

int
main(void)
{
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
	Suite *s = suite_create("manifest");
	TCase *t = tcase_create("manifest");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_is_read_is_written_back, 0, COUNT(pieces));
	tcase_add_test(t, fields_are_what_the_text_says);
	tcase_add_test(t, digest_and_totals_are_those_of_the_text);
	tcase_add_loop_test(
	    t, a_broken_line_is_refused_by_number, 0, COUNT(refused));
	tcase_add_loop_test(
	    t, a_manifest_begins_with_its_target, 0, COUNT(bad_starts));
	tcase_add_test(t, every_truncation_is_refused_or_whole);
	tcase_add_test(t, what_a_flipped_bit_leaves_valid_is_canonical);
	tcase_add_test(t, an_error_is_final);
	tcase_add_loop_test(
	    t, the_writer_refuses_what_the_reader_would, 0, COUNT(bad_entries));
	tcase_add_test(t, paths_compare_as_the_order_says);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
