/* SPDX-License-Identifier: Apache-2.0 */
/* Destruction step by step, with the time in hand: when it is complete and when it is not, what a
 * full or missing medium of the anchor does to it, and what the anchor's file may hold. */
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

#include "core/clock.h"
#include "core/err.h"
#include "core/secret.h"
#include "keyd/keyd_anchor.h"
#include "keyd/keyd_backup.h"
#include "keyd/keyd_crypto.h"
#include "keyproto/keyproto_backup.h"
#include "keyproto/keyproto_shred.h"
#include "sys/sys_file.h"
#include "test/unit/keyd_play.h"

#define DAY   (INT64_C(86400) * CLOCK_SEC)
#define NOW   (INT64_C(1795341600) * CLOCK_SEC)
#define FILES "[{method: file, path: root.key}]\nbackup_every: 0"

static struct keyd_play play;
static struct keyd_play_client officer;

static void open_with(const char *conf)
{
	clock_set(1000 * CLOCK_SEC, NOW);
	assert_int_equal(keyd_play_open(&play, conf), 0);
	keyd_play_connect(&officer, &play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN, KEYPROTO_ROLE_OFFICER);
	assert_int_equal(keyd_play_init(&officer, NULL), 0);
	assert_int_equal(keyd_play_customer(&officer, "doomed"), 0);
	assert_int_equal(keyd_play_customer(&officer, "other"), 0);
}

static void end(void)
{
	keyd_play_leave(&officer);
	keyd_play_close(&play);
	clock_restore();
}

/* What the timers do; without a loop nobody else does. */
static void turn(void)
{
	keyd_shred_look(play.keyd->shred);
	for (int i = 0; i < 20; i++)
		keyd_rotate_tick(play.keyd->rotate);
	keyd_shred_look(play.keyd->shred);
}

static int shred(const char *name)
{
	int rc;

	keyproto_bytes_put(keyd_play_begin(&officer), span_str(name));
	rc = keyd_play_call(&officer, KEYPROTO_SHRED);
	turn();
	return rc;
}

static struct keyd_ring_tomb tomb(void)
{
	struct keyd_ring_tomb t;

	assert_int_equal(keyd_ring_tomb_count(play.keyd->ring), 1);
	keyd_ring_tomb_at(play.keyd->ring, 0, &t);
	return t;
}

static int says(const char *text)
{
	keyproto_shreds_put(keyd_play_begin(&officer), 0);
	assert_int_equal(keyd_play_call(&officer, KEYPROTO_SHREDS), 0);
	buf_put(&officer.reply, "", 1);
	return strstr((const char *)buf_ptr(&officer.reply), text) != NULL;
}

static void it_is_complete_when_retention_has_run_out_and_not_before(void **state)
{
	(void)state;
	open_with(FILES "\nretention: 35d");
	assert_int_equal(shred("doomed"), 0);
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_BACKUPS);
	assert_true(says("{\"for\":\"copies\",\"until\":1798365600}"));
	clock_set(2000 * CLOCK_SEC, NOW + 35 * DAY - 1);
	turn();
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_BACKUPS);
	clock_set(2001 * CLOCK_SEC, NOW - 10 * DAY); /* a clock that was set back */
	turn();
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_BACKUPS);
	clock_set(2002 * CLOCK_SEC, NOW + 35 * DAY);
	turn();
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_COMPLETE);
	assert_true(says("\"waits\":[]"));
	end();
}

static void a_key_of_backups_is_waited_for_from_its_replacement_on(void **state)
{
	struct keyproto_backup m = {.what = KEYPROTO_BACKUP_BEGIN, .new_key = 1};

	(void)state;
	open_with(FILES "\nretention: 35d");
	keyproto_backup_put(keyd_play_begin(&officer), &m);
	assert_int_equal(keyd_play_call(&officer, KEYPROTO_BACKUP), 0);
	clock_set(1500 * CLOCK_SEC, NOW + DAY);
	keyproto_backup_put(keyd_play_begin(&officer), &m);
	assert_int_equal(keyd_play_call(&officer, KEYPROTO_BACKUP), 0); /* replaces the first */
	clock_set(1600 * CLOCK_SEC, NOW + 2 * DAY);
	assert_int_equal(shred("doomed"), 0);
	assert_true(says("{\"for\":\"backup\",\"id\":1,\"until\":1798452000}")); /* + 36 days */
	assert_true(says("{\"for\":\"backup\",\"id\":2,\"until\":1798538400}")); /* + 37 days */
	clock_set(1700 * CLOCK_SEC, NOW + 36 * DAY);
	assert_false(says("\"id\":1"));
	assert_true(says("\"id\":2"));
	keyproto_backup_forget_put(keyd_play_begin(&officer), 2);
	assert_int_equal(keyd_play_call(&officer, KEYPROTO_BACKUP_FORGET), 0);
	turn();
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_BACKUPS); /* copies of the files */
	clock_set(1800 * CLOCK_SEC, NOW + 37 * DAY);
	turn();
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_COMPLETE);
	end();
}

