/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a snapshot: read before anything can be verified, so nothing in it may be trusted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "keyd/keyd_store.h"
#include "sys/sys_file.h"
#include "wire/wire_put.h"

/* A head of so many file slots with these ids. */
static void head(struct buf *b, uint32_t format, uint32_t next, unsigned count, const uint32_t *ids)
{
	struct buf slot;

	buf_reset(b);
	wire_put_raw(b, "sealpost-keys-v1", 16);
	wire_put_u32(b, format);
	wire_put_raw(b, "0123456789abcdef", 16);
	wire_put_u64(b, 5);
	wire_put_u64(b, 1000);
	wire_put_u8(b, 1);
	wire_put_raw(b, "an anchor's id..", 16);
	wire_put_u64(b, 900);
	wire_put_u32(b, next);
	wire_put_u8(b, (uint8_t)count);
	buf_init(&slot, 2048);
	for (unsigned i = 0; i < count; i++) {
		struct keyd_root_slot s = {.id = ids[i], .method = KEYPROTO_SLOT_FILE};
		buf_reset(&slot);
		keyd_root_slot_put(&slot, &s);
		wire_put_bytes16(b, buf_span(&slot));
	}
	buf_clear(&slot);
	assert_int_equal(buf_failed(b), 0);
}

static int64_t parsed(uint32_t format, uint32_t next, unsigned count, const uint32_t *ids,
		      struct keyd_snapshot_head *out)
{
	struct buf b;
	int64_t n;

	buf_init(&b, 1 << 16);
	head(&b, format, next, count, ids);
	n = keyd_snapshot_head_parse(buf_span(&b), out);
	if (n > 0)
		assert_int_equal(n, buf_size(&b));
	for (size_t cut = 0; n > 0 && cut < (size_t)n; cut++) {
		struct keyd_snapshot_head part;
		assert_int_equal(keyd_snapshot_head_parse(span_of(buf_ptr(&b), cut), &part),
				 ERR_DAMAGED);
	}
	buf_clear(&b);
	return n;
}

static void a_head_says_which_slots_there_are(void **state)
{
	static const uint32_t ids[] = {4, 2, 9};
	struct keyd_snapshot_head h;

	(void)state;
	assert_true(parsed(2, 10, 3, ids, &h) > 0);
	assert_int_equal(h.generation, 5);
	assert_int_equal(h.made, 1000);
	assert_int_equal(h.restored, 1);
	assert_memory_equal(h.anchor, "an anchor's id..", 16);
	assert_int_equal(h.anchored, 900);
	assert_int_equal(h.next_slot, 10);
	assert_int_equal(h.slot_count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(h.slots[i].id, ids[i]);
}

static void a_head_whose_slots_cannot_be_told_apart_is_damaged(void **state)
{
	static const uint32_t twice[] = {1, 2, 1}, many[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct keyd_snapshot_head h;

	(void)state;
	assert_int_equal(parsed(2, 10, 3, twice, &h), ERR_DAMAGED);
	assert_int_equal(parsed(2, 2, 2, twice, &h), ERR_DAMAGED); /* an id that is still to come */
	assert_int_equal(parsed(2, 10, 0, NULL, &h), ERR_DAMAGED);
	assert_int_equal(parsed(2, 10, 9, many, &h), ERR_DAMAGED);
	assert_true(parsed(2, 10, 8, many, &h) > 0);
}

static void another_format_is_refused_in_clear_words(void **state)
{
	static const uint32_t ids[] = {1};
	char dir[] = "/tmp/test_keyd_snap.XXXXXX", path[64];
	struct keyd_snapshot_head h;
	struct keyd_store *store;
	const char *why = NULL;
	struct buf b;

	(void)state;
	assert_int_equal(parsed(1, 2, 1, ids, &h), ERR_UNSUPPORTED);
	assert_int_equal(parsed(3, 2, 1, ids, &h), ERR_UNSUPPORTED);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/store.snap", dir);
	buf_init(&b, 1 << 16);
	head(&b, 1, 2, 1, ids);
	assert_int_equal(sys_file_replace(path, buf_span(&b), 0600), 0);
	assert_int_equal(keyd_store_open(dir, &store, &why), ERR_UNSUPPORTED);
	assert_string_equal(why, "the snapshot is of a format that is not read here");
	buf_clear(&b);
	unlink(path);
	snprintf(path, sizeof(path), "%s/store.lock", dir);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_head_says_which_slots_there_are),
	    cmocka_unit_test(a_head_whose_slots_cannot_be_told_apart_is_damaged),
	    cmocka_unit_test(another_format_is_refused_in_clear_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
