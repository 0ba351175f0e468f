/* SPDX-License-Identifier: Apache-2.0 */
/* Sites: domains with the same mail hosts are one; how a site is learnt, and how it changes; what
 * shaping lets go, and how lines take turns. */
#include "test/unit/queue_world.h"

#include "relay/tlsrpt/tlsrpt_result.h"

static const char *const a_test = "a.test", *const b_test = "b.test";

/* "x.SITE.test" and "y.SITE.test" are served by SITE. */
static void by_second_label(struct world *w, struct queue_job *j)
{
	const char *dot = strchr(j->destination, '.');

	(void)w;
	snprintf(j->site, sizeof(j->site), "%s", dot ? dot + 1 : j->destination);
	j->site_ttl = 600 * CLOCK_SEC;
}

static void domains_with_the_same_hosts_share_a_site(void **state)
{
	struct world *w = *state;
	uint64_t id;

	w->resolve = by_second_label;
	add_to(w, "a.big.test");
	id = add_to(w, "b.big.test");
	settle(w);
	assert_int_equal(w->resolved, 2);
	assert_int_equal(w->job_count, 2);
	assert_string_equal(w->jobs[0]->site, "big.test");
	assert_string_equal(w->jobs[1]->site, "big.test");
	assert_string_equal(show(w, id).site, "big.test");
	assert_string_equal(show(w, id).destination, "b.big.test");
	/* the door is the site's */
	while (w->job_count)
		defer(w, w->jobs[0], QUEUE_CONNECT);
	settle(w);
	id = add_to(w, "c.big.test");
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(show(w, id).reason, QUEUE_CONNECT);
	assert_int_equal(said("event=destination-backoff"), 1);
}

static void a_named_next_hop_is_not_asked_for(void **state)
{
	struct world *w = *state;
	char star[] = "*", to[] = "hub.test:26";

	routes[0] = (struct relay_route){.domain = star, .to = to};
	add_to(w, a_test);
	add_to(w, b_test);
	settle(w);
	assert_int_equal(w->resolved, 0);
	assert_int_equal(w->job_count, 2);
	assert_string_equal(w->jobs[0]->site, "hub.test:26");
	assert_string_equal(w->jobs[1]->site, "hub.test:26");
}

static void routes_may_depend_on_the_customer(void **state)
{
	struct world *w = *state;
	char star[] = "*", to[] = "hub.test:26", mx[] = "mx", big[] = "big", pool[] = "fast";

	routes[0] = (struct relay_route){.domain = star, .to = to, .customer = big};
	routes[1] = (struct relay_route){.domain = star, .to = mx, .pool = pool};
	add_to(w, a_test);
	w->customer = "big";
	add_to(w, a_test);
	settle(w);
	assert_int_equal(w->job_count, 2);
	assert_int_equal(w->resolved, 1);
	for (unsigned i = 0; i < 2; i++)
		assert_string_equal(w->jobs[i]->site,
				    strcmp(w->jobs[i]->customer, "big") ? a_test : "hub.test:26");
	assert_non_null(shape_fake_lane(&w->shape, "fast", a_test)->jobs);
}

static void a_reload_sends_what_waits_the_new_way(void **state)
{
	struct world *w = *state;
	char star[] = "*", to[] = "hub.test:26";
	static struct relay_conf other;
	uint64_t id = add_to(w, a_test);

	settle(w);
	defer(w, only_job(w), QUEUE_RECIPIENT);
	settle(w);
	assert_string_equal(show(w, id).site, a_test);
	other = conf;
	routes[0] = (struct relay_route){.domain = star, .to = to};
	atomic_store(&w->relay.conf, &other);
	settle(w);
	assert_string_equal(show(w, id).site, "hub.test:26");
	pass(w, 6 * MIN);
	assert_string_equal(only_job(w)->site, "hub.test:26");
}

static const char *moved_to;

static void moves(struct world *w, struct queue_job *j)
{
	(void)w;
	snprintf(j->site, sizeof(j->site), "%s", moved_to);
	j->site_ttl = 600 * CLOCK_SEC;
}

static void a_domain_is_asked_for_again_when_its_time_is_over_and_mail_goes_on(void **state)
{
	struct world *w = *state;

	w->resolve = moves;
	moved_to = "old.test";
	add_to(w, a_test);
	settle(w);
	deliver(w, only_job(w));
	settle(w);
	add_to(w, a_test);
	settle(w);
	assert_int_equal(w->resolved, 1);
	deliver(w, only_job(w));
	pass(w, 11 * MIN);
	moved_to = "new.test";
	add_to(w, a_test);
	settle(w);
	assert_int_equal(w->resolved, 2);
	deliver(w, only_job(w));
	add_to(w, a_test);
	settle(w);
	assert_string_equal(only_job(w)->site, "new.test");
}

