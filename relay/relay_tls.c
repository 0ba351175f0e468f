/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/relay_tls.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
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
#define REPLY_MAX    1024 /* a signature, or a public key, of RSA with 4096 bits */
#define SERVED_MAX   16	  /* keys of certificates that were served lately */

static _Thread_local struct relay_worker *this_worker;
static _Thread_local struct keyproto_client_sync *this_client;
static _Thread_local char why_text[512];

/* One question under way. It lives on the stack of the suspended job: if the handshake is torn
 * down first, the reply must not touch it, hence the heap part that both sides know. */
struct asking {
	uint64_t ticket;
	int abandoned;
	int done;
	int result; /* bytes, or ERR_* */
	uint8_t reply[REPLY_MAX];
};

typedef int (*fill_fn)(struct buf *body, const void *message);

static int fill_sign(struct buf *body, const void *message)
{
	return keyproto_sign_put(body, message);
}

static int fill_name(struct buf *body, const void *message)
{
	return keyproto_bytes_put(body, span_str(message));
}

static void answered(void *arg, int err, struct span reply)
{
	struct asking *a = arg;

	if (a->abandoned) {
		free(a);
		return;
	}
	a->done = 1;
	if (err == 0 && reply.n > sizeof(a->reply))
		err = ERR_LIMIT;
	if (err == 0 && reply.n)
		memcpy(a->reply, reply.p, reply.n);
	a->result = err < 0 ? err : (int)reply.n;
	evt_async_wake(a->ticket);
}

static int ask_suspended(uint16_t op, fill_fn fill, const void *m, uint8_t out[REPLY_MAX])
{
	struct asking *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return ERR_NOMEM;
	a->ticket = evt_async_ticket();
	rc = keyproto_client_ev_call(this_worker->keyd, op, SIGN_TIMEOUT, fill, m, answered, a);
	if (rc < 0) {
		free(a);
		return rc;
	}
	while (!a->done) {
		rc = evt_async_wait(a->ticket);
		if (rc < 0) {
			a->abandoned = 1; /* answered frees it */
			return rc;
		}
	}
	rc = a->result;
	if (rc > 0)
		memcpy(out, a->reply, (size_t)rc);
	free(a);
	return rc;
}

static int ask_blocking(struct relay *r, uint16_t op, fill_fn fill, const void *m,
			uint8_t out[REPLY_MAX])
{
	struct relay_conf *conf;
	struct span reply;
	int rc;

	if (!this_client) {
		conf = relay_now(r);
		this_client = keyproto_client_sync_new(conf->keyd, KEYPROTO_ROLE_RELAY,
						       "sealpost-relay", SIGN_TIMEOUT);
		relay_conf_unref(conf);
		if (!this_client)
			return ERR_NOMEM;
	}
	rc = fill(keyproto_client_sync_begin(this_client), m);
	if (rc == 0)
		rc = keyproto_client_sync_call(this_client, op, &reply);
	if (rc < 0)
		return rc;
	if (reply.n > REPLY_MAX)
		return ERR_LIMIT;
	memcpy(out, reply.p, reply.n);
	return (int)reply.n;
}

/* The body of keyd's answer: its length, or ERR_*. */
static int ask(struct relay *r, uint16_t op, fill_fn fill, const void *m, uint8_t out[REPLY_MAX])
{
	return this_worker && evt_async_here() ? ask_suspended(op, fill, m, out)
					       : ask_blocking(r, op, fill, m, out);
}

/* Which version of a label has a public key: found once, then known until keyd goes away. A
 * certificate's key is not always the active one: after its change there is first a certificate of
 * the next version, then that version is activated. */
static struct served {
	char label[KEYPROTO_NAME_MAX + 1];
	uint8_t digest[32]; /* of the SubjectPublicKeyInfo */
	uint32_t version;
} served[SERVED_MAX];
static unsigned served_next;
static pthread_mutex_t served_lock = PTHREAD_MUTEX_INITIALIZER;

void relay_tls_forget(void)
{
	pthread_mutex_lock(&served_lock);
	memset(served, 0, sizeof(served));
	pthread_mutex_unlock(&served_lock);
}

static uint32_t recall(const struct served *like)
{
	uint32_t version = 0;

	pthread_mutex_lock(&served_lock);
	for (unsigned i = 0; i < SERVED_MAX; i++)
		if (!strcmp(served[i].label, like->label) &&
		    !memcmp(served[i].digest, like->digest, sizeof(like->digest)))
			version = served[i].version;
	pthread_mutex_unlock(&served_lock);
	return version;
}

static void remember(const struct served *s)
{
	pthread_mutex_lock(&served_lock);
	served[served_next++ % SERVED_MAX] = *s;
	pthread_mutex_unlock(&served_lock);
}

/* Asks for one version after the other: keyd tells public keys of all that ever were, without
 * gaps. */
