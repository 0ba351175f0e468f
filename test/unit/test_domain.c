/* SPDX-License-Identifier: Apache-2.0 */
/* Domains of customers: who gets one, what the DNS has to say, and which hosts follow from it. The resolver is a fake. */
#include "relay/domain/domain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/out/out_dns.h"
#include "relay/store/store.h"

static char dir[64], log_text[16384];
static struct relay relay;

/* --- the resolver */

struct out_dns {
	int open;
};
static struct {
	struct out_dns dns;
	char asked[300];
	int silent, result, secure, no_memory;
	struct out_dnsmsg msg;
	out_dns_fn fn;
	void *arg;
} fake;

struct out_dns *out_dns_new(struct evt_loop *l, const struct relay_conf *c, const char **why)
{
	(void)l;
	(void)c;
	*why = "no memory";
	fake.dns.open += !fake.no_memory;
	return fake.no_memory ? NULL : &fake.dns;
}

void out_dns_free(struct out_dns *d)
{
	if (d)
		d->open--;
}

void out_dns_quiet(struct out_dns *d)
{
	(void)d;
}

struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg)
{
	(void)d;
	assert_int_equal(type, OUT_DNSMSG_TXT);
	snprintf(fake.asked, sizeof(fake.asked), "%s", name);
	fake.fn = fn;
	fake.arg = arg;
	if (!fake.silent)
		fn(arg, fake.result, &fake.msg, fake.secure);
	return NULL;
}

struct relay_conf *relay_now(struct relay *r)
{
	(void)r;
	return NULL;
}

void relay_conf_unref(struct relay_conf *c)
{
	(void)c;
}

static void dns_says(int result, int secure, const char *text)
{
	memset(&fake, 0, sizeof(fake));
	fake.result = result;
	fake.secure = secure;
	if (text) {
		fake.msg.count = 1;
		fake.msg.txt[0].len = (uint16_t)strlen(text);
		strcpy(fake.msg.txt[0].text, text);
	}
}

/* --- the world */

static void capture(void *arg, const char *line)
{
	size_t n = strlen(log_text);

	(void)arg;
	snprintf(log_text + n, sizeof(log_text) - n, "%s\n", line);
}

static void open_all(void)
{
	char text[STORE_ERR_MAX];
	const char *why;
	int err;

	memset(&relay, 0, sizeof(relay));
	relay.loop = evt_loop_new();
	relay.store = store_open(dir, &err, text);
	assert_non_null(relay.store);
	assert_int_equal(domain_part.open(&relay, &why), 0);
}

static void close_all(void)
{
	domain_part.close(&relay);
	store_close(relay.store);
	evt_loop_free(relay.loop);
}

