/* SPDX-License-Identifier: Apache-2.0 */
#include "smtp/smtp_verb.h"

#define WORD_MAX 8

/* Words are compared as one integer: at most eight letters, folded, padded with zero. */
struct word {
	char text[WORD_MAX];
	enum smtp_verb verb;
};

static const struct word words[] = {
#define WORD_ROW(v) {#v, SMTP_VERB_##v},
    SMTP_VERBS(WORD_ROW)
#undef WORD_ROW
    {"GET", SMTP_VERB_FOREIGN},    {"POST", SMTP_VERB_FOREIGN},  {"HEAD", SMTP_VERB_FOREIGN},
    {"PUT", SMTP_VERB_FOREIGN},    {"PATCH", SMTP_VERB_FOREIGN}, {"DELETE", SMTP_VERB_FOREIGN},
    {"OPTIONS", SMTP_VERB_FOREIGN}, {"TRACE", SMTP_VERB_FOREIGN}, {"CONNECT", SMTP_VERB_FOREIGN},
    {"PRI", SMTP_VERB_FOREIGN},    {"HOST:", SMTP_VERB_FOREIGN},
};

enum smtp_verb smtp_verb_parse(struct span line, struct span *args)
{
	ptrdiff_t space = span_find(line, ' ');
	struct span word = space < 0 ? line : span_sub(line, 0, (size_t)space);
	char folded[WORD_MAX] = "";

	*args = space < 0 ? span_of(NULL, 0) : span_sub(line, (size_t)space, line.n);
	while (args->n && args->p[0] == ' ')
		*args = span_sub(*args, 1, args->n);
	while (args->n && args->p[args->n - 1] == ' ')
		args->n--;
	if (word.n == 0 || word.n > WORD_MAX)
		return SMTP_VERB_UNKNOWN;
	for (size_t i = 0; i < word.n; i++) {
		uint8_t c = word.p[i];
		folded[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!memcmp(words[i].text, folded, WORD_MAX))
			return words[i].verb;
	return SMTP_VERB_UNKNOWN;
}

const char *smtp_verb_name(enum smtp_verb v)
{
	static const char *const names[] = {
	    "?", "?",
#define NAME_ROW(v) #v,
	    SMTP_VERBS(NAME_ROW)
#undef NAME_ROW
	};

	return v < SMTP_VERB_COUNT ? names[v] : "?";
}
