/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS reports say of a day: all domains, one, and sending. A day is days since 1970. */
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "relay/api/api_call.h"
#include "relay/tls/tls_exception.h"
#include "relay/tlsrpt/tlsrpt.h"

#define LIST_MAX 1000

static const char *const states[] = {[STORE_TLSRPT_WAITING] = "waiting",
				     [STORE_TLSRPT_SENT] = "sent",
				     [STORE_TLSRPT_FAILED] = "failed",
				     [STORE_TLSRPT_UNWANTED] = "unwanted",
				     [STORE_TLSRPT_OFF] = "off"};

static const char *state_name(int state)
{
	return state >= 0 && state < (int)(sizeof(states) / sizeof(states[0])) ? states[state] : "";
}

/* NULL, or what is wrong. domain may be NULL: it is not asked for. */
static const char *read_body(const struct api_call *c, int64_t *day, char domain[256])
{
	const json_t *d = json_object_get(c->body, "day");
	const char *name = json_string_value(json_object_get(c->body, "domain"));

	if (!json_is_integer(d) || json_integer_value(d) < 0 || json_integer_value(d) > 1000000)
		return "day must be a number of days since 1970";
	*day = (int64_t)json_integer_value(d);
	if (domain && (!name || tls_exception_domain(domain, name) < 0 || domain[0] == '.'))
		return "domain must be a name";
	return NULL;
}

/* --- all domains of a day */

struct listing {
	json_t *items;
	size_t limit;
	int more;
};

static int list_one(void *arg, const struct store_tlsrpt_sum *s)
{
	struct listing *l = arg;

	if (json_array_size(l->items) == l->limit) {
		l->more = 1;
		return 1;
	}
	json_array_append_new(l->items, json_pack("{s:s, s:s, s:I, s:I, s:s, s:I}", "domain", s->domain, "policy",
						  tlsrpt_kind_name(s->kind), "good", (json_int_t)s->good, "failed",
						  (json_int_t)s->failed, "report", state_name(s->state), "due",
						  (json_int_t)s->due));
	return 0;
}

void api_tlsrpt_list(struct api_call *c)
{
	const char *after = json_string_value(json_object_get(c->body, "after")), *wrong;
	struct listing l = {.limit = LIST_MAX};
	int64_t day;
	int err;

	wrong = read_body(c, &day, NULL);
	if (wrong) {
		api_call_problem(c, 400, wrong);
		return;
	}
	l.items = json_array();
	err = tlsrpt_flush(c->relay);
	if (err == 0)
		err = store_tlsrpt_sums(c->relay->store, day, after ? after : "", LIST_MAX + 1, list_one, &l);
	if (err < 0) {
		json_decref(l.items);
		api_call_failed(c, err);
		return;
	}
	api_call_reply(c, 200, json_pack("{s:I, s:b, s:o, s:b}", "day", (json_int_t)day, "over", day < tlsrpt_today(),
					 "items", l.items, "more", l.more));
}

/* --- one domain */

struct showing {
	struct api_call *call;
	json_t *reports, *ways;
	char name[TLSRPT_REPORT_ID];
	struct store_tlsrpt_report own; /* the day's, if there is one */
};

static int show_way(void *arg, const struct store_tlsrpt_way *w)
{
	json_array_append_new(arg, json_pack("{s:s, s:s, s:I, s:I, s:s}", "to", w->uri, "state", state_name(w->state),
					     "tries", (json_int_t)w->tries, "time", (json_int_t)w->time, "note", w->note));
	return 0;
}

static int show_report(void *arg, const struct store_tlsrpt_report *r)
{
	struct showing *s = arg;
	json_t *ways = json_array();
	int err = store_tlsrpt_ways(s->call->relay->store, r->id, show_way, ways);

	json_array_append_new(s->reports,
			      json_pack("{s:s, s:b, s:s, s:I, s:I, s:I, s:s, s:o}", "id", r->name, "ordered", r->part != 0,
					"state", state_name(r->state), "due", (json_int_t)r->due, "end",
					(json_int_t)r->end, "tries", (json_int_t)r->tries, "note", r->note, "ways", ways));
	if (r->part == 0) {
		snprintf(s->name, sizeof(s->name), "%s", r->name);
		s->own = (struct store_tlsrpt_report){.name = s->name, .end = r->end};
	}
	return err;
}

void api_tlsrpt_show(struct api_call *c)
{
	struct showing s = {.call = c};
	char domain[256];
	json_t *report = NULL;
	int64_t day;
	const char *wrong = read_body(c, &day, domain);
	int err;

	if (wrong) {
		api_call_problem(c, 400, wrong);
		return;
	}
	s.reports = json_array();
	err = tlsrpt_flush(c->relay);
	if (err == 0)
		err = store_tlsrpt_reports(c->relay->store, day, domain, show_report, &s);
	if (err == 0)
		err = tlsrpt_make(c->relay, day, domain, s.own.name ? &s.own : NULL, &report);
	if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "no TLS session with that domain was counted on that day");
	else if (err < 0)
		api_call_failed(c, err);
	if (err < 0) {
		json_decref(s.reports);
		return;
	}
	api_call_reply(c, 200, json_pack("{s:I, s:s, s:b, s:o, s:o}", "day", (json_int_t)day, "domain", domain, "over",
					 day < tlsrpt_today(), "report", report, "reports", s.reports));
}

void api_tlsrpt_send(struct api_call *c)
{
	char domain[256];
	int64_t day;
	const char *wrong = read_body(c, &day, domain);
	int err = wrong ? 0 : tlsrpt_send(c->relay, day, domain);

	if (wrong)
		api_call_problem(c, 400, wrong);
	else if (err == ERR_NOTFOUND)
		api_call_problem(c, 404, "no TLS session with that domain was counted on that day");
	else if (err == ERR_CONFIG)
		api_call_problem(c, 409, "reports are not sent: tlsrpt.from is not set, or tlsrpt.send is no");
	else if (err == ERR_BUSY || err == ERR_EXISTS)
		api_call_problem(c, 409, "the report is being sent already");
	else if (err < 0)
		api_call_failed(c, err);
	else
		api_call_reply(c, 200, json_pack("{s:I, s:s}", "day", (json_int_t)day, "domain", domain));
}
