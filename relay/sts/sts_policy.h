/* SPDX-License-Identifier: Apache-2.0 */
/* sts_policy - MTA-STS as text: the TXT record that says there is a policy, and the policy.
 *
 * Story:     sts hands over what DNS and policy host answered. A policy, once made, never
 *            changes; a newer one takes its place. Many threads hold one at the same time, each
 *            by a reference.
 * Record:    "v=STSv1; id=20260831T01;". Of several TXT records those that do not begin with
 *            v=STSv1 are not counted; exactly one must be left, and be well-formed, or the domain
 *            has no policy.
 * Policy:    lines "key: value" that end with LF or CRLF. The first of each key counts, but for
 *            mx, which may come often. Keys not known here are passed over if they have the form
 *            of a key. Blank lines are allowed, since many hosts have them; all else that RFC
 *            8461 does not write makes the whole policy void: part of one would be another
 *            policy. max_age above a year is a year.
 * Patterns:  a host name, or "*." and a name: then exactly one more label stands for the asterisk.
 * Limits:    STS_POLICY_TEXT octets; STS_POLICY_PATTERNS mx lines.
 * Errors:    ERR_FORMAT, ERR_LIMIT, ERR_NOMEM; *why is a text for the log, static.
 * Thread:    pure; any. References are counted atomically.
 * Source:    RFC 8461 3.1, 3.2, 4.1. */
#ifndef RELAY_STS_STS_POLICY_H
#define RELAY_STS_STS_POLICY_H

#include <stdatomic.h>

#include "core/span.h"

#define STS_POLICY_TEXT	    (64u * 1024)
#define STS_POLICY_PATTERNS 256
#define STS_POLICY_MAX_AGE  31557600u /* seconds */
#define STS_POLICY_ID	    33	      /* with NUL */

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };
/* "none", "testing", "enforce". */
const char *sts_mode_name(enum sts_mode m);

struct sts_policy {
	atomic_int refs;
	enum sts_mode mode;
	uint32_t max_age;	/* seconds */
	char id[STS_POLICY_ID]; /* of the record by which it was found; "": none was seen */
	int64_t fetched;	/* wall usec */
	int64_t expires;	/* fetched + max_age */
	unsigned count;
	const char **patterns; /* mx, in lower case, in their order */
	size_t size;
	const char *text; /* as it was fetched, and a NUL behind it */
};

/* One reference, or NULL: *err, *why. id: NUL-terminated. */
struct sts_policy *sts_policy_parse(struct span text, const char *id, int64_t fetched, int *err,
				    const char **why);
struct sts_policy *sts_policy_ref(const struct sts_policy *p);
void sts_policy_unref(const struct sts_policy *p);
/* 1 if host, a DNS name in any case, is one of p's mx. */
int sts_policy_match(const struct sts_policy *p, const char *host);

/* One TXT record: 0 and id; ERR_NOTFOUND: it is about something else; ERR_FORMAT. */
int sts_record_parse(struct span txt, char id[STS_POLICY_ID]);

#endif
