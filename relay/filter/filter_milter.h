/* SPDX-License-Identifier: Apache-2.0 */
/* filter_milter - one connection to one filter as an engine without I/O: bytes and events in, bytes and answers out.
 *
 * Story:     its host (filter_conn, or a test) tells it connected, feeds what arrives and sends what stands in out. After
 *            ready it may be asked, one thing at a time: CONNECT, HELO, then for each message MAIL, RCPT, DATA, and the
 *            message itself: message gives the header section, body its octets as there is room, end says that
 *            this was all. Changes come one by one before the verdict; none of them counts if the verdict is
 *            FAILED. abort ends a transaction before its verdict.
 *            A filter that has accepted (or refused) a message hears no more of it; one that has accepted the
 *            connection hears nothing at all any more.
 * States:    X-macro below. One function changes them.
 * Errors:    a breach of the protocol, a timeout or a lost connection is FAILED with why; the engine is BROKEN then for
 *            good.
 * Ownership: fact, head and conf are borrowed; head until the verdict.
 * Limits:    one chunk of the body (64 KiB) is held, wiped when it goes; out holds at most FILTER_MILTER_OUT_MAX.
 * Source:    milterproto.h; Sendmail's milter API; times: sealpost-relay.yaml(5), filters.
 * Thread:    its host's. */
#ifndef RELAY_FILTER_FILTER_MILTER_H
#define RELAY_FILTER_FILTER_MILTER_H

#include "milterproto/milterproto.h"
#include "relay/filter/filter_fact.h"
#include "relay/filter/filter_head.h"
#include "relay/relay_conf.h"

#define FILTER_MILTER_OUT_MAX (2u << 20)

/*  START --connected--> OPTIONS --options--> IDLE <--answer-- ASKED
 *                                             | message        ^
 *                                             v                | ask
 *                                          FIELDS --> EOH --> BODY <--> CHUNK
 *                                                               | end
 *                                                               v
 *                           IDLE <--verdict or abort-- OUT <-- END
 *  any --breach, timeout, lost--> BROKEN */
#define FILTER_MILTER_STATES(X)                                 \
	X(START, "is not connected")                            \
	X(OPTIONS, "waits for the filter's options")            \
	X(IDLE, "can be asked")                                 \
	X(ASKED, "waits for the answer to a command")           \
	X(FIELDS, "waits for the answer to a header field")     \
	X(EOH, "waits for the answer to the end of the header") \
	X(BODY, "takes the body")                               \
	X(CHUNK, "waits for the answer to a chunk of the body") \
	X(END, "waits for changes and the verdict")             \
	X(OUT, "has its verdict of this message")               \
	X(BROKEN, "is over")

enum filter_milter_state {
#define FILTER_MILTER_ENUM(name, text) FILTER_MILTER_##name,
	FILTER_MILTER_STATES(FILTER_MILTER_ENUM)
#undef FILTER_MILTER_ENUM
};

enum filter_ask {
	FILTER_CONNECT,
	FILTER_HELO,
	FILTER_MAIL,
	FILTER_RCPT,
	FILTER_DATA,
	FILTER_MESSAGE
};

enum filter_word {
	FILTER_GO_ON,
	FILTER_ACCEPT,	/* and it hears no more of it */
	FILTER_DISCARD, /* accept and throw away */
	FILTER_REFUSE,	/* with smtp */
	FILTER_FAILED	/* it cannot be asked: away, slow, or not in step; why says so */
};
struct filter_verdict {
	enum filter_word word;
	struct milterproto_smtp smtp;
	const char *why; /* static */
};

struct filter_milter_host {
	void (*ready)(void *arg);
	/* To what was asked, or of the message. */
	void (*verdict)(void *arg, const struct filter_verdict *v);
	/* A change of the message: 0; ERR_FORMAT: not possible, the filter fails; 1: not now, the host feeds the
	 * same octets again when it is. */
	int (*change)(void *arg, const struct milterproto_reply *r);
	/* body takes octets again. */
	void (*room)(void *arg);
	/* Call timeout after usec; 0: not any more. */
	void (*timer)(void *arg, int64_t usec);
};

struct filter_milter {
	const struct filter_milter_host *host;
	void *arg;
	const struct relay_filter *conf;
	const struct filter_fact *fact;
	enum filter_milter_state state;
	enum filter_ask asked;
	const char *why; /* when BROKEN */
	uint32_t actions, steps;
	char *macros[MILTERPROTO_STAGES]; /* NULL: the usual ones */
	int over;			  /* it has accepted the connection */
	int transaction;		  /* it was told MAIL, and no verdict came since */
	uint8_t skipped;		  /* command that it does not want for now */
	const struct filter_head *head;
	unsigned field;
	int ended; /* no more of the body comes */
	struct buf body;
	struct buf out;
};

void filter_milter_init(struct filter_milter *m, const struct filter_milter_host *host, void *arg,
			const struct relay_filter *conf, const struct filter_fact *fact);
void filter_milter_clear(struct filter_milter *m);

void filter_milter_connected(struct filter_milter *m);
/* Octets used; call again with the rest and what comes behind it. The host is called from within. */
size_t filter_milter_input(struct filter_milter *m, struct span in);
void filter_milter_timeout(struct filter_milter *m);
/* The connection is gone. why: static. */
void filter_milter_lost(struct filter_milter *m, const char *why);

/* 1: the verdict comes, later; 0: it has nothing to say, go on. */
int filter_milter_ask(struct filter_milter *m, enum filter_ask what);
/* Shows it a message. 1: body, end and a verdict follow; 0: it does not want it. */
int filter_milter_message(struct filter_milter *m, const struct filter_head *head);
/* Octets taken; with less than all, room comes (or the verdict). */
size_t filter_milter_body(struct filter_milter *m, struct span s);
void filter_milter_end(struct filter_milter *m);
/* The transaction is over for us: nothing is asked any more, the next is MAIL. */
void filter_milter_abort(struct filter_milter *m);
/* Says good-bye. */
void filter_milter_quit(struct filter_milter *m);

#endif
