/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of signing keys and of customers' DEKs, asked for in bytes; and what becomes of them as
 * time passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_rotate_key.h"
#include "keyproto/keyproto_dek.h"
#include "keyproto/keyproto_rotate.h"
#include "test/unit/keyd_play.h"

#define FILE_SLOT "[{method: file, path: root.key}]"
#define DAY	  (86400 * CLOCK_SEC)

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer, relay, milter, auditor;
};

static void connect_all(struct scene *s)
{
	keyd_play_connect(&s->officer, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OFFICER);
	keyd_play_connect(&s->relay, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, KEYPROTO_ROLE_RELAY);
	keyd_play_connect(&s->milter, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE,
			  KEYPROTO_ROLE_MILTER);
	keyd_play_connect(&s->auditor, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_AUDITOR);
}

static void leave_all(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_leave(&s->relay);
	keyd_play_leave(&s->milter);
	keyd_play_leave(&s->auditor);
}

static struct scene *ready(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_int_equal(keyd_play_open(&s->play, FILE_SLOT), 0);
	connect_all(s);
	assert_int_equal(keyd_play_init(&s->officer, NULL), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "other"), 0);
	return s;
}

static void restart(struct scene *s)
{
	leave_all(s);
	keyd_play_stop(&s->play);
	assert_int_equal(keyd_play_restart(&s->play, FILE_SLOT), 0);
	connect_all(s);
}

static void done(struct scene *s)
{
	leave_all(s);
	keyd_play_close(&s->play);
	free(s);
}

static int rotate(struct keyd_play_client *c, unsigned what, const char *name, unsigned flags)
{
	struct keyproto_rotate m = {(uint8_t)what, span_str(name), (uint8_t)flags};

	keyproto_rotate_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, KEYPROTO_ROTATE);
}

static int next(struct scene *s, const char *label)
{
	return rotate(&s->officer, KEYPROTO_ROTATE_KEY, label, 0);
}

static int activate(struct scene *s, const char *label)
{
	return rotate(&s->officer, KEYPROTO_ROTATE_KEY, label, KEYPROTO_ROTATE_ACTIVATE);
}

static int sign(struct keyd_play_client *c, const char *name, unsigned alg)
{
	struct keyproto_sign m = {span_str(name), (uint8_t)alg, SPAN_LIT("message")};

	keyproto_sign_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, KEYPROTO_SIGN);
}

static int public(struct keyd_play_client *c, const char *name)
{
	keyproto_bytes_put(keyd_play_begin(c), span_str(name));
	return keyd_play_call(c, KEYPROTO_PUBLIC_KEY);
}

/* "1 retired 2 active": the label's versions. */
static const char *versions(struct scene *s, const char *label)
{
	static char out[512];
	struct keyd_ring *ring = s->play.keyd->ring;
	struct keyd_ring_info info;
	char name[80];
	size_t n = 0;

	out[0] = '\0';
	for (unsigned v = 1; v < 20; v++) {
		snprintf(name, sizeof(name), "%s#%u", label, v);
		if (keyd_ring_key(ring, span_str(name), &info) == 0)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%u %s", n ? " " : "", v,
					      keyd_record_state_name(info.state));
	}
	return out;
}

/* Looks until nothing is due any more. */
static void look(struct scene *s)
{
	for (int i = 0; i < 8; i++)
		keyd_rotate_key_turn(s->play.keyd);
}

static void a_key_has_a_next_version_until_it_is_activated(void **state)
{
	struct scene *s = ready();

	(void)state;
	assert_int_equal(next(s, "tls/relay"), ERR_NOTFOUND);
	assert_int_equal(activate(s, "tls/relay"), ERR_NOTFOUND);
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(activate(s, "tls/relay"), ERR_BADSTATE);
	assert_int_equal(next(s, "tls/relay"), 0);
	assert_int_equal(next(s, "tls/relay"), ERR_EXISTS);
	assert_string_equal(versions(s, "tls/relay"), "1 active 2 next");
	assert_int_equal(activate(s, "tls/relay"), 0);
	assert_string_equal(versions(s, "tls/relay"), "1 retired 2 active");
	assert_int_equal(next(s, "tls/relay"), 0);
	restart(s); /* from a snapshot */
	assert_string_equal(versions(s, "tls/relay"), "1 retired 2 active 3 next");
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), ERR_EXISTS);
	done(s);
}

