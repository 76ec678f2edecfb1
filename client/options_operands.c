/* What follows a command on the command line, given its meaning. */
#include <string.h>

#include "client/options_table.h"
#include "common/text.h"

static int
take_bucket(struct options *o, struct err *e)
{
	static const char *const words[] = { "list", "get", "diff", "restore" };
	size_t i = 0, count = sizeof(words) / sizeof(*words);

	o->what = o->operand_count > 0 ? o->operands[0] : "list";
	o->path = o->operand_count > 1 ? o->operands[1] : NULL;
	while (i < count && strcmp(o->what, words[i]) != 0)
		i++;
	if (i == count)
		return err_set(e, ERR_USAGE,
		    "bucket %s: unknown; it is list, get, diff or restore",
		    o->what);
	if (o->path == NULL && i > 0)
		return err_set(e, ERR_USAGE, "bucket %s needs a path", o->what);
	if (o->to != NULL && strcmp(o->what, "restore") != 0)
		return err_set(e, ERR_USAGE,
		    "--to belongs to rollback and to bucket restore");
	return 0;
}

int
options_take_operands(struct options *o, struct err *e)
{
	switch (o->verb) {
	case VERB_BUCKET:
		return take_bucket(o, e);
	case VERB_DIFF:
	case VERB_WHICH:
		o->path = o->operand_count > 0 ? o->operands[0] : NULL;
		return 0;
	case VERB_ROLLBACK:
		if (o->to != NULL &&
		    text_u64(o->to, strlen(o->to), INT64_MAX, &o->serial) != 0)
			return err_set(
			    e, ERR_USAGE, "--to %s: not a number", o->to);
		return 0;
	default:
		return 0;
	}
}
