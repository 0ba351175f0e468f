/* SPDX-License-Identifier: Apache-2.0 */
/* Packages, the list of the revoked, and what any thread may know, with a keyd that is played here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyproto/keyproto_checkpoint.h"
#include "keyproto/keyproto_client_ev.h"
#include "keyproto/keyproto_manifest.h"
#include "relay/campaign/campaign_audience.h"
#include "relay/campaign/campaign_known.h"
#include "relay/campaign/campaign_pack.h"
#include "relay/campaign/campaign_revoked.h"

/* --- keyd: seals by writing AAD and plaintext down, signs checkpoints in order */

static struct {
	int err;       /* of the next call */
	int lose;      /* it does what it is asked, and the answer is lost */
	uint64_t counter, rows;
	uint8_t hash[32];
	unsigned checkpoints, seals;
	unsigned fail_seal; /* the call to seal with this number fails; 0: none */
	int hold;	    /* calls wait until release */
} keyd;

static char dir[64];
static struct relay relay;

static void reply_fields(struct span body, int sealing, struct buf *out)
{
	static uint8_t room[1 << 20];
	struct keyproto_result results[KEYPROTO_BATCH_MAX];
	struct keyproto_fields m;
	size_t at = 0;

	assert_int_equal(keyproto_fields_get(body, &m), 0);
	for (unsigned i = 0; i < m.count; i++) {
		struct span aad = m.items[i].aad, data = m.items[i].data;
		results[i].status = 0;
		if (sealing) {
			results[i].data = span_of(room + at, aad.n + data.n);
			memcpy(room + at, aad.p, aad.n);
			memcpy(room + at + aad.n, data.p, data.n);
			at += aad.n + data.n;
		} else if (data.n < aad.n || memcmp(data.p, aad.p, aad.n) != 0) {
			results[i].status = KEYPROTO_E_AUTH;
			results[i].data = span_of(NULL, 0);
		} else {
			results[i].data = span_sub(data, aad.n, data.n);
		}
	}
	keyd.seals += sealing;
	keyproto_results_put(out, results, m.count);
}

static const uint8_t list_key[CAMP_AUDIENCE_KEY] = "key of audiences";

static struct {
	keyproto_client_ev_reply_fn fn;
	void *arg;
} held;

/* keyd answers what waits. */
static void release(int err)
{
	struct buf out;

	buf_init(&out, 1 << 10);
	keyproto_bytes_put(&out, span_of(list_key, sizeof(list_key)));
	keyd.hold = 0;
	held.fn(held.arg, err, err < 0 ? span_of(NULL, 0) : buf_span(&out));
	buf_clear(&out);
}

static int reply_checkpoint(struct span body, struct buf *out)
{
	static const uint8_t signature[KEYPROTO_CHECKPOINT_SIG];
	const struct keyproto_checkpoint_signed s = {1, signature};
	struct keyproto_checkpoint m;

	assert_int_equal(keyproto_checkpoint_get(body, &m), 0);
	if (m.counter != keyd.counter + 1)
		return ERR_BADSTATE;
	assert_true(m.rows >= keyd.rows);
	keyd.counter = m.counter;
	keyd.rows = m.rows;
	memcpy(keyd.hash, m.hash, 32);
	keyd.checkpoints++;
	return keyproto_checkpoint_signed_put(out, &s);
}