static void the_plain_label_is_the_active_version(void **state)
{
	struct scene *s = ready();
	uint8_t first[200], second[200];
	size_t n;

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(next(s, "tls/relay"), 0);
	assert_int_equal(public(&s->relay, "tls/relay#1"), 0);
	n = buf_size(&s->relay.reply);
	memcpy(first, buf_ptr(&s->relay.reply), n);
	assert_int_equal(public(&s->relay, "tls/relay#2"), 0);
	memcpy(second, buf_ptr(&s->relay.reply), n);
	assert_memory_not_equal(first, second, n);
	assert_int_equal(public(&s->relay, "tls/relay"), 0);
	assert_memory_equal(buf_ptr(&s->relay.reply), first, n);
	assert_int_equal(activate(s, "tls/relay"), 0);
	assert_int_equal(public(&s->relay, "tls/relay"), 0);
	assert_memory_equal(buf_ptr(&s->relay.reply), second, n);
	assert_int_equal(public(&s->relay, "tls/relay#3"), ERR_NOTFOUND);
	assert_int_equal(public(&s->relay, "tls/relay#0"), ERR_NOTFOUND);
	assert_int_equal(public(&s->relay, "tls/relay#x"), ERR_NOTFOUND);
	done(s);
}

static void only_active_keys_sign_and_next_ones_of_tls(void **state)
{
	struct scene *s = ready();

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(next(s, "tls/relay"), 0);
	assert_int_equal(sign(&s->relay, "tls/relay", KEYPROTO_ALG_ES256), 0);
	assert_int_equal(sign(&s->relay, "tls/relay#1", KEYPROTO_ALG_ES256), 0);
	assert_int_equal(sign(&s->relay, "tls/relay#2", KEYPROTO_ALG_ES256), 0);
	assert_int_equal(sign(&s->relay, "tls/relay#3", KEYPROTO_ALG_ES256), ERR_NOTFOUND);
	assert_int_equal(activate(s, "tls/relay"), 0);
	assert_int_equal(sign(&s->relay, "tls/relay#1", KEYPROTO_ALG_ES256), ERR_DENIED);
	assert_int_equal(sign(&s->relay, "tls/relay#2", KEYPROTO_ALG_ES256), 0);
	/* a version does not change what a role may */
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a", KEYPROTO_KEY_ED25519), 0);
	assert_int_equal(sign(&s->relay, "dkim/a#1", KEYPROTO_ALG_ED25519), ERR_DENIED);
	assert_int_equal(sign(&s->milter, "tls/relay#2", KEYPROTO_ALG_ES256), ERR_DENIED);
	done(s);
}

static void rotation_is_the_officer_s(void **state)
{
	struct scene *s = ready();

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	for (struct keyd_play_client **c =
		 (struct keyd_play_client *[]){&s->relay, &s->milter, &s->auditor, NULL};
	     *c; c++) {
		assert_int_equal(rotate(*c, KEYPROTO_ROTATE_KEY, "tls/relay", 0), ERR_DENIED);
		assert_int_equal(rotate(*c, KEYPROTO_ROTATE_DEK, "default", 0), ERR_DENIED);
	}
	assert_string_equal(versions(s, "tls/relay"), "1 active");
	done(s);
}

