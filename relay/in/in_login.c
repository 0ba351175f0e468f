/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_login.h"

#include <openssl/x509.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "relay/in/in_clients.h"
#include "relay/in/in_limit.h"
#include "relay/keys/keys_object.h"

static int64_t now(const struct in_login *l)
{
	return evt_loop_now(l->w->loop);
}

enum in_reply in_login_begin(struct in_login *l)
{
	return in_limit_take(l->w->relay->limit, IN_LIMIT_SESSIONS, in_limit_client(l->peer),
			     l->conf->limits.client_sessions, now(l))
		   ? IN_REPLY_NONE
		   : IN_REPLY_FULL_CLIENT;
}

/* He is who. 0; ERR_EXISTS: his credential has all the sessions it may have. */
static int accept_him(struct in_login *l, const struct in_auth_credential *who)
{
	struct in_auth_credential *keep = malloc(sizeof(*keep));
	unsigned limit = who->connections > 0 ? (unsigned)who->connections : UINT32_MAX;

	if (!keep)
		return ERR_NOMEM;
	if (!in_clients_enter(in_limit_credential(who->id), limit)) {
		free(keep);
		return ERR_EXISTS;
	}
	*keep = *who;
	l->who = keep;
	keys_object_want(l->w->keys, keep->customer);
	return 0;
}

static void count_failure(const struct in_login *l)
{
	const struct relay_conf *c = l->conf;

	if (in_limit_failed(l->w->relay->limit, in_limit_client(l->peer), c->limits.auth_failures,
			    c->limits.auth_lockout, now(l)))
		log_event(LOG_LEVEL_WARN, l->s->name, "locked-out", "client=%s", l->s->peer.address);
}

/* Runs on the worker; the connection may have gone meanwhile. */
static void answered(struct relay_msg *m, void *receiver)
{
	struct in_auth_check *c = (struct in_auth_check *)m;
	struct in_login *l = c->arg;
	int err = c->err;

	(void)receiver;
	if (l) {
		l->check = NULL;
		if (err == 0)
			err = accept_him(l, &c->who);
		else if (err == ERR_AUTH)
			count_failure(l);
		in_session_authed(l->s, l->ticket, err, c->who.name, c->who.customer);
	}
	in_auth_check_free(c);
	if (l)
		l->told(l->arg);
}

int in_login_check(struct in_login *l, uint64_t ticket, const char *name, struct span password)
{
	struct relay *r = l->w->relay;
	struct in_auth_check *c;
	int rc;

	if (in_limit_locked(r->limit, in_limit_client(l->peer), now(l)))
		return ERR_LIMIT;
	c = in_auth_check_new();
	if (!c)
		return ERR_NOMEM;
	if (span_copy_str(c->name, sizeof(c->name), span_str(name)) < 0 ||
	    span_copy_str(c->password, sizeof(c->password), password) < 0) {
		in_auth_check_free(c);
		return ERR_AUTH;
	}
	c->msg.run = answered;
	c->reply = l->w->inbox;
	c->arg = l;
	l->check = c;
	l->ticket = ticket;
	rc = in_auth_check(r->auth, c);
	if (rc == 1)
		evt_inbox_post(c->reply, &c->msg.msg);
	if (rc >= 0)
		return 0;
	l->check = NULL;
	in_auth_check_free(c);
	return rc;
}

enum in_reply in_login_allow(const struct in_login *l, int recipient)
{
	const struct relay_conf *c = l->conf;
	struct num_rate rate = recipient ? c->limits.client_recipients : c->limits.client_messages;
	enum in_limit_kind kind = recipient ? IN_LIMIT_RECIPIENTS : IN_LIMIT_MESSAGES;
	struct in_limit_key key;

	if (l->who) {
		rate = recipient ? l->who->recipients : l->who->messages;
		kind = recipient ? IN_LIMIT_CREDENTIAL_RECIPIENTS : IN_LIMIT_CREDENTIAL_MESSAGES;
	}
	if (!rate.count)
		return IN_REPLY_NONE;
	key = l->who ? in_limit_credential(l->who->id) : in_limit_client(l->peer);
	if (in_limit_take(l->w->relay->limit, kind, key, rate, now(l)))
		return IN_REPLY_NONE;
	return recipient ? IN_REPLY_RATE_RECIPIENTS : IN_REPLY_RATE_MESSAGES;
}

/* --- certificates */

/* A certificate that does not hold is as none: the client may still log in with a password. */
static int go_on(int good, X509_STORE_CTX *x)
{
	(void)good;
	(void)x;
	return 1;
}

void in_login_want_certificate(SSL *ssl, const struct relay_listen *listen)
{
	STACK_OF(X509_NAME) * names;

	if (!ssl || !listen->client_store)
		return;
	SSL_set1_verify_cert_store(ssl, listen->client_store);
	names = sk_X509_NAME_dup(listen->client_names);
	if (names)
		SSL_set_client_CA_list(ssl, names);
	for (int i = 0; names && i < sk_X509_NAME_num(names); i++)
		sk_X509_NAME_set(names, i, X509_NAME_dup(sk_X509_NAME_value(names, i)));
	SSL_set_verify(ssl, SSL_VERIFY_PEER, go_on);
}

void in_login_certificate(struct in_login *l, SSL *ssl)
{
	struct in_auth_credential who;
	uint8_t fingerprint[32];
	unsigned n = 0;
	X509 *peer = ssl ? SSL_get0_peer_certificate(ssl) : NULL;
	int err;

	if (!peer || l->who || !X509_digest(peer, EVP_sha256(), fingerprint, &n) || n != 32)
		return;
	if (SSL_get_verify_result(ssl) != X509_V_OK) {
		log_event(LOG_LEVEL_INFO, l->s->name, "certificate-refused", "why=\"%s\" client=%s",
			  X509_verify_cert_error_string(SSL_get_verify_result(ssl)), l->s->peer.address);
		return;
	}
	err = in_auth_certificate(l->w->relay->auth, fingerprint, &who);
	if (err == 0)
		err = accept_him(l, &who);
	if (err == 0)
		err = in_session_log_in(l->s, who.name, who.customer, "certificate");
	if (err < 0)
		log_event(LOG_LEVEL_INFO, l->s->name, "certificate-refused", "why=\"%s\" client=%s",
			  err == ERR_AUTH ? "it belongs to no credential" : err_text(err),
			  l->s->peer.address);
}

enum in_reply in_login_believe(struct in_login *l, const char *name)
{
	struct in_auth_credential who;
	int err = in_auth_name(l->w->relay->auth, name, &who);

	if (err == 0)
		err = accept_him(l, &who);
	if (err == 0)
		err = in_session_log_in(l->s, who.name, who.customer, "xclient");
	if (err == 0)
		return IN_REPLY_NONE;
	return err == ERR_AUTH ? IN_REPLY_NO_SUCH_LOGIN : err == ERR_EXISTS ? IN_REPLY_FULL_CREDENTIAL : IN_REPLY_AUTH_AWAY;
}

void in_login_clear(struct in_login *l)
{
	if (l->check)
		l->check->arg = NULL;
	if (l->who)
		in_clients_leave(in_limit_credential(l->who->id));
	free(l->who);
	l->check = NULL;
	l->who = NULL;
}
