/* Preloaded into programs under valgrind, which knows no openat2 and takes room
 * of its own: openat2 becomes openat (what it forbids is tested elsewhere), and
 * address space is not limited. */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARGUMENTS 6

/* Their symbols are those of the C library. */
long no_openat2(long number, ...) __asm__("syscall");
int no_memory_limit(__rlimit_resource_t resource,
    const struct rlimit *limit) __asm__("setrlimit");

long
no_openat2(long number, ...)
{
	void *found = dlsym(RTLD_NEXT, "syscall");
	long (*real)(long number, ...);
	long a[ARGUMENTS];
	va_list list;

	memcpy(&real, &found, sizeof(real));
	va_start(list, number);
	for (int i = 0; i < ARGUMENTS; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_openat2) {
		const struct open_how *how = (const struct open_how *)a[2];

		return openat((int)a[0], (const char *)a[1],
		    (int)how->flags | O_NOFOLLOW, (mode_t)how->mode);
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int
no_memory_limit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	void *found = dlsym(RTLD_NEXT, "setrlimit");
	int (*real)(__rlimit_resource_t, const struct rlimit *);

	memcpy(&real, &found, sizeof(real));
	return resource == RLIMIT_AS ? 0 : real(resource, limit);
}
