/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_field.h"

#include <stdlib.h>
#include <string.h>

#include "campaign/camp_field_own.h"
#include "core/err.h"

#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGIT "0123456789"

/* A pattern is a row of classes, each a letter here; "+" behind it repeats it. An octet that is no class
 * stands for itself. High: UTF-8 beyond ASCII is part of it. */
static const struct {
	char name;
	int high;
	const char *octets;
} classes[] = {
    {'d', 0, DIGIT},
    {'x', 0, DIGIT "abcdefABCDEF"},
    {'L', 1, UPPER LOWER "."},		  /* a month */
    {'P', 0, "./-"},			  /* between the numbers of a date */
    {'N', 0, DIGIT ".,"},		  /* a number with groups */
    {'M', 1, DIGIT UPPER ".,- $z"},	  /* money */
    {'n', 1, UPPER LOWER " '-."},	  /* a name */
    {'c', 0, DIGIT UPPER LOWER "_-"},	  /* a code */
    {'t', 0, DIGIT UPPER LOWER "_~=-"},	  /* a token */
    {'p', 0, DIGIT UPPER LOWER "-._~%"},  /* of a path */
    {'q', 0, DIGIT UPPER LOWER "-._~%+"}, /* of a query */
    {'T', 1, " !#$%&'()*+,-./:;=?@[\\]^_`{|}~" DIGIT UPPER LOWER},
    {'h', 0, ".:"},
    {'a', 0, "aApP"},
    {'m', 0, "mM"},
};

