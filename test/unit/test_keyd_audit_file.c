/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log's files: what a crash, a thief, a full disk and a missing directory leave of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "keyd/keyd_audit_file.h"
#include "keyd/keyd_audit_scan.h"
#include "keyd/keyd_crypto.h"
#include "sys/sys_file.h"

#define STORE "000102030405060708090a0b0c0d0e0f"
#define EMPTY "00000000000000000000000000000000"

struct bed {
	char root[32], dir[48];
	uint64_t size_max;
	struct keyd_audit_file *f;
	struct keyd_crypto_key *key;
	struct keyd_audit_file_signer signer;
};

static int sign(void *arg, struct span data, uint8_t sig[AUDIT_SIG])
{
	uint8_t room[KEYD_CRYPTO_SIG_MAX];
	int n = keyd_crypto_sign(arg, KEYPROTO_ALG_ED25519, data, room);

	if (n != AUDIT_SIG)
		return n < 0 ? n : ERR_CRYPTO;
	memcpy(sig, room, AUDIT_SIG);
	return 0;
}

static void make_signer(struct keyd_crypto_key **key, struct keyd_audit_file_signer *s)
{
	struct buf spki;

	assert_int_equal(keyd_crypto_generate(KEYPROTO_KEY_ED25519, key), 0);
	buf_init(&spki, 1024);
	assert_int_equal(keyd_crypto_public(*key, &spki), 0);
	assert_int_equal(buf_size(&spki), AUDIT_SPKI);
	memcpy(s->spki, buf_ptr(&spki), AUDIT_SPKI);
	buf_clear(&spki);
	s->sign = sign;
	s->arg = *key;
}

static void reopen(struct bed *b)
{
	keyd_audit_file_free(b->f);
	b->f = keyd_audit_file_new(b->dir, b->size_max);
	assert_non_null(b->f);
	assert_int_equal(keyd_audit_file_open(b->f, 1), 0);
}

static void bed_open(struct bed *b)
{
	memset(b, 0, sizeof(*b));
	strcpy(b->root, "/tmp/test_audit.XXXXXX");
	assert_non_null(mkdtemp(b->root));
	snprintf(b->dir, sizeof(b->dir), "%s/audit", b->root);
	b->size_max = KEYD_AUDIT_FILE_SIZE;
	make_signer(&b->key, &b->signer);
	reopen(b);
}

static void bed_close(struct bed *b)
{
	char command[64];

	keyd_audit_file_free(b->f);
	keyd_crypto_free(b->key);
	snprintf(command, sizeof(command), "rm -r %s", b->root);
	assert_int_equal(system(command), 0);
}

enum { PLAIN, SIGNED, LAST };

static int add(struct bed *b, int how, uint64_t uid)
{
	struct keyd_audit_file_batch batch = {.wall = 1795328178000001,
					      .store = STORE,
					      .last_words = how == LAST,
					      .checkpoint = how == SIGNED,
					      .signer = &b->signer};
	const struct audit_value values[] = {AUDIT_STR(OP, "lock"),
					     AUDIT_NUM(UID, uid),
					     AUDIT_NUM(MARK, uid),
					     AUDIT_STR(BRANCH, "00112233445566ff"),
					     {0}};
	int rc;

	buf_init(&batch.bodies, KEYD_AUDIT_FILE_BATCH);
	assert_int_equal(audit_line_body(&batch.bodies, batch.wall, AUDIT_INTENT, values), 0);
	buf_put_str(&batch.bodies, "\n");
	rc = keyd_audit_file_append(b->f, &batch);
	buf_clear(&batch.bodies);
	return rc;
}

static void path(const struct bed *b, uint32_t number, char out[96])
{
	char name[KEYD_AUDIT_SCAN_NAME];

	keyd_audit_scan_name(name, number);
	snprintf(out, 96, "%s/%s", b->dir, name);
}

static void read_file(const struct bed *b, uint32_t number, struct buf *out)
{
	char name[96];

	path(b, number, name);
	buf_init(out, 1 << 20);
	assert_int_equal(sys_file_read(name, out, 1), 0);
}

static void write_file(const struct bed *b, uint32_t number, struct span data)
{
	char name[96];
	int fd;

	path(b, number, name);
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, data.p, data.n), data.n);
	close(fd);
}

/* Verifies files first..last; the reader knows the key and where the log ends. */
static int verify(const struct bed *b, uint32_t first, uint32_t last, struct audit_verify *v)
{
	struct keyd_audit_file_tail tail;
	struct buf bytes;
	int rc = 0;

	audit_verify_init(v);
	assert_int_equal(audit_verify_key(v, span_of(b->signer.spki, AUDIT_SPKI)), 0);
	for (uint32_t n = first; rc == 0 && n <= last; n++) {
		read_file(b, n, &bytes);
		rc = audit_verify_file(v, n, buf_span(&bytes));
		buf_clear(&bytes);
	}
	keyd_audit_file_tail(b->f, &tail);
	return rc < 0 ? rc : audit_verify_end(v, tail.seq, tail.hash);
}

