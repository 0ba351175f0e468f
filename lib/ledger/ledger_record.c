/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/ledger_record.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "core/num.h"
#include "seal/seal_field.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

/* --- words */

struct word {
	uint8_t number;
	const char *text;
};
#define WORD(sym, num, text) {num, text},
static const struct word outcomes[] = {LEDGER_OUTCOMES(WORD){0, NULL}};
static const struct word tlss[] = {LEDGER_TLS(WORD){0, NULL}};
static const struct word clears[] = {LEDGER_CLEARS(WORD){0, NULL}};
static const struct word policies[] = {LEDGER_POLICIES(WORD){0, NULL}};
static const struct word bys[] = {LEDGER_BYS(WORD){0, NULL}};
#undef WORD
static const struct word *const lists[] = {[LEDGER_WORD_OUTCOME] = outcomes,
					   [LEDGER_WORD_TLS] = tlss,
					   [LEDGER_WORD_CLEAR] = clears,
					   [LEDGER_WORD_POLICY] = policies,
					   [LEDGER_WORD_BY] = bys};

const char *ledger_word(enum ledger_word list, unsigned number)
{
	for (const struct word *w = lists[list]; w->text; w++)
		if (w->number == number)
			return w->text;
	return "other";
}

uint8_t ledger_word_number(enum ledger_word list, const char *word)
{
	for (const struct word *w = lists[list]; word && w->text; w++)
		if (!strcmp(w->text, word))
			return w->number;
	return word ? LEDGER_OTHER : 0;
}

/* --- the chain */

int ledger_chain_add(struct ledger_chain *c, struct span bytes)
{
	unsigned n = LEDGER_HASH;

	if (EVP_DigestInit_ex2(c->digest, NULL, NULL) != 1 ||
	    EVP_DigestUpdate(c->digest, c->hash, LEDGER_HASH) != 1 ||
	    EVP_DigestUpdate(c->digest, bytes.p, bytes.n) != 1 ||
	    EVP_DigestFinal_ex(c->digest, c->hash, &n) != 1)
		return ERR_CRYPTO;
	return 0;
}

int ledger_chain_init(struct ledger_chain *c, const uint8_t uuid[LEDGER_UUID])
{
	c->digest = EVP_MD_CTX_new();
	if (!c->digest)
		return ERR_NOMEM;
	memset(c->hash, 0, LEDGER_HASH);
	if (EVP_DigestInit_ex2(c->digest, EVP_sha256(), NULL) != 1)
		return ERR_CRYPTO;
	return ledger_chain_add(c, span_of(uuid, LEDGER_UUID));
}

void ledger_chain_clear(struct ledger_chain *c)
{
	EVP_MD_CTX_free(c->digest);
	c->digest = NULL;
}

/* --- writing */

static size_t begin(struct buf *b, uint8_t kind)
{
	size_t at = buf_size(b);

	wire_put_u32(b, 0);
	wire_put_u8(b, kind);
	return at;
}

static int end(struct buf *b, struct ledger_chain *c, size_t at)
{
	size_t n = buf_size(b) - at;
	uint8_t *p;
	int err;

	if (buf_failed(b))
		return buf_failed(b);
	if (n + LEDGER_CHECK > LEDGER_RECORD_MAX)
		return ERR_LIMIT;
	p = b->data + b->off + at;
	num_put_u32(p, (uint32_t)(n - 4 + LEDGER_CHECK));
	err = ledger_chain_add(c, span_of(p, n));
	return err < 0 ? err : buf_put(b, c->hash, LEDGER_CHECK);
}

int ledger_record_put_row(struct buf *b, struct ledger_chain *c, const struct ledger_row *r)
{
	static const uint8_t none[LEDGER_INDEX];
	size_t at = begin(b, LEDGER_ROW);

	wire_put_u64(b, r->row);
	wire_put_u64(b, r->id);
	wire_put_u64(b, (uint64_t)r->at);
	wire_put_u64(b, (uint64_t)r->queued);
	wire_put_u64(b, r->size);
	wire_put_u32(b, r->ms);
	wire_put_u16(b, r->recipient);
	wire_put_u16(b, r->code);
	wire_put_u16(b, r->attempts);
	wire_put_u8(b, r->outcome);
	wire_put_u8(b, r->reason);
	wire_put_u8(b, r->bounce_class);
	wire_put_u8(b, r->tls);
	wire_put_u8(b, r->clear);
	wire_put_u8(b, r->policy);
	wire_put_u8(b, r->by);
	wire_put_u8(b, r->dkim);
	wire_put_u8(b, r->flags);
	wire_put_raw(b, r->index ? r->index : none, LEDGER_INDEX);
#define PUT(name) wire_put_bytes8(b, r->name);
	LEDGER_TEXTS(PUT)
#undef PUT
	wire_put_bytes16(b, r->sealed);
	return end(b, c, at);
}

