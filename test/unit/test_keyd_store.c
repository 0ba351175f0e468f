/* SPDX-License-Identifier: Apache-2.0 */
/* The store under attack and after crashes: what comes back is what was there, a whole beginning
 * of it, or an error; never something else. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_store.h"
#include "sys/sys_file.h"

static const uint8_t root[32] = "the root key of a test, 32 bytes";
static const uint8_t file_key[32] = "thirty-two bytes of a key file..";

/* A place with a store in it, and the ring that it should hold. */
struct place {
	char dir[40], snap[64], journal[64];
	struct keyd_store *store;
	struct keyd_ring *ring;
	struct keyd_snapshot_head head;
};

static struct keyd_root_keys *derived(void)
{
	struct keyd_root_keys *k = secret_alloc(sizeof(*k));

	assert_non_null(k);
	assert_int_equal(keyd_root_derive(root, k), 0);
	return k;
}

static struct keyd_ring *empty_ring(const uint8_t id[16])
{
	struct keyd_root_keys *k = derived();
	struct keyd_ring *r = keyd_ring_new(id, &k);

	assert_non_null(r);
	return r;
}

static void add(struct place *p, unsigned type, struct buf *record)
{
	if (p->store && keyd_store_head(p->store))
		assert_int_equal(keyd_store_append(p->store, type, buf_span(record)), 0);
	assert_int_equal(keyd_ring_apply(p->ring, type, buf_span(record), 1), 0);
	buf_clear(record);
}

static void add_customer(struct place *p, const char *name)
{
	struct buf b;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	assert_int_equal(keyd_ring_make_customer(p->ring, span_str(name), 1, &b), 0);
	add(p, KEYD_RECORD_DEK, &b);
}

static void add_key(struct place *p, const char *label, unsigned type)
{
	struct keyd_crypto_key *key;
	struct buf b;

	buf_init(&b, KEYD_RECORD_BODY_MAX);
	assert_int_equal(keyd_crypto_generate(type, &key), 0);
	assert_int_equal(keyd_ring_make_key(p->ring, span_str(label), type, key, 1, 1000, &b), 0);
	keyd_crypto_free(key);
	add(p, KEYD_RECORD_KEY, &b);
}

