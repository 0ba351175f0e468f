/* SPDX-License-Identifier: Apache-2.0 */
/* bounce_class - sorts a server's refusal into a class, and says whether the address is no good.
 *
 * Story:  the words of the reply are looked up first (a table, the first phrase that occurs counts),
 *         then its enhanced status, then its code. So replies that say one thing with the wrong code, as
 *         large providers do, are sorted by what they say. The names are those that PowerMTA's users
 *         know.
 * Hard:   a permanent refusal (5yz, 5.y.z) of class bad-mailbox, inactive-mailbox or bad-domain: the
 *         address will not work again. Everything else is soft: it is about the message, the sender or
 *         the moment, and says nothing of the address.
 * Thread: pure; any.
 * Source: RFC 3463, 5248 and the IANA registry of enhanced status codes; published replies of the
 *         servers named in test_bounce_class; sealpost-bounce(7). */
#ifndef RELAY_BOUNCE_BOUNCE_CLASS_H
#define RELAY_BOUNCE_BOUNCE_CLASS_H

#include "core/span.h"

/* X(symbol, name, meaning) */
#define BOUNCE_CLASSES(X)                                                                        \
	X(OTHER, "other", "none of the classes below")                                           \
	X(BAD_MAILBOX, "bad-mailbox", "the address does not exist")                              \
	X(INACTIVE_MAILBOX, "inactive-mailbox", "the mailbox is disabled, expired or moved")     \
	X(BAD_DOMAIN, "bad-domain", "the domain does not exist or takes no mail")                \
	X(QUOTA_ISSUES, "quota-issues", "the mailbox is full")                                   \
	X(MESSAGE_EXPIRED, "message-expired", "its time ran out")                                \
	X(NO_ANSWER_FROM_HOST, "no-answer-from-host",                                            \
	  "no host could be reached, or none answered")                                          \
	X(BAD_CONNECTION, "bad-connection", "the connection or its encryption broke")            \
	X(BAD_CONFIGURATION, "bad-configuration", "the receiving server has a fault of its own") \
	X(ROUTING_ERRORS, "routing-errors", "name lookup failed, or the mail loops")             \
	X(RELAYING_ISSUES, "relaying-issues", "the server does not take mail for this domain")   \
	X(PROTOCOL_ERRORS, "protocol-errors",                                                    \
	  "the server did not understand, or broke the protocol")                                \
	X(INVALID_SENDER, "invalid-sender", "the sender's address or domain was refused")        \
	X(POLICY_RELATED, "policy-related",                                                      \
	  "a rule of the receiver: authentication, rates, greylisting, permission")              \
	X(SPAM_RELATED, "spam-related", "taken for spam, or the source is on a blocklist")       \
	X(VIRUS_RELATED, "virus-related", "taken for malware")                                   \
	X(CONTENT_RELATED, "content-related", "size, form, attachments or links of the message")

enum bounce_class {
#define BOUNCE_X(sym, name, meaning) BOUNCE_CLASS_##sym,
	BOUNCE_CLASSES(BOUNCE_X)
#undef BOUNCE_X
	    BOUNCE_CLASS_COUNT
};

/* code: of SMTP, 0 if there was no reply. status: "5.1.1" or "". text: may begin with the status. */
enum bounce_class bounce_class_of(unsigned code, const char *status, const char *text);
/* 1 if the failure tells that the address is no good. */
int bounce_class_hard(enum bounce_class c, unsigned code, const char *status);
const char *bounce_class_name(unsigned c);
const char *bounce_class_meaning(unsigned c);

#endif
