/* The commands of the crash prover: none. */
#include "tests/prove_command.h"

#include <string.h>

#include "common/command.h"

static size_t commands;

size_t
prove_commands_run(void)
{
	return commands;
}

void
command_result_init(struct command_result *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->output, 1);
}

void
command_result_release(struct command_result *r)
{
	buf_release(&r->output);
}

int
command_run(
    const struct command *c, struct command_result *result, struct err *e)
{
	(void)c;
	(void)e;
	commands++;
	result->status = 0;
	return 0;
}

int
command_check(const struct command *c, const struct command_result *r,
    const char *what, struct err *e)
{
	(void)c;
	(void)r;
	(void)what;
	(void)e;
	return 0;
}
