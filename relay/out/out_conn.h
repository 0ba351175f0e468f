/* SPDX-License-Identifier: Apache-2.0 */
/* out_conn - one outgoing connection: out_session on an evt_conn, from the first address tried to
 * QUIT.
 *
 * Story:  open tries the targets of a next hop one after the other (and one target again where a
 *         broken handshake allows another hello) until a session is READY; then the owner's
 *         free_to_use is called. An IPv6 address that is silent for OUT_CONN_HURRY is put off until the
 *         others have been tried. What TLS a target must have is judged by out_policy_judge before it is
 *         connected to: one that policy forbids is passed over, and its reason noted as any failure. With a source, its addresses are bound to and its name is said; a
 *         target of a family that it has no address of is left out. A login that fails ends it all:
 *         no other target is tried with the same password. The owner gives it to a task; the task sends a message
 *         (out_conn_send), hears ended or stale, writes down the outcome and gives the connection
 *         back with out_conn_release: only then does it take the next message. The body goes from
 *         the spool's opened stretches, dots doubled or in one chunk, straight into the output of the connection;
 *         at most OUT_CONN_AHEAD bytes wait there. A stretch that cannot be opened, or an end that
 *         is not verified, closes the connection without the dot or the last octets of the chunk.
 * Ownership: the owner frees (out_conn_free) in failed and gone, or at its end.
 * Thread: the worker's.
 * Events: tls-fallback, starttls-injection, source-unusable, upstream-auth-failed,
 *         upstream-unverified. */
#ifndef RELAY_OUT_OUT_CONN_H
#define RELAY_OUT_OUT_CONN_H

#include "core/list.h"
#include "evt/evt_conn.h"
#include "relay/out/out_hosts.h"
#include "relay/out/out_policy.h"
#include "relay/out/out_session.h"
#include "relay/out/out_tls.h"

#define OUT_CONN_AHEAD	 (256u << 10)
#define OUT_CONN_WHY	 128
#define OUT_CONN_TARGETS 8		  /* tried for one connection */
#define OUT_CONN_BAD	 (60 * CLOCK_SEC) /* how long a target that failed is tried last */
#define OUT_CONN_HURRY	 (CLOCK_SEC / 2)  /* for an IPv6 address, if an IPv4 address waits */

/* What is known of the peer: for log, trace and DSN. */
struct out_conn_peer {
	char host[OUT_MX_NAME]; /* MX host, or as the route names it */
	char address[64];
	unsigned port;
	struct evt_conn_tls tls; /* version NULL: in clear */
	const char *clear;	 /* then why: "route", "exception", "not-offered", "refused", "broken" */
	char source[SHAPE_NAME]; /* we sent from; "": the host's own */
	char local[64];		 /* address of ours that was used; "": it did not come to a connection */
	/* What TLS was to be, and was. Static strings; out_policy.h, tlsrpt_result.h. */
	const char *policy;	     /* "none", "route", "exception", "dane", "sts", "sts-testing" */
	const char *verified_by;     /* "none", "pkix", "dane-ee", "dane-ta", "sts" */
	enum tlsrpt_result failure;  /* may be set although it was delivered: noted, not enforced */
	char why[OUT_CONN_WHY];	     /* what made the policy so, or what failed; no addresses in it */
};
/* As for a host that was never reached; host is "". */
void out_conn_peer_none(struct out_conn_peer *p, const struct out_policy *policy,
			enum tlsrpt_result failure);

struct out_conn;

/* Somebody who wants to send one message. The functions are called on the loop, never within a call
 * into out_conn or out_pool. */
