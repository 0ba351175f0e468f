/* SPDX-License-Identifier: Apache-2.0 */
/* Every piece of the spool's format: what is taken is written back as the same bytes; what is written is taken. The
 * first bytes choose mark and offset; the input is tried as it is, and as a head with right sums. */
#include <stdlib.h>

#include "core/err.h"
#include "core/num.h"
#include "relay/spool/spool_check.h"

#define SIZE (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int cond)
{
	if (!cond)
		abort();
}

static void heads(const uint8_t *data, size_t size, const struct spool_mark *m, uint32_t offset)
{
	struct spool_record r = {0}, again;
	uint8_t *copy;
	int n;

	n = spool_record_get(&r, m, offset, SIZE, span_of(data, size));
	must(n <= 0 || (size_t)n <= size);
	if (size < SPOOL_HEAD)
		return;
	/* the same fields with right sums */
	r = (struct spool_record){
	    .id = num_get_u64(data + 8),
	    .time = (int64_t)num_get_u64(data + 16),
	    .stable = num_get_u32(data + 24),
	    .meta = num_get_u32(data + 28) % (uint32_t)(size - SPOOL_HEAD + 1),
	    .data = num_get_u32(data + 32) % (uint32_t)(size - SPOOL_HEAD + 1),
	    .kind = data[36] % 9,
	    .count = num_get_u16(data + 38),
	    .data_sum = num_get_u32(data + 40)};
	copy = malloc(size);
	memcpy(copy, data, size);
	spool_record_put(copy, m, offset, &r);
	n = spool_record_get(&again, m, offset, SIZE, span_of(copy, size));
	if (offset % SPOOL_ALIGN == 0 && offset <= SIZE && SIZE - offset >= SPOOL_HEAD &&
	    spool_record_legal(&r) && spool_record_size(&r) <= SIZE - offset) {
		must(n == (int)(SPOOL_HEAD + r.meta));
		must(again.id == r.id && again.time == r.time && again.stable == r.stable &&
		     again.meta == r.meta && again.data == r.data && again.kind == r.kind &&
		     again.count == r.count && again.data_sum == r.data_sum);
		copy[n - 1] ^= 1;
		must(spool_record_get(&again, m, offset, SIZE, span_of(copy, size)) <= 0);
	} else {
		must(n == ERR_FORMAT);
	}
	free(copy);
}

static void pieces(const uint8_t *data, size_t size)
{
	uint8_t back[SPOOL_PAGE];
	struct spool_place place;
	struct spool_state state;
	struct spool_close close;
	struct spool_end end;
	struct spool_title title;

	if (size >= SPOOL_PLACE_SIZE && spool_record_get_place(data, &place) == 0) {
		spool_record_put_place(back, &place);
		must(!memcmp(back, data, SPOOL_PLACE_SIZE));
	}
	if (size >= SPOOL_STATE_SIZE && spool_record_get_state(data, &state) == 0) {
		spool_record_put_state(back, &state);
		must(!memcmp(back, data, SPOOL_STATE_SIZE));
	}
	if (size >= SPOOL_CLOSE_SIZE && spool_record_get_close(data, &close) == 0) {
		spool_record_put_close(back, &close);
		must(!memcmp(back, data, SPOOL_CLOSE_SIZE));
	}
	if (size >= SPOOL_END_SIZE && spool_record_get_end(data, &end) == 0) {
		spool_record_put_end(back, &end);
		must(!memcmp(back, data, SPOOL_END_SIZE));
	}
	if (size >= SPOOL_PAGE && spool_record_get_title(data, &title) == 0)
		must(title.mark.number && title.size > SPOOL_FIRST);
}

/* A checkpoint's entries, of which no sum protects the reader here. */
static void entries(const uint8_t *data, size_t size)
{
	struct spool_entry *e;
	struct spool_live l;
	size_t at = 0;
	int more;

	must(spool_live_init(&l) == 0);
	while ((more = spool_check_get(&l, span_of(data, size), &at, &e)) > 0) {
		uint8_t *p = malloc(spool_check_size(e));
		unsigned open = 0;
		for (unsigned i = 0; i < e->recipients; i++)
			open += !spool_outcome_final(spool_live_states(e)[i].outcome);
		must(at <= size && e->remaining == open && spool_live_find(&l, e->id) == e);
		must(spool_check_put(p, e) == spool_check_size(e));
		free(p);
	}
	must(more == ERR_FORMAT || at == size);
	must(l.count == l.committed);
	spool_live_clear(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool_mark m;

	if (size < 16)
		return 0;
	m.number = num_get_u32(data);
	m.nonce = size >= 24 && data[4] & 1 ? num_get_u64(data + 16) : num_get_u64(data + 8);
	heads(data + 16, size - 16, &m, num_get_u32(data + 4) >> 8);
	pieces(data + 16, size - 16);
	entries(data + 16, size - 16);
	return 0;
}