/* A store with its KEKs and nothing else. */
static void make(struct place *p)
{
	struct keyd_root_keys *k = derived();
	struct buf b;

	memset(p, 0, sizeof(*p));
	strcpy(p->dir, "/tmp/test_keyd_store.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->snap, sizeof(p->snap), "%s/store.snap", p->dir);
	snprintf(p->journal, sizeof(p->journal), "%s/store.journal", p->dir);
	memcpy(p->head.id, "0123456789abcdef", 16);
	p->head.next_slot = 2;
	p->head.slot_count = 1;
	p->head.slots[0].id = 1;
	p->head.slots[0].method = KEYPROTO_SLOT_FILE;
	assert_int_equal(keyd_root_slot_make(&p->head.slots[0], p->head.id,
					     span_of(file_key, sizeof(file_key)), root),
			 0);
	assert_int_equal(keyd_store_open(p->dir, &p->store, NULL), 0);
	assert_null(keyd_store_head(p->store));
	p->ring = empty_ring(p->head.id);
	for (unsigned i = 0; i < KEYD_RING_SHARDS; i++) {
		buf_init(&b, KEYD_RECORD_BODY_MAX);
		assert_int_equal(keyd_ring_make_kek(p->ring, i, 1, &b), 0);
		add(p, KEYD_RECORD_KEK, &b);
	}
	assert_int_equal(keyd_store_create(p->store, &p->head, k, p->ring), 0);
	secret_free(k, sizeof(*k));
}

static void unmake(struct place *p)
{
	char command[64];

	keyd_store_close(p->store);
	keyd_ring_free(p->ring);
	snprintf(command, sizeof(command), "rm -r %s", p->dir);
	assert_int_equal(system(command), 0);
}

/* How often the log said that a tail was cut, since the last reload. */
static int cuts;

static void hear(void *arg, const char *line)
{
	(void)arg;
	cuts += strstr(line, "event=journal-tail-cut ") != NULL;
}

/* Closes, opens and loads into a new ring. */
static int reload(struct place *p)
{
	struct keyd_root_keys *k = derived();
	int rc;

	cuts = 0;
	keyd_store_close(p->store);
	keyd_ring_free(p->ring);
	p->ring = empty_ring(p->head.id);
	rc = keyd_store_open(p->dir, &p->store, NULL);
	if (rc == 0)
		rc = keyd_store_load(p->store, k, p->ring, NULL);
	secret_free(k, sizeof(*k));
	return rc;
}

static void file_get(const char *path, struct buf *b)
{
	buf_init(b, 1 << 20);
	assert_int_equal(sys_file_read(path, b, 1), 0);
}

static void file_put(const char *path, const void *data, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* All that the ring holds as one run of bytes. */
static int gather(void *arg, unsigned type, struct span body)
{
	struct buf *b = arg;
	uint8_t t = (uint8_t)type;

	buf_put(b, &t, 1);
	return buf_put_span(b, body);
}

static struct buf image(const struct keyd_ring *r)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(keyd_ring_each(r, gather, &b), 0);
	return b;
}

static void subkey_of(struct place *p, const char *name, uint8_t out[32])
{
	int64_t c = keyd_ring_customer(p->ring, span_str(name));
	const uint8_t *key;

	assert_true(c >= 0);
	assert_int_equal(keyd_ring_subkey(p->ring, (uint32_t)c,
					  keyd_ring_newest(p->ring, (uint32_t)c),
					  KEYPROTO_FOR_SPOOL, &key),
			 0);
	memcpy(out, key, 32);
}

static void a_store_comes_back_as_it_was(void **state)
{
	struct place p;
	struct buf before, after;
	struct keyd_ring_info info;
	struct keyd_crypto_key *key;
	uint8_t a[32], b[32], c[32], sig[KEYD_CRYPTO_SIG_MAX];
	int n;

	(void)state;
	make(&p);
	add_customer(&p, "default");
	add_customer(&p, "other");
	add_key(&p, "tls/relay", KEYPROTO_KEY_EC_P256);
	add_key(&p, "dkim/a", KEYPROTO_KEY_ED25519);
	subkey_of(&p, "default", a);
	subkey_of(&p, "other", c);
	assert_memory_not_equal(a, c, 32);
	before = image(p.ring);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(reload(&p), 0);
		assert_int_equal(cuts, 0);
		after = image(p.ring);
		assert_true(span_equal(buf_span(&before), buf_span(&after)));
		buf_clear(&after);
		subkey_of(&p, "default", b);
		assert_memory_equal(a, b, 32);
		if (round == 1) /* the third time from the snapshot alone */
			assert_int_equal(keyd_store_snapshot(p.store, p.ring), 0);
	}
	assert_int_equal(keyd_ring_key(p.ring, SPAN_LIT("tls/relay"), &info), 0);
	assert_int_equal(keyd_ring_private(p.ring, SPAN_LIT("tls/relay"), &key), 0);
	n = keyd_crypto_sign(key, KEYPROTO_ALG_ES256, SPAN_LIT("text"), sig);
	assert_true(n > 0);
	assert_int_equal(keyd_crypto_verify(info.spki, KEYPROTO_ALG_ES256, SPAN_LIT("text"),
					    span_of(sig, (size_t)n)),
			 0);
	keyd_crypto_free(key);
	buf_clear(&before);
	unmake(&p);
}