static int reply_last(struct buf *out)
{
	static const uint8_t bytes[KEYPROTO_CHECKPOINT_SIG];
	const struct keyproto_checkpoint_last l = {keyd.counter, keyd.rows, keyd.hash, 1, bytes, bytes};

	return keyd.counter ? keyproto_checkpoint_last_put(out, &l) : ERR_NOTFOUND;
}

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct buf body, out;
	int err = keyd.err;

	(void)c;
	(void)timeout;
	if (err < 0)
		return err;
	if (keyd.hold) {
		held.fn = fn;
		held.arg = arg;
		return 0;
	}
	if (op == KEYPROTO_SEAL_FIELDS && keyd.fail_seal && keyd.seals + 1 == keyd.fail_seal)
		return ERR_AWAY;
	buf_init(&body, 1 << 20);
	buf_init(&out, 1 << 20);
	assert_int_equal(fill(&body, message), 0);
	if (op == KEYPROTO_SEAL_FIELDS || op == KEYPROTO_OPEN_FIELDS)
		reply_fields(buf_span(&body), op == KEYPROTO_SEAL_FIELDS, &out);
	else if (op == KEYPROTO_AUDIENCE_KEY)
		keyproto_bytes_put(&out, span_of(list_key, sizeof(list_key)));
	else
		err = op == KEYPROTO_CHECKPOINT ? reply_checkpoint(buf_span(&body), &out) : reply_last(&out);
	if (keyd.lose)
		err = ERR_AWAY;
	fn(arg, err, err < 0 ? span_of(NULL, 0) : buf_span(&out));
	buf_clear(&body);
	buf_clear(&out);
	return 0;
}

unsigned keyproto_client_ev_state(const struct keyproto_client_ev *c)
{
	(void)c;
	return KEYPROTO_READY;
}

static void open_store(void)
{
	char text[STORE_ERR_MAX];
	int err;

	relay.store = store_open(dir, &err, text);
	assert_non_null(relay.store);
}

static int set_up(void **state)
{
	(void)state;
	memset(&keyd, 0, sizeof(keyd));
	snprintf(dir, sizeof(dir), "/tmp/test_campaign.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	open_store();
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm"};
	char path[128];

	(void)state;
	store_close(relay.store);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static void note(void *arg, int err)
{
	*(int *)arg = err;
}

/* --- packages */

static void fill(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)(i * 7 + i / 251);
		buf_put(b, &c, 1);
	}
}

static int64_t stored(size_t size, unsigned *pieces, struct buf *what)
{
	struct campaign_pack *p = campaign_pack_new(&relay, "shop", 7);
	int err = 1;

	fill(what, size);
	assert_int_equal(campaign_pack_put(p, SPAN_LIT("[]"), buf_span(what)), 0);
	assert_int_equal(campaign_pack_seal(p, note, &err), 0);
	assert_int_equal(err, 0);
	assert_int_equal(campaign_pack_store(p), 0);
	*pieces = campaign_pack_pieces(p);
	size = buf_size(campaign_pack_plain(p));
	campaign_pack_free(p);
	return (int64_t)size;
}

static void a_package_of_any_size_comes_back_as_it_was(void **state)
{
	static const size_t sizes[] = {1, STORE_CAMPAIGN_PIECE - 6, STORE_CAMPAIGN_PIECE - 5, 7 * STORE_CAMPAIGN_PIECE + 11};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct campaign_pack *p;
		struct span findings, bundle;
		struct buf what;
		unsigned pieces;
		int64_t size;
		int err = 1;
		buf_init(&what, 1 << 20);
		size = stored(sizes[i], &pieces, &what);
		p = campaign_pack_new(&relay, "shop", 7);
		assert_int_equal(campaign_pack_open(p, pieces, size, note, &err), 0);
		assert_int_equal(err, 0);
		assert_int_equal(campaign_pack_get(p, &findings, &bundle), 0);
		assert_true(span_equal(findings, SPAN_LIT("[]")));
		assert_true(span_equal(bundle, buf_span(&what)));
		campaign_pack_free(p);
		buf_clear(&what);
		tear_down(state);
		set_up(state);
	}
}

static void a_piece_in_anothers_place_does_not_open(void **state)
{
	struct campaign_pack *p = campaign_pack_new(&relay, "shop", 7);
	struct buf what;
	unsigned pieces;
	int64_t size;
	int err = 0;

	(void)state;
	buf_init(&what, 1 << 20);
	size = stored(3 * STORE_CAMPAIGN_PIECE, &pieces, &what);
	store_run(relay.store, STORE_SQL("UPDATE campaign_piece SET bytes=(SELECT bytes FROM campaign_piece WHERE id=?)"
					 " WHERE id=?"),
		  STORE_ARGS(store_int(store_campaign_piece_id(7, 0)), store_int(store_campaign_piece_id(7, 1))));
	assert_int_equal(campaign_pack_open(p, pieces, size, note, &err), 0);
	assert_int_equal(err, ERR_DAMAGED);
	store_run(relay.store, STORE_SQL("DELETE FROM campaign_piece WHERE id=?"),
		  STORE_ARGS(store_int(store_campaign_piece_id(7, 1))));
	assert_int_equal(campaign_pack_open(p, pieces, size, note, &err), ERR_DAMAGED);
	campaign_pack_free(p);
	buf_clear(&what);
}

