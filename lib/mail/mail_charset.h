/* SPDX-License-Identifier: Apache-2.0 */
/* mail_charset - the few character sets that text may have, and UTF-8.
 *
 * Story:     mail_text and mail_word read octets as UTF-8 or transcode them. Octets 128..159 of
 *            ISO-8859-1 and -15 have no character here: browsers take them for windows-1252, others for
 *            controls.
 * Thread:    pure; any.
 * Source:    RFC 3629; the WHATWG encoding standard for windows-1252. */
#ifndef MAIL_MAIL_CHARSET_H
#define MAIL_MAIL_CHARSET_H

#include "core/span.h"

/* OTHER: not known, but octets below 128 are ASCII and stand alone: enough for tolerant readers */
enum mail_charset {
	MAIL_CHARSET_ASCII,
	MAIL_CHARSET_UTF8,
	MAIL_CHARSET_LATIN1,
	MAIL_CHARSET_LATIN9,
	MAIL_CHARSET_CP1252,
	MAIL_CHARSET_OTHER
};

/* By name, letters of either case; ERR_UNSUPPORTED: none whose ASCII octets can be trusted. */
int mail_charset_parse(struct span name);
/* The code point of an octet above 127 of LATIN1, LATIN9, CP1252; 0: it has none. */
uint32_t mail_charset_code(enum mail_charset charset, uint8_t c);

/* Writes a code point as UTF-8: 1..4 octets. */
size_t mail_charset_put(uint8_t dst[4], uint32_t code);
/* Length of the well-formed UTF-8 character at the front (no overlong forms, no surrogates); 0: there is
 * none; -1: s ends within one. */
int mail_charset_char(struct span s);

#endif
