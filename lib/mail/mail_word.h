/* SPDX-License-Identifier: Apache-2.0 */
/* mail_word - header values as people read them: encoded words and one mailbox, strictly.
 *
 * Story:     a judge compares Subject, From, To and Reply-To with what was approved; these functions
 *            give the one reading a value has, or none. Values come as a milter gets them: folds of LF
 *            or CR LF.
 *            Refused (ERR_FORMAT): "=?" that begins no well-formed encoded word, a word over 75 octets
 *            or not set apart by blanks, a charset other than UTF-8, US-ASCII, ISO-8859-1, -15,
 *            windows-1252, a word that ends within a character, control characters (also decoded ones),
 *            octets that are not UTF-8, an empty word; in mailboxes comments, groups, routes, lists,
 *            obsolete forms, encoded words within quotes, unquoted specials.
 * Ownership: borrows; writes to the caller's room.
 * Thread:    pure; any.
 * Source:    RFC 2047 (2, 4, 5, 6.2), RFC 5322 3.4, RFC 6532. */
#ifndef MAIL_MAIL_WORD_H
#define MAIL_MAIL_WORD_H

#include "core/span.h"

/* An unstructured value (Subject), unfolded and decoded to UTF-8, in dst, always terminated. Blanks at
 * both ends are dropped, those between two encoded words too, all others kept (a fold is its blanks).
 * Its length; ERR_FORMAT; ERR_LIMIT: it does not fit. */
int mail_word_decode(char *dst, size_t size, struct span value);

#define MAIL_WORD_ADDRESS 320
#define MAIL_WORD_DISPLAY 512

struct mail_word_mailbox {
	char address[MAIL_WORD_ADDRESS + 1]; /* local part as written, "@", domain in lower case */
	char display[MAIL_WORD_DISPLAY + 1]; /* UTF-8; "" if there is none */
};
/* Exactly one mailbox: "a@b", "<a@b>", "Name <a@b>". 0, ERR_FORMAT, ERR_LIMIT. */
int mail_word_mailbox(struct mail_word_mailbox *m, struct span value);

#endif