static void what_is_retired_is_destroyed_after_the_overlap_but_for_its_public_part(void **state)
{
	struct scene *s = ready();
	uint64_t generation;
	struct keyd_crypto_key *key;

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "tls/relay", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(next(s, "tls/relay"), 0);
	assert_int_equal(sign(&s->relay, "tls/relay#1", KEYPROTO_ALG_ES256), 0); /* it is loaded */
	assert_int_equal(activate(s, "tls/relay"), 0);
	clock_advance(7 * DAY - CLOCK_SEC);
	look(s);
	assert_string_equal(versions(s, "tls/relay"), "1 retired 2 active");
	generation = keyd_generation(s->play.keyd);
	clock_advance(2 * CLOCK_SEC);
	look(s);
	assert_string_equal(versions(s, "tls/relay"), "1 destroyed 2 active");
	assert_true(keyd_generation(s->play.keyd) > generation); /* and the files without it */
	assert_int_equal(keyd_ring_private(s->play.keyd->ring, SPAN_LIT("tls/relay#1"), &key),
			 ERR_NOTFOUND);
	assert_int_equal(public(&s->relay, "tls/relay#1"), 0);
	restart(s);
	assert_string_equal(versions(s, "tls/relay"), "1 destroyed 2 active");
	assert_int_equal(public(&s->relay, "tls/relay#1"), 0);
	assert_int_equal(sign(&s->relay, "tls/relay#1", KEYPROTO_ALG_ES256), ERR_DENIED);
	done(s);
}

static void tokens_keys_rotate_by_themselves(void **state)
{
	struct scene *s = ready();

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "jwt/api", KEYPROTO_KEY_ED25519), 0);
	assert_int_equal(keyd_play_key(&s->officer, "audit/log", KEYPROTO_KEY_ED25519), 0);
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a", KEYPROTO_KEY_ED25519), 0);
	clock_advance(83 * DAY - CLOCK_SEC);
	look(s);
	assert_string_equal(versions(s, "jwt/api"), "1 active");
	clock_advance(2 * CLOCK_SEC);
	look(s); /* those who verify see it before it is used */
	assert_string_equal(versions(s, "jwt/api"), "1 active 2 next");
	clock_advance(7 * DAY);
	look(s);
	assert_string_equal(versions(s, "jwt/api"), "1 retired 2 active");
	clock_advance(7 * DAY + CLOCK_SEC);
	look(s);
	assert_string_equal(versions(s, "jwt/api"), "1 destroyed 2 active");
	clock_advance(76 * DAY);
	look(s);
	assert_string_equal(versions(s, "jwt/api"), "1 destroyed 2 active 3 next");
	assert_string_equal(versions(s, "audit/log"), "1 active");
	assert_string_equal(versions(s, "dkim/a"), "1 active"); /* DNS is others' */
	clock_advance(200 * DAY); /* keyd did not look for a long time: all at once, in order */
	look(s);
	assert_string_equal(versions(s, "jwt/api"), "1 destroyed 2 retired 3 active");
	assert_string_equal(versions(s, "audit/log"), "1 retired 2 active");
	done(s);
}

static void status_says_which_keys_wait_for_an_officer(void **state)
{
	static const char due[] = "signing key dkim/a is due for a new version";
	struct scene *s = ready();
	struct span json;

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a", KEYPROTO_KEY_ED25519), 0);
	for (int step = 0; step < 3; step++) {
		if (step == 1)
			clock_advance(174 * DAY);
		if (step == 2) {
			assert_int_equal(next(s, "dkim/a"), 0);
			assert_int_equal(activate(s, "dkim/a"), 0);
		}
		keyd_play_begin(&s->auditor);
		assert_int_equal(keyd_play_call(&s->auditor, KEYPROTO_STATUS), 0);
		json = buf_span(&s->auditor.reply);
		assert_int_equal(memmem(json.p, json.n, due, sizeof(due) - 1) != NULL, step == 1);
	}
	done(s);
}

