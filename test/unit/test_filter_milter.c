/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to a filter, as a play without sockets: what the engine says is read as "C M R ..." (commands and
 * macros), what the filter says is put in as packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/filter/filter_milter.h"

static struct stage {
	struct filter_milter m;
	struct filter_fact fact;
	struct filter_head head;
	struct relay_filter conf;
	int ready, verdicts, rooms;
	struct filter_verdict last;
	char changes[100];
	int change_result;
	int64_t timer;
	struct buf in;
} s;

static void on_ready(void *arg)
{
	(void)arg;
	s.ready++;
}

static void on_verdict(void *arg, const struct filter_verdict *v)
{
	(void)arg;
	s.verdicts++;
	s.last = *v;
}

static int on_change(void *arg, const struct milterproto_reply *r)
{
	size_t n = strlen(s.changes);

	(void)arg;
	if (s.change_result == 0)
		snprintf(s.changes + n, sizeof(s.changes) - n, "%c", r->command);
	return s.change_result;
}

static void on_room(void *arg)
{
	(void)arg;
	s.rooms++;
}

static void on_timer(void *arg, int64_t usec)
{
	(void)arg;
	s.timer = usec;
}

static const struct filter_milter_host host = {on_ready, on_verdict, on_change, on_room, on_timer};

/* The filter says a packet. */
static void says(char command, const void *data, size_t n)
{
	uint8_t head[5] = {0, 0, (uint8_t)((n + 1) >> 8), (uint8_t)(n + 1), (uint8_t)command};
	size_t used;

	buf_put(&s.in, head, 5);
	buf_put(&s.in, data, n);
	used = filter_milter_input(&s.m, buf_span(&s.in));
	buf_drain(&s.in, used);
}

static void word(char command)
{
	says(command, "", 0);
}

/* What the engine has said since, as command octets; macros as "+". */
static void heard(const char *want)
{
	char have[200] = "";
	size_t n = 0;

	while (buf_size(&s.m.out)) {
		struct span data;
		uint8_t command;
		int used = milterproto_take(buf_span(&s.m.out), &command, &data);

		assert_true(used > 0 && n < sizeof(have) - 1);
		have[n++] = (char)(command == 'D' ? '+' : command);
		buf_drain(&s.m.out, (size_t)used);
	}
	assert_string_equal(have, want);
}

static void options(uint32_t actions, uint32_t steps)
{
	uint8_t d[12] = {0, 0, 0, 6};

	for (int i = 0; i < 4; i++) {
		d[4 + i] = (uint8_t)(actions >> (24 - 8 * i));
		d[8 + i] = (uint8_t)(steps >> (24 - 8 * i));
	}
	says('O', d, sizeof(d));
}

static void begin(uint32_t actions, uint32_t steps)
{
	size_t used;

	s.fact = (struct filter_fact){.hostname = "relay.example.test",
				      .client_addr = "192.0.2.7",
				      .family = '4',
				      .helo = "c.example",
				      .mail = {.address = "a@b"},
				      .rcpt = {.address = "c@d"}};
	s.conf = (struct relay_filter){.connect = 1, .timeout = 30, .body = 300};
	filter_head_init(&s.head);
	filter_head_trace(&s.head, SPAN_LIT("Received: x\r\n"));
	filter_head_feed(&s.head, SPAN_LIT("A: 1\r\nB: 2\r\n\r\n"), &used);
	buf_init(&s.in, 1 << 20);
	filter_milter_init(&s.m, &host, NULL, &s.conf, &s.fact);
	filter_milter_connected(&s.m);
	heard("O");
	assert_int_equal(s.timer, 30);
	options(actions, steps);
}

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	filter_milter_clear(&s.m);
	filter_head_clear(&s.head);
	buf_clear(&s.in);
	return 0;
}

static void ask(enum filter_ask what, const char *said, char answer)
{
	assert_int_equal(filter_milter_ask(&s.m, what), 1);
	heard(said);
	word(answer);
}

/* Up to the message. */
static void envelope(void)
{
	assert_int_equal(s.ready, 1);
	ask(FILTER_CONNECT, "+C", 'c');
	ask(FILTER_HELO, "H", 'c');
	ask(FILTER_MAIL, "+M", 'c');
	ask(FILTER_RCPT, "+R", 'c');
	ask(FILTER_DATA, "T", 'c');
	assert_int_equal(s.verdicts, 5);
	assert_int_equal(s.last.word, FILTER_GO_ON);
}

static void broken(const char *why)
{
	assert_int_equal(s.m.state, FILTER_MILTER_BROKEN);
	assert_string_equal(s.m.why, why);
	assert_int_equal(s.timer, 0);
}

