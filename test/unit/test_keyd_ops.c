/* SPDX-License-Identifier: Apache-2.0 */
/* The operations, asked for in bytes through the session engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/crypto.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "seal/seal_chunk.h"
#include "seal/seal_field.h"
#include "test/unit/keyd_play.h"

#define FILE_SLOT "[{method: file, path: root.key}]"
#define TWO_SLOTS "[{method: file, path: root.key}, {method: passphrase}]"

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer, relay, milter;
};

static void connect_all(struct scene *s)
{
	keyd_play_connect(&s->officer, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OFFICER);
	keyd_play_connect(&s->relay, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, KEYPROTO_ROLE_RELAY);
	keyd_play_connect(&s->milter, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE,
			  KEYPROTO_ROLE_MILTER);
}

static void leave_all(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_leave(&s->relay);
	keyd_play_leave(&s->milter);
}

/* READY in memory, with two customers. */
static struct scene *ready(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_int_equal(keyd_play_memory(&s->play), 0);
	connect_all(s);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "other"), 0);
	return s;
}

/* EMPTY on a directory. */
static struct scene *empty(const char *slots)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_int_equal(keyd_play_open(&s->play, slots), 0);
	connect_all(s);
	return s;
}

static void done(struct scene *s)
{
	leave_all(s);
	keyd_play_close(&s->play);
	free(s);
}

static void restart(struct scene *s, const char *slots)
{
	leave_all(s);
	keyd_play_stop(&s->play);
	assert_int_equal(keyd_play_restart(&s->play, slots), 0);
	connect_all(s);
}

static int derive_existing(struct keyd_play_client *c, const struct keyproto_object *items,
			   unsigned count, struct keyproto_derived *out)
{
	struct keyproto_derive_existing m = {.count = (uint16_t)count};
	int rc;

	memcpy(m.items, items, count * sizeof(*items));
	keyproto_derive_existing_put(keyd_play_begin(c), &m);
	rc = keyd_play_call(c, KEYPROTO_DERIVE_EXISTING);
	return rc < 0 ? rc : keyproto_derived_get(buf_span(&c->reply), out);
}

static void an_object_s_key_can_be_had_again_by_its_salt_and_context(void **state)
{
	struct scene *s = ready();
	struct keyproto_derived made[KEYPROTO_BATCH_MAX], again[KEYPROTO_BATCH_MAX];
	struct keyproto_object o[KEYPROTO_BATCH_MAX];
	static uint8_t salts[256][KEYPROTO_SALT], keys[256][KEYPROTO_OBJECT_KEY];

	(void)state;
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 256, made),
			 256);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(made[i].status, 0);
		memcpy(salts[i], made[i].salt, KEYPROTO_SALT);
		memcpy(keys[i], made[i].key, KEYPROTO_OBJECT_KEY);
		o[i] = (struct keyproto_object){SPAN_LIT("default"), KEYPROTO_FOR_SPOOL,
						made[i].keyref, salts[i], SPAN_LIT("context")};
	}
	assert_memory_not_equal(salts[0], salts[1], KEYPROTO_SALT);
	assert_memory_not_equal(keys[0], keys[1], KEYPROTO_OBJECT_KEY);
	assert_int_equal(derive_existing(&s->relay, o, 256, again), 256);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(again[i].status, 0);
		assert_memory_equal(again[i].key, keys[i], KEYPROTO_OBJECT_KEY);
	}
	/* context, salt, customer and key reference all matter */
	o[1].context = SPAN_LIT("contexT");
	o[2].salt = salts[3];
	o[3].customer = SPAN_LIT("other");
	o[4].keyref = 2;
	o[5].customer = SPAN_LIT("nobody");
	o[6].keyref = 0;
	o[7].keyref = UINT32_MAX;
	clock_advance(100 * CLOCK_SEC);
	assert_int_equal(derive_existing(&s->relay, o, 8, again), 8);
	assert_memory_equal(again[0].key, keys[0], KEYPROTO_OBJECT_KEY);
	assert_memory_not_equal(again[1].key, keys[1], KEYPROTO_OBJECT_KEY);
	assert_memory_not_equal(again[2].key, keys[2], KEYPROTO_OBJECT_KEY);
	for (unsigned i = 3; i < 8; i++)
		assert_int_equal(again[i].status, KEYPROTO_E_NOTFOUND);
	done(s);
}

