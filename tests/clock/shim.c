/* Preloaded into programs of a host whose clock is wrong: what they read as the
 * time of day is off by as many seconds as the 8 bytes of $PECIA_CLOCK say, at
 * this moment, in all processes forked since.  Times of files are not. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Their symbols are those of the C library. */
int wrong_clock_gettime(clockid_t id, struct timespec *t) __asm__(
    "clock_gettime");
time_t wrong_time(time_t *out) __asm__("time");
int wrong_gettimeofday(struct timeval *out, void *zone) __asm__("gettimeofday");

static const volatile int64_t *offset;

__attribute__((constructor)) static void
open_offset(void)
{
	const char *path = getenv("PECIA_CLOCK");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = MAP_FAILED;

	if (fd >= 0) {
		p = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (p == MAP_FAILED)
		abort();
	offset = p;
}

int
wrong_clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*real)(clockid_t id, struct timespec * t);
	void *found;
	int rc;

	if (real == NULL) {
		found = dlsym(RTLD_NEXT, "clock_gettime");
		memcpy(&real, &found, sizeof(real));
	}
	rc = real(id, t);
	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) &&
	    offset != NULL)
		t->tv_sec += *offset;
	return rc;
}

time_t
wrong_time(time_t *out)
{
	struct timespec t;

	(void)wrong_clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}

int
wrong_gettimeofday(struct timeval *out, void *zone)
{
	struct timespec t;

	(void)zone;
	(void)wrong_clock_gettime(CLOCK_REALTIME, &t);
	out->tv_sec = t.tv_sec;
	out->tv_usec = t.tv_nsec / 1000;
	return 0;
}
