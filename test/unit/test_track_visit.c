/* SPDX-License-Identifier: Apache-2.0 */
/* What the tracking host answers to each request, and what it notes: tokens are real, keys, manifests and the keeper are the
 * test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/track/track_host_own.h"
#include "relay/track/track_keep.h"

#define NOW (INT64_C(1795334400) * CLOCK_SEC) /* 2026-11-22 */

static const uint8_t key_of_shop[SEAL_TRACK_KEY] = {1, 2, 3}, key_of_other[SEAL_TRACK_KEY] = {4, 5, 6};
static struct relay_track_host hosts[2] = {{.host = (char *)"t.shop.example", .customer = (char *)"shop"},
					   {.host = (char *)"t.other.example", .customer = (char *)"other"}};
static struct relay_conf conf;
static struct track track;
static struct track_host host;
static struct track_site site = {.conf = &conf, .refs = 1};
static struct track_conn conn;

/* What the parts around it say, and hear. */
static struct {
	int keys;	/* 1: at hand; 0: asked of keyd; ERR_* */
	int link;	/* of track_link */
	int limit;	/* within the rate */
	struct track_keys_wait *waiting;
	struct track_unsubscribe *unsubscribing;
	unsigned hits, replies;
	struct track_hit hit;
	struct track_page page;
	char location[TRACK_PAGE_URL_MAX];
} world;

/* --- the parts around it */

void track_conn_reply(struct track_conn *c, const struct track_page *p)
{
	c->visit = NULL;
	world.replies++;
	world.page = *p;
	snprintf(world.location, sizeof(world.location), "%s", p->location ? p->location : "");
}

int track_keys_get(struct track_keys *k, const char *customer, uint32_t epoch, struct track_keys_wait *w,
		   const uint8_t **key)
{
	(void)k;
	assert_int_equal(epoch, seal_track_epoch(seal_track_day(NOW / CLOCK_SEC)));
	*key = strcmp(customer, "shop") ? key_of_other : key_of_shop;
	world.waiting = world.keys == 0 ? w : NULL;
	return world.keys;
}

void track_keys_cancel(struct track_keys_wait *w)
{
	if (world.waiting == w)
		world.waiting = NULL;
}

void track_keep_hit(struct track_keep *k, const struct track_hit *h)
{
	(void)k;
	world.hits++;
	world.hit = *h;
}

unsigned track_link_count(struct relay *r, uint32_t number)
{
	(void)r;
	(void)number;
	return 5;
}

int track_link(struct relay *r, const char *customer, uint32_t number, unsigned link, struct span field, char *dst,
	       size_t size)
{
	(void)r;
	(void)field;
	snprintf(dst, size, "https://www.%s.example/%u/%u", customer, number, link);
	return world.link;
}

void track_unsubscribe_post(struct track *t, struct track_unsubscribe *u)
{
	(void)t;
	world.unsubscribing = u;
}

int in_limit_take(struct in_limit *l, enum in_limit_kind kind, struct in_limit_key key, struct num_rate rate, int64_t now)
{
	(void)l;
	(void)key;
	(void)rate;
	(void)now;
	assert_int_equal(kind, IN_LIMIT_TRACKING);
	return world.limit;
}

/* --- a request */

static int set_up(void **state)
{
	(void)state;
	clock_set(NOW, NOW);
	memset(&world, 0, sizeof(world));
	world.keys = 1;
	world.limit = 1;
	conf.tracking.hosts.items = hosts;
	conf.tracking.hosts.count = 2;
	host.track = &track;
	host.inbox = evt_inbox_new(NULL, NULL, NULL);
	list_init(&host.visits);
	conn = (struct track_conn){.host = &host, .site = &site, .net = "192.0.2.0/24"};
	return track_page_init();
}

static int tear_down(void **state)
{
	(void)state;
	track_visit_clear(&host);
	evt_inbox_free(host.inbox);
	clock_restore();
	return 0;
}