static void news(struct bed *b, struct keyd_audit_file_news *n)
{
	keyd_audit_file_news(b->f, n);
}

static void lines_survive_restarts(void **state)
{
	struct bed b;
	struct audit_verify v;
	struct keyd_audit_file_tail tail;
	struct keyd_audit_file_news n;

	(void)state;
	bed_open(&b);
	for (unsigned i = 1; i <= 5; i++) {
		assert_int_equal(add(&b, SIGNED, i), 0);
		reopen(&b);
		keyd_audit_file_tail(b.f, &tail);
		assert_int_equal(tail.mark, i);
		assert_string_equal(tail.branch, "00112233445566ff");
		news(&b, &n);
		assert_true(!n.cut && !n.damaged_file && !n.room_gone && !n.room_back);
	}
	/* file, key, then five times intent and checkpoint */
	assert_int_equal(verify(&b, 1, 1, &v), 0);
	assert_int_equal(v.lines, 12);
	assert_int_equal(v.signed_to, 12);
	bed_close(&b);
}

static void long_files_are_followed_by_the_next(void **state)
{
	struct bed b;
	struct audit_verify v;
	struct keyd_audit_file_tail tail;

	(void)state;
	bed_open(&b);
	b.size_max = 2000;
	reopen(&b);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(add(&b, i % 4 ? PLAIN : SIGNED, i), 0);
		if (i % 7 == 0)
			reopen(&b);
	}
	assert_int_equal(add(&b, SIGNED, 40), 0);
	keyd_audit_file_tail(b.f, &tail);
	assert_true(tail.file > 4);
	assert_int_equal(verify(&b, 1, tail.file, &v), 0);
	assert_int_equal(v.signed_to, tail.seq);
	assert_int_equal(verify(&b, 3, tail.file, &v), 0);
	bed_close(&b);
}

static void another_store_begins_another_file(void **state)
{
	struct bed b;
	struct audit_verify v;
	struct keyd_audit_file_batch batch = {.wall = 1, .store = EMPTY};

	(void)state;
	bed_open(&b);
	buf_init(&batch.bodies, KEYD_AUDIT_FILE_BATCH);
	assert_int_equal(
	    audit_line_body(&batch.bodies, 1, AUDIT_START, (const struct audit_value[]){{0}}), 0);
	buf_put_str(&batch.bodies, "\n");
	assert_int_equal(keyd_audit_file_append(b.f, &batch), 0);
	buf_clear(&batch.bodies);
	assert_int_equal(add(&b, SIGNED, 1), 0);
	assert_int_equal(verify(&b, 1, 2, &v), 0);
	assert_string_equal(v.store, STORE);
	bed_close(&b);
}

/* Wherever a write was torn, what was whole before it stays, and the log goes on. */
static void a_torn_end_is_cut(void **state)
{
	struct bed b;
	struct buf whole, bytes;
	struct audit_verify v;
	struct keyd_audit_file_news n;
	size_t begin;

	(void)state;
	bed_open(&b);
	assert_int_equal(add(&b, SIGNED, 1), 0);
	read_file(&b, 1, &bytes);
	begin = buf_size(&bytes);
	buf_clear(&bytes);
	assert_int_equal(add(&b, SIGNED, 2), 0);
	read_file(&b, 1, &whole);
	for (size_t size = begin; size < buf_size(&whole); size += 3) {
		for (int zeros = 0; zeros < 2; zeros++) {
			buf_init(&bytes, 1 << 20);
			buf_put_span(&bytes, span_sub(buf_span(&whole), 0, size));
			if (zeros) /* the sector behind was given out, its bytes never came */
				buf_put(&bytes, "\0\0\0\n", 4);
			write_file(&b, 1, buf_span(&bytes));
			buf_clear(&bytes);
			reopen(&b);
			news(&b, &n);
			assert_int_equal(n.damaged_file, 0);
			assert_true(zeros == 0 || n.cut);
			assert_int_equal(add(&b, SIGNED, 3), 0);
			assert_int_equal(verify(&b, 1, 1, &v), 0);
		}
	}
	buf_clear(&whole);
	bed_close(&b);
}

