/* SPDX-License-Identifier: Apache-2.0 */
/* CHECKPOINT, CHECKPOINT_LAST and KEY_VERSIONS, asked for in bytes; over restarts, rotations of the
 * key, and an older copy of the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_crypto.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_rotate.h"
#include "keyproto/keyproto_version.h"
#include "test/unit/keyd_play.h"

#define FILE_SLOT "[{method: file, path: root.key}]"

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer, relay;
};

static void connect_both(struct scene *s)
{
	keyd_play_connect(&s->officer, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OFFICER);
	keyd_play_connect(&s->relay, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, KEYPROTO_ROLE_RELAY);
}

static struct scene *ready(void)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_int_equal(keyd_play_open(&s->play, FILE_SLOT), 0);
	connect_both(s);
	assert_int_equal(keyd_play_init(&s->officer, NULL), 0);
	return s;
}

static void leave(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_leave(&s->relay);
	keyd_play_stop(&s->play);
}

static void come_back(struct scene *s)
{
	assert_int_equal(keyd_play_restart(&s->play, FILE_SLOT), 0);
	connect_both(s);
}

static void done(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_leave(&s->relay);
	keyd_play_close(&s->play);
	free(s);
}

/* A hash of 32 times that octet. */
static const uint8_t *hash_of(uint8_t fill)
{
	static uint8_t hash[KEYPROTO_CHECKPOINT_HASH];

	memset(hash, fill, sizeof(hash));
	return hash;
}

static int ask(struct scene *s, uint64_t counter, uint64_t rows, uint8_t fill,
	       struct keyproto_checkpoint_signed *out)
{
	struct keyproto_checkpoint m = {SPAN_LIT("ledger"), counter, rows, hash_of(fill)};
	int rc;

	keyproto_checkpoint_put(keyd_play_begin(&s->relay), &m);
	rc = keyd_play_call(&s->relay, KEYPROTO_CHECKPOINT);
	return rc < 0 ? rc : keyproto_checkpoint_signed_get(buf_span(&s->relay.reply), out);
}

static int last(struct keyd_play_client *c, struct keyproto_checkpoint_last *out)
{
	int rc;

	keyproto_bytes_put(keyd_play_begin(c), SPAN_LIT("ledger"));
	rc = keyd_play_call(c, KEYPROTO_CHECKPOINT_LAST);
	return rc < 0 ? rc : keyproto_checkpoint_last_get(buf_span(&c->reply), out);
}

static int verifies(struct span spki, uint64_t counter, uint64_t rows, uint8_t fill,
		    const uint8_t *sig)
{
	struct keyproto_checkpoint m = {SPAN_LIT("ledger"), counter, rows, hash_of(fill)};
	struct buf text;
	int rc;

	buf_init(&text, KEYPROTO_CHECKPOINT_TEXT);
	assert_int_equal(keyproto_checkpoint_text(&text, &m), 0);
	rc = keyd_crypto_verify(spki, KEYPROTO_ALG_ED25519, buf_span(&text),
				span_of(sig, KEYPROTO_CHECKPOINT_SIG));
	buf_clear(&text);
	return rc == 0;
}

/* Signs a good one, and has it verified with the key that is told. */
static void sign_next(struct scene *s, uint64_t counter)
{
	struct keyproto_checkpoint_signed m;
	struct keyproto_checkpoint_last l;
	uint8_t sig[KEYPROTO_CHECKPOINT_SIG];
	uint32_t version;

	assert_int_equal(ask(s, counter, counter * 100, (uint8_t)counter, &m), 0);
	memcpy(sig, m.signature, sizeof(sig));
	version = m.version;
	assert_int_equal(last(&s->officer, &l), 0);
	assert_int_equal(l.counter, counter);
	assert_int_equal(l.rows, counter * 100);
	assert_memory_equal(l.hash, hash_of((uint8_t)counter), KEYPROTO_CHECKPOINT_HASH);
	assert_memory_equal(l.signature, sig, sizeof(sig));
	assert_int_equal(l.version, version);
	assert_true(verifies(span_of(l.spki, KEYPROTO_CHECKPOINT_SPKI), counter, counter * 100,
			     (uint8_t)counter, sig));
}

