/* SPDX-License-Identifier: Apache-2.0 */
/* What opens the root key: slots added, tested and removed, and unsealing with shares, asked for in
 * bytes through the session engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_fault.h"
#include "keyd/keyd_slot.h"
#include "sys/sys_file.h"
#include "test/unit/keyd_play.h"

#define PHRASE "correct horse battery"
#define OTHER  "staple of another horse"
#define SLOTS                                                                 \
	"[{method: file, path: root.key}, {method: passphrase, name: safe}, " \
	"{method: shares, need: 3, of: 5}, {method: credential, name: root}]"
#define OPERATOR_UID 1001
#define SHARES	     5

struct scene {
	struct keyd_play play;
	struct keyd_play_client officer, other, relay;
	char shares[KEYPROTO_SHARES_MAX][KEYD_SHARE_TEXT]; /* as told last */
	uint32_t id;					   /* of the slot that was made last */
	uint8_t salt[KEYPROTO_SALT], key[KEYPROTO_OBJECT_KEY];
	uint32_t keyref;
};

/* Everything that was logged since the test began. */
static char heard[256 * 1024];

static void hear(void *arg, const char *line)
{
	size_t n = strlen(heard);

	(void)arg;
	assert_true(n + strlen(line) + 2 < sizeof(heard));
	snprintf(heard + n, sizeof(heard) - n, "%s\n", line);
}

static int said(const char *text)
{
	return strstr(heard, text) != NULL;
}

static void connect_all(struct scene *s)
{
	keyd_play_connect(&s->officer, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OFFICER);
	keyd_play_connect(&s->other, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_ADMIN,
			  KEYPROTO_ROLE_OPERATOR);
	s->other.session->uid = OPERATOR_UID;
	keyd_play_connect(&s->relay, &s->play, KEYD_PLAY_ALL, KEYD_PERMIT_USE, KEYPROTO_ROLE_RELAY);
}

static void leave_all(struct scene *s)
{
	keyd_play_leave(&s->officer);
	keyd_play_leave(&s->other);
	keyd_play_leave(&s->relay);
}

static void keep_made(struct scene *s)
{
	struct keyproto_slot_made m;

	assert_int_equal(keyproto_slot_made_get(buf_span(&s->officer.reply), &m), 0);
	s->id = m.id;
	for (unsigned i = 0; i < m.count; i++)
		assert_int_equal(span_copy_str(s->shares[i], sizeof(s->shares[i]), m.shares[i]), 0);
}

static int init(struct scene *s, unsigned count)
{
	static const uint8_t methods[] = {KEYPROTO_SLOT_FILE, KEYPROTO_SLOT_PASSPHRASE,
					  KEYPROTO_SLOT_SHARES, KEYPROTO_SLOT_CREDENTIAL};
	struct keyproto_init m = {.count = (uint16_t)count};
	int rc;

	for (unsigned i = 0; i < count; i++)
		m.slots[i].method = methods[i];
	m.slots[1].secret = SPAN_LIT(PHRASE);
	keyproto_init_put(keyd_play_begin(&s->officer), &m);
	rc = keyd_play_call(&s->officer, KEYPROTO_INIT);
	if (rc == 0)
		keep_made(s);
	return rc;
}

/* READY with the first count slots of keyd.yaml, a customer, and one object's key. */
static struct scene *begin(unsigned count)
{
	struct scene *s = calloc(1, sizeof(*s));
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];

	heard[0] = '\0';
	log_capture(hear, NULL);
	assert_int_equal(keyd_play_open(&s->play, SLOTS), 0);
	connect_all(s);
	assert_int_equal(init(s, count), 0);
	assert_int_equal(keyd_play_customer(&s->officer, "default"), 0);
	assert_int_equal(keyd_play_derive(&s->relay, "default", KEYPROTO_FOR_SPOOL, 1, out), 1);
	s->keyref = out[0].keyref;
	memcpy(s->salt, out[0].salt, sizeof(s->salt));
	memcpy(s->key, out[0].key, sizeof(s->key));
	return s;
}

