/* Small trees for tests. */
#include "tests/trees.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/fsat.h"

#define XATTR     "user.pecia"
#define SPECS_MAX 512

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)
#define SYS(call, path) \
 ck_assert_msg((call) >= 0, "%s of %s: %s", #call, path, strerror(errno))

const char *
own_user(void)
{
	static char text[MANIFEST_OWNER_BYTES + 1];
	/* cppcheck-suppress getpwuidCalled ; a test has one thread */
	const struct passwd *pw = getpwuid(geteuid());

	if (pw != NULL)
		(void)snprintf(text, sizeof(text), "%s", pw->pw_name);
	else
		(void)snprintf(text, sizeof(text), "#%u", geteuid());
	return text;
}

const char *
own_group(void)
{
	static char text[MANIFEST_OWNER_BYTES + 1];
	/* cppcheck-suppress getgrgidCalled ; a test has one thread */
	const struct group *gr = getgrgid(getegid());

	if (gr != NULL)
		(void)snprintf(text, sizeof(text), "%s", gr->gr_name);
	else
		(void)snprintf(text, sizeof(text), "#%u", getegid());
	return text;
}

static unsigned
mode_of(const struct spec *s)
{
	if (s->mode != 0)
		return s->mode;
	return s->type == 'd' ? 0755 : s->type == 'l' ? 0777 : 0644;
}

static struct timespec
time_of(const struct spec *s)
{
	return (struct timespec){ s->sec != 0 ? s->sec : SPEC_SEC, s->nsec };
}

bool
spec_has_xattrs(int dir)
{
	int fd = openat(dir, ".probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bool has = fd >= 0 && fsetxattr(fd, XATTR, "x", 1, 0) == 0;

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(unlinkat(dir, ".probe", 0), 0);
	return has;
}

bool
spec_has_devices(int dir)
{
	if (geteuid() != 0 ||
	    mknodat(dir, ".probe", S_IFCHR | 0600, makedev(1, 3)) != 0)
		return false;
	ck_assert_int_eq(unlinkat(dir, ".probe", 0), 0);
	return true;
}

bool
spec_has_flags(int dir)
{
	struct err e = ERR_INIT;
	int fd = -1;
	bool has;

	OK(fsat_create(dir, ".probe", 0600, &fd, &e));
	close(fd);
	has = fsat_set_flags(dir, ".probe", FSAT_FLAG_IMMUTABLE, &e) == 0 &&
	    fsat_set_flags(dir, ".probe", 0, &e) == 0;
	ck_assert_int_eq(unlinkat(dir, ".probe", 0), 0);
	return has;
}

void
specs_unflag(int root, const struct spec *specs)
{
	struct err e = ERR_INIT;

	for (; specs->type != 0; specs++)
		if (specs->flags != 0 &&
		    fsat_set_flags(root, specs->path, 0, &e) != 0)
			err_clear(&e);
}

/* ---- lists in order ---- */

static int
by_path(const void *a, const void *b)
{
	const struct spec *const *x = a, *const *y = b;

	return manifest_path_cmp(
	    (*x)->path, strlen((*x)->path), (*y)->path, strlen((*y)->path));
}

static size_t
sort(const struct spec *specs, const struct spec *list[SPECS_MAX])
{
	size_t n = 0;

	for (; specs[n].type != 0; n++) {
		ck_assert_uint_lt(n, SPECS_MAX);
		list[n] = &specs[n];
	}
	/* cppcheck-suppress uninitvar ; the loop has set the first n */
	qsort(list, n, sizeof(const void *), by_path);
	return n;
}

/* ---- real trees ---- */

static void
make_parents(int root, const char *path)
{
	char part[LIMIT_PATH_BYTES + 1];

	for (const char *s = strchr(path, '/'); s != NULL;
	     s = strchr(s + 1, '/')) {
		(void)snprintf(
		    part, sizeof(part), "%.*s", (int)(s - path), path);
		if (mkdirat(root, part, 0755) != 0)
			ck_assert_int_eq(errno, EEXIST);
	}
}

static void
make_file(int root, const struct spec *s)
{
	size_t len = s->text != NULL ? strlen(s->text) : 0;
	int fd = openat(
	    root, s->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	SYS(fd, s->path);
	ck_assert_int_eq(write(fd, s->text, len), (ssize_t)len);
	close(fd);
}

static void
make_one(int root, const struct spec *s)
{
	make_parents(root, s->path);
	switch (s->type) {
	case 'd':
		if (mkdirat(root, s->path, 0755) != 0)
			ck_assert_int_eq(errno, EEXIST);
		break;
	case 'f':
		make_file(root, s);
		break;
	case 'l':
		SYS(symlinkat(s->text, root, s->path), s->path);
		break;
	case 'h':
		SYS(linkat(root, s->text, root, s->path, 0), s->path);
		break;
	case 'p':
		SYS(mknodat(root, s->path, S_IFIFO | 0600, 0), s->path);
		break;
	default:
		SYS(mknodat(root, s->path,
		        (s->type == 'c' ? S_IFCHR : S_IFBLK) | 0600,
		        makedev(1, s->minor)),
		    s->path);
	}
}

static void
set_meta(int root, const struct spec *s)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		time_of(s) };
	struct err e = ERR_INIT;

	if (s->type == 'h')
		return;
	if (s->xattr != NULL)
		OK(fsat_xattr_set(
		    root, s->path, XATTR, s->xattr, strlen(s->xattr), &e));
	if (s->type != 'l')
		SYS(fchmodat(root, s->path, mode_of(s), 0), s->path);
	SYS(utimensat(root, s->path, times, AT_SYMLINK_NOFOLLOW), s->path);
}

static void
set_flags(int root, const struct spec *s)
{
	struct err e = ERR_INIT;

	if (s->flags != 0)
		OK(fsat_set_flags(root, s->path, s->flags, &e));
}

void
specs_make(int root, const struct spec *specs)
{
	const struct spec *list[SPECS_MAX];
	size_t n = sort(specs, list);

	for (size_t i = 0; i < n; i++)
		make_one(root, list[i]);
	for (size_t i = n; i-- > 0;) {
		set_meta(root, list[i]);
		set_flags(root, list[i]);
	}
}

static mode_t
file_type(char type)
{
	switch (type) {
	case 'd':
		return S_IFDIR;
	case 'l':
		return S_IFLNK;
	case 'p':
		return S_IFIFO;
	case 'c':
		return S_IFCHR;
	case 'b':
		return S_IFBLK;
	default:
		return S_IFREG;
	}
}

static void
expect_content(int root, const struct spec *s)
{
	const char *want = s->text != NULL ? s->text : "";
	struct err e = ERR_INIT;
	struct buf got;

	buf_init(&got, 1 << 20);
	OK(fsat_read_file(root, s->path, 1 << 20, &got, &e));
	ck_assert_msg(got.len == strlen(want) &&
	        memcmp(buf_str(&got), want, got.len) == 0,
	    "%s: holds \"%s\", not \"%s\"", s->path, buf_str(&got), want);
	buf_release(&got);
}

static void
expect_link(int root, const struct spec *s)
{
	char target[LIMIT_PATH_BYTES + 1];
	ssize_t n = readlinkat(root, s->path, target, sizeof(target) - 1);

	SYS(n, s->path);
	target[n] = '\0';
	ck_assert_str_eq(target, s->text);
}

static void
expect_xattrs(int root, const struct spec *s)
{
	struct err e = ERR_INIT;
	struct buf names, value;

	buf_init(&names, 65536);
	buf_init(&value, 65536);
	OK(fsat_xattr_list(root, s->path, &names, &e));
	if (s->xattr == NULL) {
		ck_assert_msg(names.len == 0, "%s: has attribute %s", s->path,
		    buf_str(&names));
	} else {
		ck_assert_msg(names.len == sizeof(XATTR) &&
		        strcmp(buf_str(&names), XATTR) == 0,
		    "%s: has attributes %s", s->path, buf_str(&names));
		OK(fsat_xattr_get(root, s->path, XATTR, &value, &e));
		ck_assert_str_eq(buf_str(&value), s->xattr);
	}
	buf_release(&names);
	buf_release(&value);
}

static void
expect_same_inode(int root, const struct spec *s, const struct stat *st)
{
	struct stat first;

	SYS(fstatat(root, s->text, &first, AT_SYMLINK_NOFOLLOW), s->text);
	ck_assert_msg(
	    first.st_ino == st->st_ino, "%s: no link to %s", s->path, s->text);
}

static void
expect_flags(int root, const struct spec *s)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;

	OK(fsat_stat(root, s->path, &st, &e));
	ck_assert_msg(s->type == 'h' || st.flags == s->flags,
	    "%s: flags %u, not %u", s->path, st.flags, s->flags);
}

