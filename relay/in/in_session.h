/* SPDX-License-Identifier: Apache-2.0 */
/* in_session - one inbound SMTP session as an engine without I/O: bytes in, replies and requests out.
 *
 * Story:     its host (in_conn, or a test) feeds what arrived with in_session_input and sends what stands in out. What the
 *            engine cannot do itself it asks of the host through struct in_session_host, whose functions return at once;
 *            answers that take time come back through begun, committed and tls_done with the ticket of the question. An
 *            answer to a question that is no longer asked is dropped.
 *            The host never frees the session inside one of its functions.
 * Rules:     commands and replies RFC 5321, 2920 (PIPELINING), 3207 (STARTTLS), 1870 (SIZE), 6152 (8BITMIME), 6531
 *            (SMTPUTF8), 2034 (ENHANCEDSTATUSCODES). A line ends in CR LF and in nothing else. 250 is said only
 *            after committed(0).
 * Ownership: conf, peer.customer and TLS names are borrowed and must outlive the session.
 * Limits:    configuration keys limits.*; a command line 512 octets and what extensions add.
 * Thread:    its host's. */
#ifndef RELAY_IN_IN_SESSION_H
#define RELAY_IN_IN_SESSION_H

#include <sys/socket.h>

#include "core/id.h"
#include "relay/in/in_ask.h"
#include "relay/in/in_reply.h"
#include "relay/in/in_state.h"
#include "relay/in/in_tx.h"
#include "relay/relay_conf.h"

#define IN_SESSION_LATER 1 /* result of begin: the answer comes by in_session_begun */

struct in_claim { /* XCLIENT */
	struct sockaddr_storage address; /* ss_family 0: not said */
	char login[65];			 /* credential that logged in at the proxy; "": none */
};

struct in_session_host {
	/* At MAIL: 0 if a message could be taken now, or ERR_AWAY, ERR_LOCKED, ERR_NOSPACE. */
	int (*ready)(void *arg);
	/* At DATA: begins a message. 0 and *id; IN_SESSION_LATER; or ERR_AWAY, ERR_LOCKED,
	 * ERR_BUSY, ERR_NOSPACE. */
	int (*begin)(void *arg, uint64_t ticket, uint64_t *id);
	/* 1 if body takes bytes now; else 0, and the host feeds again when it does. */
	int (*room)(void *arg);
	/* Bytes of the message, in order. 0 or ERR_*: the message is lost, abort follows. */
	int (*body)(void *arg, struct span s);
	/* The message is whole; e lives until the answer. in_session_committed tells the result. */
	void (*commit)(void *arg, uint64_t ticket, const struct spool_envelope *e);
	/* The message that was begun (or whose beginning was asked for) is given up. */
	void (*abort)(void *arg);
	/* 0 if STARTTLS is possible now, ERR_UNSUPPORTED if it is not offered at all, ERR_AWAY. */
	int (*tls_ready)(void *arg);
	/* Begin the handshake when out has left; in_session_tls_done follows. */
	void (*start_tls)(void *arg);
	/* Call in_session_timeout if usec pass without another call; 0: not at all. */
	void (*timer)(void *arg, int64_t usec);
	/* The session is over: close when out has left. */
	void (*close)(void *arg);
	/* At RCPT, and at the end of the message if it is another customer's than the session's: 1 if the customer's mail is not taken for address, 0, or ERR_BUSY: not known now. May be NULL. */
	int (*suppressed)(void *arg, const char *customer, const char *address);
	/* A client says that he is name; in_session_authed tells the result. 0, or ERR_AWAY, ERR_BUSY,
	 * ERR_LIMIT (locked out for a while). Both are used within the call. */
	int (*auth)(void *arg, uint64_t ticket, const char *name, struct span password);
	/* At MAIL (recipient 0) and RCPT (1): NONE, or what limits of client and credential say. */
	enum in_reply (*allow)(void *arg, int recipient);
	/* The peer speaks for somebody else: changes the session's peer. NONE, or what to say. */
	enum in_reply (*claim)(void *arg, const struct in_claim *claim);
	/* --- only with peer.filters */
	/* Asks them. IN_SESSION_LATER: in_session_filtered tells, later; 0: nothing to ask, go on. For END it may
	 * have changed tx's envelope by the time it answers. */
	int (*ask)(void *arg, enum in_ask what, uint64_t ticket, struct span params);
	/* Bytes of the message for the filters, in order, our trace field not among them. 0; 1: the message is lost
	 * already, END will tell how; ERR_LIMIT: a header section beyond what filters are shown. */
	int (*show)(void *arg, struct span s);
	/* The transaction is over, however it went. */
	void (*forget)(void *arg);
};