static void keys_of_existing_objects_come_at_a_limited_rate(void **state)
{
	struct scene *s = ready();
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];
	struct keyproto_object o[KEYPROTO_BATCH_MAX];
	uint8_t salt[KEYPROTO_SALT] = {0};
	unsigned good = 0;

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		o[i] = (struct keyproto_object){SPAN_LIT("default"), KEYPROTO_FOR_SPOOL, 1, salt,
						SPAN_LIT("c")};
	for (int round = 0; round < 2; round++) { /* a burst of 300 */
		assert_int_equal(derive_existing(&s->relay, o, 256, out), 256);
		for (unsigned i = 0; i < 256; i++) {
			good += out[i].status == 0;
			assert_true(out[i].status == 0 || out[i].status == KEYPROTO_E_BUSY);
		}
	}
	assert_int_equal(good, 300);
	clock_advance(CLOCK_SEC / 2); /* at 100 a second */
	assert_int_equal(derive_existing(&s->relay, o, 256, out), 256);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(out[i].status, i < 50 ? 0 : KEYPROTO_E_BUSY);
	o[0].customer = SPAN_LIT("other"); /* has a rate of its own */
	o[0].keyref = 2;
	assert_int_equal(derive_existing(&s->relay, o, 1, out), 1);
	assert_int_equal(out[0].status, 0);
	/* new objects are not limited */
	for (int round = 0; round < 10; round++)
		assert_int_equal(
		    keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 256, out), 256);
	done(s);
}

static int fields(struct keyd_play_client *c, unsigned op, const char *customer, unsigned purpose,
		  const struct keyproto_field *items, unsigned count, struct keyproto_result *out)
{
	struct keyproto_fields m = {
	    .customer = span_str(customer), .purpose = (uint8_t)purpose, .count = (uint16_t)count};
	int rc;

	memcpy(m.items, items, count * sizeof(*items));
	keyproto_fields_put(keyd_play_begin(c), &m);
	rc = keyd_play_call(c, op);
	return rc < 0 ? rc : keyproto_results_get(buf_span(&c->reply), out);
}

static void a_field_opens_only_where_it_was_sealed(void **state)
{
	struct scene *s = ready();
	struct keyproto_field f[6] = {{SPAN_LIT("row 1"), SPAN_LIT("secret")},
				      {SPAN_LIT("row 2"), SPAN_LIT("")}};
	struct keyproto_result r[KEYPROTO_BATCH_MAX];
	static uint8_t sealed[2][128];
	size_t n[2];

	(void)state;
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_SEAL_FIELDS, "default", KEYPROTO_FOR_FIELD, f, 2, r), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(r[i].status, 0);
		n[i] = r[i].data.n;
		memcpy(sealed[i], r[i].data.p, n[i]);
	}
	assert_int_equal(n[0], 6 + SEAL_FIELD_OVERHEAD);
	f[0].data = span_of(sealed[0], n[0]);
	f[1].data = span_of(sealed[1], n[1]);
	f[2] = (struct keyproto_field){SPAN_LIT("row 2"), f[0].data}; /* moved */
	f[3] = (struct keyproto_field){SPAN_LIT("row 1"), span_sub(f[0].data, 0, n[0] - 1)};
	f[4] = (struct keyproto_field){SPAN_LIT("row 1"), SPAN_LIT("x")};
	f[5] = f[0];
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_OPEN_FIELDS, "default", KEYPROTO_FOR_FIELD, f, 6, r), 6);
	assert_true(span_equal(r[0].data, SPAN_LIT("secret")));
	assert_int_equal(r[1].status, 0);
	assert_int_equal(r[1].data.n, 0);
	for (int i = 2; i < 5; i++)
		assert_int_equal(r[i].status, KEYPROTO_E_AUTH); /* one answer, whatever is wrong */
	assert_true(span_equal(r[5].data, SPAN_LIT("secret")));
	/* another customer, another purpose */
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_OPEN_FIELDS, "other", KEYPROTO_FOR_FIELD, f, 1, r), 1);
	assert_int_equal(r[0].status, KEYPROTO_E_AUTH);
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_OPEN_FIELDS, "default", KEYPROTO_FOR_CRED, f, 1, r), 1);
	assert_int_equal(r[0].status, KEYPROTO_E_AUTH);
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_OPEN_FIELDS, "nobody", KEYPROTO_FOR_FIELD, f, 1, r),
	    ERR_NOTFOUND);
	done(s);
}

static void an_answer_longer_than_a_frame_is_a_limit_and_not_an_end(void **state)
{
	struct scene *s = ready();
	static uint8_t zeros[300];
	struct keyproto_field f[KEYPROTO_BATCH_MAX];
	struct keyproto_result r[KEYPROTO_BATCH_MAX];

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		f[i] = (struct keyproto_field){span_of(NULL, 0), span_of(zeros, 240)};
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_SEAL_FIELDS, "default", KEYPROTO_FOR_FIELD, f, 256, r),
	    ERR_LIMIT);
	for (unsigned i = 0; i < 256; i++)
		f[i].data.n = 150;
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_SEAL_FIELDS, "default", KEYPROTO_FOR_FIELD, f, 256, r), 256);
	done(s);
}