/* What keyd does with a snapshot: slot, root, MAC, records. 0 only if all of it went well. */
static int open_snapshot(struct span file)
{
	struct keyd_snapshot_head head;
	uint8_t *opened = secret_alloc(32);
	struct keyd_root_keys *keys = secret_alloc(sizeof(*keys)),
			      *again = secret_alloc(sizeof(*keys));
	struct keyd_ring *ring = NULL;
	const uint8_t *tag;
	int rc = ERR_AUTH;

	if (keyd_snapshot_head_parse(file, &head) < 0)
		rc = ERR_DAMAGED;
	for (unsigned i = 0; rc == ERR_AUTH && i < head.slot_count; i++)
		if (head.slots[i].method == KEYPROTO_SLOT_FILE)
			rc = keyd_root_slot_open(&head.slots[i], head.id,
						 span_of(file_key, sizeof(file_key)), opened);
	if (rc == 0)
		rc = keyd_root_derive(opened, keys);
	if (rc == 0)
		rc = keyd_root_derive(opened, again);
	if (rc == 0 && (ring = keyd_ring_new(head.id, &again)) == NULL)
		rc = ERR_NOMEM;
	if (rc == 0) {
		struct buf none;
		buf_init(&none, 1);
		rc = keyd_snapshot_parse(file, keys->snapshot, gather, &none, &tag);
		rc = rc == ERR_LIMIT ? 0 : rc; /* the first record was handed out */
		buf_clear(&none);
	}
	keyd_ring_free(ring);
	secret_free(again, sizeof(*again));
	secret_free(keys, sizeof(*keys));
	secret_free(opened, 32);
	return rc;
}

static void no_changed_byte_of_the_snapshot_is_believed(void **state)
{
	struct place p;
	struct buf b;

	(void)state;
	make(&p);
	add_customer(&p, "default");
	add_key(&p, "tls/relay", KEYPROTO_KEY_EC_P256);
	assert_int_equal(keyd_store_snapshot(p.store, p.ring), 0);
	file_get(p.snap, &b);
	assert_int_equal(open_snapshot(buf_span(&b)), 0);
	for (size_t i = 0; i < buf_size(&b); i++) {
		uint8_t *at = b.data + b.off + i, was = *at;
		*at ^= (uint8_t)(1 << i % 8);
		assert_true(open_snapshot(buf_span(&b)) < 0);
		*at = was;
	}
	for (size_t n = 0; n < buf_size(&b); n += n < 600 ? 1 : 97)
		assert_true(open_snapshot(span_of(buf_ptr(&b), n)) < 0);
	buf_put(&b, "", 1);
	assert_true(open_snapshot(buf_span(&b)) < 0);
	buf_clear(&b);
	unmake(&p);
}

/* A journal of five records, and what continues it. */
struct log {
	struct place p;
	struct keyd_root_keys *keys;
	struct buf snap, file;
	struct keyd_journal_base base;
	size_t ends[5]; /* where each record ends */
};

static int count_record(void *arg, unsigned type, struct span body)
{
	(void)type;
	(void)body;
	(*(unsigned *)arg)++;
	return 0;
}

static void log_make(struct log *l)
{
	struct stat st;

	make(&l->p);
	l->keys = derived();
	add_customer(&l->p, "default");
	stat(l->p.journal, &st);
	l->ends[0] = (size_t)st.st_size;
	add_key(&l->p, "tls/relay", KEYPROTO_KEY_EC_P256);
	stat(l->p.journal, &st);
	l->ends[1] = (size_t)st.st_size;
	add_customer(&l->p, "b");
	stat(l->p.journal, &st);
	l->ends[2] = (size_t)st.st_size;
	add_key(&l->p, "tls/rsa", KEYPROTO_KEY_RSA2048);
	stat(l->p.journal, &st);
	l->ends[3] = (size_t)st.st_size;
	add_customer(&l->p, "a-customer-with-a-long-name/to-fill-more-than-one-sector-of-it");
	file_get(l->p.journal, &l->file);
	l->ends[4] = buf_size(&l->file);
	file_get(l->p.snap, &l->snap);
	l->base.key = l->keys->journal;
	l->base.store = l->p.head.id;
	l->base.generation = 2;
	l->base.snapshot = buf_ptr(&l->snap) + buf_size(&l->snap) - 32;
}

static void log_unmake(struct log *l)
{
	secret_free(l->keys, sizeof(*l->keys));
	buf_clear(&l->file);
	buf_clear(&l->snap);
	unmake(&l->p);
}