static void a_worker_that_finds_another_site_moves_the_domain(void **state)
{
	struct world *w = *state;
	struct queue_job *j;
	uint64_t id = add_to(w, a_test);

	settle(w);
	j = only_job(w);
	snprintf(j->site, sizeof(j->site), "new.test");
	j->site_ttl = 600 * CLOCK_SEC;
	answer(w, j, SPOOL_DEFERRED, QUEUE_RETRY, 0);
	settle(w);
	assert_int_equal(only_job(w)->id, id); /* at once, and it counts no attempt */
	assert_int_equal(only_job(w)->attempts, 0);
	assert_string_equal(only_job(w)->site, "new.test");
	assert_int_equal(w->resolved, 1);
}

static void name_servers_that_disagree_make_no_tight_circle(void **state)
{
	struct world *w = *state;
	struct queue_job *j;
	unsigned tries = 0;

	add_to(w, a_test);
	for (int i = 0; i < 100; i++) {
		settle(w);
		if (!w->job_count)
			break;
		tries++;
		j = only_job(w);
		snprintf(j->site, sizeof(j->site), "%s.test", strcmp(j->site, "x.test") ? "x" : "y");
		j->site_ttl = 600 * CLOCK_SEC;
		answer(w, j, SPOOL_DEFERRED, QUEUE_RETRY, 0);
	}
	assert_int_equal(tries, 2);
	pass(w, 2 * CLOCK_SEC);
	deliver(w, only_job(w));
}

static int dns_says;

static void fails(struct world *w, struct queue_job *j)
{
	(void)w;
	j->site[0] = '\0';
	j->results[0].outcome = (uint8_t)dns_says;
	j->results[0].reason = QUEUE_DNS;
	j->failure = TLSRPT_DNSSEC_INVALID;
	snprintf(j->results[0].reply, sizeof(j->results[0].reply), "4.4.3 name lookup failed");
}

static void a_domain_that_cannot_be_found_waits_with_its_mail(void **state)
{
	struct world *w = *state;
	struct queue_item i;
	uint64_t id = add_to(w, a_test);

	add_to(w, a_test);
	w->resolve = fails;
	dns_says = SPOOL_DEFERRED;
	settle(w);
	assert_int_equal(w->job_count, 0);
	assert_int_equal(w->resolved, 1);
	i = show(w, id);
	assert_int_equal(i.attempts, 1);
	assert_int_equal(i.reason, QUEUE_DNS);
	assert_string_equal(i.reply, "4.4.3 name lookup failed");
	assert_true(i.next > clock_wall() + 4 * MIN && i.next < clock_wall() + 6 * MIN);
	assert_int_equal(numbers(w).deferred, 2);
	assert_int_equal(said("event=domain-backoff"), 1);
	assert_int_equal(atomic_load(&in_ledger.count), 1); /* as many as have tried */
	assert_true(in_ledger.id == id && in_ledger.reason == QUEUE_DNS);
	assert_string_equal(in_ledger.domain, a_test);
	assert_string_equal(in_ledger.failure, "dnssec-invalid");
	assert_string_equal(in_ledger.reply, "4.4.3 name lookup failed");
	add_to(w, a_test);
	settle(w);
	assert_int_equal(w->resolved, 1);
	w->resolve = NULL;
	assert_int_equal(w->log.count, 1);
	pass(w, 6 * MIN);
	assert_int_equal(w->resolved, 2);
	assert_int_equal(w->job_count, 3);
}

static void a_domain_that_does_not_exist_is_bounced_by_its_own_jobs(void **state)
{
	struct world *w = *state;

	w->resolve = fails;
	dns_says = SPOOL_BOUNCED;
	add_to(w, a_test);
	settle(w);
	assert_string_equal(only_job(w)->site, a_test);
	answer(w, only_job(w), SPOOL_BOUNCED, QUEUE_DNS, 550);
	settle(w);
	assert_empty(w);
}

static void a_domain_without_dns_does_not_stop_the_others_of_its_site(void **state)
{
	struct world *w = *state;

	w->resolve = by_second_label;
	add_to(w, "a.big.test");
	settle(w);
	defer(w, only_job(w), QUEUE_DNS);
	settle(w);
	assert_int_equal(said("event=domain-backoff"), 1);
	assert_int_equal(said("event=destination-backoff"), 0);
	add_to(w, "b.big.test");
	settle(w);
	assert_string_equal(only_job(w)->destination, "b.big.test");
}

