/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_verp - the senders by which mail leaves that is to tell, when it comes back, whom it was for.
 *
 *     bounce+TOKEN@bounce.domain        TOKEN: base32 of | customer's tag 3 | message id 8 | MAC 10 |
 *
 * Story:  the MAC is keyd's blind index of the customer (label BOUNCE_VERP_LABEL) over message id and recipient: relay
 *         holds no key for it, and keeps nothing. So the token names nobody; but whoever has a token and an address can
 *         have keyd say whether they belong together. That is how a bounce is read: its own words name an address
 *         (they always do), and the token proves that this customer sent this message there. A forger who has no token
 *         of that recipient can suppress nobody. tag is a short hash of the customer's name: it finds the name among
 *         those that relay knows.
 * Limits: the local part has BOUNCE_VERP_LOCAL octets; letters of either case are taken.
 * Thread: pure; any.
 * Source: sealpost-bounce(7). */
#ifndef RELAY_BOUNCE_BOUNCE_VERP_H
#define RELAY_BOUNCE_BOUNCE_VERP_H

#include "smtp/smtp_addr.h"

#define BOUNCE_VERP_LABEL  "relay/verp/1"
#define BOUNCE_VERP_PREFIX "bounce+"
#define BOUNCE_VERP_TAG	   3
#define BOUNCE_VERP_MAC	   10
#define BOUNCE_VERP_LOCAL  (sizeof(BOUNCE_VERP_PREFIX) - 1 + 34)
#define BOUNCE_VERP_INDEX  32		       /* octets of keyd's answer */
#define BOUNCE_VERP_VALUE  (8 + SMTP_ADDR_MAX) /* room for what it is over */

struct bounce_verp {
	uint8_t tag[BOUNCE_VERP_TAG];
	uint64_t id;
	uint8_t mac[BOUNCE_VERP_MAC];
};

/* What keyd makes the index of: message id, and address with ASCII letters in lower case. Its length. */
size_t bounce_verp_value(uint8_t dst[BOUNCE_VERP_VALUE], uint64_t id, struct span address);
void bounce_verp_make(struct bounce_verp *v, const char *customer, uint64_t id,
		      const uint8_t index[BOUNCE_VERP_INDEX]);
/* The envelope sender. ERR_LIMIT: the domain is too long for one. */
int bounce_verp_sender(char dst[SMTP_ADDR_MAX], const struct bounce_verp *v, const char *domain);

/* The other way. ERR_FORMAT: not such a local part. */
int bounce_verp_parse(struct span local, struct bounce_verp *v);
/* Constant time. */
int bounce_verp_matches(const struct bounce_verp *v, const uint8_t index[BOUNCE_VERP_INDEX]);
int bounce_verp_is_of(const struct bounce_verp *v, const char *customer);

#endif
