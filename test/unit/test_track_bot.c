/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/track/track.h"
#include "relay/track/track_agent.h"
#include "relay/track/track_bot.h"
#include "relay/track/track_net.h"
#include "relay/track/track_window.h"

#define S TRACK_BOT_SECOND
#define MANY 32

struct play {
	struct track_bot_hit hits[MANY];
	const struct track_bot_hit *near[MANY];
	size_t count;
	struct track_bot_facts facts;
};

static struct track_bot_hit *hit(struct play *p, unsigned kind, unsigned link, uint64_t tid, int64_t at)
{
	struct track_bot_hit *h = &p->hits[p->count];

	*h = (struct track_bot_hit){.at = at, .tid = tid, .net = 1, .number = 1, .link = (uint16_t)link,
				    .kind = (uint8_t)kind, .agent = TRACK_AGENT_FIREFOX};
	p->near[p->count++] = h;
	return h;
}

static enum track_class judge(const struct play *p, const struct track_bot_hit *h, uint32_t *reasons)
{
	return track_bot_judge(h, &p->facts, p->near, p->count, reasons);
}

#define expect(p, h, class, why)                                                                     \
	do {                                                                                         \
		uint32_t reasons_;                                                                   \
		assert_int_equal(judge(p, h, &reasons_), class);                                     \
		assert_int_equal(reasons_, why);                                                     \
	} while (0)

static void somebody_who_follows_a_link_now_and_then_is_a_person(void **state)
{
	struct play p = {.facts = {.links = 5, .sent = 1 * S, .delivered = 2 * S}};
	struct track_bot_hit *a = hit(&p, TRACK_KIND_OPEN, 0, 9, 100 * S), *b = hit(&p, TRACK_KIND_CLICK, 2, 9, 110 * S);

	(void)state;
	hit(&p, TRACK_KIND_CLICK, 1, 9, 130 * S);
	expect(&p, a, TRACK_CLASS_HUMAN, 0);
	expect(&p, b, TRACK_CLASS_HUMAN, 0);
}

static void each_sign_makes_its_class(void **state)
{
	struct play p = {.facts = {.sent = 1 * S, .delivered = 50 * S}};
	struct track_bot_hit *h = hit(&p, TRACK_KIND_CLICK, 0, 9, 100 * S);

	(void)state;
	h->head = 1;
	expect(&p, h, TRACK_CLASS_MACHINE, TRACK_REASON_HEAD);
	h->head = 0;
	h->agent = TRACK_AGENT_SCANNER;
	expect(&p, h, TRACK_CLASS_MACHINE, TRACK_REASON_SCANNER);
	h->agent = TRACK_AGENT_OTHER;
	expect(&p, h, TRACK_CLASS_UNKNOWN, TRACK_REASON_AGENT);
	h->agent = TRACK_AGENT_APPLE_PROXY;
	expect(&p, h, TRACK_CLASS_UNKNOWN, TRACK_REASON_AGENT); /* these fetch pictures, and follow no links */
	h->kind = TRACK_KIND_OPEN;
	expect(&p, h, TRACK_CLASS_PROXY, TRACK_REASON_IMAGE_PROXY);
	h->agent = TRACK_AGENT_CHROME;
	h->at = 50 * S + 1;
	expect(&p, h, TRACK_CLASS_UNKNOWN, TRACK_REASON_INSTANT);
	h->at = 49 * S;
	expect(&p, h, TRACK_CLASS_MACHINE, TRACK_REASON_EARLY);
	p.facts.delivered = 0;
	expect(&p, h, TRACK_CLASS_MACHINE, TRACK_REASON_EARLY);
	p.facts.sent = 0; /* nothing is known of the message: then its time says nothing */
	expect(&p, h, TRACK_CLASS_HUMAN, 0);
	h->kind = TRACK_KIND_UNSUBSCRIBE;
	h->agent = TRACK_AGENT_TOOL;
	expect(&p, h, TRACK_CLASS_HUMAN, TRACK_REASON_ASKED);
}

static void an_invisible_link_tells_of_all_that_its_reader_did(void **state)
{
	struct play p = {.count = 0};
	struct track_bot_hit *before = hit(&p, TRACK_KIND_OPEN, 0, 9, 100 * S);
	struct track_bot_hit *other = hit(&p, TRACK_KIND_CLICK, 0, 8, 100 * S);
	struct track_bot_hit *trap = hit(&p, TRACK_KIND_CLICK, TRACK_LINK_HONEYPOT, 9, 300 * S);

	(void)state;
	expect(&p, before, TRACK_CLASS_MACHINE, TRACK_REASON_HONEYPOT);
	expect(&p, trap, TRACK_CLASS_MACHINE, TRACK_REASON_HONEYPOT);
	expect(&p, other, TRACK_CLASS_HUMAN, 0);
	trap->at = 100 * S + TRACK_BOT_REVISED + 1;
	expect(&p, before, TRACK_CLASS_HUMAN, 0);
}

