/* Tests on fewer processors than there are: with one, nothing starts threads. */
#ifndef TESTS_PROCESSORS_H
#define TESTS_PROCESSORS_H

#include <sched.h>

/* Stays on the processor that it is on now.  Returns those it might use before,
 * for processors_use. */
cpu_set_t processors_one(void);
void processors_use(const cpu_set_t *set);

#endif
