/* SPDX-License-Identifier: Apache-2.0 */
/* mail_script - to which script a letter belongs, and whether a word mixes scripts as no language does.
 *
 * Story:     a Cyrillic "a" between Latin letters is there to deceive. Words and labels of one script pass, and the mixtures
 *            that people write: Latin with Chinese, Japanese or Korean. Digits, punctuation and marks go with all.
 * Limits:    scripts of living languages are known, by blocks; letters of others are MAIL_SCRIPT_OTHER and mix with nothing.
 * Thread:    pure; any.
 * Source:    UTS 39 5.2 "highly restrictive"; Unicode 15 blocks. */
#ifndef MAIL_MAIL_SCRIPT_H
#define MAIL_MAIL_SCRIPT_H

#include "core/span.h"

#define MAIL_SCRIPTS(X)                                                                            \
	X(COMMON) X(LATIN) X(GREEK) X(CYRILLIC) X(ARMENIAN) X(HEBREW) X(ARABIC) X(SYRIAC)          \
	X(THAANA) X(DEVANAGARI) X(BENGALI) X(GURMUKHI) X(GUJARATI) X(ORIYA) X(TAMIL) X(TELUGU)     \
	X(KANNADA) X(MALAYALAM) X(SINHALA) X(THAI) X(LAO) X(TIBETAN) X(MYANMAR) X(GEORGIAN)        \
	X(HANGUL) X(ETHIOPIC) X(CHEROKEE) X(KHMER) X(MONGOLIAN) X(HIRAGANA) X(KATAKANA)            \
	X(BOPOMOFO) X(HAN) X(OTHER)
#define MAIL_SCRIPT_X(s) MAIL_SCRIPT_##s,
enum mail_script { MAIL_SCRIPTS(MAIL_SCRIPT_X) MAIL_SCRIPT_COUNT };
#undef MAIL_SCRIPT_X

enum mail_script mail_script_of(uint32_t cp);
/* The code point at the front of s, strictly UTF-8 (no surrogates, nothing longer than needed): octets it takes, or 0. */
size_t mail_script_decode(struct span s, uint32_t *cp);
/* 1 if a word of the text (letters between blanks and ASCII punctuation other than "'") mixes scripts; 0 if none does;
 * ERR_FORMAT: not UTF-8. */
int mail_script_mixed(struct span text);
/* 1 if all letters of a label are Cyrillic, Greek, Armenian or Cherokee and each looks like a Latin one. */
int mail_script_lookalike(struct span label);

#endif