static void end(struct scene *s)
{
	leave_all(s);
	keyd_play_close(&s->play);
	for (unsigned i = 0; i < SHARES; i++) /* nothing that was ever said tells a secret */
		assert_false(s->shares[i][0] && said(s->shares[i] + 21));
	assert_false(said(PHRASE) || said(OTHER));
	log_capture(NULL, NULL);
	free(s);
}

static int call(struct keyd_play_client *c, unsigned op)
{
	keyd_play_begin(c);
	return keyd_play_call(c, op);
}

static int lock(struct scene *s)
{
	return call(&s->officer, KEYPROTO_LOCK);
}

static int add(struct scene *s, unsigned opener, const char *opens, unsigned method,
	       const char *secret)
{
	struct keyproto_slot_add m = {.opener = {(uint8_t)opener, span_str(opens)},
				      .slot = {(uint8_t)method, span_str(secret)}};
	int rc;

	if (method == KEYPROTO_SLOT_SHARES) {
		m.need = 3;
		m.of = SHARES;
	}
	assert_int_equal(keyproto_slot_add_put(keyd_play_begin(&s->officer), &m), 0);
	rc = keyd_play_call(&s->officer, KEYPROTO_SLOT_ADD);
	if (rc == 0)
		keep_made(s);
	return rc;
}

static int remove_slot(struct scene *s, uint32_t id)
{
	keyproto_slot_remove_put(keyd_play_begin(&s->officer), id);
	return keyd_play_call(&s->officer, KEYPROTO_SLOT_REMOVE);
}

static int test_slot(struct keyd_play_client *c, uint32_t id, const char *secret)
{
	struct keyproto_slot_test m = {id, span_str(secret)};

	keyproto_slot_test_put(keyd_play_begin(c), &m);
	return keyd_play_call(c, KEYPROTO_SLOT_TEST);
}

static int give(struct keyd_play_client *c, const char *share)
{
	return keyd_play_unseal(c, KEYPROTO_SLOT_SHARES, share);
}

static int status_has(struct keyd_play_client *c, const char *text)
{
	static char json[65536];

	assert_int_equal(call(c, KEYPROTO_STATUS), 0);
	snprintf(json, sizeof(json), "%.*s", (int)buf_size(&c->reply),
		 (const char *)buf_ptr(&c->reply));
	return strstr(json, text) != NULL;
}

/* The key of the object that was made at the start: only the same root gives it. */
static void assert_same_root(struct scene *s)
{
	struct keyproto_derive_existing m = {.count = 1};
	struct keyproto_derived out[KEYPROTO_BATCH_MAX];

	m.items[0] = (struct keyproto_object){SPAN_LIT("default"), KEYPROTO_FOR_SPOOL, s->keyref,
					      s->salt, SPAN_LIT("context")};
	keyproto_derive_existing_put(keyd_play_begin(&s->relay), &m);
	assert_int_equal(keyd_play_call(&s->relay, KEYPROTO_DERIVE_EXISTING), 0);
	assert_int_equal(keyproto_derived_get(buf_span(&s->relay.reply), out), 1);
	assert_int_equal(out[0].status, 0);
	assert_memory_equal(out[0].key, s->key, sizeof(s->key));
}

static void restart(struct scene *s)
{
	leave_all(s);
	keyd_play_stop(&s->play);
	assert_int_equal(keyd_play_restart(&s->play, SLOTS), 0);
	connect_all(s);
}

/* Three of the shares as an opener brings them. */
static const char *three(const struct scene *s, unsigned a, unsigned b, unsigned c)
{
	static char text[4 * KEYD_SHARE_TEXT];

	snprintf(text, sizeof(text), "%s\n%s\n%s\n", s->shares[a], s->shares[b], s->shares[c]);
	return text;
}