static void without_keyd_a_package_is_neither_sealed_nor_opened(void **state)
{
	struct campaign_pack *p = campaign_pack_new(&relay, "shop", 7);
	int err = 0;

	(void)state;
	campaign_pack_put(p, SPAN_LIT("[]"), SPAN_LIT("bundle"));
	keyd.err = ERR_AWAY;
	assert_int_equal(campaign_pack_seal(p, note, &err), 0);
	assert_int_equal(err, ERR_AWAY);
	campaign_pack_free(p);
}

/* --- lists of recipients */

struct said {
	int err;
	char id[40];
	int64_t lines, addresses, wrong;
};

static void take_answer(void *arg, int err, const char *why, json_t *body)
{
	struct said *s = arg;

	(void)why;
	s->err = err;
	if (err == 0) {
		snprintf(s->id, sizeof(s->id), "%s", json_string_value(json_object_get(body, "audience")));
		s->lines = json_integer_value(json_object_get(body, "lines"));
		s->addresses = json_integer_value(json_object_get(body, "addresses"));
		s->wrong = json_integer_value(json_object_get(body, "wrong"));
	}
	json_decref(body);
}

static struct said put(struct campaign_audiences *t, const char *customer, const char *id, const char *text)
{
	struct said s = {.err = 1};

	campaign_audience_put(t, customer, id, span_str(text), take_answer, &s);
	return s;
}

/* Waits for the thread that sorts it. */
static int closed(struct campaign_audience *a)
{
	struct relay_msg *m;
	int err = 1;

	assert_int_equal(campaign_audience_close(a, note, &err), 0);
	m = (struct relay_msg *)evt_inbox_wait(relay.inbox, -1);
	m->run(m, &relay);
	return err;
}

static struct campaign_audiences *table_of(void)
{
	relay.inbox = evt_inbox_new(NULL, NULL, NULL);
	assert_non_null(relay.inbox);
	return campaign_audience_new(&relay);
}

static void table_gone(struct campaign_audiences *t)
{
	campaign_audience_free(t);
	evt_inbox_free(relay.inbox);
	relay.inbox = NULL;
}

static void a_list_comes_in_pieces_and_is_taken_once(void **state)
{
	struct campaign_audiences *t = table_of();
	struct campaign_audience *a;
	struct said s = put(t, "shop", "", "anna@example.test\n# nobody\n");
	char id[40];
	json_t *findings;

	(void)state;
	assert_int_equal(s.err, 0);
	assert_int_equal(strlen(s.id), CAMPAIGN_AUDIENCE_ID);
	strcpy(id, s.id);
	s = put(t, "shop", id, "bert@example.test\nno address\nANNA@example.test");
	assert_int_equal(s.err, 0);
	assert_string_equal(s.id, id);
	assert_int_equal(s.lines, 5);
	assert_int_equal(s.addresses, 3);
	assert_int_equal(s.wrong, 1);
	assert_int_equal(put(t, "bank", id, "x@example.test\n").err, ERR_NOTFOUND);
	assert_int_equal(campaign_audience_take(t, "bank", id, &a), ERR_NOTFOUND);
	assert_int_equal(campaign_audience_take(t, "shop", id, &a), 0);
	assert_int_equal(put(t, "shop", id, "x@example.test\n").err, ERR_NOTFOUND);
	assert_int_equal(closed(a), 0);
	assert_int_equal(camp_audience_count(campaign_audience_list(a)), 2);
	assert_int_equal(campaign_audience_list(a)->doubles, 1);
	findings = campaign_audience_findings(a);
	assert_int_equal(json_array_size(findings), 1);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(findings, 0), "line")), 4);
	json_decref(findings);
	campaign_audience_drop(a);
	table_gone(t);
}

