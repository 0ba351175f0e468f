/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_charset.h"

#include "core/err.h"

static const struct {
	const char *name;
	enum mail_charset charset;
} NAMES[] = {
    {"us-ascii", MAIL_CHARSET_ASCII},	  {"ascii", MAIL_CHARSET_ASCII},
    {"utf-8", MAIL_CHARSET_UTF8},	  {"utf8", MAIL_CHARSET_UTF8},
    {"iso-8859-1", MAIL_CHARSET_LATIN1},  {"latin1", MAIL_CHARSET_LATIN1},
    {"iso-8859-15", MAIL_CHARSET_LATIN9}, {"windows-1252", MAIL_CHARSET_CP1252},
    {"cp1252", MAIL_CHARSET_CP1252},	  {"iso-8859-2", MAIL_CHARSET_OTHER},
    {"iso-8859-3", MAIL_CHARSET_OTHER},	  {"iso-8859-4", MAIL_CHARSET_OTHER},
    {"iso-8859-5", MAIL_CHARSET_OTHER},	  {"iso-8859-6", MAIL_CHARSET_OTHER},
    {"iso-8859-7", MAIL_CHARSET_OTHER},	  {"iso-8859-8", MAIL_CHARSET_OTHER},
    {"iso-8859-9", MAIL_CHARSET_OTHER},	  {"iso-8859-10", MAIL_CHARSET_OTHER},
    {"iso-8859-13", MAIL_CHARSET_OTHER},  {"iso-8859-14", MAIL_CHARSET_OTHER},
    {"iso-8859-16", MAIL_CHARSET_OTHER},  {"windows-1250", MAIL_CHARSET_OTHER},
    {"windows-1251", MAIL_CHARSET_OTHER}, {"windows-1253", MAIL_CHARSET_OTHER},
    {"windows-1254", MAIL_CHARSET_OTHER}, {"windows-1255", MAIL_CHARSET_OTHER},
    {"windows-1256", MAIL_CHARSET_OTHER}, {"windows-1257", MAIL_CHARSET_OTHER},
    {"windows-1258", MAIL_CHARSET_OTHER}, {"koi8-r", MAIL_CHARSET_OTHER},
    {"koi8-u", MAIL_CHARSET_OTHER},
};

/* windows-1252 from 128 to 159 */
static const uint16_t CP1252[32] = {0x20ac, 0,	    0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
				    0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,	    0x017d, 0,
				    0,	    0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
				    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,	    0x017e, 0x0178};

/* where ISO-8859-15 is not ISO-8859-1 */
static const struct {
	uint8_t octet;
	uint16_t code;
} LATIN9[] = {{0xa4, 0x20ac}, {0xa6, 0x0160}, {0xa8, 0x0161}, {0xb4, 0x017d},
	      {0xb8, 0x017e}, {0xbc, 0x0152}, {0xbd, 0x0153}, {0xbe, 0x0178}};

int mail_charset_parse(struct span name)
{
	for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
		if (span_equal_nocase(name, span_str(NAMES[i].name)))
			return NAMES[i].charset;
	return ERR_UNSUPPORTED;
}

uint32_t mail_charset_code(enum mail_charset charset, uint8_t c)
{
	if (c < 0xa0)
		return charset == MAIL_CHARSET_CP1252 && c >= 0x80 ? CP1252[c - 0x80] : 0;
	if (charset == MAIL_CHARSET_LATIN9)
		for (size_t i = 0; i < sizeof(LATIN9) / sizeof(LATIN9[0]); i++)
			if (LATIN9[i].octet == c)
				return LATIN9[i].code;
	return c;
}

size_t mail_charset_put(uint8_t dst[4], uint32_t code)
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; code >>= 6)
		dst[i] = (uint8_t)(0x80 | (code & 0x3f));
	dst[0] = (uint8_t)(lead[n] | code);
	return n;
}

int mail_charset_char(struct span s)
{
	uint8_t c = s.p[0], low = 0x80, high = 0xbf;
	int n;

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4)
		return 0;
	n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	/* RFC 3629 section 4: the second octet rules out long forms, surrogates, what is above 10FFFF */
	if (c == 0xe0)
		low = 0xa0;
	else if (c == 0xed)
		high = 0x9f;
	else if (c == 0xf0)
		low = 0x90;
	else if (c == 0xf4)
		high = 0x8f;
	for (int i = 1; i < n; i++) {
		if ((size_t)i >= s.n)
			return -1;
		if (s.p[i] < low || s.p[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return n;
}