static void a_plain_field_of_more_than_16384_bytes_is_refused_and_the_others_served(void **state)
{
	struct scene *s = ready();
	static uint8_t zeros[KEYPROTO_SEALED_MAX];
	struct keyproto_field f[3] = {{SPAN_LIT("a"), span_of(zeros, KEYPROTO_DATA_MAX)},
				      {SPAN_LIT("b"), span_of(zeros, KEYPROTO_DATA_MAX + 1)},
				      {SPAN_LIT("c"), span_of(zeros, KEYPROTO_SEALED_MAX)}};
	struct keyproto_result r[KEYPROTO_BATCH_MAX];
	static uint8_t sealed[KEYPROTO_SEALED_MAX];
	static const struct {
		unsigned op, purpose;
	} rows[] = {{KEYPROTO_BLIND_INDEX, KEYPROTO_FOR_INDEX},
		    {KEYPROTO_SEAL_FIELDS, KEYPROTO_FOR_FIELD}};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fields(&s->relay, (uint16_t)rows[i].op, "default",
					(uint8_t)rows[i].purpose, f, 3, r),
				 3);
		assert_int_equal(r[0].status, 0);
		assert_int_equal(r[1].status, KEYPROTO_E_LIMIT);
		assert_int_equal(r[2].status, KEYPROTO_E_LIMIT);
	}
	assert_int_equal(r[0].data.n, KEYPROTO_DATA_MAX + SEAL_FIELD_OVERHEAD);
	memcpy(sealed, r[0].data.p, r[0].data.n);
	f[0].data = span_of(sealed, r[0].data.n);
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_OPEN_FIELDS, "default", KEYPROTO_FOR_FIELD, f, 1, r), 1);
	assert_int_equal(r[0].status, 0);
	assert_true(span_equal(r[0].data, span_of(zeros, KEYPROTO_DATA_MAX)));
	done(s);
}

static void blind_indexes_show_equality_within_one_column_and_customer(void **state)
{
	struct scene *s = ready();
	struct keyproto_field f[3] = {{SPAN_LIT("login"), SPAN_LIT("a@b")},
				      {SPAN_LIT("login"), SPAN_LIT("a@b")},
				      {SPAN_LIT("other"), SPAN_LIT("a@b")}};
	struct keyproto_result r[KEYPROTO_BATCH_MAX];
	uint8_t first[32];

	(void)state;
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_BLIND_INDEX, "default", KEYPROTO_FOR_INDEX, f, 3, r), 3);
	assert_int_equal(r[0].data.n, 32);
	assert_true(span_equal(r[0].data, r[1].data));
	assert_false(span_equal(r[0].data, r[2].data));
	memcpy(first, r[0].data.p, 32);
	assert_int_equal(
	    fields(&s->relay, KEYPROTO_BLIND_INDEX, "other", KEYPROTO_FOR_INDEX, f, 1, r), 1);
	assert_memory_not_equal(first, r[0].data.p, 32);
	done(s);
}

static int mac(struct keyd_play_client *c, unsigned op, const char *label, struct span data,
	       struct span tag)
{
	struct keyproto_mac m = {SPAN_LIT("default"), span_str(label), data, tag};

	keyproto_mac_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, op);
}

static void a_mac_verifies_under_its_label_and_data_alone(void **state)
{
	struct scene *s = ready();
	struct span tag;
	uint8_t copy[32];

	(void)state;
	assert_int_equal(
	    mac(&s->officer, KEYPROTO_MAC, "campaign/1", SPAN_LIT("data"), span_of(NULL, 0)), 0);
	assert_int_equal(keyproto_bytes_get(buf_span(&s->officer.reply), &tag), 0);
	assert_int_equal(tag.n, 32);
	memcpy(copy, tag.p, 32);
	tag = span_of(copy, 32);
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, "campaign/1", SPAN_LIT("data"), tag),
			 0);
	assert_int_equal(buf_size(&s->milter.reply), 0);
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, "campaign/1", SPAN_LIT("dat"), tag),
			 ERR_AUTH);
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, "campaign/2", SPAN_LIT("data"), tag),
			 ERR_AUTH);
	copy[31] ^= 1;
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, "campaign/1", SPAN_LIT("data"), tag),
			 ERR_AUTH);
	/* the milter can check, and not make */
	assert_int_equal(
	    mac(&s->milter, KEYPROTO_MAC, "campaign/1", SPAN_LIT("data"), span_of(NULL, 0)),
	    ERR_DENIED);
	done(s);
}

