/* SPDX-License-Identifier: Apache-2.0 */
/* Tracking tokens: our vectors, which another implementation wrote; and that no token opens which was
 * changed in any bit, or is of another place, or older than it may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/err.h"
#include "core/num.h"
#include "seal/seal_track.h"
#include "test/unit/vectors.h"

#define TODAY 20400

static const uint8_t key[SEAL_TRACK_KEY] = "thirty-two bytes for AES-128-SIV";
static const uint8_t other_key[SEAL_TRACK_KEY] = "thirty-two bytes of another key!";

static struct seal_track_place place(const char *host, const char *customer)
{
	return (struct seal_track_place){span_str(host), span_str(customer)};
}

static struct seal_track example(enum seal_track_kind kind)
{
	return (struct seal_track){.kind = kind,
				   .message = 0x1122334455667788,
				   .number = 99,
				   .link = 4,
				   .last = TODAY + 400};
}

static struct seal_track_raw made(const struct seal_track *t)
{
	struct seal_track_place p = place("t.shop.example", "shop");
	struct seal_track_raw raw;

	assert_int_equal(seal_track_make(key, &p, t, TODAY, &raw), 0);
	return raw;
}

static int opened(const struct seal_track_raw *raw, uint32_t today)
{
	struct seal_track_place p = place("t.shop.example", "shop");
	struct seal_track t;

	return seal_track_open(key, &p, raw, today, &t);
}

static void assert_same(const struct seal_track *a, const struct seal_track *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->message, b->message);
	assert_int_equal(a->number, b->number);
	assert_int_equal(a->link, b->link);
	assert_int_equal(a->last, b->last);
	assert_int_equal(a->n, b->n);
	assert_memory_equal(a->field, b->field, a->n);
}

static void check_vector(struct vectors *v)
{
	struct seal_track_place p = {vectors_get(v, "host"), vectors_get(v, "customer")};
	uint32_t today = num_get_u32(vectors_get(v, "today").p), epoch;
	struct span want = vectors_get(v, "token"), k = vectors_get(v, "key");
	char url[SEAL_TRACK_URL_SIZE], mail[SEAL_TRACK_MAIL_SIZE];
	struct seal_track_raw raw, back;
	struct seal_track t = {.kind = vectors_get(v, "kind").p[0],
			       .message = num_get_u64(vectors_get(v, "message").p),
			       .number = num_get_u32(vectors_get(v, "number").p),
			       .link = num_get_u16(vectors_get(v, "link").p),
			       .last = num_get_u16(vectors_get(v, "last").p)},
			  got;
	enum seal_track_kind kind;

	if (vectors_has(v, "field")) {
		t.n = (uint8_t)vectors_get(v, "field").n;
		memcpy(t.field, vectors_get(v, "field").p, t.n);
	}
	assert_int_equal(seal_track_make(k.p, &p, &t, today, &raw), 0);
	assert_int_equal(raw.n, want.n);
	assert_memory_equal(raw.p, want.p, want.n);
	assert_int_equal(seal_track_url_put(url, &raw), vectors_get(v, "url").n);
	assert_memory_equal(url, vectors_get(v, "url").p, vectors_get(v, "url").n);
	assert_int_equal(seal_track_url_get(span_str(url), &back), 0);
	assert_int_equal(seal_track_peek(&back, today, &kind, &epoch), 0);
	assert_int_equal(kind, t.kind);
	assert_int_equal(epoch, num_get_u32(vectors_get(v, "epoch").p));
	assert_int_equal(seal_track_open(k.p, &p, &back, t.last, &got), 0);
	assert_same(&got, &t);
	if (vectors_has(v, "mail")) {
		assert_int_equal(seal_track_mail_put(mail, &raw), SEAL_TRACK_MAIL);
		assert_memory_equal(mail, vectors_get(v, "mail").p, SEAL_TRACK_MAIL);
		assert_int_equal(seal_track_mail_get(vectors_get(v, "mail"), &back), 0);
		assert_memory_equal(back.p, want.p, want.n);
	} else {
		assert_int_equal(seal_track_mail_put(mail, &raw), 0);
	}
}

static void tokens_are_those_of_another_implementation(void **state)
{
	unsigned count = 0;
	struct vectors v;

	(void)state;
	vectors_open(&v, "seal/track.txt");
	for (; vectors_next(&v); count++)
		check_vector(&v);
	assert_int_equal(count, 8);
}

static void no_token_opens_with_a_bit_changed(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		struct seal_track t = example((enum seal_track_kind)kind);
		struct seal_track_raw raw;
		if (kind == 0)
			assert_int_equal(seal_track_field_put(&t, SPAN_LIT("SAVE20")), 0);
		raw = made(&t);
		for (size_t bit = 0; bit < 8 * raw.n; bit++) {
			struct seal_track_raw bad = raw;
			int rc;
			bad.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			rc = opened(&bad, TODAY);
			/* The version, and the kind that there is not, show before any key. */
			if (bit < 8 && (bit >= 5 || (bad.p[0] >> 3 & 3) == 3))
				assert_int_equal(rc, ERR_FORMAT);
			else
				assert_int_equal(rc, ERR_AUTH);
		}
	}
}