/* Types with a reference in HTML ("&#39;") take its octets as well. */
static const struct {
	enum camp_field_type type;
	int references;
	const char *patterns[6];
} shapes[] = {
    {CAMP_TYPE_NAME, 1, {"n+"}},
    {CAMP_TYPE_INT, 0, {"d+", "-d+"}},
    {CAMP_TYPE_DECIMAL, 0, {"d", "dN+", "-d", "-dN+"}},
    {CAMP_TYPE_MONEY, 1, {"M+"}},
    {CAMP_TYPE_DATE, 0, {"d+Pd+Pd+", "d+ L+ d+", "d+. L+ d+", "L+ d+, d+", "d+ L+ L+ L+ d+"}},
    {CAMP_TYPE_TIME, 0, {"d+hdd", "d+hdd:dd", "d+hddam", "d+hdd am", "d+hdd:dd am"}},
    {CAMP_TYPE_CODE, 0, {"c+"}},
    {CAMP_TYPE_UUID, 0, {"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"}},
    {CAMP_TYPE_HEX, 0, {"x+"}},
    {CAMP_TYPE_TEXT_NOLINK, 1, {"T+"}},
    {CAMP_TYPE_URL_PATH, 0, {"p+"}},
    {CAMP_TYPE_URL_QUERY, 0, {"q+"}},
    {CAMP_TYPE_TOKEN, 0, {"t+"}},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void add_class(struct camp_field_table *t, char name, uint64_t bit)
{
	for (size_t i = 0; i < COUNT(classes); i++) {
		if (classes[i].name != name)
			continue;
		for (const char *s = classes[i].octets; *s; s++)
			t->octet[(uint8_t)*s] |= bit;
		for (unsigned c = 0x80; classes[i].high && c < 256; c++)
			t->octet[c] |= bit;
		return;
	}
	t->octet[(uint8_t)name] |= bit;
}

static unsigned add_pattern(struct camp_field_table *t, const char *pattern, unsigned at)
{
	t->start |= 1ULL << at;
	for (; *pattern; pattern++) {
		if (*pattern == '+') {
			t->loop |= 1ULL << (at - 1);
			continue;
		}
		add_class(t, *pattern, 1ULL << at++);
	}
	t->accept |= 1ULL << (at - 1);
	t->ends |= 1ULL << (at - 1);
	return at;
}

static int in_html(const struct camp_field *f, enum camp_text_kind kind)
{
	return kind == CAMP_TEXT_HTML && (f->ctx == CAMP_CTX_TEXT || f->ctx == CAMP_CTX_ATTR);
}

static void init_shape(struct camp_field_table *t, size_t row)
{
	unsigned at = 0;

	for (unsigned i = 0; i < COUNT(shapes[row].patterns) && shapes[row].patterns[i]; i++)
		at = add_pattern(t, shapes[row].patterns[i], at);
	if (in_html(t->f, t->kind)) {
		if (shapes[row].references)
			for (const char *s = "&#;" DIGIT UPPER LOWER; *s; s++)
				t->octet[(uint8_t)*s] |= 1;
		if (t->f->ctx == CAMP_CTX_ATTR)
			t->octet['\''] = 0;
	}
	for (const char *s = t->f->without; *s; s++)
		t->octet[(uint8_t)*s] = 0;
	for (unsigned c = 0; c < 256; c++) {
		if (t->start & t->octet[c])
			camp_bit_set(t->first, (uint8_t)c);
		if (camp_field_step(t, t->accept, (uint8_t)c))
			camp_bit_set(t->follow, (uint8_t)c);
	}
}

/* How a value is written: form 0 with what must be escaped, form 1 with all that often is. */
static const char *written(uint8_t c, int form, const struct camp_field_table *t)
{
	int url = t->f->ctx == CAMP_CTX_URL;

	if (t->kind != CAMP_TEXT_HTML ||
	    (t->f->ctx != CAMP_CTX_TEXT && t->f->ctx != CAMP_CTX_ATTR && !url))
		return NULL;
	if (c == '&')
		return url && form ? NULL : "&amp;";
	if (c == '"')
		return "&quot;";
	if (c == '\'' && (form || t->f->ctx != CAMP_CTX_TEXT))
		return "&#39;";
	return NULL;
}

static int add_word(struct camp_field_table *t, unsigned value, int form)
{
	const char *s = t->f->values[value];
	struct camp_field_word *w = &t->words[t->n_words];
	char *dst = malloc(6 * strlen(s) + 1);

	if (!dst)
		return ERR_NOMEM;
	w->text = dst;
	for (; *s; s++) {
		const char *as = written((uint8_t)*s, form, t);

		if (as)
			dst = stpcpy(dst, as);
		else
			*dst++ = *s;
	}
	*dst = 0;
	w->n = (uint16_t)(dst - w->text);
	w->value = (uint16_t)value;
	t->n_words++;
	return 0;
}

static int by_text(const void *pa, const void *pb)
{
	const struct camp_field_word *a = pa, *b = pb;

	return strcmp(a->text, b->text);
}

static void drop_twins(struct camp_field_table *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_words; i++) {
		if (n && strcmp(t->words[n - 1].text, t->words[i].text) == 0)
			free(t->words[i].text);
		else
			t->words[n++] = t->words[i];
	}
	t->n_words = n;
}

static int value_fits(const struct camp_field *f, const char *value)
{
	size_t n = strlen(value);

	if (n < f->min || n > f->max)
		return 0;
	if (f->ctx == CAMP_CTX_URL_PATH || f->ctx == CAMP_CTX_URL_QUERY)
		return strspn(value, DIGIT UPPER LOWER "-._~%+") == n;
	if (f->ctx == CAMP_CTX_URL)
		return !strpbrk(value, " \"'<>\\^`{|}");
	return !strpbrk(value, "<>");
}

