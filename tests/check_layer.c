/* Several manifests as one. */
#include "transcripts/layer.h"

#include <check.h>

#include "common/text.h"

#define MAX_SOURCES 4

/* A manifest in short: "d etc", "f etc/x", "l etc/y", "h etc/x etc/z", one a
 * line; owner, mode and content tell whose an entry is. */
struct sheet {
	const char *target;
	bool exact;
	const char *lines;
	const char *excludes; /* with spaces between */
};

struct memory {
	struct buf text;
	size_t at;
};

struct stack {
	struct layer_source sources[MAX_SOURCES];
	struct memory texts[MAX_SOURCES];
	char *excludes[MAX_SOURCES][4];
	char *exclude_text[MAX_SOURCES];
	size_t count;
	struct layer *layer;
};

static int
from_memory(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct memory *m = arg;

	(void)e;
	if (size > m->text.len - m->at)
		size = m->text.len - m->at;
	memcpy(dst, m->text.data + m->at, size);
	m->at += size;
	*got = size;
	return 0;
}

static int
to_buf(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "text", e);
}

/* Source i's entries belong to "owner<i>", have mode 0700 + i and digests that
 * begin with the byte 0xa0 + i. */
static void
add_line(struct manifest_writer *w, const char *line, size_t i)
{
	char first[64], second[64], owner[8];
	struct manifest_entry m = { .type = (enum manifest_type)line[0] };
	struct err e = ERR_INIT;
	int n = sscanf(line + 2, "%63s %63s", first, second);

	(void)snprintf(owner, sizeof(owner), "owner%zu", i);
	m.owner = owner;
	m.group = "group";
	m.mode = 0700 + (uint32_t)i;
	m.path = n == 2 ? second : first;
	m.target = line[0] == 'h' ? first : "to";
	m.size_bytes = i;
	m.digest.b[0] = (uint8_t)(0xa0 + i);
	if (line[0] == 'f') {
		m.xattrs.text = "x user.a AAAA\n";
		m.xattrs.len = strlen(m.xattrs.text);
	}
	ck_assert_msg(manifest_writer_add(w, &m, &e) == 0, "%s", e.msg);
}

static void
write_sheet(struct buf *text, const struct sheet *sheet, size_t i)
{
	struct manifest_totals totals;
	struct manifest_writer *w;
	const char *p = sheet->lines;

	buf_init(text, SIZE_MAX - 1);
	ck_assert_int_eq(manifest_writer_new(to_buf, text, &w, NULL), 0);
	add_line(w, "d .", i);
	while (*p != '\0') {
		size_t len = strcspn(p, "\n");
		char line[160] = "";

		memcpy(line, p, len);
		add_line(w, line, i);
		p += len + (p[len] == '\n');
	}
	ck_assert_int_eq(manifest_writer_end(w, &totals, NULL), 0);
	manifest_writer_free(w);
}

static void
split_excludes(struct stack *s, size_t i, const char *text)
{
	char *p = strdup(text == NULL ? "" : text), *save = NULL, *word;
	size_t n = 0;

	s->exclude_text[i] = p;
	for (word = strtok_r(p, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save))
		s->excludes[i][n++] = word;
	s->sources[i].excludes = s->excludes[i];
	s->sources[i].exclude_count = n;
}

static void
stack_open(struct stack *s, const struct sheet *sheets)
{
	struct err e = ERR_INIT;

	memset(s, 0, sizeof(*s));
	for (; s->count < MAX_SOURCES && sheets[s->count].target != NULL;
	     s->count++) {
		size_t i = s->count;
		struct layer_source *source = &s->sources[i];

		write_sheet(&s->texts[i].text, &sheets[i], i);
		source->name = "name";
		source->target = sheets[i].target;
		source->exact = sheets[i].exact;
		split_excludes(s, i, sheets[i].excludes);
		ck_assert_int_eq(manifest_reader_new(from_memory, &s->texts[i],
		                     &source->reader, &e),
		    0);
	}
	ck_assert_msg(
	    layer_new(s->sources, s->count, &s->layer, &e) == 0, "%s", e.msg);
}

