/* SPDX-License-Identifier: Apache-2.0 */
/* keys_cred's book: the sealed rows, under one lock. */
#include "relay/keys/keys_cred_own.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "relay/store/store.h"
#include "relay/store/store_credential.h"

struct keys_cred_book *keys_cred_book_new(void)
{
	struct keys_cred_book *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	pthread_mutex_init(&b->lock, NULL);
	b->generation = 1;
	return b;
}

static void free_rows(struct keys_cred_sealed *rows, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(rows[i].block);
	free(rows);
}

void keys_cred_book_free(struct keys_cred_book *b)
{
	if (!b)
		return;
	free_rows(b->rows, b->count);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static struct span put_span(uint8_t **at, struct span s)
{
	struct span copy = span_of(*at, s.n);

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return copy;
}

static const char *put_text(uint8_t **at, const char *text)
{
	const char *copy = (const char *)*at;
	size_t n = strlen(text) + 1;

	memcpy(*at, text, n);
	*at += n;
	return copy;
}

/* All of a row in one piece of memory. */
static int copy_row(struct keys_cred_sealed *to, const struct keys_cred_row *from)
{
	uint8_t *at = malloc(strlen(from->name) + strlen(from->customer) + 2 + from->login_aad.n +
			     from->login.n + from->secret_aad.n + from->secret.n);

	if (!at)
		return ERR_NOMEM;
	to->block = at;
	to->row.disabled = from->disabled;
	to->row.name = put_text(&at, from->name);
	to->row.customer = put_text(&at, from->customer);
	to->row.login_aad = put_span(&at, from->login_aad);
	to->row.login = put_span(&at, from->login);
	to->row.secret_aad = put_span(&at, from->secret_aad);
	to->row.secret = put_span(&at, from->secret);
	return 0;
}

int keys_cred_book_set(struct keys_cred_book *b, const struct keys_cred_row *rows, unsigned count)
{
	struct keys_cred_sealed *fresh, *old;
	unsigned n = 0, before;

	if (count > KEYS_CRED_ROWS)
		return ERR_LIMIT;
	fresh = calloc(count ? count : 1, sizeof(*fresh));
	while (fresh && n < count && copy_row(&fresh[n], &rows[n]) == 0)
		n++;
	if (!fresh || n < count) {
		if (fresh)
			free_rows(fresh, n);
		return ERR_NOMEM;
	}
	pthread_mutex_lock(&b->lock);
	old = b->rows;
	before = b->count;
	b->rows = fresh;
	b->count = count;
	b->generation++;
	pthread_mutex_unlock(&b->lock);
	free_rows(old, before);
	return 0;
}

/* --- from the store */

struct gather {
	struct store *store;
	struct keys_cred_row *rows;
	struct buf texts; /* what rows point into, once all are there: offsets until then */
	unsigned count;
};

static int put_aad(struct gather *g, const struct store_credential *c, const char *column,
		   struct span *out)
{
	size_t from = buf_size(&g->texts);
	int err = store_aad(g->store, &g->texts, c->customer, "credential", column, c->id);

	*out = (struct span){NULL, buf_size(&g->texts) - from};
	return err;
}

static int put_bytes(struct gather *g, struct span s, struct span *out)
{
	*out = (struct span){NULL, s.n};
	return s.n ? buf_put_span(&g->texts, s) : 0;
}

static int add(void *arg, const struct store_credential *c)
{
	struct gather *g = arg;
	struct keys_cred_row *r = &g->rows[g->count];
	int err;

	if (c->kind != STORE_CREDENTIAL_UPSTREAM || !c->login.n || !c->secret.n)
		return 0;
	if (g->count == KEYS_CRED_ROWS)
		return ERR_LIMIT;
	*r = (struct keys_cred_row){.disabled = c->disabled};
	err = buf_put(&g->texts, c->name, strlen(c->name) + 1);
	if (err == 0)
		err = buf_put(&g->texts, c->customer, strlen(c->customer) + 1);
	if (err == 0)
		err = put_aad(g, c, "login", &r->login_aad);
	if (err == 0)
		err = put_bytes(g, c->login, &r->login);
	if (err == 0)
		err = put_aad(g, c, "secret", &r->secret_aad);
	if (err == 0)
		err = put_bytes(g, c->secret, &r->secret);
	if (err == 0)
		g->count++;
	return err;
}

static void point(const uint8_t **at, struct span *s)
{
	s->p = *at;
	*at += s->n;
}

/* The memory of texts moves no more: rows may point into it. */
static void point_all(struct gather *g)
{
	const uint8_t *at = buf_ptr(&g->texts);

	for (unsigned i = 0; i < g->count; i++) {
		struct keys_cred_row *r = &g->rows[i];
		r->name = (const char *)at;
		at += strlen(r->name) + 1;
		r->customer = (const char *)at;
		at += strlen(r->customer) + 1;
		point(&at, &r->login_aad);
		point(&at, &r->login);
		point(&at, &r->secret_aad);
		point(&at, &r->secret);
	}
}

int keys_cred_load(struct relay *r)
{
	struct gather g = {.store = r->store,
			   .rows = calloc(KEYS_CRED_ROWS, sizeof(*g.rows))};
	int err = ERR_NOMEM;

	buf_init(&g.texts, 16u << 20);
	if (g.rows)
		err = store_credential_each(r->store, add, &g);
	if (err == 0) {
		point_all(&g);
		err = keys_cred_book_set(r->creds, g.rows, g.count);
	}
	buf_clear(&g.texts);
	free(g.rows);
	return err;
}

static int open_part(struct relay *r, const char **why)
{
	int err;

	r->creds = keys_cred_book_new();
	err = r->creds ? keys_cred_load(r) : ERR_NOMEM;
	if (err < 0)
		*why = "credentials in relay.db";
	return err;
}

static void close_part(struct relay *r)
{
	keys_cred_book_free(r->creds);
	r->creds = NULL;
}

const struct relay_control_part keys_cred_part = {open_part, NULL, close_part};