static int replay(const struct log *l, struct span file, unsigned *records,
		  struct keyd_journal_read *at)
{
	*records = 0;
	return keyd_journal_replay(file, &l->base, count_record, records, at);
}

static void no_changed_byte_of_the_journal_is_believed_or_taken_for_a_torn_tail(void **state)
{
	static const uint8_t masks[] = {0x01, 0x80, 0xff};
	struct keyd_journal_read at;
	struct log l;
	unsigned n;

	(void)state;
	log_make(&l);
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), 0);
	assert_int_equal(n, 5);
	assert_int_equal(at.end, buf_size(&l.file));
	for (size_t i = 0; i < buf_size(&l.file); i++) {
		uint8_t *p = l.file.data + l.file.off + i, was = *p;
		for (unsigned m = 0; m < 4; m++) {
			*p = m < 3 ? was ^ masks[m] : 0;
			if (*p != was && replay(&l, buf_span(&l.file), &n, &at) != ERR_DAMAGED)
				fail_msg("byte %zu as %02x: %u records", i, *p, n);
			*p = was;
		}
	}
	log_unmake(&l);
}

static void a_journal_cut_anywhere_loads_the_records_before_the_cut(void **state)
{
	struct keyd_journal_read at;
	struct log l;
	unsigned n, want;

	(void)state;
	log_make(&l);
	for (size_t cut = 0; cut <= buf_size(&l.file); cut++) {
		for (want = 0; want < 5 && l.ends[want] <= cut; want++)
			;
		assert_int_equal(replay(&l, span_of(buf_ptr(&l.file), cut), &n, &at), 0);
		assert_int_equal(n, want);
		assert_int_equal(at.number, want);
		assert_int_equal(at.end, want ? l.ends[want - 1] : cut >= 128 ? 128 : 0);
	}
	log_unmake(&l);
}

static void after_a_cut_the_store_goes_on_from_the_prefix(void **state)
{
	struct log l;
	struct keyd_ring_counts counts;

	(void)state;
	log_make(&l);
	for (size_t end = 0; end < buf_size(&l.file); end += 61) {
		keyd_store_close(l.p.store);
		l.p.store = NULL;
		file_put(l.p.snap, buf_ptr(&l.snap), buf_size(&l.snap));
		file_put(l.p.journal, buf_ptr(&l.file), end);
		assert_int_equal(reload(&l.p), 0);
		keyd_ring_counts(l.p.ring, &counts);
		assert_int_equal(counts.customers, (end >= l.ends[0]) + (end >= l.ends[2]));
		assert_int_equal(counts.keys, (end >= l.ends[1]) + (end >= l.ends[3]));
		assert_int_equal(cuts, end != 128 && end != l.ends[0] && end != l.ends[1] &&
					   end != l.ends[2] && end != l.ends[3]);
		add_customer(&l.p, "after");
		assert_int_equal(reload(&l.p), 0);
		assert_int_equal(cuts, 0);
		assert_true(keyd_ring_customer(l.p.ring, SPAN_LIT("after")) >= 0);
	}
	log_unmake(&l);
}

static void a_last_record_of_which_sectors_never_arrived_is_a_torn_tail(void **state)
{
	struct keyd_journal_read at;
	struct log l;
	size_t from, sector;
	unsigned n;

	(void)state;
	log_make(&l);
	/* the RSA key's record, which lies over several sectors, as the last one */
	from = l.ends[2];
	l.file.len = l.file.off + l.ends[3];
	for (sector = from / 512 * 512 + 512; sector < l.ends[3]; sector += 512) {
		struct buf torn;
		size_t end = sector + 512 < l.ends[3] ? sector + 512 : l.ends[3];
		file_get(l.p.journal, &torn);
		torn.len = torn.off + l.ends[3];
		memset(torn.data + torn.off + sector, 0, end - sector);
		assert_int_equal(replay(&l, buf_span(&torn), &n, &at), 0);
		assert_int_equal(n, 3);
		assert_int_equal(at.end, l.ends[2]);
		buf_clear(&torn);
	}
	/* nothing of it but its length has arrived */
	memset(l.file.data + l.file.off + from, 0, l.ends[3] - from);
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), 0);
	assert_int_equal(n, 3);
	log_unmake(&l);
}

