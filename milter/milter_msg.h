/* SPDX-License-Identifier: Apache-2.0 */
/* milter_msg - what the milter keeps of one message while it passes: envelope and headers, no body.
 *
 * Story:     begin at MAIL FROM, recipient and header as they come, end when the MTA is done with it or
 *            dropped it. Nothing is judged here; milter_judge does that. Header
 *            fields are kept as a whole only if messages are looked at whole: the campaign that they are held against is
 *            known when the last has come.
 * Ownership: embedded in the connection's state; memory of the bufs is kept for the next message.
 * Limits:    each value has a maximum (below); a longer one is marked and not kept. Of headers that
 *            pretend to be ours, MILTER_MSG_FORGED_MAX are noted; more mark the message as a flood.
 * Thread:    one at a time. No I/O. */
#ifndef MILTER_MILTER_MSG_H
#define MILTER_MILTER_MSG_H

#include "core/buf.h"
#include "core/id.h"
#include "mail/mail_trace.h"
#include "milter/milter_conf.h"

#define MILTER_MSG_TRACE MAIL_TRACE_HEADER
#define MILTER_MSG_OURS "X-Sealpost-" /* headers with this prefix are ours alone */
#define MILTER_MSG_APPLICATION "X-DoPosta-" /* and these go no further than to us */
#define MILTER_MSG_CONSENT "X-DoPosta-Consent"
#define MILTER_MSG_PATH_MAX 1024
#define MILTER_MSG_VALUE_MAX 1024
#define MILTER_MSG_FORGED_MAX 100
#define MILTER_MSG_FIELDS_MAX (80u << 10) /* octets of the header section that are kept */

/* A header name that is to go. */
struct milter_msg_forged {
	size_t name;	/* offset in names */
	unsigned count; /* how many of that name */
};

struct milter_msg {
	const struct milter_stream *stream; /* NULL: none; conf's */
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
	struct buf names; /* of headers that are to go, each NUL-terminated */
	struct milter_msg_forged forged[MILTER_MSG_FORGED_MAX];
	unsigned forged_names;
	unsigned forged_count; /* headers that are ours alone */
	unsigned own_count;    /* headers of the application for us */
	struct buf consent;    /* value of the last X-DoPosta-Consent */
	unsigned consents;
	struct buf fields; /* if messages are looked at whole: name NUL value NUL, of each */
	unsigned field_count;
	int fields_cut; /* there were more than are kept */
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

/* The kept fields, one after the other from *at 0 on: 1, or 0 after the last. value: without the blank that the MTA leaves in
 * front of it. */
int milter_msg_field(const struct milter_msg *m, size_t *at, struct span *name, struct span *value);
/* How many of them have this name. */
unsigned milter_msg_count(const struct milter_msg *m, const char *name);

#endif
