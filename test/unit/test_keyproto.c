/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/hex.h"
#include "test/unit/keyproto_roundtrip.h"
#include "wire/wire_frame.h"
#include "wire/wire_put.h"

/* One example of each message: file in test/vectors/keyproto, operation, its codec (NULL: the body
 * is empty or free text). */
static const struct {
	const char *file;
	uint16_t op;
	uint32_t status;
	int reply;
	keyproto_roundtrip_fn codec;
} examples[] = {
    {"hello", KEYPROTO_HELLO, 0, 0, roundtrip_hello},
    {"hello-reply", KEYPROTO_HELLO, 0, 1, roundtrip_hello_reply},
    {"status", KEYPROTO_STATUS, 0, 0, NULL},
    {"status-reply", KEYPROTO_STATUS, 0, 1, NULL},
    {"derive-new", KEYPROTO_DERIVE_NEW, 0, 0, roundtrip_derive_new},
    {"derive-new-reply", KEYPROTO_DERIVE_NEW, 0, 1, roundtrip_derived},
    {"derive-existing", KEYPROTO_DERIVE_EXISTING, 0, 0, roundtrip_derive_existing},
    {"derive-existing-reply", KEYPROTO_DERIVE_EXISTING, 0, 1, roundtrip_derived},
    {"seal-fields", KEYPROTO_SEAL_FIELDS, 0, 0, roundtrip_fields},
    {"seal-fields-reply", KEYPROTO_SEAL_FIELDS, 0, 1, roundtrip_results},
    {"open-fields", KEYPROTO_OPEN_FIELDS, 0, 0, roundtrip_fields},
    {"open-fields-reply", KEYPROTO_OPEN_FIELDS, 0, 1, roundtrip_results},
    {"blind-index", KEYPROTO_BLIND_INDEX, 0, 0, roundtrip_fields},
    {"blind-index-reply", KEYPROTO_BLIND_INDEX, 0, 1, roundtrip_results},
    {"mac", KEYPROTO_MAC, 0, 0, roundtrip_mac},
    {"mac-reply", KEYPROTO_MAC, 0, 1, roundtrip_bytes},
    {"verify-mac", KEYPROTO_VERIFY_MAC, 0, 0, roundtrip_mac},
    {"verify-mac-reply", KEYPROTO_VERIFY_MAC, KEYPROTO_E_AUTH, 1, NULL},
    {"sign", KEYPROTO_SIGN, 0, 0, roundtrip_sign},
    {"sign-reply", KEYPROTO_SIGN, 0, 1, roundtrip_bytes},
    {"public-key", KEYPROTO_PUBLIC_KEY, 0, 0, roundtrip_bytes},
    {"public-key-reply", KEYPROTO_PUBLIC_KEY, 0, 1, roundtrip_public},
    {"init", KEYPROTO_INIT, 0, 0, roundtrip_init},
    {"unseal", KEYPROTO_UNSEAL, 0, 0, roundtrip_slot},
    {"lock", KEYPROTO_LOCK, 0, 0, NULL},
    {"customer-add", KEYPROTO_CUSTOMER_ADD, 0, 0, roundtrip_bytes},
    {"key-add", KEYPROTO_KEY_ADD, 0, 0, roundtrip_key_add},
    {"key-add-reply", KEYPROTO_KEY_ADD, 0, 1, roundtrip_public},
    {"event", KEYPROTO_EVENT, 0, 1, roundtrip_event},
    {"rotate", KEYPROTO_ROTATE, 0, 0, roundtrip_rotate},
    {"rotation", KEYPROTO_ROTATION, 0, 0, roundtrip_rotation},
    {"schedule", KEYPROTO_SCHEDULE, 0, 0, roundtrip_schedule},
    {"schedule-reply", KEYPROTO_SCHEDULE, 0, 1, NULL},
    {"shred", KEYPROTO_SHRED, 0, 0, roundtrip_bytes},
    {"shreds", KEYPROTO_SHREDS, 0, 0, roundtrip_shreds},
    {"shreds-reply", KEYPROTO_SHREDS, 0, 1, NULL},
    {"backup", KEYPROTO_BACKUP, 0, 0, roundtrip_backup},
    {"backup-reply", KEYPROTO_BACKUP, 0, 1, roundtrip_backup_begun},
    {"backup-read", KEYPROTO_BACKUP, 0, 0, roundtrip_backup},
    {"backup-read-reply", KEYPROTO_BACKUP, 0, 1, roundtrip_bytes},
    {"backup-forget", KEYPROTO_BACKUP_FORGET, 0, 0, roundtrip_backup_forget},
    {"restore", KEYPROTO_RESTORE, 0, 0, roundtrip_restore},
    {"init-reply", KEYPROTO_INIT, 0, 1, roundtrip_slot_made},
    {"unseal-share", KEYPROTO_UNSEAL, 0, 0, roundtrip_slot},
    {"unseal-share-reply", KEYPROTO_UNSEAL, KEYPROTO_E_MORE, 1, NULL},
    {"slot-add", KEYPROTO_SLOT_ADD, 0, 0, roundtrip_slot_add},
    {"slot-add-reply", KEYPROTO_SLOT_ADD, 0, 1, roundtrip_slot_made},
    {"slot-remove", KEYPROTO_SLOT_REMOVE, 0, 0, roundtrip_slot_remove},
    {"slot-test", KEYPROTO_SLOT_TEST, 0, 0, roundtrip_slot_test},
    {"unseal-cancel", KEYPROTO_UNSEAL_CANCEL, 0, 0, NULL},
    {"witness", KEYPROTO_WITNESS, 0, 0, roundtrip_witness},
    {"witness-reply", KEYPROTO_WITNESS, 0, 1, roundtrip_witness},
    {"sign-version", KEYPROTO_SIGN, 0, 0, roundtrip_sign},
    {"blind-index-older", KEYPROTO_BLIND_INDEX, 0, 0, roundtrip_fields},
    {"reseal-fields", KEYPROTO_RESEAL_FIELDS, 0, 0, roundtrip_fields},
    {"reseal-fields-reply", KEYPROTO_RESEAL_FIELDS, 0, 1, roundtrip_results},
    {"customer-keys", KEYPROTO_CUSTOMER_KEYS, 0, 0, roundtrip_bytes},
    {"customer-keys-reply", KEYPROTO_CUSTOMER_KEYS, 0, 1, roundtrip_deks},
    {"dek-empty", KEYPROTO_DEK_EMPTY, 0, 0, roundtrip_dek_empty},
    {"key-list", KEYPROTO_KEY_LIST, 0, 0, NULL},
    {"key-list-reply", KEYPROTO_KEY_LIST, 0, 1, NULL},
    {"selftest", KEYPROTO_SELFTEST, 0, 0, NULL},
    {"selftest-reply", KEYPROTO_SELFTEST, 0, 1, NULL},
    {"zeroize", KEYPROTO_ZEROIZE, 0, 0, roundtrip_audit_zeroize},
    {"zeroize-proposed", KEYPROTO_ZEROIZE, KEYPROTO_E_QUORUM, 1, roundtrip_audit_number},
    {"audit-read", KEYPROTO_AUDIT_READ, 0, 0, roundtrip_audit_at},
    {"audit-read-reply", KEYPROTO_AUDIT_READ, 0, 1, roundtrip_audit_part},
    {"approve", KEYPROTO_APPROVE, 0, 0, roundtrip_audit_number},
    {"proposals", KEYPROTO_PROPOSALS, 0, 0, NULL},
    {"proposals-reply", KEYPROTO_PROPOSALS, 0, 1, NULL},
    {"withdraw", KEYPROTO_WITHDRAW, 0, 0, roundtrip_audit_number},
    {"checkpoint", KEYPROTO_CHECKPOINT, 0, 0, roundtrip_checkpoint},
    {"checkpoint-reply", KEYPROTO_CHECKPOINT, 0, 1, roundtrip_checkpoint_signed},
    {"checkpoint-last", KEYPROTO_CHECKPOINT_LAST, 0, 0, roundtrip_bytes},
    {"checkpoint-last-reply", KEYPROTO_CHECKPOINT_LAST, 0, 1, roundtrip_checkpoint_last},
    {"key-versions", KEYPROTO_KEY_VERSIONS, 0, 0, roundtrip_bytes},
    {"key-versions-reply", KEYPROTO_KEY_VERSIONS, 0, 1, roundtrip_versions},
    {"manifest-sign", KEYPROTO_MANIFEST_SIGN, 0, 0, roundtrip_manifest_sign},
    {"manifest-sign-reply", KEYPROTO_MANIFEST_SIGN, 0, 1, roundtrip_manifest_signed},
    {"approver-add", KEYPROTO_APPROVER_ADD, 0, 0, roundtrip_approver_add},
    {"approver-remove", KEYPROTO_APPROVER_REMOVE, 0, 0, roundtrip_bytes},
    {"approvers", KEYPROTO_APPROVERS, 0, 0, NULL},
    {"approvers-reply", KEYPROTO_APPROVERS, 0, 1, NULL},
    {"track-key", KEYPROTO_TRACK_KEY, 0, 0, roundtrip_track},
    {"track-key-reply", KEYPROTO_TRACK_KEY, 0, 1, roundtrip_bytes},
    {"audience-key", KEYPROTO_AUDIENCE_KEY, 0, 0, roundtrip_audience},
    {"audience-key-reply", KEYPROTO_AUDIENCE_KEY, 0, 1, roundtrip_bytes},
};
#define EXAMPLES (sizeof(examples) / sizeof(examples[0]))

