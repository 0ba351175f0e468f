/* SPDX-License-Identifier: Apache-2.0 */
/* relay - what the parts of relay know of each other: pointers only.
 *
 * Story:  main makes one struct relay, and one struct relay_worker per event loop. Threads:
 *           worker N   evt_loop: SMTP sessions in and out, sealing, its own connection to keyd
 *           spool      writes the log, one fdatasync for all that waits (spool/spool_log.h)
 *           queue      owns the schedule (queue/queue.h)
 *           control    evt_loop: API socket, signals, status (main's thread)
 *         They share nothing mutable but what is atomic here; everything else goes through inboxes. */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "core/list.h"
#include "evt/evt_inbox.h"
#include "evt/evt_loop.h"
#include "evt/evt_tls.h"
#include "relay/relay_conf.h"

struct spool_log;
struct queue;
struct keys_object;
struct relay_reseal;
struct spool_pool;
struct out_worker;
struct out_policies;
struct in_listen;
struct api_server;
struct keyproto_client_ev;
struct keys_witness;
struct keys_cred;
struct keys_cred_book;
struct dkim_keys;
struct relay_retired;
struct shape;
struct in_auth;
struct in_limit;
struct relay_credentials;
struct store;
struct bounce_list;
struct api_dkim_checks;
struct domain_checks;
struct https_fetch;
struct sts;
struct sts_tend;
struct tls_exceptions;
struct tlsrpt;
struct track;
struct out_selftest;
struct ledger;
struct campaigns;

/* Every message to a worker, the queue or control begins with this: kind-free, it carries its own handler,
 * which runs on the receiving thread. */
struct relay_msg {
	struct evt_msg msg;
	void (*run)(struct relay_msg *m, void *receiver); /* receiver: relay_worker, queue, or relay */
};

struct relay_worker {
	struct relay *relay;
	int index;
	int keyd_ready; /* counted in keyd_missing if not */
	pthread_t thread;
	sem_t released;			/* posted when control does not touch the loop any more */
	struct relay_msg order, answer; /* stop_mail's, here so that stopping needs no memory */
	struct evt_loop *loop;
	struct evt_inbox *inbox;	 /* struct relay_msg: see below */
	struct keyproto_client_ev *keyd; /* role relay */
	struct keys_object *keys;
	struct keys_cred *creds; /* logins at next hops */
	struct dkim_keys *dkim;	 /* who may sign for which domain now */
	struct spool_pool *pool; /* buffers of spool_message: made on first use, spool_pool_free at the end */
	struct in_listen *in;
	struct out_worker *out;
	struct sts_tend *sts; /* worker 0's */
	struct out_selftest *selftest; /* of worker 0 */
	struct list checks; /* of worker 0: tls_check */
	struct out_policies *policies; /* out's: how much TLS domains must have */
};

/* Counters for status; each is written by many threads, read by control. */
#define RELAY_COUNTERS(X)                                                                          \
	X(sessions_in) X(sessions_open) X(messages_in) X(bytes_in) X(rejected) X(tempfailed)       \
	X(deliveries) X(deferrals) X(bounces) X(expired) X(connections_out) X(connections_open)    \
	X(tls_in) X(tls_out) X(clear_out) X(spool_syncs) X(spool_bytes) X(damaged) \
	X(async_bounces) X(complaints) X(tlsa_malformed) X(dkim_signed) X(dkim_unsigned) X(dkim_failed)

struct relay {
	_Atomic(struct relay_conf *) conf;
	_Atomic(SSL_CTX *) tls_in;	   /* NULL: no certificate configured */
	_Atomic(SSL_CTX *) tls_out;	   /* opportunistic, encrypt */
	_Atomic(SSL_CTX *) tls_out_verify; /* verify */
	struct evt_loop *loop;	 /* control */
	struct evt_inbox *inbox; /* control's */
	struct relay_worker *workers;
	int worker_count;
	struct spool_log *spool;
	struct queue *queue;
	struct api_server *api;
	struct keys_witness *witness;
	struct keys_cred_book *creds; /* sealed logins at next hops; any thread */
	struct shape *shape; /* limits of destinations and sources; any thread */
	struct in_auth *auth;	/* who may log in; any thread */
	struct relay_credentials *credentials; /* control's */
	struct in_limit *limit; /* rates of clients; any thread */
	struct relay_reseal *reseal;	/* control's: brings what is in the store under the newest DEKs */
	struct bounce_list *suppressed; /* recipients that mail is not taken for; any thread looks */
	struct sts *sts; /* MTA-STS policies; any thread */
	struct https_fetch *https; /* requests to web servers; any thread */
	struct tls_exceptions *exceptions; /* from TLS policy; any thread looks */
	unsigned tls_checks; /* that run; control's */
	struct tlsrpt *tlsrpt; /* TLS reports; any thread notes */
	struct track *track;   /* who follows links; any thread notes */
	struct api_dkim_checks *dkim_checks; /* control's */
	struct domain_checks *domain_checks; /* control's */
	struct store *store;	/* control's database */
	struct ledger *ledger;	/* what became of each attempt; any thread posts */
	struct campaigns *campaigns; /* that are registered; see campaign/campaign.h */
	atomic_int ledger_full; /* it has no room for more: nothing new is tried */
	struct keyproto_client_ev *keyd; /* control's own */
	int64_t started; /* wall */
	atomic_int stopping;
	struct relay_retired *retired; /* what reloads replaced */
	int workers_busy;	       /* while stopping: halves of workers still at work */
	atomic_int keyd_state; /* KEYPROTO_AWAY or enum keyproto_state: ready when it is so for each worker */
	int keyd_missing;      /* workers for which it is not; under relay_worker.c's lock */
	struct {
		atomic_int selftest;		    /* enum out_selftest_result */
		atomic_int_fast64_t since, tested; /* wall usec */
	} dns;
#define RELAY_COUNTER(name) atomic_uint_fast64_t name;
	struct {
		RELAY_COUNTERS(RELAY_COUNTER)
	} count;
#undef RELAY_COUNTER
};

#define relay_count(r, name, n) atomic_fetch_add_explicit(&(r)->count.name, (n), memory_order_relaxed)

/* The configuration of this moment, with a reference: relay_conf_unref when done. Configurations that a reload
 * replaced stay alive until the end, so a pointer once read stays good. TLS contexts are far larger and do not: a worker
 * that keeps one beyond a turn of its loop takes a reference. */
struct relay_conf *relay_now(struct relay *r);

/* Life, for main. relay_new takes conf's reference over; NULL: *why. relay_run returns when stopped. */
struct relay *relay_new(struct relay_conf *conf, const char **why);
int relay_run(struct relay *r);
void relay_free(struct relay *r);

#endif
