/* SPDX-License-Identifier: Apache-2.0 */
/* in_fake - a host for in_session without sockets, spool or keys: for scenarios, unit tests and fuzzing.
 *
 * Story: in_fake_send offers bytes as a connection would, in pieces of at most piece octets; replies gather in replies.
 *        Fields at the top of the struct are knobs that a test turns. */
#ifndef TEST_UNIT_IN_FAKE_H
#define TEST_UNIT_IN_FAKE_H

#include "relay/in/in_session.h"

#define IN_FAKE_RECIPIENTS 1200

struct in_fake {
	char mark[128]; /* campaign, and what tracking knows the message by */
	char owner[128]; /* customer whose message the last one was */
	/* knobs */
	int keys;	/* result of begin and, if away or locked, of ready */
	int disk;	/* result of ready */
	int later;	/* begin answers IN_SESSION_LATER */
	int hold;	/* commits are not answered before in_fake_release */
	int commit_err; /* result of commits */
	int body_err;	/* result of body, from the next call on */
	int no_room;
	int tls;	/* result of tls_ready */
	int auth;	/* result of auth; 0: app1 with password "right" is customer acme's, all else is wrong */
	int auth_hold;	/* the answer waits for in_fake_release */
	char suppressed[400]; /* "CUSTOMER ADDRESS": that no mail is taken for; "away": nobody knows */
	enum in_reply limit_message, limit_recipient; /* results of allow */
	size_t piece;	/* 0: all at once */
	struct {	/* what filters say; they are asked if peer.filters is set */
		struct in_verdict verdicts[IN_ASK_COUNT];
		int hold;  /* answers wait for in_fake_release */
		int shown; /* result of show */
	} filter;
	/* what happened */
	struct buf replies;
	struct buf body;     /* of the message under way, or of the last */
	unsigned committed;  /* messages answered with 0 */
	unsigned aborted, begun;
	int open;	     /* a message is under way */
	int pending;	     /* a commit waits for its answer */
	int closed, handshake;
	char asked[1024];    /* "MAIL RCPT ": what filters were asked */
	struct buf shown;    /* to them of the present message, or of the last */
	int asking, forgotten;
	char sender[512], client[512], tls_text[256];
	char recipients[IN_FAKE_RECIPIENTS][272];
	unsigned recipient_count;
	char dsn[2048]; /* "ENVID NOTIFY:ORCPT NOTIFY:ORCPT ..." of the last message, - for what was not said */
	int flags;
	uint64_t size;
	/* inside */
	struct in_session s;
	struct relay_conf conf;
	struct relay_route routes[2];
	struct in_peer peer;
	struct buf in;
	uint64_t commit_ticket, begin_ticket, auth_ticket, ask_ticket, next_id;
	enum in_ask what;
	int auth_pending, auth_result; /* the answer that is due */
	int64_t deadline; /* by clock_mono; 0: none */
	int started;
};

/* Sets knobs and configuration to their usual values; change them before the start. */
void in_fake_init(struct in_fake *f);
void in_fake_start(struct in_fake *f);
void in_fake_clear(struct in_fake *f);

void in_fake_send(struct in_fake *f, struct span bytes);
/* Goes on with what had to wait. */
void in_fake_run(struct in_fake *f);
/* Answers a held commit, the filters' question, or the begin that was asked for. */
void in_fake_release(struct in_fake *f);
/* Lets time pass by the fake clock; timers fire. */
void in_fake_wait(struct in_fake *f, int64_t usec);
/* The handshake is done. */
void in_fake_tls(struct in_fake *f);
/* The peer has nothing more to say. */
void in_fake_eof(struct in_fake *f);

#endif
