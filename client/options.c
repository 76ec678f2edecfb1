/* The command line of pecia. */
#include "client/options.h"

#include <getopt.h>
#include <string.h>

#include "client/options_table.h"

/* What getopt calls row 0; letters are below it. */
#define FIRST 256

static int
find_verb(const char *word, const struct options_verb **out, struct err *e)
{
	for (size_t i = 0; i < options_verb_count; i++)
		if (strcmp(word, options_verbs[i].word) == 0) {
			*out = &options_verbs[i];
			return 0;
		}
	return err_set(
	    e, ERR_USAGE, "unknown command %s; see pecia --help", word);
}

/* ---- options ---- */

/* optopt is the letter of a short option, which may be one of several in a
 * word that getopt has not left yet. */
static int
unknown(const char *word, struct err *e)
{
	if (optopt > 0 && optopt < FIRST)
		return err_set(e, ERR_USAGE,
		    "unknown option -%c; see pecia --help", optopt);
	return err_set(
	    e, ERR_USAGE, "unknown option %s; see pecia --help", word);
}

static const struct options_row *
find_row(int opt)
{
	if (opt >= FIRST)
		return &options_rows[opt - FIRST];
	for (size_t i = 0; i < options_row_count; i++)
		if (options_rows[i].letter == opt)
			return &options_rows[i];
	return NULL;
}

static int
take_row(struct options *o, const struct options_row *row, const char *arg,
    struct err *e)
{
	char *field = (char *)o + row->field;
	const bool yes = true;

	switch (row->kind) {
	case OPTIONS_FLAG:
		memcpy(field, &yes, sizeof(yes));
		return 0;
	case OPTIONS_TEXT:
		memcpy(field, &arg, sizeof(arg));
		return 0;
	case OPTIONS_VERB:
		o->verb = (enum verb)row->field;
		return 0;
	case OPTIONS_TAKE:
	default:
		return row->take(o, arg, e);
	}
}

static void
list_options(struct option longs[OPTIONS_ROWS_MAX + 1])
{
	for (size_t i = 0; i < options_row_count; i++) {
		const struct options_row *row = &options_rows[i];
		bool none =
		    row->kind == OPTIONS_FLAG || row->kind == OPTIONS_VERB;

		longs[i] = (struct option){ row->name,
			none ? no_argument : required_argument, NULL,
			row->letter != 0 ? row->letter : FIRST + (int)i };
	}
	longs[options_row_count] = (struct option){ NULL, 0, NULL, 0 };
}

/* *given: a bit for each row. */
static int
take_options(struct options *o, int argc, char *const argv[], uint64_t *given,
    struct err *e)
{
	struct option longs[OPTIONS_ROWS_MAX + 1];
	const struct options_row *row;
	int opt, rc = 0;

	list_options(longs);
	optind = 0;
	while (rc == 0 &&
	    (opt = getopt_long(argc, argv, ":hv", longs, NULL)) != -1) {
		if (opt == ':')
			return err_set(
			    e, ERR_USAGE, "%s needs a value", argv[optind - 1]);
		if (opt == '?' || (row = find_row(opt)) == NULL)
			return unknown(argv[optind - 1], e);
		*given |= UINT64_C(1) << (row - options_rows);
		rc = take_row(o, row, optarg, e);
	}
	return rc;
}

/* ---- what makes sense together ---- */

static int
misplaced(const struct options_row *row, struct err *e)
{
	char words[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < options_verb_count; i++)
		if ((row->verbs & OPTIONS_ON(options_verbs[i].verb)) != 0 &&
		    len < sizeof(words))
			len += (size_t)snprintf(words + len,
			    sizeof(words) - len, "%s%s", len > 0 ? " or " : "",
			    options_verbs[i].word);
	return err_set(e, ERR_USAGE, "--%s belongs to %s", row->name, words);
}