static int sign(struct keyd_play_client *c, const char *label, unsigned alg, struct span data,
		struct span *sig)
{
	struct keyproto_sign m = {span_str(label), (uint8_t)alg, data};
	int rc;

	keyproto_sign_put(keyd_play_begin(c), &m);
	rc = keyd_play_call(c, KEYPROTO_SIGN);
	return rc < 0 ? rc : keyproto_bytes_get(buf_span(&c->reply), sig);
}

static void every_key_signs_by_its_own_algorithms_and_no_others(void **state)
{
	static const struct {
		const char *label;
		unsigned type;
	} keys[] = {{"tls/ec", KEYPROTO_KEY_EC_P256},
		    {"tls/rsa", KEYPROTO_KEY_RSA2048},
		    {"tls/ed", KEYPROTO_KEY_ED25519}};
	struct scene *s = ready();
	struct keyproto_public pub;
	uint8_t spki[1024];
	struct span sig;

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(keyd_play_key(&s->officer, keys[k].label, keys[k].type), 0);
		assert_int_equal(keyproto_public_get(buf_span(&s->officer.reply), &pub), 0);
		assert_int_equal(pub.type, keys[k].type);
		assert_true(pub.spki.n <= sizeof(spki));
		memcpy(spki, pub.spki.p, pub.spki.n);
		pub.spki.p = spki;
		for (unsigned alg = 1; alg <= KEYPROTO_ALG_ED25519; alg++) {
			int rc = sign(&s->relay, keys[k].label, alg, SPAN_LIT("message"), &sig);
			int fits = alg == KEYPROTO_ALG_ES256 ? keys[k].type == KEYPROTO_KEY_EC_P256
				   : alg == KEYPROTO_ALG_ED25519
				       ? keys[k].type == KEYPROTO_KEY_ED25519
				       : keys[k].type == KEYPROTO_KEY_RSA2048;
			assert_int_equal(rc, fits ? 0 : ERR_DENIED);
			if (fits)
				assert_int_equal(
				    keyd_crypto_verify(pub.spki, alg, SPAN_LIT("message"), sig), 0);
		}
	}
	done(s);
}

static void a_tls_key_never_signs_a_jwt(void **state)
{
	struct scene *s = ready();
	struct span sig;

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(sign(&s->relay, "tls/relay", KEYPROTO_ALG_ES256,
			      SPAN_LIT("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ"), &sig),
			 ERR_DENIED);
	assert_int_equal(sign(&s->relay, "tls/relay", KEYPROTO_ALG_ES256,
			      SPAN_LIT("                TLS 1.3, server CertificateVerify"), &sig),
			 0);
	done(s);
}

static void a_key_s_public_part_can_be_asked_for_and_its_label_is_taken(void **state)
{
	struct scene *s = ready();
	struct keyproto_public a, b;
	uint8_t spki[256];

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(keyproto_public_get(buf_span(&s->officer.reply), &a), 0);
	memcpy(spki, a.spki.p, a.spki.n);
	keyproto_bytes_put(keyd_play_begin(&s->relay), SPAN_LIT("tls/relay"));
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_PUBLIC_KEY), 0);
	assert_int_equal(keyproto_public_get(buf_span(&s->relay.reply), &b), 0);
	assert_int_equal(a.spki.n, b.spki.n);
	assert_memory_equal(spki, b.spki.p, b.spki.n);
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), ERR_EXISTS);
	assert_int_equal(keyd_play_key(&s->officer, "no-purpose", KEYPROTO_KEY_EC_P256),
			 ERR_FORMAT);
	keyproto_bytes_put(keyd_play_begin(&s->relay), SPAN_LIT("tls/none"));
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_PUBLIC_KEY), ERR_NOTFOUND);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), ERR_EXISTS);
	assert_int_equal(keyd_play_customer(&s->officer, "Capital"), ERR_FORMAT);
	assert_int_equal(keyd_play_customer(&s->officer, ""), ERR_FORMAT);
	done(s);
}

static void the_first_request_is_hello_and_it_is_said_once(void **state)
{
	struct scene *s = ready();
	struct keyd_play_client c;
	struct keyproto_hello m = {1, 1, KEYPROTO_ROLE_RELAY, SPAN_LIT("test")};

	(void)state;
	keyd_play_connect(&c, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, 0);
	keyd_play_begin(&c);
	assert_int_equal(keyd_play_call(&c, KEYPROTO_STATUS), ERR_CLOSED);
	keyd_play_leave(&c);
	keyproto_hello_put(keyd_play_begin(&s->relay), &m);
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_HELLO), ERR_CLOSED);
	done(s);
}