static void the_text_that_is_signed_is_fixed(void **state)
{
	struct keyproto_checkpoint m = {SPAN_LIT("ledger"), UINT64_MAX, 0, hash_of(0xa7)};
	struct buf text;

	(void)state;
	buf_init(&text, KEYPROTO_CHECKPOINT_TEXT);
	assert_int_equal(keyproto_checkpoint_text(&text, &m), 0);
	assert_true(span_equal(
	    buf_span(&text),
	    SPAN_LIT("sealpost-checkpoint-1\nname ledger\ncounter 18446744073709551615\nrows 0\n"
		     "hash a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n")));
	buf_clear(&text);
}

static void checkpoints_are_signed_one_after_the_other(void **state)
{
	struct scene *s = ready();
	struct keyproto_checkpoint_signed m;
	struct keyproto_checkpoint_last l;

	(void)state;
	assert_int_equal(last(&s->officer, &l), ERR_NOTFOUND);
	for (uint64_t i = 1; i <= 5; i++)
		sign_next(s, i);
	assert_int_equal(ask(s, 7, 700, 7, &m), ERR_BADSTATE); /* one is left out */
	assert_int_equal(ask(s, 4, 400, 4, &m), ERR_BADSTATE); /* even what was signed once */
	assert_int_equal(ask(s, 5, 500, 6, &m), ERR_BADSTATE); /* another hash for the last */
	assert_int_equal(ask(s, 5, 501, 5, &m), ERR_BADSTATE); /* another count */
	sign_next(s, 5); /* the answer was lost: the same again */
	sign_next(s, 6);
	done(s);
}

static void what_was_signed_is_known_after_a_restart(void **state)
{
	struct scene *s = ready();
	struct keyproto_checkpoint_signed m;

	(void)state;
	sign_next(s, 1);
	sign_next(s, 2);
	leave(s);
	come_back(s);
	assert_int_equal(ask(s, 2, 200, 3, &m), ERR_BADSTATE);
	assert_int_equal(ask(s, 1, 100, 1, &m), ERR_BADSTATE);
	sign_next(s, 2);
	sign_next(s, 3);
	done(s);
}

/* A relay that keeps its ledger while keyd was set up anew must be able to go on. */
static void the_first_may_have_any_number(void **state)
{
	struct scene *s = ready();
	struct keyproto_checkpoint_signed m;

	(void)state;
	sign_next(s, 57);
	assert_int_equal(ask(s, 57, 5700, 1, &m), ERR_BADSTATE);
	assert_int_equal(ask(s, 1, 100, 1, &m), ERR_BADSTATE);
	sign_next(s, 58);
	done(s);
}

static void nobody_but_relay_has_them_signed_and_by_no_other_name(void **state)
{
	struct scene *s = ready();
	struct keyproto_checkpoint m = {SPAN_LIT("ledger"), 1, 1, hash_of(1)};

	(void)state;
	keyproto_checkpoint_put(keyd_play_begin(&s->officer), &m);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_CHECKPOINT), ERR_DENIED);
	m.name = SPAN_LIT("keyd"); /* the key audit/keyd signs keyd's own log */
	keyproto_checkpoint_put(keyd_play_begin(&s->relay), &m);
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_CHECKPOINT), ERR_DENIED);
	done(s);
}

/* SIGN has no way to the key. */
static void the_key_signs_nothing_else(void **state)
{
	struct scene *s = ready();
	struct keyproto_sign m = {SPAN_LIT("audit/ledger"), KEYPROTO_ALG_ED25519,
				  SPAN_LIT("sealpost-checkpoint-1\n")};

	(void)state;
	sign_next(s, 1);
	keyproto_sign_put(keyd_play_begin(&s->relay), &m);
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_SIGN), ERR_DENIED);
	keyproto_sign_put(keyd_play_begin(&s->officer), &m);
	assert_int_equal(keyd_play_call(&s->officer, KEYPROTO_SIGN), ERR_DENIED);
	done(s);
}

static void a_key_of_another_kind_under_its_label_signs_no_checkpoint(void **state)
{
	struct scene *s = ready();
	struct keyproto_checkpoint_signed m;

	(void)state;
	assert_int_equal(keyd_play_key(&s->officer, "audit/ledger", KEYPROTO_KEY_EC_P256), 0);
	assert_int_equal(ask(s, 1, 100, 1, &m), ERR_BADSTATE);
	done(s);
}

