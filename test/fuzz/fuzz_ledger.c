/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the ledger, and indexes: whatever bytes they are, reading them gives rows or a verdict. The first octet says what the
 * rest is: an even one a file, an odd one an index. */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "ledger/ledger_verify.h"
#include "relay/ledger/ledger_index.h"
#include "relay/ledger/ledger_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int accept_all(void *arg, const struct ledger_checkpoint *c)
{
	(void)arg;
	return c->signature.n > 64 ? ERR_AUTH : 0;
}

static void verify(struct span s, enum ledger_verify_place place)
{
	const struct ledger_verify_last last = {1, 3, 7, {0}};
	struct ledger_verify v;
	struct ledger_verify_tail t;
	int err;

	log_assert(ledger_verify_init(&v, accept_all, NULL) == 0);
	err = ledger_verify_file(&v, 1, s, place);
	log_assert(err == 0 || v.reason);
	if (err == 0) {
		err = ledger_verify_end(&v, &last);
		log_assert(err == 0 || v.reason);
	}
	ledger_verify_clear(&v);
	if (ledger_verify_tail(s, 0, &t) == 0) {
		log_assert(t.length <= s.n && t.start <= t.at);
		ledger_verify_batch(span_sub(s, (size_t)t.start, (size_t)(t.at - t.start)), t.before, t.hash);
	}
}

static void texts(struct span s)
{
	struct ledger_text_plain plain = {.why = "sealed"};
	struct ledger_record r;
	struct ledger_event event;
	struct ledger_row row;
	struct buf out;
	int n;

	buf_init(&out, 1u << 20);
	for (; (n = ledger_record_parse(s, &r)) > 0; s = span_sub(s, (size_t)n, s.n)) {
		if (r.kind == LEDGER_EVENT && ledger_record_get_event(r.body, &event) == 0) {
			buf_reset(&out);
			ledger_text_event_csv(&out, &event);
			ledger_text_event_json(&out, &event);
		}
		if (r.kind != LEDGER_ROW || ledger_record_get_row(r.body, &row) < 0)
			continue;
		buf_reset(&out);
		ledger_text_split(row.sealed, &plain);
		ledger_text_csv(&out, &row, &plain);
		ledger_text_json(&out, &row, &plain);
	}
	buf_clear(&out);
}

static void look_into(struct span bytes)
{
	static const uint8_t key[LEDGER_INDEX] = {0, 0, 0, 0, 0, 0, 0, 1};
	struct ledger_index_customer c;
	struct ledger_index_domain d;
	struct ledger_index x;
	uint32_t at;

	if (ledger_index_of(bytes, &x) < 0)
		return;
	for (uint32_t i = 0; i < x.domains; i++)
		if (ledger_index_domain_at(&x, i, &d) == 0)
			ledger_index_domain(&x, d.name, &d);
	for (uint32_t i = 0; i < x.customers; i++)
		ledger_index_customer_at(&x, i, &c);
	for (uint32_t i = 0; i <= x.rows; i++)
		ledger_index_offset(&x, i);
	ledger_index_recipient(&x, key, &at);
	ledger_index_message(&x, 1, &at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data + 1, size ? size - 1 : 0);
	struct buf index;

	if (!size)
		return 0;
	if (data[0] & 1) {
		look_into(s);
		return 0;
	}
	verify(s, LEDGER_VERIFY_LAST);
	verify(s, LEDGER_VERIFY_MORE);
	texts(s);
	buf_init(&index, 1u << 22);
	if (ledger_index_make(s, &index) == 0)
		look_into(buf_span(&index));
	buf_clear(&index);
	return 0;
}
