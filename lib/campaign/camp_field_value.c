/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "campaign/camp_field_own.h"
#include "core/err.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* One or two numbers and groups: "1,234.50", "1.234,50", "12", "-3.5". */
static int is_decimal(struct span s)
{
	char last = 0, group = 0;
	size_t digits = 0, i = 0;

	if (i < s.n && s.p[i] == '-')
		i++;
	for (; i < s.n; i++) {
		if (isdigit(s.p[i])) {
			digits++;
			continue;
		}
		/* once the other sign came, it was the decimal one: nothing may follow */
		if ((s.p[i] != '.' && s.p[i] != ',') || digits == 0 || (group && last != group))
			return 0;
		if (last && digits != 3)
			return 0; /* between two signs stands a group */
		if (!group)
			group = (char)s.p[i];
		last = (char)s.p[i];
		digits = 0;
	}
	return digits > 0;
}

static int is_currency(struct span s)
{
	static const char *const signs[] = {"$",       "\u20ac", "\u00a3", "\u00a5", "\u20b9",
					    "\u20bd",  "\u20a9", "\u20ba", "\u20b4", "\u20aa",
					    "\u20ab",  "\u20b1", "\u0e3f", "Kc",     "K\u010d",
					    "z\u0142", "R$",	 "US$",	   "A$",     "C$"};

	for (size_t i = 0; i < COUNT(signs); i++)
		if (span_equal(s, span_str(signs[i])))
			return 1;
	return s.n == 3 && isupper(s.p[0]) && isupper(s.p[1]) && isupper(s.p[2]);
}

static size_t blank_at(struct span s, size_t i)
{
	static const char *const blanks[] = {" ", "\u00a0", "\u202f"};

	for (size_t k = 0; k < COUNT(blanks); k++)
		if (span_equal(span_sub(s, i, strlen(blanks[k])), span_str(blanks[k])))
			return strlen(blanks[k]);
	return 0;
}

static int is_number_octet(uint8_t c)
{
	return isdigit(c) || c == '.' || c == ',' || c == '-';
}

static int is_money(struct span s)
{
	size_t from = 0, to, n;

	while (from < s.n && !is_number_octet(s.p[from]))
		from++;
	to = from;
	while (to < s.n && is_number_octet(s.p[to]))
		to++;
	if (!is_decimal(span_sub(s, from, to - from)))
		return 0;
	if (from) { /* the sign before it, a blank between them */
		struct span sign = span_sub(s, 0, from);

		if (to != s.n)
			return 0;
		for (n = 1; n <= 3 && n < from; n++)
			if (blank_at(s, from - n) == n)
				sign.n = from - n;
		return is_currency(sign);
	}
	if (to == s.n)
		return 1;
	n = blank_at(s, to);
	return is_currency(span_sub(s, to + n, s.n));
}

static const char *const months =
    " january february march april may june july august september october november december"
    " jan feb mar apr jun jul aug sep sept oct nov dec"
    " januar februar m\u00e4rz mai juni juli oktober dezember j\u00e4nner m\u00e4r okt dez"
    " janvier f\u00e9vrier mars avril juin juillet ao\u00fbt septembre octobre novembre "
    "d\u00e9cembre"
    " enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
    " gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre"
    " januari februari maart mei augustus"
    " janeiro fevereiro mar\u00e7o maio junho julho setembro outubro novembro dezembro ";

static int is_month(struct span s)
{
	char word[24] = " ";
	size_t n = s.n;

	if (n && s.p[n - 1] == '.')
		n--;
	if (n < 3 || n > sizeof(word) - 3)
		return 0;
	for (size_t i = 0; i < n; i++)
		word[i + 1] = (char)(s.p[i] < 0x80 ? tolower(s.p[i]) : s.p[i]);
	word[n + 1] = ' ';
	return strstr(months, word) != NULL;
}

static int between(struct span s, int from, int to)
{
	int v = 0;

	if (s.n == 0 || s.n > 4)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		v = v * 10 + s.p[i] - '0';
	return v >= from && v <= to;
}

static int is_year(struct span s)
{
	return (s.n == 4 && between(s, 1000, 9999)) || s.n == 2;
}

static int is_day(struct span s)
{
	return s.n <= 2 && between(s, 1, 31);
}

/* The shape is known: numbers, one word or three, and what stands between them. */
static int is_date(struct span s)
{
	struct span piece[6];
	unsigned n = 0, letters = 0;
	uint8_t sign = 0;

	for (size_t i = 0; i < s.n && n < 6;) {
		size_t from = i;
		int digit = isdigit(s.p[i]);

		while (i < s.n && (digit ? isdigit(s.p[i]) : isalpha(s.p[i]) || s.p[i] >= 0x80))
			i++;
		if (i == from) {
			i++;
			continue;
		}
		piece[n++] = span_sub(s, from, i - from);
		letters += !digit;
		if (i < s.n && !sign && digit)
			sign = s.p[i];
		else if (digit && i < s.n && letters == 0 && s.p[i] != sign)
			return 0; /* 1.2-2026 */
	}
	if (letters == 0 && n == 3) {
		if (piece[0].n == 4)
			return is_year(piece[0]) && is_day(piece[2]) && piece[1].n <= 2 &&
			       between(piece[1], 1, 12);
		return is_year(piece[2]) && is_day(piece[0]) && is_day(piece[1]) &&
		       (between(piece[0], 1, 12) || between(piece[1], 1, 12));
	}
	if (letters == 1 && n == 3) {
		int first = isalpha(piece[0].p[0]) || piece[0].p[0] >= 0x80;

		return is_month(piece[!first]) && is_day(piece[first]) && is_year(piece[2]);
	}
	return letters == 3 && n == 5 && is_day(piece[0]) && is_month(piece[2]) &&
	       is_year(piece[4]) && span_equal(piece[1], SPAN_LIT("de")) &&
	       span_equal(piece[3], SPAN_LIT("de"));
}

