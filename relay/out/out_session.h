/* SPDX-License-Identifier: Apache-2.0 */
/* out_session - the client side of one SMTP connection, without I/O: bytes and events in, bytes and
 * wishes out.
 *
 * Story:  the owner (out_conn) tells what happened: connected, bytes came, the handshake is done,
 *         the connection broke. After each call he sends what is in out, takes s->want and does
 *         what it asks:
 *
 *           TLS     begin the handshake; then call secured (or broken)
 *           LOGIN   give user and password with out_session_login, or say why not with
 *                   out_session_no_login
 *           READY   a message may be given with out_session_send
 *           BODY    give the body: out_session_body for each stretch, then out_session_body_end
 *           ENDED   the transaction is over: results are complete, the mail is no longer looked at
 *           STALE   the server had closed the idle connection before it saw the message: results
 *                   are untouched, take another connection (doubt: a whole chunk had left, and might
 *                   have been seen after all)
 *           CLOSE   the session is over. Before the first READY, failure says why
 *
 *         The final dot, or the last octet of the last chunk, leaves only through
 *         out_session_body_end: whoever cannot finish a body closes.
 * Rules:  EHLO, then HELO on 5xx. Replies are judged by their first digit; 421 ends the session
 *         wherever it comes. MAIL, RCPT and DATA leave in one piece if the server offers
 *         PIPELINING; DATA ends the group (RFC 2920). If all recipients were refused but DATA was
 *         not, a lone dot follows and its answer counts for nothing.
 *         If it offers CHUNKING the body goes as one chunk, "BDAT size LAST", without a copy that
 *         doubles dots and without the wait for 354; with PIPELINING too, a body of at most
 *         OUT_SESSION_EAGER octets leaves with its envelope in one flight, before any answer: a
 *         chunk for which no recipient was accepted is answered with an error, and costs no more
 *         than its octets (RFC 3030 4.2). A larger one waits for the last recipient. After a chunk
 *         that was not accepted comes RSET. A server that offers CHUNKING and then does not know BDAT
 *         (500, 502, 504) gets the message later, by DATA, on another connection. A recipient refused with 4xx
 *         (also 452, or 552 "too many recipients") is deferred, the others are sent. A body with
 *         8-bit octets goes unchanged to a server that does not offer 8BITMIME (converting would
 *         break signatures, and such servers have been 8-bit clean for decades), or bounces 5.6.3
 *         if setup says so. SMTPUTF8 cannot be left out so: 5.6.7, unless sender, recipients and
 *         body are ASCII throughout, so that it is an ordinary message (RFC 6531 3.6). What a
 *         client asked of DSNs is passed on if the server offers DSN; results say so. REQUIRETLS
 *         goes only to a server that is vouched for and offers it, else 5.7.30 (RFC 8689).
 *         A login (AUTH PLAIN, else LOGIN) is only ever made under TLS; any refusal defers. Anything that arrives between the answer to STARTTLS and the
 *         handshake ends the session (CVE-2021-38371); what the server said before TLS is
 *         forgotten.
 * Limits: OUT_SESSION_RECIPIENTS per transaction; a bare CR or LF in a body ends the session
 *         (ERR_DAMAGED).
 * Thread: pure; one at a time.
 * Source: RFC 5321, 2920, 3030, 3207, 3461, 4954, 1870, 6152, 6531, 8689. */
#ifndef RELAY_OUT_OUT_SESSION_H
#define RELAY_OUT_OUT_SESSION_H

#include "core/buf.h"
#include "relay/out/out_state.h"
#include "relay/queue/queue.h"
#include "relay/relay_conf.h"
#include "relay/shape/shape.h"
#include "smtp/smtp_data.h"
#include "smtp/smtp_reply.h"

/* Per transaction: what every server takes (RFC 5321 4.5.3.1.8). */
#define OUT_SESSION_RECIPIENTS 100
/* Said of a message that the milter wants to go to verified servers alone (SPOOL_VERIFIED). */
#define OUT_SESSION_SENSITIVE "message has sensitive content, and no server could be verified"
/* Octets of a body that leaves before its recipients are answered. */
#define OUT_SESSION_EAGER 65536

enum out_session_want {
	OUT_SESSION_TLS = 1,
	OUT_SESSION_READY = 2,
	OUT_SESSION_BODY = 4,
	OUT_SESSION_ENDED = 8,
	OUT_SESSION_STALE = 16,
	OUT_SESSION_CLOSE = 32,
	OUT_SESSION_LOGIN = 64
};

struct out_session_setup {
	const char *hostname; /* for EHLO; stays the owner's */
	int tls; /* enum relay_tls; NONE also for a last attempt in clear that policy allows */
	const char *demand; /* who demands it, for texts; NULL: "the route" */
	int login;	     /* before the first message */
	int refuse_eightbit; /* no 8-bit mail to servers without 8BITMIME */
	int requiretls;	     /* a server that does not offer it is left: 5.7.30 */
	int no_chunks;	     /* DATA, whatever is offered */
	/* Hears of each reply of 4xx and 5xx; may be NULL. */
	enum shape_act (*heard)(void *arg, const struct smtp_reply_in *r);
	void *arg;
};

