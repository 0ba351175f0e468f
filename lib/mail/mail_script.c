/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_script.h"

#include "core/err.h"

struct range {
	uint32_t from, to;
	uint8_t script;
};

#define R(from, to, s) {from, to, MAIL_SCRIPT_##s}
/* In order; what lies between is OTHER, if it is no punctuation. */
static const struct range ranges[] = {
	R(0x0000, 0x0040, COMMON), R(0x0041, 0x005a, LATIN), R(0x005b, 0x0060, COMMON),
	R(0x0061, 0x007a, LATIN), R(0x007b, 0x00a9, COMMON), R(0x00aa, 0x00aa, LATIN),
	R(0x00ab, 0x00b9, COMMON), R(0x00ba, 0x00ba, LATIN), R(0x00bb, 0x00bf, COMMON),
	R(0x00c0, 0x00d6, LATIN), R(0x00d7, 0x00d7, COMMON), R(0x00d8, 0x00f6, LATIN),
	R(0x00f7, 0x00f7, COMMON), R(0x00f8, 0x02b8, LATIN), R(0x02b9, 0x036f, COMMON),
	R(0x0370, 0x03e1, GREEK), R(0x03f0, 0x03ff, GREEK), R(0x0400, 0x052f, CYRILLIC),
	R(0x0531, 0x058f, ARMENIAN), R(0x0591, 0x05f4, HEBREW), R(0x0600, 0x06ff, ARABIC),
	R(0x0700, 0x074f, SYRIAC), R(0x0750, 0x077f, ARABIC), R(0x0780, 0x07b1, THAANA),
	R(0x0860, 0x086a, SYRIAC), R(0x0870, 0x08ff, ARABIC), R(0x0900, 0x0963, DEVANAGARI),
	R(0x0964, 0x0965, COMMON), R(0x0966, 0x097f, DEVANAGARI), R(0x0980, 0x09fe, BENGALI),
	R(0x0a01, 0x0a76, GURMUKHI), R(0x0a81, 0x0aff, GUJARATI), R(0x0b01, 0x0b77, ORIYA),
	R(0x0b82, 0x0bfa, TAMIL), R(0x0c00, 0x0c7f, TELUGU), R(0x0c80, 0x0cf3, KANNADA),
	R(0x0d00, 0x0d7f, MALAYALAM), R(0x0d81, 0x0df4, SINHALA), R(0x0e01, 0x0e3a, THAI),
	R(0x0e3f, 0x0e3f, COMMON), R(0x0e40, 0x0e5b, THAI), R(0x0e81, 0x0edf, LAO),
	R(0x0f00, 0x0fda, TIBETAN), R(0x1000, 0x109f, MYANMAR), R(0x10a0, 0x10ff, GEORGIAN),
	R(0x1100, 0x11ff, HANGUL), R(0x1200, 0x1399, ETHIOPIC), R(0x13a0, 0x13fd, CHEROKEE),
	R(0x1780, 0x17f9, KHMER), R(0x1800, 0x18aa, MONGOLIAN), R(0x19e0, 0x19ff, KHMER),
	R(0x1ab0, 0x1aff, COMMON), R(0x1c80, 0x1c88, CYRILLIC), R(0x1c90, 0x1cbf, GEORGIAN),
	R(0x1cd0, 0x1cff, COMMON), R(0x1d00, 0x1d25, LATIN), R(0x1d2c, 0x1d5c, LATIN),
	R(0x1d62, 0x1d65, LATIN), R(0x1d6b, 0x1d77, LATIN), R(0x1d79, 0x1dbe, LATIN),
	R(0x1dc0, 0x1dff, COMMON), R(0x1e00, 0x1eff, LATIN), R(0x1f00, 0x1ffe, GREEK),
	R(0x2000, 0x2070, COMMON), R(0x2071, 0x2071, LATIN), R(0x2074, 0x207e, COMMON),
	R(0x207f, 0x207f, LATIN), R(0x2080, 0x208e, COMMON), R(0x2090, 0x209c, LATIN),
	R(0x20a0, 0x2129, COMMON), R(0x212a, 0x212b, LATIN), R(0x212c, 0x2131, COMMON),
	R(0x2132, 0x2132, LATIN), R(0x2133, 0x214d, COMMON), R(0x214e, 0x214e, LATIN),
	R(0x214f, 0x215f, COMMON), R(0x2160, 0x2188, LATIN), R(0x2189, 0x2bff, COMMON),
	R(0x2c60, 0x2c7f, LATIN), R(0x2d00, 0x2d2d, GEORGIAN), R(0x2d80, 0x2dde, ETHIOPIC),
	R(0x2de0, 0x2dff, CYRILLIC), R(0x2e00, 0x2e5d, COMMON), R(0x2e80, 0x2fd5, HAN),
	R(0x3000, 0x3004, COMMON), R(0x3005, 0x3007, HAN), R(0x3008, 0x3020, COMMON),
	R(0x3021, 0x3029, HAN), R(0x302a, 0x3037, COMMON), R(0x3038, 0x303b, HAN),
	R(0x303c, 0x303f, COMMON), R(0x3041, 0x3096, HIRAGANA), R(0x3099, 0x309c, COMMON),
	R(0x309d, 0x309f, HIRAGANA), R(0x30a0, 0x30a0, COMMON), R(0x30a1, 0x30fa, KATAKANA),
	R(0x30fb, 0x30fc, COMMON), R(0x30fd, 0x30ff, KATAKANA), R(0x3105, 0x312f, BOPOMOFO),
	R(0x3131, 0x318e, HANGUL), R(0x31a0, 0x31bf, BOPOMOFO), R(0x31c0, 0x31e3, COMMON),
	R(0x31f0, 0x31ff, KATAKANA), R(0x3200, 0x33ff, COMMON), R(0x3400, 0x4dbf, HAN),
	R(0x4e00, 0x9fff, HAN), R(0xa640, 0xa69f, CYRILLIC), R(0xa722, 0xa787, LATIN),
	R(0xa78b, 0xa7ff, LATIN), R(0xa8e0, 0xa8ff, DEVANAGARI), R(0xa960, 0xa97c, HANGUL),
	R(0xaa60, 0xaa7f, MYANMAR), R(0xab01, 0xab2e, ETHIOPIC), R(0xab30, 0xab64, LATIN),
	R(0xab70, 0xabbf, CHEROKEE), R(0xac00, 0xd7fb, HANGUL), R(0xf900, 0xfad9, HAN),
	R(0xfb00, 0xfb06, LATIN), R(0xfb13, 0xfb17, ARMENIAN), R(0xfb1d, 0xfb4f, HEBREW),
	R(0xfb50, 0xfdff, ARABIC), R(0xfe00, 0xfe2d, COMMON), R(0xfe2e, 0xfe2f, CYRILLIC),
	R(0xfe30, 0xfe6f, COMMON), R(0xfe70, 0xfefc, ARABIC), R(0xfeff, 0xff20, COMMON),
	R(0xff21, 0xff3a, LATIN), R(0xff3b, 0xff40, COMMON), R(0xff41, 0xff5a, LATIN),
	R(0xff5b, 0xff65, COMMON), R(0xff66, 0xff9d, KATAKANA), R(0xff9e, 0xff9f, COMMON),
	R(0xffa0, 0xffdc, HANGUL), R(0xffe0, 0xfffd, COMMON), R(0x1b000, 0x1b11f, HIRAGANA),
	R(0x1f000, 0x1faff, COMMON), R(0x20000, 0x3134a, HAN), R(0xe0020, 0xe007f, COMMON),
};
#undef R

