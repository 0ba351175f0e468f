/* SPDX-License-Identifier: Apache-2.0 */
/* Campaigns countersigned, their approvers, the list of revoked ones, and keys of tracking tokens: asked
 * for in bytes, across restarts, rotations and the end of a customer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_rotate_key.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_dek.h"
#include "keyproto/keyproto_manifest.h"
#include "keyproto/keyproto_rotate.h"
#include "keyproto/keyproto_version.h"
#include "seal/seal_track.h"
#include "test/unit/keyd_play.h"

#define FILE_SLOT "[{method: file, path: root.key}]"
#define DAY	  (86400 * CLOCK_SEC)

static const uint8_t hash[KEYPROTO_MANIFEST_HASH] = "thirty-two bytes of a manifest..";

struct person {
	unsigned type;
	struct keyd_crypto_key *key;
	struct buf spki;
};

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer, relay, milter;
	struct person erika, paul; /* Ed25519, P-256 */
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

static void person_init(struct person *p, unsigned type)
{
	p->type = type;
	buf_init(&p->spki, 1024);
	assert_int_equal(keyd_crypto_generate(type, &p->key), 0);
	assert_int_equal(keyd_crypto_public(p->key, &p->spki), 0);
}

static int enrol(struct scene *s, const char *name, const char *customer, const struct person *p)
{
	struct keyproto_approver_add m = {span_str(name), span_str(customer), buf_span(&p->spki)};

	keyproto_approver_add_put(keyd_play_begin(&s->officer), &m);
	return keyd_play_call(&s->officer, KEYPROTO_APPROVER_ADD);
}

static int dismiss(struct scene *s, const char *name)
{
	keyproto_bytes_put(keyd_play_begin(&s->officer), span_str(name));
	return keyd_play_call(&s->officer, KEYPROTO_APPROVER_REMOVE);
}

static struct scene *ready(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_int_equal(keyd_play_open(&s->play, FILE_SLOT), 0);
	connect_all(s);
	assert_int_equal(keyd_play_init(&s->officer, NULL), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "shop"), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "bank"), 0);
	person_init(&s->erika, KEYPROTO_KEY_ED25519);
	person_init(&s->paul, KEYPROTO_KEY_EC_P256);
	assert_int_equal(enrol(s, "erika", "shop", &s->erika), 0);
	assert_int_equal(enrol(s, "paul@bank", "*", &s->paul), 0);
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
	keyd_crypto_free(s->erika.key);
	keyd_crypto_free(s->paul.key);
	buf_clear(&s->erika.spki);
	buf_clear(&s->paul.spki);
	leave_all(s);
	keyd_play_close(&s->play);
	free(s);
}

static struct keyproto_manifest manifest(const char *customer, const char *approver)
{
	return (struct keyproto_manifest){span_str(customer), SPAN_LIT("spring_sale"), 3, hash,
					  SPAN_LIT("otto"), span_str(approver)};
}

/* What the person signs, over signed; MANIFEST_SIGN is asked for asked. */
static int countersign(struct scene *s, const struct person *p, const struct keyproto_manifest *over,
		       const struct keyproto_manifest *asked)
{
	unsigned alg = p->type == KEYPROTO_KEY_ED25519 ? KEYPROTO_ALG_ED25519 : KEYPROTO_ALG_ES256;
	struct keyproto_manifest_sign m = {.manifest = *asked};
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	struct buf text;
	int n;

	buf_init(&text, KEYPROTO_MANIFEST_TEXT);
	assert_int_equal(keyproto_manifest_approver_text(&text, over), 0);
	n = keyd_crypto_sign(p->key, alg, buf_span(&text), sig);
	assert_true(n > 0);
	m.signature = span_of(sig, (size_t)n);
	buf_clear(&text);
	keyproto_manifest_sign_put(keyd_play_begin(&s->relay), &m);
	return keyd_play_call(&s->relay, KEYPROTO_MANIFEST_SIGN);
}

static int approved(struct scene *s, const struct person *p, const char *customer, const char *name)
{
	struct keyproto_manifest m = manifest(customer, name);

	return countersign(s, p, &m, &m);
}

