/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/ledger_verify.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/err.h"
#include "core/num.h"
#include "keyproto/keyproto_checkpoint.h"

#define BATCH_SIZE (4 + 1 + 8 + 8 + LEDGER_HASH + LEDGER_CHECK)

int ledger_verify_init(struct ledger_verify *v, ledger_verify_fn signature, void *arg)
{
	static const uint8_t none[LEDGER_UUID];

	memset(v, 0, sizeof(*v));
	v->signature = signature;
	v->arg = arg;
	return ledger_chain_init(&v->chain, none);
}

void ledger_verify_clear(struct ledger_verify *v)
{
	ledger_chain_clear(&v->chain);
}

static int bad(struct ledger_verify *v, uint64_t row, const char *reason)
{
	v->row = row;
	v->reason = reason;
	return ERR_DAMAGED;
}

/* --- checkpoints */

static int check_text(struct span spki, struct span text, struct span signature)
{
	const uint8_t *p = spki.p;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki.n);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int good = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		   EVP_DigestVerify(ctx, signature.p, signature.n, text.p, text.n) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return good ? 0 : ERR_AUTH;
}

int ledger_verify_signature(struct span spki, const struct ledger_checkpoint *c)
{
	const struct keyproto_checkpoint m = {SPAN_LIT("ledger"), c->counter, c->rows, c->hash};
	struct buf text;
	int err;

	buf_init(&text, KEYPROTO_CHECKPOINT_TEXT);
	err = keyproto_checkpoint_text(&text, &m);
	if (err == 0)
		err = check_text(spki, buf_span(&text), c->signature);
	buf_clear(&text);
	return err;
}

static int take_signature(struct ledger_verify *v, const struct ledger_checkpoint *c, uint64_t from)
{
	int err = v->signature ? v->signature(v->arg, c) : 0;

	if (err < 0 && err != ERR_AUTH) /* nobody to ask: that says nothing of the ledger */
		return err;
	if (err < 0) {
		v->from = from;
		return bad(v, c->rows, "the signature of this checkpoint is not keyd's for what stands "
				       "before it: rows since the checkpoint before were altered, or it was");
	}
	v->counter = c->counter;
	if (v->signature)
		v->signed_to = c->rows;
	memcpy(v->signed_hash, c->hash, LEDGER_HASH);
	v->checkpoints++;
	v->dropped = v->dropping;
	return 0;
}

static int take_checkpoint(struct ledger_verify *v, const struct ledger_record *r, const uint8_t *before)
{
	struct ledger_checkpoint c;

	if (ledger_record_get_checkpoint(r->body, &c) < 0)
		return bad(v, v->rows, "not a checkpoint, although it says so");
	if (v->counter && c.counter != v->counter + 1) {
		v->from = v->rows + 1;
		return bad(v, c.rows, c.counter > v->counter
					  ? "checkpoints before this one are missing, and with them what they covered"
					  : "this checkpoint stands behind a later one");
	}
	if (c.rows != v->rows || memcmp(c.hash, before, LEDGER_HASH) != 0)
		return bad(v, v->rows, "this checkpoint is about other rows than stand before it");
	return take_signature(v, &c, v->signed_to + 1);
}

/* --- the other kinds: before is the hash before the record */

static int take_row(struct ledger_verify *v, const struct ledger_record *r, const uint8_t *before)
{
	struct ledger_row row;

	(void)before;
	if (ledger_record_get_row(r->body, &row) < 0)
		return bad(v, v->rows + 1, "not a row, although it says so");
	if (row.row != v->rows + 1)
		return bad(v, v->rows + 1, "another row stands in its place");
	v->rows++;
	return 0;
}