static void no_text_opens_with_a_character_changed(void **state)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct seal_track t = example(SEAL_TRACK_CLICK);
	struct seal_track_raw raw = made(&t), back;
	char url[SEAL_TRACK_URL_SIZE];

	(void)state;
	assert_int_equal(seal_track_url_put(url, &raw), SEAL_TRACK_URL);
	for (size_t i = 0; i < SEAL_TRACK_URL; i++) {
		char was = url[i];
		for (const char *d = digits; *d; d++) {
			url[i] = *d;
			if (*d != was && seal_track_url_get(span_str(url), &back) == 0)
				assert_int_not_equal(opened(&back, TODAY), 0);
		}
		for (const char *d = "=+/ %\r\n"; *d; d++) {
			url[i] = *d;
			assert_int_equal(seal_track_url_get(span_str(url), &back), ERR_FORMAT);
		}
		url[i] = was;
	}
}

static void a_token_is_good_at_its_host_and_of_its_customer_and_key_alone(void **state)
{
	static const char *const places[][2] = {{"t.shop.example", "shop"},
						{"t.shop.examplf", "shop"},
						{"t.shop.example", "shoq"},
						{"t.shop.examples", "hop"}, /* parts do not run together */
						{"shop", "t.shop.example"},
						{"T.shop.example", "shop"}};
	struct seal_track t = example(SEAL_TRACK_UNSUBSCRIBE), got;
	struct seal_track_raw raw = made(&t);

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct seal_track_place p = place(places[i][0], places[i][1]);
		assert_int_equal(seal_track_open(key, &p, &raw, TODAY, &got), i ? ERR_AUTH : 0);
		assert_int_equal(seal_track_open(other_key, &p, &raw, TODAY, &got), ERR_AUTH);
		assert_int_equal(got.message, 0);
		assert_int_equal(got.number, 0);
	}
	assert_int_equal(seal_track_open(key, &(struct seal_track_place){SPAN_LIT(""), SPAN_LIT("x")},
					 &raw, TODAY, &got),
			 ERR_LIMIT);
}

static void a_token_is_none_of_another_kind(void **state)
{
	(void)state;
	for (unsigned from = 0; from < 3; from++)
		for (unsigned to = 0; to < 3; to++) {
			struct seal_track t = example((enum seal_track_kind)from);
			struct seal_track_raw raw = made(&t);
			raw.p[0] = (uint8_t)((raw.p[0] & ~0x18) | to << 3);
			assert_int_equal(opened(&raw, TODAY), from == to ? 0 : ERR_AUTH);
		}
}

