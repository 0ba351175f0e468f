/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_record.h"

#include "core/err.h"
#include "core/num.h"
#include "relay/spool/spool_sum.h"

/* What each kind may hold. unit: meta is a multiple of it; per_count: exactly count of them; fixed:
 * exactly one. */
static const struct {
	uint32_t unit;
	uint8_t per_count, fixed, id;
	uint16_t count_min, count_max;
	uint32_t meta_max, data_max;
} kinds[] = {
    [SPOOL_PART] = {1, 0, 0, 1, 0, 0, 0, SPOOL_PART_MAX},
    [SPOOL_COMMIT] = {SPOOL_PLACE_SIZE, 0, 0, 1, 1, SPOOL_RECIPIENTS_MAX,
		      SPOOL_PARTS_MAX *SPOOL_PLACE_SIZE, SPOOL_DATA_MAX},
    [SPOOL_STATE] = {SPOOL_STATE_SIZE, 1, 0, 1, 1, SPOOL_RECIPIENTS_MAX, SPOOL_META_MAX,
		     SPOOL_DATA_MAX},
    [SPOOL_CLOSE] = {SPOOL_CLOSE_SIZE, 0, 1, 0, 0, 0, SPOOL_CLOSE_SIZE, 0},
    [SPOOL_CHECK] = {1, 0, 0, 1, 1, UINT16_MAX, SPOOL_META_MAX, 0},
    [SPOOL_END] = {SPOOL_END_SIZE, 0, 1, 0, 0, 0, SPOOL_END_SIZE, 0},
    [SPOOL_COPY] = {SPOOL_PLACE_SIZE, 0, 0, 1, 1, SPOOL_RECIPIENTS_MAX,
		    SPOOL_PARTS_MAX *SPOOL_PLACE_SIZE, SPOOL_DATA_MAX},
};

int spool_record_legal(const struct spool_record *r)
{
	if (r->kind >= sizeof(kinds) / sizeof(kinds[0]) || !kinds[r->kind].unit)
		return 0;
	return (r->id != 0) == kinds[r->kind].id && r->count >= kinds[r->kind].count_min &&
	       r->count <= kinds[r->kind].count_max && r->meta <= kinds[r->kind].meta_max &&
	       r->data <= kinds[r->kind].data_max && r->meta % kinds[r->kind].unit == 0 &&
	       (!kinds[r->kind].per_count || r->meta == r->count * kinds[r->kind].unit) &&
	       (!kinds[r->kind].fixed || r->meta == kinds[r->kind].unit);
}

uint32_t spool_record_sum(struct span a, struct span b)
{
	uint32_t sum = spool_sum(0, a.p, a.n);

	return b.n ? spool_sum(sum, b.p, b.n) : sum;
}

static uint32_t head_sum(const struct spool_mark *m, uint32_t offset, const uint8_t *head,
			 uint32_t meta)
{
	uint8_t where[16];
	uint32_t sum;

	num_put_u64(where, m->nonce);
	num_put_u32(where + 8, m->number);
	num_put_u32(where + 12, offset);
	sum = spool_sum(0, where, sizeof(where));
	sum = spool_sum(sum, head, SPOOL_HEAD - 4);
	return meta ? spool_sum(sum, head + SPOOL_HEAD, meta) : sum;
}

void spool_record_put(uint8_t *head, const struct spool_mark *m, uint32_t offset,
		      const struct spool_record *r)
{
	num_put_u64(head, m->nonce);
	num_put_u64(head + 8, r->id);
	num_put_u64(head + 16, (uint64_t)r->time);
	num_put_u32(head + 24, r->stable);
	num_put_u32(head + 28, r->meta);
	num_put_u32(head + 32, r->data);
	head[36] = r->kind;
	head[37] = 0;
	num_put_u16(head + 38, r->count);
	num_put_u32(head + 40, r->data_sum);
	num_put_u32(head + 44, head_sum(m, offset, head, r->meta));
}

int spool_record_get(struct spool_record *r, const struct spool_mark *m, uint32_t offset,
		     uint32_t size, struct span b)
{
	if (offset % SPOOL_ALIGN || offset > size || size - offset < SPOOL_HEAD)
		return ERR_FORMAT;
	if (b.n < SPOOL_HEAD)
		return 0;
	if (num_get_u64(b.p) != m->nonce)
		return ERR_FORMAT;
	r->id = num_get_u64(b.p + 8);
	r->time = (int64_t)num_get_u64(b.p + 16);
	r->stable = num_get_u32(b.p + 24);
	r->meta = num_get_u32(b.p + 28);
	r->data = num_get_u32(b.p + 32);
	r->kind = b.p[36];
	r->count = num_get_u16(b.p + 38);
	r->data_sum = num_get_u32(b.p + 40);
	if (b.p[37] || !spool_record_legal(r) || spool_record_size(r) > size - offset)
		return ERR_FORMAT;
	if (b.n - SPOOL_HEAD < r->meta)
		return 0;
	if (num_get_u32(b.p + 44) != head_sum(m, offset, b.p, r->meta))
		return ERR_FORMAT;
	return (int)(SPOOL_HEAD + r->meta);
}

int spool_record_check(const struct spool_record *r, struct span data)
{
	return data.n == r->data && spool_sum(0, data.p, data.n) == r->data_sum ? 0 : ERR_DAMAGED;
}

