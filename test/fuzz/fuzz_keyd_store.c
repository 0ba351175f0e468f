/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as the store. The first byte picks (keyd_fuzz.h): the head of a snapshot as it is;
 * records of a snapshot, with a true tag put behind them; records of a journal, then sealed
 * properly; a journal as it is. Whatever loads must be usable and come out again as what went in.
 * Wraps of the corpus, which keyd_corpus makes, open here. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "core/secret.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_journal.h"
#include "keyd/keyd_snapshot.h"
#include "seal/seal_kdf.h"
#include "test/fuzz/keyd_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t id[16] = KEYD_FUZZ_ID, root[32] = KEYD_FUZZ_ROOT;
static struct keyd_root_keys *keys; /* secret */
static struct buf
    keks[KEYD_RING_SHARDS]; /* a record each; only a few, since opening them takes time */

static void check(int good)
{
	if (!good)
		abort();
}

static struct keyd_ring *new_ring(void)
{
	struct keyd_root_keys *own = secret_alloc(sizeof(*own));
	struct keyd_ring *r;

	check(own != NULL);
	check(keyd_root_derive(root, own) == 0);
	r = keyd_ring_new(id, &own);
	check(r != NULL);
	return r;
}

static void set_up(void)
{
	static const char *const customers[] = {"default", "other", "a", "b"};
	struct keyd_ring *r;

	check(keyd_crypto_init() == 0);
	keys = secret_alloc(sizeof(*keys));
	check(keys && keyd_root_derive(root, keys) == 0);
	r = new_ring();
	for (unsigned i = 0; i < sizeof(customers) / sizeof(customers[0]); i++) {
		int shard = keyd_record_shard(span_str(customers[i]));
		check(shard >= 0);
		buf_init(&keks[shard], 256);
		check(keyd_ring_make_kek(r, (unsigned)shard, 1, &keks[shard]) == 0);
	}
	keyd_ring_free(r);
}

static struct keyd_ring *ring_with_keks(void)
{
	struct keyd_ring *r = new_ring();

	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++)
		if (buf_size(&keks[i]))
			check(keyd_ring_apply(r, KEYD_RECORD_KEK, buf_span(&keks[i]), 1) == 0);
	return r;
}

static int take_old(void *arg, unsigned type, struct span body)
{
	return keyd_ring_apply(arg, type, body, 0);
}

static int take_new(void *arg, unsigned type, struct span body)
{
	return keyd_ring_apply(arg, type, body, 1);
}

static int use_key(void *arg, const struct keyd_ring_info *info)
{
	struct keyd_crypto_key *key;

	if (keyd_ring_private(arg, info->label, &key) == 0)
		keyd_crypto_free(key);
	return 0;
}

static int copy_record(void *arg, unsigned type, struct span body)
{
	int rc = keyd_ring_apply(arg, type, body, 0);

	check(rc == 0);
	return rc;
}

static int add_record(void *arg, unsigned type, struct span body)
{
	const uint8_t byte = (uint8_t)type;

	check(buf_put(arg, &byte, 1) == 0 && buf_put_span(arg, body) == 0);
	return 0;
}

/* All that one can do with a ring. */
static void use(struct keyd_ring *r)
{
	struct keyd_ring *copy = new_ring();
	struct buf in, out;
	struct keyd_ring_counts a, b;
	const uint8_t *key;

	keyd_ring_counts(r, &a);
	for (uint32_t i = 0; i < a.customers; i++)
		keyd_ring_subkey(r, i, keyd_ring_newest(r, i), KEYPROTO_FOR_SPOOL, &key);
	keyd_ring_keys(r, 0, use_key, r);
	check(keyd_ring_each(r, copy_record, copy) == 0);
	buf_init(&in, 1 << 24);
	buf_init(&out, 1 << 24);
	check(keyd_ring_each(r, add_record, &in) == 0);
	check(keyd_ring_each(copy, add_record, &out) == 0);
	check(span_equal(buf_span(&in), buf_span(&out)));
	buf_clear(&in);
	buf_clear(&out);
	keyd_ring_counts(copy, &b);
	check(a.customers == b.customers && a.deks == b.deks && a.keks == b.keks &&
	      a.keys == b.keys);
	keyd_ring_free(copy);
}

static void snapshot(struct span records, struct keyd_ring *r)
{
	struct keyd_snapshot_head head = {.generation = 1, .next_slot = 2, .slot_count = 1};
	struct keyd_ring *none = new_ring();
	struct buf b;
	uint8_t tag[32];
	const uint8_t *at;
	struct span all;
	int64_t n;

	memcpy(head.id, id, sizeof(id));
	head.slots[0].id = 1;
	head.slots[0].method = KEYPROTO_SLOT_FILE;
	buf_init(&b, 1 << 22);
	check(keyd_snapshot_format(&head, none, keys->snapshot, NULL, &b) == 0);
	n = keyd_snapshot_head_parse(buf_span(&b), &head);
	check(n > 0);
	b.len = b.off + (size_t)n;
	buf_put_span(&b, records);
	all = buf_span(&b);
	check(seal_kdf_hmac(keys->snapshot, 32, &all, 1, tag) == 0);
	check(buf_put(&b, tag, sizeof(tag)) == 0);
	if (keyd_snapshot_parse(buf_span(&b), keys->snapshot, take_old, r, &at) == 0)
		use(r);
	buf_clear(&b);
	keyd_ring_free(none);
}

static void journal(struct span records, int sealed, struct keyd_ring *r)
{
	static const uint8_t snap[32] = "tag of a snapshot";
	struct keyd_journal_base base = {keys->journal, id, 1, snap};
	struct keyd_journal_read at;
	uint8_t header[KEYD_JOURNAL_HEADER], tag[32];
	uint64_t count = 0;
	struct buf b;

	buf_init(&b, 1 << 22);
	check(keyd_journal_header(&base, header) == 0);
	buf_put(&b, header, sizeof(header));
	memcpy(tag, header + sizeof(header) - 32, 32);
	if (!sealed)
		buf_put_span(&b, records);
	while (sealed && records.n >= 3) {
		struct span body = span_sub(records, 3, num_get_u16(records.p + 1));
		if (records.p[0] & KEYD_FUZZ_OLD && count == 0) {
			take_old(r, records.p[0] & (KEYD_FUZZ_OLD - 1), body);
			records = span_sub(records, 3 + body.n, records.n);
			continue;
		}
		check(keyd_journal_record(keys->journal, count++, records.p[0], body, tag, &b) ==
		      0);
		records = span_sub(records, 3 + body.n, records.n);
	}
	if (keyd_journal_replay(buf_span(&b), &base, take_new, r, &at) == 0) {
		check(!sealed || (at.number == count && at.end == buf_size(&b)));
		use(r);
	}
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyd_snapshot_head head;
	struct span rest = span_of(data + 1, size - 1);
	struct keyd_ring *r;

	if (size < 1)
		return 0;
	if (!keys)
		set_up();
	if ((data[0] & 3) == KEYD_FUZZ_HEAD) {
		keyd_snapshot_head_parse(rest, &head);
		return 0;
	}
	r = data[0] & KEYD_FUZZ_EMPTY ? new_ring() : ring_with_keks();
	if ((data[0] & 3) == KEYD_FUZZ_SNAPSHOT)
		snapshot(rest, r);
	else
		journal(rest, (data[0] & 3) == KEYD_FUZZ_JOURNAL, r);
	keyd_ring_free(r);
	return 0;
}
