/* SPDX-License-Identifier: Apache-2.0 */
/* TLSA records: octets of records, each behind its length (two octets), become an answer of the DNS. What is usable
 * is taken by OpenSSL, and what is not usable is counted. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/num.h"
#include "relay/out/out_tlsa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static unsigned fill(struct out_dnsmsg *m, const uint8_t *p, size_t n)
{
	while (n >= 5 && m->count < OUT_DNSMSG_TLSAS) {
		struct out_dnsmsg_tlsa *r = &m->tlsa[m->count];
		size_t len = num_get_u16(p);
		r->usage = p[2];
		r->selector = p[3];
		r->match = p[4];
		p += 5;
		n -= 5;
		if (len > n)
			len = n;
		if (!len || len > sizeof(r->data))
			break;
		memcpy(r->data, p, len);
		r->len = (uint16_t)len;
		m->count++;
		p += len;
		n -= len;
	}
	return m->count;
}

/* OpenSSL agrees with every record that is called usable. */
static void check_usable(const struct out_tlsa *t)
{
	static SSL_CTX *ctx;
	SSL *ssl;

	if (!ctx) {
		ctx = SSL_CTX_new(TLS_client_method());
		must(ctx && SSL_CTX_dane_enable(ctx) == 1);
	}
	ssl = SSL_new(ctx);
	must(ssl && SSL_dane_enable(ssl, "mx.there.test") == 1);
	for (unsigned i = 0; i < t->usable; i++) {
		const struct evt_conn_tlsa *r = &t->records[i];
		must(r->usage >= 2 && r->usage <= 3 && r->selector <= 1 && r->match <= 2 && r->len);
		must(SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->match, r->data, r->len) == 1);
	}
	SSL_free(ssl);
	ERR_clear_error();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct out_dnsmsg m;
	struct out_tlsa *t;
	char text[64];

	memset(&m, 0, sizeof(m));
	fill(&m, data, size);
	t = out_tlsa_make("mx.there.test", &m);
	must(t != NULL);
	must(t->usable + t->unusable + t->malformed == m.count);
	check_usable(t);
	for (unsigned i = 0; i < t->usable; i++)
		must(out_tlsa_text(text, sizeof(text), &t->records[i]) < sizeof(text));
	out_tlsa_unref(t);
	return 0;
}