static void a_list_of_many_keys_comes_in_pages(void **state)
{
	struct scene *s = ready();
	unsigned pages = 0, keys = 0;
	char label[80];
	long from = 0;

	(void)state;
	for (unsigned i = 0; i < 700; i++) {
		snprintf(label, sizeof(label), "dkim/a-rather-long-name-of-a-domain.example/%u", i);
		assert_int_equal(keyd_play_key(&s->officer, label, KEYPROTO_KEY_ED25519), 0);
	}
	do {
		static const char mark[] = "\"keys_next\":";
		uint8_t head[4] = {0, 0, (uint8_t)(from >> 8), (uint8_t)from};
		struct span json;
		const char *at, *more;
		buf_put(keyd_play_begin(&s->auditor), head, from ? 4 : 0);
		assert_int_equal(keyd_play_call(&s->auditor, KEYPROTO_KEY_LIST), 0);
		json = buf_span(&s->auditor.reply);
		assert_true(json.n < 65536);
		buf_put(&s->auditor.reply, "", 1);
		for (at = (const char *)buf_ptr(&s->auditor.reply);
		     (at = strstr(at, "\"label\"")) != NULL; at++)
			keys++;
		more = strstr((const char *)buf_ptr(&s->auditor.reply), mark);
		from = more ? strtol(more + sizeof(mark) - 1, NULL, 10) : 0;
		pages++;
	} while (from);
	assert_int_equal(keys, 701); /* and the audit log's */
	assert_true(pages > 1);
	keyd_play_begin(&s->auditor); /* status holds what fits */
	assert_int_equal(keyd_play_call(&s->auditor, KEYPROTO_STATUS), 0);
	done(s);
}

/* --- DEKs */

static int fields(struct keyd_play_client *c, unsigned op, unsigned purpose, uint32_t keyref,
		  struct span aad, struct span data, struct buf *out)
{
	struct keyproto_fields m = {.customer = SPAN_LIT("default"),
				    .purpose = (uint8_t)purpose,
				    .count = 1,
				    .items = {{aad, data}},
				    .keyref = keyref};
	struct keyproto_result r[KEYPROTO_BATCH_MAX];
	int rc;

	keyproto_fields_put(keyd_play_begin(c), &m);
	rc = keyd_play_call(c, op);
	if (rc < 0)
		return rc;
	assert_int_equal(keyproto_results_get(buf_span(&c->reply), r), 1);
	buf_reset(out);
	buf_put_span(out, r[0].data);
	return keyproto_err_of_status(r[0].status);
}

static int dek_empty(struct keyd_play_client *c, const char *customer, uint32_t keyref)
{
	struct keyproto_dek_empty m = {span_str(customer), keyref};

	keyproto_dek_empty_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, KEYPROTO_DEK_EMPTY);
}

static int deks(struct keyd_play_client *c, const char *customer, struct keyproto_dek *out)
{
	int rc;

	keyproto_bytes_put(keyd_play_begin(c), span_str(customer));
	rc = keyd_play_call(c, KEYPROTO_CUSTOMER_KEYS);
	return rc < 0 ? rc : keyproto_deks_get(buf_span(&c->reply), out);
}

static uint32_t keyref_of(const struct buf *sealed)
{
	const uint8_t *p = buf_ptr(sealed);

	return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
}

static void new_data_goes_under_the_newest_dek_and_old_data_opens(void **state)
{
	struct scene *s = ready();
	struct keyproto_dek d[KEYPROTO_BATCH_MAX];
	struct buf old, new, plain;
	uint32_t epoch;

	(void)state;
	buf_init(&old, 1000);
	buf_init(&new, 1000);
	buf_init(&plain, 1000);
	assert_int_equal(fields(&s->relay, KEYPROTO_SEAL_FIELDS, KEYPROTO_FOR_FIELD, 0,
				SPAN_LIT("row"), SPAN_LIT("secret"), &old),
			 0);
	epoch = s->relay.epoch;
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "nobody", 0), ERR_NOTFOUND);
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	assert_int_equal(fields(&s->relay, KEYPROTO_SEAL_FIELDS, KEYPROTO_FOR_FIELD, 0,
				SPAN_LIT("row"), SPAN_LIT("secret"), &new),
			 0);
	assert_true(s->relay.epoch > epoch); /* clients ask for keys of objects anew */
	assert_true(keyref_of(&new) > keyref_of(&old));
	assert_int_equal(deks(&s->auditor, "default", d), 2);
	assert_int_equal(d[0].keyref, keyref_of(&new));
	assert_int_equal(d[0].version, 2);
	assert_int_equal(d[1].keyref, keyref_of(&old));
	assert_int_equal(d[1].state, KEYPROTO_DEK_ACTIVE);
	assert_int_equal(deks(&s->relay, "", d), 1); /* what somebody should work off */
	assert_int_equal(d[0].keyref, keyref_of(&old));
	assert_true(span_equal(d[0].customer, SPAN_LIT("default")));
	restart(s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fields(&s->relay, KEYPROTO_OPEN_FIELDS, KEYPROTO_FOR_FIELD, 0,
					SPAN_LIT("row"), buf_span(i ? &new : &old), &plain),
				 0);
		assert_true(span_equal(buf_span(&plain), SPAN_LIT("secret")));
	}
	buf_clear(&old);
	buf_clear(&new);
	buf_clear(&plain);
	done(s);
}

