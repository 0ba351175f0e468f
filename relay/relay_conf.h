/* SPDX-License-Identifier: Apache-2.0 */
/* relay_conf - relay.yaml as a struct.
 *
 * Story:     relay_conf_load reads, checks across keys, and gives one immutable, counted struct. Reload makes
 *            another; sessions keep the one they began with until they end.
 * Source:    sealpost-relay.yaml(5); the table is in relay_conf.c.
 * Thread:    read from any; the count is atomic. */
#ifndef RELAY_RELAY_CONF_H
#define RELAY_RELAY_CONF_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "conf/conf_schema.h"
#include "core/num.h"

enum relay_mode { RELAY_SMARTHOST, RELAY_SUBMISSION, RELAY_SUBMISSIONS };
enum relay_tls { /* from the least to the strictest */
	RELAY_TLS_NONE,
	RELAY_TLS_OPPORTUNISTIC,
	RELAY_TLS_ENCRYPT,
	RELAY_TLS_VERIFY,
	RELAY_TLS_DANE
};

struct relay_net { /* a CIDR block, v4 held as v6-mapped */
	uint8_t addr[16];
	int bits;
};

struct relay_nets { /* from a list of texts */
	struct relay_net *all;
	size_t count;
};

enum relay_auth { RELAY_AUTH_BY_MODE, RELAY_AUTH_NO, RELAY_AUTH_OPTIONAL, RELAY_AUTH_REQUIRED };
enum relay_listen_tls { RELAY_LISTEN_TLS_BY_MODE, RELAY_LISTEN_TLS_OFFERED, RELAY_LISTEN_TLS_REQUIRED };

struct relay_listen {
	char *address_text;
	int mode; /* enum relay_mode */
	char *customer;
	int auth;	 /* enum relay_auth, never BY_MODE once loaded */
	int tls;	 /* enum relay_listen_tls, never BY_MODE once loaded */
	char *client_ca; /* PEM; NULL: no client certificates are asked for */
	struct conf_list proxies, xclient; /* char *: CIDR */
	int filters;	 /* mail from here passes them */
	struct sockaddr_storage address; /* from address_text */
	socklen_t address_len;
	struct relay_nets proxy_nets, xclient_nets;
	X509_STORE *client_store; /* of client_ca, with the names to tell clients; NULL: none */
	STACK_OF(X509_NAME) *client_names;
};

enum relay_away { RELAY_AWAY_TEMPFAIL, RELAY_AWAY_ACCEPT, RELAY_AWAY_REJECT };
struct relay_filter { /* a milter */
	char *socket; /* "unix:/path", "inet:PORT@HOST", "inet6:PORT@HOST", numeric or localhost */
	int away;     /* enum relay_away: what is said when it cannot be asked */
	int64_t connect, timeout, body; /* usec: to connect, for an answer, for the answer after the body */
};

struct relay_route {
	char *domain; /* lower case; "*": any; ".example.org": subdomains */
	char *to;     /* "mx" or host:port */
	int tls;      /* enum relay_tls */
	char *customer;	  /* NULL: any */
	char *pool;	  /* of sources; NULL: the host's own address */
	char *credential; /* to log in with at the next hop; NULL: none */
};

struct relay_source { /* a virtual MTA */
	char *name;
	char *address, *address6; /* to send from, numeric; NULL: the system chooses */
	char *hostname;		  /* for EHLO; NULL: ours */
	char *warmup;		  /* name of a schedule, or NULL */
};
struct relay_pool {
	char *name;
	struct conf_list sources; /* char *: NAME or NAME=WEIGHT */
	struct relay_pool_member {
		unsigned source; /* index in sources */
		unsigned weight;
	} * members;
	size_t member_count;
};
struct relay_warmup {
	char *name;
	char *start;		/* YYYY-MM-DD, UTC */
	struct conf_list daily; /* char *: messages to one site on that day, the last for all that follow: decimal, or "all" */
	char *overflow;		/* pool for what is more; NULL: it waits */
};

struct relay_dkim { /* a domain whose mail is signed */
	char *domain;	/* of From, lower case, ASCII */
	char *customer; /* whose mail; NULL: anybody's */
	char *selector; /* what selectors begin with */
	int subdomains; /* mail from below it too */
};