/* Whoever publishes a policy that a large site's hosts do not fit stops his own mail, not that of all. */
static void a_domain_whose_policy_forbids_delivery_does_not_stop_the_others_of_its_site(void **state)
{
	struct world *w = *state;
	struct queue_job *j;

	w->resolve = by_second_label;
	add_to(w, "a.big.test");
	settle(w);
	j = only_job(w);
	j->results[0].whose = QUEUE_WHOSE_DOMAIN;
	defer(w, j, QUEUE_TLS);
	settle(w);
	assert_int_equal(said("event=domain-backoff"), 1);
	assert_int_equal(said("event=destination-backoff"), 0);
	add_to(w, "b.big.test");
	settle(w);
	assert_string_equal(only_job(w)->destination, "b.big.test");
}

static void a_message_that_wants_more_than_others_stops_nobody(void **state)
{
	struct world *w = *state;
	struct queue_job *j;

	w->resolve = by_second_label;
	add_to(w, "a.big.test");
	settle(w);
	j = only_job(w);
	j->results[0].whose = QUEUE_WHOSE_MESSAGE;
	defer(w, j, QUEUE_TLS);
	settle(w);
	assert_int_equal(said("event=domain-backoff"), 0);
	assert_int_equal(said("event=destination-backoff"), 0);
	add_to(w, "a.big.test");
	settle(w);
	assert_string_equal(only_job(w)->destination, "a.big.test");
}

/* --- shaping */

static void what_shaping_refuses_waits_for_its_time_with_its_reason(void **state)
{
	struct world *w = *state;
	struct queue_item i;
	uint64_t id;

	w->shape.rule[0].site = a_test;
	w->shape.rule[0].until = clock_mono() + 10 * MIN;
	w->shape.rule[0].reason = QUEUE_RATE;
	id = add_to(w, a_test);
	add_to(w, b_test);
	settle(w);
	assert_string_equal(only_job(w)->destination, b_test);
	i = show(w, id);
	assert_int_equal(i.reason, QUEUE_RATE);
	assert_true(i.next >= clock_wall() + 9 * MIN && i.next <= clock_wall() + 10 * MIN);
	pass(w, 9 * MIN);
	assert_int_equal(w->job_count, 1);
	pass(w, 1 * MIN + CLOCK_SEC);
	assert_int_equal(w->job_count, 2);
}

static void as_many_jobs_as_shaping_allows_and_the_next_when_one_is_back(void **state)
{
	struct world *w = *state;

	prove(w, a_test);
	w->shape.rule[0].site = a_test;
	w->shape.rule[0].jobs = 3;
	for (int i = 0; i < 20; i++)
		add_to(w, a_test);
	for (int i = 0; i < 17; i++) {
		settle(w);
		assert_int_equal(w->job_count, 3);
		deliver(w, w->jobs[0]);
	}
	while (w->job_count) {
		deliver(w, w->jobs[0]);
		settle(w);
	}
	assert_empty(w);
}

static void a_rule_for_one_domain_does_not_stop_the_others_of_its_site(void **state)
{
	struct world *w = *state;

	w->resolve = by_second_label;
	add_to(w, "ok.big.test");
	settle(w);
	deliver(w, only_job(w));
	w->shape.rule[0].domain = "slow.big.test";
	w->shape.rule[0].until = clock_mono() + HOUR;
	w->shape.rule[0].reason = QUEUE_RATE;
	for (int i = 0; i < 50; i++)
		add_to(w, "slow.big.test");
	for (int i = 0; i < 40; i++) {
		add_to(w, "ok.big.test");
		settle(w);
		assert_string_equal(only_job(w)->destination, "ok.big.test");
		deliver(w, only_job(w));
	}
	pass(w, 10 * MIN); /* nobody comes: it rests */
	add_to(w, "other.big.test");
	settle(w);
	assert_string_equal(only_job(w)->destination, "other.big.test");
	pass(w, HOUR);
	assert_true(jobs_for(w, "slow.big.test") > 0);
}

static void what_shaping_lets_go_earlier_goes_earlier(void **state)
{
	struct world *w = *state;

	w->shape.rule[0].site = a_test;
	w->shape.rule[0].until = SHAPE_NEVER;
	w->shape.rule[0].reason = QUEUE_SUSPENDED;
	add_to(w, a_test);
	pass(w, HOUR);
	assert_int_equal(w->job_count, 0);
	w->shape.rule[0].site = NULL;
	queue_shape_changed(w->q);
	queue_shape_changed(w->q);
	settle(w);
	deliver(w, only_job(w));
}