static int rotate(struct scene *s, const char *label, unsigned flags)
{
	struct keyproto_rotate m = {KEYPROTO_ROTATE_KEY, span_str(label), (uint8_t)flags};

	keyproto_rotate_put(keyd_play_begin(&s->officer), &m);
	return keyd_play_call(&s->officer, KEYPROTO_ROTATE);
}

static int versions(struct keyd_play_client *c, const char *label, struct keyproto_version *out)
{
	int rc;

	keyproto_bytes_put(keyd_play_begin(c), span_str(label));
	rc = keyd_play_call(c, KEYPROTO_KEY_VERSIONS);
	return rc < 0 ? rc : keyproto_versions_get(buf_span(&c->reply), out);
}

static void a_rotated_key_leaves_older_signatures_good(void **state)
{
	struct scene *s = ready();
	struct keyproto_checkpoint_signed m;
	struct keyproto_version v[KEYPROTO_VERSIONS_MAX];
	uint8_t one[KEYPROTO_CHECKPOINT_SIG], two[KEYPROTO_CHECKPOINT_SIG];

	(void)state;
	assert_int_equal(ask(s, 1, 100, 1, &m), 0);
	memcpy(one, m.signature, sizeof(one));
	assert_int_equal(rotate(s, "audit/ledger", 0), 0);
	assert_int_equal(rotate(s, "audit/ledger", KEYPROTO_ROTATE_ACTIVATE), 0);
	assert_int_equal(ask(s, 1, 100, 1, &m), 0); /* the same again, by the key of then */
	assert_int_equal(m.version, 1);
	assert_memory_equal(m.signature, one, sizeof(one));
	assert_int_equal(ask(s, 2, 200, 2, &m), 0);
	assert_int_equal(m.version, 2);
	memcpy(two, m.signature, sizeof(two));
	assert_int_equal(versions(&s->relay, "audit/ledger", v), 2);
	assert_int_equal(v[0].version, 2);
	assert_int_equal(v[0].state, KEYPROTO_VERSION_ACTIVE);
	assert_int_equal(v[1].version, 1);
	assert_int_equal(v[1].state, KEYPROTO_VERSION_RETIRED);
	assert_true(v[1].changed >= v[1].created && v[1].created > 0);
	assert_true(verifies(v[0].spki, 2, 200, 2, two));
	assert_true(verifies(v[1].spki, 1, 100, 1, one));
	assert_false(verifies(v[1].spki, 2, 200, 2, two));
	done(s);
}

static void versions_are_told_newest_first_and_to_whom_they_concern(void **state)
{
	struct scene *s = ready();
	struct keyproto_version v[KEYPROTO_VERSIONS_MAX];
	struct keyd_play_client auditor;

	(void)state;
	keyd_play_connect(&auditor, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_AUDITOR);
	assert_int_equal(versions(&s->relay, "dkim/a.example/ed25519", v), ERR_NOTFOUND);
	assert_int_equal(versions(&s->relay, "not a label", v), ERR_NOTFOUND);
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a.example/ed25519", KEYPROTO_KEY_ED25519),
			 0);
	for (uint32_t n = 2; n <= KEYPROTO_VERSIONS_MAX + 2; n++) {
		assert_int_equal(rotate(s, "dkim/a.example/ed25519", 0), 0);
		if (n <= KEYPROTO_VERSIONS_MAX) {
			assert_int_equal(versions(&s->officer, "dkim/a.example/ed25519", v),
					 (int)n);
			assert_int_equal(v[0].state, KEYPROTO_VERSION_NEXT);
			assert_int_equal(v[0].version, n);
		}
		assert_int_equal(rotate(s, "dkim/a.example/ed25519", KEYPROTO_ROTATE_ACTIVATE), 0);
	}
	assert_int_equal(versions(&s->relay, "dkim/a.example/ed25519", v), KEYPROTO_VERSIONS_MAX);
	assert_int_equal(v[0].version, KEYPROTO_VERSIONS_MAX + 2);
	assert_int_equal(v[0].state, KEYPROTO_VERSION_ACTIVE);
	assert_int_equal(v[KEYPROTO_VERSIONS_MAX - 1].version, 3);
	assert_int_equal(versions(&auditor, "dkim/a.example/ed25519", v), ERR_DENIED);
	keyd_play_leave(&auditor);
	done(s);
}