static void
stack_close(struct stack *s)
{
	layer_free(s->layer);
	for (size_t i = 0; i < s->count; i++) {
		manifest_reader_free(s->sources[i].reader);
		buf_release(&s->texts[i].text);
		free(s->exclude_text[i]);
	}
}

/* As text: type, source, I when implied, X when exact, target, path. */
static void
print(struct buf *out, const struct layer_entry *x)
{
	buf_addf(out, "%c%zu%s%s ", x->m.type, x->source, x->implied ? "I" : "",
	    x->exact ? "X" : "");
	if (x->m.type == MANIFEST_HARDLINK)
		buf_addf(out, "%s ", x->m.target);
	buf_addf(out, "%s\n", x->m.path);
}

/* What an entry says of itself must be its source's. */
static void
must_be_of_its_source(const struct layer_entry *x)
{
	char owner[8];

	(void)snprintf(owner, sizeof(owner), "owner%zu", x->source);
	if (x->m.type == MANIFEST_HARDLINK)
		return;
	if (x->implied && strcmp(x->m.owner, "root") == 0) {
		ck_assert_str_eq(x->m.group, "root");
		ck_assert_uint_eq(x->m.mode, 0755);
		return;
	}
	ck_assert_str_eq(x->m.owner, owner);
	ck_assert_uint_eq(x->m.mode, 0700 + x->source);
	if (x->m.type != MANIFEST_FILE)
		return;
	ck_assert_uint_eq(x->m.digest.b[0], 0xa0 + x->source);
	ck_assert_uint_eq(x->m.size_bytes, x->source);
	ck_assert_uint_eq(x->m.xattrs.len, 14);
	ck_assert(memcmp(x->m.xattrs.text, "x user.a AAAA\n", 14) == 0);
}