struct in_peer {
	char address[64]; /* numeric, without port */
	int trusted;	  /* its network may relay */
	int mode;	  /* enum relay_mode of the listener */
	int filters;	  /* mail from here passes the filters */
	int auth;	  /* enum relay_auth of the listener: NO, OPTIONAL, REQUIRED */
	int tls_required; /* for mail and AUTH */
	int xclient;	  /* may say for whom he speaks */
	const char *customer;
};

struct in_tls { /* version NULL: in clear */
	const char *version, *cipher, *group;
	int bits;
};

struct in_session_login {
	char credential[65], customer[65];
	const char *mechanism; /* "PLAIN", "LOGIN", "certificate" */
};

struct in_session_count { /* since the host last looked (it zeroes them) */
	unsigned accepted, rejected, tempfailed;
	uint64_t bytes;
};

struct in_session {
	const struct in_session_host *host;
	void *arg;
	const struct relay_conf *conf;
	struct in_peer peer;
	struct in_tls tls;
	enum in_state state;
	enum in_ask ask;	   /* in state FILTER: what was asked, */
	enum in_state ask_before; /* and the state in which */
	uint64_t ticket;
	struct buf out; /* replies that wait to be sent; the host drains it */
	struct in_session_count count;
	unsigned errors;    /* bad commands since the last accepted message */
	unsigned errors_all, accepted_all, refused_all;
	uint64_t chunk_left; /* octets of a BDAT chunk that have not come yet, wanted or not */
	int chunk_last;
	size_t skipped;	    /* octets of an over-long line thrown away; 0: not in one */
	int stopping;
	int esmtp;
	const char *lost;   /* the peer is gone: why */
	struct in_session_login *login; /* who logged in; NULL: nobody */
	struct in_cmd_auth_talk *talk;	/* an exchange under way */
	char name[ID_TEXT_SIZE];
	char *helo; /* as he calls himself; "" before he has */
	struct in_tx tx;
};

void in_session_init(struct in_session *s, const struct in_session_host *host, void *arg,
		     const struct relay_conf *conf, const struct in_peer *peer);
/* Says the greeting; on a listener of mode submissions the handshake comes first and tls_done greets. */
void in_session_start(struct in_session *s);
/* Instead of start: says why not (FULL, FULL_CLIENT, STOPPING) and closes. */
void in_session_refuse(struct in_session *s, enum in_reply why);

/* Takes what it can of in: bytes used; the rest is to be offered again, with what arrives behind it, after out has been
 * sent. 0 if it needs more bytes or waits for somebody. */
size_t in_session_input(struct in_session *s, struct span in);

/* Answers. Each may make output. err: 0 or ERR_*. */
void in_session_begun(struct in_session *s, uint64_t ticket, int err, uint64_t id);
void in_session_committed(struct in_session *s, uint64_t ticket, int err);
void in_session_tls_done(struct in_session *s, const struct in_tls *tls);
/* err 0: it is him; ERR_AUTH: it is not; ERR_AWAY, ERR_BUSY: not known now. */
void in_session_authed(struct in_session *s, uint64_t ticket, int err, const char *credential,
		       const char *customer);
/* A client certificate did it, before or after tls_done. ERR_NOMEM. */
int in_session_log_in(struct in_session *s, const char *credential, const char *customer,
		      const char *mechanism);

void in_session_filtered(struct in_session *s, uint64_t ticket, const struct in_verdict *v);

/* Events. */
void in_session_timeout(struct in_session *s);
/* The peer is gone or has nothing more to say, and all it had said was used. why: "eof", "lost", "tls-failed". */
void in_session_lost(struct in_session *s, const char *why);
/* Graceful stop: 421 at the next command boundary. */
void in_session_stop(struct in_session *s);

/* 1 while the answer to a message, or of the filters, is due: a peer that has only half-closed still wants to hear it. */
int in_session_waits(const struct in_session *s);

/* Ends it at once if it is not over, logs the end if it is worth a line, frees what it holds. */
void in_session_clear(struct in_session *s);

/* Keeps the name. ERR_NOMEM. */
int in_session_set_helo(struct in_session *s, struct span name);

/* --- for handlers (in_cmd_*) only. "%s" in the text is the host name, or param. */
void in_session_say(struct in_session *s, enum in_reply r);
void in_session_say_param(struct in_session *s, enum in_reply r, const char *param);
/* A filter's refusal in its own words; last: the session ends. */
void in_session_say_verdict(struct in_session *s, const struct in_verdict *v, int last);
/* Somebody is there: the filters are asked about him, then he is greeted. */
void in_session_meet(struct in_session *s);
void in_session_greet(struct in_session *s);
/* Gives a message under way up and forgets the transaction. */
void in_session_drop(struct in_session *s);
/* The reply for a failure of the host. */
enum in_reply in_session_reply_of(int err);

#endif
