/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/out/out_selftest.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "evt/evt_timer.h"
#include "relay/out/out_anchor.h"
#include "relay/out/out_dns.h"
#include "relay/out/out_route.h"

#define EVERY_BAD  (60 * CLOCK_SEC)
#define EVERY_GOOD (300 * CLOCK_SEC)
#define PATIENCE   (8 * CLOCK_SEC) /* for a question that is validated */
#define DIAGNOSIS  (5 * CLOCK_SEC) /* for one that is to show why */
#define SAY_AGAIN  (3600 * CLOCK_SEC)

/* Which question is open. */
enum step { IDLE, VALIDATED, PLAIN_KEYS, PLAIN_SOA };

struct out_selftest {
	struct relay *relay;
	struct evt_loop *loop;
	const struct relay_conf *conf;
	struct evt_timer timer; /* IDLE: the next test; else: the end of patience */
	struct evt_defer next;	/* never within an answer: its resolver is in use */
	enum step step;
	int result; /* of the question that was just answered */
	unsigned signatures;
	struct out_anchor anchor;
	unsigned zone;
	struct out_dns *dns;
	struct out_dns_query *query;
	int64_t began, said;
};

static const struct {
	const char *name, *what;
} texts[] = {
#define OUT_SELFTEST_X(sym, name, what) {name, what},
    OUT_SELFTEST_LIST(OUT_SELFTEST_X)
#undef OUT_SELFTEST_X
};
enum { RESULTS = sizeof(texts) / sizeof(texts[0]) };

const char *out_selftest_name(int result)
{
	return texts[result >= 0 && result < RESULTS ? result : 0].name;
}

const char *out_selftest_what(int result)
{
	return texts[result >= 0 && result < RESULTS ? result : 0].what;
}

/* --- the result */

static void say(struct out_selftest *t, int result)
{
	const char *zone = t->zone < t->anchor.count ? t->anchor.zones[t->zone] : "-";
	enum log_level level = result == OUT_SELFTEST_STRIPPED || result == OUT_SELFTEST_BOGUS
				   ? LOG_LEVEL_ERROR
			       : out_selftest_bad(result) ? LOG_LEVEL_WARN
							  : LOG_LEVEL_INFO;

	t->said = evt_loop_now(t->loop);
	log_event(level, NULL, "dns-selftest", "result=%s zone=%s what=\"%s\"",
		  out_selftest_name(result), out_selftest_bad(result) ? zone : "-",
		  out_selftest_what(result));
}

static void conclude(struct out_selftest *t, int result)
{
	int before = atomic_exchange(&t->relay->dns.selftest, result);

	t->step = IDLE;
	out_dns_free(t->dns);
	t->dns = NULL;
	t->query = NULL;
	atomic_store(&t->relay->dns.tested, clock_wall());
	if (before != result)
		atomic_store(&t->relay->dns.since, clock_wall());
	if (before != result ||
	    (out_selftest_bad(result) && evt_loop_now(t->loop) - t->said >= SAY_AGAIN))
		say(t, result);
	evt_timer_set(&t->timer, out_selftest_bad(result) ? EVERY_BAD : EVERY_GOOD);
}

/* --- questions */

static void on_answer(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct out_selftest *t = arg;

	t->query = NULL;
	t->result = result;
	t->signatures = msg->signatures;
	if (t->step == VALIDATED && result == 0 && (!secure || !msg->count))
		t->result = ERR_AUTH;
	evt_loop_defer(t->loop, &t->next);
}

static void ask(struct out_selftest *t, enum step step)
{
	const char *why;

	t->step = step;
	evt_timer_set(&t->timer, step == VALIDATED ? PATIENCE : DIAGNOSIS);
	out_dns_free(t->dns); /* nothing cached */
	t->dns = step == VALIDATED ? out_dns_new(t->loop, t->conf, &why)
				   : out_dns_new_unvalidated(t->loop, t->conf);
	if (!t->dns) {
		conclude(t, OUT_SELFTEST_UNREACHABLE);
		return;
	}
	out_dns_quiet(t->dns);
	t->query = out_dns_ask(t->dns, t->anchor.zones[t->zone],
			       step == PLAIN_SOA ? OUT_DNSMSG_SOA : OUT_DNSMSG_DNSKEY, on_answer, t);
}

static void after_validated(struct out_selftest *t)
{
	if (t->result != 0)
		ask(t, PLAIN_KEYS);
	else if (++t->zone < t->anchor.count)
		ask(t, VALIDATED);
	else
		conclude(t, OUT_SELFTEST_VALIDATES);
}

/* Whoever has no answer for a type that is new to it may still have one for an old type. */
static void after_plain_keys(struct out_selftest *t)
{
	if (t->result == 0)
		conclude(t, t->signatures ? OUT_SELFTEST_BOGUS : OUT_SELFTEST_STRIPPED);
	else if (t->result == ERR_NOTFOUND)
		conclude(t, OUT_SELFTEST_UNREACHABLE);
	else
		ask(t, PLAIN_SOA);
}

static void go_on(void *arg)
{
	struct out_selftest *t = arg;

	if (t->step == VALIDATED)
		after_validated(t);
	else if (t->step == PLAIN_KEYS)
		after_plain_keys(t);
	else if (t->step == PLAIN_SOA)
		conclude(t, t->result == 0 ? OUT_SELFTEST_STRIPPED : OUT_SELFTEST_UNREACHABLE);
}

/* --- when */

static int asks_dns(const struct relay_conf *c, const struct relay_route *r)
{
	struct out_route way;

	return out_route_find(c, r->customer ? r->customer : "", "a.invalid", r->to, &way) < 0 ||
	       !way.literal;
}

/* 0 only if all mail goes to next hops that are addresses. */
static int needed(const struct relay_conf *c)
{
	const struct relay_route *all = c->routes.items;

	for (size_t i = 0; i < c->routes.count; i++) {
		if (asks_dns(c, &all[i]))
			return 1;
		if (!strcmp(all[i].domain, "*") && !all[i].customer)
			return 0;
	}
	return 1;
}

static void begin(struct out_selftest *t)
{
	t->zone = 0;
	t->anchor.count = 0;
	if (!needed(atomic_load(&t->relay->conf)))
		conclude(t, OUT_SELFTEST_UNNEEDED);
	else if (out_anchor_read(t->conf, &t->anchor) < 0)
		conclude(t, OUT_SELFTEST_NO_ANCHOR);
	else
		ask(t, VALIDATED);
}

static void on_timer(void *arg)
{
	struct out_selftest *t = arg;

	if (t->step == IDLE) {
		begin(t);
		return;
	}
	out_dns_cancel(t->query);
	t->query = NULL;
	t->result = ERR_TIMEOUT;
	go_on(t);
}

struct out_selftest *out_selftest_new(struct relay *r, struct evt_loop *l,
				      const struct relay_conf *conf)
{
	struct out_selftest *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->relay = r;
	t->loop = l;
	t->conf = conf;
	t->next.fn = go_on;
	t->next.arg = t;
	evt_timer_init(&t->timer, l, on_timer, t);
	evt_timer_set(&t->timer, 0);
	return t;
}

void out_selftest_free(struct out_selftest *t)
{
	if (!t)
		return;
	evt_timer_clear(&t->timer);
	evt_loop_undefer(t->loop, &t->next);
	out_dns_free(t->dns);
	free(t);
}