/* Relay must learn that it is to sign by another selector. */
static void a_new_or_activated_version_is_a_new_epoch(void **state)
{
	struct scene *s = ready();
	unsigned pushes;
	int status;

	(void)state;
	keyd_play_take(&s->relay, &status);
	pushes = s->relay.pushes;
	assert_int_equal(keyd_play_key(&s->officer, "dkim/a.example/ed25519", KEYPROTO_KEY_ED25519),
			 0);
	keyd_play_take(&s->relay, &status);
	assert_int_equal(s->relay.pushes, ++pushes);
	assert_int_equal(rotate(s, "dkim/a.example/ed25519", 0), 0);
	assert_int_equal(rotate(s, "dkim/a.example/ed25519", KEYPROTO_ROTATE_ACTIVATE), 0);
	keyd_play_take(&s->relay, &status);
	assert_int_equal(s->relay.pushes, pushes + 2);
	assert_int_equal(s->relay.pushed, KEYPROTO_READY);
	done(s);
}

/* --- an older copy of the store */

static void copy(struct scene *s, const char *to)
{
	char line[200];

	snprintf(line, sizeof(line), "rm -rf %s/%s && cp -rp %s/state %s/%s", s->play.dir, to,
		 s->play.dir, s->play.dir, to);
	assert_int_equal(system(line), 0);
}

/* The store's files of the copy, while the audit log stays and remembers more. */
static void put_back(struct scene *s, const char *from)
{
	char line[300];

	snprintf(line, sizeof(line), "cp -p %s/%s/store.snap %s/%s/store.journal %s/state/",
		 s->play.dir, from, s->play.dir, from, s->play.dir);
	assert_int_equal(system(line), 0);
}

static void after_an_older_copy_was_accepted_the_number_may_jump_once(void **state)
{
	struct scene *s = ready();
	struct keyproto_checkpoint_signed m;

	(void)state;
	sign_next(s, 1);
	sign_next(s, 2);
	leave(s);
	copy(s, "old");
	come_back(s);
	for (uint64_t i = 3; i <= 6; i++)
		sign_next(s, i);
	leave(s);
	put_back(s, "old");
	come_back(s);
	assert_int_equal(s->play.keyd->state, KEYPROTO_LOCKED);
	assert_int_equal(ask(s, 7, 700, 7, &m), ERR_LOCKED);
	assert_int_equal((keyd_play_begin(&s->officer),
			  keyd_play_call(&s->officer, KEYPROTO_ACCEPT)),
			 0);
	assert_int_equal(ask(s, 1, 100, 1, &m), ERR_BADSTATE); /* never back */
	assert_int_equal(ask(s, 2, 200, 3, &m), ERR_BADSTATE);
	sign_next(s, 7);
	assert_int_equal(ask(s, 9, 900, 9, &m), ERR_BADSTATE); /* once */
	assert_int_equal(ask(s, 6, 600, 6, &m), ERR_BADSTATE);
	sign_next(s, 8);
	leave(s);
	come_back(s);
	assert_int_equal(ask(s, 10, 1000, 10, &m), ERR_BADSTATE); /* nor after a restart */
	sign_next(s, 9);
	done(s);
}

static int set_up(void **state)
{
	(void)state;
	return keyd_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_text_that_is_signed_is_fixed),
	    cmocka_unit_test(checkpoints_are_signed_one_after_the_other),
	    cmocka_unit_test(what_was_signed_is_known_after_a_restart),
	    cmocka_unit_test(the_first_may_have_any_number),
	    cmocka_unit_test(nobody_but_relay_has_them_signed_and_by_no_other_name),
	    cmocka_unit_test(the_key_signs_nothing_else),
	    cmocka_unit_test(a_key_of_another_kind_under_its_label_signs_no_checkpoint),
	    cmocka_unit_test(a_rotated_key_leaves_older_signatures_good),
	    cmocka_unit_test(versions_are_told_newest_first_and_to_whom_they_concern),
	    cmocka_unit_test(a_new_or_activated_version_is_a_new_epoch),
	    cmocka_unit_test(after_an_older_copy_was_accepted_the_number_may_jump_once),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