void spool_record_put_place(uint8_t *p, const struct spool_place *at)
{
	num_put_u32(p, at->segment);
	num_put_u32(p + 4, at->offset);
	num_put_u32(p + 8, at->length);
}

int spool_record_get_place(const uint8_t *p, struct spool_place *at)
{
	at->segment = num_get_u32(p);
	at->offset = num_get_u32(p + 4);
	at->length = num_get_u32(p + 8);
	return at->segment && at->offset >= SPOOL_FIRST && at->offset % SPOOL_ALIGN == 0 &&
		       at->length >= SPOOL_HEAD && at->length <= SPOOL_RECORD_MAX
		   ? 0
		   : ERR_FORMAT;
}

void spool_record_put_state(uint8_t *p, const struct spool_state *st)
{
	num_put_u16(p, st->recipient);
	p[2] = st->outcome;
	p[3] = st->reason;
	num_put_u16(p + 4, st->code);
	num_put_u16(p + 6, st->attempts);
	num_put_u64(p + 8, (uint64_t)st->next);
}

int spool_record_get_state(const uint8_t *p, struct spool_state *st)
{
	st->recipient = num_get_u16(p);
	st->outcome = p[2];
	st->reason = p[3];
	st->code = num_get_u16(p + 4);
	st->attempts = num_get_u16(p + 6);
	st->next = (int64_t)num_get_u64(p + 8);
	return st->outcome >= SPOOL_DELIVERED && st->outcome <= SPOOL_HELD &&
		       st->recipient < SPOOL_RECIPIENTS_MAX
		   ? 0
		   : ERR_FORMAT;
}

void spool_record_put_close(uint8_t *p, const struct spool_close *c)
{
	num_put_u64(p, c->mark.nonce);
	num_put_u32(p + 8, c->mark.number);
	num_put_u32(p + 12, c->end);
	num_put_u32(p + 16, c->check.segment);
	num_put_u32(p + 20, c->check.offset);
	num_put_u32(p + 24, c->check_records);
	num_put_u32(p + 28, c->stable);
}

int spool_record_get_close(const uint8_t *p, struct spool_close *c)
{
	c->mark.nonce = num_get_u64(p);
	c->mark.number = num_get_u32(p + 8);
	c->end = num_get_u32(p + 12);
	c->check.segment = num_get_u32(p + 16);
	c->check.offset = num_get_u32(p + 20);
	c->check_records = num_get_u32(p + 24);
	c->stable = num_get_u32(p + 28);
	return c->mark.number && c->end >= SPOOL_FIRST && c->stable <= c->end ? 0 : ERR_FORMAT;
}

void spool_record_put_end(uint8_t *p, const struct spool_end *e)
{
	num_put_u32(p, e->start.segment);
	num_put_u32(p + 4, e->start.offset);
	num_put_u32(p + 8, e->records);
	num_put_u32(p + 12, e->messages);
}

int spool_record_get_end(const uint8_t *p, struct spool_end *e)
{
	e->start.segment = num_get_u32(p);
	e->start.offset = num_get_u32(p + 4);
	e->records = num_get_u32(p + 8);
	e->messages = num_get_u32(p + 12);
	return e->start.segment ? 0 : ERR_FORMAT;
}

/*   0            8        12     16      24        32        60
 *   | "SealSpl1" | number | size | nonce | created | 0 ...   | sum |  */
#define TITLE	   64
#define TITLE_COPY (SPOOL_PAGE / 2)
static const uint8_t title_magic[8] = "SealSpl1";

void spool_record_put_title(uint8_t page[SPOOL_PAGE], const struct spool_title *t)
{
	memset(page, 0, SPOOL_PAGE);
	memcpy(page, title_magic, 8);
	num_put_u32(page + 8, t->mark.number);
	num_put_u32(page + 12, t->size);
	num_put_u64(page + 16, t->mark.nonce);
	num_put_u64(page + 24, (uint64_t)t->created);
	num_put_u32(page + 60, spool_sum(0, page, 60));
	memcpy(page + TITLE_COPY, page, TITLE);
}

static int get_copy(const uint8_t *p, struct spool_title *t)
{
	if (memcmp(p, title_magic, 8) || num_get_u32(p + 60) != spool_sum(0, p, 60))
		return ERR_DAMAGED;
	t->mark.number = num_get_u32(p + 8);
	t->size = num_get_u32(p + 12);
	t->mark.nonce = num_get_u64(p + 16);
	t->created = (int64_t)num_get_u64(p + 24);
	return t->mark.number && t->mark.nonce && t->size % SPOOL_PAGE == 0 && t->size > SPOOL_FIRST
		   ? 0
		   : ERR_DAMAGED;
}

int spool_record_get_title(const uint8_t page[SPOOL_PAGE], struct spool_title *t)
{
	struct spool_title second = {0};
	int first_bad = get_copy(page, t) < 0,
	    second_bad = get_copy(page + TITLE_COPY, &second) < 0;

	if (first_bad && second_bad)
		return ERR_DAMAGED;
	if (!first_bad && !second_bad && memcmp(page, page + TITLE_COPY, TITLE))
		return ERR_NOTFOUND;
	if (first_bad)
		*t = second;
	return 0;
}