static void a_message_is_shown_step_by_step(void **state)
{
	(void)state;
	begin(0x1ff, 0);
	envelope();
	assert_int_equal(filter_milter_message(&s.m, &s.head), 1);
	heard("L");
	word('c');
	heard("L");
	assert_int_equal(filter_milter_body(&s.m, SPAN_LIT("body")), 4);
	word('c');
	heard("N");
	word('c');
	heard("");
	filter_milter_end(&s.m);
	heard("B");
	assert_int_equal(s.timer, 300);
	word('c');
	heard("E");
	word('p');
	says('h', "X\0y\0", 4);
	says('q', "why\0", 4);
	assert_int_equal(s.verdicts, 5);
	word('c');
	assert_int_equal(s.verdicts, 6);
	assert_string_equal(s.changes, "hq");
	assert_int_equal(s.m.state, FILTER_MILTER_OUT);
	filter_milter_abort(&s.m);
	heard(""); /* the verdict has ended it */
	ask(FILTER_MAIL, "+M", 'c');
	filter_milter_abort(&s.m);
	heard("A");
	filter_milter_quit(&s.m);
	heard("Q");
}

static void chunks_go_one_at_a_time(void **state)
{
	static uint8_t big[200000];
	size_t taken;

	(void)state;
	begin(0, MILTERPROTO_NOHDRS | MILTERPROTO_NOEOH | MILTERPROTO_SKIP);
	envelope();
	assert_int_equal(filter_milter_message(&s.m, &s.head), 1);
	taken = filter_milter_body(&s.m, span_of(big, sizeof(big)));
	assert_int_equal(taken, 2 * 65535); /* one on its way, one behind it */
	heard("B");
	s.rooms = 0;
	word('c');
	heard("B");
	assert_int_equal(s.rooms, 1);
	taken += filter_milter_body(&s.m, span_of(big, sizeof(big) - taken));
	assert_int_equal(taken, 3 * 65535);
	word('s');
	heard("");
	assert_int_equal(filter_milter_body(&s.m, span_of(big, 1000)), 1000);
	filter_milter_end(&s.m);
	heard("E");
	word('a');
	assert_int_equal(s.last.word, FILTER_ACCEPT);
}

static void steps_that_are_not_wanted_are_not_taken(void **state)
{
	(void)state;
	begin(0, MILTERPROTO_STEPS & ~MILTERPROTO_HDR_LEADSPC);
	for (int what = FILTER_CONNECT; what <= FILTER_DATA; what++)
		assert_int_equal(filter_milter_ask(&s.m, (enum filter_ask)what), 0);
	heard("+++");
	assert_int_equal(filter_milter_message(&s.m, &s.head), 1);
	assert_int_equal(filter_milter_body(&s.m, SPAN_LIT("body")), 4);
	filter_milter_end(&s.m);
	heard("E");
	word('c');
	assert_int_equal(s.verdicts, 1);
}

static void a_connection_that_is_accepted_is_not_asked_about_again(void **state)
{
	(void)state;
	begin(0, 0);
	ask(FILTER_CONNECT, "+C", 'a');
	assert_int_equal(filter_milter_ask(&s.m, FILTER_MAIL), 0);
	assert_int_equal(filter_milter_message(&s.m, &s.head), 0);
	heard("");
}

static void a_message_that_is_accepted_early_is_not_shown(void **state)
{
	(void)state;
	begin(0, 0);
	ask(FILTER_CONNECT, "+C", 'c');
	ask(FILTER_MAIL, "+M", 'c');
	ask(FILTER_RCPT, "+R", 'a');
	assert_int_equal(filter_milter_ask(&s.m, FILTER_RCPT), 0);
	assert_int_equal(filter_milter_message(&s.m, &s.head), 0);
	filter_milter_abort(&s.m);
	heard("A");
	ask(FILTER_MAIL, "+M", 'c');
}

static void a_header_that_is_refused_ends_the_message(void **state)
{
	(void)state;
	begin(0, 0);
	envelope();
	filter_milter_message(&s.m, &s.head);
	heard("L");
	says('y', "550 5.6.0 No\0", 13);
	assert_int_equal(s.last.word, FILTER_REFUSE);
	assert_int_equal(s.last.smtp.code, 550);
	assert_string_equal(s.last.smtp.text, "No");
	assert_int_equal(filter_milter_body(&s.m, SPAN_LIT("body")), 4); /* into nothing */
	filter_milter_end(&s.m);
	heard("");
	filter_milter_abort(&s.m);
	heard("A");
}

static void discard_means_nothing_for_a_connection(void **state)
{
	(void)state;
	begin(0, 0);
	ask(FILTER_CONNECT, "+C", 'd');
	assert_int_equal(s.last.word, FILTER_GO_ON);
	ask(FILTER_MAIL, "+M", 'd');
	assert_int_equal(s.last.word, FILTER_DISCARD);
}

static void shutdown_ends_the_session_with_421(void **state)
{
	(void)state;
	begin(0, 0);
	ask(FILTER_CONNECT, "+C", '4');
	assert_int_equal(s.last.smtp.code, 421);
}

