/* SPDX-License-Identifier: Apache-2.0 */
#include "evt/evt_conn_own.h"

#include <arpa/inet.h>
#include <errno.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "core/err.h"
#include "core/log.h"

#define READ_BUFFER \
	33280 /* two records: half the calls for a body, and held only while bytes wait in it */
#define ABANDON_TRIES 16

static const long MODES =
    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS;

enum evt_conn_why evt_conn_ssl_why(struct evt_conn *c, int result, int *err, const char **reason)
{
	int saved = errno, why = SSL_get_error(c->ssl, result);
	unsigned long code;

	*reason = NULL;
	*err = ERR_TLS;
	errno = 0;
	switch (why) {
	case SSL_ERROR_WANT_READ:
		return EVT_CONN_AGAIN_READ;
	case SSL_ERROR_WANT_WRITE:
		return EVT_CONN_AGAIN_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return EVT_CONN_END;
	case SSL_ERROR_SYSCALL:
		*err = ERR_CLOSED;
		errno = saved;
		return EVT_CONN_FAILED;
	}
	code = ERR_peek_last_error();
	if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		*err = ERR_CLOSED;
	else
		*reason = code ? ERR_reason_error_string(code) : NULL;
	ERR_clear_error();
	return EVT_CONN_FAILED;
}

static int prepare(struct evt_conn *c, SSL_CTX *ctx)
{
	if (c->ssl || c->state != EVT_CONN_OPEN || c->finishing)
		return ERR_BADSTATE;
	c->ssl = SSL_new(ctx);
	if (!c->ssl) {
		ERR_clear_error();
		return ERR_NOMEM;
	}
	SSL_set_mode(c->ssl, MODES);
	/* Without it OpenSSL reads head and body of each record with a call of its own. */
	SSL_set_read_ahead(c->ssl, 1);
	SSL_set_default_read_buffer_len(c->ssl, READ_BUFFER);
	/* Only a side with a private key has anything to wait for. */
	if (EVT_ASYNC_POSSIBLE && SSL_CTX_get0_certificate(ctx))
		SSL_set_mode(c->ssl, SSL_MODE_ASYNC);
	return 0;
}

static int arrange(struct evt_conn *c)
{
	c->clear_left = buf_size(&c->out);
	c->state = EVT_CONN_STARTTLS;
	evt_conn_schedule(c);
	return 0;
}

int evt_conn_tls_accept(struct evt_conn *c, SSL_CTX *ctx)
{
	int err = prepare(c, ctx);

	if (err < 0)
		return err;
	SSL_set_accept_state(c->ssl);
	return arrange(c);
}

/* SNI and the name to verify. An address is verified as such and never sent as SNI (RFC 6066 3). */
static int set_name(struct evt_conn *c, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1)
		return 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(c->ssl, name) == 1 &&
	       X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

int evt_conn_tls_connect(struct evt_conn *c, SSL_CTX *ctx, const char *name, SSL_SESSION *session)
{
	int err, must_verify = SSL_CTX_get_verify_mode(ctx) & SSL_VERIFY_PEER;

	if (must_verify && !name)
		return ERR_BADSTATE;
	err = prepare(c, ctx);
	if (err < 0)
		return err;
	SSL_set_connect_state(c->ssl);
	if ((name && !set_name(c, name)) || (session && SSL_set_session(c->ssl, session) != 1)) {
		ERR_clear_error();
		SSL_free(c->ssl);
		c->ssl = NULL;
		return ERR_FORMAT;
	}
	c->verify = name != NULL;
	return arrange(c);
}