static void three_links_within_two_seconds_are_a_burst_and_so_are_four_fifths(void **state)
{
	struct play p = {.facts = {.links = 20}};
	struct track_bot_hit *a = hit(&p, TRACK_KIND_CLICK, 1, 9, 100 * S), *b, *c;

	(void)state;
	b = hit(&p, TRACK_KIND_CLICK, 1, 9, 101 * S); /* the same one twice */
	expect(&p, a, TRACK_CLASS_HUMAN, 0);
	b->link = 2;
	expect(&p, b, TRACK_CLASS_HUMAN, 0);
	p.facts.links = 2;
	expect(&p, a, TRACK_CLASS_MACHINE, TRACK_REASON_BURST);
	p.facts.links = 3;
	expect(&p, a, TRACK_CLASS_HUMAN, 0);
	c = hit(&p, TRACK_KIND_CLICK, 3, 9, 102 * S);
	expect(&p, a, TRACK_CLASS_MACHINE, TRACK_REASON_BURST);
	expect(&p, b, TRACK_CLASS_MACHINE, TRACK_REASON_BURST);
	expect(&p, c, TRACK_CLASS_MACHINE, TRACK_REASON_BURST);
	c->at = 102 * S + 1;
	expect(&p, c, TRACK_CLASS_HUMAN, 0);
	c->at = 102 * S;
	c->tid = 8; /* somebody else */
	expect(&p, b, TRACK_CLASS_HUMAN, 0);
}

static void the_picture_and_all_links_in_order_are_a_sweep(void **state)
{
	struct play p = {.facts = {.links = 3}};
	struct track_bot_hit *open = hit(&p, TRACK_KIND_OPEN, 0, 9, 100 * S), *last;

	(void)state;
	hit(&p, TRACK_KIND_CLICK, 0, 9, 110 * S);
	hit(&p, TRACK_KIND_CLICK, 1, 9, 120 * S);
	expect(&p, open, TRACK_CLASS_HUMAN, 0);
	last = hit(&p, TRACK_KIND_CLICK, 2, 9, 130 * S);
	expect(&p, open, TRACK_CLASS_MACHINE, TRACK_REASON_SWEEP);
	expect(&p, last, TRACK_CLASS_MACHINE, TRACK_REASON_SWEEP);
	last->at = 115 * S; /* not in order */
	expect(&p, last, TRACK_CLASS_HUMAN, 0);
	last->at = 161 * S; /* not within a minute */
	expect(&p, open, TRACK_CLASS_HUMAN, 0);
}

static void one_network_with_the_tokens_of_many_is_a_crowd_but_for_picture_proxies(void **state)
{
	struct play p = {.count = 0};
	struct track_bot_hit *h = hit(&p, TRACK_KIND_OPEN, 0, 1, 100 * S);

	(void)state;
	for (uint64_t tid = 2; tid < TRACK_BOT_MANY; tid++)
		hit(&p, TRACK_KIND_OPEN, 0, tid, 100 * S);
	hit(&p, TRACK_KIND_OPEN, 0, 1, 100 * S);
	hit(&p, TRACK_KIND_OPEN, 0, 0, 100 * S);
	hit(&p, TRACK_KIND_OPEN, 0, 99, 100 * S)->net = 2;
	expect(&p, h, TRACK_CLASS_HUMAN, 0);
	hit(&p, TRACK_KIND_OPEN, 0, 77, 160 * S);
	expect(&p, h, TRACK_CLASS_MACHINE, TRACK_REASON_CROWD);
	h->agent = TRACK_AGENT_GOOGLE_PROXY;
	expect(&p, h, TRACK_CLASS_PROXY, TRACK_REASON_IMAGE_PROXY);
}

static void who_is_nobody_in_particular_is_told_by_network_and_campaign(void **state)
{
	struct play p = {.count = 0};
	struct track_bot_hit *a = hit(&p, TRACK_KIND_CLICK, 0, 0, 100 * S);

	(void)state;
	hit(&p, TRACK_KIND_CLICK, 1, 0, 100 * S);
	hit(&p, TRACK_KIND_CLICK, 2, 0, 100 * S)->net = 2;
	hit(&p, TRACK_KIND_CLICK, 3, 0, 100 * S)->number = 2;
	expect(&p, a, TRACK_CLASS_HUMAN, 0);
	hit(&p, TRACK_KIND_CLICK, 4, 0, 101 * S);
	expect(&p, a, TRACK_CLASS_MACHINE, TRACK_REASON_BURST);
}

