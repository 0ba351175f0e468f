/* SPDX-License-Identifier: Apache-2.0 */
/* tls_check_own - what the files of tls_check know of each other; nobody else includes it.
 *
 * Story: tls_check.c asks and brings the answer home; tls_check_try.c connects to one host;
 *        tls_check_chain.c tells of certificates; tls_check_verdict.c says what it all comes to. */
#ifndef RELAY_TLS_TLS_CHECK_OWN_H
#define RELAY_TLS_TLS_CHECK_OWN_H

#include "evt/evt_timer.h"
#include "relay/out/out_conn.h"
#include "relay/tls/tls_check.h"

struct tls_check;

/* One host. */
struct tls_check_try {
	struct tls_check *check;
	unsigned host; /* index in check->hosts.names */
	struct out_conn *conn;
	struct out_hosts hosts; /* this one alone */
	struct out_policy look; /* of the second look */
	int looking;		/* it is that one */
	int done, ready;
	int64_t began;
	struct queue_result verdict;
	struct out_conn_peer peer;
	json_t *out;
};

struct tls_check {
	struct relay_msg msg; /* to the worker and back */
	struct list_link link;
	struct relay *relay;
	struct relay_worker *worker;
	tls_check_fn done;
	void *arg;
	char domain[256], customer[65];
	/* the worker's */
	const struct relay_conf *conf;
	struct evt_timer timer;
	struct evt_defer next; /* all that was waited for is there */
	struct out_dns *dns;
	struct out_policies *policies;
	struct out_tls *tls;
	struct out_route route;
	struct out_policy_query *asking;
	struct out_policy *policy;
	struct out_hosts_lookup *lookup;
	struct out_hosts hosts;
	struct queue_result failure; /* of lookups, if it has an outcome */
	struct tls_check_try tries[OUT_MX_HOSTS];
	unsigned try_count, open;
	uint64_t seed;
	int tried;
	int err;
	json_t *out;
};

/* Connects, tells t->out; tls_check_try_done is called, perhaps within the call. */
void tls_check_try_begin(struct tls_check_try *t);
void tls_check_try_end(struct tls_check_try *t); /* whatever it does */
void tls_check_try_done(struct tls_check_try *t);

/* The chain that a peer showed; NULL if there is none. */
json_t *tls_check_chain(SSL *ssl);

/* Verdict over all; t: in the order of preference. */
json_t *tls_check_verdict(const struct tls_check *k);

#endif