static void zeros_before_a_whole_record_are_damage(void **state)
{
	struct keyd_journal_read at;
	struct log l;
	unsigned n;

	(void)state;
	log_make(&l);
	memset(l.file.data + l.file.off + l.ends[1], 0, l.ends[2] - l.ends[1]);
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), ERR_DAMAGED);
	log_unmake(&l);
}

static void records_cannot_be_moved_left_out_or_doubled(void **state)
{
	struct keyd_journal_read at;
	struct buf b;
	struct log l;
	unsigned n;
	const uint8_t *p;

	(void)state;
	log_make(&l);
	p = buf_ptr(&l.file);
	buf_init(&b, 1 << 20);
	buf_put(&b, p, l.ends[0]);
	buf_put(&b, p + l.ends[1], l.ends[2] - l.ends[1]); /* the second is left out */
	assert_int_equal(replay(&l, buf_span(&b), &n, &at), ERR_DAMAGED);
	buf_reset(&b);
	buf_put(&b, p, l.ends[0]);
	buf_put(&b, p + 128, l.ends[0] - 128); /* the first comes twice */
	assert_int_equal(replay(&l, buf_span(&b), &n, &at), ERR_DAMAGED);
	buf_clear(&b);
	log_unmake(&l);
}

static void a_journal_is_believed_only_with_its_snapshot(void **state)
{
	static const uint8_t other[16] = "another store...";
	struct keyd_journal_read at;
	struct log l;
	uint8_t tag[32];
	unsigned n;

	(void)state;
	log_make(&l);
	l.base.generation = 3; /* a crash came after the new snapshot */
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), ERR_BADSTATE);
	l.base.generation = 1; /* an old snapshot was put back */
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), ERR_DAMAGED);
	l.base.generation = 2;
	memcpy(tag, l.base.snapshot, 32);
	tag[0] ^= 1;
	l.base.snapshot = tag;
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), ERR_DAMAGED);
	tag[0] ^= 1;
	l.base.store = other;
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), ERR_DAMAGED);
	l.base.store = l.p.head.id;
	l.base.key = l.keys->snapshot;
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), ERR_DAMAGED);
	l.base.key = l.keys->journal;
	assert_int_equal(replay(&l, buf_span(&l.file), &n, &at), 0);
	log_unmake(&l);
}

static void a_crash_between_snapshot_and_journal_loses_nothing(void **state)
{
	struct log l;

	(void)state;
	log_make(&l);
	assert_int_equal(keyd_store_snapshot(l.p.store, l.p.ring), 0);
	/* as if it had come to the rename, and no further: the old journal is still there */
	file_put(l.p.journal, buf_ptr(&l.file), buf_size(&l.file));
	assert_int_equal(reload(&l.p), 0);
	assert_true(keyd_ring_customer(l.p.ring, SPAN_LIT("b")) >= 0);
	assert_int_equal(cuts, 0);
	add_customer(&l.p, "c");
	assert_int_equal(reload(&l.p), 0);
	assert_true(keyd_ring_customer(l.p.ring, SPAN_LIT("c")) >= 0);
	/* and an old snapshot beside a newer journal is no store */
	file_put(l.p.snap, buf_ptr(&l.snap), buf_size(&l.snap));
	assert_int_equal(reload(&l.p), ERR_DAMAGED);
	log_unmake(&l);
}

