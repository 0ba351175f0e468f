/* SPDX-License-Identifier: Apache-2.0 */
/* tls_exception - what an administrator grants a domain against its TLS policy, for a while.
 *
 * Story:     a receiver with broken TLS keeps mail waiting under DANE, MTA-STS or a strict route. An
 *            exception says which level of TLS will do for his domain instead, until when, and why. It
 *            goes before every other rule (out_policy). Control keeps them in the store; whoever
 *            looks for a policy finds them here. One that has run out counts no more at once, and its
 *            row goes soon after (event=tls-exception-expired). There is none without an end.
 * Domains:   in lower case and ASCII form, without a dot at the end; ".example.org" means all names
 *            below example.org. The longest that fits counts.
 * Events:    tls-exception when one is found for use, for each at most once a minute (what goes under it
 *            says policy=exception in its own line); tls-exception-added, -removed, -expired.
 * Errors:    ERR_FORMAT (domain, level, end), ERR_LIMIT (too many), ERR_NOTFOUND, of the store.
 * Thread:    find, generation, list: any. The rest: control's.
 * Source:    sealpost-tls(8). */
#ifndef RELAY_TLS_TLS_EXCEPTION_H
#define RELAY_TLS_TLS_EXCEPTION_H

#include "relay/relay_control.h"

#define TLS_EXCEPTION_MAX    10000
#define TLS_EXCEPTION_REASON 200
#define TLS_EXCEPTION_LONG   (INT64_C(366) * 86400 * 1000000) /* usec that one may last */

struct tls_exception {
	char domain[256];
	int level; /* RELAY_TLS_NONE, _OPPORTUNISTIC or _ENCRYPT */
	char reason[TLS_EXCEPTION_REASON + 1];
	int64_t created, until; /* wall usec */
	uint64_t uses;		/* since the start; of list only */
	int64_t used;		/* wall usec, 0: not since the start */
};

struct tls_exceptions;

/* Level of the exception for domain, or -1; then *until (may be NULL) is its end, wall usec. */
int tls_exception_find(struct relay *r, const char *domain, int64_t now, int64_t *until);
/* Changes with every change: what was found under another one may not hold. */
unsigned tls_exception_generation(struct relay *r);

/* On stable storage and in force when it returns; in place of the domain's former one. created is
 * set. */
int tls_exception_add(struct relay *r, struct tls_exception *e);
int tls_exception_remove(struct relay *r, const char *domain);
/* By domain; how many were copied. */
size_t tls_exception_list(struct relay *r, struct tls_exception *out, size_t most);
size_t tls_exception_count(struct relay *r);
/* Domain as it is kept; ERR_FORMAT. */
int tls_exception_domain(char dst[256], const char *text);
/* "none", "opportunistic", "encrypt"; -1 and NULL for anything else. */
int tls_exception_level(const char *name);
const char *tls_exception_level_name(int level);

extern const struct relay_control_part tls_exception_part;

#endif