static void a_field_is_sealed_anew_without_being_shown(void **state)
{
	struct scene *s = ready();
	struct buf old, new, plain;

	(void)state;
	buf_init(&old, 1000);
	buf_init(&new, 1000);
	buf_init(&plain, 1000);
	fields(&s->relay, KEYPROTO_SEAL_FIELDS, KEYPROTO_FOR_CRED, 0, SPAN_LIT("row"),
	       SPAN_LIT("secret"), &old);
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	assert_int_equal(fields(&s->relay, KEYPROTO_RESEAL_FIELDS, KEYPROTO_FOR_CRED, 0,
				SPAN_LIT("row"), buf_span(&old), &new),
			 0);
	assert_int_equal(keyref_of(&new), keyref_of(&old) + 2); /* "other" has the one between */
	assert_int_equal(buf_size(&new), buf_size(&old));
	assert_int_equal(fields(&s->relay, KEYPROTO_OPEN_FIELDS, KEYPROTO_FOR_CRED, 0,
				SPAN_LIT("row"), buf_span(&new), &plain),
			 0);
	assert_true(span_equal(buf_span(&plain), SPAN_LIT("secret")));
	/* of another place, another purpose, changed: one answer */
	assert_int_equal(fields(&s->relay, KEYPROTO_RESEAL_FIELDS, KEYPROTO_FOR_CRED, 0,
				SPAN_LIT("roW"), buf_span(&old), &plain),
			 ERR_AUTH);
	assert_int_equal(buf_size(&plain), 0);
	assert_int_equal(fields(&s->relay, KEYPROTO_RESEAL_FIELDS, KEYPROTO_FOR_FIELD, 0,
				SPAN_LIT("row"), buf_span(&old), &plain),
			 ERR_AUTH);
	assert_int_equal(fields(&s->relay, KEYPROTO_RESEAL_FIELDS, KEYPROTO_FOR_FIELD, 0,
				SPAN_LIT("row"), SPAN_LIT("nothing"), &plain),
			 ERR_AUTH);
	assert_int_equal(fields(&s->relay, KEYPROTO_RESEAL_FIELDS, KEYPROTO_FOR_SPOOL, 0,
				SPAN_LIT("row"), buf_span(&old), &plain),
			 ERR_DENIED);
	buf_clear(&old);
	buf_clear(&new);
	buf_clear(&plain);
	done(s);
}

static int mac(struct keyd_play_client *c, unsigned op, struct span mac)
{
	struct keyproto_mac m = {SPAN_LIT("default"), SPAN_LIT("campaign/1"), SPAN_LIT("data"),
				 mac};

	keyproto_mac_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, op);
}

static void macs_hold_as_long_as_their_dek_lives(void **state)
{
	struct scene *s = ready();
	struct keyproto_dek d[KEYPROTO_BATCH_MAX];
	uint8_t macs[3][32];
	struct span out;

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mac(&s->officer, KEYPROTO_MAC, span_of(NULL, 0)), 0);
		assert_int_equal(keyproto_bytes_get(buf_span(&s->officer.reply), &out), 0);
		memcpy(macs[i], out.p, 32);
		if (i < 2)
			assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	}
	assert_memory_not_equal(macs[0], macs[1], 32);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, span_of(macs[i], 32)), 0);
	macs[1][0] ^= 1;
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, span_of(macs[1], 32)), ERR_AUTH);
	macs[1][0] ^= 1;
	assert_int_equal(deks(&s->relay, "default", d), 3);
	assert_int_equal(dek_empty(&s->relay, "default", d[1].keyref), 0);
	clock_advance(30 * DAY + CLOCK_SEC);
	look(s);
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, span_of(macs[0], 32)), 0);
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, span_of(macs[1], 32)), ERR_AUTH);
	assert_int_equal(mac(&s->milter, KEYPROTO_VERIFY_MAC, span_of(macs[2], 32)), 0);
	done(s);
}