static void few_connections_stay_with_few_workers(void **state)
{
	struct world *w = *state;
	int worker;

	w->shape.connections = 1;
	prove(w, a_test);
	for (int i = 0; i < 20; i++)
		add_to(w, a_test);
	settle(w);
	assert_int_equal(w->job_count, 20);
	worker = w->jobs[0]->worker;
	for (unsigned i = 0; i < w->job_count; i++)
		assert_int_equal(w->jobs[i]->worker, worker);
}

/* --- lines */

static unsigned jobs_of(struct world *w, const char *customer)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->job_count; i++)
		n += !strcmp(w->jobs[i]->customer, customer);
	return n;
}

static void a_small_customer_does_not_wait_for_a_great_one(void **state)
{
	struct world *w = *state;

	prove(w, a_test);
	w->customer = "great";
	for (int i = 0; i < 3000; i++)
		add_to(w, a_test);
	settle(w);
	w->customer = "small";
	for (int i = 0; i < 20; i++)
		add_to(w, a_test);
	settle(w);
	for (int i = 0; i < 30; i++)
		deliver(w, w->jobs[0]);
	settle(w);
	assert_int_equal(jobs_of(w, "small"), 15); /* every second place is his */
	assert_int_equal(jobs_of(w, "great"), 15);
}

static void a_customer_with_many_campaigns_has_no_more_turns_than_one_with_one(void **state)
{
	struct world *w = *state;
	char campaign[16];

	prove(w, a_test);
	w->shape.rule[0].site = a_test;
	w->customer = "many";
	for (int i = 0; i < 300; i++) {
		snprintf(campaign, sizeof(campaign), "c%d", i % 30);
		w->campaign = campaign;
		add_to(w, a_test);
	}
	w->customer = "one";
	w->campaign = NULL;
	for (int i = 0; i < 100; i++)
		add_to(w, a_test);
	settle(w);
	w->shape.rule[0].jobs = 40;
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(w->job_count, 40);
	assert_int_equal(jobs_of(w, "one"), 20);
	assert_int_equal(jobs_of(w, "many"), 20);
}

static void campaigns_take_turns(void **state)
{
	static const char *const campaigns[] = {"one", "two", "three"};
	struct world *w = *state;
	unsigned seen[3] = {0};

	prove(w, a_test);
	w->shape.rule[0].site = a_test;
	for (int c = 0; c < 3; c++) {
		w->campaign = campaigns[c];
		for (int i = 0; i < 100; i++)
			add_to(w, a_test);
	}
	settle(w);
	assert_int_equal(w->job_count, 0);
	w->shape.rule[0].jobs = 30;
	pass(w, 2 * CLOCK_SEC);
	assert_int_equal(w->job_count, 30);
	for (unsigned i = 0; i < w->job_count; i++)
		seen[(w->jobs[i]->id - 1002) / 100]++;
	for (int c = 0; c < 3; c++)
		assert_int_equal(seen[c], 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(domains_with_the_same_hosts_share_a_site),
	    TEST(a_named_next_hop_is_not_asked_for),
	    TEST(routes_may_depend_on_the_customer),
	    TEST(a_reload_sends_what_waits_the_new_way),
	    TEST(a_domain_is_asked_for_again_when_its_time_is_over_and_mail_goes_on),
	    TEST(a_worker_that_finds_another_site_moves_the_domain),
	    TEST(name_servers_that_disagree_make_no_tight_circle),
	    TEST(a_domain_that_cannot_be_found_waits_with_its_mail),
	    TEST(a_domain_that_does_not_exist_is_bounced_by_its_own_jobs),
	    TEST(a_domain_without_dns_does_not_stop_the_others_of_its_site),
	    TEST(a_domain_whose_policy_forbids_delivery_does_not_stop_the_others_of_its_site),
	    TEST(a_message_that_wants_more_than_others_stops_nobody),
	    TEST(what_shaping_refuses_waits_for_its_time_with_its_reason),
	    TEST(as_many_jobs_as_shaping_allows_and_the_next_when_one_is_back),
	    TEST(a_rule_for_one_domain_does_not_stop_the_others_of_its_site),
	    TEST(what_shaping_lets_go_earlier_goes_earlier),
	    TEST(few_connections_stay_with_few_workers),
	    TEST(a_small_customer_does_not_wait_for_a_great_one),
	    TEST(a_customer_with_many_campaigns_has_no_more_turns_than_one_with_one),
	    TEST(campaigns_take_turns),
	};

	return cmocka_run_group_tests_name("queue_site", tests, NULL, NULL);
}
