/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_sensitive.h"

#include <stdlib.h>

#include "core/secret.h"

#define NEAR  MAIL_SENSITIVE_NEAR
#define RULES MAIL_SENSITIVE_RULES
#define REST_MAX 6 /* digits beside a card's groups: "12 28 123" */

/* Shift-And: a bit is a place in a pattern; several patterns share a word. */
struct word {
	uint64_t of[256];	/* places whose character this octet is */
	uint64_t first, bare;	/* first places; those that may begin within a word */
	uint64_t end, end_bare; /* last places; those that may end within one */
	uint8_t rule[64];	/* of a last place */
};

struct mail_sensitive_set {
	int cards; /* number of the first rule for them, -1: none */
	unsigned rules, words;
	struct word word[];
};

static int is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static int is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_wordly(int c)
{
	return c >= 0x80 || (c >= 0 && (is_digit((uint8_t)c) || is_letter((uint8_t)c)));
}

/* --- Patterns */

struct sign {
	uint8_t c;
	int literal;
};

/* The next sign of a pattern; 0 at its end, -1: it ends in '\'. */
static int next_sign(const char **p, struct sign *out)
{
	out->literal = **p == '\\';
	if (!**p)
		return 0;
	*p += out->literal;
	out->c = (uint8_t)**p;
	if (!out->c)
		return -1;
	out->literal |= out->c != '#' && out->c != '@';
	++*p;
	return 1;
}

static int length_of(const char *p)
{
	struct sign s;
	int n = 0, rc;

	while ((rc = next_sign(&p, &s)) > 0 && n <= MAIL_SENSITIVE_PATTERN)
		n++;
	return rc < 0 ? -1 : n;
}

const char *mail_sensitive_check(const char *pattern)
{
	int n = length_of(pattern);

	for (const char *p = pattern; *p; p++)
		if ((uint8_t)*p < ' ' || *p == 0x7f)
			return "a control character";
	if (n < 0)
		return "ends in a lone \\";
	if (n < 2)
		return "shorter than 2 characters";
	return n > MAIL_SENSITIVE_PATTERN ? "longer than 64 characters" : NULL;
}

static int fits(const struct sign *s, uint8_t c)
{
	if (!s->literal)
		return s->c == '#' ? is_digit(c) : is_letter(c);
	return c == s->c || (is_letter(c) && is_letter(s->c) && (c | 0x20) == (s->c | 0x20));
}

static int sign_wordly(const struct sign *s)
{
	return !s->literal || is_wordly(s->c);
}

static void add_pattern(struct word *w, unsigned at, const char *p, unsigned rule)
{
	struct sign s = {0, 0};
	uint64_t bit = UINT64_C(1) << at;
	int first = 1;

	for (; next_sign(&p, &s) > 0; bit <<= 1, at++) {
		for (unsigned c = 0; c < 256; c++)
			if (fits(&s, (uint8_t)c))
				w->of[c] |= bit;
		if (first) {
			w->first |= bit;
			w->bare |= sign_wordly(&s) ? 0 : bit;
		}
		first = 0;
		if (!*p) {
			w->end |= bit;
			w->end_bare |= sign_wordly(&s) ? 0 : bit;
			w->rule[at] = (uint8_t)rule;
		}
	}
}

struct mail_sensitive_set *mail_sensitive_set_new(const struct mail_sensitive_rule *rules, unsigned count)
{
	struct mail_sensitive_set *set;
	unsigned at = 64;

	if (count > RULES)
		return NULL;
	set = calloc(1, sizeof(*set) + count * sizeof(struct word));
	if (!set)
		return NULL;
	set->cards = -1;
	set->rules = count;
	for (unsigned i = 0; i < count; i++) {
		unsigned n;
		if (!rules[i].pattern) {
			set->cards = set->cards < 0 ? (int)i : set->cards;
			continue;
		}
		if (mail_sensitive_check(rules[i].pattern)) {
			free(set);
			return NULL;
		}
		n = (unsigned)length_of(rules[i].pattern);
		if (at + n > 64) {
			set->words++;
			at = 0;
		}
		add_pattern(&set->word[set->words - 1], at, rules[i].pattern, i);
		at += n;
	}
	return set;
}

