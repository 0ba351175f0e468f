/* SPDX-License-Identifier: Apache-2.0 */
/* Paces, adaptive limits and warm-up days, and what the replies of a site change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "shape/shape_state.h"
#include "shape/shape_warm.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

static struct num_rate rate(const char *text)
{
	struct num_rate r;

	assert_int_equal(num_parse_rate(span_str(text), &r), 0);
	return r;
}

/* --- rates */

#define SENDS 4000

/* Sends whenever it may, sometimes late, with pauses; checks every window. */
static void check_rate(const char *text, int64_t lateness, unsigned seed)
{
	static int64_t times[SENDS];
	struct num_rate r = rate(text);
	struct shape_rate s = {0};
	int64_t now = HOUR, idle = 0;

	for (int i = 0; i < SENDS; i++) {
		int64_t when = shape_rate_when(&s, r, now);
		seed = seed * 1103515245u + 12345u;
		if (when > now)
			now = when + (lateness ? (int64_t)(seed >> 8) % lateness : 0);
		if (seed >> 16 == 7) {
			now += 2 * r.window;
			idle += 2 * r.window;
		}
		assert_true(shape_rate_when(&s, r, now) == now);
		shape_rate_take(&s, r, now);
		times[i] = now;
	}
	/* one more than count within less than the window would be too many */
	for (size_t i = 0; i + r.count < SENDS; i++)
		assert_true(times[i + r.count] - times[i] >= r.window);
	/* and it is not much slower than it may be */
	if (!lateness)
		assert_true((now - HOUR - idle) / 100 * 88 <= r.window / (int64_t)r.count * SENDS / 100 * 100);
}

static void in_no_window_are_there_more_than_the_rate_allows(void **state)
{
	static const char *const rows[] = {"1/s", "5/s", "100/15m", "1,000/h", "10/min", "20/m", "2000/s", "3/7s"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_rate(rows[i], 0, 1);
		check_rate(rows[i], 3000, 2);
		check_rate(rows[i], 2 * SECOND, 3);
	}
}

static void a_late_sender_catches_up_by_a_twentieth(void **state)
{
	struct num_rate r = rate("100/s");
	struct shape_rate s = {0};
	int64_t now = HOUR;
	int at_once = 0;

	(void)state;
	assert_true(shape_rate_when(&s, r, now) == now);
	shape_rate_take(&s, r, now);
	assert_true(shape_rate_when(&s, r, now) > now); /* begins without credit */
	now += SECOND;
	while (shape_rate_when(&s, r, now) == now) {
		shape_rate_take(&s, r, now);
		at_once++;
	}
	assert_int_equal(at_once, 6);
	shape_rate_back(&s, r);
	assert_true(shape_rate_when(&s, r, now) == now);
}

/* --- adaptive concurrency */

static void the_limit_grows_with_answers_only_while_it_is_in_use(void **state)
{
	struct shape_adapt a;

	(void)state;
	shape_adapt_init(&a, 5, 20);
	for (int i = 0; i < 100; i++)
		shape_adapt_good(&a, 20, 4, 0);
	assert_int_equal(shape_adapt_limit(&a, 20), 5);
	for (int i = 0; i < 5; i++)
		shape_adapt_good(&a, 20, 5, 0);
	assert_int_equal(shape_adapt_limit(&a, 20), 6);
	for (int i = 0; i < 1000; i++)
		shape_adapt_good(&a, 20, 20, 0);
	assert_int_equal(shape_adapt_limit(&a, 20), 20);
	assert_int_equal(shape_adapt_limit(&a, 3), 3);
}

static void failures_shrink_to_what_stands_but_never_below_one(void **state)
{
	struct shape_adapt a;

	(void)state;
	shape_adapt_init(&a, 16, 20);
	shape_adapt_bad(&a, 12);
	assert_int_equal(shape_adapt_limit(&a, 20), 12);
	shape_adapt_bad(&a, 0);
	assert_int_equal(shape_adapt_limit(&a, 20), 6);
	for (int i = 0; i < 9; i++)
		shape_adapt_bad(&a, 0);
	assert_int_equal(shape_adapt_limit(&a, 20), 1);
}

