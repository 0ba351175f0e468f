/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in text that a person reads: no trick characters, no words of two alphabets, nothing that a
 * mail program turns into a link. */
#include <ctype.h>
#include <string.h>

#include "campaign/camp_field_own.h"
#include "core/err.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const int32_t refused[][2] = {
    {0x00, 0x1f},	{0x7f, 0x9f},	    {0xad, 0xad},     {0x34f, 0x34f},	{0x61c, 0x61c},
    {0x115f, 0x1160},	{0x17b4, 0x17b5},   {0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e},
    {0x2060, 0x206f},	{0x2460, 0x24ff},   {0x3164, 0x3164}, {0xd800, 0xdfff}, {0xe000, 0xf8ff},
    {0xfdd0, 0xfdef},	{0xfeff, 0xfeff},   {0xffa0, 0xffa0}, {0xfff0, 0xfffd}, {0x1d400, 0x1d7ff},
    {0x1f100, 0x1f1e5}, {0xe0000, 0x10ffff}};

enum script {
	COMMON,
	LATIN,
	GREEK,
	CYRILLIC,
	ARMENIAN,
	HEBREW,
	ARABIC,
	INDIC,
	GEORGIAN,
	CJK,
	OTHER
};
/* Sorted. Marks that go with any script, punctuation, digits and symbols are COMMON: not listed. */
static const struct {
	int32_t from, to;
	enum script script;
} scripts[] = {
    {'A', 'Z', LATIN},		{'a', 'z', LATIN},	    {0xaa, 0xaa, LATIN},
    {0xba, 0xba, LATIN},	{0xc0, 0xd6, LATIN},	    {0xd8, 0xf6, LATIN},
    {0xf8, 0x2af, LATIN},	{0x370, 0x3ff, GREEK},	    {0x400, 0x52f, CYRILLIC},
    {0x531, 0x58f, ARMENIAN},	{0x591, 0x5f4, HEBREW},	    {0x600, 0x6ff, ARABIC},
    {0x700, 0x74f, OTHER},	{0x750, 0x77f, ARABIC},	    {0x8a0, 0x8ff, ARABIC},
    {0x900, 0xdff, INDIC},	{0xe00, 0x109f, OTHER},	    {0x10a0, 0x10ff, GEORGIAN},
    {0x1100, 0x11ff, CJK},	{0x1200, 0x139f, OTHER},    {0x13a0, 0x13ff, OTHER},
    {0x1400, 0x1c7f, OTHER},	{0x1c80, 0x1c8f, CYRILLIC}, {0x1c90, 0x1cbf, GEORGIAN},
    {0x1d00, 0x1d25, LATIN},	{0x1d26, 0x1d2a, GREEK},    {0x1d2c, 0x1dbf, LATIN},
    {0x1e00, 0x1eff, LATIN},	{0x1f00, 0x1fff, GREEK},    {0x2c60, 0x2c7f, LATIN},
    {0x2c80, 0x2cff, OTHER},	{0x2de0, 0x2dff, CYRILLIC}, {0x2e80, 0x2fdf, CJK},
    {0x3005, 0x3007, CJK},	{0x3041, 0x4dbf, CJK},	    {0x4e00, 0x9fff, CJK},
    {0xa000, 0xa63f, OTHER},	{0xa640, 0xa69f, CYRILLIC}, {0xa722, 0xa7ff, LATIN},
    {0xa800, 0xab2f, OTHER},	{0xab30, 0xab6f, LATIN},    {0xab70, 0xabbf, OTHER},
    {0xac00, 0xd7ff, CJK},	{0xf900, 0xfaff, CJK},	    {0xfb00, 0xfb06, LATIN},
    {0xfb13, 0xfb17, ARMENIAN}, {0xfb1d, 0xfb4f, HEBREW},   {0xfb50, 0xfdff, ARABIC},
    {0xfe70, 0xfefe, ARABIC},	{0xff21, 0xff3a, LATIN},    {0xff41, 0xff5a, LATIN},
    {0xff66, 0xff9f, CJK},	{0x10000, 0x1cfff, OTHER},  {0x20000, 0x3ffff, CJK},
};

static enum script script_of(int32_t c)
{
	size_t lo = 0, hi = COUNT(scripts);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (c < scripts[mid].from)
			hi = mid;
		else if (c > scripts[mid].to)
			lo = mid + 1;
		else
			return scripts[mid].script;
	}
	return COMMON;
}