static int set_dane(struct evt_conn *c, const struct evt_conn_dane *d)
{
	int used = 0;

	/* OpenSSL prefers the strongest digest by itself (RFC 7671 9). */
	if (SSL_dane_enable(c->ssl, d->base) != 1)
		return 0;
	SSL_dane_set_flags(c->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(c->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	for (size_t i = 0; i < sizeof(d->names) / sizeof(d->names[0]); i++)
		if (d->names[i] && SSL_add1_host(c->ssl, d->names[i]) != 1)
			return 0;
	for (unsigned i = 0; i < d->count; i++) {
		const struct evt_conn_tlsa *r = &d->records[i];
		int rc = SSL_dane_tlsa_add(c->ssl, r->usage, r->selector, r->match, r->data, r->len);
		if (rc < 0)
			return 0;
		used += rc > 0;
	}
	SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
	return used > 0;
}

int evt_conn_tls_connect_dane(struct evt_conn *c, SSL_CTX *ctx, const struct evt_conn_dane *d,
			      SSL_SESSION *session)
{
	int err = prepare(c, ctx);

	if (err < 0)
		return err;
	SSL_set_connect_state(c->ssl);
	if (!set_dane(c, d) || (session && SSL_set_session(c->ssl, session) != 1)) {
		ERR_clear_error();
		SSL_free(c->ssl);
		c->ssl = NULL;
		return ERR_FORMAT;
	}
	c->verify = 1;
	return arrange(c);
}

void evt_conn_begin(struct evt_conn *c)
{
	if (buf_size(&c->in) > 0) {
		evt_conn_fail(c, ERR_TLS, "bytes before the handshake");
		return;
	}
	evt_pool_return(&c->loop->pool, &c->in, c->secret);
	if (SSL_set_fd(c->ssl, c->fd) != 1) {
		ERR_clear_error();
		evt_conn_fail(c, ERR_NOMEM, "out of memory");
		return;
	}
	c->state = EVT_CONN_HANDSHAKE;
	/* A server waits for the first message; trying to read it now would be a call for nothing.
	 */
	if (SSL_is_server(c->ssl))
		evt_conn_want_read(c);
	else
		evt_conn_step(c);
}

static void finished(struct evt_conn *c)
{
	/* What follows needs no private key, and would pay for a fiber at each read and write. */
	SSL_clear_mode(c->ssl, SSL_MODE_ASYNC);
	c->state = EVT_CONN_OPEN;
	c->reread |= (unsigned)SSL_has_pending(c->ssl);
	evt_conn_schedule(c);
	evt_conn_emit(c, EVT_CONN_TLS);
}

static void failed(struct evt_conn *c, int result, int errnum)
{
	const char *reason = NULL;
	long code = SSL_get_verify_result(c->ssl);
	int err, certificate;

	certificate = ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED;
	errno = errnum;
	switch (evt_conn_ssl_why(c, result, &err, &reason)) {
	case EVT_CONN_AGAIN_READ:
		evt_conn_want_read(c);
		return;
	case EVT_CONN_AGAIN_WRITE:
		evt_conn_want_write(c);
		return;
	case EVT_CONN_END:
	case EVT_CONN_FAILED:
		break;
	}
	if (certificate)
		evt_conn_fail_tls(c, ERR_TLS, "certificate", X509_verify_cert_error_string(code));
	else if (err == ERR_CLOSED)
		evt_conn_fail(c, err,
			      errno ? evt_conn_errno_text(errno) : "closed in the handshake");
	else
		evt_conn_fail_tls(c, err, "handshake", reason ? reason : "failed");
}

void evt_conn_step(struct evt_conn *c)
{
	int result, errnum;

	ERR_clear_error();
	errno = 0;
	evt_async_begin(&c->async);
	result = SSL_do_handshake(c->ssl);
	errnum = errno;
	evt_async_end();
	if (c->dead)
		return; /* closed from within its own job */
	if (result == 1)
		finished(c);
	else if (c->async.paused) {
		/* Nothing is read until the answer is there; then evt_conn_woken. */
		if (c->async.woken)
			evt_conn_schedule(c);
	} else
		failed(c, result, errnum);
}

void evt_conn_woken(struct evt_async *a)
{
	evt_conn_schedule((struct evt_conn *)((char *)a - offsetof(struct evt_conn, async)));
}

void evt_conn_abandon(struct evt_conn *c)
{
	c->async.closing = 1;
	for (int i = 0; i < ABANDON_TRIES && c->async.paused; i++) {
		evt_async_begin(&c->async);
		SSL_do_handshake(c->ssl);
		evt_async_end();
	}
	/* Whoever waits has been told to give up, each time: he must not wait for something else.
	 */
	log_assert(!c->async.paused);
	ERR_clear_error();
}

static const char *group_name(int nid)
{
	static const struct {
		int nid;
		const char *name;
	} groups[] = {
	    {NID_X25519, "x25519"},	  {NID_X9_62_prime256v1, "secp256r1"},
	    {NID_secp384r1, "secp384r1"}, {NID_secp521r1, "secp521r1"},
	    {NID_X448, "x448"},
	};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (groups[i].nid == nid)
			return groups[i].name;
	return NULL;
}

/* Whether the certificate has the name that was asked for by SNI, not only one of the others. */
static int has_base(SSL *ssl, X509 *peer)
{
	const char *base = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	return base &&
	       X509_check_host(peer, base, 0, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

void evt_conn_tls_info(const struct evt_conn *c, struct evt_conn_tls *out)
{
	uint8_t usage;
	X509 *peer;

	memset(out, 0, sizeof(*out));
	if (!c->ssl)
		return;
	out->version = SSL_get_version(c->ssl);
	out->cipher = SSL_get_cipher_name(c->ssl);
	out->group = group_name((int)SSL_get_negotiated_group(c->ssl));
	out->bits = SSL_get_cipher_bits(c->ssl, NULL);
	out->resumed = SSL_session_reused(c->ssl);
	peer = SSL_get0_peer_certificate(c->ssl);
	out->verify_code = SSL_get_verify_result(c->ssl);
	out->verified = c->verify && peer && out->verify_code == X509_V_OK;
	if (out->verified && SSL_get0_dane_tlsa(c->ssl, &usage, NULL, NULL, NULL, NULL) >= 0)
		out->dane_usage = usage;
	out->by_base = out->dane_usage != 2 || has_base(c->ssl, peer);
}