static const struct {
	struct sheet sheets[MAX_SOURCES];
	const char *wanted;
} merges[] = {
	/* One source at the root. */
	{ { { "/", false, "d etc\nf etc/a\n", NULL } },
	    "d0I .\nd0 etc\nf0 etc/a\n" },
	{ { { "/", true, "d etc\nf etc/a\nl z\n", NULL } },
	    "d0X .\nd0X etc\nf0 etc/a\nl0 z\n" },
	/* Parents of a target are implied. */
	{ { { "/srv/www/site", true, "f a\n", NULL } },
	    "d0I .\nd0I srv\nd0I srv/www\nd0X srv/www/site\n"
	    "f0 srv/www/site/a\n" },
	{ { { "/srv/www", false, "d a\nf a/b\n", NULL } },
	    "d0I .\nd0I srv\nd0I srv/www\nd0 srv/www/a\nf0 srv/www/a/b\n" },
	/* A real directory counts before an implied one, of either source. */
	{ { { "/", true, "d srv\n", NULL },
	      { "/srv/www", false, "f a\n", NULL } },
	    "d0X .\nd0X srv\nd1IX srv/www\nf1 srv/www/a\n" },
	{ { { "/srv/www", true, "f a\n", NULL },
	      { "/", false, "d srv\n", NULL } },
	    "d1I .\nd1 srv\nd0X srv/www\nf0 srv/www/a\n" },
	/* Later wins, path by path. */
	{ { { "/", false, "d etc\nf etc/a\nf etc/b\n", NULL },
	      { "/", false, "d etc\nf etc/b\nf etc/c\n", NULL },
	      { "/etc", false, "f c\nf d\n", NULL } },
	    "d1I .\nd1 etc\nf0 etc/a\nf1 etc/b\nf2 etc/c\nf2 etc/d\n" },
	/* What is no directory takes away all that was below, of earlier
	 * sources, and of names that only begin alike nothing. */
	{ { { "/", false, "d a\nd a/b\nf a/b/c\nf a/b-c\nf a/d\n", NULL },
	      { "/", false, "d a\nl a/b\n", NULL } },
	    "d1I .\nd1 a\nl1 a/b\nf0 a/b-c\nf0 a/d\n" },
	{ { { "/", false, "d a\nf a/b\n", NULL },
	      { "/a", false, "f c\n", NULL },
	      { "/", false, "l a\nf b\n", NULL } },
	    "d2I .\nl2 a\nf2 b\n" },
	/* A directory in the place of a file, with what is in it. */
	{ { { "/", false, "d a\nf a/b\n", NULL },
	      { "/", false, "d a\nd a/b\nf a/b/c\n", NULL } },
	    "d1I .\nd1 a\nd1 a/b\nf1 a/b/c\n" },
	/* A file between takes away what the first had, though a directory
	 * stands there again. */
	{ { { "/", false, "d a\nf a/x\nf b\n", NULL },
	      { "/", false, "f a\n", NULL },
	      { "/", false, "d a\nf a/y\n", NULL } },
	    "d2I .\nd2 a\nf2 a/y\nf0 b\n" },
	/* A later target goes through what an earlier one has as a link. */
	{ { { "/", false, "l srv\n", NULL },
	      { "/srv/www", false, "f a\n", NULL } },
	    "d0I .\nd1I srv\nd1I srv/www\nf1 srv/www/a\n" },
	/* Exact: the target and all below, whoever's; not above or beside. */
	{ { { "/srv", true, "d a\nf a/b\n", NULL },
	      { "/", false, "d srv\nd srv/a\nd srv/a/new\nd srv-x\n", NULL } },
	    "d1I .\nd1X srv\nd1X srv/a\nf0 srv/a/b\nd1X srv/a/new\nd1 "
	    "srv-x\n" },
	/* A target above is described better than by being above. */
	{ { { "/srv", false, "f a\n", NULL },
	      { "/srv/www", false, "f b\n", NULL } },
	    "d1I .\nd0I srv\nf0 srv/a\nd1I srv/www\nf1 srv/www/b\n" },
	/* Hard links. */
	{ { { "/srv", false, "f a\nh a b\nh a c\n", NULL } },
	    "d0I .\nd0I srv\nf0 srv/a\nh0 srv/a srv/b\nh0 srv/a srv/c\n" },
	{ { { "/", false, "f a\nh a b\nh a c\nh a d\n", NULL },
	      { "/", false, "f a\n", NULL } },
	    "d1I .\nf1 a\nf0 b\nh0 b c\nh0 b d\n" },
	{ { { "/", false, "f a\nh a b\nh a c\nh a d\n", NULL },
	      { "/", false, "f a\nf b\nl d\n", NULL } },
	    "d1I .\nf1 a\nf1 b\nf0 c\nl1 d\n" },
	{ { { "/", false, "d a\nf a/1\nh a/1 b\nh a/1 c\n", NULL },
	      { "/", false, "l a\n", NULL } },
	    "d1I .\nl1 a\nf0 b\nh0 b c\n" },
	{ { { "/x", false, "d a\nf a/1\nf a/2\nh a/2 b\nh a/1 c\nh a/2 d\n",
	        NULL },
	      { "/x/a", false, "f 1\nf 2\n", NULL } },
	    "d1I .\nd0I x\nd0 x/a\nf1 x/a/1\nf1 x/a/2\nf0 x/b\nf0 x/c\n"
	    "h0 x/b x/d\n" },
	{ { { "/", false, "f a\nh a b\n", NULL },
	      { "/", false, "f a\nh a b\n", NULL } },
	    "d1I .\nf1 a\nh1 a b\n" },
};