static void files_that_are_not_private_are_refused(void **state)
{
	struct place p;
	struct keyd_store *s;
	const char *why;
	char other[80];

	(void)state;
	make(&p);
	assert_int_equal(keyd_store_open(p.dir, &s, &why), ERR_BUSY); /* one keyd at a time */
	assert_null(s);
	keyd_store_close(p.store);
	p.store = NULL;
	chmod(p.snap, 0640);
	assert_int_equal(keyd_store_open(p.dir, &s, &why), ERR_DENIED);
	chmod(p.snap, 0600);
	snprintf(other, sizeof(other), "%s/elsewhere", p.dir);
	assert_int_equal(rename(p.snap, other), 0);
	assert_int_equal(symlink(other, p.snap), 0);
	assert_int_equal(keyd_store_open(p.dir, &s, &why), ERR_DENIED);
	unlink(p.snap);
	assert_int_equal(keyd_store_open(p.dir, &s, &why), ERR_DAMAGED); /* a journal alone */
	assert_int_equal(rename(other, p.snap), 0);
	chmod(p.dir, 0770);
	assert_int_equal(keyd_store_open(p.dir, &s, &why), ERR_DENIED);
	chmod(p.dir, 0700);
	chmod(p.journal, 0604);
	{
		assert_int_equal(reload(&p), ERR_DENIED);
		chmod(p.journal, 0600);
		assert_int_equal(reload(&p), 0);
	}
	unmake(&p);
}

static void what_does_not_fit_on_the_disk_leaves_no_trace(void **state)
{
	struct rlimit old, tight;
	struct place p;
	struct stat st;
	struct buf b;

	(void)state;
	make(&p);
	add_customer(&p, "default");
	stat(p.journal, &st);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)st.st_size + 100;
	buf_init(&b, KEYD_RECORD_BODY_MAX);
	assert_int_equal(keyd_ring_make_customer(p.ring, SPAN_LIT("big"), 1, &b), 0);
	setrlimit(RLIMIT_FSIZE, &tight);
	assert_true(keyd_store_append(p.store, KEYD_RECORD_DEK, buf_span(&b)) < 0);
	setrlimit(RLIMIT_FSIZE, &old);
	buf_clear(&b);
	stat(p.journal, &st);
	assert_true((rlim_t)st.st_size == tight.rlim_cur - 100);
	assert_true(keyd_store_writable(p.store));
	add_customer(&p, "later");
	assert_int_equal(reload(&p), 0);
	assert_int_equal(cuts, 0);
	assert_true(keyd_ring_customer(p.ring, SPAN_LIT("default")) >= 0);
	assert_true(keyd_ring_customer(p.ring, SPAN_LIT("later")) >= 0);
	assert_true(keyd_ring_customer(p.ring, SPAN_LIT("big")) < 0);
	unmake(&p);
}

static void snapshots_go_up_in_generation_and_empty_the_journal(void **state)
{
	struct place p;

	(void)state;
	make(&p);
	assert_int_equal(keyd_store_head(p.store)->generation, 2);
	assert_false(keyd_store_changed(p.store));
	add_customer(&p, "default");
	assert_true(keyd_store_changed(p.store));
	assert_int_equal(keyd_store_snapshot(p.store, p.ring), 0);
	assert_false(keyd_store_changed(p.store));
	assert_int_equal(keyd_store_head(p.store)->generation, 3);
	for (unsigned i = 0; !keyd_store_wants_snapshot(p.store); i++) {
		char name[32];
		assert_true(i < 20000);
		snprintf(name, sizeof(name), "customer-%u", i);
		add_customer(&p, name);
	}
	assert_int_equal(keyd_store_snapshot(p.store, p.ring), 0);
	assert_false(keyd_store_wants_snapshot(p.store));
	assert_int_equal(reload(&p), 0);
	assert_int_equal(keyd_store_head(p.store)->generation, 4);
	assert_true(keyd_ring_customer(p.ring, SPAN_LIT("customer-1000")) >= 0);
	unmake(&p);
}

static void a_store_without_its_journal_is_damaged(void **state)
{
	struct keyd_root_keys *k = derived();
	struct place p;
	struct buf b;

	(void)state;
	make(&p);
	add_customer(&p, "default");
	assert_int_equal(unlink(p.journal), 0);
	assert_int_equal(reload(&p), ERR_DAMAGED);
	/* only in generation 1, which is never answered, may it be missing */
	buf_init(&b, 1 << 20);
	keyd_ring_free(p.ring);
	p.ring = empty_ring(p.head.id);
	p.head.generation = 1;
	assert_int_equal(keyd_snapshot_format(&p.head, p.ring, k->snapshot, NULL, &b), 0);
	file_put(p.snap, buf_ptr(&b), buf_size(&b));
	assert_int_equal(reload(&p), 0);
	assert_int_equal(cuts, 0);
	buf_clear(&b);
	secret_free(k, sizeof(*k));
	unmake(&p);
}

