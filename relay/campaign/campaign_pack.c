/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/campaign/campaign_pack.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "relay/keys/keys_field.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

#define TABLE	   "campaign_piece"
#define COLUMN	   "bytes"
#define BATCH	   3
#define SEALED_MAX (CAMPAIGN_PACK_MAX + STORE_CAMPAIGN_PIECES * 64)

struct campaign_pack {
	struct relay *relay;
	char customer[KEYPROTO_NAME_MAX + 1];
	int64_t number;
	struct buf plain, sealed; /* all pieces, one behind the other */
	size_t ends[STORE_CAMPAIGN_PIECES]; /* of sealed pieces */
	unsigned first, pieces, at; /* at: how many are done */
	campaign_pack_fn fn;
	void *arg;
	struct buf aad; /* of one batch */
};

struct campaign_pack *campaign_pack_new(struct relay *r, const char *customer, int64_t number)
{
	struct campaign_pack *p = calloc(1, sizeof(*p));

	if (!p || span_copy_str(p->customer, sizeof(p->customer), span_str(customer)) < 0) {
		free(p);
		return NULL;
	}
	p->relay = r;
	p->number = number;
	buf_init_wiped(&p->plain, CAMPAIGN_PACK_MAX);
	buf_init(&p->sealed, SEALED_MAX);
	buf_init(&p->aad, 4096);
	return p;
}

void campaign_pack_free(struct campaign_pack *p)
{
	if (!p)
		return;
	buf_clear(&p->plain);
	buf_clear(&p->sealed);
	buf_clear(&p->aad);
	free(p);
}

void campaign_pack_begin(struct campaign_pack *p, unsigned first)
{
	p->first = first;
}

struct buf *campaign_pack_plain(struct campaign_pack *p)
{
	return &p->plain;
}

int64_t campaign_pack_number(const struct campaign_pack *p)
{
	return p->number;
}

unsigned campaign_pack_pieces(const struct campaign_pack *p)
{
	return p->pieces;
}

static struct span plain_piece(const struct campaign_pack *p, unsigned i)
{
	return span_sub(buf_span(&p->plain), (size_t)i * STORE_CAMPAIGN_PIECE, STORE_CAMPAIGN_PIECE);
}

static struct span sealed_piece(const struct campaign_pack *p, unsigned i)
{
	size_t from = i ? p->ends[i - 1] : 0;

	return span_sub(buf_span(&p->sealed), from, p->ends[i] - from);
}

/* AADs of the next batch, and its items. Their number, or ERR_*. */
static int batch(struct campaign_pack *p, struct keyproto_field *items,
		 struct span (*piece)(const struct campaign_pack *, unsigned))
{
	size_t ends[BATCH], at = 0;
	unsigned n = 0;
	int rc = 0;

	buf_reset(&p->aad);
	for (; rc == 0 && n < BATCH && p->at + n < p->pieces; n++) {
		rc = store_aad(p->relay->store, &p->aad, p->customer, TABLE, COLUMN,
			       store_campaign_piece_id(p->number, p->first + p->at + n));
		ends[n] = buf_size(&p->aad);
	}
	for (unsigned i = 0; rc == 0 && i < n; i++) {
		items[i] = (struct keyproto_field){span_sub(buf_span(&p->aad), at, ends[i] - at),
						   piece(p, p->at + i)};
		at = ends[i];
	}
	return rc < 0 ? rc : (int)n;
}

static void end(struct campaign_pack *p, int err)
{
	p->fn(p->arg, err);
}

/* --- sealing */

static void seal_next(struct campaign_pack *p);

static void on_sealed(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct campaign_pack *p = arg;

	for (unsigned i = 0; err == 0 && i < count; i++) {
		err = results[i].status ? ERR_CRYPTO : buf_put_span(&p->sealed, results[i].data);
		p->ends[p->at++] = buf_size(&p->sealed);
	}
	if (err < 0 || p->at == p->pieces)
		end(p, err);
	else
		seal_next(p);
}

static void seal_next(struct campaign_pack *p)
{
	struct keyproto_field items[BATCH];
	int n = batch(p, items, plain_piece);

	if (n > 0)
		n = keys_field_seal(p->relay->keyd, KEYPROTO_FOR_FIELD, p->customer, items, (unsigned)n,
				    on_sealed, p);
	if (n < 0)
		end(p, n);
}