static int take_batch(struct ledger_verify *v, const struct ledger_record *r, const uint8_t *before)
{
	struct ledger_batch m;

	if (ledger_record_get_batch(r->body, &m) < 0)
		return bad(v, v->rows, "not the end of a batch, although it says so");
	if (m.rows != v->rows || memcmp(m.hash, before, LEDGER_HASH) != 0)
		return bad(v, v->rows, "this end of a batch is about other rows than stand before it");
	return 0;
}

static int take_drop(struct ledger_verify *v, const struct ledger_record *r, const uint8_t *before)
{
	struct ledger_drop m;

	(void)before;
	if (ledger_record_get_drop(r->body, &m) < 0)
		return bad(v, v->rows, "not a note of retention, although it says so");
	if (m.through > v->dropping)
		v->dropping = m.through;
	return 0;
}

static int take_event(struct ledger_verify *v, const struct ledger_record *r, const uint8_t *before)
{
	struct ledger_event m;

	(void)before;
	if (ledger_record_get_event(r->body, &m) < 0)
		return bad(v, v->rows, "not an event, although it says so");
	v->events++;
	return 0;
}

static int take_head(struct ledger_verify *v, const struct ledger_record *r, const uint8_t *before)
{
	(void)r;
	(void)before;
	return bad(v, v->rows + 1, "the head of a file in the middle of one");
}

static int (*const takes[])(struct ledger_verify *v, const struct ledger_record *r,
			    const uint8_t *before) = {[LEDGER_HEAD] = take_head,
						      [LEDGER_ROW] = take_row,
						      [LEDGER_BATCH] = take_batch,
						      [LEDGER_CHECKPOINT] = take_checkpoint,
						      [LEDGER_DROP] = take_drop,
						      [LEDGER_EVENT] = take_event};

/* What can be told of a record that does not follow the one before. */
static int unchained(struct ledger_verify *v, const struct ledger_record *r)
{
	struct ledger_checkpoint c;
	struct ledger_batch m;
	struct ledger_row row;

	if (r->kind == LEDGER_ROW && ledger_record_get_row(r->body, &row) == 0) {
		if (row.row == v->rows + 1) {
			v->message = row.id;
			return bad(v, row.row, "this row was altered, or what stood before it is gone");
		}
		return bad(v, v->rows + 1, row.row > v->rows
					       ? "this row is missing: a later one stands in its place"
					       : "a row that was here before stands here again");
	}
	if (r->kind == LEDGER_CHECKPOINT && ledger_record_get_checkpoint(r->body, &c) == 0) {
		if (c.rows > v->rows)
			return bad(v, v->rows + 1, "this row is missing: a checkpoint that covers it follows");
		return bad(v, v->rows, "this checkpoint was altered, or what stood before it is gone");
	}
	if (r->kind == LEDGER_BATCH && ledger_record_get_batch(r->body, &m) == 0) {
		if (m.rows > v->rows)
			return bad(v, v->rows + 1, "this row is missing: the end of its batch follows");
		return bad(v, v->rows, "this end of a batch was altered, or what stood before it is gone");
	}
	return bad(v, v->rows + (r->kind == LEDGER_ROW),
		   "this record was altered, or what stood before it is gone");
}

/* --- files */

/* The first file of those that are there: what went before is proven by the last checkpoint of then. */
static int begin_later(struct ledger_verify *v, const struct ledger_head *h)
{
	struct ledger_record r;
	struct ledger_checkpoint c;
	int n = ledger_record_parse(h->tail, &r), m, err;

	if (n <= 0 || r.kind != LEDGER_CHECKPOINT || ledger_record_get_checkpoint(r.body, &c) < 0 ||
	    c.rows != h->first - 1)
		return bad(v, h->first, "the head of the first file does not tell where the rows before it ended");
	memcpy(v->chain.hash, c.hash, LEDGER_HASH);
	err = ledger_chain_add(&v->chain, r.hashed);
	m = ledger_record_parse(span_sub(h->tail, (size_t)n, h->tail.n), &r);
	if (err == 0 && m > 0)
		err = ledger_chain_add(&v->chain, r.hashed);
	if (err < 0)
		return err;
	if (m <= 0 || (size_t)n + (size_t)m != h->tail.n || memcmp(v->chain.hash, h->before, LEDGER_HASH) != 0)
		return bad(v, h->first, "the head of the first file does not follow what it says came before");
	v->rows = c.rows;
	err = take_signature(v, &c, 1);
	v->checkpoints = 0;
	return err;
}

