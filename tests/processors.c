/* Tests on fewer processors. */
#include "tests/processors.h"

#include <check.h>

cpu_set_t
processors_one(void)
{
	int cpu = sched_getcpu();
	cpu_set_t all, one;

	CPU_ZERO(&one);
	CPU_SET(cpu >= 0 ? (size_t)cpu : 0, &one);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	processors_use(&one);
	return all;
}

void
processors_use(const cpu_set_t *set)
{
	ck_assert_int_eq(sched_setaffinity(0, sizeof(*set), set), 0);
}
