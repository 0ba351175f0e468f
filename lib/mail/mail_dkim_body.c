/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_dkim_body.h"

#include <openssl/evp.h>

#include "core/err.h"
#include "core/secret.h"

#define OUT 4096

/* What is put gathers here, so that the hash is fed in large pieces. */
struct gather {
	struct mail_dkim_relax *r;
	size_t n, most;
	uint8_t out[OUT];
};

static void flush(struct gather *g)
{
	if (g->n)
		g->r->put(g->r->arg, span_of(g->out, g->n));
	g->most = g->n > g->most ? g->n : g->most;
	g->n = 0;
}

static void put(struct gather *g, uint8_t c)
{
	if (g->n == OUT)
		flush(g);
	g->out[g->n++] = c;
}

/* Text follows: what was held back counts. */
static void release(struct gather *g)
{
	struct mail_dkim_relax *r = g->r;

	for (; r->ends; r->ends--) {
		put(g, '\r');
		put(g, '\n');
	}
	if (r->blank)
		put(g, ' ');
	r->blank = 0;
	r->any = 1;
}

static int is_text(uint8_t c)
{
	return c != ' ' && c != '\t' && c != '\r';
}

/* Text up to the next octet that means something else. */
static const uint8_t *put_text(struct gather *g, const uint8_t *p, const uint8_t *end)
{
	release(g);
	while (p < end && is_text(*p)) {
		size_t room = OUT - g->n, most = (size_t)(end - p);
		const uint8_t *stop = p + (most < room ? most : room);
		uint8_t *to = g->out + g->n;

		for (; p < stop && is_text(*p); p++)
			*to++ = *p;
		g->n = (size_t)(to - g->out);
		if (g->n == OUT)
			flush(g);
	}
	return p;
}

void mail_dkim_relax_init(struct mail_dkim_relax *r, void (*fn)(void *arg, struct span s), void *arg)
{
	*r = (struct mail_dkim_relax){.put = fn, .arg = arg};
}

/* The octet behind a CR. 1 if it was the LF that makes both a line end. */
static int end_line(struct gather *g, uint8_t c)
{
	struct mail_dkim_relax *r = g->r;

	r->cr = 0;
	if (c == '\n') {
		r->blank = 0;
		r->ends++;
		return 1;
	}
	release(g);
	put(g, '\r');
	return 0;
}

void mail_dkim_relax_feed(struct mail_dkim_relax *r, struct span in)
{
	const uint8_t *p = in.p, *end = in.n ? in.p + in.n : in.p;
	struct gather g;

	g.r = r;
	g.n = g.most = 0;
	while (p < end) {
		if (r->cr) {
			p += end_line(&g, *p);
		} else if (is_text(*p)) {
			p = put_text(&g, p, end);
		} else {
			r->cr = *p == '\r';
			r->blank |= !r->cr;
			p++;
		}
	}
	flush(&g);
	secret_wipe(g.out, g.most);
}

void mail_dkim_relax_end(struct mail_dkim_relax *r)
{
	struct gather g;

	g.r = r;
	g.n = g.most = 0;
	if (r->cr)
		end_line(&g, 0);
	if (r->any) {
		put(&g, '\r');
		put(&g, '\n');
	}
	flush(&g);
}

/* --- with the hash */

static void hash(void *arg, struct span s)
{
	struct mail_dkim_body *b = arg;

	if (EVP_DigestUpdate(b->md, s.p, s.n) != 1)
		b->failed = 1;
}

int mail_dkim_body_init(struct mail_dkim_body *b)
{
	*b = (struct mail_dkim_body){.md = EVP_MD_CTX_new()};
	if (!b->md)
		return ERR_NOMEM;
	mail_dkim_body_reset(b);
	return b->failed ? ERR_CRYPTO : 0;
}

void mail_dkim_body_clear(struct mail_dkim_body *b)
{
	EVP_MD_CTX_free(b->md);
	*b = (struct mail_dkim_body){.md = NULL};
}

void mail_dkim_body_reset(struct mail_dkim_body *b)
{
	mail_dkim_relax_init(&b->relax, hash, b);
	b->failed = EVP_DigestInit_ex(b->md, EVP_sha256(), NULL) != 1;
}

void mail_dkim_body_feed(struct mail_dkim_body *b, struct span in)
{
	mail_dkim_relax_feed(&b->relax, in);
}

int mail_dkim_body_end(struct mail_dkim_body *b, uint8_t out[MAIL_DKIM_HASH])
{
	mail_dkim_relax_end(&b->relax);
	if (EVP_DigestFinal_ex(b->md, out, NULL) != 1)
		b->failed = 1;
	return b->failed ? ERR_CRYPTO : 0;
}