static int is_mark(int32_t c)
{
	return (c >= 0x300 && c <= 0x36f) || (c >= 0x1ab0 && c <= 0x1aff) ||
	       (c >= 0x20d0 && c <= 0x20ff) || (c >= 0xfe20 && c <= 0xfe2f);
}

/* What goes on a word without being a letter of an alphabet. */
static int in_word(int32_t c)
{
	return is_mark(c) || isdigit(c < 0x80 ? c : 0) || c == '\'' || c == 0x2019 || c == '_';
}

static int is_refused(int32_t c)
{
	if (c == '<' || c == '>')
		return 1;
	for (size_t i = 0; i < COUNT(refused); i++)
		if (c >= refused[i][0] && c <= refused[i][1])
			return 1;
	return (c & 0xfffe) == 0xfffe;
}

static enum camp_verdict characters(struct span s)
{
	enum script word = COMMON;
	unsigned marks = 0;

	for (size_t at = 0; at < s.n;) {
		int32_t c = camp_field_char(s, &at);
		enum script script;

		if (c < 0 || is_refused(c))
			return CAMP_FIELD_VALUE;
		marks = is_mark(c) ? marks + 1 : 0;
		if (marks > 3)
			return CAMP_FIELD_VALUE;
		script = script_of(c);
		if (script == COMMON) {
			if (!in_word(c))
				word = COMMON;
			continue;
		}
		/* Latin letters stand within Chinese, Japanese and Korean words */
		if (word != COMMON && word != script && !(word == CJK && script == LATIN) &&
		    !(word == LATIN && script == CJK))
			return CAMP_FIELD_VALUE;
		word = script;
	}
	return CAMP_PASS;
}

/* The text as a program that looks for links may read it: full-width forms and dots as ASCII, other
 * letters as 'x', what is no letter as '?'. One octet for each character. */
static size_t flatten(struct span s, char *dst)
{
	size_t n = 0;

	for (size_t at = 0; at < s.n;) {
		int32_t c = camp_field_char(s, &at);

		if (c == 0x3002 || c == 0xff61 || c == 0x2024 || c == 0xfe52)
			c = '.';
		else if (c >= 0xff01 && c <= 0xff5e)
			c -= 0xfee0;
		else if (c >= 0x80)
			c = script_of(c) == COMMON ? '?' : 'x';
		dst[n++] = (char)tolower(c);
	}
	dst[n] = 0;
	return n;
}

static int is_dotted_ip(const char *s)
{
	for (unsigned i = 0; i < 4; i++) {
		size_t n = strspn(s, "0123456789");

		if (n < 1 || n > 3 || (i < 3 && s[n] != '.'))
			return 0;
		s += n + 1;
	}
	return 1;
}

/* A dot between a label and two or more letters: a name of a host, for all that is known here. */
static int is_dotted_name(const char *text, size_t dot)
{
	const char *next = text + dot + 1;

	if (dot == 0 || !isalnum((uint8_t)text[dot - 1]))
		return 0;
	return (isalpha((uint8_t)next[0]) && isalpha((uint8_t)next[1])) ||
	       (isdigit((uint8_t)next[0]) && strspn(next, "0123456789") < strcspn(next, " ") &&
		isalpha((uint8_t)next[strspn(next, "0123456789")]));
}

static int becomes_link(const char *text)
{
	static const char *const signs[] = {"://", "//", "\\\\", "www.", "@", "mailto:", "xn--"};

	for (size_t i = 0; i < COUNT(signs); i++)
		if (strstr(text, signs[i]))
			return 1;
	for (size_t i = 0; text[i]; i++) {
		if (text[i] == '.' && is_dotted_name(text, i))
			return 1;
		if (isdigit((uint8_t)text[i]) && (i == 0 || !isdigit((uint8_t)text[i - 1])) &&
		    is_dotted_ip(text + i))
			return 1;
	}
	return 0;
}

enum camp_verdict camp_field_text(struct span decoded)
{
	char flat[CAMP_FIELD_MAX + 1];
	enum camp_verdict v;

	if (decoded.n > CAMP_FIELD_MAX)
		return CAMP_FIELD_LENGTH;
	v = characters(decoded);
	if (v != CAMP_PASS)
		return v;
	flatten(decoded, flat);
	return becomes_link(flat) ? CAMP_FIELD_LINK : CAMP_PASS;
}
