/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_auth - what stands in the lines of an AUTH exchange: base64, and the fields of PLAIN.
 *
 * Story:     a client's line (or the initial response of the command, where "=" stands for nothing) is base64
 *            (hex_b64_decode). PLAIN then has three fields divided by NUL; LOGIN gives name and password one by one.
 * Limits:    SMTP_AUTH_LINE octets with CRLF (RFC 4954 4.3); names and passwords at most SMTP_AUTH_FIELD octets.
 * Errors:    ERR_FORMAT; ERR_LIMIT: a field is longer.
 * Ownership: fields point into what was decoded; whoever decodes wipes.
 * Thread:    pure; any.
 * Source:    RFC 4954 4, RFC 4616 2, RFC 4648 4. */
#ifndef SMTP_SMTP_AUTH_H
#define SMTP_SMTP_AUTH_H

#include "core/span.h"

#define SMTP_AUTH_LINE	12288
#define SMTP_AUTH_FIELD 255
#define SMTP_AUTH_MESSAGE (3 * SMTP_AUTH_FIELD + 2) /* decoded PLAIN */

struct smtp_auth_plain {
	struct span authzid, name, password;
};

/* The fields of PLAIN. Name and password are there; authzid is empty, or as long as it likes up to the limit. */
int smtp_auth_plain_parse(struct span message, struct smtp_auth_plain *out);
/* A name or password alone, as in LOGIN: 1 to SMTP_AUTH_FIELD octets, no NUL. */
int smtp_auth_field_ok(struct span field);

#endif
