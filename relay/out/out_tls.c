/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509_vfy.h>

#include "core/list.h"
#include "evt/evt_tls.h"

#define BUCKETS 256

struct kept {
	struct list_link age; /* most recently used first */
	struct kept *next;    /* in its bucket */
	SSL_SESSION *session;
	const char *by;
	char key[OUT_TLS_KEY];
};

struct out_tls {
	struct relay *relay;
	struct out_tls_made {	/* enum out_tls_trust, enum out_tls_try */
		SSL_CTX *model; /* what ctx was made from: a reference, lest another get its address */
		SSL_CTX *ctx;
	} made[3][2];
	struct kept *buckets[BUCKETS];
	struct list ages;
	unsigned count;
};

int out_tls_next(int level, enum out_tls_try tried, int not_verified)
{
	if (level == RELAY_TLS_NONE || tried == OUT_TLS_CLEAR)
		return -1;
	if (level >= RELAY_TLS_VERIFY && not_verified)
		return -1;
	if (tried == OUT_TLS_FULL)
		return OUT_TLS_12;
	return level == RELAY_TLS_OPPORTUNISTIC ? OUT_TLS_CLEAR : -1;
}

const char *out_tls_try_name(enum out_tls_try t)
{
	static const char *const names[] = {"full", "1.2", "clear"};

	return names[t];
}

/* --- words */

static const struct {
	long code;
	enum tlsrpt_result result;
	const char *why;
} failures[] = {
    {X509_V_OK, TLSRPT_VALIDATION_FAILURE, NULL},
    {X509_V_ERR_DANE_NO_MATCH, TLSRPT_VALIDATION_FAILURE,
     "certificate does not match the host's TLSA records"},
    {X509_V_ERR_CERT_HAS_EXPIRED, TLSRPT_CERTIFICATE_EXPIRED, "certificate has expired"},
    {X509_V_ERR_CERT_NOT_YET_VALID, TLSRPT_VALIDATION_FAILURE, "certificate is not valid yet"},
    {X509_V_ERR_HOSTNAME_MISMATCH, TLSRPT_CERTIFICATE_HOST_MISMATCH, "certificate is for another name"},
    {X509_V_ERR_IP_ADDRESS_MISMATCH, TLSRPT_CERTIFICATE_HOST_MISMATCH,
     "certificate is for another address"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLSRPT_CERTIFICATE_NOT_TRUSTED, "certificate is self-signed"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, TLSRPT_CERTIFICATE_NOT_TRUSTED,
     "certificate is by an authority that is not trusted"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLSRPT_CERTIFICATE_NOT_TRUSTED,
     "certificate is by an authority that is not trusted"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, TLSRPT_CERTIFICATE_NOT_TRUSTED,
     "certificate is by an authority that is not trusted"},
};

enum tlsrpt_result out_tls_result(long verify_code)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (failures[i].code == verify_code)
			return failures[i].result;
	return TLSRPT_CERTIFICATE_NOT_TRUSTED;
}

const char *out_tls_why(long verify_code, const char *text)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
		if (failures[i].code == verify_code && failures[i].why)
			return failures[i].why;
	return text;
}

/* --- contexts */

/* A context like model, with its trust, for another hello or use. */
static SSL_CTX *make(struct relay *r, SSL_CTX *model, enum out_tls_trust trust, enum out_tls_try how)
{
	const char *why = NULL;
	SSL_CTX *ctx = evt_tls_client(atomic_load(&r->conf)->outbound.ca, trust == OUT_TLS_TRUSTED, &why);

	if (!ctx)
		return NULL;
	SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(model));
	if (how == OUT_TLS_12 && !SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static void drop(struct out_tls_made *m)
{
	SSL_CTX_free(m->ctx);
	SSL_CTX_free(m->model);
	m->ctx = m->model = NULL;
}

/* Most connections use the models themselves; what else is asked for is made on first need. */
SSL_CTX *out_tls_context(struct out_tls *t, enum out_tls_trust trust, enum out_tls_try how)
{
	SSL_CTX *model = trust == OUT_TLS_ANY ? atomic_load(&t->relay->tls_out)
					      : atomic_load(&t->relay->tls_out_verify);
	struct out_tls_made *m = &t->made[trust][how == OUT_TLS_12];

	if (!model || (how == OUT_TLS_FULL && trust != OUT_TLS_NOTED))
		return model;
	if (m->model != model) {
		drop(m);
		m->ctx = make(t->relay, model, trust, how);
		if (m->ctx && SSL_CTX_up_ref(model))
			m->model = model;
	}
	return m->ctx;
}

/* --- sessions */

void out_tls_key(char dst[OUT_TLS_KEY], const char *host, unsigned port, int level,
		 enum out_tls_try how, const char *tlsa)
{
	snprintf(dst, OUT_TLS_KEY, "%s:%u:%d:%d:%s", host, port, level, how, tlsa);
}

static struct kept **slot(struct out_tls *t, const char *key)
{
	uint32_t h = 2166136261u;
	struct kept **k;

	for (const char *p = key; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	k = &t->buckets[h % BUCKETS];
	while (*k && strcmp((*k)->key, key))
		k = &(*k)->next;
	return k;
}

SSL_SESSION *out_tls_session(struct out_tls *t, const char *key, const char **by)
{
	struct kept *k = *slot(t, key);

	if (!k)
		return NULL;
	list_remove(&k->age);
	list_push_front(&t->ages, &k->age);
	*by = k->by;
	return k->session;
}

void out_tls_forget(struct out_tls *t, const char *key)
{
	struct kept **at = slot(t, key), *k = *at;

	if (!k)
		return;
	*at = k->next;
	list_remove(&k->age);
	SSL_SESSION_free(k->session);
	free(k);
	t->count--;
}

static struct kept *add(struct out_tls *t, const char *key)
{
	struct kept *k = calloc(1, sizeof(*k)), **at;

	if (!k)
		return NULL;
	if (t->count == OUT_TLS_SESSIONS)
		out_tls_forget(t, list_entry(t->ages.head.prev, struct kept, age)->key);
	snprintf(k->key, sizeof(k->key), "%s", key);
	at = slot(t, key);
	k->next = *at;
	*at = k;
	list_push_front(&t->ages, &k->age);
	t->count++;
	return k;
}

void out_tls_keep(struct out_tls *t, const char *key, SSL *ssl, const char *by)
{
	SSL_SESSION *session = ssl ? SSL_get1_session(ssl) : NULL;
	struct kept *k;

	if (!session)
		return;
	k = SSL_SESSION_is_resumable(session) ? *slot(t, key) : NULL;
	if (!k && SSL_SESSION_is_resumable(session))
		k = add(t, key);
	if (!k) {
		SSL_SESSION_free(session);
		return;
	}
	SSL_SESSION_free(k->session);
	k->session = session;
	k->by = by;
}

/* --- life */

struct out_tls *out_tls_new(struct relay *r)
{
	struct out_tls *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->relay = r;
	list_init(&t->ages);
	return t;
}

void out_tls_free(struct out_tls *t)
{
	if (!t)
		return;
	while (!list_empty(&t->ages))
		out_tls_forget(t, list_entry(list_first(&t->ages), struct kept, age)->key);
	for (int i = 0; i < 3; i++)
		for (int how = 0; how < 2; how++)
			drop(&t->made[i][how]);
	free(t);
}