static void put_credential(const struct scene *s)
{
	char path[80];

	setenv("CREDENTIALS_DIRECTORY", s->play.dir, 1);
	snprintf(path, sizeof(path), "%s/root", s->play.dir);
	assert_int_equal(
	    sys_file_replace(path, SPAN_LIT("a credential of no less than 32 bytes."), 0400), 0);
}

static void each_method_opens_the_same_root_when_the_others_are_gone(void **state)
{
	struct scene *s = begin(2);
	unsigned rc;

	(void)state;
	put_credential(s);
	/* shares alone */
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), 0);
	assert_int_equal(s->id, 3);
	assert_int_equal(remove_slot(s, 1), 0);
	assert_int_equal(remove_slot(s, 2), 0);
	restart(s);
	assert_int_equal(s->play.keyd->state, KEYPROTO_LOCKED);
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_FILE, ""), ERR_NOTFOUND);
	assert_int_equal(give(&s->officer, s->shares[4]), ERR_MORE);
	assert_int_equal(give(&s->other, s->shares[0]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[2]), 0);
	assert_same_root(s);
	/* a passphrase alone */
	assert_int_equal(
	    add(s, KEYPROTO_SLOT_SHARES, three(s, 1, 2, 3), KEYPROTO_SLOT_PASSPHRASE, OTHER), 0);
	assert_int_equal(s->id, 4);
	assert_int_equal(remove_slot(s, 3), 0);
	assert_int_equal(lock(s), 0);
	assert_int_equal(give(&s->officer, s->shares[0]), ERR_NOTFOUND); /* of a set that is gone */
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_PASSPHRASE, PHRASE),
			 ERR_AUTH); /* of a slot that is gone */
	clock_advance(CLOCK_SEC);
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_PASSPHRASE, OTHER), 0);
	assert_same_root(s);
	/* a credential alone: opens by itself */
	assert_int_equal(add(s, KEYPROTO_SLOT_PASSPHRASE, OTHER, KEYPROTO_SLOT_CREDENTIAL, ""), 0);
	assert_int_equal(remove_slot(s, 4), 0);
	restart(s);
	assert_int_equal(s->play.keyd->state, KEYPROTO_READY);
	assert_same_root(s);
	/* a file alone, another one than the first */
	rc = (unsigned)add(s, KEYPROTO_SLOT_CREDENTIAL, "", KEYPROTO_SLOT_FILE, "");
	assert_int_equal(rc, 0);
	assert_int_equal(s->id, 6);
	assert_int_equal(remove_slot(s, 5), 0);
	restart(s);
	assert_int_equal(s->play.keyd->state, KEYPROTO_READY);
	assert_same_root(s);
	assert_true(said("event=slot-added slot=3 method=shares uid=1"));
	assert_true(said("event=slot-removed slot=3 method=shares uid=1"));
	unsetenv("CREDENTIALS_DIRECTORY");
	end(s);
}

static void shares_that_init_makes_are_told_once_and_open(void **state)
{
	struct scene *s = begin(3);

	(void)state;
	assert_int_equal(s->id, 3);
	assert_true(status_has(&s->other, "\"need\":3,\"of\":5"));
	assert_false(status_has(&s->officer, "sealpost-share"));
	assert_int_equal(lock(s), 0);
	assert_int_equal(give(&s->officer, s->shares[1]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[3]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[4]), 0);
	assert_same_root(s);
	assert_true(said("event=unseal-begun uid=1 slot=3 need=3"));
	assert_true(said("event=unseal-share uid=1 share=4 have=2 need=3"));
	assert_true(said("event=unseal-opened uid=1 slot=3"));
	end(s);
}