START_TEST(sources_merge_as_the_rules_say)
{
	const struct layer_entry *x;
	struct err e = ERR_INIT;
	struct stack s;
	struct buf out;

	buf_init(&out, 1 << 20);
	stack_open(&s, merges[_i].sheets);
	do {
		ck_assert_msg(layer_next(s.layer, &x, &e) == 0, "%s", e.msg);
		if (x == NULL)
			break;
		print(&out, x);
		must_be_of_its_source(x);
	} while (true);
	ck_assert_str_eq(buf_str(&out), merges[_i].wanted);
	/* The end stays the end. */
	ck_assert_int_eq(layer_next(s.layer, &x, &e), 0);
	ck_assert_ptr_null(x);
	stack_close(&s);
	buf_release(&out);
}
END_TEST

static const struct {
	const char *path;
	bool excluded;
} paths[] = {
	{ "srv/www/log", true }, { "srv/www/log/old", true },
	{ "srv/www/a.tmp", true }, { "srv/www/deep/a.tmp", true },
	{ "srv/www/cache/x", true }, { "srv/www/deep/cache/x", false },
	{ "srv/www/logs", false }, { "srv/www", false }, { "srv/a.tmp", false },
	{ "etc/a.tmp", false }, { "opt/x.bak", false }, /* of an overlay */
};

START_TEST(excludes_of_exact_sources_hold_below_their_targets)
{
	static const struct sheet sheets[MAX_SOURCES] = {
		{ "/srv/www", true, "", "/log *.tmp /cache/*" },
		{ "/opt", false, "", "*.bak" },
	};
	struct stack s;

	stack_open(&s, sheets);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		ck_assert_msg(layer_is_excluded(s.layer, paths[i].path) ==
		        paths[i].excluded,
		    "%s", paths[i].path);
	stack_close(&s);
}
END_TEST

static const char *const bad_targets[] = { "", "srv", "/srv/", "//srv",
	"/srv/../etc", "/.", "/srv//x" };

START_TEST(a_target_is_a_clean_absolute_path)
{
	struct layer_source source = { .name = "web",
		.target = bad_targets[_i] };
	struct err e = ERR_INIT;
	struct layer *l;

	ck_assert_int_eq(layer_new(&source, 1, &l, &e), ERR_USAGE);
	ck_assert_ptr_nonnull(strstr(e.msg, "web"));
	ck_assert_int_eq(layer_new(&source, 0, &l, &e), ERR_USAGE);
}
END_TEST

START_TEST(a_damaged_manifest_is_named_by_its_transcript)
{
	static const struct sheet sheets[MAX_SOURCES] = {
		{ "/", false, "d etc\nf etc/a\n", NULL },
		{ "/opt", false, "f a\nf b\n", NULL },
	};
	const struct layer_entry *x = NULL;
	struct err e = ERR_INIT;
	struct stack s;
	int rc;

	stack_open(&s, sheets);
	manifest_reader_free(s.sources[1].reader);
	s.texts[1].at = 0;
	s.texts[1].text.len--;
	s.sources[1].name = "web";
	ck_assert_int_eq(manifest_reader_new(from_memory, &s.texts[1],
	                     &s.sources[1].reader, &e),
	    0);
	do {
		rc = layer_next(s.layer, &x, &e);
	} while (rc == 0 && x != NULL);
	ck_assert_int_eq(rc, ERR_FORMAT);
	ck_assert_ptr_nonnull(strstr(e.msg, "transcript web: manifest: line"));
	ck_assert_int_eq(layer_next(s.layer, &x, &e), ERR_FORMAT);
	stack_close(&s);
}
END_TEST

/* A target so long that a path of the manifest does not fit below it. */
START_TEST(a_path_too_long_below_its_target_is_refused)
{
	struct sheet sheets[MAX_SOURCES] = { { "", false, "f 123456\n",
	    NULL } };
	const struct layer_entry *x = NULL;
	struct err e = ERR_INIT;
	struct stack s;
	struct buf target;
	int rc;

	buf_init(&target, LIMIT_PATH_BYTES + 1);
	while (target.len < LIMIT_PATH_BYTES - 5)
		buf_add_str(&target, "/abcdefgh");
	target.data[LIMIT_PATH_BYTES - 5] = '\0';
	sheets[0].target = buf_str(&target);
	stack_open(&s, sheets);
	do {
		rc = layer_next(s.layer, &x, &e);
	} while (rc == 0 && x != NULL);
	ck_assert_int_eq(rc, ERR_LIMIT);
	stack_close(&s);
	buf_release(&target);
}
END_TEST