static int
check(const struct options *o, uint64_t given, struct err *e)
{
	if (o->verb == VERB_INIT && o->anchor == NULL)
		return err_set(e, ERR_USAGE,
		    "init needs --anchor sha256:..., "
		    "the last line that `peciactl init` printed");
	for (size_t i = 0; i < options_row_count; i++) {
		const struct options_row *row = &options_rows[i];

		if ((given & (UINT64_C(1) << i)) != 0 && row->verbs != 0 &&
		    (row->verbs & OPTIONS_ON(o->verb)) == 0)
			return misplaced(row, e);
	}
	return 0;
}

static int
take_operands(struct options *o, const struct options_verb *v, int argc,
    char *const argv[], struct err *e)
{
	size_t count = (size_t)(argc - optind);

	if (v == NULL) /* help and version, as options, are no words */
		return 0;
	if (count > v->operands_max)
		return err_set(e, ERR_USAGE, "%s: unexpected; see pecia --help",
		    argv[(size_t)optind + v->operands_max]);
	if (count < v->operands_min)
		return err_set(e, ERR_USAGE, "%s needs %s; see pecia --help",
		    v->word, v->usage);
	o->operands = argv + optind;
	o->operand_count = count;
	return 0;
}

int
options_parse(int argc, char *const argv[], struct options *out, struct err *e)
{
	const struct options_verb *verb = NULL;
	struct options o = { .verb = VERB_NONE };
	uint64_t given = 0;
	int rc;

	if ((rc = take_options(&o, argc, argv, &given, e)) != 0)
		return rc;
	if (o.verb == VERB_NONE && optind >= argc)
		return err_set(
		    e, ERR_USAGE, "no command given; see pecia --help");
	if (o.verb == VERB_NONE) {
		if ((rc = find_verb(argv[optind++], &verb, e)) != 0)
			return rc;
		o.verb = verb->verb;
	}
	if (o.verb == VERB_HELP || o.verb == VERB_VERSION) {
		*out = o;
		return 0;
	}
	rc = take_operands(&o, verb, argc, argv, e);
	if (rc == 0)
		rc = check(&o, given, e);
	if (rc == 0 && (rc = options_take_operands(&o, e)) == 0)
		*out = o;
	return rc;
}

/* ---- help ---- */

#define WIDTH 80

/* `left`, then the words of `text` from `column` on, over as many lines as they
 * need. */
static void
add_entry(struct buf *b, const char *left, size_t column, const char *text)
{
	size_t at = strlen(left);

	buf_addf(b, "%s", left);
	if (at >= column) {
		buf_add_byte(b, '\n');
		at = 0;
	}
	buf_addf(b, "%*s", (int)(column - at), "");
	for (at = column; *text != '\0';) {
		size_t len = strcspn(text, " ");

		if (at > column && at + 1 + len > WIDTH - 1) {
			buf_addf(b, "\n%*s", (int)column, "");
			at = column;
		}
		buf_addf(b, "%s%.*s", at > column ? " " : "", (int)len, text);
		at += len + (at > column);
		text += len + strspn(text + len, " ");
	}
	buf_add_byte(b, '\n');
}

void
options_help(struct buf *text)
{
	char left[64];

	buf_add_str(text,
	    "usage: pecia [--config FILE] [--root DIR] [--state DIR] "
	    "COMMAND [OPTION...]\n\ncommands\n");
	for (size_t i = 0; i < options_verb_count; i++) {
		const struct options_verb *v = &options_verbs[i];

		(void)snprintf(
		    left, sizeof(left), "  %s %s", v->word, v->usage);
		if (v->help != NULL)
			add_entry(text, left, 29, v->help);
	}
	buf_add_str(text, "\noptions\n");
	for (size_t i = 0; i < options_row_count; i++) {
		const struct options_row *row = &options_rows[i];
		char letter[8] = "";

		if (row->letter != 0)
			(void)snprintf(
			    letter, sizeof(letter), "-%c, ", row->letter);
		(void)snprintf(left, sizeof(left), "  %s--%s %s", letter,
		    row->name, row->value);
		if (row->help != NULL)
			add_entry(text, left, 25, row->help);
	}
	buf_add_str(text, "\nSee pecia(8).\n");
}