static void a_record_that_could_not_be_taken_in_is_left_out_by_the_next_snapshot(void **state)
{
	struct place p;
	struct buf b;

	(void)state;
	make(&p);
	buf_init(&b, KEYD_RECORD_BODY_MAX);
	assert_int_equal(keyd_ring_make_customer(p.ring, SPAN_LIT("lost"), 1, &b), 0);
	assert_int_equal(keyd_store_append(p.store, KEYD_RECORD_DEK, buf_span(&b)), 0);
	keyd_store_distrust(p.store);
	assert_int_equal(keyd_store_append(p.store, KEYD_RECORD_DEK, buf_span(&b)), ERR_IO);
	assert_true(keyd_store_wants_snapshot(p.store));
	assert_int_equal(keyd_store_snapshot(p.store, p.ring), 0);
	buf_clear(&b);
	add_customer(&p, "found"); /* with the key reference that lost had */
	assert_int_equal(reload(&p), 0);
	assert_true(keyd_ring_customer(p.ring, SPAN_LIT("lost")) < 0);
	assert_true(keyd_ring_customer(p.ring, SPAN_LIT("found")) >= 0);
	unmake(&p);
}

static void a_sealed_store_takes_nothing(void **state)
{
	struct place p;

	(void)state;
	make(&p);
	keyd_store_seal(p.store);
	assert_int_equal(keyd_store_append(p.store, KEYD_RECORD_DEK, SPAN_LIT("x")), ERR_LOCKED);
	assert_int_equal(keyd_store_snapshot(p.store, p.ring), ERR_LOCKED);
	unmake(&p);
}

static void another_root_does_not_open_the_store(void **state)
{
	static const uint8_t wrong[32] = "another root key, of 32 bytes...";
	struct keyd_root_keys *k = secret_alloc(sizeof(*k));
	struct place p;

	(void)state;
	make(&p);
	keyd_store_close(p.store);
	assert_int_equal(keyd_store_open(p.dir, &p.store, NULL), 0);
	assert_int_equal(keyd_root_derive(wrong, k), 0);
	assert_int_equal(keyd_store_load(p.store, k, p.ring, NULL), ERR_DAMAGED);
	secret_free(k, sizeof(*k));
	unmake(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_store_comes_back_as_it_was),
	    cmocka_unit_test(no_changed_byte_of_the_snapshot_is_believed),
	    cmocka_unit_test(no_changed_byte_of_the_journal_is_believed_or_taken_for_a_torn_tail),
	    cmocka_unit_test(a_journal_cut_anywhere_loads_the_records_before_the_cut),
	    cmocka_unit_test(after_a_cut_the_store_goes_on_from_the_prefix),
	    cmocka_unit_test(a_last_record_of_which_sectors_never_arrived_is_a_torn_tail),
	    cmocka_unit_test(zeros_before_a_whole_record_are_damage),
	    cmocka_unit_test(records_cannot_be_moved_left_out_or_doubled),
	    cmocka_unit_test(a_journal_is_believed_only_with_its_snapshot),
	    cmocka_unit_test(a_crash_between_snapshot_and_journal_loses_nothing),
	    cmocka_unit_test(files_that_are_not_private_are_refused),
	    cmocka_unit_test(what_does_not_fit_on_the_disk_leaves_no_trace),
	    cmocka_unit_test(snapshots_go_up_in_generation_and_empty_the_journal),
	    cmocka_unit_test(a_store_without_its_journal_is_damaged),
	    cmocka_unit_test(a_record_that_could_not_be_taken_in_is_left_out_by_the_next_snapshot),
	    cmocka_unit_test(a_sealed_store_takes_nothing),
	    cmocka_unit_test(another_root_does_not_open_the_store),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	log_capture(hear, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