static void rows_indexed_under_an_older_dek_are_found_by_naming_it(void **state)
{
	struct scene *s = ready();
	struct keyproto_dek d[KEYPROTO_BATCH_MAX];
	struct buf before, after, older;
	int n;

	(void)state;
	buf_init(&before, 100);
	buf_init(&after, 100);
	buf_init(&older, 100);
	assert_int_equal(fields(&s->relay, KEYPROTO_BLIND_INDEX, KEYPROTO_FOR_INDEX, 0,
				SPAN_LIT("column"), SPAN_LIT("ann"), &before),
			 0);
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	assert_int_equal(fields(&s->relay, KEYPROTO_BLIND_INDEX, KEYPROTO_FOR_INDEX, 0,
				SPAN_LIT("column"), SPAN_LIT("ann"), &after),
			 0);
	assert_false(span_equal(buf_span(&before), buf_span(&after)));
	n = deks(&s->relay, "default", d);
	assert_int_equal(n, 2);
	assert_int_equal(fields(&s->relay, KEYPROTO_BLIND_INDEX, KEYPROTO_FOR_INDEX, d[1].keyref,
				SPAN_LIT("column"), SPAN_LIT("ann"), &older),
			 0);
	assert_true(span_equal(buf_span(&before), buf_span(&older)));
	assert_int_equal(fields(&s->relay, KEYPROTO_BLIND_INDEX, KEYPROTO_FOR_INDEX,
				2 /* other's */, SPAN_LIT("column"), SPAN_LIT("ann"), &older),
			 ERR_NOTFOUND);
	buf_clear(&before);
	buf_clear(&after);
	buf_clear(&older);
	done(s);
}

static void an_empty_dek_is_retired_and_after_grace_destroyed(void **state)
{
	struct scene *s = ready();
	struct keyproto_dek d[KEYPROTO_BATCH_MAX];
	struct keyproto_derived made[KEYPROTO_BATCH_MAX], again[KEYPROTO_BATCH_MAX];
	struct keyproto_derive_existing ask = {.count = 1};
	uint8_t salt[KEYPROTO_SALT], key[KEYPROTO_OBJECT_KEY];
	struct buf old, plain;
	unsigned pushes;

	(void)state;
	buf_init(&old, 1000);
	buf_init(&plain, 1000);
	fields(&s->relay, KEYPROTO_SEAL_FIELDS, KEYPROTO_FOR_FIELD, 0, SPAN_LIT("row"),
	       SPAN_LIT("secret"), &old);
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 1, made), 1);
	memcpy(salt, made[0].salt, sizeof(salt));
	memcpy(key, made[0].key, sizeof(key));
	ask.items[0] = (struct keyproto_object){SPAN_LIT("default"), KEYPROTO_FOR_SPOOL,
						made[0].keyref, salt, SPAN_LIT("context")};
	assert_int_equal(dek_empty(&s->relay, "default", 1), ERR_BADSTATE); /* it is the newest */
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	assert_int_equal(dek_empty(&s->relay, "other", 1), ERR_NOTFOUND);
	assert_int_equal(dek_empty(&s->relay, "default", 99), ERR_NOTFOUND);
	assert_int_equal(dek_empty(&s->officer, "default", 1), ERR_DENIED);
	clock_advance(365 * DAY);
	look(s); /* time alone does nothing to it */
	assert_int_equal(deks(&s->relay, "default", d), 2);
	assert_int_equal(dek_empty(&s->relay, "default", 1), 0);
	assert_int_equal(dek_empty(&s->relay, "default", 1), 0); /* said twice */
	assert_int_equal(deks(&s->relay, "", d), 0);
	assert_int_equal(deks(&s->relay, "default", d), 2);
	assert_int_equal(d[1].state, KEYPROTO_DEK_RETIRED);
	restart(s);
	clock_advance(30 * DAY - CLOCK_SEC);
	look(s);
	keyproto_derive_existing_put(keyd_play_begin(&s->relay), &ask); /* still there */
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_DERIVE_EXISTING), 0);
	assert_int_equal(keyproto_derived_get(buf_span(&s->relay.reply), again), 1);
	assert_memory_equal(again[0].key, key, sizeof(key));
	pushes = s->relay.pushes;
	clock_advance(2 * CLOCK_SEC);
	look(s);
	assert_int_equal(deks(&s->relay, "default", d), 1);
	assert_int_equal(s->relay.pushes, pushes + 1);
	keyproto_derive_existing_put(keyd_play_begin(&s->relay), &ask);
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_DERIVE_EXISTING), 0);
	assert_int_equal(keyproto_derived_get(buf_span(&s->relay.reply), again), 1);
	assert_int_equal(again[0].status, KEYPROTO_E_NOTFOUND);
	assert_int_equal(fields(&s->relay, KEYPROTO_OPEN_FIELDS, KEYPROTO_FOR_FIELD, 0,
				SPAN_LIT("row"), buf_span(&old), &plain),
			 ERR_AUTH);
	restart(s);
	assert_int_equal(deks(&s->relay, "default", d), 1);
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	assert_int_equal(deks(&s->relay, "default", d), 2);
	assert_int_equal(d[0].version, 3);
	assert_true(d[0].keyref > 3); /* a number is never given out twice */
	buf_clear(&old);
	buf_clear(&plain);
	done(s);
}