static void a_file_that_was_never_begun_is_removed(void **state)
{
	struct bed b;
	struct audit_verify v;

	(void)state;
	bed_open(&b);
	assert_int_equal(add(&b, SIGNED, 1), 0);
	write_file(&b, 2, SPAN_LIT("{\"seq\":4,"));
	reopen(&b);
	assert_int_equal(add(&b, SIGNED, 2), 0);
	assert_int_equal(verify(&b, 1, 1, &v), 0);
	bed_close(&b);
}

static void damage_is_told_and_a_new_file_goes_on(void **state)
{
	struct bed b;
	struct buf bytes;
	struct audit_verify v;
	struct keyd_audit_file_news n;
	char *at;

	(void)state;
	bed_open(&b);
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(add(&b, SIGNED, i), 0);
	read_file(&b, 1, &bytes);
	at = strstr((char *)bytes.data, "\"uid\":2");
	assert_non_null(at);
	at[6] = '9';
	write_file(&b, 1, buf_span(&bytes));
	reopen(&b);
	news(&b, &n);
	assert_int_equal(n.damaged_file, 1);
	assert_int_equal(n.damaged_line, 5);
	assert_int_equal(add(&b, SIGNED, 4), 0);
	buf_clear(&bytes);
	read_file(&b, 2, &bytes);
	assert_non_null(memmem(buf_ptr(&bytes), buf_size(&bytes), "\"event\":\"damage\"", 16));
	buf_clear(&bytes);
	assert_int_equal(verify(&b, 1, 2, &v), ERR_DAMAGED);
	assert_int_equal(v.file, 1);
	assert_int_equal(v.line, 5);
	bed_close(&b);
}

static void what_is_taken_away_while_it_runs_is_noticed(void **state)
{
	struct bed b;
	struct buf bytes;
	struct keyd_audit_file_news n;
	struct audit_verify v;
	char away[64], name[96];

	(void)state;
	bed_open(&b);
	assert_int_equal(add(&b, SIGNED, 1), 0);
	/* The directory is gone: nothing is written until it is back. */
	snprintf(away, sizeof(away), "%s/away", b.root);
	assert_int_equal(rename(b.dir, away), 0);
	assert_int_equal(add(&b, PLAIN, 2), ERR_NOTFOUND);
	assert_int_equal(add(&b, LAST, 2), ERR_NOTFOUND);
	assert_int_equal(rename(away, b.dir), 0);
	assert_int_equal(add(&b, SIGNED, 3), 0);
	assert_int_equal(verify(&b, 1, 1, &v), 0);
	news(&b, &n);
	assert_int_equal(n.damaged_file, 0);
	/* Whole lines were cut off the end. */
	read_file(&b, 1, &bytes);
	write_file(&b, 1, span_sub(buf_span(&bytes), 0, 0));
	path(&b, 1, name);
	assert_int_equal(truncate(name, 0), 0);
	bytes.len =
	    (size_t)((uint8_t *)memchr(bytes.data, '\n', buf_size(&bytes)) - bytes.data) + 1;
	write_file(&b, 1, buf_span(&bytes));
	buf_clear(&bytes);
	assert_int_equal(add(&b, SIGNED, 4), 0);
	news(&b, &n);
	assert_int_equal(n.damaged_file, 1);
	assert_string_equal(n.damage, "it is not what was written last");
	assert_int_equal(verify(&b, 1, 2, &v), ERR_DAMAGED);
	assert_int_equal(v.file, 2);
	assert_int_equal(v.line, 1);
	/* All files were deleted. */
	for (uint32_t i = 1; i <= 2; i++) {
		path(&b, i, name);
		assert_int_equal(unlink(name), 0);
	}
	assert_int_equal(add(&b, SIGNED, 5), 0);
	news(&b, &n);
	assert_string_equal(n.damage, "its files are gone");
	assert_int_equal(verify(&b, 3, 3, &v), 0);
	assert_true(v.seq > 10);
	bed_close(&b);
}

static void files_of_others_are_refused(void **state)
{
	struct bed b;
	char name[96];

	(void)state;
	bed_open(&b);
	assert_int_equal(add(&b, SIGNED, 1), 0);
	path(&b, 1, name);
	assert_int_equal(chmod(name, 0644), 0);
	keyd_audit_file_free(b.f);
	b.f = keyd_audit_file_new(b.dir, b.size_max);
	assert_int_equal(keyd_audit_file_open(b.f, 1), ERR_DENIED);
	assert_int_equal(add(&b, LAST, 2), ERR_DENIED);
	assert_int_equal(chmod(name, 0600), 0);
	assert_int_equal(add(&b, SIGNED, 2), 0);
	bed_close(&b);
}