static void nobody_acts_in_a_role_that_is_not_his_or_not_of_this_socket(void **state)
{
	struct scene *s = ready();
	struct keyd_play_client c;
	struct keyproto_hello m = {1, 1, 0, SPAN_LIT("test")};

	(void)state;
	for (unsigned socket = KEYD_PERMIT_USE; socket <= KEYD_PERMIT_ADMIN; socket++) {
		for (unsigned role = 1; role <= KEYPROTO_ROLE_AUDITOR; role++) {
			for (unsigned roles = 0; roles <= KEYD_PLAY_ALL; roles += 2) {
				int fits =
				    (roles & 1u << role) &&
				    (socket == KEYD_PERMIT_USE) == (role <= KEYPROTO_ROLE_MILTER);
				keyd_play_connect(&c, &s->play, roles, socket, 0);
				m.role = (uint8_t)role;
				keyproto_hello_put(keyd_play_begin(&c), &m);
				assert_int_equal(keyd_play_call(&c, KEYPROTO_HELLO),
						 fits ? 0 : ERR_DENIED);
				keyd_play_leave(&c);
			}
		}
	}
	done(s);
}

static void a_version_that_is_not_spoken_is_refused(void **state)
{
	struct scene *s = ready();
	struct keyd_play_client c;
	struct keyproto_hello m = {2, 9, KEYPROTO_ROLE_RELAY, SPAN_LIT("test")};

	(void)state;
	keyd_play_connect(&c, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, 0);
	keyproto_hello_put(keyd_play_begin(&c), &m);
	assert_int_equal(keyd_play_call(&c, KEYPROTO_HELLO), ERR_FORMAT);
	keyd_play_leave(&c);
	done(s);
}

static void what_is_malformed_ends_the_connection(void **state)
{
	/* version, opcode, length, request, status, epoch, body */
	static const struct {
		const char *what;
		uint8_t frame[40];
		size_t n;
	} rows[] = {
	    {"version", {0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, 24},
	    {"length", {0, 1, 0, 2, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, 24},
	    {"request 0", {0, 1, 0, 2}, 24},
	    {"status", {0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1}, 24},
	    {"no such operation", {0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, 24},
	    {"an answer", {0, 1, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, 24},
	    {"far operation", {0, 1, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}, 24},
	    {"status with a body", {0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, 25},
	    {"short body", {0, 1, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9}, 25},
	};
	struct scene *s = ready();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct keyd_play_client c;
		uint64_t before = s->play.keyd->counts.bad_frames;
		keyd_play_connect(&c, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE,
				  KEYPROTO_ROLE_RELAY);
		if (keyd_play_raw(&c, rows[i].frame, rows[i].n) >= 0)
			fail_msg("%s was taken", rows[i].what);
		assert_int_equal(s->play.keyd->counts.bad_frames, before + 1);
		keyd_play_leave(&c);
	}
	done(s);
}

static void a_frame_may_come_byte_by_byte(void **state)
{
	static const uint8_t status[24] = {0, 1, 0, 2, [15] = 7};
	struct scene *s = ready();
	int rc;

	(void)state;
	for (size_t i = 0; i < sizeof(status); i++)
		assert_int_equal(keyd_play_raw(&s->relay, status + i, 1), 0);
	s->relay.request = 7;
	assert_int_equal(keyd_play_take(&s->relay, &rc), 1);
	assert_int_equal(rc, 0);
	done(s);
}

static int status_of(struct keyd_play_client *c)
{
	keyd_play_begin(c);
	return keyd_play_call(c, KEYPROTO_STATUS);
}

static int reply_has(struct keyd_play_client *c, const char *text)
{
	return memmem(buf_ptr(&c->reply), buf_size(&c->reply), text, strlen(text)) != NULL;
}

static void an_empty_keyd_serves_nothing_until_init(void **state)
{
	struct scene *s = empty(TWO_SLOTS);
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];

	(void)state;
	assert_int_equal(status_of(&s->officer), 0);
	assert_true(reply_has(&s->officer, "\"state\":\"empty\""));
	assert_int_equal(keyd_play_customer(&s->officer, "default"), ERR_LOCKED);
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 1, out),
			 ERR_LOCKED);
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_FILE, ""), ERR_BADSTATE);
	assert_int_equal(keyd_play_init(&s->officer, "short"), ERR_FORMAT);
	assert_int_equal(keyd_play_init(&s->officer, "correct horse battery"), 0);
	assert_int_equal(s->officer.pushed, KEYPROTO_READY); /* and everybody hears of it */
	keyd_play_take(&s->relay, &(int){0});
	assert_int_equal(s->relay.pushed, KEYPROTO_READY);
	assert_true(s->relay.woken > 0);
	assert_int_equal(keyd_play_init(&s->officer, "correct horse battery"), ERR_BADSTATE);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 1, out), 1);
	assert_int_equal(status_of(&s->officer), 0);
	assert_true(reply_has(&s->officer, "\"keks\":256"));
	assert_true(reply_has(&s->officer, "\"customers\":1,\"deks\":1"));
	assert_true(reply_has(&s->officer, "{\"id\":1,\"method\":\"file\",\"name\":\"\","));
	assert_true(reply_has(&s->officer, "\"safe\":false,\"offline\":false},{\"id\":2,"
					   "\"method\":\"passphrase\","));
	assert_true(reply_has(&s->officer, "\"safe\":true,\"offline\":true}],\"unseal\":null,"));
	assert_true(reply_has(&s->officer, "\"selftest\":\"passed\""));
	done(s);
}

