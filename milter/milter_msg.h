/* SPDX-License-Identifier: Apache-2.0 */
/* milter_msg - what the milter keeps of one message while it passes: envelope, a few headers, no body.
 *
 * Story:     begin at MAIL FROM, recipient and header as they come, end when the MTA is done with it or
 *            dropped it. Nothing is judged here; milter_campaign and milter_cb do that at the end.
 * Ownership: embedded in the connection's state; memory of the bufs is kept for the next message.
 * Limits:    each value has a maximum (below); a longer one is marked and not kept. Of headers that
 *            pretend to be ours, MILTER_MSG_FORGED_MAX are noted; more mark the message as a flood.
 * Thread:    one at a time. No I/O. */
#ifndef MILTER_MILTER_MSG_H
#define MILTER_MILTER_MSG_H

#include "core/buf.h"
#include "core/id.h"
#include "milter/milter_conf.h"

#define MILTER_MSG_TRACE "X-Sealpost-Trace"
#define MILTER_MSG_OURS "X-Sealpost-" /* headers with this prefix are ours alone */
#define MILTER_MSG_PATH_MAX 1024
#define MILTER_MSG_VALUE_MAX 1024
#define MILTER_MSG_FORGED_MAX 100

/* A header name that came in though it is ours. */
struct milter_msg_forged {
	size_t name;	/* offset in names */
	unsigned count; /* how many of that name */
};

struct milter_msg {
	int open; /* between begin and end */
	uint64_t id;
	char id_text[ID_TEXT_SIZE];
	struct milter_conf *conf; /* a reference; the others point into it */
	const char *customer;
	const char *by; /* what named the customer: auth, client, sender, fallback */
	struct buf sender, recipient; /* recipient: the first */
	unsigned recipients;
	struct buf campaign, message_id; /* values of the last seen */
	unsigned campaigns, message_ids;
	struct buf names; /* of forged headers, each NUL-terminated */
	struct milter_msg_forged forged[MILTER_MSG_FORGED_MAX];
	unsigned forged_names, forged_count;
	int flood;
	int odd; /* a header name of ours with blanks before its colon */
	int no_memory;
};

void milter_msg_init(struct milter_msg *m);
void milter_msg_clear(struct milter_msg *m);

/* Takes over the reference to conf. Gives the message its id and names its customer. who->sender is
 * sender. */
void milter_msg_begin(struct milter_msg *m, struct milter_conf *conf,
		      const struct milter_rule_who *who);
void milter_msg_recipient(struct milter_msg *m, struct span path);
/* value: what stands behind the colon. */
void milter_msg_header(struct milter_msg *m, struct span name, struct span value);
/* Lets go of conf; may be called twice. */
void milter_msg_end(struct milter_msg *m);

/* Value of the trace header: "v=1; customer=NAME; id=ID". */
void milter_msg_trace(const struct milter_msg *m, char dst[128]);

#endif