static void a_token_ends_with_its_last_day(void **state)
{
	struct seal_track_place p = place("t.shop.example", "shop");
	struct seal_track t = example(SEAL_TRACK_CLICK), got;
	struct seal_track_raw raw = made(&t);

	(void)state;
	assert_int_equal(opened(&raw, t.last), 0);
	assert_int_equal(seal_track_open(key, &p, &raw, t.last + 1u, &got), ERR_EXPIRED);
	assert_same(&got, &t); /* so that a page can be of the right campaign */
	assert_int_equal(seal_track_make(key, &p, &t, t.last + 1u, &raw), ERR_LIMIT);
	t.last = TODAY + SEAL_TRACK_DAYS_MAX + 1;
	assert_int_equal(seal_track_make(key, &p, &t, TODAY, &raw), ERR_LIMIT);
	t.last = TODAY + SEAL_TRACK_DAYS_MAX;
	assert_int_equal(seal_track_make(key, &p, &t, TODAY, &raw), 0);
}

/* From any day to any day on which it may be opened, with a clock up to a day behind the maker's. */
static void the_epoch_is_found_for_as_long_as_a_token_is_good(void **state)
{
	struct seal_track_place p = place("t.shop.example", "shop");

	(void)state;
	for (uint32_t day = TODAY; day < TODAY + 8 * SEAL_TRACK_EPOCH; day++) {
		struct seal_track t = {.last = (uint16_t)(day + SEAL_TRACK_DAYS_MAX)};
		enum seal_track_kind kind;
		struct seal_track_raw raw;
		uint32_t epoch;
		assert_int_equal(seal_track_make(key, &p, &t, day, &raw), 0);
		for (uint32_t now = day - 1; now <= t.last; now++) {
			assert_int_equal(seal_track_peek(&raw, now, &kind, &epoch), 0);
			assert_int_equal(epoch, seal_track_epoch(day));
		}
	}
	assert_int_equal(seal_track_day(-1), 0);
	assert_int_equal(seal_track_day(86399), 0);
	assert_int_equal(seal_track_day(86400), 1);
}

static void a_token_cut_or_longer_is_refused(void **state)
{
	struct seal_track t = example(SEAL_TRACK_CLICK);
	char url[SEAL_TRACK_URL_SIZE], mail[SEAL_TRACK_MAIL_SIZE], more[512];
	struct seal_track_raw raw, back;
	int rc;

	(void)state;
	assert_int_equal(seal_track_field_put(&t, SPAN_LIT("abcdefgh")), 0);
	raw = made(&t);
	seal_track_url_put(url, &raw);
	for (size_t n = 0; n < strlen(url); n++) {
		rc = seal_track_url_get(span_of(url, n), &back);
		assert_true(rc == ERR_FORMAT || opened(&back, TODAY) == ERR_AUTH);
		assert_true(n >= SEAL_TRACK_URL || rc == ERR_FORMAT);
	}
	for (size_t extra = 1; extra < 120; extra++) {
		memset(more, 'A', sizeof(more));
		memcpy(more, url, strlen(url));
		rc = seal_track_url_get(span_of(more, strlen(url) + extra), &back);
		assert_true(rc == ERR_FORMAT || opened(&back, TODAY) == ERR_AUTH);
	}
	memset(more, 'A', sizeof(more));
	assert_int_equal(seal_track_url_get(span_of(more, SEAL_TRACK_URL_SIZE), &back), ERR_FORMAT);
	t.n = 0;
	raw = made(&t);
	assert_int_equal(seal_track_mail_put(mail, &raw), SEAL_TRACK_MAIL);
	assert_int_equal(seal_track_mail_get(span_of(mail, SEAL_TRACK_MAIL - 1), &back), ERR_FORMAT);
	assert_int_equal(seal_track_mail_get(span_of(mail, SEAL_TRACK_MAIL + 1), &back), ERR_FORMAT);
}

