/* SPDX-License-Identifier: Apache-2.0 */
/* Events of readers in the ledger: their record, octet by octet; bound with rows into one chain; exported in both formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/clock.h"
#include "core/err.h"
#include "evt/evt_inbox.h"
#include "relay/ledger/ledger_ask.h"
#include "relay/track/track_bot.h"
#include "sys/sys_map.h"
#include "test/unit/ledger_fake.h"

#define AT INT64_C(1795334400000000) /* 2026-11-22T08:00:00Z */

static char dir[64], ledger_dir[80];
static struct ledger *ledger;
static struct ledger_keys *writes, *reads;
static struct evt_inbox *inbox;

static int set_up(void **state)
{
	struct ledger_options o = {.dir = ledger_dir, .file_rows = 10};
	const char *why = "";
	int err = 0;

	(void)state;
	strcpy(dir, "/tmp/test_ledger_event.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(ledger_dir, sizeof(ledger_dir), "%s/ledger", dir);
	ledger_fake_reset();
	o.write_keys = writes = ledger_fake_keys();
	o.read_keys = reads = ledger_fake_keys();
	inbox = evt_inbox_new(NULL, NULL, NULL);
	ledger = ledger_new(&o, &err, &why);
	assert_non_null(ledger);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	ledger_free(ledger);
	evt_inbox_free(inbox);
	writes->free(writes);
	reads->free(reads);
	ledger_fake_clear();
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

/* --- the record */

static struct ledger_event example(unsigned i)
{
	struct ledger_event e = {.at = AT + i * CLOCK_SEC,
				 .number = 7,
				 .reasons = TRACK_REASON_BURST | TRACK_REASON_SCANNER,
				 .link = (uint16_t)i,
				 .kind = TRACK_KIND_CLICK,
				 .class = TRACK_CLASS_MACHINE,
				 .revised = 1,
				 .customer = "shop",
				 .campaign = "autumn"};

	memset(e.message, (int)i, sizeof(e.message));
	return e;
}

static void an_event_is_read_as_it_was_written(void **state)
{
	static const uint8_t uuid[LEDGER_UUID] = {1};
	struct ledger_event e = example(3), got;
	struct ledger_chain c;
	struct ledger_record r;
	struct buf b;

	(void)state;
	buf_init(&b, LEDGER_RECORD_MAX);
	assert_int_equal(ledger_chain_init(&c, uuid), 0);
	assert_int_equal(ledger_record_put_event(&b, &c, &e), 0);
	assert_int_equal(ledger_record_parse(buf_span(&b), &r), buf_size(&b));
	assert_int_equal(r.kind, LEDGER_EVENT);
	assert_int_equal(ledger_record_get_event(r.body, &got), 0);
	assert_true(got.at == e.at && got.number == 7 && got.reasons == e.reasons && got.link == 3);
	assert_true(got.kind == e.kind && got.class == e.class && got.revised == 1);
	assert_memory_equal(got.message, e.message, sizeof(e.message));
	assert_true(span_equal(got.customer_text, SPAN_LIT("shop")) && span_equal(got.campaign_text, SPAN_LIT("autumn")));
	for (size_t n = 0; n < r.body.n; n++)
		assert_int_equal(ledger_record_get_event(span_sub(r.body, 0, n), &got), ERR_FORMAT);
	/* an octet too many: the check's first one */
	assert_int_equal(ledger_record_get_event(span_of(r.body.p, r.body.n + 1), &got), ERR_FORMAT);
	ledger_chain_clear(&c);
	buf_clear(&b);
}

static void texts_are_of_255_octets_at_most(void **state)
{
	static const uint8_t uuid[LEDGER_UUID] = {1};
	struct ledger_event e = example(0), got;
	char name[257];
	struct ledger_chain c;
	struct ledger_record r;
	struct buf b;

	(void)state;
	memset(name, 'x', 256);
	name[256] = '\0';
	e.campaign = name + 1;
	buf_init(&b, LEDGER_RECORD_MAX);
	assert_int_equal(ledger_chain_init(&c, uuid), 0);
	assert_int_equal(ledger_record_put_event(&b, &c, &e), 0);
	assert_true(ledger_record_parse(buf_span(&b), &r) > 0);
	assert_int_equal(ledger_record_get_event(r.body, &got), 0);
	assert_int_equal(got.campaign_text.n, 255);
	e.campaign = name;
	assert_int_equal(ledger_record_put_event(&b, &c, &e), ERR_LIMIT);
	ledger_chain_clear(&c);
	buf_clear(&b);
}

/* --- in a ledger, between rows */

static void post_row(unsigned i)
{
	const struct ledger_attempt a = {.id = 0x1000 + i, .at = AT, .queued = AT, .customer = "shop", .campaign = "autumn",
					 .domain = "there.test", .address = "a@there.test", .sender = "b@here.test",
					 .outcome = LEDGER_OUTCOME_DELIVERED, .policy = "none", .verified_by = "none"};

	ledger_post(ledger, &a);
}

static void flush(void)
{
	assert_int_equal(ledger_flush(ledger, 1, 20 * CLOCK_SEC), 0);
}

/* 50 events and 25 rows, in several files. */
static void fill(void)
{
	for (unsigned i = 0; i < 50; i++) {
		struct ledger_event e = example(i);
		if (i % 2)
			post_row(i);
		if (i % 5 == 4)
			e = (struct ledger_event){.at = AT + i * CLOCK_SEC, .kind = TRACK_KIND_OPEN, .number = 8,
						  .customer = "other, shop", .campaign = "\"spring\""};
		ledger_post_event(ledger, &e);
		if (i % 10 == 9)
			flush();
	}
}

static void answered(struct relay_msg *m, void *receiver)
{
	(void)m;
	(void)receiver;
}

/* Text of all pages, to be freed; *rows. */
static char *export(const struct ledger_filter *f, int csv, unsigned *rows)
{
	struct buf all;
	char *text, next[LEDGER_HITS_PLACE] = "";

	*rows = 0;
	buf_init(&all, 1u << 24);
	do {
		struct ledger_ask *a = ledger_ask_new(LEDGER_ASK_EXPORT);
		a->reply = inbox;
		a->msg.run = answered;
		a->events = 1;
		a->csv = csv;
		a->filter = *f;
		assert_int_equal(ledger_hits_place_parse(span_str(next), &a->place), 0);
		ledger_ask_post(ledger, a);
		assert_non_null(evt_inbox_wait(inbox, 30 * CLOCK_SEC));
		assert_int_equal(a->err, 0);
		buf_put_str(&all, json_string_value(json_object_get(a->answer, "text")));
		*rows += (unsigned)json_integer_value(json_object_get(a->answer, "rows"));
		snprintf(next, sizeof(next), "%s", json_string_value(json_object_get(a->answer, "next")));
		ledger_ask_free(a);
	} while (next[0]);
	buf_put(&all, "", 1);
	text = strdup((const char *)buf_ptr(&all));
	buf_clear(&all);
	return text;
}

static unsigned lines_of(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void events_are_exported_with_columns_of_their_own(void **state)
{
	const struct ledger_filter all = {.since = 0};
	char *text;
	unsigned rows;

	(void)state;
	fill();
	text = export(&all, 1, &rows);
	assert_int_equal(rows, 50);
	assert_int_equal(lines_of(text), 51);
	assert_ptr_equal(strstr(text, "type,timeLogged,customer,jobId,number,message,link,class,reasons,revised\n"), text);
	assert_non_null(strstr(text, "\nclick,2026-11-22 08:00:03+0000,shop,autumn,7,03030303030303030303030303030303,3,machine,"
				     "\"burst,scanner\",1\n"));
	assert_non_null(strstr(text, "\nopen,2026-11-22 08:00:04+0000,\"other, shop\",\"\"\"spring\"\"\",8,"
				     "00000000000000000000000000000000,,human,,0\n"));
	free(text);
}

static void each_line_of_json_is_an_object(void **state)
{
	const struct ledger_filter all = {.since = 0};
	char *text, *rest, *line;
	unsigned rows, i = 0;

	(void)state;
	fill();
	rest = text = export(&all, 0, &rows);
	while ((line = strsep(&rest, "\n")) && *line) {
		json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		int open = i % 5 == 4;
		assert_non_null(o);
		assert_string_equal(json_string_value(json_object_get(o, "event")), open ? "open" : "click");
		assert_true(json_integer_value(json_object_get(o, "time")) == AT + i * CLOCK_SEC);
		assert_int_equal(json_array_size(json_object_get(o, "reasons")), open ? 0 : 2);
		assert_int_equal(json_object_get(o, "link") == NULL, open);
		assert_int_equal(json_is_true(json_object_get(o, "revised")), !open);
		assert_string_equal(json_string_value(json_object_get(o, "campaign")), open ? "\"spring\"" : "autumn");
		json_decref(o);
		i++;
	}
	assert_int_equal(i, 50);
	free(text);
}

static void exports_are_of_a_time_a_customer_a_campaign(void **state)
{
	struct ledger_filter f = {.since = AT + 10 * CLOCK_SEC, .until = AT + 20 * CLOCK_SEC};
	unsigned rows;

	(void)state;
	fill();
	free(export(&f, 1, &rows));
	assert_int_equal(rows, 10);
	strcpy(f.customer, "other, shop");
	free(export(&f, 1, &rows));
	assert_int_equal(rows, 2);
	f = (struct ledger_filter){.campaign = "autumn"};
	free(export(&f, 0, &rows));
	assert_int_equal(rows, 40);
	strcpy(f.customer, "nobody");
	free(export(&f, 0, &rows));
	assert_int_equal(rows, 0);
}

static void many_come_in_pages_and_each_once(void **state)
{
	const struct ledger_filter all = {.since = 0};
	char *text, *rest, *line, last[64] = "";
	unsigned rows;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		struct ledger_event e = example(i);
		ledger_post_event(ledger, &e);
		if (i % 1000 == 0)
			post_row(i);
	}
	flush();
	rest = text = export(&all, 1, &rows);
	assert_int_equal(rows, 10000);
	assert_true(strlen(text) > LEDGER_ASK_PAGE);
	while ((line = strsep(&rest, "\n")) && *line) {
		if (strncmp(line, "click,", 6) != 0)
			continue;
		line[25] = '\0'; /* behind the time */
		assert_true(strcmp(line, last) > 0);
		snprintf(last, sizeof(last), "%s", line);
	}
	free(text);
}

static void places_are_read_as_they_are_written(void **state)
{
	static const char *const bad[] = {"1", ":", "1:", ":1", "x:1", "1:x", "1:1:1", "-1:1", "1:18446744073709551616"};
	struct ledger_hits_place p = {12, 3456}, got;
	char text[LEDGER_HITS_PLACE];

	(void)state;
	ledger_hits_place_format(text, &p);
	assert_string_equal(text, "12:3456");
	assert_int_equal(ledger_hits_place_parse(span_str(text), &got), 0);
	assert_true(got.first == 12 && got.at == 3456);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ledger_hits_place_parse(span_str(bad[i]), &got), ERR_FORMAT);
}

/* --- verification */

static int signature(void *arg, const struct ledger_checkpoint *c)
{
	(void)arg;
	return reads->verify(reads, c);
}

/* Of the first file alone; *events. */
static int verify(struct span log, uint64_t *events)
{
	struct ledger_verify v;
	int err = ledger_verify_init(&v, signature, NULL);

	if (err == 0)
		err = ledger_verify_file(&v, 1, log, LEDGER_VERIFY_MORE);
	*events = v.events;
	ledger_verify_clear(&v);
	return err;
}

static void an_event_that_was_changed_is_found(void **state)
{
	char path[200], name[LEDGER_NAME];
	struct span log;
	struct ledger_record r;
	uint64_t events;
	uint8_t *copy;
	size_t at = 0;
	int n;

	(void)state;
	fill();
	ledger_record_name(name, 1, ".log");
	snprintf(path, sizeof(path), "%s/%s", ledger_dir, name);
	assert_int_equal(sys_map_open(path, 0, &log), 0);
	assert_int_equal(verify(log, &events), 0);
	assert_true(events >= 10);
	for (; (n = ledger_record_parse(span_sub(log, at, log.n), &r)) > 0 && r.kind != LEDGER_EVENT; at += (size_t)n)
		;
	assert_true(n > 0);
	copy = malloc(log.n);
	for (int i = 0; i < n; i++) {
		memcpy(copy, log.p, log.n);
		copy[at + (size_t)i] ^= 1;
		assert_true(verify(span_of(copy, log.n), &events) < 0);
	}
	memcpy(copy, log.p, at); /* without that event */
	memcpy(copy + at, log.p + at + (size_t)n, log.n - at - (size_t)n);
	assert_true(verify(span_of(copy, log.n - (size_t)n), &events) < 0);
	free(copy);
	sys_map_close(&log);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_event_is_read_as_it_was_written),
	    cmocka_unit_test(texts_are_of_255_octets_at_most),
	    TEST(events_are_exported_with_columns_of_their_own),
	    TEST(each_line_of_json_is_an_object),
	    TEST(exports_are_of_a_time_a_customer_a_campaign),
	    TEST(many_come_in_pages_and_each_once),
	    cmocka_unit_test(places_are_read_as_they_are_written),
	    TEST(an_event_that_was_changed_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
