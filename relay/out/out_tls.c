/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "evt/evt_tls.h"

#define BUCKETS 256

struct kept {
	struct list_link age; /* most recently used first */
	struct kept *next;    /* in its bucket */
	SSL_SESSION *session;
	char key[OUT_TLS_KEY];
};

struct out_tls {
	struct relay *relay;
	struct {	     /* [1]: verifying */
		SSL_CTX *of; /* what only12 was made from: a reference, lest another get its address */
		SSL_CTX *only12;
	} ctx[2];
	struct kept *buckets[BUCKETS];
	struct list ages;
	unsigned count;
};

int out_tls_next(int level, enum out_tls_try tried, int not_verified)
{
	if (level == RELAY_TLS_NONE || tried == OUT_TLS_CLEAR)
		return -1;
	if (level == RELAY_TLS_VERIFY && not_verified)
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

/* --- contexts */

/* A context that says TLS 1.2 only, with the trust of its model. Made on first need: few hosts ask
 * for it. */
static SSL_CTX *make_12(struct relay *r, SSL_CTX *model, int verify)
{
	const char *why = NULL;
	SSL_CTX *ctx = evt_tls_client(atomic_load(&r->conf)->outbound.ca, verify, &why);

	if (!ctx)
		return NULL;
	SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(model));
	if (!SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION)) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

SSL_CTX *out_tls_context(struct out_tls *t, int level, enum out_tls_try how)
{
	int verify = level == RELAY_TLS_VERIFY;
	SSL_CTX *full =
	    verify ? atomic_load(&t->relay->tls_out_verify) : atomic_load(&t->relay->tls_out);

	if (how == OUT_TLS_FULL || !full)
		return full;
	if (t->ctx[verify].of != full) {
		SSL_CTX_free(t->ctx[verify].only12);
		SSL_CTX_free(t->ctx[verify].of);
		t->ctx[verify].of = NULL;
		t->ctx[verify].only12 = make_12(t->relay, full, verify);
		if (t->ctx[verify].only12 && SSL_CTX_up_ref(full))
			t->ctx[verify].of = full;
	}
	return t->ctx[verify].only12;
}

/* --- sessions */

void out_tls_key(char dst[OUT_TLS_KEY], const char *host, unsigned port, int level,
		 enum out_tls_try how)
{
	snprintf(dst, OUT_TLS_KEY, "%s:%u:%d:%d", host, port, level, how);
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

SSL_SESSION *out_tls_session(struct out_tls *t, const char *key)
{
	struct kept *k = *slot(t, key);

	if (!k)
		return NULL;
	list_remove(&k->age);
	list_push_front(&t->ages, &k->age);
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

void out_tls_keep(struct out_tls *t, const char *key, SSL *ssl)
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
	for (int i = 0; i < 2; i++) {
		SSL_CTX_free(t->ctx[i].only12);
		SSL_CTX_free(t->ctx[i].of);
	}
	free(t);
}