static void an_unseal_shows_how_far_it_is_and_who_began(void **state)
{
	struct scene *s = begin(3);
	char shown[128];

	(void)state;
	assert_int_equal(lock(s), 0);
	assert_true(status_has(&s->officer, "\"unseal\":null"));
	assert_int_equal(give(&s->other, s->shares[0]), ERR_MORE);
	clock_advance(5 * CLOCK_SEC);
	assert_int_equal(give(&s->officer, s->shares[1]), ERR_MORE);
	snprintf(shown, sizeof(shown), "\"have\":2,\"need\":3,\"uid\":%d,\"age_s\":5}",
		 OPERATOR_UID);
	assert_true(status_has(&s->officer, shown));
	/* opened otherwise: the shares are forgotten */
	assert_int_equal(keyd_play_unseal(&s->officer, KEYPROTO_SLOT_FILE, ""), 0);
	assert_true(status_has(&s->officer, "\"unseal\":null"));
	assert_int_equal(lock(s), 0);
	assert_int_equal(give(&s->officer, s->shares[2]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[3]), ERR_MORE);
	end(s);
}

static void a_share_that_is_no_help_does_not_count(void **state)
{
	struct scene *s = begin(3);
	char typo[KEYD_SHARE_TEXT], first[KEYD_SHARE_TEXT], foreign[KEYD_SHARE_TEXT];
	struct keyd_share share;

	(void)state;
	strcpy(first, s->shares[0]);
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), 0);
	assert_int_equal(keyd_share_parse(span_str(first), &share), 0);
	memset(share.set, 7, sizeof(share.set));
	keyd_share_format(&share, foreign);
	assert_int_equal(lock(s), 0);
	strcpy(typo, first);
	typo[40] = typo[40] == 'a' ? 'b' : 'a';
	assert_int_equal(give(&s->officer, typo), ERR_FORMAT);
	assert_int_equal(give(&s->officer, ""), ERR_FORMAT);
	assert_int_equal(give(&s->officer, foreign), ERR_NOTFOUND);
	assert_true(status_has(&s->officer, "\"unseal\":null"));
	assert_int_equal(give(&s->officer, first), ERR_MORE);
	assert_int_equal(give(&s->officer, first), ERR_EXISTS);
	assert_int_equal(give(&s->officer, s->shares[1]), ERR_BADSTATE); /* another slot's */
	assert_int_equal(give(&s->officer, foreign), ERR_NOTFOUND);
	assert_int_equal(give(&s->officer, typo), ERR_FORMAT);
	assert_true(status_has(&s->officer, "\"have\":1,\"need\":3"));
	end(s);
}

static void only_who_began_can_cancel(void **state)
{
	struct scene *s = begin(3);

	(void)state;
	assert_int_equal(call(&s->officer, KEYPROTO_UNSEAL_CANCEL), ERR_BADSTATE); /* it is open */
	assert_int_equal(lock(s), 0);
	assert_int_equal(call(&s->officer, KEYPROTO_UNSEAL_CANCEL), ERR_BADSTATE); /* nothing yet */
	assert_int_equal(give(&s->other, s->shares[0]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[1]), ERR_MORE);
	assert_int_equal(call(&s->officer, KEYPROTO_UNSEAL_CANCEL), ERR_DENIED);
	assert_true(said("event=unseal-cancel-refused uid=1 begun_by=1001"));
	assert_true(status_has(&s->officer, "\"have\":2"));
	assert_int_equal(call(&s->other, KEYPROTO_UNSEAL_CANCEL), 0);
	assert_true(said("event=unseal-cancelled uid=1001 have=2 need=3"));
	assert_true(status_has(&s->officer, "\"unseal\":null"));
	assert_int_equal(give(&s->officer, s->shares[2]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[3]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[4]), 0);
	end(s);
}

