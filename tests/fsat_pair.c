/* Two directories, one of which nothing may reach. */
#include "tests/fsat_pair.h"

#include <check.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/fsat.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, e.msg)

void
fsat_pair_write(int dir, const char *path, const char *text)
{
	struct err e = ERR_INIT;

	OK(fsat_write_file(dir, path, 0644, text, strlen(text), &e));
}

void
fsat_pair_check_text(int dir, const char *path, const char *text)
{
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, 4096);
	OK(fsat_read_file(dir, path, 4096, &b, &e));
	ck_assert_str_eq(buf_str(&b), text);
	buf_release(&b);
}

bool
fsat_pair_has(int dir, const char *path)
{
	struct fsat_stat st;

	return fsat_stat(dir, path, &st, NULL) == 0;
}

size_t
fsat_pair_count_names(int dir)
{
	struct err e = ERR_INIT;
	struct fsat_names names;
	size_t count;

	OK(fsat_list(dir, &names, &e));
	count = names.count;
	fsat_names_release(&names);
	return count;
}

void
fsat_pair_make(struct fsat_pair *pair)
{
	struct err e = ERR_INIT;

	scratch_make(&pair->s);
	OK(fsat_mkdir(pair->s.fd, "in", 0755, &e));
	OK(fsat_mkdir(pair->s.fd, "out", 0755, &e));
	OK(fsat_open_dir(pair->s.fd, "in", &pair->in, &e));
	OK(fsat_open_dir(pair->s.fd, "out", &pair->out, &e));
	OK(fsat_mkdir(pair->out, "dir", 0755, &e));
	fsat_pair_write(pair->out, "file", "outside");
	OK(fsat_mkdir(pair->in, "dir", 0755, &e));
	fsat_pair_write(pair->in, "file", "inside");
	OK(fsat_symlink("../out", pair->in, "out-link", &e));
	OK(fsat_symlink("../out/file", pair->in, "file-link", &e));
}

void
fsat_pair_remove(struct fsat_pair *pair)
{
	close(pair->in);
	close(pair->out);
	scratch_remove(&pair->s);
}

void
fsat_pair_check_outside(const struct fsat_pair *pair, const char *doing)
{
	struct err e = ERR_INIT;
	struct fsat_stat st;
	struct buf names;

	ck_assert_msg(fsat_pair_count_names(pair->out) == 2, "%s", doing);
	fsat_pair_check_text(pair->out, "file", "outside");
	OK(fsat_stat(pair->out, "file", &st, &e));
	ck_assert_msg((st.mode & 07777) == 0644, "%s", doing);
	ck_assert_msg(st.mtime.tv_sec > 1000 && st.nlink == 1, "%s", doing);
	buf_init(&names, 1000);
	OK(fsat_xattr_list(pair->out, "file", &names, &e));
	ck_assert_msg(names.len == 0, "%s", doing);
	buf_release(&names);
}

void
fsat_pair_be_old_kernel(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
		    offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 452, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 463, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 466, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { COUNT(code), code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
	errno = 0;
	ck_assert_int_eq(syscall(452, -1, "x", 0, 0), -1);
	ck_assert_int_eq(errno, ENOSYS);
}