static void
expect_one(int root, const struct spec *s)
{
	struct timespec t = time_of(s);
	struct stat st;

	expect_flags(root, s);
	SYS(fstatat(root, s->path, &st, AT_SYMLINK_NOFOLLOW), s->path);
	ck_assert_msg((st.st_mode & S_IFMT) == file_type(s->type),
	    "%s: mode %o", s->path, st.st_mode);
	if (s->type == 'h') {
		expect_same_inode(root, s, &st);
		return;
	}
	ck_assert_msg(s->type == 'l' || (st.st_mode & 07777) == mode_of(s),
	    "%s: mode %o", s->path, st.st_mode);
	ck_assert_msg(
	    st.st_mtim.tv_sec == t.tv_sec && st.st_mtim.tv_nsec == t.tv_nsec,
	    "%s: time %ld.%09ld, not %ld.%09ld", s->path,
	    (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (long)t.tv_sec,
	    t.tv_nsec);
	ck_assert_msg(st.st_uid == geteuid() || s->owner != NULL, "%s: uid %u",
	    s->path, st.st_uid);
	if (s->type == 'f')
		expect_content(root, s);
	if (s->type == 'l')
		expect_link(root, s);
	if (s->type == 'c' || s->type == 'b')
		ck_assert_uint_eq(st.st_rdev, makedev(1, s->minor));
	expect_xattrs(root, s);
}

static bool
is_expected(const struct spec *specs, const char *path)
{
	size_t len = strlen(path);

	for (; specs->type != 0; specs++)
		if (strncmp(specs->path, path, len) == 0 &&
		    (specs->path[len] == '\0' || specs->path[len] == '/'))
			return true;
	return false;
}

/* Names of one directory ("" for the root); those in it are added to `todo`,
 * NUL-ended. */
static void
expect_names(
    int root, const char *dir, const struct spec *specs, struct buf *todo)
{
	int fd = openat(root, *dir == '\0' ? "." : dir,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char path[4 * LIMIT_PATH_BYTES];
	struct fsat_names names;
	struct err e = ERR_INIT;

	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP || errno == EACCES))
		return;
	SYS(fd, dir);
	OK(fsat_list(fd, &names, &e));
	close(fd);
	for (size_t i = 0; i < names.count; i++) {
		(void)snprintf(path, sizeof(path), "%s%s%s", dir,
		    *dir == '\0' ? "" : "/", names.names[i]);
		ck_assert_msg(is_expected(specs, path), "%s: unexpected", path);
		buf_add(todo, path, strlen(path) + 1);
	}
	fsat_names_release(&names);
}

