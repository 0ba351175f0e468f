/* SPDX-License-Identifier: Apache-2.0 */
/* mail_sensitive_html - looks for sensitive content in what is shown of HTML: a number that tags, comments, references or
 * invisible characters divide is one number to who reads it.
 *
 * Story:     one call for a document, of which mail_sensitive has seen the octets as they are; this finds what is more.
 *            Tags that do not break the line are nothing, others a line's end, table cells a tab; white space is one blank.
 * Memory:    40 KiB, and the longest text between two tags; wiped.
 * Thread:    pure. */
#ifndef MAIL_MAIL_SENSITIVE_HTML_H
#define MAIL_MAIL_SENSITIVE_HTML_H

#include "mail/mail_sensitive.h"

/* Adds to found of s, of which no text is open. 0 or ERR_NOMEM. */
int mail_sensitive_html(struct mail_sensitive *s, struct span html);

#endif
