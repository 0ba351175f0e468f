/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the ledger: all of them are objects, for a recipient must not stand in a path.
 * {"recipient", "domain", "message", "customer", "campaign", "outcome", "since", "until" (usec), "after", "limit"} */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/id.h"
#include "core/num.h"
#include "ledger/ledger_record.h"
#include "relay/api/api_call.h"
#include "relay/ledger/ledger_ask.h"
#include "smtp/smtp_addr.h"

#define LIMIT_DEFAULT 100

/* A member that is a text of less than size octets. */
static int text(const json_t *body, const char *name, char *dst, size_t size)
{
	const json_t *v = json_object_get(body, name);

	dst[0] = '\0';
	if (!v)
		return 0;
	return json_is_string(v)
		   ? span_copy_str(dst, size, span_of(json_string_value(v), json_string_length(v)))
		   : ERR_FORMAT;
}

static int number(const json_t *body, const char *name, int64_t *out)
{
	const json_t *v = json_object_get(body, name);

	*out = v ? json_integer_value(v) : 0;
	return (v && !json_is_integer(v)) || *out < 0 ? ERR_FORMAT : 0;
}

static void lower(char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s |= 0x20;
}

static const char *read_who(const json_t *body, struct ledger_ask *a)
{
	struct ledger_filter *f = &a->filter;
	struct smtp_addr parts;
	char message[ID_TEXT_SIZE + 1];

	if (text(body, "recipient", a->recipient, sizeof(a->recipient)) < 0 ||
	    (a->recipient[0] && smtp_addr_parse(span_str(a->recipient), SMTP_ADDR_UTF8_OK, &parts) < 0))
		return "recipient is not an address";
	if (text(body, "domain", f->domain, sizeof(f->domain)) < 0)
		return "domain is not one";
	lower(f->domain);
	if (text(body, "message", message, sizeof(message)) < 0 ||
	    (message[0] && id_parse(span_str(message), &f->id) < 0))
		return "message is not a message id";
	if (text(body, "customer", f->customer, sizeof(f->customer)) < 0 ||
	    text(body, "campaign", f->campaign, sizeof(f->campaign)) < 0)
		return "customer or campaign is not a name";
	return NULL;
}

/* NULL, or what is wrong. */
static const char *read_filter(const json_t *body, struct ledger_ask *a, unsigned limit_most)
{
	struct ledger_filter *f = &a->filter;
	int64_t limit = 0;
	char word[32], after[24];
	const char *wrong = read_who(body, a);

	if (wrong)
		return wrong;
	if (text(body, "outcome", word, sizeof(word)) < 0)
		return "outcome is not a word";
	f->outcome = word[0] ? ledger_word_number(LEDGER_WORD_OUTCOME, word) : 0;
	if (f->outcome == LEDGER_OTHER)
		return "outcome is none of delivered, deferred, bounced, expired, deleted";
	if (number(body, "since", &f->since) < 0 || number(body, "until", &f->until) < 0)
		return "since or until is not a time in microseconds";
	if (text(body, "after", after, sizeof(after)) < 0 ||
	    (after[0] && num_parse_u64(span_str(after), &f->after) < 0))
		return "after is not a cursor";
	if (number(body, "limit", &limit) < 0 || limit > (int64_t)limit_most)
		return "limit is too large";
	a->limit = limit ? (unsigned)limit : LIMIT_DEFAULT;
	return NULL;
}

static void answered(struct relay_msg *m, void *receiver)
{
	struct ledger_ask *a = (struct ledger_ask *)m;
	struct api_call *c = a->arg;
	json_t *body = a->answer;

	(void)receiver;
	a->answer = NULL;
	if (a->err == 0) {
		api_call_reply(c, 200, body);
	} else {
		json_decref(body);
		api_call_failed(c, a->err);
	}
	ledger_ask_free(a);
}

static struct ledger_ask *begin(struct api_call *c, enum ledger_ask_kind kind)
{
	struct ledger_ask *a = ledger_ask_new(kind);

	if (!a) {
		api_call_failed(c, ERR_NOMEM);
		return NULL;
	}
	a->arg = c;
	a->reply = c->relay->inbox;
	a->msg.run = answered;
	return a;
}

static void ask(struct api_call *c, struct ledger_ask *a, unsigned limit_most)
{
	const char *wrong = read_filter(c->body, a, limit_most);

	if (wrong) {
		ledger_ask_free(a);
		api_call_problem(c, 400, wrong);
	} else {
		ledger_ask_post(c->relay->ledger, a);
	}
}

void api_ledger_deliveries(struct api_call *c)
{
	struct ledger_ask *a = begin(c, LEDGER_ASK_ROWS);

	if (a)
		ask(c, a, LEDGER_ASK_ROWS_MOST);
}

void api_ledger_tls_stats(struct api_call *c)
{
	struct ledger_ask *a = begin(c, LEDGER_ASK_STATS);

	if (a)
		ask(c, a, LEDGER_ASK_DOMAINS);
}

/* NULL, or what is wrong. */
static const char *read_events(struct api_call *c, struct ledger_ask *a)
{
	static const char *const others[] = {"recipient", "domain", "message", "outcome", "addresses"};
	char after[LEDGER_HITS_PLACE];

	if (text(c->body, "after", after, sizeof(after)) < 0 || ledger_hits_place_parse(span_str(after), &a->place) < 0)
		return "after is not a cursor";
	json_object_del(c->body, "after"); /* which is one of rows */
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (json_object_get(c->body, others[i]))
			return "events of readers know no recipient, domain, message, outcome or addresses";
	return NULL;
}

void api_ledger_export(struct api_call *c)
{
	struct ledger_ask *a = begin(c, LEDGER_ASK_EXPORT);
	const char *format = json_string_value(json_object_get(c->body, "format")), *wrong = NULL;

	if (!a)
		return;
	a->events = json_is_true(json_object_get(c->body, "events"));
	if (a->events)
		wrong = read_events(c, a);
	a->csv = format && !strcmp(format, "csv");
	a->sealed = !json_is_true(json_object_get(c->body, "addresses"));
	if (!a->csv && format && strcmp(format, "json") != 0)
		wrong = "format is csv or json";
	if (wrong) {
		ledger_ask_free(a);
		api_call_problem(c, 400, wrong);
		return;
	}
	ask(c, a, LEDGER_ASK_ROWS_MOST);
}

void api_ledger_status(struct api_call *c)
{
	struct ledger_ask *a = begin(c, LEDGER_ASK_STATUS);

	if (a)
		ledger_ask_post(c->relay->ledger, a);
}

static void verify(struct api_call *c, int start)
{
	struct ledger_ask *a = begin(c, LEDGER_ASK_VERIFY);

	if (!a)
		return;
	a->start = start;
	ledger_ask_post(c->relay->ledger, a);
}

void api_ledger_verify(struct api_call *c)
{
	verify(c, 0);
}

void api_ledger_verify_start(struct api_call *c)
{
	verify(c, 1);
}