/* Reads an example into memory of exactly its size, so that a read beyond it is seen by ASan. */
static struct span load(const char *name)
{
	static uint8_t *last;
	char path[512], line[256];
	const char *top = getenv("srcdir");
	struct buf b;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/test/vectors/keyproto/%s.hex", top ? top : ".", name);
	f = fopen(path, "r");
	assert_non_null(f);
	buf_init(&b, 65536);
	while (fgets(line, sizeof(line), f)) {
		uint8_t bytes[128];
		int got;
		if (line[0] == '#')
			continue;
		line[strcspn(line, "\n")] = '\0';
		got = hex_decode(bytes, sizeof(bytes), span_str(line));
		assert_true(got > 0);
		buf_put(&b, bytes, (size_t)got);
	}
	fclose(f);
	free(last);
	n = buf_size(&b);
	last = malloc(n);
	assert_non_null(last);
	memcpy(last, buf_ptr(&b), n);
	buf_clear(&b);
	return span_of(last, n);
}

static struct span load_body(const char *name)
{
	struct span s = load(name);
	struct wire_frame f;

	assert_int_equal(wire_frame_parse(s, &f), s.n);
	return f.body;
}

static void every_example_is_one_whole_frame_of_its_operation(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXAMPLES; i++) {
		struct span s = load(examples[i].file);
		struct wire_frame f;
		assert_int_equal(wire_frame_parse(s, &f), s.n);
		assert_int_equal(f.opcode, examples[i].op);
		assert_int_equal(f.status, examples[i].status);
		assert_int_equal(f.epoch != 0, examples[i].reply);
		assert_int_equal(f.request == 0, examples[i].op == KEYPROTO_EVENT);
	}
}