static int find_version(struct relay *r, const char *label, struct span spki, uint32_t *version)
{
	struct keyproto_public pub;
	struct served s = {.version = 0};
	uint8_t reply[REPLY_MAX];
	char name[KEYPROTO_NAME_MAX + 16];
	int n;

	snprintf(s.label, sizeof(s.label), "%s", label);
	if (!EVP_Q_digest(NULL, "SHA256", "provider=default", spki.p, spki.n, s.digest, NULL))
		return ERR_CRYPTO;
	*version = recall(&s);
	while (!*version) {
		snprintf(name, sizeof(name), "%s#%u", s.label, (unsigned)++s.version);
		n = ask(r, KEYPROTO_PUBLIC_KEY, fill_name, name, reply);
		if (n < 0)
			return n;
		if (keyproto_public_get(span_of(reply, (size_t)n), &pub) < 0)
			return ERR_FORMAT;
		if (span_equal(pub.spki, spki))
			*version = s.version;
	}
	s.version = *version;
	remember(&s);
	return 0;
}

static int sign_with(struct relay *r, const char *name, unsigned alg, struct span message,
		     uint8_t *out, size_t room)
{
	struct keyproto_sign m = {.label = span_str(name), .alg = (uint8_t)alg, .data = message};
	uint8_t reply[REPLY_MAX];
	struct span sig;
	int n = ask(r, KEYPROTO_SIGN, fill_sign, &m, reply);

	if (n < 0)
		return n;
	if (keyproto_bytes_get(span_of(reply, (size_t)n), &sig) < 0)
		return ERR_FORMAT;
	if (sig.n > room)
		return ERR_LIMIT;
	memcpy(out, sig.p, sig.n);
	return (int)sig.n;
}

static int sign(void *arg, const char *label, struct span spki, unsigned alg, struct span message,
		uint8_t *sig, size_t room)
{
	char name[KEYPROTO_NAME_MAX + 16];
	uint32_t version = 0;
	int rc = find_version(arg, label, spki, &version);

	snprintf(name, sizeof(name), "%.*s#%u", KEYPROTO_NAME_MAX, label, (unsigned)version);
	if (rc == 0)
		rc = sign_with(arg, name, alg, message, sig, room);
	if (rc < 0 && rc != ERR_CLOSED)
		log_event(LOG_LEVEL_WARN, NULL, "sign-failed", "key=%s why=\"%s\"",
			  version ? name : label,
			  version || rc != ERR_NOTFOUND ? err_text(rc)
							: "the certificate is of no version of this key");
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

/* DER SubjectPublicKeyInfo of the first certificate in the file: its length, or -1.
 * OPENSSL_free. */
static int leaf_spki(const char *chain_path, uint8_t **der)
{
	FILE *f = fopen(chain_path, "re");
	X509 *leaf = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	int n = leaf ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), der) : -1;

	X509_free(leaf);
	if (f)
		fclose(f);
	return n;
}

static EVP_PKEY *key_in_keyd(const char *label, const char *chain_path)
{
	uint8_t *der = NULL;
	int n = leaf_spki(chain_path, &der);
	EVP_PKEY *key = n > 0 ? keyprov_key(label, span_of(der, (size_t)n)) : NULL;

	OPENSSL_free(der);
	return key;
}

int relay_tls_check(struct relay *r, const struct relay_conf *conf)
{
	uint8_t *der = NULL;
	uint32_t version;
	int n, rc = 0;

	if (!conf->tls.certificate || strncmp(conf->tls.key, "keyd:", 5))
		return 0;
	n = leaf_spki(conf->tls.certificate, &der);
	if (n > 0)
		rc = find_version(r, conf->tls.key + 5, span_of(der, (size_t)n), &version);
	OPENSSL_free(der);
	return rc == ERR_NOTFOUND ? rc : 0;
}

static EVP_PKEY *key_in_file(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return key;
}

const char *relay_tls_server(const char *certificate, const char *key_name, SSL_CTX **out)
{
	const char *text = NULL;
	int in_keyd = !strncmp(key_name, "keyd:", 5);
	EVP_PKEY *key = in_keyd ? key_in_keyd(key_name + 5, certificate) : key_in_file(key_name);

	if (!key)
		return why("no usable key", in_keyd ? certificate : key_name);
	*out = evt_tls_server(certificate, key, &text);
	EVP_PKEY_free(key);
	if (*out && in_keyd && !SSL_CTX_set1_sigalgs_list(*out, KEYPROV_SIGALGS)) {
		SSL_CTX_free(*out);
		*out = NULL;
		text = "no signature algorithm";
	}
	return *out ? NULL : why(text, certificate);
}

const char *relay_tls_make(const struct relay_conf *conf, struct relay_tls_set *out)
{
	const char *text = NULL, *wrong;

	memset(out, 0, sizeof(*out));
	wrong = conf->tls.certificate ? relay_tls_server(conf->tls.certificate, conf->tls.key, &out->in) : NULL;
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
	memset(out, 0, sizeof(*out));
	return wrong;
}