static void
add_many(struct buf *text, size_t files, bool link)
{
	struct manifest_entry m = { .type = MANIFEST_DIR,
		.path = ".",
		.owner = "root",
		.group = "root" };
	struct manifest_totals totals;
	struct manifest_writer *w;
	char path[32];

	buf_init(text, SIZE_MAX - 1);
	ck_assert_int_eq(manifest_writer_new(to_buf, text, &w, NULL), 0);
	ck_assert_int_eq(manifest_writer_add(w, &m, NULL), 0);
	m.type = MANIFEST_FILE;
	m.path = path;
	for (size_t i = 0; i < files; i++) {
		(void)snprintf(path, sizeof(path), "%08zu", i);
		ck_assert_int_eq(manifest_writer_add(w, &m, NULL), 0);
	}
	m.type = MANIFEST_HARDLINK;
	m.path = "known";
	m.target = "00000007";
	if (link)
		ck_assert_int_eq(manifest_writer_add(w, &m, NULL), 0);
	(void)snprintf(path, sizeof(path), "%08zu", files - 1);
	m.path = "unknown";
	m.target = path;
	if (link)
		ck_assert_int_eq(manifest_writer_add(w, &m, NULL), 0);
	ck_assert_int_eq(manifest_writer_end(w, &totals, NULL), 0);
	manifest_writer_free(w);
}

/* More files overridden than are remembered: only a link to one of those that
 * are not is an error. */
START_TEST(overridden_files_have_a_bound)
{
	const size_t files = 400000;
	struct memory texts[2] = { { .at = 0 }, { .at = 0 } };
	struct layer_source sources[2] = { { .name = "a", .target = "/" },
		{ .name = "b", .target = "/" } };
	const struct layer_entry *x = NULL;
	struct err e = ERR_INIT;
	struct layer *l;
	int rc;

	for (size_t i = 0; i < 2; i++) {
		add_many(&texts[i].text, files, i == 0);
		ck_assert_int_eq(manifest_reader_new(from_memory, &texts[i],
		                     &sources[i].reader, &e),
		    0);
	}
	ck_assert_int_eq(layer_new(sources, 2, &l, &e), 0);
	for (size_t i = 0; i < files + 2; i++) {
		ck_assert_int_eq(layer_next(l, &x, &e), 0);
		ck_assert_ptr_nonnull(x);
	}
	ck_assert_str_eq(x->m.path, "known");
	ck_assert_int_eq(x->m.type, MANIFEST_FILE);
	rc = layer_next(l, &x, &e);
	ck_assert_int_eq(rc, ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(e.msg, "transcript a: unknown"));
	layer_free(l);
	for (size_t i = 0; i < 2; i++) {
		manifest_reader_free(sources[i].reader);
		buf_release(&texts[i].text);
	}
}
END_TEST

int
main(void)
{
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
	Suite *s = suite_create("layer");
	TCase *t = tcase_create("layer");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(
	    t, sources_merge_as_the_rules_say, 0, COUNT(merges));
	tcase_add_test(t, excludes_of_exact_sources_hold_below_their_targets);
	tcase_add_loop_test(
	    t, a_target_is_a_clean_absolute_path, 0, COUNT(bad_targets));
	tcase_add_test(t, a_damaged_manifest_is_named_by_its_transcript);
	tcase_add_test(t, a_path_too_long_below_its_target_is_refused);
	tcase_add_test(t, overridden_files_have_a_bound);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
