/* SPDX-License-Identifier: Apache-2.0 */
/* relay_conf - relay.yaml as a struct.
 *
 * Story:     relay_conf_load reads, checks across keys, and gives one immutable, counted struct. Reload makes
 *            another; sessions keep the one they began with until they end.
 * Source:    sealpost-relay.yaml(5); the table is in relay_conf.c.
 * Thread:    read from any; the count is atomic. */
#ifndef RELAY_RELAY_CONF_H
#define RELAY_RELAY_CONF_H

#include <stdatomic.h>
#include <sys/socket.h>

#include "conf/conf_schema.h"

enum relay_mode { RELAY_SMARTHOST, RELAY_SUBMISSION, RELAY_SUBMISSIONS };
enum relay_tls { RELAY_TLS_NONE, RELAY_TLS_OPPORTUNISTIC, RELAY_TLS_ENCRYPT, RELAY_TLS_VERIFY };

struct relay_net { /* a CIDR block, v4 held as v6-mapped */
	uint8_t addr[16];
	int bits;
};

struct relay_listen {
	char *address_text;
	int mode; /* enum relay_mode */
	char *customer;
	struct sockaddr_storage address; /* from address_text */
	socklen_t address_len;
};

struct relay_route {
	char *domain; /* lower case; "*": any; ".example.org": subdomains */
	char *to;     /* "mx" or host:port */
	int tls;      /* enum relay_tls */
};

struct relay_conf {
	char *path;	/* of the file */
	char *hostname; /* in greeting, EHLO, Received, Message-ID of DSNs */
	char *state;	/* directory of spool and database */
	char *keyd;	/* socket */
	char *user;	/* to run as when started as root */
	char *workers_text;
	int workers;		 /* event loops; "auto" = CPUs */
	struct conf_list listen; /* struct relay_listen */
	struct conf_list trusted; /* char *: CIDR */
	struct relay_net *trusted_nets;
	size_t trusted_count;
	struct {
		char *certificate; /* PEM chain */
		char *key;	   /* "keyd:LABEL" or a PEM file */
	} tls;
	struct conf_list filters; /* char * */
	struct conf_list routes;  /* struct relay_route, first match wins */
	struct {
		int64_t first, max, expire; /* usec */
	} retry;
	struct {
		char *socket, *https, *redirect;
		struct conf_list users; /* char *: names or uids beside root and our own uid */
	} api;
	struct {
		struct conf_list servers; /* char *: "ADDRESS@PORT" */
		char *trust_anchor;
	} dns;
	struct {
		char *ca;
		struct conf_list private_ok; /* char *: CIDR */
		struct relay_net *private_nets;
		size_t private_count;
		int64_t port;		 /* of MX hosts */
		int64_t connections;	 /* per destination */
		int64_t messages;	 /* per connection */
		int64_t idle;		 /* usec a connection is kept for reuse */
	} outbound;
	struct {
		int64_t rate;	/* items a second */
		int64_t settle; /* usec */
	} reseal;
	struct {
		uint64_t message_size; /* bytes */
		int64_t recipients;    /* per transaction */
		int64_t sessions;      /* all listeners together */
		int64_t sessions_per_client;
		int64_t errors; /* bad commands before 421 */
		int64_t idle;	/* usec */
		uint64_t free_space; /* floor under which mail is refused (452) */
	} limits;

	atomic_int refs;
};

/* NULL and err ("FILE:LINE: KEY: what") on failure. One reference. */
struct relay_conf *relay_conf_load(const char *path, char err[CONF_ERR_MAX]);
struct relay_conf *relay_conf_ref(struct relay_conf *c);
void relay_conf_unref(struct relay_conf *c);
/* The table, for `config check`, dump and manual. */
const struct conf_key *relay_conf_table(void);

/* 1 if the address is within one of the nets. */
int relay_conf_net_match(const struct relay_net *nets, size_t count, const struct sockaddr_storage *a);
/* Route of a recipient's domain (lower case), or NULL if none matches. */
const struct relay_route *relay_conf_route(const struct relay_conf *c, struct span domain);

#endif