static void
expect_no_more(int root, const struct spec *specs)
{
	char path[2 * LIMIT_PATH_BYTES];
	struct buf todo;

	buf_init(&todo, 1 << 20);
	buf_add_byte(&todo, '\0');
	for (size_t at = 0; at < todo.len; at += strlen(path) + 1) {
		(void)snprintf(path, sizeof(path), "%s", todo.data + at);
		expect_names(root, path, specs, &todo);
	}
	buf_release(&todo);
}

void
specs_expect(int root, const struct spec *specs)
{
	for (const struct spec *s = specs; s->type != 0; s++)
		expect_one(root, s);
	expect_no_more(root, specs);
}

/* ---- manifests ---- */

static int
add_text(void *arg, const void *data, size_t len, struct err *e)
{
	buf_add(arg, data, len);
	return buf_check(arg, "manifest", e);
}

static void
add_entry(struct manifest_writer *w, const struct spec *s)
{
	struct manifest_entry m = { .type = (enum manifest_type)s->type,
		.path = s->path,
		.mode = mode_of(s),
		.owner = s->owner != NULL ? s->owner : own_user(),
		.group = s->group != NULL ? s->group : own_group(),
		.mtime = time_of(s),
		.flags = s->flags };
	struct err e = ERR_INIT;
	struct buf x;

	buf_init(&x, 65536);
	if (s->type == 'f') {
		const char *text = s->text != NULL ? s->text : "";

		m.size_bytes = strlen(text);
		digest_of(text, strlen(text), &m.digest);
	} else if (s->type == 'l' || s->type == 'h') {
		m.target = s->text;
	} else if (s->type == 'c' || s->type == 'b') {
		m.major = 1;
		m.minor = s->minor;
	}
	if (s->xattr != NULL) {
		manifest_xattr_add(&x, XATTR, s->xattr, strlen(s->xattr));
		m.xattrs =
		    (struct manifest_xattrs){ (const char *)x.data, x.len };
	}
	OK(manifest_writer_add(w, &m, &e));
	buf_release(&x);
}