static int set_up(void **state)
{
	(void)state;
	clock_set(1000 * CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	snprintf(dir, sizeof(dir), "/tmp/test_domain.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	log_text[0] = '\0';
	log_capture(capture, NULL);
	dns_says(ERR_AWAY, 0, NULL);
	open_all();
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"relay.db", "relay.db-wal", "relay.db-shm"};
	char path[128];

	(void)state;
	close_all();
	log_capture(NULL, NULL);
	clock_restore();
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

/* A timer of 0 is due a microsecond later. */
static void turn(void)
{
	clock_advance(1);
	evt_loop_turn(relay.loop, 0);
}

static struct {
	int calls, err;
	struct domain d;
	size_t texts;
} heard;

static void hear(void *arg, int err, const struct domain *d, json_t *texts)
{
	(void)arg;
	heard.calls++;
	heard.err = err;
	heard.d = *d;
	heard.texts = json_array_size(texts);
}

/* ERR_* of the whole of it; state and found are in heard.d. */
static int verify(const char *customer, const char *domain)
{
	int err;

	memset(&heard, 0, sizeof(heard));
	err = domain_verify(&relay, customer, domain, hear, NULL);
	if (err < 0)
		return err;
	turn();
	assert_int_equal(heard.calls, 1);
	assert_int_equal(fake.dns.open, 0);
	return heard.err;
}

/* With the record that add asked for. */
static int prove(const char *customer, const char *domain)
{
	char text[CAMP_OWNER_TEXT];
	struct domain d;

	assert_int_equal(domain_add(&relay, customer, domain, &d), 0);
	camp_owner_text(text, d.challenge);
	dns_says(0, 1, text);
	return verify(customer, domain);
}

/* --- tests */

static void a_claim_owns_nothing_until_its_record_is_found(void **state)
{
	struct domain d, again;
	char text[CAMP_OWNER_TEXT];

	(void)state;
	assert_int_equal(domain_add(&relay, "shop", "shop.example", &d), 0);
	assert_int_equal(d.state, DOMAIN_PENDING);
	assert_int_equal(strlen(d.challenge), CAMP_OWNER_CHALLENGE);
	assert_int_equal(domain_owns(&relay, "shop", "www.shop.example", NULL), 0);
	assert_int_equal(domain_add(&relay, "shop", "shop.example", &again), 0);
	assert_string_equal(again.challenge, d.challenge); /* he may have published it already */
	camp_owner_text(text, d.challenge);
	dns_says(0, 1, text);
	clock_advance(60 * CLOCK_SEC);
	assert_int_equal(verify("shop", "shop.example"), 0);
	assert_string_equal(fake.asked, "_sealpost.shop.example");
	assert_int_equal(heard.d.state, DOMAIN_VERIFIED);
	assert_int_equal(heard.d.secure, 1);
	assert_int_equal(heard.d.since - d.since, 60 * CLOCK_SEC + 1);
	assert_int_equal(domain_owns(&relay, "shop", "www.shop.example", NULL), 1);
	assert_int_equal(domain_owns(&relay, "shop", "www.shop.example", "shop.example"), 0);
	assert_int_equal(domain_owns(&relay, "other", "www.shop.example", NULL), 0);
	assert_int_equal(domain_owns(&relay, "shop", "example", NULL), 0);
	assert_non_null(strstr(log_text, "event=domain-added customer=shop domain=shop.example"));
	assert_non_null(strstr(
	    log_text, "event=domain-verified customer=shop domain=shop.example dnssec=secure"));
	close_all();
	open_all(); /* it is written */
	assert_int_equal(domain_owns(&relay, "shop", "www.shop.example", NULL), 1);
}

static void what_the_dns_says_is_kept(void **state)
{
	static const struct {
		int result, secure;
		const char *text;
		int found;
	} rows[] = {{0, 1, "v=spf1 -all", DOMAIN_OTHER},
		    {0, 0, NULL, DOMAIN_MISSING},
		    {ERR_NOTFOUND, 1, NULL, DOMAIN_MISSING},
		    {ERR_AUTH, 0, NULL, DOMAIN_BOGUS},
		    {ERR_AWAY, 0, NULL, DOMAIN_UNREACHABLE}};
	struct domain d;

	(void)state;
	assert_int_equal(domain_add(&relay, "shop", "shop.example", &d), 0);
	assert_int_equal(d.found, DOMAIN_UNASKED);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dns_says(rows[i].result, rows[i].secure, rows[i].text);
		assert_int_equal(verify("shop", "shop.example"), 0);
		assert_int_equal(domain_get(&relay, "shop", "shop.example", &d), 0);
		assert_int_equal(d.state, DOMAIN_PENDING);
		assert_int_equal(d.found, rows[i].found);
		assert_int_equal(d.secure, rows[i].secure);
		assert_int_equal(d.checked, clock_wall());
	}
	assert_non_null(strstr(
	    log_text,
	    "event=domain-unverified customer=shop domain=shop.example found=bogus state=pending"));
	/* a text that is too long for one is there all the same */
	dns_says(0, 0, NULL);
	fake.msg.void_records = 1;
	assert_int_equal(verify("shop", "shop.example"), 0);
	assert_int_equal(heard.d.found, DOMAIN_OTHER);
	assert_int_equal(domain_owns(&relay, "shop", "shop.example", NULL), 0);
}

static void what_is_verified_stays_so(void **state)
{
	(void)state;
	assert_int_equal(prove("shop", "shop.example"), 0);
	dns_says(ERR_NOTFOUND, 0, NULL);
	assert_int_equal(verify("shop", "shop.example"), 0);
	assert_int_equal(heard.d.state, DOMAIN_VERIFIED);
	assert_int_equal(heard.d.found, DOMAIN_MISSING);
	assert_int_equal(domain_owns(&relay, "shop", "shop.example", NULL), 1);
	assert_int_equal(domain_remove(&relay, "shop", "shop.example"), 0);
	assert_int_equal(domain_owns(&relay, "shop", "shop.example", NULL), 0);
	assert_int_equal(domain_remove(&relay, "shop", "shop.example"), ERR_NOTFOUND);
	assert_int_equal(verify("shop", "shop.example"), ERR_NOTFOUND);
}

static void who_proves_a_domain_first_has_it(void **state)
{
	struct domain d;

	(void)state;
	assert_int_equal(domain_add(&relay, "thief", "shop.example", &d), 0); /* keeps nobody out */
	assert_int_equal(prove("shop", "shop.example"), 0);
	assert_int_equal(prove("thief", "shop.example"), ERR_EXISTS);
	assert_non_null(strstr(log_text,
			       "event=domain-unverified customer=thief domain=shop.example "
			       "found=found state=pending"));
	assert_int_equal(domain_owns(&relay, "thief", "shop.example", NULL), 0);
	assert_int_equal(domain_get(&relay, "thief", "shop.example", &d), 0);
	assert_int_equal(d.state, DOMAIN_PENDING);
	assert_int_equal(domain_add(&relay, "other", "shop.example", &d), ERR_EXISTS);
	assert_int_equal(domain_add(&relay, "other", "www.shop.example", &d), ERR_EXISTS);
	assert_int_equal(prove("shop", "a.b.example"), 0);
	assert_int_equal(domain_add(&relay, "other", "b.example", &d), ERR_EXISTS);
	assert_int_equal(domain_add(&relay, "other", "xshop.example", &d), 0);
	/* his own, above and below, are */
	assert_int_equal(prove("shop", "b.example"), 0);
	assert_int_equal(domain_remove(&relay, "shop", "shop.example"), 0);
	assert_int_equal(prove("thief", "shop.example"), 0);
}

static void an_administrator_may_vouch_for_several(void **state)
{
	struct domain d;

	(void)state;
	assert_int_equal(domain_trust(&relay, "one", "cdn.example", "a contract", 1000, &d), 0);
	assert_int_equal(d.state, DOMAIN_TRUSTED);
	assert_string_equal(d.reason, "a contract");
	assert_non_null(
	    strstr(log_text, "event=domain-trusted customer=one domain=cdn.example uid=1000"));
	assert_int_equal(domain_trust(&relay, "two", "cdn.example", "theirs too", 0, &d), 0);
	assert_int_equal(domain_owns(&relay, "one", "x.cdn.example", NULL), 1);
	assert_int_equal(domain_owns(&relay, "two", "x.cdn.example", NULL), 1);
	/* whose it is shows so himself, and then it is trusted for another as well */
	assert_int_equal(prove("owner", "cdn.example"), 0);
	assert_int_equal(domain_trust(&relay, "three", "x.cdn.example", "too", 0, &d), 0);
	assert_int_equal(domain_owns(&relay, "three", "x.cdn.example", NULL), 1);
	assert_int_equal(domain_trust(&relay, "owner", "cdn.example", "needless", 0, &d),
			 ERR_BADSTATE);
	/* one who is trusted does not become the owner */
	assert_int_equal(prove("one", "cdn.example"), ERR_EXISTS);
	assert_int_equal(domain_get(&relay, "one", "cdn.example", &d), 0);
	assert_int_equal(d.state, DOMAIN_TRUSTED);
	assert_int_equal(d.found, DOMAIN_FOUND);
	/* a claim becomes trusted, and its record still counts */
	assert_int_equal(domain_add(&relay, "one", "other.example", &d), 0);
	assert_int_equal(domain_trust(&relay, "one", "other.example", "for now", 0, &d), 0);
	assert_int_equal(prove("one", "other.example"), 0);
	assert_int_equal(heard.d.state, DOMAIN_VERIFIED);
}

static int count(void *arg, const struct domain *d)
{
	strcat(strcat(strcat(arg, d->customer), d->domain), " ");
	return 0;
}

static void lists_are_of_one_customer_or_all(void **state)
{
	char all[200] = "", one[200] = "";
	struct domain d;
	json_t *owned;

	(void)state;
	domain_trust(&relay, "b", "y.example", "r", 0, &d);
	domain_trust(&relay, "a", "y.example", "r", 0, &d);
	domain_trust(&relay, "a", "x.example", "r", 0, &d);
	domain_add(&relay, "a", "z.example", &d);
	assert_int_equal(domain_each(&relay, NULL, count, all), 0);
	assert_string_equal(all, "ax.example ay.example by.example az.example ");
	assert_int_equal(domain_each(&relay, "b", count, one), 0);
	assert_string_equal(one, "by.example ");
	owned = domain_owned(&relay, "a");
	assert_int_equal(json_array_size(owned), 2); /* not the claim */
	assert_string_equal(json_string_value(json_array_get(owned, 0)), "x.example");
	json_decref(owned);
}

static void a_customer_has_so_many_and_no_more(void **state)
{
	struct domain d;
	char name[64];

	(void)state;
	store_begin(relay.store);
	for (int i = 0; i < CAMP_OWNER_DOMAINS; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		assert_int_equal(domain_add(&relay, "shop", name, &d), 0);
	}
	store_commit(relay.store);
	assert_int_equal(domain_add(&relay, "shop", "more.example", &d), ERR_LIMIT);
	assert_int_equal(domain_trust(&relay, "shop", "more.example", "r", 0, &d), ERR_LIMIT);
	assert_int_equal(domain_add(&relay, "shop", "n5.example", &d), 0);
	assert_int_equal(domain_add(&relay, "other", "more.example", &d), 0);
}

static void a_row_that_changed_meanwhile_is_not_verified_by_the_old_answer(void **state)
{
	char text[CAMP_OWNER_TEXT];
	struct domain d;

	(void)state;
	assert_int_equal(domain_add(&relay, "shop", "shop.example", &d), 0);
	camp_owner_text(text, d.challenge);
	dns_says(0, 1, text);
	fake.silent = 1;
	memset(&heard, 0, sizeof(heard));
	assert_int_equal(domain_verify(&relay, "shop", "shop.example", hear, NULL), 0);
	assert_int_equal(domain_remove(&relay, "shop", "shop.example"), 0);
	assert_int_equal(domain_add(&relay, "shop", "shop.example", &d), 0);
	fake.fn(fake.arg, 0, &fake.msg, 1);
	turn();
	assert_int_equal(heard.calls, 1);
	assert_int_equal(heard.err, ERR_NOTFOUND);
	assert_int_equal(domain_get(&relay, "shop", "shop.example", &d), 0);
	assert_int_equal(d.state, DOMAIN_PENDING);
}

static void a_check_ends_when_patience_does(void **state)
{
	struct domain d;

	(void)state;
	assert_int_equal(prove("shop", "shop.example"), 0);
	dns_says(0, 0, NULL);
	fake.silent = 1;
	memset(&heard, 0, sizeof(heard));
	assert_int_equal(domain_verify(&relay, "shop", "shop.example", hear, NULL), 0);
	clock_advance(DOMAIN_PATIENCE - CLOCK_SEC);
	turn();
	assert_int_equal(heard.calls, 0);
	clock_advance(CLOCK_SEC);
	turn();
	assert_int_equal(heard.calls, 1);
	assert_int_equal(heard.err, 0);
	assert_int_equal(fake.dns.open, 0);
	assert_int_equal(domain_get(&relay, "shop", "shop.example", &d), 0);
	assert_int_equal(d.found, DOMAIN_UNREACHABLE);
	assert_int_equal(d.state, DOMAIN_VERIFIED);
}

static void checks_are_few_and_end_with_relay(void **state)
{
	struct domain d;
	const char *why;

	(void)state;
	assert_int_equal(domain_add(&relay, "shop", "shop.example", &d), 0);
	dns_says(ERR_AWAY, 0, NULL);
	fake.silent = 1;
	memset(&heard, 0, sizeof(heard));
	for (int i = 0; i < DOMAIN_CHECKS; i++)
		assert_int_equal(domain_verify(&relay, "shop", "shop.example", hear, NULL), 0);
	assert_int_equal(domain_verify(&relay, "shop", "shop.example", hear, NULL), ERR_BUSY);
	domain_part.close(&relay);
	assert_int_equal(heard.calls, DOMAIN_CHECKS);
	assert_int_equal(heard.err, ERR_CLOSED);
	assert_int_equal(fake.dns.open, 0);
	assert_int_equal(domain_part.open(&relay, &why), 0);
	fake.silent = 0;
	fake.no_memory = 1;
	assert_int_equal(verify("shop", "shop.example"), ERR_NOMEM);
	assert_int_equal(domain_get(&relay, "shop", "shop.example", &d), 0);
	assert_int_equal(d.found, DOMAIN_UNASKED);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_claim_owns_nothing_until_its_record_is_found),
	    TEST(what_the_dns_says_is_kept),
	    TEST(what_is_verified_stays_so),
	    TEST(who_proves_a_domain_first_has_it),
	    TEST(an_administrator_may_vouch_for_several),
	    TEST(lists_are_of_one_customer_or_all),
	    TEST(a_customer_has_so_many_and_no_more),
	    TEST(a_row_that_changed_meanwhile_is_not_verified_by_the_old_answer),
	    TEST(a_check_ends_when_patience_does),
	    TEST(checks_are_few_and_end_with_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