int ledger_record_put_batch(struct buf *b, struct ledger_chain *c, const struct ledger_batch *m)
{
	size_t at = begin(b, LEDGER_BATCH);

	wire_put_u64(b, m->rows);
	wire_put_u64(b, m->start);
	wire_put_raw(b, m->hash, LEDGER_HASH);
	return end(b, c, at);
}

int ledger_record_put_checkpoint(struct buf *b, struct ledger_chain *c, const struct ledger_checkpoint *m)
{
	size_t at = begin(b, LEDGER_CHECKPOINT);

	if (m->signature.n > LEDGER_SIGNATURE_MAX)
		return ERR_LIMIT;
	wire_put_u64(b, m->counter);
	wire_put_u64(b, m->rows);
	wire_put_raw(b, m->hash, LEDGER_HASH);
	wire_put_u64(b, (uint64_t)m->at);
	wire_put_u32(b, m->version);
	wire_put_bytes16(b, m->signature);
	return end(b, c, at);
}

int ledger_record_put_head(struct buf *b, struct ledger_chain *c, const struct ledger_head *m)
{
	size_t at = begin(b, LEDGER_HEAD);

	wire_put_raw(b, "SPLEDGR1", 8);
	wire_put_raw(b, m->uuid, LEDGER_UUID);
	wire_put_u64(b, m->first);
	wire_put_u64(b, (uint64_t)m->at);
	wire_put_raw(b, m->before, LEDGER_HASH);
	wire_put_bytes16(b, m->tail);
	return end(b, c, at);
}

int ledger_record_put_drop(struct buf *b, struct ledger_chain *c, const struct ledger_drop *m)
{
	size_t at = begin(b, LEDGER_DROP);

	wire_put_u64(b, m->through);
	wire_put_u64(b, (uint64_t)m->at);
	return end(b, c, at);
}

int ledger_record_put_event(struct buf *b, struct ledger_chain *c, const struct ledger_event *m)
{
	size_t at = begin(b, LEDGER_EVENT);

	wire_put_u64(b, (uint64_t)m->at);
	wire_put_u32(b, m->number);
	wire_put_u32(b, m->reasons);
	wire_put_u16(b, m->link);
	wire_put_u8(b, m->kind);
	wire_put_u8(b, m->class);
	wire_put_u8(b, m->revised);
	wire_put_raw(b, m->message, sizeof(m->message));
	wire_put_bytes8(b, span_str(m->customer));
	wire_put_bytes8(b, span_str(m->campaign));
	return end(b, c, at);
}

/* --- reading */

int ledger_record_parse(struct span s, struct ledger_record *r)
{
	uint32_t n;

	if (s.n < 5)
		return 0;
	n = num_get_u32(s.p);
	if (n < 1 + LEDGER_CHECK || n > LEDGER_RECORD_MAX - 4 || s.p[4] < LEDGER_HEAD ||
	    s.p[4] > LEDGER_EVENT)
		return ERR_FORMAT;
	if (s.n < 4 + (size_t)n)
		return 0;
	r->kind = s.p[4];
	r->hashed = span_of(s.p, 4 + n - LEDGER_CHECK);
	r->body = span_of(s.p + 5, n - 1 - LEDGER_CHECK);
	r->check = s.p + 4 + n - LEDGER_CHECK;
	return (int)(4 + n);
}