struct relay_track_host { /* a tracking host */
	char *host;	/* lower case */
	char *customer; /* whose tokens are good there */
	char *certificate, *key; /* as tls.certificate, tls.key */
};

enum relay_eightbit { RELAY_EIGHTBIT_PASS, RELAY_EIGHTBIT_REFUSE };
enum relay_ipv6 { RELAY_IPV6_PREFER, RELAY_IPV6_AFTER, RELAY_IPV6_NO };

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
	struct conf_list filters; /* struct relay_filter, in order */
	struct conf_list routes;  /* struct relay_route, first match wins */
	struct conf_list sources; /* struct relay_source */
	struct conf_list pools;	  /* struct relay_pool */
	struct conf_list warmups; /* struct relay_warmup */
	struct conf_list dkim;	  /* struct relay_dkim */
	struct conf_list shaping; /* char *: rule files, patterns of glob(7) */
	struct {
		char *domain; /* where bounces and reports are taken in; NULL: nowhere */
		int verp;
		int64_t delay; /* usec until the sender hears of a delay; 0: never */
		int full;      /* reports hold the whole message unless RET says otherwise */
		int64_t keep;  /* usec that a suppression after a bounce lasts */
		struct conf_list reports; /* char *: local parts at domain that take feedback reports */
	} bounce;
	struct {
		int64_t first, max, expire; /* usec */
	} retry;
	struct {
		char *socket, *https, *redirect;
		struct conf_list users; /* char *: names or uids beside root and our own uid */
		char *milter; /* who may use what is milter's */
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
		int64_t open;		 /* outgoing connections in all */
		int eightbit;		 /* enum relay_eightbit: 8-bit mail for a server without 8BITMIME */
		int ipv6;		 /* enum relay_ipv6 */
		int dane;		 /* TLSA records are asked for, and count */
		int mta_sts;		 /* 1: policies of domains are looked up */
	} outbound;
	struct {
		int64_t keep; /* usec */
	} ledger;
	struct {
		int send;
		char *from; /* NULL: nothing is sent */
		char *organization, *contact; /* NULL: the domain of from; from */
		char *customer;		      /* NULL: the first listener's */
		int64_t delay;		      /* usec */
	} tlsrpt;
	struct {
		struct conf_list listen; /* char *: ADDRESS:PORT */
		struct conf_list hosts;	 /* struct relay_track_host */
		int64_t keep;		 /* usec */
		char *mailto;		 /* domain of addresses to unsubscribe; NULL: none */
		int64_t connections;
		struct num_rate rate;	/* requests from one address */
		int64_t header, idle;	/* usec */
		int64_t webhook_timeout; /* usec */
	} tracking;
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
		struct num_rate client_sessions, client_messages, client_recipients; /* of one address */
		struct num_rate auth_failures;					    /* likewise */
		int64_t auth_lockout;						    /* usec */
		uint64_t free_space; /* floor under which mail is refused (452) */
		int64_t free_inodes; /* likewise */
	} limits;

	atomic_int refs;
};

/* NULL and err ("FILE:LINE: KEY: what") on failure. One reference. */
struct relay_conf *relay_conf_load(const char *path, char err[CONF_ERR_MAX]);
struct relay_conf *relay_conf_ref(struct relay_conf *c);
void relay_conf_unref(struct relay_conf *c);
/* The first key that differs and is looked at only at a start, as "map.key"; or NULL. */
const char *relay_conf_needs_restart(const struct relay_conf *a, const struct relay_conf *b);
/* The table, for `config check`, dump and manual. */
const struct conf_key *relay_conf_table(void);

/* 1 if the address is within one of the nets. */
int relay_conf_net_match(const struct relay_net *nets, size_t count, const struct sockaddr_storage *a);
/* Route of a customer's recipient at domain (lower case), or NULL if none matches. */
const struct relay_route *relay_conf_route(const struct relay_conf *c, const char *customer,
					   struct span domain);
/* By name; NULL if there is none of that name. */
const struct relay_pool *relay_conf_pool(const struct relay_conf *c, const char *name);
const struct relay_warmup *relay_conf_warmup(const struct relay_conf *c, const char *name);

#endif