static void every_example_reads_and_writes_back_to_the_same_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < EXAMPLES; i++) {
		struct span body = load_body(examples[i].file);
		struct buf out;
		if (!examples[i].codec)
			continue;
		buf_init(&out, WIRE_FRAME_BODY_MAX);
		assert_int_equal(examples[i].codec(body, &out), 0);
		assert_int_equal(buf_size(&out), body.n);
		assert_memory_equal(buf_ptr(&out), body.p, body.n);
		buf_clear(&out);
	}
}

static void every_truncation_of_every_example_is_refused(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, WIRE_FRAME_BODY_MAX);
	for (size_t i = 0; i < EXAMPLES; i++) {
		struct span body = load_body(examples[i].file);
		for (size_t n = 0; examples[i].codec && n < body.n; n++) {
			uint8_t *cut = malloc(n + 1); /* the byte more is for malloc(0) */
			/* without its last field, it is one that asks for the newest DEK */
			int whole = !strcmp(examples[i].file, "blind-index-older") && n == body.n - 4;
			memcpy(cut, body.p, n);
			if (!whole)
				assert_int_equal(examples[i].codec(span_of(cut, n), &out),
						 ERR_FORMAT);
			free(cut);
		}
	}
	assert_int_equal(buf_size(&out), 0);
	buf_clear(&out);
}

static void a_byte_behind_any_example_is_refused(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, WIRE_FRAME_BODY_MAX);
	for (size_t i = 0; i < EXAMPLES; i++) {
		struct span body = load_body(examples[i].file);
		uint8_t *more = malloc(body.n + 1);
		memcpy(more, body.p, body.n);
		more[body.n] = 0;
		if (examples[i].codec)
			assert_int_equal(examples[i].codec(span_of(more, body.n + 1), &out),
					 ERR_FORMAT);
		free(more);
	}
	buf_clear(&out);
}

