/* SPDX-License-Identifier: Apache-2.0 */
/* A filter that says anything at any time: the first byte says how many octets come at once, each further record is what
 * the host does (ask, show, end, abort, time out) followed by what the filter says. The engine owes at most one
 * verdict, holds no more than it may, and what was changed can be rendered. */
#include <stdlib.h>

#include "core/err.h"
#include "relay/filter/filter_milter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct filter_head head;
static int owed;

static void must(int cond)
{
	if (!cond)
		abort();
}

static void on_ready(void *arg)
{
	(void)arg;
}

static void on_verdict(void *arg, const struct filter_verdict *v)
{
	(void)arg;
	must(owed-- == 1);
	must(v->word != FILTER_REFUSE ||
	     (v->smtp.code >= 400 && v->smtp.code < 600 && v->smtp.enhanced[0] && v->smtp.text[0]));
	must(v->word != FILTER_FAILED || v->why);
}

static int on_change(void *arg, const struct milterproto_reply *r)
{
	(void)arg;
	if (r->what == MILTERPROTO_SAYS_ADD_HEADER)
		return filter_head_add(&head, r->a, r->b, 1);
	if (r->what == MILTERPROTO_SAYS_INS_HEADER)
		return filter_head_insert(&head, r->index, r->a, r->b, 0);
	if (r->what == MILTERPROTO_SAYS_CHG_HEADER)
		return filter_head_change(&head, r->index, r->a, r->b, 1);
	return 0;
}

static void on_room(void *arg)
{
	(void)arg;
}

static void on_timer(void *arg, int64_t usec)
{
	(void)arg;
	(void)usec;
}

static const struct filter_milter_host host = {on_ready, on_verdict, on_change, on_room, on_timer};

static void act(struct filter_milter *m, uint8_t what)
{
	static const uint8_t body[1000];

	if (owed && what % 10 < 7)
		what = 7; /* one thing at a time */
	if (what % 10 <= FILTER_DATA) {
		owed++;
		if (!filter_milter_ask(m, (enum filter_ask)(what % 10)))
			owed--;
	} else if (what % 10 == 5 || what % 10 == 6) {
		owed++;
		if (!filter_milter_message(m, &head))
			owed--;
	} else if (what % 10 == 7) {
		must(filter_milter_body(m, span_of(body, sizeof(body))) <= sizeof(body));
		if (what & 0x80)
			filter_milter_end(m);
	} else if (what % 10 == 8) {
		owed = 0;
		filter_milter_abort(m);
	} else if (what == 249) {
		filter_milter_timeout(m);
	}
	must(buf_size(&m->body) <= MILTERPROTO_CHUNK);
	buf_reset(&m->out);
}

/* Our own field is there as it was, and no line is of anything else. */
static void check_head(void)
{
	struct buf b;
	struct span all;

	buf_init(&b, 1 << 20);
	must(filter_head_render(&head, &b) == 0);
	all = buf_span(&b);
	for (size_t i = 0; i < all.n; i++)
		must(all.p[i] && (all.p[i] != '\n' || (i && all.p[i - 1] == '\r')) &&
		     (all.p[i] != '\r' || (i + 1 < all.n && all.p[i + 1] == '\n')));
	must(memmem(all.p, all.n, "Received: x\r\n", 13) != NULL);
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct filter_fact fact = {.hostname = "h",
					 .client_addr = "192.0.2.7",
					 .family = '4',
					 .helo = "c",
					 .mail = {.address = "a@b"},
					 .rcpt = {.address = "c@d"}};
	const struct relay_filter conf = {.timeout = 1, .body = 1};
	struct filter_milter m;
	struct buf in;
	size_t used, step;

	if (size < 2)
		return 0;
	step = 1u + data[0];
	owed = 0;
	filter_head_init(&head);
	filter_head_trace(&head, SPAN_LIT("Received: x\r\n"));
	filter_head_feed(&head, SPAN_LIT("A: 1\r\nB: 2\r\n 3\r\n\r\n"), &used);
	buf_init(&in, 1 << 20);
	filter_milter_init(&m, &host, NULL, &conf, &fact);
	filter_milter_connected(&m);
	for (size_t at = 1; at < size; at += 1 + step) {
		struct span piece = span_sub(span_of(data, size), at + 1, step);

		buf_put_span(&in, piece);
		used = filter_milter_input(&m, buf_span(&in));
		must(used <= buf_size(&in));
		buf_drain(&in, used);
		act(&m, data[at]);
	}
	check_head();
	filter_milter_clear(&m);
	filter_head_clear(&head);
	buf_clear(&in);
	return 0;
}