struct out_task {
	struct list_link link; /* the pool's */
	const struct out_task_fns *fns;
	struct out_route route;
	struct out_policy *policy; /* the task's count, while it waits or is served */
	struct shape_lane *lane; /* borrowed while the task lives; NULL: none */
	char *site; /* QUEUE_SITE octets: which the route's domain is believed to have, "" unknown */
};
struct out_task_fns {
	/* c is yours until released. */
	void (*granted)(struct out_task *t, struct out_conn *c);
	/* No connection can be had. peer: the host that v was heard from or of, valid during the call;
	 * NULL: it is nobody's. */
	void (*refused)(struct out_task *t, const struct queue_result *v,
			const struct out_conn_peer *peer);
	/* The transaction is over; results are set. Release c. */
	void (*ended)(struct out_task *t, struct out_conn *c);
	/* The connection is gone before the server saw anything: ask for another. c is no longer
	 * yours. */
	void (*stale)(struct out_task *t);
};

struct out_conn_setup {
	struct relay *relay;
	struct evt_loop *loop;
	struct out_tls *tls;
	const struct relay_conf *conf;
	struct keys_cred *creds;
	struct shape_lane *lane; /* NULL: nobody hears of refusals */
	const struct shape_source *source; /* NULL: the system chooses the address, conf the name */
	const struct out_route *route;
	const struct out_policy *policy;
	struct out_hosts *hosts; /* stays, with its targets, until free_to_use or failed */
	uint64_t *seed;
	int no_chunks;
	int only_probe; /* no message is to be sent: no report counts it */
	void *owner;
	void (*free_to_use)(struct out_conn *c); /* READY, without a task */
	void (*failed)(struct out_conn *c, const struct queue_result *v); /* was never free to use */
	void (*gone)(struct out_conn *c); /* was free to use once; closed, without a task */
};

struct out_conn {
	struct list_link link; /* the owner's */
	int known;	       /* the owner's: free_to_use was heard */
	struct out_conn_setup setup;
	struct evt_conn *evt; /* NULL: closed */
	struct out_session session;
	unsigned timer_seen;
	int established, closed;
	int offered; /* free_to_use was told */
	unsigned messages; /* begun on it */
	struct out_conn_peer peer;
	int vouched; /* verified, and of a proven name: REQUIRETLS may be asked of the peer, if it offers it */
	char only_domain[256]; /* "": any that the pool lends it to; else the only one it is proven for */
	/* while it is being made */
	struct out_policy_host must; /* of the target; its records are hosts' */
	uint8_t order[2 * OUT_HOSTS_TARGETS]; /* those put off come once more */
	unsigned at, count, tries;
	int hurry;
	enum out_tls_try tls_try;
	int resumes; /* a session was offered in this handshake */
	const char *resumes_by; /* what its first handshake proved: verified_by */
	struct queue_result verdict;
	struct out_conn_peer verdict_peer; /* that it was heard from */
	struct keys_cred_query *asking;
	uint8_t *login; /* user and password: secret memory */
	/* at work */
	struct out_task *task;
	int settling; /* ended was told: whatever happens now, the task has its results */
	struct spool_reader *reader;
	struct evt_defer news; /* tells the task or the owner at the end of the turn */
	unsigned untold;       /* of enum out_session_want: ENDED, STALE, READY, CLOSE */
};

/* NULL: out of memory. */
struct out_conn *out_conn_open(const struct out_conn_setup *setup);
/* Closes without a word; no callback follows. NULL is fine. */
void out_conn_free(struct out_conn *c);

/* 1: READY and without a task. */
int out_conn_usable(const struct out_conn *c);
/* Makes t its task and calls granted. */
void out_conn_grant(struct out_conn *c, struct out_task *t);
/* reader stands at the first byte; it is borrowed until ended or stale. */
void out_conn_send(struct out_conn *c, const struct out_session_mail *m,
		   struct spool_reader *reader);
void out_conn_release(struct out_conn *c);

/* Without a task: ends with QUIT after usec, or now (0). */
void out_conn_idle(struct out_conn *c, int64_t usec);
/* Breaks off whatever it does, as if the connection were lost; the callbacks follow. */
void out_conn_abort(struct out_conn *c);

#endif