/* "/c/TOKEN" and the like; days: how long it is still good. */
static const char *path_of(enum seal_track_kind kind, uint64_t tid, uint16_t link, int days)
{
	static const char *const prefixes[] = {"/c/", "/o/", "/u/"};
	static char path[512];
	const struct seal_track_place place = {span_str(hosts[0].host), span_str(hosts[0].customer)};
	uint32_t today = seal_track_day(NOW / CLOCK_SEC);
	const struct seal_track t = {.kind = kind, .message = tid, .number = 7, .link = link, .last = (uint16_t)((int)today + days)};
	struct seal_track_raw raw;
	char text[SEAL_TRACK_URL_SIZE];

	/* by the key of today: an epoch ago it might have been another one */
	assert_int_equal(seal_track_make(key_of_shop, &place, &t, days < 0 ? today + (uint32_t)days : today, &raw), 0);
	seal_track_url_put(text, &raw);
	snprintf(path, sizeof(path), "%s%s%s", prefixes[kind], text, kind == SEAL_TRACK_OPEN ? ".gif" : "");
	return path;
}

static void visit_at(unsigned where, const char *method, const char *path, const char *form)
{
	char head[1024];
	struct http_request r;
	struct track_visit *v;

	snprintf(head, sizeof(head),
		 "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Firefox/145.0\r\n"
		 "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n",
		 method, path, hosts[where].host, form ? strlen(form) : 0);
	assert_true(http_request_parse(span_str(head), &r) > 0);
	world.replies = world.hits = 0;
	v = track_visit_new(&conn, &hosts[where], &r, span_str(form ? form : ""));
	assert_non_null(v);
	track_visit_run(v);
}

static void visit(const char *method, const char *path)
{
	visit_at(0, method, path, NULL);
}

static void got(enum track_reply reply, unsigned hits)
{
	assert_int_equal(world.replies, 1);
	assert_int_equal(world.page.reply, reply);
	assert_int_equal(world.hits, hits);
	assert_true(list_empty(&host.visits));
}

/* --- clicks */