/* One transaction. Everything is the owner's and stays until ENDED, STALE or CLOSE. */
struct out_session_mail {
	const struct spool_envelope *envelope;
	const char *sender;	      /* instead of the envelope's; NULL: that one */
	uint64_t size;		      /* of the body, octets with CRLF */
	struct queue_result *results; /* recipient says whose; outcome 0 at the start */
	unsigned count;		      /* of results: 1..OUT_SESSION_RECIPIENTS */
};

enum out_session_caps {
	OUT_CAP_ESMTP = 1,
	OUT_CAP_PIPELINING = 2,
	OUT_CAP_SIZE = 4,
	OUT_CAP_8BITMIME = 8,
	OUT_CAP_SMTPUTF8 = 16,
	OUT_CAP_STARTTLS = 32,
	OUT_CAP_CHUNKING = 64,
	OUT_CAP_DSN = 128,
	OUT_CAP_REQUIRETLS = 256,
	OUT_CAP_PLAIN = 512, /* of AUTH */
	OUT_CAP_LOGIN = 1024
};

struct out_session {
	struct out_session_setup setup;
	enum out_state state;
	unsigned want; /* enum out_session_want; the owner clears what he has seen */
	struct buf out;
	unsigned timer; /* changes whenever the wait begins anew: set the timeout of state */
	unsigned caps;	/* enum out_session_caps, of the last EHLO */
	uint64_t size_limit;
	int established; /* was READY once */
	int secured;
	int tls_refused; /* offered STARTTLS, then said no to it (opportunistic went on in clear) */
	int no_starttls; /* failure is that it does not offer STARTTLS, or said no to it */
	int vouched;	 /* the owner's word, before secured: it is verified, and its name proven */
	int tls_broken;	 /* failure lies in the handshake: another hello may do */
	int injected;	 /* bytes before the handshake: an attack, or a broken server */
	int polite;	 /* CLOSE: QUIT is in out, let it leave */
	int doubt;	 /* broke after the end of a message: the server may have it */
	int broke;	 /* lost or timed out within a transaction, not STALE */
	int leave;	 /* to be closed after this transaction: shape said so */
	int spoke;	 /* something was said of the last message given */
	int chunk_unknown; /* offered CHUNKING, then did not know BDAT: no_chunks next time */
	int login_failed; /* failure is that the server does not take the login */
	unsigned served; /* transactions that were begun */
	struct queue_result failure;
	struct smtp_reply_in reply;
	/* transaction */
	struct out_session_mail mail;
	int in_mail, piped, answered;
	int refused; /* MAIL was, and sender_verdict says how */
	struct queue_result sender_verdict;
	int lone; /* the dot that ends an unwanted DATA */
	int chunked, eager; /* BDAT; the body leaves with the envelope */
	int giving, given;  /* the body is being given; it was, to the end */
	uint64_t rest;	    /* octets of the chunk that are still to come */
	unsigned next_rcpt, accepted;
	struct smtp_data_out data;
	int pending_cr; /* the last body octet was CR */
	/* login: borrowed from LOGIN until READY or the end */
	struct span user, password;
	unsigned auth_step;
};

void out_session_init(struct out_session *s, const struct out_session_setup *setup);
/* Gives memory back. */
void out_session_clear(struct out_session *s);

void out_session_connected(struct out_session *s);
/* Bytes of the server; returns how many were used. The rest is part of a line (give it again with
 * more), or the session is closed. */
size_t out_session_bytes(struct out_session *s, struct span in);
void out_session_secured(struct out_session *s);
/* In LOGIN. Both stay the owner's, and readable until the state is neither LOGIN nor AUTH. */
void out_session_login(struct out_session *s, struct span user, struct span password);
/* It cannot be had: closes, v is the failure. */
void out_session_no_login(struct out_session *s, const struct queue_result *v);
/* The connection is gone, or timed out (ERR_TIMEOUT). ERR_CLOSED, ERR_TLS, ERR_IO...; text as of
 * evt_conn_error. */
void out_session_broken(struct out_session *s, int err, const char *text);

/* In READY. Never fails: a message that the server cannot take ENDs at once. */
void out_session_send(struct out_session *s, const struct out_session_mail *m);
/* While giving. Writes piece, dots doubled unless chunked, to dst (2 * piece.n octets); *n: how many.
 * ERR_DAMAGED: a bare CR or LF, or more than the size of a chunk; the session is then closed. The
 * piece that completes a chunk must leave only after the source has verified its end. */
int out_session_body(struct out_session *s, struct span piece, uint8_t *dst, size_t *n);
/* The body was given completely and verified. ERR_DAMAGED as above. */
int out_session_body_end(struct out_session *s);
/* The body cannot be given: closes without the dot. v goes to the recipients that are still
 * open. */
void out_session_body_broken(struct out_session *s, const struct queue_result *v);

/* Ends a session: with QUIT if it is READY, else as if the connection were lost. */
void out_session_quit(struct out_session *s);

#endif