enum mail_script mail_script_of(uint32_t cp)
{
	size_t low = 0, high = sizeof(ranges) / sizeof(*ranges);

	while (low < high) {
		size_t mid = (low + high) / 2;
		if (cp > ranges[mid].to)
			low = mid + 1;
		else if (cp < ranges[mid].from)
			high = mid;
		else
			return (enum mail_script)ranges[mid].script;
	}
	return MAIL_SCRIPT_OTHER;
}

size_t mail_script_decode(struct span s, uint32_t *cp)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n, i;

	if (!s.n)
		return 0;
	n = s.p[0] < 0x80 ? 1 : s.p[0] < 0xc2 ? 0 : s.p[0] < 0xe0 ? 2 : s.p[0] < 0xf0 ? 3 : s.p[0] < 0xf5 ? 4 : 0;
	if (!n || n > s.n)
		return 0;
	*cp = n == 1 ? s.p[0] : s.p[0] & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
		*cp = *cp << 6 | (s.p[i] & 0x3f);
	}
	return *cp >= least[n] && *cp <= 0x10ffff && (*cp < 0xd800 || *cp > 0xdfff) ? n : 0;
}

#define BIT(s) (UINT64_C(1) << MAIL_SCRIPT_##s)
static int mixture(uint64_t seen)
{
	static const uint64_t fine[] = {
		BIT(LATIN) | BIT(HAN) | BIT(HIRAGANA) | BIT(KATAKANA),
		BIT(LATIN) | BIT(HAN) | BIT(BOPOMOFO),
		BIT(LATIN) | BIT(HAN) | BIT(HANGUL),
	};
	size_t i;

	if ((seen & (seen - 1)) == 0)
		return 0;
	for (i = 0; i < sizeof(fine) / sizeof(*fine); i++)
		if ((seen & ~fine[i]) == 0)
			return 0;
	return 1;
}