/* Public part of manifest/CUSTOMER, as milter fetches it. */
static int public(struct scene *s, const char *name, struct span *spki)
{
	struct keyproto_public m;
	int rc;

	keyproto_bytes_put(keyd_play_begin(&s->milter), span_str(name));
	rc = keyd_play_call(&s->milter, KEYPROTO_PUBLIC_KEY);
	if (rc == 0) {
		assert_int_equal(keyproto_public_get(buf_span(&s->milter.reply), &m), 0);
		*spki = m.spki;
	}
	return rc;
}

static void what_an_approver_signed_is_countersigned_for_all_to_check(void **state)
{
	struct scene *s = ready();
	struct keyproto_manifest m = manifest("shop", "erika"), other = m;
	struct keyproto_manifest_signed r;
	uint8_t sig[KEYPROTO_MANIFEST_SIG];
	struct span spki;

	(void)state;
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), 0);
	assert_int_equal(keyproto_manifest_signed_get(buf_span(&s->relay.reply), &r), 0);
	assert_int_equal(r.version, 1);
	memcpy(sig, r.signature, sizeof(sig));
	assert_int_equal(public(s, "manifest/shop#1", &spki), 0);
	assert_int_equal(keyproto_manifest_verify(&m, spki, span_of(sig, sizeof(sig))), 0);
	other.version = 4;
	assert_int_equal(keyproto_manifest_verify(&other, spki, span_of(sig, sizeof(sig))), ERR_AUTH);
	sig[5] ^= 1;
	assert_int_equal(keyproto_manifest_verify(&m, spki, span_of(sig, sizeof(sig))), ERR_AUTH);
	/* one for all customers, with a key of the other type */
	assert_int_equal(approved(s, &s->paul, "bank", "paul@bank"), 0);
	assert_int_equal(approved(s, &s->paul, "shop", "paul@bank"), 0);
	/* and the keys are of nobody else */
	assert_int_equal(public(s, "manifest/nobody", &spki), ERR_NOTFOUND);
	assert_int_equal(public(s, "dkim/shop", &spki), ERR_DENIED);
	done(s);
}

static void all_else_is_refused(void **state)
{
	struct scene *s = ready();
	struct keyproto_manifest m = manifest("shop", "erika"), other;
	uint8_t changed[KEYPROTO_MANIFEST_HASH];
	struct span spki;

	(void)state;
	assert_int_equal(approved(s, &s->erika, "bank", "erika"), ERR_DENIED);
	assert_int_equal(approved(s, &s->erika, "shop", "nobody"), ERR_DENIED);
	assert_int_equal(approved(s, &s->erika, "shop", "Erika"), ERR_DENIED);
	assert_int_equal(approved(s, &s->erika, "nowhere", "erika"), ERR_NOTFOUND);
	assert_int_equal(approved(s, &s->paul, "shop", "erika"), ERR_DENIED); /* another's key */
	m.author = SPAN_LIT("erika");
	assert_int_equal(countersign(s, &s->erika, &m, &m), ERR_DENIED);
	m.author = SPAN_LIT("ERIKA");
	assert_int_equal(countersign(s, &s->erika, &m, &m), ERR_DENIED);
	/* any line of the text that is not what was signed */
	m = manifest("shop", "erika");
	memcpy(changed, hash, sizeof(hash));
	changed[31] ^= 1;
	other = m, other.hash = changed;
	assert_int_equal(countersign(s, &s->erika, &m, &other), ERR_DENIED);
	other = m, other.version = 2;
	assert_int_equal(countersign(s, &s->erika, &m, &other), ERR_DENIED);
	other = m, other.campaign = SPAN_LIT("spring_sales");
	assert_int_equal(countersign(s, &s->erika, &m, &other), ERR_DENIED);
	other = m, other.author = SPAN_LIT("ott");
	assert_int_equal(countersign(s, &s->erika, &m, &other), ERR_DENIED);
	other = manifest("bank", "paul@bank");
	m = manifest("shop", "paul@bank");
	assert_int_equal(countersign(s, &s->paul, &m, &other), ERR_DENIED);
	assert_int_equal(public(s, "manifest/shop", &spki), ERR_NOTFOUND); /* no key was made for it */
	done(s);
}