static void lists_that_nothing_comes_for_are_forgotten_but_not_while_one_waits_for_keyd(void **state)
{
	struct campaign_audiences *t = table_of();
	struct campaign_audience *a;
	struct said s = {.err = 1}, old;

	(void)state;
	clock_set(0, clock_wall());
	for (int i = 0; i < CAMPAIGN_AUDIENCE_LISTS; i++)
		old = put(t, "shop", "", "anna@example.test\n");
	assert_int_equal(old.err, 0);
	assert_int_equal(put(t, "shop", "", "anna@example.test\n").err, ERR_BUSY);
	keyd.hold = 1;
	campaign_audience_put(t, "shop", old.id, SPAN_LIT("bert@example.test\n"), take_answer, &s);
	assert_int_equal(campaign_audience_take(t, "shop", old.id, &a), ERR_BUSY);
	clock_advance(CAMPAIGN_AUDIENCE_WAIT + CLOCK_SEC);
	campaign_audience_expire(t);
	release(0);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.addresses, 2);
	assert_int_equal(put(t, "shop", "", "anna@example.test\n").err, 0);
	clock_advance(CAMPAIGN_AUDIENCE_WAIT + CLOCK_SEC);
	campaign_audience_expire(t);
	assert_int_equal(campaign_audience_take(t, "shop", old.id, &a), ERR_NOTFOUND);
	clock_restore();
	table_gone(t);
}

static void without_keyd_there_is_no_list(void **state)
{
	struct campaign_audiences *t = table_of();
	struct said s = put(t, "shop", "", "anna@example.test\n"), other = {.err = 1};

	(void)state;
	keyd.err = ERR_LOCKED;
	assert_int_equal(put(t, "shop", "", "anna@example.test\n").err, ERR_LOCKED);
	assert_int_equal(put(t, "shop", s.id, "anna@example.test\n").err, ERR_LOCKED);
	keyd.err = 0;
	assert_int_equal(put(t, "shop", s.id, "anna@example.test\n").err, ERR_NOTFOUND); /* what lacks a piece is gone */
	keyd.hold = 1;
	campaign_audience_put(t, "shop", "", SPAN_LIT("anna@example.test\n"), take_answer, &other);
	release(ERR_AWAY);
	assert_int_equal(other.err, ERR_AWAY);
	table_gone(t);
}

static void a_list_of_nobody_is_a_finding(void **state)
{
	struct campaign_audiences *t = table_of();
	struct campaign_audience *a;
	struct said s = put(t, "shop", "", "# nobody\n");
	json_t *findings;

	(void)state;
	assert_int_equal(campaign_audience_take(t, "shop", s.id, &a), 0);
	assert_int_equal(closed(a), 0);
	findings = campaign_audience_findings(a);
	assert_string_equal(json_string_value(json_object_get(json_array_get(findings, 0), "rule")), "audience-empty");
	json_decref(findings);
	campaign_audience_drop(a);
	table_gone(t);
}

static void relay_stops_while_a_list_is_sorted(void **state)
{
	struct campaign_audiences *t = table_of();
	struct campaign_audience *a;
	struct said s = put(t, "shop", "", "anna@example.test\n");
	int err = 1;

	(void)state;
	assert_int_equal(campaign_audience_take(t, "shop", s.id, &a), 0);
	assert_int_equal(campaign_audience_close(a, note, &err), 0);
	evt_inbox_wait(relay.inbox, -1); /* nobody runs it any more */
	table_gone(t);
	assert_int_equal(err, ERR_CLOSED);
	campaign_audience_drop(a);
}

struct octets {
	int err;
	struct buf all;
};

static void take_octets(void *arg, int err, struct span octets)
{
	struct octets *o = arg;

	o->err = err;
	buf_put_span(&o->all, octets);
}

#define LISTED (CAMPAIGN_AUDIENCE_SLICE * 1000 + 1500) /* a thousand hashes are a piece */