/* The word ends: ASCII that is no letter, digit or apostrophe, and the blanks of Unicode. */
static int parts_words(uint32_t cp)
{
	if (cp < 0x80)
		return !((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z') && !(cp >= '0' && cp <= '9') && cp != '\'';
	return cp == 0xa0 || cp == 0x3000 || (cp >= 0x2000 && cp <= 0x200a) || (cp >= 0x2010 && cp <= 0x2015);
}

int mail_script_mixed(struct span text)
{
	uint64_t seen = 0;
	uint32_t cp;
	size_t n;

	for (; text.n; text = span_sub(text, n, text.n)) {
		n = mail_script_decode(text, &cp);
		if (!n)
			return ERR_FORMAT;
		if (parts_words(cp)) {
			if (mixture(seen))
				return 1;
			seen = 0;
		} else if (mail_script_of(cp) != MAIL_SCRIPT_COMMON) {
			seen |= UINT64_C(1) << mail_script_of(cp);
		}
	}
	return mixture(seen);
}

/* Small letters that are taken for Latin ones, by UTS 39's confusables; in order. */
static const uint16_t lookalikes[] = {
	0x03b1 /* alpha */, 0x03b3, 0x03b9 /* iota */, 0x03ba, 0x03bd /* nu */, 0x03bf /* omicron */, 0x03c1 /* rho */,
	0x03c3, 0x03c4, 0x03c5 /* upsilon */, 0x03c9, 0x03f2, 0x0430 /* a */, 0x0432, 0x0433, 0x0435 /* ie */, 0x043a,
	0x043c, 0x043d, 0x043e /* o */, 0x043f, 0x0440 /* er */, 0x0441 /* es */, 0x0442, 0x0443 /* u */,
	0x0445 /* ha */, 0x0448, 0x044c, 0x0455 /* dze */, 0x0456 /* i */, 0x0457, 0x0458 /* je */, 0x0461, 0x0475,
	0x04bb /* shha */, 0x04cf /* palochka */, 0x04d5, 0x04e9, 0x0501 /* komi de */, 0x051b /* qa */,
	0x051d /* we */, 0x0561, 0x0563, 0x0566, 0x0570, 0x0578, 0x057c, 0x057d, 0x0581, 0x0585 /* oh */,
	0x0587,
};

static int looks_latin(uint32_t cp)
{
	size_t i;

	for (i = 0; i < sizeof(lookalikes) / sizeof(*lookalikes); i++)
		if (lookalikes[i] == cp)
			return 1;
	/* Cherokee small letters were drawn after Latin ones */
	return cp >= 0xab70 && cp <= 0xabbf;
}

int mail_script_lookalike(struct span label)
{
	int letters = 0;
	uint32_t cp;
	size_t n;

	for (; label.n; label = span_sub(label, n, label.n)) {
		n = mail_script_decode(label, &cp);
		if (!n)
			return 0;
		if (mail_script_of(cp) == MAIL_SCRIPT_COMMON)
			continue;
		if (!looks_latin(cp))
			return 0;
		letters++;
	}
	return letters > 0;
}