static void a_customer_has_32_living_deks_at_most(void **state)
{
	struct scene *s = ready();
	struct keyproto_dek d[KEYPROTO_BATCH_MAX];
	int n;

	(void)state;
	for (int i = 1; i < KEYD_RING_DEKS; i++)
		assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), ERR_LIMIT);
	n = deks(&s->relay, "default", d);
	assert_int_equal(n, KEYD_RING_DEKS);
	for (int i = 1; i < n; i += 2) /* out of the middle, and the oldest */
		assert_int_equal(dek_empty(&s->relay, "default", d[i].keyref), 0);
	clock_advance(31 * DAY);
	look(s);
	assert_int_equal(deks(&s->relay, "default", d), KEYD_RING_DEKS / 2);
	restart(s);
	assert_int_equal(deks(&s->relay, "default", d), KEYD_RING_DEKS / 2);
	assert_int_equal(deks(&s->relay, "", d), KEYD_RING_DEKS / 2 - 1);
	assert_int_equal(rotate(&s->officer, KEYPROTO_ROTATE_DEK, "default", 0), 0);
	done(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_key_has_a_next_version_until_it_is_activated),
	    cmocka_unit_test(the_plain_label_is_the_active_version),
	    cmocka_unit_test(only_active_keys_sign_and_next_ones_of_tls),
	    cmocka_unit_test(rotation_is_the_officer_s),
	    cmocka_unit_test(
		what_is_retired_is_destroyed_after_the_overlap_but_for_its_public_part),
	    cmocka_unit_test(tokens_keys_rotate_by_themselves),
	    cmocka_unit_test(status_says_which_keys_wait_for_an_officer),
	    cmocka_unit_test(a_list_of_many_keys_comes_in_pages),
	    cmocka_unit_test(new_data_goes_under_the_newest_dek_and_old_data_opens),
	    cmocka_unit_test(a_field_is_sealed_anew_without_being_shown),
	    cmocka_unit_test(macs_hold_as_long_as_their_dek_lives),
	    cmocka_unit_test(rows_indexed_under_an_older_dek_are_found_by_naming_it),
	    cmocka_unit_test(an_empty_dek_is_retired_and_after_grace_destroyed),
	    cmocka_unit_test(a_customer_has_32_living_deks_at_most),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	clock_set(1000 * CLOCK_SEC, INT64_C(1795328178) * CLOCK_SEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