static void grow(struct shape_adapt *a, int64_t now)
{
	for (int i = 0; i < 500; i++)
		shape_adapt_good(a, 20, a->limit, now);
}

static void too_many_connections_is_remembered_and_longer_each_time(void **state)
{
	struct shape_adapt a;
	int64_t now = HOUR;

	(void)state;
	shape_adapt_init(&a, 10, 20);
	shape_adapt_crowded(&a, 3, now);
	assert_int_equal(shape_adapt_limit(&a, 20), 3);
	/* three others were told the same at the same time */
	shape_adapt_crowded(&a, 4, now + 1);
	assert_int_equal(shape_adapt_limit(&a, 20), 3);
	grow(&a, now + SHAPE_ADAPT_HOLD - 1);
	assert_int_equal(shape_adapt_limit(&a, 20), 3);
	now += SHAPE_ADAPT_HOLD;
	shape_adapt_good(&a, 20, 3, now);
	shape_adapt_good(&a, 20, 3, now);
	shape_adapt_good(&a, 20, 3, now);
	assert_int_equal(shape_adapt_limit(&a, 20), 4);
	shape_adapt_crowded(&a, 3, now);
	grow(&a, now + 2 * SHAPE_ADAPT_HOLD - 1);
	assert_int_equal(shape_adapt_limit(&a, 20), 3);
	grow(&a, now + 2 * SHAPE_ADAPT_HOLD);
	assert_int_equal(shape_adapt_limit(&a, 20), 20);
}

/* --- one source at one site */

static const struct shape_rule_limits limits = {.connections = 10, .start = 4, .messages = 100,
						.recipients = 100, .idle = 10 * SECOND};

static const char rule_text[] =
    "rules:\n"
    "  - name: p\n"
    "    mx: [\"*\"]\n"
    "    patterns:\n"
    "      - {name: crowd, reply: \"^421 .*too many connections\", action: fewer}\n"
    "      - {name: rate, reply: \"unusual rate\", action: slow, rate: 10/m, connections: 1, duration: 30m}\n"
    "      - {name: later, reply: \"^451 4\\\\.7\\\\.\", threshold: 2/h, action: backoff, duration: 10m, longest: 30m}\n"
    "      - {name: listed, reply: \"block ?list\", action: suspend, duration: 2h}\n"
    "      - {name: ours, reply: \"^554 .*block ?list\", action: retry}\n"
    "      - {name: nobody, reply: \"^450 .*no such user\", action: bounce}\n";

struct play {
	struct shape_rules *rules;
	struct shape_state s;
	struct shape_effect effect;
	int64_t now;
};

static void begin(struct play *p)
{
	char err[CONF_ERR_MAX];

	p->rules = shape_rules_parse("play.yaml", span_str(rule_text), err);
	if (!p->rules)
		fail_msg("%s", err);
	shape_state_init(&p->s, &limits);
	p->now = HOUR;
}

static void end(struct play *p)
{
	shape_state_clear(&p->s);
	shape_rules_unref(p->rules);
}

static void hear(struct play *p, unsigned code, const char *text)
{
	const struct shape_pattern *found[SHAPE_MATCH_MAX];
	char line[SHAPE_TEXT_MAX + 1];

	shape_rule_text(line, code, SPAN_LIT(""), span_str(text));
	shape_state_reply(&p->s, found, shape_rules_match(p->rules, NULL, line, found), p->now, &p->effect);
}

static int may_connect(struct play *p)
{
	int64_t until;

	return shape_state_connection(&p->s, &limits, p->now, &until);
}

static void connections_end_at_the_limit_and_one_returned_is_free_again(void **state)
{
	struct play p;
	int64_t until;

	(void)state;
	begin(&p);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(may_connect(&p), SHAPE_GO);
		shape_state_open(&p.s, &limits, p.now);
	}
	assert_int_equal(shape_state_connection(&p.s, &limits, p.now, &until), SHAPE_AT_LIMIT);
	assert_true(until == SHAPE_STATE_NEVER);
	shape_state_close(&p.s);
	assert_int_equal(may_connect(&p), SHAPE_GO);
	end(&p);
}