static void an_unseal_that_takes_ten_minutes_is_dropped(void **state)
{
	struct scene *s = begin(3);

	(void)state;
	assert_int_equal(lock(s), 0);
	assert_int_equal(give(&s->officer, s->shares[0]), ERR_MORE);
	clock_advance(300 * CLOCK_SEC);
	assert_int_equal(give(&s->officer, s->shares[1]), ERR_MORE);
	clock_advance(300 * CLOCK_SEC - 1);
	assert_true(status_has(&s->officer, "\"have\":2"));
	clock_advance(1);
	assert_true(status_has(&s->officer, "\"unseal\":null"));
	assert_int_equal(give(&s->officer, s->shares[2]), ERR_MORE); /* a new one, of its own */
	assert_true(said("event=unseal-expired uid=1 have=2 need=3"));
	assert_true(status_has(&s->officer, "\"have\":1"));
	end(s);
}

/* With a loop nobody has to ask: the shares do not stay in memory. */
static void a_timer_drops_what_nobody_asks_for(void **state)
{
	struct scene *s = begin(3);
	struct evt_loop *loop = evt_loop_new();
	struct keyd_unseal u = {.shares = NULL};
	const struct keyd_snapshot_head *head = keyd_store_head(s->play.keyd->store);

	(void)state;
	assert_non_null(loop);
	keyd_unseal_init(&u, loop);
	assert_int_equal(keyd_unseal_take(&u, head, span_str(s->shares[0]), 1, "k1", clock_mono()),
			 ERR_MORE);
	clock_advance(599 * CLOCK_SEC);
	evt_loop_turn(loop, 0);
	assert_non_null(u.shares);
	clock_advance(CLOCK_SEC);
	evt_loop_turn(loop, 0);
	assert_null(u.shares);
	assert_true(said("event=unseal-expired uid=1 have=1 need=3"));
	keyd_unseal_clear(&u);
	evt_loop_free(loop);
	end(s);
}

/* Its check value is right, so it can only be found out at the end. */
static void a_forged_share_costs_all_of_them_and_a_wait(void **state)
{
	struct scene *s = begin(3);
	char forged[KEYD_SHARE_TEXT];
	struct keyd_share share;

	(void)state;
	assert_int_equal(keyd_share_parse(span_str(s->shares[1]), &share), 0);
	share.point.y[7] ^= 1;
	assert_true(keyd_share_format(&share, forged) > 0);
	assert_int_equal(lock(s), 0);
	for (int64_t wait = CLOCK_SEC; wait <= 8 * CLOCK_SEC; wait *= 2) {
		assert_int_equal(give(&s->officer, s->shares[0]), ERR_MORE);
		assert_int_equal(give(&s->officer, forged), ERR_MORE);
		assert_int_equal(give(&s->officer, s->shares[2]), ERR_AUTH);
		assert_true(status_has(&s->officer, "\"unseal\":null"));
		clock_advance(wait - 1);
		assert_int_equal(give(&s->officer, s->shares[0]), ERR_BUSY);
		clock_advance(1);
	}
	assert_true(said("event=unseal-failed uid=1 method=shares failures=4"));
	assert_int_equal(give(&s->officer, s->shares[0]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[1]), ERR_MORE);
	assert_int_equal(give(&s->officer, s->shares[2]), 0);
	assert_same_root(s);
	end(s);
}