void
specs_manifest(const struct spec *specs, struct buf *text)
{
	static const struct spec top = D(".");
	const struct spec *list[SPECS_MAX];
	struct manifest_writer *w = NULL;
	struct manifest_totals totals;
	struct err e = ERR_INIT;
	size_t n = sort(specs, list);

	OK(manifest_writer_new(add_text, text, &w, &e));
	if (n == 0 || strcmp(list[0]->path, ".") != 0)
		add_entry(w, &top);
	for (size_t i = 0; i < n; i++)
		add_entry(w, list[i]);
	OK(manifest_writer_end(w, &totals, &e));
	manifest_writer_free(w);
}

static int
read_text(void *arg, void *dst, size_t size, size_t *got, struct err *e)
{
	struct reader *r = arg;
	size_t n = reader_left(r) < size ? reader_left(r) : size;

	(void)e;
	ck_assert_int_eq(reader_copy(r, dst, n), 0);
	*got = n;
	return 0;
}

static void
open_layer(struct wanted *w)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < w->count; i++) {
		reader_init(&w->readers[i], w->texts[i].data, w->texts[i].len);
		OK(manifest_reader_new(
		    read_text, &w->readers[i], &w->sources[i].reader, &e));
	}
	OK(layer_new(w->sources, w->count, &w->layer, &e));
}

static void
close_layer(struct wanted *w)
{
	layer_free(w->layer);
	for (size_t i = 0; i < w->count; i++)
		manifest_reader_free(w->sources[i].reader);
}

void
wanted_open(struct wanted *w, const struct source *sources, size_t count)
{
	ck_assert_uint_le(count, WANTED_SOURCES);
	memset(w, 0, sizeof(*w));
	w->count = count;
	for (size_t i = 0; i < count; i++) {
		const struct source *s = &sources[i];
		struct layer_source *l = &w->sources[i];

		buf_init(&w->texts[i], 1 << 24);
		specs_manifest(s->specs, &w->texts[i]);
		l->name = "sample";
		l->target = s->target != NULL ? s->target : "/";
		l->exact = !s->overlay;
		l->excludes = (char *const *)(uintptr_t)s->excludes;
		while (l->exclude_count < 4 &&
		    s->excludes[l->exclude_count] != NULL)
			l->exclude_count++;
	}
	open_layer(w);
}

void
wanted_rewind(struct wanted *w)
{
	close_layer(w);
	open_layer(w);
}

void
wanted_close(struct wanted *w)
{
	close_layer(w);
	for (size_t i = 0; i < w->count; i++)
		buf_release(&w->texts[i]);
}
