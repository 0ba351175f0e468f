/* SPDX-License-Identifier: Apache-2.0 */
/* in_login - how a session's client proves who he is, and what he may do then: in_conn's part in AUTH and in limits.
 *
 * Story:     one per connection. in_conn passes on what the engine asks: check (a name and a password), allow (a message, a
 *            recipient); tells of a certificate after the handshake; and frees it with the connection. told is called
 *            when an answer has gone into the engine.
 * Limits:    limits.client_*, limits.auth_*; those of the credential.
 * Ownership: memory beyond the struct only for sessions that log in.
 * Thread:    its worker's. */
#ifndef RELAY_IN_IN_LOGIN_H
#define RELAY_IN_IN_LOGIN_H

#include "relay/in/in_auth.h"
#include "relay/in/in_session.h"

struct in_login {
	struct relay_worker *w;
	struct in_session *s;
	const struct relay_conf *conf;
	const struct sockaddr_storage *peer;
	void (*told)(void *arg);
	void *arg;
	struct in_auth_check *check;	/* under way */
	uint64_t ticket;
	struct in_auth_credential *who; /* logged in, and counted as its session */
};

/* The session's start: NONE, or why it may not begin (limits.client_sessions). */
enum in_reply in_login_begin(struct in_login *l);
int in_login_check(struct in_login *l, uint64_t ticket, const char *name, struct span password);
enum in_reply in_login_allow(const struct in_login *l, int recipient);
/* Prepares a handshake to ask for a certificate, if the listener has a client_ca. */
void in_login_want_certificate(SSL *ssl, const struct relay_listen *listen);
/* The handshake is done: logs in by certificate, if there is a good one that belongs to a credential. */
void in_login_certificate(struct in_login *l, SSL *ssl);
/* A proxy says that its client has logged in as name: NONE, or what to say. */
enum in_reply in_login_believe(struct in_login *l, const char *name);
void in_login_clear(struct in_login *l);

#endif