/* The anchor's folder goes away while a customer is destroyed, and comes back. */
static void without_its_medium_the_anchor_is_waited_for_and_nothing_is_lost(void **state)
{
	char dir[] = "/tmp/test_keyd_shred.XXXXXX", away[64], conf[256];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(away, sizeof(away), "%s.away", dir);
	snprintf(conf, sizeof(conf), FILES "\nanchor: %s/anchor", dir);
	open_with(conf);
	assert_int_equal(rename(dir, away), 0);
	assert_int_equal(shred("doomed"), 0); /* dead it is all the same */
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_REWRAPPED);
	turn();
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_REWRAPPED);
	assert_int_equal(keyd_play_customer(&officer, "third"), 0); /* and others go on */
	assert_int_equal(rename(away, dir), 0);
	turn();
	assert_int_equal(tomb().state, KEYD_RECORD_TOMB_COMPLETE);
	keyd_play_leave(&officer);
	keyd_play_stop(&play);
	assert_int_equal(keyd_play_restart(&play, conf), 0);
	assert_int_equal(play.keyd->state, KEYPROTO_READY);
	assert_int_equal(keyd_ring_customer(play.keyd->ring, SPAN_LIT("doomed")), ERR_GONE);
	assert_true(keyd_ring_customer(play.keyd->ring, SPAN_LIT("third")) >= 0);
	keyd_play_connect(&officer, &play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN, KEYPROTO_ROLE_OFFICER);
	end();
	snprintf(conf, sizeof(conf), "rm -r %s", dir);
	assert_int_equal(system(conf), 0);
}

static const uint8_t mine[16] = "0123456789abcdef", others[16] = "fedcba9876543210", none[16];

static void an_anchor_file_keeps_what_is_not_ours(void **state)
{
	char dir[] = "/tmp/test_keyd_shred.XXXXXX", path[64], command[64];
	uint8_t *a = secret_alloc(32), *b = secret_alloc(32), first[16], second[16], other[16];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/anchor", dir);
	assert_int_equal(keyd_anchor_read(path, mine, none, a), ERR_NOTFOUND);
	assert_int_equal(keyd_anchor_add(path, others, none, other, a), 0);
	assert_int_equal(keyd_anchor_add(path, mine, none, first, a), 0);
	assert_int_equal(keyd_anchor_add(path, mine, first, second, b), 0);
	assert_int_equal(keyd_anchor_read(path, mine, first, b), 0);
	assert_memory_equal(a, b, 32);
	assert_int_equal(keyd_anchor_erase(path, mine, second), 0);
	assert_int_equal(keyd_anchor_read(path, mine, first, b), ERR_NOTFOUND);
	assert_int_equal(keyd_anchor_read(path, mine, second, b), 0);
	assert_int_equal(keyd_anchor_read(path, others, other, b), 0);
	assert_int_equal(keyd_anchor_read(path, others, second, b), ERR_NOTFOUND);
	/* the other seven are others': there is room for no more, and none of them goes */
	for (int i = 0; i < 6; i++)
		assert_int_equal(keyd_anchor_add(path, others, other, first, a), 0);
	assert_int_equal(keyd_anchor_add(path, mine, second, first, a), ERR_EXISTS);
	assert_int_equal(keyd_anchor_read(path, mine, second, b), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(keyd_anchor_read(path, mine, second, b), ERR_DENIED);
	assert_int_equal(keyd_anchor_add(path, mine, second, first, a), ERR_DENIED);
	secret_free(a, 32);
	secret_free(b, 32);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

/* Around the borders of chunks, where a reader that counts wrong would be off. */
static void backups_of_every_length_open_and_only_whole(void **state)
{
	static const size_t sizes[] = {0,     1,     16383,	 16384,
				       16385, 32768, 64 * 16384, 64 * 16384 + 1};
	static const uint8_t secret[32] = "thirty-two bytes of a secret....";
	struct keyd_backup_head head = {.generation = 7, .sequence = 9, .made = 11, .key = 3}, back;
	char path[] = "/tmp/test_keyd_shred.XXXXXX";
	struct buf plain, file, out;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = mkstemp(strcpy(path, "/tmp/test_keyd_shred.XXXXXX"));
		int64_t size;
		buf_init(&plain, 2 << 20);
		buf_init(&file, 2 << 20);
		buf_init(&out, 2 << 20);
		if (sizes[i])
			memset(buf_reserve(&plain, sizes[i]), 'x', sizes[i]);
		buf_commit(&plain, sizes[i]);
		size = keyd_backup_seal(&head, secret, buf_span(&plain), fd);
		assert_true(size > 0);
		assert_int_equal(sys_file_read(path, &file, 1), 0);
		assert_int_equal(buf_size(&file), size);
		assert_int_equal(keyd_backup_open(buf_span(&file), secret, &back, &out), 0);
		assert_true(span_equal(buf_span(&out), buf_span(&plain)));
		assert_int_equal(back.key, 3);
		assert_int_equal(back.length, sizes[i]);
		for (size_t cut = 1; cut < 40; cut++) {
			buf_reset(&out);
			assert_int_equal(
			    keyd_backup_open(span_sub(buf_span(&file), 0, (size_t)size - cut),
					     secret, &back, &out),
			    ERR_AUTH);
		}
		close(fd);
		unlink(path);
		buf_clear(&plain);
		buf_clear(&file);
		buf_clear(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_is_complete_when_retention_has_run_out_and_not_before),
	    cmocka_unit_test(a_key_of_backups_is_waited_for_from_its_replacement_on),
	    cmocka_unit_test(without_its_medium_the_anchor_is_waited_for_and_nothing_is_lost),
	    cmocka_unit_test(an_anchor_file_keeps_what_is_not_ours),
	    cmocka_unit_test(backups_of_every_length_open_and_only_whole),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