int campaign_pack_seal(struct campaign_pack *p, campaign_pack_fn fn, void *arg)
{
	size_t n = buf_size(&p->plain);

	if (buf_failed(&p->plain) < 0)
		return buf_failed(&p->plain);
	if (!n)
		return ERR_FORMAT;
	p->fn = fn;
	p->arg = arg;
	p->at = 0;
	p->pieces = (unsigned)((n + STORE_CAMPAIGN_PIECE - 1) / STORE_CAMPAIGN_PIECE);
	buf_reset(&p->sealed);
	seal_next(p);
	return 0;
}

int campaign_pack_store(struct campaign_pack *p)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < p->pieces; i++)
		rc = store_campaign_piece_add(p->relay->store, p->customer, p->number, p->first + i,
					      sealed_piece(p, i));
	return rc;
}

/* --- opening */

static int load_piece(void *arg, const struct store_campaign_piece *piece)
{
	struct campaign_pack *p = arg;
	int rc;

	if (p->pieces == STORE_CAMPAIGN_PIECES || piece->id != store_campaign_piece_id(p->number, p->first + p->pieces))
		return ERR_DAMAGED;
	rc = buf_put_span(&p->sealed, piece->sealed);
	p->ends[p->pieces++] = buf_size(&p->sealed);
	return rc;
}

static void open_next(struct campaign_pack *p);

static void on_opened(void *arg, int err, const struct keyproto_result *results, unsigned count)
{
	struct campaign_pack *p = arg;

	for (unsigned i = 0; err == 0 && i < count; i++, p->at++)
		err = results[i].status ? ERR_DAMAGED : buf_put_span(&p->plain, results[i].data);
	if (err < 0 || p->at == p->pieces)
		end(p, err);
	else
		open_next(p);
}

static void open_next(struct campaign_pack *p)
{
	struct keyproto_field items[BATCH];
	int n = batch(p, items, sealed_piece);

	if (n > 0)
		n = keys_field_open(p->relay->keyd, KEYPROTO_FOR_FIELD, p->customer, items, (unsigned)n,
				    on_opened, p);
	if (n < 0)
		end(p, n);
}

static int load(struct campaign_pack *p, unsigned most, campaign_pack_fn fn, void *arg)
{
	buf_reset(&p->plain);
	buf_reset(&p->sealed);
	p->fn = fn;
	p->arg = arg;
	p->at = p->pieces = 0;
	return store_campaign_pieces(p->relay->store, p->number, p->first, most, load_piece, p);
}

int campaign_pack_open(struct campaign_pack *p, int64_t pieces, int64_t size, campaign_pack_fn fn, void *arg)
{
	int rc = load(p, STORE_CAMPAIGN_PIECES, fn, arg);

	if (rc == 0 && (!p->pieces || p->pieces != pieces || size < 1 || (size_t)size > CAMPAIGN_PACK_MAX))
		rc = ERR_DAMAGED;
	if (rc < 0)
		return rc;
	open_next(p);
	return 0;
}

int campaign_pack_open_some(struct campaign_pack *p, unsigned most, campaign_pack_fn fn, void *arg)
{
	int rc = load(p, most, fn, arg);

	if (rc == 0 && !p->pieces)
		rc = ERR_NOTFOUND;
	if (rc == 0)
		open_next(p);
	return rc;
}

/* --- parts */

int campaign_pack_put(struct campaign_pack *p, struct span findings, struct span bundle)
{
	buf_reset(&p->plain);
	wire_put_bytes32(&p->plain, findings);
	buf_put_span(&p->plain, bundle);
	return buf_failed(&p->plain);
}

int campaign_pack_get(struct campaign_pack *p, struct span *findings, struct span *bundle)
{
	struct wire_get w;

	wire_get_init(&w, buf_span(&p->plain));
	*findings = wire_get_bytes32(&w);
	*bundle = wire_get_raw(&w, buf_size(&p->plain) > findings->n + 4 ? buf_size(&p->plain) - findings->n - 4 : 0);
	return wire_get_end(&w) < 0 || !bundle->n ? ERR_DAMAGED : 0;
}