void mail_sensitive_set_free(struct mail_sensitive_set *set)
{
	free(set);
}

static void count_ends(struct mail_sensitive *s, const struct word *w, uint64_t ends)
{
	for (; ends; ends &= ends - 1)
		s->found[w->rule[__builtin_ctzll(ends)]]++;
}

/* One word's patterns over a piece. What ends in a letter or digit counts when the next octet is neither. */
static void match(struct mail_sensitive *s, unsigned i, struct span text)
{
	const struct word *w = &s->set->word[i];
	uint64_t d = s->state[i], firm = w->end & ~w->end_bare;
	int last = s->last;

	for (size_t k = 0; k < text.n; k++) {
		uint8_t c = text.p[k];
		int wordly = is_wordly(c);
		if (d & firm && !wordly)
			count_ends(s, w, d & firm);
		d = (d << 1 & ~w->first) | (is_wordly(last) ? w->bare : w->first);
		d &= w->of[c];
		if (d & w->end_bare)
			count_ends(s, w, d & w->end_bare);
		last = c;
	}
	s->state[i] = d;
}

/* --- Cards */

static int luhn(const uint8_t *d, unsigned n)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned v = d[n - 1 - i];
		if (i % 2)
			v = v > 4 ? 2 * v - 9 : 2 * v;
		sum += v;
	}
	return sum % 10 == 0;
}

/* Issuers: first six digits from and to, and lengths (bit n: n digits). ISO/IEC 7812, as published by the issuers. */
#define LEN(n) (1u << (n))
static const struct {
	uint32_t from, to, lengths;
} issuers[] = {
    {400000, 499999, LEN(13) | LEN(16) | LEN(19)},			   /* Visa */
    {510000, 559999, LEN(16)},						   /* Mastercard */
    {222100, 272099, LEN(16)},						   /* Mastercard */
    {340000, 349999, LEN(15)},						   /* American Express */
    {370000, 379999, LEN(15)},						   /* American Express */
    {601100, 601199, LEN(16) | LEN(19)},				   /* Discover */
    {644000, 659999, LEN(16) | LEN(19)},				   /* Discover */
    {300000, 305999, LEN(14) | LEN(16)},				   /* Diners Club */
    {360000, 369999, LEN(14) | LEN(16)},				   /* Diners Club */
    {380000, 399999, LEN(14) | LEN(16)},				   /* Diners Club */
    {352800, 358999, LEN(16) | LEN(17) | LEN(18) | LEN(19)},		   /* JCB */
    {620000, 629999, LEN(16) | LEN(17) | LEN(18) | LEN(19)},		   /* UnionPay */
    {501800, 501899, LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(18) | LEN(19)}, /* Maestro */
    {502000, 502099, LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(18) | LEN(19)},
    {503800, 503899, LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(18) | LEN(19)},
    {589300, 589399, LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(18) | LEN(19)},
    {630400, 630499, LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(18) | LEN(19)},
    {675900, 676399, LEN(13) | LEN(14) | LEN(15) | LEN(16) | LEN(18) | LEN(19)},
};

static int is_card(const uint8_t *d, unsigned n)
{
	uint32_t head = 0;

	if (n < 13 || n > 19)
		return 0;
	for (unsigned i = 0; i < 6; i++)
		head = head * 10 + d[i];
	for (size_t i = 0; i < sizeof(issuers) / sizeof(issuers[0]); i++)
		if (head >= issuers[i].from && head <= issuers[i].to && issuers[i].lengths & LEN(n))
			return luhn(d, n);
	return 0;
}

/* Groups in which cards print their numbers. */
static const uint8_t printed[][6] = {{4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}, {4, 4, 4, 4, 3}, {4, 4, 4, 4, 2}};

/* 1: groups g.. begin a number as cards print it; *n: digits, *used: groups. */
static int as_printed(const uint8_t *g, unsigned have, const uint8_t *form, unsigned *n, unsigned *used)
{
	*n = 0;
	for (*used = 0; form[*used]; ++*used) {
		if (*used >= have || g[*used] != form[*used])
			return 0;
		*n += form[*used];
	}
	return 1;
}

