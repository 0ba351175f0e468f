/* SPDX-License-Identifier: Apache-2.0 */
/* milter_rule - which customer a message belongs to, and which of his streams.
 *
 * Story:     the configuration has a list of rules, each with one condition: the SASL login of the client,
 *            the network that it comes from, or the domain of the envelope sender. The first rule that
 *            holds names the customer. What a message says of itself counts for nothing here.
 * Rules:     a login is compared byte by byte; a domain with ASCII letters folded; ".example.org" is every
 *            domain below example.org. IPv4 addresses match as such when they come mapped into IPv6.
 * Ownership: strings belong to the configuration (conf_free releases them).
 * Source:    configuration keys customers, customer. Thread: pure; any. */
#ifndef MILTER_MILTER_RULE_H
#define MILTER_MILTER_RULE_H

#include <sys/socket.h>

#include "core/span.h"

struct milter_rule {
	char *auth, *client, *sender; /* exactly one is set */
	char *customer;
	char *stream; /* NULL: none */
	uint8_t net[16]; /* of client; IPv4 mapped */
	unsigned bits;
};

struct milter_rule_who {
	struct span login;  /* empty: not authenticated */
	struct span sender; /* MAIL FROM, with or without angle brackets */
	uint8_t address[16];
	int has_address;
};

/* Checks that a rule has one condition, and derives its network. NULL, or what is wrong. */
const char *milter_rule_finish(struct milter_rule *r);

/* Checks for single values, as conf_schema wants them. */
const char *milter_rule_check_client(const char *v);
const char *milter_rule_check_sender(const char *v);

/* Fills address and has_address; an address that is not of the Internet (or NULL) has none. */
void milter_rule_from(struct milter_rule_who *who, const struct sockaddr *a);

/* The first rule that holds, or NULL. */
const struct milter_rule *milter_rule_find(const struct milter_rule *rules, size_t count,
					   const struct milter_rule_who *who);

/* "auth", "client" or "sender": for the log. */
const char *milter_rule_kind(const struct milter_rule *r);

#endif