static struct campaign_audience *large(struct campaign_audiences *t)
{
	struct campaign_audience *a;
	char id[40] = "";
	struct buf text;

	buf_init(&text, 1 << 22);
	for (int i = 0; i < LISTED; i++)
		buf_putf(&text, "u%d@x.test\n", i);
	buf_put(&text, "", 1);
	strcpy(id, put(t, "shop", id, (const char *)buf_ptr(&text)).id);
	buf_clear(&text);
	assert_int_equal(campaign_audience_take(t, "shop", id, &a), 0);
	assert_int_equal(closed(a), 0);
	assert_int_equal(camp_audience_count(campaign_audience_list(a)), LISTED);
	return a;
}

static void a_list_lies_sealed_in_slices_and_comes_back_as_it_was(void **state)
{
	struct campaign_audiences *t = table_of();
	struct campaign_audience *a = large(t);
	struct octets o = {.err = 1};
	const int64_t second = (int64_t)CAMPAIGN_AUDIENCE_SLICE * STORE_CAMPAIGN_PIECE;
	int err = 1;

	(void)state;
	buf_init(&o.all, 1 << 21);
	campaign_audience_store(a, 7, note, &err);
	assert_int_equal(err, 0);
	campaign_audience_read(&relay, "shop", 7, 0, take_octets, &o);
	assert_int_equal(o.err, 0);
	assert_int_equal(buf_size(&o.all), second);
	campaign_audience_read(&relay, "shop", 7, second, take_octets, &o);
	assert_int_equal(o.err, 0);
	assert_true(span_equal(buf_span(&o.all), buf_span(&campaign_audience_list(a)->hashes)));
	campaign_audience_read(&relay, "shop", 7, 2 * second, take_octets, &o);
	assert_int_equal(o.err, ERR_NOTFOUND);
	campaign_audience_read(&relay, "shop", 7, 1, take_octets, &o);
	assert_int_equal(o.err, ERR_NOTFOUND);
	campaign_audience_read(&relay, "shop", 8, 0, take_octets, &o);
	assert_int_equal(o.err, ERR_NOTFOUND);
	store_run(relay.store, STORE_SQL("UPDATE campaign_piece SET bytes=(SELECT bytes FROM campaign_piece WHERE id=?)"
					 " WHERE id=?"),
		  STORE_ARGS(store_int(store_campaign_piece_id(7, STORE_CAMPAIGN_LIST)),
			     store_int(store_campaign_piece_id(7, STORE_CAMPAIGN_LIST + 1))));
	campaign_audience_read(&relay, "shop", 7, 0, take_octets, &o);
	assert_int_equal(o.err, ERR_DAMAGED);
	buf_clear(&o.all);
	campaign_audience_drop(a);
	table_gone(t);
}

static void a_list_that_keyd_seals_no_further_is_told(void **state)
{
	struct campaign_audiences *t = table_of();
	struct campaign_audience *a = large(t);

	(void)state;
	for (unsigned at = 1; at < 18; at += 8) {
		int err = 1;
		keyd.seals = 0;
		keyd.fail_seal = at;
		campaign_audience_store(a, (int64_t)at, note, &err);
		assert_int_equal(err, ERR_AWAY);
	}
	campaign_audience_drop(a);
	table_gone(t);
}

/* --- the revoked */

static int changes;

static void on_change(void *arg)
{
	(void)arg;
	changes++;
}

static struct campaign_revoked *list_of(void)
{
	struct campaign_revoked *v = campaign_revoked_new(&relay, on_change, NULL);

	campaign_revoked_look(v);
	return v;
}

static void has_text(struct campaign_revoked *v, uint64_t want, const char *lines)
{
	char text[512];
	uint64_t counter;
	struct span got;

	snprintf(text, sizeof(text), KEYPROTO_REVOKED_HEAD "%s", lines);
	assert_int_equal(campaign_revoked_text(v, &counter, &got), 0);
	assert_int_equal(counter, want);
	assert_true(span_equal(got, span_str(text)));
}