/* A card in print at the beginning or at the end of the groups, with little beside it: a date, a check number. */
static int has_printed(const struct mail_sensitive *s)
{
	for (size_t f = 0; f < sizeof(printed) / sizeof(printed[0]); f++) {
		unsigned n, used, total = 0;
		for (unsigned g = 0; g < s->n_groups; total += s->groups[g++]) {
			if (!as_printed(s->groups + g, s->n_groups - g, printed[f], &n, &used) ||
			    s->n_digits - n > REST_MAX || (g && g + used < s->n_groups))
				continue;
			if (is_card(s->digits + total, n))
				return 1;
		}
	}
	return 0;
}

/* Words that speak of cards, and of numbers that are none. */
static const char *const for_cards[] = {"card",	  "cards",  "creditcard", "kreditkarte", "karte",   "kartennummer", "visa",
					"visacard", "mastercard", "amex", "maestro",  "diners",  "cvv", "cvv2", "cvc",
					"cvc2", "expiry", "expires", "carte", "tarjeta", "carta", "pan"};
static const char *const for_others[] = {"order", "invoice", "ref", "reference", "tracking", "booking", "iban", "phone",
					 "tel", "fax", "customer", "ticket", "parcel", "isbn", "imei", "bestellung",
					 "bestellnummer", "rechnung", "rechnungsnummer", "sendung", "sendungsnummer",
					 "kundennummer", "telefon", "article", "serial"};

static int is_one_of(struct span word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal_nocase(word, span_str(list[i])))
			return 1;
	return 0;
}

/* What the last telling word of a text says: 1 a card, -1 something else, 0 nothing. A word that the text's beginning
 * cuts tells nothing. */
static int context(struct span text, int cut)
{
	size_t from = 0, to;
	int said = 0;

	for (size_t at = 0; at < text.n; at = to + 1) {
		struct span word;
		for (from = at; from < text.n && !is_letter(text.p[from]); from++)
			;
		for (to = from; to < text.n && is_wordly(text.p[to]); to++)
			;
		word = span_sub(text, from, to - from);
		if (from == 0 && cut)
			continue;
		if (is_one_of(word, for_cards, sizeof(for_cards) / sizeof(for_cards[0])))
			said = 1;
		else if (is_one_of(word, for_others, sizeof(for_others) / sizeof(for_others[0])))
			said = -1;
	}
	return said;
}

/* What may not stand directly beside a number that is a card's. */
static int joins(int c)
{
	return is_wordly(c) || (c >= 0 && c != 0 && strchr("+_/=%@#.,", c) != NULL);
}

/* A number is over; next is the octet behind it, -1: none. */
static void number_ends(struct mail_sensitive *s, int next)
{
	int said;

	s->active = 0;
	if (s->over || s->n_digits < 13)
		return;
	/* A stop or comma behind ends a sentence: what follows it is not known yet, and a decimal would need digits. */
	if (joins(s->before) || is_wordly(next) || next == '_' || next == '%')
		return;
	if (has_printed(s)) {
		s->cards++;
		return;
	}
	if (next == '/' || next == '@' || next == '=' || !is_card(s->digits, s->n_digits))
		return;
	said = context(span_of(s->near, s->near_n), s->near_n == NEAR);
	if (said > 0) {
		s->cards++;
	} else if (said == 0) {
		s->waiting++;
		s->after = NEAR;
		s->after_n = 0;
	}
}

/* The octets behind a candidate are complete, or the text is over. */
static void look_behind(struct mail_sensitive *s)
{
	if (s->waiting && context(span_of(s->behind, s->after_n), 0) > 0)
		s->cards += s->waiting;
	s->waiting = s->after = s->after_n = 0;
}

static void number_begins(struct mail_sensitive *s, struct span text, size_t at)
{
	size_t here = at < NEAR ? at : NEAR, old = NEAR - here < s->tail_n ? NEAR - here : s->tail_n;

	memcpy(s->near, s->tail + s->tail_n - old, old);
	memcpy(s->near + old, text.p + at - here, here);
	s->near_n = (unsigned)(old + here);
	s->before = s->near_n ? s->near[s->near_n - 1] : -1;
	s->active = 1;
	s->n_digits = s->over = s->sep = s->entity = 0;
	s->n_groups = 1;
	s->groups[0] = 0;
}