static void approvers_outlive_a_restart_until_they_are_removed(void **state)
{
	struct scene *s = ready();

	(void)state;
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), 0);
	restart(s);
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), 0);
	assert_int_equal(enrol(s, "ERIKA", "shop", &s->paul), ERR_EXISTS);
	assert_int_equal(enrol(s, "petra", "nowhere", &s->paul), ERR_NOTFOUND);
	assert_int_equal(dismiss(s, "petra"), ERR_NOTFOUND);
	assert_int_equal(dismiss(s, "not a name"), ERR_FORMAT);
	assert_int_equal(dismiss(s, "erika"), 0);
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), ERR_DENIED);
	restart(s);
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), ERR_DENIED);
	assert_int_equal(approved(s, &s->paul, "shop", "paul@bank"), 0);
	assert_int_equal(enrol(s, "erika", "shop", &s->paul), 0);
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), ERR_DENIED);
	assert_int_equal(approved(s, &s->paul, "shop", "erika"), 0);
	done(s);
}

static void there_are_so_many_approvers_and_a_list_of_all(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct buf rsa;
	uint32_t at = 0;
	char name[80], *next;
	unsigned found = 0;

	(void)state;
	assert_int_equal(keyd_play_memory(&s->play), 0); /* 256 journals would be slow */
	connect_all(s);
	person_init(&s->erika, KEYPROTO_KEY_ED25519);
	person_init(&s->paul, KEYPROTO_KEY_EC_P256);
	for (unsigned i = 0; i < KEYPROTO_APPROVERS_MAX; i++) {
		snprintf(name, sizeof(name), "approver-of-many-campaigns-and-with-a-name-of-length-%08u", i);
		assert_int_equal(enrol(s, name, "*", &s->paul), 0);
	}
	assert_int_equal(enrol(s, "one.more", "*", &s->paul), ERR_LIMIT);
	do {
		assert_int_equal(keyproto_approvers_put(keyd_play_begin(&s->officer), at), 0);
		assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_APPROVERS), 0);
		buf_put(&s->officer.reply, "", 1);
		for (const char *p = (const char *)buf_ptr(&s->officer.reply);
		     (p = strstr(p, "\"fingerprint\":\"")); p++)
			found++;
		next = strstr((char *)buf_ptr(&s->officer.reply), "\"next\":");
		assert_non_null(next);
		at = (uint32_t)strtoul(next + 7, NULL, 10);
	} while (at);
	assert_int_equal(found, KEYPROTO_APPROVERS_MAX);
	buf_init(&rsa, 1024);
	buf_put_str(&rsa, "no key");
	{
		struct keyproto_approver_add m = {SPAN_LIT("x"), SPAN_LIT("*"), buf_span(&rsa)};
		keyproto_approver_add_put(keyd_play_begin(&s->officer), &m);
		assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_APPROVER_ADD), ERR_FORMAT);
	}
	buf_clear(&rsa);
	done(s);
}

/* The key of that epoch, which the test keeps as a copy. */
static int track(struct keyd_play_client *c, const char *customer, uint32_t epoch, uint8_t out[32])
{
	struct keyproto_track m = {span_str(customer), epoch};
	struct span key;
	int rc;

	keyproto_track_put(keyd_play_begin(c), &m);
	rc = keyd_play_call(c, KEYPROTO_TRACK_KEY);
	if (rc == 0) {
		assert_int_equal(keyproto_bytes_get(buf_span(&c->reply), &key), 0);
		assert_int_equal(key.n, 32);
		memcpy(out, key.p, 32);
	}
	return rc;
}

/* The key of that customer's audiences, likewise. */
static int audience(struct keyd_play_client *c, const char *customer, uint8_t out[32])
{
	struct span key;
	int rc;

	keyproto_audience_put(keyd_play_begin(c), span_str(customer));
	rc = keyd_play_call(c, KEYPROTO_AUDIENCE_KEY);
	if (rc == 0) {
		assert_int_equal(keyproto_bytes_get(buf_span(&c->reply), &key), 0);
		assert_int_equal(key.n, 32);
		memcpy(out, key.p, 32);
	}
	return rc;
}