static void skip_spares_recipients(void **state)
{
	(void)state;
	begin(0, MILTERPROTO_SKIP);
	ask(FILTER_CONNECT, "+C", 'c');
	ask(FILTER_MAIL, "+M", 'c');
	ask(FILTER_RCPT, "+R", 's');
	assert_int_equal(filter_milter_ask(&s.m, FILTER_RCPT), 0);
	heard("");
	ask(FILTER_DATA, "T", 'c');
	filter_milter_abort(&s.m);
	heard("A");
	ask(FILTER_MAIL, "+M", 'c');
	ask(FILTER_RCPT, "+R", 'c');
}

static void a_change_that_must_wait_is_offered_again(void **state)
{
	(void)state;
	begin(MILTERPROTO_CHGBODY, MILTERPROTO_NOHDRS | MILTERPROTO_NOEOH);
	envelope();
	filter_milter_message(&s.m, &s.head);
	filter_milter_end(&s.m);
	heard("E");
	s.change_result = 1;
	says('b', "new", 3);
	assert_int_equal(buf_size(&s.in), 8);
	assert_int_equal(s.timer, 0); /* we are slow, not the filter */
	s.change_result = 0;
	word('c');
	assert_int_equal(buf_size(&s.in), 0);
	assert_string_equal(s.changes, "b");
	assert_int_equal(s.verdicts, 6);
}

static void breaches_of_the_protocol_break_it(void **state)
{
	static const struct {
		char command;
		const char *data;
		size_t n;
		const char *why;
	} rows[] = {
	    {'z', "", 0, "reply-malformed"},
	    {'c', "x", 1, "reply-malformed"},
	    {'h', "A\0b\0", 4, "change-before-end"},
	    {'O', "\0\0\0\6\0\0\0\0\0\0\0\0", 12, "options-again"},
	    {'y', "250 2.0.0 fine\0", 15, "reply-code"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup(state);
		begin(0x1ff, 0);
		assert_int_equal(filter_milter_ask(&s.m, FILTER_CONNECT), 1);
		says(rows[i].command, rows[i].data, rows[i].n);
		broken(rows[i].why);
		assert_int_equal(s.verdicts, 1);
		assert_int_equal(s.last.word, FILTER_FAILED);
		assert_int_equal(filter_milter_ask(&s.m, FILTER_MAIL), 0);
		teardown(state);
	}
	setup(state);
	begin(0, 0);
	word('c');
	broken("reply-unasked");
	assert_int_equal(s.verdicts, 0);
}

static void options_that_were_not_offered_break_it(void **state)
{
	static const uint32_t bad[][2] = {{0x200, 0}, {0, MILTERPROTO_RCPT_REJ}, {0, 0x200000}};

	for (size_t i = 0; i < 3; i++) {
		setup(state);
		begin(bad[i][0], bad[i][1]);
		broken("options-not-offered");
		assert_int_equal(s.ready, 0);
		teardown(state);
	}
	setup(state);
	begin(0, 0x10000000); /* sizes: libmilter's own business */
	assert_int_equal(s.ready, 1);
}

static void a_change_that_was_not_agreed_breaks_it(void **state)
{
	(void)state;
	begin(MILTERPROTO_ADDHDRS, MILTERPROTO_NOHDRS | MILTERPROTO_NOEOH);
	envelope();
	filter_milter_message(&s.m, &s.head);
	filter_milter_end(&s.m);
	says('+', "<x@y>\0", 6);
	broken("change-not-agreed");
	assert_int_equal(s.last.word, FILTER_FAILED);
}

static void silence_breaks_it(void **state)
{
	(void)state;
	begin(0, 0);
	assert_int_equal(filter_milter_ask(&s.m, FILTER_CONNECT), 1);
	assert_int_equal(s.timer, 30);
	filter_milter_timeout(&s.m);
	broken("timeout");
	assert_int_equal(s.last.word, FILTER_FAILED);
}

static void an_abort_while_an_answer_is_due_gives_the_connection_up(void **state)
{
	(void)state;
	begin(0, 0);
	ask(FILTER_CONNECT, "+C", 'c');
	assert_int_equal(filter_milter_ask(&s.m, FILTER_MAIL), 1);
	filter_milter_abort(&s.m);
	broken("aborted");
	assert_int_equal(s.verdicts, 1); /* nobody waits for it */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_message_is_shown_step_by_step),
	    TEST(chunks_go_one_at_a_time),
	    TEST(steps_that_are_not_wanted_are_not_taken),
	    TEST(a_connection_that_is_accepted_is_not_asked_about_again),
	    TEST(a_message_that_is_accepted_early_is_not_shown),
	    TEST(a_header_that_is_refused_ends_the_message),
	    TEST(discard_means_nothing_for_a_connection),
	    TEST(shutdown_ends_the_session_with_421),
	    TEST(skip_spares_recipients),
	    TEST(a_change_that_must_wait_is_offered_again),
	    TEST(breaches_of_the_protocol_break_it),
	    TEST(options_that_were_not_offered_break_it),
	    TEST(a_change_that_was_not_agreed_breaks_it),
	    TEST(silence_breaks_it),
	    TEST(an_abort_while_an_answer_is_due_gives_the_connection_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
