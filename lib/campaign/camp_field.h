/* SPDX-License-Identifier: Apache-2.0 */
/* camp_field - the types of what may differ between two messages of a campaign.
 *
 * Story:     compile makes of a field and the kind of its template the tables that a matcher scans with;
 *            check judges a whole value. Scanning is one table look-up and one mask for each octet: types
 *            with a shape (date, money, uuid ...) step through it bit-parallel, all others are a class.
 * Types (decoded values):
 *   name          letters, marks, blank ' - . and the typographic apostrophe; nothing that becomes a link, and no
 *                 sentence: full stops behind initials and titles alone, at most 8 words, small first letters in particles
 *                 (and one word more, or four if all is written small)
 *   int           -?digits                 decimal  int with . or , and digits, thousands set apart
 *   money         decimal with a currency sign or code before or behind it
 *   date          2026-01-31, 31.1.2026, 31/01/26, 31-01-2026, 31 January 2026, January 31, 2026, 31. Mai 2026
 *   time          23:59, 23:59:59, 11:59 pm
 *   code          [A-Za-z0-9_-]            hex [0-9A-Fa-f]   uuid 8-4-4-4-12
 *   token         [A-Za-z0-9_~=-]
 *   enum          one of values            url-choice  one of values, each a whole URL
 *   rcpt-email    the envelope's recipient, letters of the domain in either case
 *   text-nolink   text on one line without < > ", and nothing that becomes a link
 *   url-path      one segment of a path: unreserved characters and %XX, not "." or ".."
 *   url-query     a value: unreserved characters, + and %XX
 * HTML:      in text and attr contexts of an HTML template "&" begins one of the five named references
 *            (&amp; &lt; &gt; &quot; &apos;) or a numeric one, with its ";"; a value is judged as decoded.
 *            Raw < > " never, ' not in an attribute.
 * Always refused, decoded: controls, bidi controls, zero-width and other invisible characters, soft hyphen,
 *            private use, noncharacters, tags, < and >, look-alike alphabets (mathematical, enclosed), words
 *            of two alphabets.
 * Thread:    pure; any. */
#ifndef CAMPAIGN_CAMP_FIELD_H
#define CAMPAIGN_CAMP_FIELD_H

#include "campaign/camp_manifest.h"
#include "campaign/camp_verdict.h"

enum camp_text_kind { CAMP_TEXT_PLAIN, CAMP_TEXT_HTML };

/* The decoded value of raw, as written in that kind of template and the field's context; dst has room for
 * raw.n octets. Its length, or ERR_FORMAT (a reference or %XX that is not well formed, no UTF-8). */
int camp_field_decode(const struct camp_field *f, enum camp_text_kind kind, struct span raw,
		      uint8_t *dst);

/* Whether a raw value is one of the field: CAMP_PASS, or why not. rcpt: for rcpt-email. Shares its rules
 * with the matcher; the learn flow and lint use it for example values. */
enum camp_verdict camp_field_check(const struct camp_field *f, enum camp_text_kind kind,
				   struct span raw, struct span rcpt);

/* 1 if the octet can stand in a value as written (not as the first only): what the literal behind the field
 * must not begin with. */
int camp_field_holds(const struct camp_field *f, enum camp_text_kind kind, uint8_t octet);

/* 1: text of these words is no name of a person ("Anna. Your account is locked"). Not UTF-8 is none either. */
int camp_field_is_sentence(struct span decoded);

/* The rules for decoded text that a person reads (also a display name in To): CAMP_PASS, CAMP_FIELD_VALUE,
 * CAMP_FIELD_LINK. */
enum camp_verdict camp_field_text(struct span decoded);

#endif