static void init_must_name_the_slots_of_the_configuration(void **state)
{
	struct scene *s = empty(FILE_SLOT);
	struct keyproto_init m = {.count = 1};

	(void)state;
	m.slots[0].method = KEYPROTO_SLOT_PASSPHRASE;
	m.slots[0].secret = SPAN_LIT("correct horse battery");
	keyproto_init_put(keyd_play_begin(&s->officer), &m);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_INIT), ERR_FORMAT);
	assert_int_equal(keyd_play_init(&s->officer, "correct horse battery"), ERR_FORMAT);
	assert_int_equal(keyd_play_init(&s->officer, NULL), 0);
	done(s);
}

static void locked_means_locked_until_the_right_secret(void **state)
{
	struct scene *s = empty(TWO_SLOTS);
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];
	struct keyproto_object o;
	uint8_t salt[KEYPROTO_SALT], key[KEYPROTO_OBJECT_KEY];
	uint32_t epoch;

	(void)state;
	assert_int_equal(keyd_play_init(&s->officer, "correct horse battery"), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 1, out), 1);
	memcpy(salt, out[0].salt, sizeof(salt));
	memcpy(key, out[0].key, sizeof(key));
	o = (struct keyproto_object){SPAN_LIT("default"), KEYPROTO_FOR_SPOOL, out[0].keyref, salt,
				     SPAN_LIT("context")};
	epoch = s->relay.epoch;
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_LOCK), 0);
	assert_null(s->play.keyd->ring);
	assert_int_equal(derive_existing(&s->relay, &o, 1, out), ERR_LOCKED);
	assert_int_equal(s->relay.pushed, KEYPROTO_LOCKED);
	assert_true(s->relay.epoch > epoch);
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_LOCK), 0); /* it is */
	assert_int_equal(
	    keyd_play_unseal(&s->officer, KEYPROTO_SLOT_PASSPHRASE, "wrong horse battery"),
	    ERR_AUTH);
	assert_int_equal(
	    keyd_play_unseal(&s->officer, KEYPROTO_SLOT_PASSPHRASE, "correct horse battery"),
	    ERR_BUSY); /* the wait comes first */
	clock_advance(CLOCK_SEC);
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_CREDENTIAL, ""), ERR_NOTFOUND);
	assert_int_equal(
	    keyd_play_unseal(&s->officer, KEYPROTO_SLOT_PASSPHRASE, "correct horse battery"), 0);
	assert_int_equal(derive_existing(&s->relay, &o, 1, out), 1);
	assert_memory_equal(out[0].key, key, sizeof(key));
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_FILE, ""), ERR_BADSTATE);
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_LOCK), 0);
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_FILE, ""), 0);
	done(s);
}

static void a_restart_finds_customers_and_keys_and_opens_by_its_file(void **state)
{
	struct scene *s = empty(TWO_SLOTS);
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];
	uint8_t salt[KEYPROTO_SALT], key[KEYPROTO_OBJECT_KEY];
	struct keyproto_object o;
	struct span sig;

	(void)state;
	assert_int_equal(keyd_play_init(&s->officer, "correct horse battery"), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_RSA2048), 0);
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 1, out), 1);
	memcpy(salt, out[0].salt, sizeof(salt));
	memcpy(key, out[0].key, sizeof(key));
	o = (struct keyproto_object){SPAN_LIT("default"), KEYPROTO_FOR_SPOOL, out[0].keyref, salt,
				     SPAN_LIT("context")};
	for (int round = 0; round < 2; round++) {
		restart(s, round ? "[{method: passphrase}]" : TWO_SLOTS);
		assert_int_equal(s->play.keyd->state, round ? KEYPROTO_LOCKED : KEYPROTO_READY);
		if (round)
			assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_PASSPHRASE,
							  "correct horse battery"),
					 0);
		assert_int_equal(derive_existing(&s->relay, &o, 1, out), 1);
		assert_memory_equal(out[0].key, key, sizeof(key));
		assert_int_equal(
		    sign(&s->relay, "tls/relay", KEYPROTO_ALG_PS256, SPAN_LIT("x"), &sig), 0);
	}
	done(s);
}