static void a_click_goes_where_the_manifest_says_and_is_noted(void **state)
{
	(void)state;
	visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
	got(TRACK_REPLY_GO, 1);
	assert_string_equal(world.location, "https://www.shop.example/7/3#");
	assert_true(world.hit.bot.tid == 42 && world.hit.bot.number == 7 && world.hit.bot.link == 3 && world.hit.bot.at == NOW);
	assert_true(world.hit.bot.kind == TRACK_KIND_CLICK && !world.hit.bot.head && world.hit.links == 5);
	assert_string_equal(world.hit.net, "192.0.2.0/24");
	assert_string_equal(world.hit.customer, "shop");
	visit("HEAD", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
	got(TRACK_REPLY_GO, 1);
	assert_true(world.page.head && world.hit.bot.head);
}

static void a_link_without_a_destination_is_none(void **state)
{
	static const struct {
		int err;
		enum track_reply reply;
	} rows[] = {{ERR_NOTFOUND, TRACK_REPLY_NOT_FOUND}, {ERR_LIMIT, TRACK_REPLY_NOT_FOUND},
		    {ERR_AWAY, TRACK_REPLY_AWAY}, {ERR_NOMEM, TRACK_REPLY_AWAY}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world.link = rows[i].err;
		visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
		got(rows[i].reply, 0);
		assert_string_equal(world.location, "");
	}
}

static void the_invisible_link_leads_nowhere_and_is_noted(void **state)
{
	(void)state;
	visit("GET", path_of(SEAL_TRACK_CLICK, 42, TRACK_LINK_HONEYPOT, 400));
	got(TRACK_REPLY_NOTHING, 1);
	assert_int_equal(world.hit.bot.link, TRACK_LINK_HONEYPOT);
}

static void what_is_wrong_with_a_token_decides_between_404_and_410(void **state)
{
	char path[512];

	(void)state;
	visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, -1));
	got(TRACK_REPLY_GONE, 0);
	visit_at(1, "GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400), NULL); /* another host, another customer */
	got(TRACK_REPLY_NOT_FOUND, 0);
	snprintf(path, sizeof(path), "/u/%s", path_of(SEAL_TRACK_CLICK, 42, 3, 400) + 3); /* another kind */
	visit("GET", path);
	got(TRACK_REPLY_NOT_FOUND, 0);
	snprintf(path, sizeof(path), "%s", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
	path[20] = path[20] == 'A' ? 'B' : 'A';
	visit("GET", path);
	got(TRACK_REPLY_NOT_FOUND, 0);
	visit("GET", "/c/short");
	got(TRACK_REPLY_NOT_FOUND, 0);
	visit("GET", "/");
	got(TRACK_REPLY_NOT_FOUND, 0);
	visit("GET", "/robots.txt");
	got(TRACK_REPLY_ROBOTS, 0);
}

/* --- keys */

static void keyd_decides_whether_it_is_gone_unknown_or_away(void **state)
{
	static const struct {
		int err;
		enum track_reply reply;
	} rows[] = {{ERR_GONE, TRACK_REPLY_GONE},   {ERR_NOTFOUND, TRACK_REPLY_NOT_FOUND}, {ERR_LOCKED, TRACK_REPLY_AWAY},
		    {ERR_AWAY, TRACK_REPLY_AWAY},   {ERR_TIMEOUT, TRACK_REPLY_AWAY},	    {ERR_BUSY, TRACK_REPLY_AWAY},
		    {ERR_NOMEM, TRACK_REPLY_AWAY}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world.keys = rows[i].err;
		visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
		got(rows[i].reply, 0);
		world.keys = 0; /* the same, later */
		visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
		assert_int_equal(world.replies, 0);
		world.waiting->fn(world.waiting, rows[i].err, NULL);
		got(rows[i].reply, 0);
	}
}

static void who_left_while_the_key_was_asked_for_has_clicked_all_the_same(void **state)
{
	(void)state;
	world.keys = 0;
	visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
	track_visit_leave(conn.visit);
	world.waiting->fn(world.waiting, 0, key_of_shop);
	assert_int_equal(world.replies, 0);
	assert_int_equal(world.hits, 1);
	assert_true(list_empty(&host.visits));
}

static void at_the_end_keys_that_are_waited_for_do_not_come(void **state)
{
	(void)state;
	world.keys = 0;
	visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
	assert_non_null(world.waiting);
	track_visit_stop(&host);
	assert_null(world.waiting);
}

/* --- pictures */

static void a_picture_is_there_before_anybody_looks_at_the_token(void **state)
{
	(void)state;
	visit("GET", path_of(SEAL_TRACK_OPEN, 42, 0, 400));
	got(TRACK_REPLY_PIXEL, 1);
	assert_int_equal(world.hit.bot.kind, TRACK_KIND_OPEN);
	visit("GET", path_of(SEAL_TRACK_OPEN, 42, 0, -1));
	got(TRACK_REPLY_PIXEL, 0);
	visit("GET", "/o/nonsense.gif");
	got(TRACK_REPLY_PIXEL, 0);
	world.keys = ERR_LOCKED;
	visit("GET", path_of(SEAL_TRACK_OPEN, 42, 0, 400));
	got(TRACK_REPLY_PIXEL, 0);
	world.keys = 0;
	visit("GET", path_of(SEAL_TRACK_OPEN, 42, 0, 400));
	assert_int_equal(world.replies, 1);
	world.waiting->fn(world.waiting, 0, key_of_shop);
	got(TRACK_REPLY_PIXEL, 1);
}

/* --- unsubscribing */

static void looking_at_a_link_to_unsubscribe_changes_nothing(void **state)
{
	(void)state;
	visit("GET", path_of(SEAL_TRACK_UNSUBSCRIBE, 42, 0, 400));
	got(TRACK_REPLY_CONFIRM, 0);
	visit("HEAD", path_of(SEAL_TRACK_UNSUBSCRIBE, 42, 0, 400));
	got(TRACK_REPLY_CONFIRM, 0);
	assert_null(world.unsubscribing);
}

static void run_inbox(void)
{
	struct evt_msg *m = evt_inbox_wait(host.inbox, CLOCK_SEC);

	assert_non_null(m);
	((struct relay_msg *)m)->run((struct relay_msg *)m, &host);
}

static void one_click_is_answered_when_it_is_done(void **state)
{
	static const struct {
		int err;
		enum track_reply reply;
	} rows[] = {{0, TRACK_REPLY_DONE}, {ERR_NOTFOUND, TRACK_REPLY_GONE}, {ERR_LOCKED, TRACK_REPLY_AWAY},
		    {ERR_IO, TRACK_REPLY_AWAY}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		visit_at(0, "POST", path_of(SEAL_TRACK_UNSUBSCRIBE, 42, 0, 400), "List-Unsubscribe=One-Click");
		assert_int_equal(world.replies, 0);
		assert_non_null(world.unsubscribing);
		assert_true(world.unsubscribing->tid == 42 && world.unsubscribing->number == 7);
		assert_string_equal(world.unsubscribing->customer, "shop");
		world.unsubscribing->err = rows[i].err;
		world.unsubscribing->done(world.unsubscribing);
		run_inbox();
		got(rows[i].reply, 0);
	}
}

static void a_form_that_does_not_ask_for_it_changes_nothing(void **state)
{
	(void)state;
	visit_at(0, "POST", path_of(SEAL_TRACK_UNSUBSCRIBE, 42, 0, 400), "List-Unsubscribe=No");
	got(TRACK_REPLY_BAD, 0);
	visit_at(0, "POST", path_of(SEAL_TRACK_UNSUBSCRIBE, 42, 0, 400), "");
	got(TRACK_REPLY_BAD, 0);
	assert_null(world.unsubscribing);
}

/* --- methods, and too many */

static void methods_that_are_not_for_it_are_refused(void **state)
{
	static const char *const methods[] = {"PUT", "DELETE", "OPTIONS", "get"};

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		visit(methods[i], path_of(SEAL_TRACK_CLICK, 42, 3, 400));
		got(TRACK_REPLY_METHOD, 0);
		assert_false(world.page.form);
	}
	visit_at(0, "POST", path_of(SEAL_TRACK_CLICK, 42, 3, 400), "List-Unsubscribe=One-Click");
	got(TRACK_REPLY_METHOD, 0);
	visit("PUT", path_of(SEAL_TRACK_UNSUBSCRIBE, 42, 0, 400));
	got(TRACK_REPLY_METHOD, 0);
	assert_true(world.page.form);
}