int ledger_record_get_row(struct span body, struct ledger_row *r)
{
	struct wire_get g;

	wire_get_init(&g, body);
	r->row = wire_get_u64(&g);
	r->id = wire_get_u64(&g);
	r->at = (int64_t)wire_get_u64(&g);
	r->queued = (int64_t)wire_get_u64(&g);
	r->size = wire_get_u64(&g);
	r->ms = wire_get_u32(&g);
	r->recipient = wire_get_u16(&g);
	r->code = wire_get_u16(&g);
	r->attempts = wire_get_u16(&g);
	r->outcome = wire_get_u8(&g);
	r->reason = wire_get_u8(&g);
	r->bounce_class = wire_get_u8(&g);
	r->tls = wire_get_u8(&g);
	r->clear = wire_get_u8(&g);
	r->policy = wire_get_u8(&g);
	r->by = wire_get_u8(&g);
	r->dkim = wire_get_u8(&g);
	r->flags = wire_get_u8(&g);
	r->index = wire_get_raw(&g, LEDGER_INDEX).p;
#define GET(name) r->name = wire_get_bytes8(&g);
	LEDGER_TEXTS(GET)
#undef GET
	r->sealed = wire_get_bytes16(&g);
	return wire_get_end(&g);
}

int ledger_record_get_batch(struct span body, struct ledger_batch *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->rows = wire_get_u64(&g);
	m->start = wire_get_u64(&g);
	m->hash = wire_get_raw(&g, LEDGER_HASH).p;
	return wire_get_end(&g);
}

int ledger_record_get_checkpoint(struct span body, struct ledger_checkpoint *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->counter = wire_get_u64(&g);
	m->rows = wire_get_u64(&g);
	m->hash = wire_get_raw(&g, LEDGER_HASH).p;
	m->at = (int64_t)wire_get_u64(&g);
	m->version = wire_get_u32(&g);
	m->signature = wire_get_bytes16(&g);
	return m->signature.n > LEDGER_SIGNATURE_MAX ? ERR_FORMAT : wire_get_end(&g);
}

int ledger_record_get_head(struct span body, struct ledger_head *m)
{
	struct wire_get g;
	struct span magic;

	wire_get_init(&g, body);
	magic = wire_get_raw(&g, 8);
	m->uuid = wire_get_raw(&g, LEDGER_UUID).p;
	m->first = wire_get_u64(&g);
	m->at = (int64_t)wire_get_u64(&g);
	m->before = wire_get_raw(&g, LEDGER_HASH).p;
	m->tail = wire_get_bytes16(&g);
	return span_equal(magic, SPAN_LIT("SPLEDGR1")) ? wire_get_end(&g) : ERR_FORMAT;
}

int ledger_record_get_drop(struct span body, struct ledger_drop *m)
{
	struct wire_get g;

	wire_get_init(&g, body);
	m->through = wire_get_u64(&g);
	m->at = (int64_t)wire_get_u64(&g);
	return wire_get_end(&g);
}

int ledger_record_get_event(struct span body, struct ledger_event *m)
{
	struct wire_get g;
	struct span message;

	memset(m, 0, sizeof(*m));
	wire_get_init(&g, body);
	m->at = (int64_t)wire_get_u64(&g);
	m->number = wire_get_u32(&g);
	m->reasons = wire_get_u32(&g);
	m->link = wire_get_u16(&g);
	m->kind = wire_get_u8(&g);
	m->class = wire_get_u8(&g);
	m->revised = wire_get_u8(&g);
	message = wire_get_raw(&g, sizeof(m->message));
	if (message.p)
		memcpy(m->message, message.p, sizeof(m->message));
	m->customer_text = wire_get_bytes8(&g);
	m->campaign_text = wire_get_bytes8(&g);
	return wire_get_end(&g);
}

/* --- names */

void ledger_record_name(char dst[LEDGER_NAME], uint64_t first, const char *suffix)
{
	snprintf(dst, LEDGER_NAME, "ledger-%020llu%.8s", (unsigned long long)first, suffix);
}

int ledger_record_name_parse(const char *name, const char *suffix, uint64_t *first)
{
	size_t n = strlen(name);

	if (n != 27 + strlen(suffix) || strncmp(name, "ledger-", 7) != 0 || strcmp(name + 27, suffix) != 0)
		return ERR_FORMAT;
	return num_parse_u64(span_of(name + 7, 20), first);
}

int ledger_record_aad(struct buf *out, const char *customer, const uint8_t uuid[LEDGER_UUID], uint64_t row)
{
	char number[24];
	const struct span parts[] = {span_str(customer), span_of(uuid, LEDGER_UUID), SPAN_LIT("ledger"),
				     SPAN_LIT("recipient"),
				     span_of(number, (size_t)snprintf(number, sizeof(number), "%llu",
								      (unsigned long long)row)),
				     SPAN_LIT("1")};

	return seal_field_aad(out, parts, sizeof(parts) / sizeof(parts[0]));
}