static void a_reply_that_fits_nothing_changes_nothing(void **state)
{
	struct play p;

	(void)state;
	begin(&p);
	hear(&p, 550, "5.1.1 who is that?");
	assert_int_equal(p.effect.count, 0);
	assert_int_equal(p.effect.verdict, -1);
	assert_int_equal(may_connect(&p), SHAPE_GO);
	end(&p);
}

static void a_back_off_begins_at_its_threshold_and_doubles_up_to_longest(void **state)
{
	struct play p;
	int64_t until;

	(void)state;
	begin(&p);
	hear(&p, 451, "4.7.1 later");
	assert_int_equal(may_connect(&p), SHAPE_GO);
	p.now += HOUR + 1; /* the first is too old */
	hear(&p, 451, "4.7.1 later");
	assert_int_equal(may_connect(&p), SHAPE_GO);
	p.now += MINUTE;
	hear(&p, 451, "4.7.1 later");
	assert_int_equal(shape_state_connection(&p.s, &limits, p.now, &until), SHAPE_IN_BACKOFF);
	assert_true(until == p.now + 10 * MINUTE);
	assert_string_equal(p.s.rest_name, "later");
	/* others in flight hear the same: no second back-off */
	hear(&p, 451, "4.7.1 later");
	hear(&p, 451, "4.7.1 later");
	shape_state_connection(&p.s, &limits, p.now, &until);
	assert_true(until == p.now + 10 * MINUTE);
	p.now += 10 * MINUTE;
	assert_int_equal(may_connect(&p), SHAPE_GO);
	shape_state_open(&p.s, &limits, p.now);
	assert_int_equal(may_connect(&p), SHAPE_AT_LIMIT); /* one goes first */
	hear(&p, 451, "4.7.1 later");
	hear(&p, 451, "4.7.1 later");
	shape_state_connection(&p.s, &limits, p.now, &until);
	assert_true(until == p.now + 20 * MINUTE);
	p.now += 20 * MINUTE;
	hear(&p, 451, "4.7.1 later");
	hear(&p, 451, "4.7.1 later");
	shape_state_connection(&p.s, &limits, p.now, &until);
	assert_true(until == p.now + 30 * MINUTE);
	p.now += 30 * MINUTE;
	shape_state_good(&p.s, &limits, p.now);
	shape_state_open(&p.s, &limits, p.now);
	shape_state_good(&p.s, &limits, p.now);
	assert_int_equal(shape_state_limit(&p.s, &limits, p.now), 2);
	end(&p);
}

static void slow_gives_another_rate_for_a_while(void **state)
{
	struct play p;
	int64_t until;

	(void)state;
	begin(&p);
	hear(&p, 421, "4.7.28 unusual rate of mail");
	assert_int_equal(shape_state_limit(&p.s, &limits, p.now), 1);
	assert_int_equal(shape_state_message(&p.s, &limits, p.now, &until), SHAPE_AT_RATE);
	assert_true(until > p.now + 5 * SECOND && until < p.now + 7 * SECOND);
	p.now = until;
	assert_int_equal(shape_state_message(&p.s, &limits, p.now, &until), SHAPE_GO);
	shape_state_send(&p.s, &limits, p.now);
	assert_int_equal(shape_state_message(&p.s, &limits, p.now, &until), SHAPE_AT_RATE);
	p.now += 30 * MINUTE;
	assert_int_equal(shape_state_message(&p.s, &limits, p.now, &until), SHAPE_GO);
	shape_state_send(&p.s, &limits, p.now);
	assert_int_equal(shape_state_message(&p.s, &limits, p.now, &until), SHAPE_GO);
	assert_int_equal(shape_state_limit(&p.s, &limits, p.now), 4);
	end(&p);
}