static void who_asks_too_much_is_told_so_but_sees_pictures(void **state)
{
	(void)state;
	world.limit = 0;
	visit("GET", path_of(SEAL_TRACK_CLICK, 42, 3, 400));
	got(TRACK_REPLY_MANY, 0);
	visit("GET", "/robots.txt");
	got(TRACK_REPLY_MANY, 0);
	visit("GET", path_of(SEAL_TRACK_OPEN, 42, 0, 400));
	got(TRACK_REPLY_PIXEL, 0);
	assert_true(atomic_load(&host.refused) >= 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(a_click_goes_where_the_manifest_says_and_is_noted),
	    TEST(a_link_without_a_destination_is_none),
	    TEST(the_invisible_link_leads_nowhere_and_is_noted),
	    TEST(what_is_wrong_with_a_token_decides_between_404_and_410),
	    TEST(keyd_decides_whether_it_is_gone_unknown_or_away),
	    TEST(who_left_while_the_key_was_asked_for_has_clicked_all_the_same),
	    TEST(at_the_end_keys_that_are_waited_for_do_not_come),
	    TEST(a_picture_is_there_before_anybody_looks_at_the_token),
	    TEST(looking_at_a_link_to_unsubscribe_changes_nothing),
	    TEST(one_click_is_answered_when_it_is_done),
	    TEST(a_form_that_does_not_ask_for_it_changes_nothing),
	    TEST(methods_that_are_not_for_it_are_refused),
	    TEST(who_asks_too_much_is_told_so_but_sees_pictures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