static int begin_first(struct ledger_verify *v, const struct ledger_head *h)
{
	int err;

	memcpy(v->uuid, h->uuid, LEDGER_UUID);
	v->begun = 1;
	v->first = h->first;
	if (h->first > 1)
		return begin_later(v, h);
	ledger_chain_clear(&v->chain);
	err = ledger_chain_init(&v->chain, v->uuid);
	if (err == 0 && memcmp(v->chain.hash, h->before, LEDGER_HASH) != 0)
		err = bad(v, 1, "the head of the first file was altered");
	return err;
}

/* >0: length of the head. */
static int take_file_head(struct ledger_verify *v, uint64_t name, struct span bytes)
{
	struct ledger_record r;
	struct ledger_head h;
	int n = ledger_record_parse(bytes, &r), err;

	if (n <= 0 || r.kind != LEDGER_HEAD || ledger_record_get_head(r.body, &h) < 0)
		return bad(v, v->rows + 1, "the file does not begin with its head");
	if (h.first != name)
		return bad(v, v->rows + 1, "the file has the name of another one");
	if (v->begun && memcmp(h.uuid, v->uuid, LEDGER_UUID) != 0)
		return bad(v, v->rows + 1, "the file belongs to another ledger");
	if (v->begun && h.first != v->rows + 1) {
		v->from = v->rows + 1;
		return bad(v, v->rows + 1, h.first > v->rows ? "the file with this row is missing"
							     : "the file holds rows that were there before");
	}
	if (v->begun && memcmp(h.before, v->chain.hash, LEDGER_HASH) != 0)
		return bad(v, v->rows, "the end of the file before was cut, or the head of this one altered");
	err = v->begun ? 0 : begin_first(v, &h);
	if (err == 0)
		err = ledger_chain_add(&v->chain, r.hashed);
	if (err == 0 && memcmp(r.check, v->chain.hash, LEDGER_CHECK) != 0)
		err = bad(v, h.first, "the head of the file was altered");
	return err < 0 ? err : n;
}

static int take_record(struct ledger_verify *v, const struct ledger_record *r)
{
	uint8_t before[LEDGER_HASH];
	int err;

	memcpy(before, v->chain.hash, LEDGER_HASH);
	err = ledger_chain_add(&v->chain, r->hashed);
	if (err < 0)
		return err;
	if (memcmp(r->check, v->chain.hash, LEDGER_CHECK) != 0)
		return unchained(v, r);
	return takes[r->kind](v, r, before);
}

/* Up to where the file has to be good. */
static size_t good_length(struct span bytes, size_t head, enum ledger_verify_place place)
{
	struct ledger_verify_tail t;

	if (place != LEDGER_VERIFY_LAST)
		return bytes.n;
	return ledger_verify_tail(bytes, 0, &t) == 0 ? (size_t)t.length : head;
}

int ledger_verify_file(struct ledger_verify *v, uint64_t name, struct span bytes,
		       enum ledger_verify_place place)
{
	struct ledger_record r = {.kind = 0};
	size_t at, good;
	int n, err = 0;

