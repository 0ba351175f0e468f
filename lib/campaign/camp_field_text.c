/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand in text that a person reads: no trick characters, no words of two alphabets, nothing that a
 * mail program turns into a link. */
#include <ctype.h>
#include <string.h>

#include "campaign/camp_field_own.h"
#include "core/err.h"
#include "mail/mail_url.h"

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

enum camp_verdict camp_field_text(struct span decoded)
{
	enum camp_verdict v;
	int link;

	if (decoded.n > CAMP_FIELD_MAX)
		return CAMP_FIELD_LENGTH;
	v = characters(decoded);
	if (v != CAMP_PASS)
		return v;
	link = mail_url_autolink(decoded);
	return link < 0 ? CAMP_MEMORY : link ? CAMP_FIELD_LINK : CAMP_PASS;
}