static int init_words(struct camp_field_table *t)
{
	const struct camp_field *f = t->f;
	int r = 0;

	t->scan = CAMP_SCAN_WORDS;
	t->words = calloc(2 * (size_t)f->n_values + 1, sizeof(*t->words));
	if (!t->words)
		return ERR_NOMEM;
	for (unsigned i = 0; i < f->n_values && r == 0; i++) {
		if (!value_fits(f, f->values[i]))
			return ERR_FORMAT;
		r = add_word(t, i, 0);
		if (r == 0)
			r = add_word(t, i, 1);
	}
	if (r)
		return r;
	qsort(t->words, t->n_words, sizeof(*t->words), by_text);
	drop_twins(t);
	for (unsigned i = 0; i < t->n_words; i++) {
		camp_bit_set(t->first, (uint8_t)t->words[i].text[0]);
		/* sorted: the words that go on from this one follow it directly */
		for (unsigned j = i + 1; j < t->n_words; j++) {
			if (strncmp(t->words[i].text, t->words[j].text, t->words[i].n) != 0)
				break;
			camp_bit_set(t->follow, (uint8_t)t->words[j].text[t->words[i].n]);
		}
	}
	return 0;
}

int camp_field_table_init(struct camp_field_table *t, const struct camp_field *f,
			  enum camp_text_kind kind)
{
	memset(t, 0, sizeof(*t));
	t->f = f;
	t->kind = kind;
	if (f->n_values)
		return init_words(t);
	if (f->type == CAMP_TYPE_RCPT_EMAIL) {
		t->scan = CAMP_SCAN_RCPT;
		memset(t->first, 0xff, sizeof(t->first));
		return 0;
	}
	for (size_t i = 0; i < COUNT(shapes); i++)
		if (shapes[i].type == f->type)
			init_shape(t, i);
	return t->start ? 0 : ERR_FORMAT;
}

void camp_field_table_clear(struct camp_field_table *t)
{
	for (unsigned i = 0; i < t->n_words; i++)
		free(t->words[i].text);
	free(t->words);
	t->words = NULL;
	t->n_words = 0;
}

int camp_field_holds(const struct camp_field *f, enum camp_text_kind kind, uint8_t octet)
{
	struct camp_field_table t;
	int yes = camp_field_table_init(&t, f, kind) == 0 && camp_bit(t.follow, octet);

	camp_field_table_clear(&t);
	return yes;
}

static enum camp_verdict check_shape(const struct camp_field_table *t, struct span raw)
{
	uint64_t s = t->start;

	if (raw.n < t->f->min || raw.n > t->f->max)
		return CAMP_FIELD_LENGTH;
	if (raw.n == 0)
		return CAMP_PASS;
	s &= t->octet[raw.p[0]];
	for (size_t i = 1; i < raw.n && s; i++)
		s = camp_field_step(t, s, raw.p[i]);
	if (!s)
		return CAMP_FIELD_OCTET;
	return s & t->accept ? camp_field_value(t->f, t->kind, raw) : CAMP_FIELD_VALUE;
}

static enum camp_verdict check_words(const struct camp_field_table *t, struct span raw)
{
	for (unsigned i = 0; i < t->n_words; i++)
		if (span_equal(raw, span_of(t->words[i].text, t->words[i].n)))
			return CAMP_PASS;
	return CAMP_FIELD_VALUE;
}

static enum camp_verdict check_rcpt(const struct camp_field_table *t, struct span raw,
				    struct span rcpt)
{
	uint8_t escape[CAMP_ESCAPE];
	unsigned n = 0;
	uint32_t at = 0;

	for (size_t i = 0; i < raw.n; i++)
		if (!camp_field_rcpt(t->f, t->kind, rcpt, &at, escape, &n, raw.p[i]))
			return CAMP_FIELD_RCPT;
	return n == 0 && at == rcpt.n && rcpt.n ? CAMP_PASS : CAMP_FIELD_RCPT;
}

enum camp_verdict camp_field_check(const struct camp_field *f, enum camp_text_kind kind,
				   struct span raw, struct span rcpt)
{
	struct camp_field_table t;
	enum camp_verdict v = CAMP_FIELD_VALUE;

	if (camp_field_table_init(&t, f, kind) == 0)
		v = t.scan == CAMP_SCAN_SHAPE	? check_shape(&t, raw)
		    : t.scan == CAMP_SCAN_WORDS ? check_words(&t, raw)
						: check_rcpt(&t, raw, rcpt);
	camp_field_table_clear(&t);
	return v;
}
