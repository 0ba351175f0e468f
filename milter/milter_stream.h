/* SPDX-License-Identifier: Apache-2.0 */
/* milter_stream - what is demanded of the messages of one stream, and what content is sensitive.
 *
 * Story:     rules name the stream of a message beside its customer. A stream has a policy:
 *
 *              open        a campaign header must be true and the message as approved; without one it passes
 *              enforce     a message must be of a campaign, and as approved
 *              links-only  without a campaign: links lead to the stream's hosts alone, nothing active, only the stream's
 *                          types of attachments
 *              quarantine  as enforce, but what would be refused is held by the MTA
 *              observe     as enforce, but what would be refused passes, and is told; from its date on enforce
 *
 *            Sensitive content (card numbers, patterns of the administrator) makes a message go to verified servers
 *            alone, or refuses it, whatever the stream.
 * Ownership: strings belong to the configuration.
 * Source:    configuration keys streams, sensitive. Thread: pure; any. */
#ifndef MILTER_MILTER_STREAM_H
#define MILTER_MILTER_STREAM_H

#include "conf/conf_schema.h"

/* X(symbol, name) */
#define MILTER_POLICIES(X) \
	X(OPEN, "open") X(ENFORCE, "enforce") X(LINKS, "links-only") X(QUARANTINE, "quarantine") X(OBSERVE, "observe")
enum milter_policy {
#define MILTER_POLICY_X(sym, name) MILTER_POLICY_##sym,
	MILTER_POLICIES(MILTER_POLICY_X)
#undef MILTER_POLICY_X
};
const char *milter_stream_policy_name(enum milter_policy p);

struct milter_stream {
	char *name;
	int policy;		      /* enum milter_policy */
	char *until_text;	      /* of observe */
	int64_t until;		      /* wall usec: enforce from then on */
	struct conf_list hosts;	      /* char *: of links-only */
	struct conf_list attachments; /* char *: media types, likewise */
};

enum milter_sensitive_kind { MILTER_SENSITIVE_CARD, MILTER_SENSITIVE_PATTERN };
enum milter_sensitive_action { MILTER_SENSITIVE_VERIFY, MILTER_SENSITIVE_REFUSE };
struct milter_sensitive {
	char *name;
	int kind, action;
	char *pattern;
};

extern const struct conf_key milter_stream_keys[], milter_sensitive_keys[];
/* For conf_schema: NULL, or what is wrong with an item. */
const char *milter_stream_finish(void *stream);
const char *milter_sensitive_finish(void *rule);

/* NULL: there is none of that name. */
const struct milter_stream *milter_stream_find(const struct conf_list *streams, const char *name);
/* Its policy at a time. stream may be NULL: open. */
enum milter_policy milter_stream_policy(const struct milter_stream *stream, int64_t now);
/* 1 if the second recipient of a message is to come in a message of its own. */
int milter_stream_single(const struct milter_stream *stream, int64_t now);

#endif