static void a_new_slot_needs_one_that_opens(void **state)
{
	struct scene *s = begin(2);
	char path[80];

	(void)state;
	assert_int_equal(add(s, KEYPROTO_SLOT_PASSPHRASE, OTHER, KEYPROTO_SLOT_PASSPHRASE, OTHER),
			 ERR_AUTH);
	assert_true(said("event=slot-add-failed method=passphrase uid=1 "
			 "error=\"authentication failed\""));
	assert_int_equal(add(s, KEYPROTO_SLOT_PASSPHRASE, PHRASE, KEYPROTO_SLOT_PASSPHRASE, OTHER),
			 ERR_BUSY);
	clock_advance(CLOCK_SEC);
	assert_int_equal(
	    add(s, KEYPROTO_SLOT_PASSPHRASE, PHRASE, KEYPROTO_SLOT_PASSPHRASE, "short"),
	    ERR_FORMAT);
	assert_int_equal(add(s, KEYPROTO_SLOT_CREDENTIAL, "", KEYPROTO_SLOT_PASSPHRASE, OTHER),
			 ERR_NOTFOUND); /* no slot is of that method */
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_CREDENTIAL, ""),
			 ERR_NOTFOUND); /* no credential is there */
	assert_true(said("event=slot-add-failed method=credential uid=1 error=\"not found\""));
	put_credential(s);
	snprintf(path, sizeof(path), "%s/root", s->play.dir);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_CREDENTIAL, ""),
			 ERR_IO); /* it is everybody's: the log says so, not a denial of the role */
	assert_true(said("event=slot-add-failed method=credential uid=1 error=\"not permitted\""));
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_TOKEN, "1234"),
			 ERR_NOTFOUND); /* keyd.yaml names none */
	assert_int_equal(add(s, KEYPROTO_SLOT_PASSPHRASE, PHRASE, KEYPROTO_SLOT_PASSPHRASE, OTHER),
			 0);
	assert_int_equal(s->id, 3);
	for (uint32_t id = 4; id <= 8; id++) {
		assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), 0);
		assert_int_equal(s->id, id);
	}
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), ERR_LIMIT);
	assert_int_equal(remove_slot(s, 8), 0);
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), 0);
	assert_int_equal(s->id, 9); /* an id is never given twice */
	end(s);
}

static void a_credential_under_a_plain_host_key_is_warned_of(void **state)
{
	struct scene *s = begin(2);

	(void)state;
	s->play.keyd->host_key_plain = 1;
	assert_false(status_has(&s->officer, "host key")); /* no credential hangs on it */
	put_credential(s);
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_CREDENTIAL, ""), 0);
	assert_true(
	    status_has(&s->officer, "the host key of systemd's credentials lies on a disk"));
	s->play.keyd->host_key_plain = 0;
	assert_false(status_has(&s->officer, "host key"));
	unsetenv("CREDENTIALS_DIRECTORY");
	end(s);
}

static void removing_leaves_a_warning_and_never_nothing(void **state)
{
	struct scene *s = begin(2);

	(void)state;
	assert_int_equal(remove_slot(s, 7), ERR_NOTFOUND);
	assert_false(status_has(&s->officer, "fewer than two"));
	assert_int_equal(remove_slot(s, 2), 0);
	assert_true(said("event=slot-removed slot=2 method=passphrase uid=1"));
	assert_true(said("event=slot-warning text=\"fewer than two slots of different kind"));
	assert_true(said("event=slot-warning text=\"no slot is offline"));
	assert_true(status_has(&s->officer, "fewer than two"));
	assert_true(status_has(&s->officer, "no slot is offline"));
	assert_int_equal(remove_slot(s, 1), ERR_BADSTATE); /* the last one */
	assert_int_equal(remove_slot(s, 2), ERR_NOTFOUND);
	restart(s);
	assert_int_equal(s->play.keyd->state, KEYPROTO_READY);
	assert_same_root(s);
	end(s);
}