static void change_byte(const char *dir, const char *name, long at)
{
	char path[80];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "%s/state/%s", dir, name);
	f = fopen(path, "r+b");
	assert_non_null(f);
	fseek(f, at, SEEK_SET);
	c = fgetc(f);
	assert_true(c != EOF);
	fseek(f, at, SEEK_SET);
	fputc(c ^ 0x10, f);
	assert_int_equal(fclose(f), 0);
}

static void a_damaged_store_is_an_error_in_which_nothing_is_served(void **state)
{
	static const struct {
		const char *file;
		long at;
	} rows[] = {{"store.snap", 3000}, {"store.journal", 200}, {"store.journal", 40}};
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct scene *s = empty(FILE_SLOT);
		assert_int_equal(keyd_play_init(&s->officer, NULL), 0);
		assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
		s->play.keyd->ring =
		    (keyd_ring_free(s->play.keyd->ring), NULL); /* no last snapshot */
		leave_all(s);
		keyd_play_stop(&s->play);
		change_byte(s->play.dir, rows[i].file, rows[i].at);
		assert_int_equal(keyd_play_restart(&s->play, FILE_SLOT), 0);
		connect_all(s);
		assert_int_equal(s->play.keyd->state, KEYPROTO_ERROR);
		assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 1, out),
				 ERR_IO);
		assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_FILE, ""), ERR_IO);
		assert_int_equal(keyd_play_init(&s->officer, NULL), ERR_IO);
		assert_int_equal(status_of(&s->relay), 0);
		assert_true(reply_has(&s->relay, "does not verify"));
		done(s);
	}
}

static unsigned denials_logged;

static void hear(void *arg, const char *line)
{
	(void)arg;
	denials_logged += strstr(line, "event=denied ") != NULL;
}

static void denied_operations_are_counted_and_logged_once_a_second(void **state)
{
	struct scene *s = ready();
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];

	(void)state;
	denials_logged = 0;
	log_capture(hear, NULL);
	for (int i = 0; i < 100; i++)
		assert_int_equal(
		    keyd_play_derive(&s->milter, "default", KEYPROTO_FOR_SPOOL, 1, out),
		    ERR_DENIED);
	assert_int_equal(denials_logged, 1);
	clock_advance(CLOCK_SEC);
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_ASSET, 1, out),
			 ERR_DENIED);
	assert_int_equal(denials_logged, 2);
	log_capture(NULL, NULL);
	assert_int_equal(status_of(&s->officer), 0);
	assert_true(reply_has(&s->officer, "\"denied\":101"));
	assert_true(reply_has(&s->officer, "\"derive-new\":101"));
	done(s);
}

static void private_numbers_lie_in_the_locked_heap_and_leave_it(void **state)
{
	static const unsigned types[] = {KEYPROTO_KEY_EC_P256, KEYPROTO_KEY_RSA2048,
					 KEYPROTO_KEY_ED25519};
	uint8_t *der = secret_alloc(KEYD_CRYPTO_PKCS8_MAX), sig[KEYD_CRYPTO_SIG_MAX];
	struct keyd_crypto_key *a, *b;

	(void)state;
	/* At first OpenSSL also fetches algorithms and fills its queue of 16 errors, and keeps
	 * those. */
	for (unsigned round = 0; round < 18; round++) {
		size_t before = CRYPTO_secure_used(), one, two;
		unsigned i = round % 3;
		int n;
		assert_int_equal(keyd_crypto_generate(types[i], &a), 0);
		one = CRYPTO_secure_used();
		assert_true(one > before);
		n = keyd_crypto_export(a, der);
		assert_true(n > 0);
		assert_int_equal(keyd_crypto_import(types[i], span_of(der, (size_t)n), &b), 0);
		two = CRYPTO_secure_used();
		assert_true(two > one);
		assert_true(keyd_crypto_sign(b,
					     i == 0   ? KEYPROTO_ALG_ES256
					     : i == 1 ? KEYPROTO_ALG_PS256
						      : KEYPROTO_ALG_ED25519,
					     SPAN_LIT("x"), sig) > 0);
		assert_int_equal(
		    keyd_crypto_import(types[(i + 1) % 3], span_of(der, (size_t)n), &b),
		    ERR_FORMAT);
		assert_int_equal(keyd_crypto_import(types[i], span_of(der, (size_t)n - 1), &b),
				 ERR_FORMAT);
		keyd_crypto_free(a);
		keyd_crypto_free(b);
		if (round >= 15)
			assert_int_equal(CRYPTO_secure_used(), before);
	}
	secret_free(der, KEYD_CRYPTO_PKCS8_MAX);
}