static void revoke_one(struct campaign_revoked *v, const char *campaign, int64_t version, int want)
{
	int err = 1;

	assert_int_equal(campaign_revoked_add(v, "shop", campaign, version), 0);
	campaign_revoked_sign(v, note, &err);
	assert_int_equal(err, want);
}

static void nothing_is_told_before_keyd_was_asked(void **state)
{
	struct campaign_revoked *v = campaign_revoked_new(&relay, on_change, NULL);
	uint64_t counter;
	struct span text;

	(void)state;
	assert_int_equal(campaign_revoked_text(v, &counter, &text), ERR_AWAY);
	campaign_revoked_look(v);
	has_text(v, 0, "");
	campaign_revoked_free(v);
}

static void each_revocation_is_the_next_checkpoint(void **state)
{
	struct campaign_revoked *v = list_of();

	(void)state;
	revoke_one(v, "autumn", 2, 0);
	has_text(v, 1, "shop autumn 2\n");
	revoke_one(v, "autumn", 1, 0);
	has_text(v, 2, "shop autumn 1\nshop autumn 2\n");
	revoke_one(v, "autumn", 1, 0); /* again: there is nothing to sign */
	assert_int_equal(keyd.checkpoints, 2);
	assert_int_equal(campaign_revoked_whole(v, "shop", "autumn"), 0);
	revoke_one(v, "autumn", STORE_CAMPAIGN_REVOKED_ALL, 0);
	has_text(v, 3, "shop autumn *\nshop autumn 1\nshop autumn 2\n");
	assert_int_equal(campaign_revoked_whole(v, "shop", "autumn"), 1);
	assert_int_equal(campaign_revoked_whole(v, "bank", "autumn"), 0);
	campaign_revoked_free(v);
}

static void what_keyd_could_not_sign_is_signed_later(void **state)
{
	struct campaign_revoked *v = list_of();

	(void)state;
	revoke_one(v, "autumn", 1, 0);
	keyd.err = ERR_LOCKED;
	revoke_one(v, "autumn", 2, ERR_LOCKED);
	keyd.err = 0;
	campaign_revoked_look(v);
	has_text(v, 2, "shop autumn 1\nshop autumn 2\n");
	campaign_revoked_free(v);
}

static void an_answer_that_was_lost_signs_nothing_twice(void **state)
{
	struct campaign_revoked *v = list_of();

	(void)state;
	keyd.lose = 1;
	revoke_one(v, "autumn", 1, ERR_AWAY);
	keyd.lose = 0;
	assert_int_equal(keyd.counter, 1);
	campaign_revoked_free(v);
	store_close(relay.store);
	open_store();
	v = list_of(); /* after a crash */
	has_text(v, 1, "shop autumn 1\n");
	assert_int_equal(keyd.checkpoints, 1);
	campaign_revoked_free(v);
}

static void a_line_written_before_a_crash_is_signed_after_it(void **state)
{
	struct campaign_revoked *v = list_of();

	(void)state;
	revoke_one(v, "autumn", 1, 0);
	assert_int_equal(campaign_revoked_add(v, "shop", "autumn", 2), 0);
	campaign_revoked_free(v);
	v = list_of();
	has_text(v, 2, "shop autumn 1\nshop autumn 2\n");
	campaign_revoked_free(v);
}

static void a_line_that_somebody_took_out_stops_everything(void **state)
{
	struct campaign_revoked *v = list_of();
	uint64_t counter;
	struct span text;

	(void)state;
	revoke_one(v, "autumn", 1, 0);
	revoke_one(v, "autumn", 2, 0);
	campaign_revoked_free(v);
	store_run(relay.store, STORE_SQL("DELETE FROM campaign_revoked WHERE version=1"), NULL, 0);
	v = list_of();
	assert_int_equal(campaign_revoked_text(v, &counter, &text), ERR_DAMAGED);
	revoke_one(v, "autumn", 3, ERR_DAMAGED); /* nor does a new one make it good */
	assert_int_equal(keyd.counter, 2);
	campaign_revoked_look(v);
	assert_int_equal(campaign_revoked_text(v, &counter, &text), ERR_DAMAGED);
	campaign_revoked_free(v);
}

