/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_tls.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_async.h"
#include "keyproto/keyproto_client_ev.h"
#include "keyproto/keyproto_client_sync.h"
#include "keyprov/keyprov.h"

#define SIGN_TIMEOUT (2 * CLOCK_SEC)

static _Thread_local struct relay_worker *this_worker;
static _Thread_local struct keyproto_client_sync *this_client;
static char why_text[512];

/* One signature under way. It lives on the stack of the suspended job: if the handshake is torn down first, the
 * reply must not touch it, hence the heap part that both sides know. */
struct signing {
	uint64_t ticket;
	int abandoned;
	int done;
	int result; /* bytes, or ERR_* */
	uint8_t sig[1024];
};

static int fill_sign(struct buf *body, const void *message)
{
	return keyproto_sign_put(body, message);
}

static void signed_reply(void *arg, int err, struct span reply)
{
	struct signing *s = arg;
	struct span sig;

	if (s->abandoned) {
		free(s);
		return;
	}
	s->done = 1;
	if (err == 0)
		err = keyproto_bytes_get(reply, &sig);
	if (err == 0 && sig.n > sizeof(s->sig))
		err = ERR_LIMIT;
	if (err == 0)
		memcpy(s->sig, sig.p, sig.n);
	s->result = err < 0 ? err : (int)sig.n;
	evt_async_wake(s->ticket);
}

static int sign_suspended(const struct keyproto_sign *m, uint8_t *out, size_t room)
{
	struct signing *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return ERR_NOMEM;
	s->ticket = evt_async_ticket();
	rc = keyproto_client_ev_call(this_worker->keyd, KEYPROTO_SIGN, SIGN_TIMEOUT, fill_sign, m,
				     signed_reply, s);
	if (rc < 0) {
		free(s);
		return rc;
	}
	while (!s->done) {
		rc = evt_async_wait(s->ticket);
		if (rc < 0) {
			s->abandoned = 1; /* signed_reply frees it */
			return rc;
		}
	}
	rc = s->result;
	if (rc > 0 && (size_t)rc > room)
		rc = ERR_LIMIT;
	if (rc > 0)
		memcpy(out, s->sig, (size_t)rc);
	free(s);
	return rc;
}

static int sign_blocking(struct relay *r, const struct keyproto_sign *m, uint8_t *out, size_t room)
{
	struct relay_conf *conf;
	struct span reply, sig;
	int rc;

	if (!this_client) {
		conf = relay_now(r);
		this_client = keyproto_client_sync_new(conf->keyd, KEYPROTO_ROLE_RELAY,
						       "sealpost-relay", SIGN_TIMEOUT);
		relay_conf_unref(conf);
		if (!this_client)
			return ERR_NOMEM;
	}
	rc = keyproto_sign_put(keyproto_client_sync_begin(this_client), m);
	if (rc == 0)
		rc = keyproto_client_sync_call(this_client, KEYPROTO_SIGN, &reply);
	if (rc == 0)
		rc = keyproto_bytes_get(reply, &sig);
	if (rc < 0)
		return rc;
	if (sig.n > room)
		return ERR_LIMIT;
	memcpy(out, sig.p, sig.n);
	return (int)sig.n;
}

static int sign(void *arg, const char *label, unsigned alg, struct span message, uint8_t *sig,
		size_t room)
{
	struct keyproto_sign m = {.label = span_str(label), .alg = (uint8_t)alg, .data = message};
	int rc = this_worker && evt_async_here() ? sign_suspended(&m, sig, room)
						 : sign_blocking(arg, &m, sig, room);

	if (rc < 0 && rc != ERR_CLOSED)
		log_event(LOG_LEVEL_WARN, NULL, "sign-failed", "key=%s why=\"%s\"", label,
			  err_text(rc));
	return rc;
}

int relay_tls_load(struct relay *r)
{
	return keyprov_load(sign, r);
}

void relay_tls_worker(struct relay_worker *w)
{
	this_worker = w;
}

void relay_tls_worker_end(void)
{
	keyproto_client_sync_free(this_client);
	this_client = NULL;
	this_worker = NULL;
}

static const char *why(const char *what, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	snprintf(why_text, sizeof(why_text), "%s: %s%s%s", path, what, reason ? ": " : "",
		 reason ? reason : "");
	ERR_clear_error();
	return why_text;
}

static EVP_PKEY *key_in_keyd(const char *label, const char *chain_path)
{
	FILE *f = fopen(chain_path, "re");
	X509 *leaf = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	uint8_t *der = NULL;
	EVP_PKEY *key = NULL;
	int n = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &der) : -1;

	if (n > 0)
		key = keyprov_key(label, span_of(der, (size_t)n));
	OPENSSL_free(der);
	X509_free(leaf);
	if (f)
		fclose(f);
	return key;
}

static EVP_PKEY *key_in_file(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return key;
}

static const char *make_server(const struct relay_conf *conf, SSL_CTX **out)
{
	const char *text = NULL;
	int in_keyd = !strncmp(conf->tls.key, "keyd:", 5);
	EVP_PKEY *key;

	if (!conf->tls.certificate)
		return NULL;
	key = in_keyd ? key_in_keyd(conf->tls.key + 5, conf->tls.certificate)
		      : key_in_file(conf->tls.key);
	if (!key)
		return why("no usable key", in_keyd ? conf->tls.certificate : conf->tls.key);
	*out = evt_tls_server(conf->tls.certificate, key, &text);
	EVP_PKEY_free(key);
	if (*out && in_keyd && !SSL_CTX_set1_sigalgs_list(*out, KEYPROV_SIGALGS)) {
		SSL_CTX_free(*out);
		*out = NULL;
		text = "no signature algorithm";
	}
	return *out ? NULL : why(text, conf->tls.certificate);
}

const char *relay_tls_make(const struct relay_conf *conf, struct relay_tls_set *out)
{
	const char *text = NULL, *wrong;

	memset(out, 0, sizeof(*out));
	wrong = make_server(conf, &out->in);
	if (wrong)
		return wrong;
	out->out = evt_tls_client(NULL, 0, &text);
	if (out->out)
		out->out_verify = evt_tls_client(conf->outbound.ca, 1, &text);
	if (out->out_verify)
		return NULL;
	wrong = why(text, conf->outbound.ca ? conf->outbound.ca : "system certificates");
	SSL_CTX_free(out->in);
	SSL_CTX_free(out->out);
	return wrong;
}