static void a_slot_can_be_tested_without_a_change(void **state)
{
	struct scene *s = begin(3);

	(void)state;
	assert_int_equal(test_slot(&s->other, 1, ""), 0);
	assert_int_equal(test_slot(&s->other, 2, PHRASE), 0);
	assert_true(said("event=slot-tested slot=2 uid=1001 result=\"ok\""));
	assert_int_equal(test_slot(&s->other, 3, three(s, 0, 2, 4)), 0);
	assert_int_equal(test_slot(&s->other, 1, PHRASE), ERR_FORMAT); /* it takes none */
	assert_int_equal(test_slot(&s->other, 4, PHRASE), ERR_NOTFOUND);
	assert_int_equal(test_slot(&s->other, 2, ""), ERR_NOTFOUND);	   /* nobody gave one */
	assert_int_equal(test_slot(&s->other, 3, s->shares[0]), ERR_AUTH); /* too few */
	assert_true(said("event=slot-tested slot=3 uid=1001 result=\"authentication failed\""));
	assert_int_equal(test_slot(&s->other, 2, PHRASE), ERR_BUSY); /* who guesses waits */
	clock_advance(CLOCK_SEC);
	assert_int_equal(test_slot(&s->other, 2, OTHER), ERR_AUTH);
	clock_advance(2 * CLOCK_SEC);
	assert_int_equal(test_slot(&s->other, 3, three(s, 1, 1, 2)), ERR_AUTH);
	clock_advance(4 * CLOCK_SEC);
	assert_int_equal(test_slot(&s->other, 2, PHRASE), 0);
	assert_int_equal(s->play.keyd->state, KEYPROTO_READY);
	assert_int_equal(lock(s), 0);
	assert_int_equal(test_slot(&s->other, 2, PHRASE), ERR_LOCKED);
	end(s);
}

static int file_holds(const struct scene *s, const char *name, const uint8_t *bytes, size_t n)
{
	char path[80];
	struct buf b;
	int found;

	snprintf(path, sizeof(path), "%s/state/%s", s->play.dir, name);
	buf_init(&b, 1 << 24);
	assert_int_equal(sys_file_read(path, &b, 1), 0);
	found = memmem(buf_ptr(&b), buf_size(&b), bytes, n) != NULL;
	buf_clear(&b);
	return found;
}

static void a_removed_slot_is_in_no_file_and_in_no_free_block(void **state)
{
	static const uint8_t zeros[64];
	struct scene *s = begin(2);
	uint8_t wrapped[KEYD_WRAP_KEY], kept[KEYD_WRAP_KEY], was[64];
	char path[80], name[80];
	int fd;

	(void)state;
	memcpy(kept, keyd_store_head(s->play.keyd->store)->slots[0].wrapped, sizeof(kept));
	memcpy(wrapped, keyd_store_head(s->play.keyd->store)->slots[1].wrapped, sizeof(wrapped));
	assert_true(file_holds(s, "store.snap", wrapped, sizeof(wrapped)));
	snprintf(path, sizeof(path), "%s/state/store.snap", s->play.dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(remove_slot(s, 2), 0);
	assert_false(file_holds(s, "store.snap", wrapped, sizeof(wrapped)));
	assert_false(file_holds(s, "store.journal", wrapped, sizeof(wrapped)));
	assert_true(file_holds(s, "store.snap", kept, sizeof(kept)));
	assert_int_equal(pread(fd, was, sizeof(was), 0), sizeof(was));
	assert_memory_equal(was, zeros, sizeof(zeros));
	close(fd);
	snprintf(name, sizeof(name), "%s/state/store.snap.new", s->play.dir);
	assert_int_equal(access(name, F_OK), -1);
	/* what somebody has linked is his: a backup is not touched */
	snprintf(name, sizeof(name), "%s/backup", s->play.dir);
	assert_int_equal(link(path, name), 0);
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), 0);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, was, sizeof(was), 0), sizeof(was));
	assert_memory_equal(was, "sealpost-keys-v1", 16);
	close(fd);
	end(s);
}

static void a_change_that_cannot_be_written_leaves_the_slots_as_they_were(void **state)
{
	struct scene *s = begin(2);
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "%s/state/store.snap.new", s->play.dir);
	assert_int_equal(mkdir(path, 0700), 0); /* in the way of a snapshot */
	assert_true(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, "") < 0);
	assert_true(remove_slot(s, 2) < 0);
	assert_false(status_has(&s->officer, "\"shares\""));
	assert_true(status_has(&s->officer, "\"passphrase\""));
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), 0);
	assert_int_equal(s->id, 3);
	assert_int_equal(remove_slot(s, 2), 0);
	end(s);
}