static void an_older_database_is_noticed(void **state)
{
	struct campaign_revoked *v = list_of();
	uint64_t counter;
	struct span text;

	(void)state;
	revoke_one(v, "autumn", 1, 0);
	campaign_revoked_free(v);
	store_run(relay.store, STORE_SQL("DELETE FROM campaign_revoked"), NULL, 0);
	v = list_of();
	assert_int_equal(campaign_revoked_text(v, &counter, &text), ERR_DAMAGED);
	campaign_revoked_free(v);
}

/* --- what any thread may know */

static void note_host(void *arg, const char *host)
{
	strcat(strcat(arg, host), " ");
}

static void a_link_is_found_by_number_and_index(void **state)
{
	static const char *const urls[] = {"https://shop.example/a", NULL, "https://shop.example/c?x={code}"},
				 *const hosts[] = {"shop.example", "cdn.example", NULL};
	struct campaign_about about = {.customer = "shop", .campaign = "autumn", .version = 3, .state = CAMPAIGN_ACTIVE,
				       .links = 3},
			      got;
	struct campaign_known *k = campaign_known_new();
	char url[CAMPAIGN_URL_MAX + 1], all[64] = "";

	(void)state;
	assert_int_equal(campaign_known_get(k, 9, 0, url, &got), ERR_AWAY);
	campaign_known_all(k, 1);
	assert_int_equal(campaign_known_get(k, 9, 0, url, &got), ERR_NOTFOUND);
	for (uint32_t n = 20; n > 0; n--)
		assert_int_equal(campaign_known_put(k, n, &about, urls, hosts), 0);
	assert_int_equal(campaign_known_get(k, 9, 2, url, &got), 0);
	assert_string_equal(url, "https://shop.example/c?x={code}");
	assert_string_equal(got.campaign, "autumn");
	assert_int_equal(campaign_known_hosts(k, 9, note_host, all), 0);
	assert_string_equal(all, "shop.example cdn.example ");
	assert_int_equal(campaign_known_hosts(k, 99, note_host, all), ERR_NOTFOUND);
	assert_int_equal(campaign_known_get(k, 9, 1, url, NULL), 0);
	assert_string_equal(url, "");
	assert_int_equal(campaign_known_get(k, 9, 3, url, NULL), ERR_NOTFOUND);
	campaign_known_state(k, 9, CAMPAIGN_REVOKED);
	assert_int_equal(campaign_known_get(k, 9, 0, NULL, &got), 0);
	assert_int_equal(got.state, CAMPAIGN_REVOKED);
	campaign_known_drop(k, 9);
	assert_int_equal(campaign_known_get(k, 9, 0, url, &got), ERR_NOTFOUND);
	assert_int_equal(campaign_known_get(k, 10, 0, url, &got), 0);
	campaign_known_free(k);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_package_of_any_size_comes_back_as_it_was),
	    TEST(a_piece_in_anothers_place_does_not_open),
	    TEST(without_keyd_a_package_is_neither_sealed_nor_opened),
	    TEST(a_list_comes_in_pieces_and_is_taken_once),
	    TEST(lists_that_nothing_comes_for_are_forgotten_but_not_while_one_waits_for_keyd),
	    TEST(without_keyd_there_is_no_list),
	    TEST(a_list_of_nobody_is_a_finding),
	    TEST(relay_stops_while_a_list_is_sorted),
	    TEST(a_list_lies_sealed_in_slices_and_comes_back_as_it_was),
	    TEST(a_list_that_keyd_seals_no_further_is_told),
	    TEST(nothing_is_told_before_keyd_was_asked),
	    TEST(each_revocation_is_the_next_checkpoint),
	    TEST(what_keyd_could_not_sign_is_signed_later),
	    TEST(an_answer_that_was_lost_signs_nothing_twice),
	    TEST(a_line_written_before_a_crash_is_signed_after_it),
	    TEST(a_line_that_somebody_took_out_stops_everything),
	    TEST(an_older_database_is_noticed),
	    TEST(a_link_is_found_by_number_and_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
