/* SPDX-License-Identifier: Apache-2.0 */
/* track_host_own - what the files of the tracking host know of each other: track_host, track_conn, track_visit. */
#ifndef RELAY_TRACK_TRACK_HOST_OWN_H
#define RELAY_TRACK_TRACK_HOST_OWN_H

#include "evt/evt_conn.h"
#include "evt/evt_listen.h"
#include "evt/evt_timer.h"
#include "http/http_request.h"
#include "relay/in/in_limit.h"
#include "relay/track/track_host.h"
#include "relay/track/track_keys.h"
#include "relay/track/track_page.h"
#include "seal/seal_track.h"

#define TRACK_HOST_LISTENERS 16

/* A configuration with its certificates; connections hold it. */
struct track_site {
	const struct relay_conf *conf; /* lives as long as relay */
	SSL_CTX **ctx;		       /* of each of tracking.hosts */
	unsigned refs;
};

struct track_host {
	struct track *track;
	struct relay *relay;
	pthread_t thread;
	int running;
	struct evt_loop *loop;
	struct evt_inbox *inbox;
	struct evt_listen *listen[TRACK_HOST_LISTENERS];
	unsigned listen_count;
	struct keyproto_client_ev *keyd;
	struct relay_worker worker; /* only its keyd: for keys of certificates that live there */
	struct track_keys *keys;
	struct in_limit *limit;
	struct track_site *site;
	const struct relay_conf *tried; /* the last configuration that was looked at */
	struct evt_timer timer;
	struct list conns;
	struct list visits; /* under way */
	int stopping;
	atomic_uint_fast64_t requests, refused;
	atomic_uint connections;
};

struct track_visit;
struct track_conn {
	struct list_link link;
	struct track_host *host;
	struct track_site *site;
	struct evt_conn *conn;
	struct track_visit *visit; /* being answered: nothing more is read */
	struct in_limit_key key;
	char net[TRACK_NET_TEXT];
	const struct relay_track_host *named; /* by SNI; NULL: it named none */
	unsigned requests;
	int reading; /* a request has begun to arrive */
	int close;
};

/* --- track_host.c */
struct track_site *track_host_site(struct track_host *h); /* with a reference */
void track_host_site_done(struct track_site *s);
/* Of the name, or NULL. */
const struct relay_track_host *track_host_named(const struct track_site *s, struct span name);

/* --- track_conn.c */
void track_conn_accept(void *host, int fd, const struct sockaddr_storage *peer);
void track_conn_drop(struct track_conn *c);
/* Answers what was asked, and goes on with the next request. */
void track_conn_reply(struct track_conn *c, const struct track_page *p);

/* --- track_visit.c */
/* All that is needed of r and body. NULL: no memory. */
struct track_visit *track_visit_new(struct track_conn *c, const struct relay_track_host *where, const struct http_request *r,
				    struct span body);
/* Answers it, at once or later; c may be gone then. */
void track_visit_run(struct track_visit *v);
/* Its connection has gone. */
void track_visit_leave(struct track_visit *v);
/* All that are left, at the end, when no other thread has one. */
void track_visit_clear(struct track_host *h);
/* Keys they wait for do not come any more. */
void track_visit_stop(struct track_host *h);

#endif