/* The step at which the child dies, counted down. */
static int steps_left;

static void die(const char *point)
{
	(void)point;
	if (--steps_left == 0)
		_exit(9);
}

/* In a process of its own: removes slot id, or adds shares if id is 0, and dies at that step. Returns
 * 1 if it did not come so far: the change was answered. */
static int change_and_die(struct scene *s, uint32_t id, int step)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (keyd_play_restart(&s->play, SLOTS) < 0)
			_exit(1);
		connect_all(s);
		steps_left = step;
		keyd_fault_hook = die;
		_exit((id ? remove_slot(s, id)
			  : add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, "")) == 0
			  ? 0
			  : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 9 || WEXITSTATUS(status) == 0));
	return WEXITSTATUS(status) == 0;
}

static unsigned count_slots(const struct scene *s)
{
	return keyd_store_head(s->play.keyd->store)->slot_count;
}

static void killed_at_any_step_the_slots_are_the_old_or_the_new_ones(void **state)
{
	struct scene *s = begin(2);
	int seen[2][2] = {{0, 0}, {0, 0}}, step, answered;

	(void)state;
	for (int removing = 0; removing < 2; removing++) {
		for (step = 1, answered = 0; !answered; step++) {
			unsigned before;
			uint32_t id = 0;
			if (removing)
				assert_int_equal(
				    add(s, KEYPROTO_SLOT_ANY, "", KEYPROTO_SLOT_SHARES, ""), 0);
			else if (count_slots(s) > 2)
				assert_int_equal(remove_slot(s, s->id), 0);
			if (removing)
				id = s->id;
			before = count_slots(s);
			leave_all(s);
			keyd_play_stop(&s->play);
			answered = change_and_die(s, id, step);
			assert_int_equal(keyd_play_restart(&s->play, SLOTS), 0);
			connect_all(s);
			assert_int_equal(s->play.keyd->state, KEYPROTO_READY);
			assert_same_root(s);
			assert_true(!answered || count_slots(s) != before);
			seen[removing][count_slots(s) != before] = 1;
			s->id = keyd_store_head(s->play.keyd->store)->slots[count_slots(s) - 1].id;
			if (removing && count_slots(s) == before)
				assert_int_equal(remove_slot(s, id), 0);
		}
		assert_true(step > 5);
	}
	assert_true(seen[0][0] && seen[0][1] && seen[1][0] && seen[1][1]);
	end(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_method_opens_the_same_root_when_the_others_are_gone),
	    cmocka_unit_test(shares_that_init_makes_are_told_once_and_open),
	    cmocka_unit_test(an_unseal_shows_how_far_it_is_and_who_began),
	    cmocka_unit_test(a_share_that_is_no_help_does_not_count),
	    cmocka_unit_test(only_who_began_can_cancel),
	    cmocka_unit_test(an_unseal_that_takes_ten_minutes_is_dropped),
	    cmocka_unit_test(a_timer_drops_what_nobody_asks_for),
	    cmocka_unit_test(a_forged_share_costs_all_of_them_and_a_wait),
	    cmocka_unit_test(a_new_slot_needs_one_that_opens),
	    cmocka_unit_test(a_credential_under_a_plain_host_key_is_warned_of),
	    cmocka_unit_test(removing_leaves_a_warning_and_never_nothing),
	    cmocka_unit_test(a_slot_can_be_tested_without_a_change),
	    cmocka_unit_test(a_removed_slot_is_in_no_file_and_in_no_free_block),
	    cmocka_unit_test(killed_at_any_step_the_slots_are_the_old_or_the_new_ones),
	    cmocka_unit_test(a_change_that_cannot_be_written_leaves_the_slots_as_they_were),
	};

	if (keyd_crypto_init() < 0)
		return 1;
	clock_set(1000 * CLOCK_SEC, INT64_C(1795330000) * CLOCK_SEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
