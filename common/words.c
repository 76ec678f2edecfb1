/* Words with quotes. */
#include "common/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/limits.h"

#define BLANKS " \t"

void
words_release(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->list[i]);
	free(w->list);
	*w = (struct words)WORDS_INIT;
}

/* One quoted part; *s is behind its first quote, then behind its last. */
static int
add_quoted(struct buf *word, const char **s, char quote, struct err *e)
{
	for (; **s != '\0'; ++*s) {
		if (**s == quote) {
			++*s;
			return 0;
		}
		if (quote == '"' && **s == '\\' &&
		    ((*s)[1] == '"' || (*s)[1] == '\\'))
			++*s;
		buf_add_byte(word, (uint8_t) * *s);
	}
	return err_set(e, ERR_FORMAT, "a %c is not closed", quote);
}

static int
take_word(struct buf *word, const char **s, struct err *e)
{
	int rc = 0;

	while (rc == 0 && **s != '\0' && strchr(BLANKS, **s) == NULL) {
		char c = *(*s)++;

		if (c == '"' || c == '\'')
			rc = add_quoted(word, s, c, e);
		else if (c == '\\' && **s == '\0')
			rc = err_set(e, ERR_FORMAT, "ends with a \\");
		else
			buf_add_byte(word, (uint8_t)(c == '\\' ? *(*s)++ : c));
	}
	return rc != 0 ? rc : buf_check(word, "word", e);
}

static int
append(struct words *w, const struct buf *word, struct err *e)
{
	char **list = reallocarray(w->list, w->count + 2, sizeof(*list));

	if (list == NULL)
		return err_memory(e);
	w->list = list;
	list[w->count + 1] = NULL;
	list[w->count] = strndup(buf_str(word), word->len);
	if (list[w->count] == NULL)
		return err_memory(e);
	w->count++;
	return 0;
}

static int
split(const char *text, struct words *w, struct err *e)
{
	struct buf word;
	int rc = 0;

	buf_init(&word, LIMIT_TEXT_BYTES + 1);
	for (text += strspn(text, BLANKS); *text != '\0' && rc == 0;
	     text += strspn(text, BLANKS)) {
		buf_clear(&word);
		if (w->count == LIMIT_ARGUMENTS)
			rc = err_set(e, ERR_LIMIT, "more than %d words",
			    LIMIT_ARGUMENTS);
		else
			rc = take_word(&word, &text, e);
		if (rc == 0)
			rc = append(w, &word, e);
	}
	buf_release(&word);
	return rc;
}

int
words_split(const char *text, struct words *out, struct err *e)
{
	struct words w = WORDS_INIT;
	int rc;

	if (strlen(text) > LIMIT_TEXT_BYTES)
		return err_set(
		    e, ERR_LIMIT, "longer than %d bytes", LIMIT_TEXT_BYTES);
	rc = split(text, &w, e);
	if (rc == 0 && w.count == 0)
		rc = err_set(e, ERR_FORMAT, "no word");
	if (rc == 0)
		*out = w;
	else
		words_release(&w);
	return rc;
}

int
words_command(const char *text, struct words *out, struct err *e)
{
	struct words w = WORDS_INIT;
	int rc = words_split(text, &w, e);

	if (rc == 0 && w.list[0][0] != '/')
		rc = err_set(e, ERR_FORMAT,
		    "%.200s: not the absolute path of a program", w.list[0]);
	if (rc == 0)
		*out = w;
	else
		words_release(&w);
	return rc;
}
