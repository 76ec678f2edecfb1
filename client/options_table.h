/* What the command line knows: a row a command and a row an option, which
 * parser and help share. */
#ifndef CLIENT_OPTIONS_TABLE_H
#define CLIENT_OPTIONS_TABLE_H

#include <stdint.h>

#include "client/options.h"

struct options_verb {
	const char *word;
	enum verb verb;
	size_t operands_min, operands_max;
	const char *usage; /* what follows the word in the help */
	const char *help;  /* NULL: not in the help */
};

enum options_kind {
	OPTIONS_FLAG, /* a bool */
	OPTIONS_TEXT, /* a const char * */
	OPTIONS_TAKE, /* a function reads the value */
	OPTIONS_VERB, /* stands for a command */
};

/* The command as a bit of options_row.verbs. */
#define OPTIONS_ON(verb) (UINT64_C(1) << (verb))

struct options_row {
	const char *name;
	char letter; /* 0: none */
	enum options_kind kind;
	size_t field;   /* offset in struct options */
	uint64_t verbs; /* it belongs to these only; 0: to all */
	int (*take)(struct options *o, const char *text, struct err *e);
	const char *value; /* what its value is called in the help */
	const char *help;  /* NULL: not in the help */
};

extern const struct options_verb options_verbs[];
extern const size_t options_verb_count;
extern const struct options_row options_rows[];
extern const size_t options_row_count;
#define OPTIONS_ROWS_MAX 64

/* From o->operands, whose count is right: the word and path of bucket, the path
 * of diff and which; and the serial of rollback's --to.  ERR_USAGE says what
 * makes no sense. */
MUST_CHECK int options_take_operands(struct options *o, struct err *e);

#endif