static void a_new_key_is_signed_by_the_one_before(void **state)
{
	struct bed b;
	struct audit_verify v;
	struct keyd_crypto_key *key;
	struct keyd_audit_file_signer old;
	struct keyd_audit_file_batch batch = {.wall = 1, .store = STORE, .checkpoint = 1};

	(void)state;
	bed_open(&b);
	assert_int_equal(add(&b, SIGNED, 1), 0);
	old = b.signer;
	key = b.key;
	make_signer(&b.key, &b.signer);
	buf_init(&batch.bodies, 64);
	batch.signer = &b.signer;
	batch.former = &old;
	assert_int_equal(keyd_audit_file_append(b.f, &batch), 0);
	assert_int_equal(add(&b, SIGNED, 2), 0);
	assert_int_equal(verify(&b, 1, 1, &v), 0);
	b.signer = old; /* who knows the old key alone still trusts the end */
	assert_int_equal(verify(&b, 1, 1, &v), 0);
	assert_int_equal(v.signed_to, v.seq);
	keyd_crypto_free(key);
	bed_close(&b);
}

static void last_words_find_room_on_a_full_disk(void **state)
{
	struct bed b;
	struct keyd_audit_file_news n;
	struct audit_verify v;
	char name[64], block[4096] = {0};
	int fd, rc = 0;

	(void)state;
	bed_open(&b);
	keyd_audit_file_free(b.f);
	b.f = NULL;
	if (geteuid() || mount("tmpfs", b.dir, "tmpfs", 0, "size=1m,mode=0700") < 0) {
		bed_close(&b);
		skip();
	}
	reopen(&b);
	assert_int_equal(add(&b, SIGNED, 1), 0);
	snprintf(name, sizeof(name), "%s/filler", b.dir);
	fd = open(name, O_WRONLY | O_CREAT, 0600);
	while (write(fd, block, sizeof(block)) == sizeof(block))
		;
	close(fd);
	for (unsigned i = 0; i < 100 && rc == 0; i++) /* to the end of the last page */
		rc = add(&b, PLAIN, 2);
	assert_int_equal(rc, ERR_NOSPACE);
	assert_int_equal(add(&b, LAST, 3), 0);
	news(&b, &n);
	assert_true(n.room_gone);
	/* What is left of that room is not for others. */
	assert_int_equal(add(&b, PLAIN, 4), ERR_NOSPACE);
	assert_int_equal(add(&b, LAST, 5), 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(add(&b, SIGNED, 6), 0);
	news(&b, &n);
	assert_true(n.room_back);
	assert_int_equal(verify(&b, 1, 1, &v), 0);
	keyd_audit_file_free(b.f);
	b.f = NULL;
	assert_int_equal(umount(b.dir), 0);
	bed_close(&b);
}

static void it_reads_in_pages(void **state)
{
	struct bed b;
	struct buf out, all;
	uint32_t file = 0;
	uint64_t offset = 0;
	unsigned pages = 0;

	(void)state;
	bed_open(&b);
	b.size_max = 1500;
	reopen(&b);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(add(&b, PLAIN, i), 0);
	buf_init(&out, 1 << 20);
	buf_init(&all, 1 << 20);
	do {
		assert_int_equal(keyd_audit_scan_read(b.dir, &file, &offset, 100, &out), 0);
		pages++;
	} while (file);
	for (uint32_t i = 1; i <= 2; i++) {
		struct buf one;
		read_file(&b, i, &one);
		buf_put_span(&all, buf_span(&one));
		buf_clear(&one);
	}
	assert_true(pages > 20);
	assert_true(buf_size(&out) > buf_size(&all));
	assert_memory_equal(buf_ptr(&out), buf_ptr(&all), buf_size(&all));
	file = 99;
	assert_int_equal(keyd_audit_scan_read(b.dir, &file, &offset, 100, &out), ERR_NOTFOUND);
	buf_clear(&out);
	buf_clear(&all);
	bed_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lines_survive_restarts),
	    cmocka_unit_test(long_files_are_followed_by_the_next),
	    cmocka_unit_test(another_store_begins_another_file),
	    cmocka_unit_test(a_torn_end_is_cut),
	    cmocka_unit_test(a_file_that_was_never_begun_is_removed),
	    cmocka_unit_test(damage_is_told_and_a_new_file_goes_on),
	    cmocka_unit_test(what_is_taken_away_while_it_runs_is_noticed),
	    cmocka_unit_test(files_of_others_are_refused),
	    cmocka_unit_test(a_new_key_is_signed_by_the_one_before),
	    cmocka_unit_test(last_words_find_room_on_a_full_disk),
	    cmocka_unit_test(it_reads_in_pages),
	};

	if (keyd_crypto_init() < 0)
		return 99;
	umask(077);
	return cmocka_run_group_tests_name("keyd_audit_file", tests, NULL, NULL);
}