static void an_audience_s_key_is_the_same_for_who_lists_and_who_asks(void **state)
{
	struct scene *s = ready();
	uint8_t a[32], b[32];

	(void)state;
	assert_int_equal(audience(&s->relay, "shop", a), 0); /* what it comes from is made now */
	assert_int_equal(audience(&s->milter, "shop", b), 0);
	assert_memory_equal(a, b, 32);
	assert_int_equal(track(&s->relay, "shop", 318, b), 0);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(audience(&s->relay, "bank", b), 0);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(audience(&s->relay, "nowhere", b), ERR_NOTFOUND);
	keyproto_audience_put(keyd_play_begin(&s->officer), SPAN_LIT("shop"));
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_AUDIENCE_KEY), ERR_DENIED);
	restart(s);
	assert_int_equal(audience(&s->milter, "shop", b), 0);
	assert_memory_equal(a, b, 32);
	done(s);
}

static void a_tracking_key_is_the_same_for_who_makes_and_who_opens(void **state)
{
	struct scene *s = ready();
	uint8_t a[32], b[32];

	(void)state;
	assert_int_equal(track(&s->milter, "shop", 318, a), 0);
	assert_int_equal(track(&s->relay, "shop", 318, b), 0);
	assert_memory_equal(a, b, 32);
	assert_int_equal(track(&s->relay, "shop", 319, b), 0);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(track(&s->relay, "bank", 318, b), 0);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(track(&s->relay, "nowhere", 318, b), ERR_NOTFOUND);
	restart(s);
	assert_int_equal(track(&s->relay, "shop", 318, b), 0);
	assert_memory_equal(a, b, 32);
	done(s);
}

static void a_tracking_key_outlives_the_dek_it_lay_under(void **state)
{
	struct scene *s = ready();
	struct keyproto_rotate rotate = {KEYPROTO_ROTATE_DEK, SPAN_LIT("shop"), 0};
	struct keyproto_dek_empty empty = {SPAN_LIT("shop"), 0};
	struct keyd_ring_dek_info dek;
	uint8_t a[32], b[32], list[32], list_after[32];

	(void)state;
	clock_set(0, clock_wall());
	empty.keyref = keyd_ring_newest(s->play.keyd->ring, 0);
	assert_int_equal(track(&s->milter, "shop", 318, a), 0);
	assert_int_equal(audience(&s->milter, "shop", list), 0);
	keyproto_rotate_put(keyd_play_begin(&s->officer), &rotate);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_ROTATE), 0);
	keyproto_dek_empty_put(keyd_play_begin(&s->relay), &empty);
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_DEK_EMPTY), 0);
	clock_advance(400 * DAY);
	keyd_rotate_key_turn(s->play.keyd);
	assert_int_equal(keyd_ring_dek(s->play.keyd->ring, empty.keyref, &dek), ERR_NOTFOUND);
	assert_int_equal(track(&s->relay, "shop", 318, b), 0);
	assert_memory_equal(a, b, 32);
	restart(s);
	assert_int_equal(track(&s->relay, "shop", 318, b), 0);
	assert_memory_equal(a, b, 32);
	assert_int_equal(audience(&s->relay, "shop", list_after), 0);
	assert_memory_equal(list, list_after, 32);
	clock_restore();
	done(s);
}

static void with_a_customer_end_its_tokens_and_what_may_be_signed_for_it(void **state)
{
	struct scene *s = ready();
	struct keyproto_manifest m = manifest("shop", "erika");
	struct keyproto_manifest_signed r;
	uint8_t sig[KEYPROTO_MANIFEST_SIG], key[32];
	struct keyd_crypto_key *private;
	struct span spki;

	(void)state;
	assert_int_equal(track(&s->milter, "shop", 318, key), 0);
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), 0);
	assert_int_equal(keyproto_manifest_signed_get(buf_span(&s->relay.reply), &r), 0);
	memcpy(sig, r.signature, sizeof(sig));
	keyproto_bytes_put(keyd_play_begin(&s->officer), SPAN_LIT("shop"));
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_SHRED), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(track(&s->relay, "shop", 318, key), ERR_GONE);
		assert_int_equal(audience(&s->relay, "shop", key), ERR_GONE);
		assert_int_equal(approved(s, &s->erika, "shop", "erika"), ERR_GONE);
		assert_int_equal(keyd_ring_private(s->play.keyd->ring, SPAN_LIT("manifest/shop#1"),
						   &private),
				 ERR_NOTFOUND);
		/* what was signed can still be shown to be so */
		assert_int_equal(public(s, "manifest/shop", &spki), ERR_NOTFOUND);
		assert_int_equal(public(s, "manifest/shop#1", &spki), 0);
		assert_int_equal(keyproto_manifest_verify(&m, spki, span_of(sig, sizeof(sig))), 0);
		assert_int_equal(approved(s, &s->paul, "bank", "paul@bank"), 0);
		restart(s);
	}
	done(s);
}