static void key_list_names_the_keys(void **state)
{
	struct scene *s = ready();
	char list[512];

	(void)state;
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_KEY_LIST), 0);
	assert_true(reply_has(&s->officer, "{\"keys\":[]}"));
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a", KEYPROTO_KEY_ED25519), 0);
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_KEY_LIST), 0);
	snprintf(list, sizeof(list),
		 "{\"keys\":["
		 "{\"label\":\"tls/relay\",\"type\":\"ec-p256\",\"version\":1,\"state\":\"active\","
		 "\"created\":%lld},"
		 "{\"label\":\"dkim/a\",\"type\":\"ed25519\",\"version\":1,\"state\":\"active\","
		 "\"created\":%lld}]}",
		 (long long)clock_wall(), (long long)clock_wall());
	assert_true(reply_has(&s->officer, list));
	done(s);
}

static void more_customers_than_the_cache_holds_are_all_served(void **state)
{
	struct scene *s = ready();
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];
	struct keyd_ring_counts n;
	char name[32];

	(void)state;
	for (unsigned i = 0; i < KEYD_RING_CACHE + 100; i++) {
		snprintf(name, sizeof(name), "customer-%u", i);
		assert_int_equal(keyd_play_customer(&s->officer, name), 0);
		assert_int_equal(keyd_play_derive(&s->relay, name, KEYPROTO_FOR_SPOOL, 1, out), 1);
		assert_int_equal(out[0].keyref, i + 3);
	}
	keyd_ring_counts(s->play.keyd->ring, &n);
	assert_int_equal(n.cached, KEYD_RING_CACHE);
	assert_int_equal(keyd_play_derive(&s->relay, "customer-0", KEYPROTO_FOR_SPOOL, 1, out), 1);
	assert_int_equal(out[0].keyref, 3);
	done(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_object_s_key_can_be_had_again_by_its_salt_and_context),
	    cmocka_unit_test(keys_of_existing_objects_come_at_a_limited_rate),
	    cmocka_unit_test(a_field_opens_only_where_it_was_sealed),
	    cmocka_unit_test(an_answer_longer_than_a_frame_is_a_limit_and_not_an_end),
	    cmocka_unit_test(a_plain_field_of_more_than_16384_bytes_is_refused_and_the_others_served),
	    cmocka_unit_test(blind_indexes_show_equality_within_one_column_and_customer),
	    cmocka_unit_test(a_mac_verifies_under_its_label_and_data_alone),
	    cmocka_unit_test(every_key_signs_by_its_own_algorithms_and_no_others),
	    cmocka_unit_test(a_tls_key_never_signs_a_jwt),
	    cmocka_unit_test(a_key_s_public_part_can_be_asked_for_and_its_label_is_taken),
	    cmocka_unit_test(the_first_request_is_hello_and_it_is_said_once),
	    cmocka_unit_test(nobody_acts_in_a_role_that_is_not_his_or_not_of_this_socket),
	    cmocka_unit_test(a_version_that_is_not_spoken_is_refused),
	    cmocka_unit_test(what_is_malformed_ends_the_connection),
	    cmocka_unit_test(a_frame_may_come_byte_by_byte),
	    cmocka_unit_test(an_empty_keyd_serves_nothing_until_init),
	    cmocka_unit_test(init_must_name_the_slots_of_the_configuration),
	    cmocka_unit_test(locked_means_locked_until_the_right_secret),
	    cmocka_unit_test(a_restart_finds_customers_and_keys_and_opens_by_its_file),
	    cmocka_unit_test(a_damaged_store_is_an_error_in_which_nothing_is_served),
	    cmocka_unit_test(denied_operations_are_counted_and_logged_once_a_second),
	    cmocka_unit_test(private_numbers_lie_in_the_locked_heap_and_leave_it),
	    cmocka_unit_test(key_list_names_the_keys),
	    cmocka_unit_test(more_customers_than_the_cache_holds_are_all_served),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	clock_set(1000 * CLOCK_SEC, INT64_C(1795328178) * CLOCK_SEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