	v->file = name;
	v->offset = 0;
	v->message = v->from = 0;
	n = take_file_head(v, name, bytes);
	if (n < 0)
		return n;
	at = (size_t)n;
	good = good_length(bytes, at, place);
	while (err == 0 && at < good) {
		v->offset = at;
		n = ledger_record_parse(span_sub(bytes, at, good - at), &r);
		if (n <= 0)
			return bad(v, v->rows + 1, n == 0 ? "the file ends within this record" : "no record begins here");
		err = take_record(v, &r);
		at += (size_t)n;
	}
	if (err < 0)
		return err;
	v->offset = at;
	v->torn = bytes.n - at;
	if (r.kind && r.kind != LEDGER_BATCH)
		return bad(v, v->rows, "the end of the last batch is missing");
	if (place == LEDGER_VERIFY_MORE && v->counter && v->rows != v->signed_to && v->signature)
		return bad(v, v->rows, "the checkpoint at the end of the file is missing");
	return 0;
}

int ledger_verify_end(struct ledger_verify *v, const struct ledger_verify_last *last)
{
	if (v->first > 1 && v->dropped < v->first - 1) {
		v->file = v->first;
		v->offset = 0;
		v->from = v->dropped + 1;
		return bad(v, v->first - 1, "the rows before are gone, and no note of retention says so");
	}
	if (!last->known || last->counter <= v->counter)
		return 0;
	v->from = v->rows + 1;
	if (last->rows > v->rows)
		return bad(v, last->rows, "the end was cut off: keyd signed rows up to here");
	return bad(v, last->rows, "the last checkpoint that keyd signed is missing");
}

/* --- the end of a file */

static int batch_at(struct span bytes, size_t at, uint64_t base, struct ledger_verify_tail *out)
{
	static const uint8_t none[LEDGER_UUID];
	struct ledger_record r;
	struct ledger_batch m;
	struct ledger_chain c;
	int n = ledger_record_parse(span_sub(bytes, at, bytes.n), &r), err;

	if (n <= 0 || r.kind != LEDGER_BATCH || ledger_record_get_batch(r.body, &m) < 0 || m.start > base + at)
		return ERR_NOTFOUND;
	err = ledger_chain_init(&c, none);
	memcpy(c.hash, m.hash, LEDGER_HASH);
	if (err == 0)
		err = ledger_chain_add(&c, r.hashed);
	if (err == 0 && memcmp(c.hash, r.check, LEDGER_CHECK) != 0)
		err = ERR_NOTFOUND;
	*out = (struct ledger_verify_tail){
	    .at = base + at, .length = base + at + (uint64_t)n, .rows = m.rows, .start = m.start};
	memcpy(out->before, m.hash, LEDGER_HASH);
	memcpy(out->hash, c.hash, LEDGER_HASH);
	ledger_chain_clear(&c);
	return err;
}

int ledger_verify_tail(struct span bytes, uint64_t base, struct ledger_verify_tail *out)
{
	static const uint8_t mark[5] = {0, 0, 0, BATCH_SIZE - 4, LEDGER_BATCH};

	for (size_t at = bytes.n < BATCH_SIZE ? 0 : bytes.n - BATCH_SIZE + 1; at-- > 0;) {
		int err;
		if (memcmp(bytes.p + at, mark, sizeof(mark)) != 0)
			continue;
		err = batch_at(bytes, at, base, out);
		if (err != ERR_NOTFOUND)
			return err;
	}
	return ERR_NOTFOUND;
}

int ledger_verify_batch(struct span records, const uint8_t before[LEDGER_HASH],
			const uint8_t behind[LEDGER_HASH])
{
	static const uint8_t none[LEDGER_UUID];
	struct ledger_record r;
	struct ledger_chain c;
	int err = ledger_chain_init(&c, none);

	memcpy(c.hash, before, LEDGER_HASH);
	for (int n = 0; err == 0 && records.n; records = span_sub(records, (size_t)n, records.n)) {
		n = ledger_record_parse(records, &r);
		err = n > 0 ? ledger_chain_add(&c, r.hashed) : ERR_DAMAGED;
	}
	if (err == 0 && memcmp(c.hash, behind, LEDGER_HASH) != 0)
		err = ERR_DAMAGED;
	ledger_chain_clear(&c);
	return err;
}