static void a_hello_says_role_and_program(void **state)
{
	struct keyproto_hello m;
	struct keyproto_hello_reply r;

	(void)state;
	assert_int_equal(keyproto_hello_get(load_body("hello"), &m), 0);
	assert_int_equal(m.version_min, 1);
	assert_int_equal(m.version_max, 1);
	assert_int_equal(m.role, KEYPROTO_ROLE_RELAY);
	assert_true(span_equal(m.program, SPAN_LIT("sealpost-relay")));
	assert_int_equal(keyproto_hello_reply_get(load_body("hello-reply"), &r), 0);
	assert_int_equal(r.version, 1);
	assert_int_equal(r.state, KEYPROTO_READY);
	assert_int_equal(r.store.n, 16);
	assert_int_equal(r.store.p[15], 15);
}

static void derived_keys_are_read_in_place_and_failed_items_have_none(void **state)
{
	static struct keyproto_derived d[KEYPROTO_BATCH_MAX];
	struct keyproto_derive_new m;
	struct span body;

	(void)state;
	assert_int_equal(keyproto_derive_new_get(load_body("derive-new"), &m), 0);
	assert_true(span_equal(m.customer, SPAN_LIT("default")));
	assert_int_equal(m.purpose, KEYPROTO_FOR_SPOOL);
	assert_int_equal(m.count, 2);
	assert_true(span_equal(m.contexts[1], SPAN_LIT("x")));
	body = load_body("derive-new-reply");
	assert_int_equal(keyproto_derived_get(body, d), 2);
	assert_int_equal(d[0].status, 0);
	assert_int_equal(d[0].keyref, 65537);
	assert_int_equal(d[0].salt[0], 0x10);
	assert_int_equal(d[0].key[0], 0x80);
	assert_ptr_equal(d[0].key, d[0].salt + KEYPROTO_SALT);
	assert_int_equal(d[1].status, KEYPROTO_E_NOTFOUND);
	assert_null(d[1].salt);
	assert_null(d[1].key);
}

static void an_existing_object_names_its_key_and_salt(void **state)
{
	static struct keyproto_derive_existing m;

	(void)state;
	assert_int_equal(keyproto_derive_existing_get(load_body("derive-existing"), &m), 0);
	assert_int_equal(m.count, 1);
	assert_true(span_equal(m.items[0].customer, SPAN_LIT("default")));
	assert_int_equal(m.items[0].keyref, 65537);
	assert_int_equal(m.items[0].salt[23], 0x27);
	assert_int_equal(m.items[0].context.n, 23);
}

static void fields_and_results_keep_their_order(void **state)
{
	static struct keyproto_result r[KEYPROTO_BATCH_MAX];
	static struct keyproto_fields m;

	(void)state;
	assert_int_equal(keyproto_fields_get(load_body("seal-fields"), &m), 0);
	assert_true(span_equal(m.customer, SPAN_LIT("acme.example")));
	assert_int_equal(m.purpose, KEYPROTO_FOR_FIELD);
	assert_int_equal(m.count, 2);
	assert_true(span_equal(m.items[0].aad, SPAN_LIT("aad one")));
	assert_true(span_equal(m.items[0].data, SPAN_LIT("plain one")));
	assert_int_equal(m.items[1].data.n, 0);
	assert_int_equal(keyproto_results_get(load_body("open-fields-reply"), r), 2);
	assert_true(span_equal(r[0].data, SPAN_LIT("plain one")));
	assert_int_equal(r[1].status, KEYPROTO_E_AUTH);
	assert_int_equal(r[1].data.n, 0);
}

static void macs_signatures_and_keys_carry_what_they_are_for(void **state)
{
	struct keyproto_mac mac;
	struct keyproto_sign sign;
	struct keyproto_public pub;
	struct keyproto_key_add add;
	struct keyproto_init init;
	uint8_t event;

	(void)state;
	assert_int_equal(keyproto_mac_get(load_body("verify-mac"), &mac), 0);
	assert_true(span_equal(mac.label, SPAN_LIT("campaign/1")));
	assert_int_equal(mac.mac.n, 32);
	assert_int_equal(keyproto_sign_get(load_body("sign"), &sign), 0);
	assert_int_equal(sign.alg, KEYPROTO_ALG_ES256);
	assert_true(span_equal(sign.data, SPAN_LIT("to be signed")));
	assert_int_equal(keyproto_public_get(load_body("public-key-reply"), &pub), 0);
	assert_int_equal(pub.type, KEYPROTO_KEY_EC_P256);
	assert_int_equal(pub.spki.n, 91);
	assert_int_equal(keyproto_key_add_get(load_body("key-add"), &add), 0);
	assert_true(span_equal(add.label, SPAN_LIT("dkim/acme.example/s2026")));
	assert_int_equal(keyproto_init_get(load_body("init"), &init), 0);
	assert_int_equal(init.count, 2);
	assert_int_equal(init.slots[0].method, KEYPROTO_SLOT_FILE);
	assert_true(span_equal(init.slots[1].secret, SPAN_LIT("correct horse battery staple")));
	assert_int_equal(keyproto_event_get(load_body("event"), &event), 0);
	assert_int_equal(event, KEYPROTO_LOCKED);
}

