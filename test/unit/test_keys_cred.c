/* SPDX-License-Identifier: Apache-2.0 */
/* Logins at next hops: from the store's sealed rows to the moment they are needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/keys/keys_cred.h"
#include "relay/store/store.h"
#include "relay/store/store_credential.h"

/* --- A keyd that opens when the test says so: a sealed field is its AAD's length and the text. */
struct keyproto_client_ev {
	unsigned calls;
	keyproto_client_ev_reply_fn fn;
	void *arg;
	struct keyproto_fields asked;
	uint8_t body[8192];
	int refuse;
};
static struct keyproto_client_ev keyd;

int keyproto_client_ev_call(struct keyproto_client_ev *c, uint16_t op, int64_t timeout_usec,
			    int (*fill)(struct buf *body, const void *message), const void *message,
			    keyproto_client_ev_reply_fn fn, void *arg)
{
	struct buf b;

	(void)timeout_usec;
	assert_int_equal(op, KEYPROTO_OPEN_FIELDS);
	if (c->refuse)
		return c->refuse;
	buf_init(&b, sizeof(c->body));
	assert_int_equal(fill(&b, message), 0);
	memcpy(c->body, buf_ptr(&b), buf_size(&b));
	assert_int_equal(keyproto_fields_get(span_of(c->body, buf_size(&b)), &c->asked), 0);
	buf_clear(&b);
	c->calls++;
	c->fn = fn;
	c->arg = arg;
	return 0;
}

/* Opens: the plaintext is what stands in the sealed field. */
static void keyd_answers(int err)
{
	struct keyproto_result results[2] = {{0, keyd.asked.items[0].data}, {0, keyd.asked.items[1].data}};
	struct buf b;

	buf_init(&b, 8192);
	if (err == 0)
		keyproto_results_put(&b, results, 2);
	keyd.fn(keyd.arg, err, buf_span(&b));
	buf_clear(&b);
}

static struct evt_loop *loop;
static struct keys_cred_book *book;
static struct keys_cred *creds;
static char heard[256];
static unsigned answers;

static void hear(void *arg, int result, struct span user, struct span password)
{
	(void)arg;
	answers++;
	snprintf(heard, sizeof(heard), "%d %.*s/%.*s", result, (int)user.n,
		 user.p ? (const char *)user.p : "", (int)password.n,
		 password.p ? (const char *)password.p : "");
}

static void fill_book(const char *password)
{
	const struct keys_cred_row rows[] = {
	    {"hop", "acme", 0, SPAN_LIT("aad1"), SPAN_LIT("alice"), SPAN_LIT("aad2"), span_str(password)},
	    {"old", "acme", 1, SPAN_LIT("aad3"), SPAN_LIT("bob"), SPAN_LIT("aad4"), SPAN_LIT("x")}};

	assert_int_equal(keys_cred_book_set(book, rows, 2), 0);
}

static int setup(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	memset(&keyd, 0, sizeof(keyd));
	heard[0] = '\0';
	answers = 0;
	loop = evt_loop_new();
	book = keys_cred_book_new();
	creds = keys_cred_new(loop, &keyd, book);
	fill_book("secret");
	return creds ? 0 : -1;
}
static int teardown(void **state)
{
	(void)state;
	keys_cred_free(creds);
	keys_cred_book_free(book);
	evt_loop_free(loop);
	clock_restore();
	return 0;
}

static void ask(const char *name)
{
	keys_cred_get(creds, name, hear, NULL);
}

static void keyd_opens_it_once_for_all_who_ask(void **state)
{
	(void)state;
	ask("hop");
	ask("hop");
	assert_int_equal(keyd.calls, 1);
	assert_true(span_equal(keyd.asked.customer, SPAN_LIT("acme")));
	assert_int_equal(keyd.asked.purpose, KEYPROTO_FOR_CRED);
	assert_true(span_equal(keyd.asked.items[1].aad, SPAN_LIT("aad2")));
	assert_int_equal(answers, 0);
	keyd_answers(0);
	assert_int_equal(answers, 2);
	assert_string_equal(heard, "0 alice/secret");
	ask("hop"); /* at hand */
	assert_int_equal(answers, 3);
	assert_int_equal(keyd.calls, 1);
}

static void it_is_forgotten_after_a_few_minutes(void **state)
{
	(void)state;
	ask("hop");
	keyd_answers(0);
	clock_advance(KEYS_CRED_KEPT);
	ask("hop");
	assert_int_equal(keyd.calls, 2);
	keyd_answers(0);
	assert_int_equal(answers, 2);
}

