/* Landlock: file access by path, masked to what the running kernel knows. */
#include "common/sandbox_landlock.h"

#include <unistd.h>

#ifdef PECIA_NO_SANDBOX

int
sandbox_landlock_abi(void)
{
	return 0;
}

int
landlock_rules(const struct sandbox *s, int *rules, struct err *e)
{
	(void)s;
	(void)e;
	*rules = -1;
	return 0;
}

int
landlock_enforce(int rules, struct err *e)
{
	(void)rules;
	(void)e;
	return 0;
}

#else

# include <errno.h>
# include <linux/landlock.h>
# include <sys/stat.h>
# include <sys/syscall.h>

# include "common/fsat.h"

/* What came after the headers of Linux 6.1; From: linux/landlock.h of 6.18. */
# define ACCESS_TRUNCATE  (1ULL << 14) /* ABI 3 */
# define ACCESS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
# define NET_BIND_TCP     (1ULL << 0)  /* ABI 4 */
# define NET_CONNECT_TCP  (1ULL << 1)
# define SCOPE_ABSTRACT   (1ULL << 0) /* ABI 6 */
# define SCOPE_SIGNAL     (1ULL << 1)

# define ACCESS_READ \
  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* All that a rule on something other than a directory may hold. */
# define ACCESS_FILE                                              \
  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
      LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)
# define ACCESS_ABI_2 ((1ULL << 14) - 1) /* with LANDLOCK_ACCESS_FS_REFER */

struct attributes { /* struct landlock_ruleset_attr of the newest ABI */
	uint64_t files;
	uint64_t net;
	uint64_t scoped;
};

int
sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);

	/* ABI 1 forbids each rename into another directory. */
	return abi < 2 ? 0 : (int)abi;
}

static uint64_t
known_files(int abi)
{
	uint64_t access = ACCESS_ABI_2;

	if (abi >= 3)
		access |= ACCESS_TRUNCATE;
	if (abi >= 5)
		access |= ACCESS_IOCTL_DEV;
	return access;
}

static int
allow(int rules, int fd, uint64_t access, struct err *e)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_sys(e, "stat for Landlock");
	rule.allowed_access =
	    S_ISDIR(st.st_mode) ? access : access & ACCESS_FILE;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
	        &rule, 0) != 0)
		return err_sys(e, "add Landlock rule");
	return 0;
}

static int
allow_path(int rules, const char *path, struct err *e)
{
	struct err why = ERR_INIT;
	int fd = -1, ret;

	ret = fsat_operator_hold(path, &fd, &why);
	if (ret == ERR_NOT_FOUND)
		return 0;
	if (ret != 0)
		return err_set(e, ret, "%s", why.msg);
	ret = allow(rules, fd, ACCESS_READ, e);
	close(fd);
	return ret;
}

static int
allow_all(const struct sandbox *s, int rules, int abi, struct err *e)
{
	const char *const *path = s->read_paths;
	size_t i;
	int ret = 0;

	for (; ret == 0 && path != NULL && *path != NULL; path++)
		ret = allow_path(rules, *path, e);
	for (i = 0; ret == 0 && i < s->read_count; i++)
		ret = allow(rules, s->read_fds[i], ACCESS_READ, e);
	for (i = 0; ret == 0 && i < s->write_count; i++)
		ret = allow(rules, s->write_fds[i],
		    known_files(abi) & ~ACCESS_IOCTL_DEV &
		        ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE,
		    e);
	return ret;
}

int
landlock_rules(const struct sandbox *s, int *rules, struct err *e)
{
	struct attributes handled = { 0 };
	int abi = sandbox_landlock_abi(), fd, ret;

	*rules = -1;
	if (abi == 0)
		return 0;
	handled.files = known_files(abi);
	if (abi >= 4 && s->no_tcp)
		handled.net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 6)
		handled.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
	/* Zeros behind what a kernel knows are no error to it. */
	fd = (int)syscall(
	    SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (fd < 0)
		return err_sys(e, "make Landlock rules");
	ret = allow_all(s, fd, abi, e);
	if (ret == 0)
		*rules = fd;
	else
		close(fd);
	return ret;
}

int
landlock_enforce(int rules, struct err *e)
{
	int ret = 0;

	if (rules < 0)
		return 0;
	if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		ret = err_sys(e, "enforce Landlock rules");
	close(rules);
	return ret;
}

#endif