static void names_are_short_and_lower_case(void **state)
{
	static const char longest[] =
	    "0123456789012345678901234567890123456789012345678901234567890123";

	(void)state;
	assert_true(keyproto_name_ok(SPAN_LIT("default")));
	assert_true(keyproto_name_ok(SPAN_LIT("a-z_0.9/x")));
	assert_true(keyproto_name_ok(SPAN_LIT(longest)));
	assert_false(keyproto_name_ok(SPAN_LIT("")));
	assert_false(keyproto_name_ok(span_of(NULL, 0)));
	assert_false(keyproto_name_ok(SPAN_LIT("01234567890123456789012345678901234567890123456789"
					       "012345678901234")));
	for (unsigned c = 0; c < 256; c++) {
		uint8_t byte = (uint8_t)c;
		int want = c && strchr("abcdefghijklmnopqrstuvwxyz0123456789._/-", (int)c) != NULL;
		assert_int_equal(keyproto_name_ok(span_of(&byte, 1)), want);
	}
}

/* A body with bytes of an example changed must be refused. */
static void refused_with(const char *name, size_t at, const char *bytes, size_t n,
			 keyproto_roundtrip_fn codec)
{
	struct span body = load_body(name);
	uint8_t *copy = malloc(body.n);
	struct buf out;

	assert_true(at + n <= body.n);
	memcpy(copy, body.p, body.n);
	memcpy(copy + at, bytes, n);
	buf_init(&out, WIRE_FRAME_BODY_MAX);
	assert_int_equal(codec(span_of(copy, body.n), &out), ERR_FORMAT);
	buf_clear(&out);
	free(copy);
}

static void numbers_and_names_outside_the_lists_are_refused(void **state)
{
	(void)state;
	refused_with("hello", 0, "\0\0", 2, roundtrip_hello); /* version 0 */
	refused_with("hello", 0, "\0\2", 2, roundtrip_hello); /* lowest above highest */
	refused_with("hello", 4, "\0", 1, roundtrip_hello);   /* role */
	refused_with("hello", 4, "\6", 1, roundtrip_hello);   /* role */
	refused_with("hello", 6, "S", 1, roundtrip_hello);    /* program in capitals */
	refused_with("hello-reply", 2, "\0", 1, roundtrip_hello_reply);
	refused_with("hello-reply", 2, "\5", 1, roundtrip_hello_reply);
	refused_with("derive-new", 1, "D", 1, roundtrip_derive_new); /* customer */
	refused_with("derive-new", 8, "\0", 1, roundtrip_derive_new);
	refused_with("derive-new", 8, "\11", 1, roundtrip_derive_new);
	refused_with("derive-new", 9, "\0\0", 2, roundtrip_derive_new);	   /* count 0 */
	refused_with("derive-new", 9, "\0\3", 2, roundtrip_derive_new);	   /* more than there are */
	refused_with("derive-new-reply", 0, "\0\1", 2, roundtrip_derived); /* fewer */
	refused_with("derive-new-reply", 5, "\1", 1, roundtrip_derived);   /* failed, yet a key */
	refused_with("open-fields-reply", 5, "\1", 1, roundtrip_results);  /* failed, yet data */
	refused_with("seal-fields", 13, "\11", 1, roundtrip_fields);
	refused_with("sign", 10, "\0", 1, roundtrip_sign);
	refused_with("sign", 10, "\11", 1, roundtrip_sign);
	refused_with("public-key-reply", 0, "\4", 1, roundtrip_public);
	refused_with("init", 2, "\2", 1, roundtrip_init);   /* passphrase slot without one */
	refused_with("unseal", 0, "\1", 1, roundtrip_slot); /* file slot with a secret */
	refused_with("unseal", 0, "\0", 1, roundtrip_slot); /* "any" is for an opener alone */
	refused_with("unseal", 0, "\6", 1, roundtrip_slot);
	refused_with("slot-add", 40, "\1", 1, roundtrip_slot_add); /* one of two shares */
	refused_with("slot-add", 41, "\1", 1, roundtrip_slot_add); /* two of one */
	refused_with("slot-add", 31, "\1", 1, roundtrip_slot_add); /* numbers, but no shares */
	refused_with("slot-add-reply", 4, "\41", 1, roundtrip_slot_made); /* 33 shares */
	refused_with("slot-test", 0, "\0\0\0\0", 4, roundtrip_slot_test);
	refused_with("slot-remove", 0, "\0\0\0\0", 4, roundtrip_slot_remove);
	refused_with("event", 0, "\0", 1, roundtrip_event);
	refused_with("rotate", 0, "\0", 1, roundtrip_rotate);
	refused_with("rotate", 0, "\4", 1, roundtrip_rotate);
	refused_with("rotate", 2, "2x", 2, roundtrip_rotate); /* no shard */
	refused_with("rotate", 2, "07", 2, roundtrip_rotate); /* two texts for one shard */
	refused_with("rotate", 4, "\1", 1, roundtrip_rotate); /* a flag of signing keys */
	refused_with("rotation", 0, "\0", 1, roundtrip_rotation);
	refused_with("rotation", 0, "\3", 1, roundtrip_rotation);
	refused_with("schedule", 0, "\3", 1, roundtrip_schedule);
	refused_with("blind-index-older", 8, "\2", 1, roundtrip_fields); /* a keyref of fields */
	refused_with("blind-index-older", 50, "\0\0\0\0", 4, roundtrip_fields);
	refused_with("customer-keys-reply", 23, "\1", 1, roundtrip_deks); /* no DEK is next */
	refused_with("customer-keys-reply", 23, "\4", 1, roundtrip_deks);
	refused_with("dek-empty", 13, "\0\0\0\0", 4, roundtrip_dek_empty);
}