static int is_time(struct span s)
{
	size_t hour = 0;
	int half = s.n > 2 && isalpha(s.p[s.n - 1]);

	while (hour < s.n && isdigit(s.p[hour]))
		hour++;
	return hour <= 2 && between(span_sub(s, 0, hour), half, half ? 12 : 24) &&
	       between(span_sub(s, hour + 1, 2), 0, 59) &&
	       (s.n < hour + 6 || !isdigit(s.p[hour + 4]) ||
		between(span_sub(s, hour + 4, 2), 0, 60));
}

static enum camp_verdict url_value(const struct camp_field *f, struct span s)
{
	int path = f->ctx == CAMP_CTX_URL_PATH;

	if (path && (span_equal(s, SPAN_LIT(".")) || span_equal(s, SPAN_LIT(".."))))
		return CAMP_FIELD_VALUE;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return CAMP_FIELD_VALUE;
		if (path && (s.p[i] == '/' || s.p[i] == '\\'))
			return CAMP_FIELD_VALUE;
	}
	/* a whole URL in a query is how open redirects are fed */
	if (s.n && (memmem(s.p, s.n, "//", 2) || memmem(s.p, s.n, "\\\\", 2)))
		return CAMP_FIELD_LINK;
	return CAMP_PASS;
}

static int name_char(int32_t c)
{
	static const int32_t no[][2] = {/* what is no letter, mark or blank beyond ASCII */
					{0xa1, 0xa9},	  {0xab, 0xb4},	    {0xb6, 0xb6},
					{0xb8, 0xb9},	  {0xbb, 0xbf},	    {0xd7, 0xd7},
					{0xf7, 0xf7},	  {0x2000, 0x2017}, {0x201a, 0x2bff},
					{0x2e00, 0x2e7f}, {0x3000, 0x3004}, {0x3008, 0x3020},
					{0x3030, 0x303f}, {0xfe00, 0xfe6f}, {0xff00, 0xff20},
					{0xff3b, 0xff40}, {0xff5b, 0xff65}, {0x1f000, 0x1faff}};

	if (c < 0x80)
		return isalpha(c) || strchr(" '-.", c);
	for (size_t i = 0; i < COUNT(no); i++)
		if (c >= no[i][0] && c <= no[i][1])
			return 0;
	return 1;
}

static enum camp_verdict name_value(struct span s)
{
	enum camp_verdict v;
	int letters = 0;

	for (size_t at = 0; at < s.n;) {
		int32_t c = camp_field_char(s, &at);

		if (c < 0 || !name_char(c))
			return CAMP_FIELD_VALUE;
		letters += c > 0x7f || isalpha(c);
	}
	v = letters ? camp_field_text(s) : CAMP_FIELD_VALUE;
	return v == CAMP_PASS && camp_field_is_sentence(s) ? CAMP_FIELD_VALUE : v;
}

enum camp_verdict camp_field_value(const struct camp_field *f, enum camp_text_kind kind,
				   struct span raw)
{
	uint8_t decoded[CAMP_FIELD_MAX];
	struct span s = span_of(decoded, 0);
	int n;

	if (raw.n > sizeof(decoded))
		return CAMP_FIELD_LENGTH;
	if (raw.n == 0)
		return CAMP_PASS;
	n = camp_field_decode(f, kind, raw, decoded);
	if (n < 0)
		return CAMP_FIELD_VALUE;
	s.n = (size_t)n;
	switch (f->type) {
	case CAMP_TYPE_NAME:
		return name_value(s);
	case CAMP_TYPE_TEXT_NOLINK:
		return camp_field_text(s);
	case CAMP_TYPE_DECIMAL:
		return is_decimal(s) ? CAMP_PASS : CAMP_FIELD_VALUE;
	case CAMP_TYPE_MONEY:
		return is_money(s) ? CAMP_PASS : CAMP_FIELD_VALUE;
	case CAMP_TYPE_DATE:
		return is_date(s) ? CAMP_PASS : CAMP_FIELD_VALUE;
	case CAMP_TYPE_TIME:
		return is_time(s) ? CAMP_PASS : CAMP_FIELD_VALUE;
	case CAMP_TYPE_URL_PATH:
	case CAMP_TYPE_URL_QUERY:
		return url_value(f, s);
	default:
		return CAMP_PASS; /* its octets and its shape say all */
	}
}
