/* SPDX-License-Identifier: Apache-2.0 */
/* smtp_addr - paths and addresses of the envelope (RFC 5321 4.1.2, RFC 6531 for UTF-8).
 *
 * Story:     parses "<local@domain>" of MAIL and RCPT. A source route is accepted and dropped. Quoted local
 *            parts and address literals are kept as written; smtp_addr_format folds the domain to lower case.
 *            Domains: letters, digits, hyphens inside, and "_" (which hosts in the field have); no dot at the end.
 * Limits:    local part 64, domain 255, label 63, path with its brackets 256 octets.
 * Ownership: spans point into the input. Pure; any thread. */
#ifndef SMTP_SMTP_ADDR_H
#define SMTP_SMTP_ADDR_H

#include "core/span.h"

#define SMTP_ADDR_MAX 320 /* local@domain as a string, with NUL */

struct smtp_addr {
	struct span local;  /* as written, quotes included; empty for <>, the whole for <postmaster> */
	struct span domain; /* without "@"; literal with brackets; empty for <> and <postmaster> */
	int utf8;	    /* holds non-ASCII octets (valid UTF-8) */
};

enum { SMTP_ADDR_NULL_OK = 1 /* "<>" */, SMTP_ADDR_POSTMASTER_OK = 2 /* "<postmaster>" */,
       SMTP_ADDR_UTF8_OK = 4 };

/* Path at the start of in: bytes consumed (with the brackets), or ERR_FORMAT, ERR_LIMIT. */
int smtp_addr_parse_path(struct span in, int flags, struct smtp_addr *out);
/* Bare "local@domain", whole span. */
int smtp_addr_parse(struct span in, int flags, struct smtp_addr *out);
/* "local@domain" with the domain in lower case; ERR_LIMIT. Null address: "". */
int smtp_addr_format(char dst[SMTP_ADDR_MAX], const struct smtp_addr *a);
/* 1 if s is a host name or an address literal as EHLO takes it. */
int smtp_addr_domain_ok(struct span s, int utf8_ok);

#endif