static void a_signing_key_s_name_may_end_in_its_version(void **state)
{
	static const struct {
		const char *text;
		int good;
		uint32_t version;
	} rows[] = {{"tls/relay", 1, 0},
		    {"tls/relay#1", 1, 1},
		    {"tls/relay#4294967295", 1, UINT32_MAX},
		    {"tls/relay#4294967296", 0, 0},
		    {"tls/relay#99999999999999999999", 0, 0},
		    {"tls/relay#0", 0, 0},
		    {"tls/relay#01", 0, 0},
		    {"tls/relay#", 0, 0},
		    {"tls/relay#x", 0, 0},
		    {"tls/relay#1#2", 0, 0},
		    {"tls/relay#-1", 0, 0},
		    {"#1", 0, 0},
		    {"", 0, 0},
		    {"Tls#1", 0, 0}};
	char name[KEYPROTO_NAME_MAX + 3];
	struct span label;
	uint32_t version;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(keyproto_keyname_ok(span_str(rows[i].text), &label, &version),
				 rows[i].good);
		if (rows[i].good) {
			assert_true(span_equal(label, SPAN_LIT("tls/relay")));
			assert_int_equal(version, rows[i].version);
		}
	}
	memset(name, 'a', KEYPROTO_NAME_MAX);
	memcpy(name + KEYPROTO_NAME_MAX, "#7", 3);
	assert_true(keyproto_keyname_ok(span_str(name), NULL, NULL));
	memcpy(name + KEYPROTO_NAME_MAX, "aa", 3);
	assert_false(keyproto_keyname_ok(span_str(name), NULL, NULL));
}

static void a_shard_has_one_text(void **state)
{
	static const struct {
		const char *text;
		int shard;
	} rows[] = {{"0", 0},		{"9", 9},	    {"10", 10},
		    {"255", 255},	{"all", 256},	    {"256", ERR_FORMAT},
		    {"00", ERR_FORMAT}, {"", ERR_FORMAT},   {"1000", ERR_FORMAT},
		    {"-1", ERR_FORMAT}, {"al", ERR_FORMAT}, {"1a", ERR_FORMAT}};
	struct keyproto_rotate all = {KEYPROTO_ROTATE_KEK, SPAN_LIT("all"), 0};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(keyproto_rotate_shard(span_str(rows[i].text)), rows[i].shard);
	buf_init(&b, 100);
	assert_int_equal(keyproto_rotate_put(&b, &all), 0);
	all.flags = KEYPROTO_ROTATE_URGENT; /* is for one shard */
	assert_int_equal(keyproto_rotate_put(&b, &all), ERR_FORMAT);
	buf_clear(&b);
}