static void an_address_survives_a_change_of_case_and_no_other(void **state)
{
	struct seal_track t = example(SEAL_TRACK_UNSUBSCRIBE);
	struct seal_track_raw raw = made(&t), back;
	char mail[SEAL_TRACK_MAIL_SIZE], loud[SEAL_TRACK_MAIL_SIZE];

	(void)state;
	seal_track_mail_put(mail, &raw);
	for (size_t i = 0; i < sizeof(mail); i++)
		loud[i] = mail[i] >= 'a' && mail[i] <= 'z' ? (char)(mail[i] - 32) : mail[i];
	assert_int_equal(seal_track_mail_get(span_str(loud), &back), 0);
	assert_int_equal(opened(&back, TODAY), 0);
	for (size_t i = 0; i < SEAL_TRACK_MAIL; i++) {
		char was = mail[i];
		for (int c = 0; c < 256; c++) {
			mail[i] = (char)c;
			if ((c | 0x20) != was && c != was &&
			    seal_track_mail_get(span_of(mail, SEAL_TRACK_MAIL), &back) == 0)
				assert_int_not_equal(opened(&back, TODAY), 0);
		}
		mail[i] = was;
	}
}

/* Two recipients of one mailing share nothing but byte 0; no part of what is sealed shows. */
static void nothing_can_be_read_in_a_token(void **state)
{
	struct seal_track a = example(SEAL_TRACK_CLICK), b = a;
	struct seal_track_raw ra, rb;
	uint8_t plain[8];
	unsigned same = 0;

	(void)state;
	b.message ^= 1;
	seal_track_field_put(&a, SPAN_LIT("erika@example.net"));
	seal_track_field_put(&b, SPAN_LIT("erika@example.net"));
	ra = made(&a);
	rb = made(&b);
	for (size_t i = 1; i < ra.n; i++)
		same += ra.p[i] == rb.p[i];
	assert_true(same < 6);
	num_put_u64(plain, a.message);
	assert_null(memmem(ra.p, ra.n, plain, 4));
	assert_null(memmem(ra.p, ra.n, "erika", 5));
	assert_null(memmem(ra.p, ra.n, "shop", 4));
}

static void values_of_several_fields_stay_apart(void **state)
{
	struct seal_track t = example(SEAL_TRACK_CLICK);
	uint8_t big[SEAL_TRACK_FIELD];
	struct span rest, value;

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(seal_track_field_put(&t, SPAN_LIT("one")), 0);
	assert_int_equal(seal_track_field_put(&t, SPAN_LIT("")), 0);
	assert_int_equal(seal_track_field_put(&t, span_of(big, 250)), ERR_LIMIT);
	assert_int_equal(seal_track_field_put(&t, span_of(big, 249)), 0);
	assert_int_equal(t.n, 255);
	assert_int_equal(seal_track_field_put(&t, SPAN_LIT("")), ERR_LIMIT);
	rest = span_of(t.field, t.n);
	assert_int_equal(seal_track_field_get(&rest, &value), 0);
	assert_true(span_equal(value, SPAN_LIT("one")));
	assert_int_equal(seal_track_field_get(&rest, &value), 0);
	assert_int_equal(value.n, 0);
	assert_int_equal(seal_track_field_get(&rest, &value), 0);
	assert_int_equal(value.n, 249);
	assert_int_equal(seal_track_field_get(&rest, &value), ERR_FORMAT);
	rest = SPAN_LIT("\x04" "abc");
	assert_int_equal(seal_track_field_get(&rest, &value), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tokens_are_those_of_another_implementation),
	    cmocka_unit_test(no_token_opens_with_a_bit_changed),
	    cmocka_unit_test(no_text_opens_with_a_character_changed),
	    cmocka_unit_test(a_token_is_good_at_its_host_and_of_its_customer_and_key_alone),
	    cmocka_unit_test(a_token_is_none_of_another_kind),
	    cmocka_unit_test(a_token_ends_with_its_last_day),
	    cmocka_unit_test(the_epoch_is_found_for_as_long_as_a_token_is_good),
	    cmocka_unit_test(a_token_cut_or_longer_is_refused),
	    cmocka_unit_test(an_address_survives_a_change_of_case_and_no_other),
	    cmocka_unit_test(nothing_can_be_read_in_a_token),
	    cmocka_unit_test(values_of_several_fields_stay_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
