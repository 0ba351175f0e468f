/* SPDX-License-Identifier: Apache-2.0 */
/* out_server - an SMTP server for tests of outgoing mail, on the loop of the test.
 *
 * Story: it answers well unless told otherwise: say["RCPT 2"] style rules replace the answer to the
 *        nth command of a verb (counted over all connections), "*" in the rule's count means every
 *        one. It keeps what it got. */
#ifndef TEST_UNIT_OUT_SERVER_H
#define TEST_UNIT_OUT_SERVER_H

#include "core/buf.h"
#include "evt/evt_listen.h"
#include "evt/evt_tls.h"
#include "smtp/smtp_data.h"

#define OUT_SERVER_RULES    8
#define OUT_SERVER_MESSAGES 512
#define OUT_SERVER_CONNS    64

struct out_server_rule {
	const char *verb;  /* "GREETING", "EHLO", "HELO", "STARTTLS", "MAIL", "RCPT", "DATA", "DOT",
			      "RSET", "QUIT", "AUTH" */
	int nth;	   /* 1, 2, ...; 0: every one */
	const char *reply; /* lines separated by \n; NULL: say nothing; "CLOSE": hang up */
};

struct out_server_message {
	char from[128];
	char rcpt[4096]; /* joined by blanks */
	char params[512]; /* what stood behind the addresses, one behind the other */
	char *body;	 /* NULL if over 1 MiB */
	size_t size;
	unsigned rcpts;
	int tls;
	unsigned conn;
	int chunked;
	char helo[128];	 /* as the client called itself */
	char client[64]; /* its address */
	uint32_t sum;
};

struct out_server;
struct out_server_conn {
	struct out_server *server;
	struct evt_conn *c;
	unsigned number;
	int tls, in_data, raw;
	size_t chunk; /* octets of BDAT still to come */
	char helo[128], client[64];
	struct smtp_data_in data;
	struct out_server_message now;
	struct buf body;
	unsigned reads; /* DATA events since MAIL */
	size_t pause_at;
};

struct out_server {
	struct evt_loop *loop;
	struct evt_listen *listen;
	uint16_t port;
	const char *caps; /* lines of EHLO after the first, each with \n; default
			     "PIPELINING\n8BITMIME\n" */
	SSL_CTX *tls;	  /* NULL: STARTTLS is not offered */
	int slow;	  /* stops reading within bodies after every 6 MiB: out_server_read_on */
	int break_handshakes; /* so many are cut off */
	struct out_server_rule rules[OUT_SERVER_RULES];
	/* what happened */
	unsigned accepted, open, open_max, starttls, handshakes, resumed, quits, resets,
	    cut; /* cut: ended within a body */
	unsigned verbs[16];
	char auth[256]; /* the last AUTH line */
	struct out_server_message messages[OUT_SERVER_MESSAGES];
	unsigned message_count;
	unsigned envelope_reads; /* DATA events from MAIL to DATA of the last message */
	unsigned body_reads;	 /* ... and from there to the end */
	struct out_server_conn *conns[OUT_SERVER_CONNS];
};

void out_server_open(struct out_server *s, struct evt_loop *l, const char *address);
void out_server_close(struct out_server *s);
/* Hangs up on everybody; those who come anew are served. */
void out_server_hang_up(struct out_server *s);
void out_server_read_on(struct out_server *s);
void out_server_rule(struct out_server *s, const char *verb, int nth, const char *reply);

#endif