static void a_mac_is_empty_or_32_bytes(void **state)
{
	struct keyproto_mac m = {SPAN_LIT("default"), SPAN_LIT("campaign/1"), SPAN_LIT("x"), {0}};
	static const uint8_t bytes[33];
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t n = 0; n <= 33; n++) {
		m.mac = span_of(bytes, n);
		buf_reset(&b);
		assert_int_equal(keyproto_mac_put(&b, &m), n == 0 || n == 32 ? 0 : ERR_FORMAT);
	}
	buf_clear(&b);
}

static void a_batch_has_1_to_256_items_and_fits_a_frame(void **state)
{
	static struct keyproto_derive_new m, back;
	static struct keyproto_derived keys[KEYPROTO_BATCH_MAX + 1], got[KEYPROTO_BATCH_MAX];
	static const uint8_t salt[KEYPROTO_SALT], key[KEYPROTO_OBJECT_KEY];
	struct buf b;

	(void)state;
	buf_init(&b, WIRE_FRAME_BODY_MAX);
	m.customer = SPAN_LIT("default");
	m.purpose = KEYPROTO_FOR_SPOOL;
	m.count = KEYPROTO_BATCH_MAX;
	for (unsigned i = 0; i < KEYPROTO_BATCH_MAX; i++) {
		m.contexts[i] = span_of("0123456789", 1 + i % 10);
		keys[i] = (struct keyproto_derived){i, salt, key, 0};
	}
	assert_int_equal(keyproto_derive_new_put(&b, &m), 0);
	assert_int_equal(keyproto_derive_new_get(buf_span(&b), &back), 0);
	assert_int_equal(back.count, KEYPROTO_BATCH_MAX);
	assert_true(span_equal(back.contexts[255], m.contexts[255]));
	buf_reset(&b);
	assert_int_equal(keyproto_derived_put(&b, keys, KEYPROTO_BATCH_MAX), 0);
	assert_int_equal(keyproto_derived_get(buf_span(&b), got), KEYPROTO_BATCH_MAX);
	assert_int_equal(got[255].keyref, 255);

	buf_reset(&b);
	assert_int_equal(keyproto_derived_put(&b, keys, KEYPROTO_BATCH_MAX + 1), ERR_FORMAT);
	buf_reset(&b);
	assert_int_equal(keyproto_derived_put(&b, keys, 0), ERR_FORMAT);
	buf_reset(&b);
	m.count = KEYPROTO_BATCH_MAX + 1;
	assert_int_equal(keyproto_derive_new_put(&b, &m), ERR_FORMAT);
	buf_clear(&b);
}

static void a_count_above_256_is_refused_before_any_item(void **state)
{
	static struct keyproto_derived got[KEYPROTO_BATCH_MAX];
	struct buf b;

	(void)state;
	buf_init(&b, WIRE_FRAME_BODY_MAX);
	wire_put_u16(&b, KEYPROTO_BATCH_MAX + 1);
	for (unsigned i = 0; i <= KEYPROTO_BATCH_MAX; i++)
		wire_put_u64(&b, UINT64_C(1) << 32); /* status 1, key reference 0 */
	assert_int_equal(keyproto_derived_get(buf_span(&b), got), ERR_FORMAT);
	buf_clear(&b);
}

static void a_bad_argument_costs_the_frame_and_not_the_connection(void **state)
{
	struct keyproto_sign m = {SPAN_LIT("TLS"), KEYPROTO_ALG_ES256, SPAN_LIT("x")};
	struct buf b;
	size_t at;

	(void)state;
	buf_init(&b, 1000);
	at = wire_frame_open(&b);
	assert_int_equal(keyproto_sign_put(&b, &m), ERR_FORMAT);
	assert_int_equal(wire_frame_close(&b, at, KEYPROTO_SIGN, 1, 0, 0), ERR_FORMAT);
	assert_int_equal(buf_size(&b), 0);
	buf_clear(&b);
}