static void programs_are_told_by_their_words(void **state)
{
	static const struct {
		const char *field;
		enum track_agent agent;
	} rows[] = {
	    {"", TRACK_AGENT_NONE},
	    {"Mozilla/5.0", TRACK_AGENT_APPLE_PROXY},
	    {"x", TRACK_AGENT_OTHER},
	    {"Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", TRACK_AGENT_FIREFOX},
	    {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0", TRACK_AGENT_THUNDERBIRD},
	    {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
	     TRACK_AGENT_CHROME},
	    {"Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
	     TRACK_AGENT_EDGE},
	    {"Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15", TRACK_AGENT_SAFARI},
	    {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", TRACK_AGENT_APPLE_MAIL},
	    {"Mozilla/4.0 (compatible; ms-office; MSOffice 16)", TRACK_AGENT_OUTLOOK},
	    {"Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)", TRACK_AGENT_GOOGLE_PROXY},
	    {"YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", TRACK_AGENT_YAHOO_PROXY},
	    {"Mozilla/5.0 (compatible; Googlebot/2.1)", TRACK_AGENT_SCANNER},
	    {"Mozilla/5.0 (X11) HeadlessChrome/120 Safari/537.36", TRACK_AGENT_SCANNER},
	    {"curl/8.5.0", TRACK_AGENT_TOOL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (track_agent_of(span_str(rows[i].field)) != rows[i].agent)
			fail_msg("%s: %s", rows[i].field, track_agent_name(track_agent_of(span_str(rows[i].field))));
}

static void reasons_are_words(void **state)
{
	char text[TRACK_BOT_TEXT];

	(void)state;
	track_bot_reasons(text, TRACK_REASON_BURST | TRACK_REASON_SCANNER);
	assert_string_equal(text, "burst,scanner");
	track_bot_reasons(text, ~0u); /* all of them fit */
	assert_non_null(strstr(text, "asked"));
	track_bot_reasons(text, 0);
	assert_string_equal(text, "");
	assert_string_equal(track_bot_class(77), "unknown");
}

static void the_window_finds_who_is_near_and_forgets_the_oldest(void **state)
{
	struct track_window *w = track_window_new();
	struct track_seen *near[TRACK_WINDOW_NEAR];
	struct track_bot_hit h = {.at = 1 * S, .tid = 7, .net = 3};

	(void)state;
	assert_non_null(w);
	assert_int_equal(track_window_near(w, &h, h.at, near), 0);
	track_window_add(w, &h)->event = 42;
	assert_int_equal(track_window_near(w, &h, h.at + TRACK_BOT_REVISED, near), 2); /* by reader, and by network */
	assert_int_equal(near[0]->event, 42);
	assert_int_equal(track_window_near(w, &h, h.at + TRACK_BOT_REVISED + 1, near), 0);
	track_window_forget(w, 7);
	assert_int_equal(track_window_near(w, &h, h.at, near), 1); /* of its reader nothing is known any more */
	assert_true(near[0]->hit.tid == 0 && near[0]->event == 0);
	for (uint64_t i = 0; i < TRACK_WINDOW_HITS; i++) {
		struct track_bot_hit o = {.at = 2 * S, .tid = 1000 + i, .net = 50 + i};
		track_window_add(w, &o);
	}
	assert_int_equal(track_window_near(w, &h, h.at, near), 0);
	h.tid = 1000 + TRACK_WINDOW_HITS - 1;
	h.net = 50 + TRACK_WINDOW_HITS - 1;
	assert_true(track_window_near(w, &h, 2 * S, near) >= 2);
	track_window_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(somebody_who_follows_a_link_now_and_then_is_a_person),
	    cmocka_unit_test(each_sign_makes_its_class),
	    cmocka_unit_test(an_invisible_link_tells_of_all_that_its_reader_did),
	    cmocka_unit_test(three_links_within_two_seconds_are_a_burst_and_so_are_four_fifths),
	    cmocka_unit_test(the_picture_and_all_links_in_order_are_a_sweep),
	    cmocka_unit_test(one_network_with_the_tokens_of_many_is_a_crowd_but_for_picture_proxies),
	    cmocka_unit_test(who_is_nobody_in_particular_is_told_by_network_and_campaign),
	    cmocka_unit_test(programs_are_told_by_their_words),
	    cmocka_unit_test(reasons_are_words),
	    cmocka_unit_test(the_window_finds_who_is_near_and_forgets_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
