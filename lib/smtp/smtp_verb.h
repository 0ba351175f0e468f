/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_verb - the first word of a command line.
 *
 * Story:  a server splits each command line with smtp_verb_parse and dispatches on the value. Words of other
 *         protocols (GET, POST, Host:) have a value of their own: a browser can be made to send them to an
 *         SMTP port (ALPACA, CVE-2021-3618), and the only good answer is to hang up.
 * Source: RFC 5321 4.1.1 and the extensions that add verbs. Pure; any thread. */
#ifndef SMTP_SMTP_VERB_H
#define SMTP_SMTP_VERB_H

#include "core/span.h"

#define SMTP_VERBS(X)                                                                              \
	X(HELO) X(EHLO) X(STARTTLS) X(AUTH) X(MAIL) X(RCPT) X(DATA) X(BDAT) X(RSET) X(NOOP)        \
	X(QUIT) X(VRFY) X(EXPN) X(HELP) X(ETRN) X(ATRN) X(TURN) X(SEND) X(SOML) X(SAML) X(XCLIENT)

enum smtp_verb {
	SMTP_VERB_UNKNOWN,
	SMTP_VERB_FOREIGN, /* a word of HTTP */
#define SMTP_VERB_ENUM(v) SMTP_VERB_##v,
	SMTP_VERBS(SMTP_VERB_ENUM)
#undef SMTP_VERB_ENUM
	SMTP_VERB_COUNT
};

/* The verb of a line (without CRLF), in any case; *args is what follows the first space, with spaces at both
 * ends taken off. A verb is followed by a space or the end of the line. */
enum smtp_verb smtp_verb_parse(struct span line, struct span *args);
/* "MAIL"; "?" for unknown and foreign words. Static. */
const char *smtp_verb_name(enum smtp_verb v);

#endif