static void take_digit(struct mail_sensitive *s, uint8_t c)
{
	if (s->sep) {
		if (s->n_groups == sizeof(s->groups))
			s->over = 1;
		else
			s->groups[s->n_groups++] = 0;
	}
	s->sep = 0;
	if (s->n_digits == sizeof(s->digits) || s->groups[s->n_groups - 1] == UINT8_MAX) {
		s->over = 1;
		return;
	}
	s->digits[s->n_digits++] = (uint8_t)(c - '0');
	s->groups[s->n_groups - 1]++;
}

/* 1 if c goes on with what may stand between two digits: one blank, hyphen, or no-break blank. */
static int take_separator(struct mail_sensitive *s, uint8_t c)
{
	static const char *const longer[] = {"\xc2\xa0", "&nbsp;"};

	if (s->entity) {
		const char *want = longer[s->entity >> 4];
		unsigned at = s->entity & 15;
		if (c != (uint8_t)want[at])
			return 0;
		s->entity = want[at + 1] ? s->entity + 1 : 0;
		return 1;
	}
	if (s->sep)
		return 0;
	s->sep = c;
	if (c == 0xc2)
		s->entity = 0 << 4 | 1;
	else if (c == '&')
		s->entity = 1 << 4 | 1;
	return c == ' ' || c == '-' || s->entity;
}

static void card_octet(struct mail_sensitive *s, struct span text, size_t at)
{
	uint8_t c = text.p[at];

	if (s->active && is_digit(c) && !s->entity) {
		take_digit(s, c);
		return;
	}
	if (s->active) {
		unsigned sep = s->sep;
		if (take_separator(s, c))
			return;
		number_ends(s, sep ? (int)sep : c);
	}
	if (is_digit(c)) {
		number_begins(s, text, at);
		take_digit(s, c);
	}
}

static void cards(struct mail_sensitive *s, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (!s->active && !s->after) { /* most octets of most texts */
			while (i < text.n && !is_digit(text.p[i]))
				i++;
			if (i == text.n)
				break;
		}
		if (s->after) {
			s->behind[s->after_n++] = text.p[i];
			if (--s->after == 0)
				look_behind(s);
		}
		card_octet(s, text, i);
	}
}

static void keep_tail(struct mail_sensitive *s, struct span text)
{
	size_t take = text.n < NEAR ? text.n : NEAR, old = NEAR - take < s->tail_n ? NEAR - take : s->tail_n;

	memmove(s->tail, s->tail + s->tail_n - old, old);
	memcpy(s->tail + old, text.p + text.n - take, take);
	s->tail_n = (unsigned)(old + take);
}

/* --- The text */

void mail_sensitive_init(struct mail_sensitive *s, const struct mail_sensitive_set *set)
{
	memset(s, 0, sizeof(*s));
	s->set = set;
	mail_sensitive_begin(s);
}

void mail_sensitive_begin(struct mail_sensitive *s)
{
	memset(s->state, 0, sizeof(s->state));
	s->last = -1;
	s->cards = s->tail_n = s->waiting = s->after = s->after_n = 0;
	s->active = 0;
}

void mail_sensitive_feed(struct mail_sensitive *s, struct span text)
{
	if (!text.n)
		return;
	for (unsigned i = 0; i < s->set->words; i++)
		match(s, i, text);
	s->last = text.p[text.n - 1];
	if (s->set->cards < 0)
		return;
	cards(s, text);
	keep_tail(s, text);
}

void mail_sensitive_end(struct mail_sensitive *s)
{
	for (unsigned i = 0; i < s->set->words; i++) {
		const struct word *w = &s->set->word[i];
		count_ends(s, w, s->state[i] & w->end & ~w->end_bare);
	}
	if (s->active)
		number_ends(s, s->sep ? (int)s->sep : -1);
	look_behind(s);
	if (s->set->cards >= 0)
		s->found[s->set->cards] += s->cards;
	mail_sensitive_begin(s);
}

void mail_sensitive_clear(struct mail_sensitive *s)
{
	secret_wipe(s, sizeof(*s));
}