static void suspended_stays_so_for_its_time_or_until_resumed(void **state)
{
	struct play p;
	int64_t until;

	(void)state;
	begin(&p);
	hear(&p, 554, "5.7.1 on our blocklist");
	assert_int_equal(p.effect.verdict, SHAPE_RULE_RETRY);
	assert_int_equal(shape_state_message(&p.s, &limits, p.now, &until), SHAPE_SUSPENDED);
	assert_true(until == p.now + 2 * HOUR);
	assert_true(shape_state_resume(&p.s, p.now));
	assert_int_equal(shape_state_message(&p.s, &limits, p.now, &until), SHAPE_GO);
	assert_false(shape_state_resume(&p.s, p.now));
	end(&p);
}

static void a_reply_can_be_more_or_less_final_than_its_code(void **state)
{
	struct play p;

	(void)state;
	begin(&p);
	hear(&p, 450, "4.2.1 No such user here");
	assert_int_equal(p.effect.verdict, SHAPE_RULE_BOUNCE);
	assert_int_equal(may_connect(&p), SHAPE_GO);
	end(&p);
}

static void too_many_connections_leaves_those_that_stand(void **state)
{
	struct play p;

	(void)state;
	begin(&p);
	for (int i = 0; i < 4; i++)
		shape_state_open(&p.s, &limits, p.now);
	hear(&p, 421, "4.7.0 Too many connections from you");
	assert_int_equal(shape_state_limit(&p.s, &limits, p.now), 3);
	assert_true(p.effect.acts[0].news);
	shape_state_close(&p.s);
	assert_int_equal(may_connect(&p), SHAPE_AT_LIMIT);
	end(&p);
}

/* --- warm-up */

static void warm_up_days_are_days_of_the_calendar(void **state)
{
	static const struct {
		const char *text;
		int64_t day;
	} rows[] = {{"1970-01-01", 0},	   {"1970-03-01", 59},	 {"2000-02-29", 11016}, {"2000-03-01", 11017},
		    {"2026-11-01", 20758}, {"2100-03-01", 47541}};
	static const char *const bad[] = {"2026-02-29", "2026-13-01", "2026-00-01", "2026-1-01", "1969-12-31",
					  "2026-11-31", "", "2026-11-011", "2100-02-29"};
	struct shape_warm w = {.count = 3, .daily = {50, 100, SHAPE_WARM_ALL}};
	int64_t day, ends;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(shape_warm_date(span_str(rows[i].text), &day), 0);
		assert_int_equal(day, rows[i].day);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(shape_warm_date(span_str(bad[i]), &day), ERR_FORMAT);
	w.start = 20758;
	assert_int_equal(shape_warm_limit(&w, 20757), 0);
	assert_int_equal(shape_warm_limit(&w, 20758), 50);
	assert_int_equal(shape_warm_limit(&w, 20759), 100);
	assert_int_equal(shape_warm_limit(&w, 20760), SHAPE_WARM_ALL);
	assert_int_equal(shape_warm_limit(&w, 29999), SHAPE_WARM_ALL);
	assert_int_equal(shape_warm_day(INT64_C(20758) * 86400 * SECOND + 1, &ends), 20758);
	assert_true(ends == INT64_C(20759) * 86400 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(in_no_window_are_there_more_than_the_rate_allows),
	    cmocka_unit_test(a_late_sender_catches_up_by_a_twentieth),
	    cmocka_unit_test(the_limit_grows_with_answers_only_while_it_is_in_use),
	    cmocka_unit_test(failures_shrink_to_what_stands_but_never_below_one),
	    cmocka_unit_test(too_many_connections_is_remembered_and_longer_each_time),
	    cmocka_unit_test(connections_end_at_the_limit_and_one_returned_is_free_again),
	    cmocka_unit_test(a_reply_that_fits_nothing_changes_nothing),
	    cmocka_unit_test(a_back_off_begins_at_its_threshold_and_doubles_up_to_longest),
	    cmocka_unit_test(slow_gives_another_rate_for_a_while),
	    cmocka_unit_test(suspended_stays_so_for_its_time_or_until_resumed),
	    cmocka_unit_test(a_reply_can_be_more_or_less_final_than_its_code),
	    cmocka_unit_test(too_many_connections_leaves_those_that_stand),
	    cmocka_unit_test(warm_up_days_are_days_of_the_calendar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