static int checkpoint(struct scene *s, uint64_t counter, uint64_t rows, const uint8_t digest[32])
{
	struct keyproto_checkpoint m = {SPAN_LIT(KEYPROTO_REVOKED), counter, rows, digest};

	keyproto_checkpoint_put(keyd_play_begin(&s->relay), &m);
	return keyd_play_call(&s->relay, KEYPROTO_CHECKPOINT);
}

static void milter_learns_of_the_newest_list_of_the_revoked(void **state)
{
	static const uint8_t one[32] = {1}, two[32] = {2};
	struct scene *s = ready();
	struct keyproto_checkpoint_last last;

	(void)state;
	keyproto_bytes_put(keyd_play_begin(&s->milter), SPAN_LIT(KEYPROTO_REVOKED));
	assert_int_equal(keyd_play_call(&s->milter, KEYPROTO_CHECKPOINT_LAST), ERR_NOTFOUND);
	assert_int_equal(checkpoint(s, 1, 1, one), 0);
	assert_int_equal(checkpoint(s, 2, 2, two), 0);
	assert_int_equal(checkpoint(s, 1, 1, one), ERR_BADSTATE); /* nothing is taken back */
	assert_int_equal(checkpoint(s, 2, 1, one), ERR_BADSTATE);
	restart(s);
	keyproto_bytes_put(keyd_play_begin(&s->milter), SPAN_LIT(KEYPROTO_REVOKED));
	assert_int_equal(keyd_play_call(&s->milter, KEYPROTO_CHECKPOINT_LAST), 0);
	assert_int_equal(keyproto_checkpoint_last_get(buf_span(&s->milter.reply), &last), 0);
	assert_int_equal(last.counter, 2);
	assert_memory_equal(last.hash, two, 32);
	keyproto_bytes_put(keyd_play_begin(&s->milter), SPAN_LIT("ledger"));
	assert_int_equal(keyd_play_call(&s->milter, KEYPROTO_CHECKPOINT_LAST), ERR_DENIED);
	done(s);
}

static void a_name_that_could_be_no_label_is_told_so(void **state)
{
	static const char name[] = "a-customer-whose-name-is-of-fifty-six-characters-0123456";
	struct scene *s = ready();

	(void)state;
	assert_int_equal(strlen(name), 56);
	assert_int_equal(keyd_play_customer(&s->officer, name), 0);
	assert_int_equal(approved(s, &s->paul, name, "paul@bank"), ERR_LIMIT);
	done(s);
}

static void a_locked_keyd_signs_and_gives_nothing(void **state)
{
	struct scene *s = ready();
	uint8_t key[32];

	(void)state;
	keyd_play_begin(&s->officer);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_LOCK), 0);
	assert_int_equal(approved(s, &s->erika, "shop", "erika"), ERR_LOCKED);
	assert_int_equal(track(&s->milter, "shop", 318, key), ERR_LOCKED);
	assert_int_equal(audience(&s->milter, "shop", key), ERR_LOCKED);
	assert_int_equal(dismiss(s, "erika"), ERR_LOCKED);
	done(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_an_approver_signed_is_countersigned_for_all_to_check),
	    cmocka_unit_test(all_else_is_refused),
	    cmocka_unit_test(approvers_outlive_a_restart_until_they_are_removed),
	    cmocka_unit_test(there_are_so_many_approvers_and_a_list_of_all),
	    cmocka_unit_test(an_audience_s_key_is_the_same_for_who_lists_and_who_asks),
	    cmocka_unit_test(a_tracking_key_is_the_same_for_who_makes_and_who_opens),
	    cmocka_unit_test(a_tracking_key_outlives_the_dek_it_lay_under),
	    cmocka_unit_test(with_a_customer_end_its_tokens_and_what_may_be_signed_for_it),
	    cmocka_unit_test(milter_learns_of_the_newest_list_of_the_revoked),
	    cmocka_unit_test(a_name_that_could_be_no_label_is_told_so),
	    cmocka_unit_test(a_locked_keyd_signs_and_gives_nothing),
	};
	if (keyd_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