static void data_over_16_kib_is_refused_and_to_sign_over_48(void **state)
{
	static uint8_t big[KEYPROTO_SIGN_MAX + 1];
	static struct keyproto_fields f;
	struct keyproto_sign m = {SPAN_LIT("tls/relay"), KEYPROTO_ALG_ES256,
				  span_of(big, KEYPROTO_SIGN_MAX)};
	struct buf b;

	(void)state;
	buf_init(&b, WIRE_FRAME_BODY_MAX);
	assert_int_equal(keyproto_sign_put(&b, &m), 0);
	buf_reset(&b);
	m.data.n++;
	assert_int_equal(keyproto_sign_put(&b, &m), ERR_FORMAT);
	f.customer = SPAN_LIT("default");
	f.purpose = KEYPROTO_FOR_CRED;
	f.count = 1;
	f.items[0].data = span_of(big, KEYPROTO_SEALED_MAX);
	buf_reset(&b);
	assert_int_equal(keyproto_fields_put(&b, &f), 0);
	f.items[0].data.n++;
	buf_reset(&b);
	assert_int_equal(keyproto_fields_put(&b, &f), ERR_FORMAT);
	buf_clear(&b);
}

static void numbers_have_their_names_and_unknown_ones_have_none(void **state)
{
	(void)state;
	assert_string_equal(keyproto_op_name(KEYPROTO_DERIVE_NEW), "derive-new");
	assert_string_equal(keyproto_op_name(KEYPROTO_EVENT), "event");
	assert_null(keyproto_op_name(0));
	assert_null(keyproto_op_name(3));
	assert_string_equal(keyproto_role_name(KEYPROTO_ROLE_MILTER), "milter");
	assert_null(keyproto_role_name(0));
	assert_null(keyproto_role_name(6));
	assert_int_equal(keyproto_role_of_name(SPAN_LIT("auditor")), KEYPROTO_ROLE_AUDITOR);
	assert_int_equal(keyproto_role_of_name(SPAN_LIT("audito")), 0);
	assert_string_equal(keyproto_purpose_name(KEYPROTO_FOR_HMAC), "hmac");
	assert_null(keyproto_purpose_name(9));
	assert_string_equal(keyproto_alg_name(KEYPROTO_ALG_ED25519), "Ed25519");
	assert_null(keyproto_alg_name(9));
	assert_string_equal(keyproto_keytype_name(KEYPROTO_KEY_RSA2048), "rsa-2048");
	assert_null(keyproto_keytype_name(0));
	assert_string_equal(keyproto_state_name(KEYPROTO_LOCKED), "locked");
	assert_null(keyproto_state_name(0));
	assert_null(keyproto_state_name(5));
}

static void status_and_error_codes_map_both_ways(void **state)
{
	(void)state;
	for (uint32_t s = 0; s <= KEYPROTO_E_ROLLBACK; s++)
		assert_int_equal(keyproto_status_of_err(keyproto_err_of_status(s)), s);
	assert_int_equal(keyproto_err_of_status(KEYPROTO_E_LOCKED), ERR_LOCKED);
	assert_int_equal(keyproto_err_of_status(15), ERR_IO);
	assert_int_equal(keyproto_err_of_status(UINT32_MAX), ERR_IO);
	assert_int_equal(keyproto_status_of_err(ERR_NOMEM), KEYPROTO_E_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_example_is_one_whole_frame_of_its_operation),
	    cmocka_unit_test(every_example_reads_and_writes_back_to_the_same_bytes),
	    cmocka_unit_test(every_truncation_of_every_example_is_refused),
	    cmocka_unit_test(a_byte_behind_any_example_is_refused),
	    cmocka_unit_test(a_hello_says_role_and_program),
	    cmocka_unit_test(derived_keys_are_read_in_place_and_failed_items_have_none),
	    cmocka_unit_test(an_existing_object_names_its_key_and_salt),
	    cmocka_unit_test(fields_and_results_keep_their_order),
	    cmocka_unit_test(macs_signatures_and_keys_carry_what_they_are_for),
	    cmocka_unit_test(names_are_short_and_lower_case),
	    cmocka_unit_test(numbers_and_names_outside_the_lists_are_refused),
	    cmocka_unit_test(a_shard_has_one_text),
	    cmocka_unit_test(a_signing_key_s_name_may_end_in_its_version),
	    cmocka_unit_test(a_mac_is_empty_or_32_bytes),
	    cmocka_unit_test(a_batch_has_1_to_256_items_and_fits_a_frame),
	    cmocka_unit_test(a_count_above_256_is_refused_before_any_item),
	    cmocka_unit_test(a_bad_argument_costs_the_frame_and_not_the_connection),
	    cmocka_unit_test(data_over_16_kib_is_refused_and_to_sign_over_48),
	    cmocka_unit_test(numbers_have_their_names_and_unknown_ones_have_none),
	    cmocka_unit_test(status_and_error_codes_map_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
