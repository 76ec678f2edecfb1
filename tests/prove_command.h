/* Stands in for common/command: a run of the crash prover is one process and
 * starts none, so what is called for is counted and has ended well. */
#ifndef TESTS_PROVE_COMMAND_H
#define TESTS_PROVE_COMMAND_H

#include <stddef.h>

/* How many commands were run so far. */
size_t prove_commands_run(void);

#endif