static void it_is_wiped_when_keyd_goes_away(void **state)
{
	(void)state;
	ask("hop");
	keyd_answers(0);
	keys_cred_state(creds, KEYPROTO_AWAY);
	keyd.refuse = ERR_AWAY;
	ask("hop");
	assert_string_equal(heard, "-9 /");
}

static void what_keyd_says_after_it_went_away_is_not_kept(void **state)
{
	(void)state;
	ask("hop");
	keys_cred_state(creds, KEYPROTO_LOCKED);
	keyd_answers(ERR_LOCKED);
	assert_string_equal(heard, "-8 /");
	keys_cred_state(creds, KEYPROTO_READY);
	ask("hop");
	assert_int_equal(keyd.calls, 2);
	keyd_answers(0);
	assert_string_equal(heard, "0 alice/secret");
}

static void a_changed_row_counts_at_once(void **state)
{
	(void)state;
	ask("hop");
	keyd_answers(0);
	fill_book("other");
	ask("hop");
	keyd_answers(0);
	assert_string_equal(heard, "0 alice/other");
}

static void an_unknown_or_disabled_one_is_refused(void **state)
{
	(void)state;
	ask("nobody");
	assert_string_equal(heard, "-6 /");
	ask("old");
	assert_string_equal(heard, "-5 /");
	assert_int_equal(keyd.calls, 0);
}

static void who_cancels_hears_nothing(void **state)
{
	struct keys_cred_query *q;

	(void)state;
	q = keys_cred_get(creds, "hop", hear, NULL);
	keys_cred_cancel(q);
	keyd_answers(0);
	assert_int_equal(answers, 0);
}

static void what_is_too_long_does_not_open(void **state)
{
	char huge[KEYS_CRED_PART + 2];

	(void)state;
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	fill_book(huge);
	ask("hop");
	keyd_answers(0);
	assert_string_equal(heard, "-3 /");
}

static void the_book_comes_from_the_store(void **state)
{
	char dir[] = "/tmp/test_keys_cred.XXXXXX", text[STORE_ERR_MAX], path[80];
	struct store_credential c = {.kind = STORE_CREDENTIAL_UPSTREAM, .name = "hop", .customer = "acme",
				     .messages = "", .recipients = ""};
	static struct relay r;
	struct buf aad;
	int64_t id;
	int err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	r.store = store_open(dir, &err, text);
	assert_non_null(r.store);
	r.creds = book;
	id = store_credential_add(r.store, &c);
	assert_true(id > 0);
	assert_int_equal(keys_cred_load(&r), 0);
	ask("hop"); /* not completed yet */
	assert_string_equal(heard, "-6 /");
	assert_int_equal(store_credential_seal(r.store, id, SPAN_LIT("carol"), SPAN_LIT("pw"), 1), 0);
	c.kind = STORE_CREDENTIAL_INBOUND;
	c.name = "in";
	id = store_credential_add(r.store, &c);
	assert_int_equal(store_credential_seal(r.store, id, span_of(NULL, 0), SPAN_LIT("hash"), 1), 0);
	assert_int_equal(keys_cred_load(&r), 0);
	ask("hop");
	keyd_answers(0);
	assert_string_equal(heard, "0 carol/pw");
	buf_init(&aad, 4096);
	assert_int_equal(store_aad(r.store, &aad, "acme", "credential", "secret",
				   store_credential_find(r.store, STORE_CREDENTIAL_UPSTREAM, "hop", NULL)), 0);
	assert_true(span_equal(keyd.asked.items[1].aad, buf_span(&aad)));
	buf_clear(&aad);
	ask("in");
	assert_string_equal(heard, "-6 /");
	store_close(r.store);
	for (int i = 0; i < 3; i++) {
		static const char *const ends[] = {"", "-wal", "-shm"};
		snprintf(path, sizeof(path), "%s/relay.db%s", dir, ends[i]);
		unlink(path);
	}
	rmdir(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(keyd_opens_it_once_for_all_who_ask),
	    TEST(it_is_forgotten_after_a_few_minutes),
	    TEST(it_is_wiped_when_keyd_goes_away),
	    TEST(what_keyd_says_after_it_went_away_is_not_kept),
	    TEST(a_changed_row_counts_at_once),
	    TEST(an_unknown_or_disabled_one_is_refused),
	    TEST(who_cancels_hears_nothing),
	    TEST(what_is_too_long_does_not_open),
	    TEST(the_book_comes_from_the_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
