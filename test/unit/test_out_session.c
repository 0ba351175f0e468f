/* SPDX-License-Identifier: Apache-2.0 */
/* Plays the files of test/scenario/out: each is one session with a server, written like a play.
 * Every file is played three times: with the server's lines as they stand, octet by octet, and with
 * lines that follow each other in one piece. Lines:
 *
 *   # text                   a comment
 *   tls: LEVEL [login] [refuse-8bit] [requiretls]   of the route; first
 *   server: TEXT             the server says TEXT and CRLF
 *   expect: TEXT             the next line that we say is TEXT; expect: nothing: we said no more
 *   said: TEXT               TEXT and nothing else was said, \r and \n as written
 *   connected: secured: eof: reset: timeout:    what the connection does
 *   message: N recipients, KIND, SIZE octets    is given to the session; KIND: ascii 8bit utf8,
 *                            named (SMTPUTF8 was said, all is ASCII)
 *   envelope: WORDS          what else its envelope says: see on_envelope
 *   login: USER PASSWORD     the credential; no-login: keyd is away
 *   act: WORD                what shaping makes of the next refusal: bounce retry close
 *   heard: N                 so many refusals were heard by it
 *   leaves: passed: doubt:   yes or no: the connection is to end; DSN parameters were passed on; the
 *                            message may have arrived
 *   body: TEXT               a stretch of its body, \r and \n as written
 *   end: / broken:           the body is complete; it breaks off
 *   quit:                    the owner ends the session
 *   wants: WORDS             exactly these wishes are open (tls ready body ended stale close login), or
 *                            nothing; they are taken
 *   result: I OUTCOME REASON CODE TEXT          of recipient I; TEXT is a part of the reply
 *   failure: OUTCOME REASON CODE TEXT           why the session never got ready
 *   state: NAME
 *
 * At the end nothing that was said may be left. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"
#include "relay/out/out_session.h"
#include "relay/out/out_verdict.h"

enum { RECIPIENTS = 3 };
enum manner { WHOLE, OCTETS, JOINED, MANNERS };

struct stage {
	struct out_session s;
	struct spool_envelope envelope;
	struct spool_recipient recipients[RECIPIENTS];
	struct queue_result results[RECIPIENTS];
	char said[70000]; /* by us, not yet looked at */
	size_t said_n;
	char heard[4096]; /* from the server, not yet used */
	size_t heard_n;
	char server[4096]; /* JOINED: lines to come */
	size_t server_n;
	enum manner manner;
	enum shape_act act;
	unsigned refusals;
	int flags;
	const char *file;
	int line;
};

static void wrong(const struct stage *g, const char *what, const char *detail)
{
	print_error("%s:%d: %s: %s\n", g->file, g->line, what, detail);
	_fail(g->file, g->line);
}

static void gather(struct stage *g)
{
	size_t n = buf_size(&g->s.out);

	assert_int_equal(buf_failed(&g->s.out), 0);
	if (n)
		memcpy(g->said + g->said_n, buf_ptr(&g->s.out), n);
	g->said_n += n;
	g->said[g->said_n] = '\0';
	buf_reset(&g->s.out);
}

static void hear(struct stage *g, const char *p, size_t n)
{
	size_t used;

	memcpy(g->heard + g->heard_n, p, n);
	g->heard_n += n;
	used = out_session_bytes(&g->s, span_of(g->heard, g->heard_n));
	assert_true(used <= g->heard_n);
	memmove(g->heard, g->heard + used, g->heard_n - used);
	g->heard_n -= used;
}

/* --- lines of a play; text is what follows the colon */

static void on_server(struct stage *g, const char *text)
{
	char *line = g->server + g->server_n;
	size_t n = (size_t)snprintf(line, sizeof(g->server) - g->server_n, "%s\r\n", text);

	switch (g->manner) {
	case WHOLE:
		hear(g, line, n);
		break;
	case OCTETS:
		for (size_t i = 0; i < n; i++)
			hear(g, line + i, 1);
		break;
	default:
		g->server_n += n; /* until another kind of line comes */
	}
}

static void on_expect(struct stage *g, const char *want)
{
	char *end;

	gather(g);
	end = strstr(g->said, "\r\n");
	if (!strcmp(want, "nothing")) {
		if (g->said_n)
			wrong(g, "said too much", g->said);
		return;
	}
	if (!end) {
		wrong(g, "not said", want);
		return;
	}
	*end = '\0';
	if (strcmp(g->said, want))
		wrong(g, "said something else", g->said);
	g->said_n -= (size_t)(end + 2 - g->said);
	memmove(g->said, end + 2, g->said_n + 1);
}

static size_t unescape(char *dst, const char *text)
{
	size_t n = 0;

	for (; *text; text++) {
		if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
			dst[n++] = *++text == 'r' ? '\r' : '\n';
		else
			dst[n++] = *text;
	}
	dst[n] = '\0';
	return n;
}

static void on_said(struct stage *g, const char *text)
{
	char want[512];

	gather(g);
	unescape(want, text);
	if (strcmp(g->said, want))
		wrong(g, "said something else", g->said);
	g->said_n = 0;
}

static void on_body(struct stage *g, const char *text)
{
	char raw[512];
	uint8_t dst[1024];
	size_t n = unescape(raw, text), out;

	if (out_session_body(&g->s, span_of(raw, n), dst, &out) < 0)
		return;
	gather(g);
	memcpy(g->said + g->said_n, dst, out);
	g->said_n += out;
	g->said[g->said_n] = '\0';
}

static void on_message(struct stage *g, const char *text)
{
	struct out_session_mail m = {.envelope = &g->envelope, .results = g->results};
	unsigned long size;
	char kind[8];

	if (sscanf(text, "%u recipients, %7[^,], %lu octets", &m.count, kind, &size) != 3)
		wrong(g, "not understood", text);
	g->envelope.flags = g->flags | (!strcmp(kind, "8bit")	? SPOOL_8BIT
					: !strcmp(kind, "utf8") ? SPOOL_UTF8 | SPOOL_8BIT
					: !strcmp(kind, "named") ? SPOOL_UTF8
								 : 0);
	memset(g->results, 0, sizeof(g->results));
	for (unsigned i = 0; i < m.count; i++)
		g->results[i].recipient = (uint16_t)i;
	m.size = size;
	out_session_send(&g->s, &m);
}

static const char *const outcomes[] = {
    [SPOOL_DELIVERED] = "delivered", [SPOOL_DEFERRED] = "deferred", [SPOOL_BOUNCED] = "bounced"};
static const char *const reasons[] = {
#define QUEUE_X(sym, num, text) [num] = #sym,
    QUEUE_REASONS(QUEUE_X)
#undef QUEUE_X
};

static void expect_verdict(struct stage *g, const struct queue_result *r, const char *want)
{
	char is[256];
	size_t n = (size_t)snprintf(is, sizeof(is), "%s %s %u",
				    r->outcome < 4 && r->outcome ? outcomes[r->outcome] : "none",
				    reasons[r->reason], r->code);

	if (!strncmp(is, want, n) && (!want[n] || strstr(r->reply, want + n + 1)))
		return;
	snprintf(is + n, sizeof(is) - n, " %s", r->reply);
	wrong(g, "another verdict", is);
}

static void on_result(struct stage *g, const char *text)
{
	expect_verdict(g, &g->results[text[0] - '0'], text + 2);
}

static void on_failure(struct stage *g, const char *text)
{
	expect_verdict(g, &g->s.failure, text);
}

static void on_wants(struct stage *g, const char *words)
{
	static const struct {
		const char *word;
		unsigned bit;
	} names[] = {{"tls", OUT_SESSION_TLS},	   {"ready", OUT_SESSION_READY},
		     {"body", OUT_SESSION_BODY},   {"ended", OUT_SESSION_ENDED},
		     {"stale", OUT_SESSION_STALE}, {"close", OUT_SESSION_CLOSE},
		     {"login", OUT_SESSION_LOGIN}};
	unsigned want = 0;
	char is[16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strstr(words, names[i].word))
			want |= names[i].bit;
	snprintf(is, sizeof(is), "%#x", g->s.want);
	if (want != g->s.want)
		wrong(g, "wants something else", is);
	g->s.want = 0;
}

static void on_state(struct stage *g, const char *name)
{
	if (strcmp(out_state_name(g->s.state), name))
		wrong(g, "another state", out_state_name(g->s.state));
}

/* What shaping makes of a refusal: as the play says for the next one. */
static enum shape_act on_heard(void *arg, const struct smtp_reply_in *r)
{
	struct stage *g = arg;
	enum shape_act act = g->act;

	assert_true(r->code >= 400);
	g->refusals++;
	g->act = SHAPE_AS_SAID;
	return act;
}

static void on_act(struct stage *g, const char *text)
{
	static const char *const acts[] = {"as-said", "bounce", "retry", "close"};

	for (g->act = SHAPE_AS_SAID; strcmp(acts[g->act], text); g->act++)
		;
}

static void on_heard_line(struct stage *g, const char *text)
{
	if (g->refusals != (unsigned)atoi(text))
		wrong(g, "another number of refusals was heard", text);
}

static void on_leaves(struct stage *g, const char *text)
{
	if (g->s.leave != !strcmp(text, "yes"))
		wrong(g, "leaves", text);
}

static void on_doubt(struct stage *g, const char *text)
{
	if (g->s.doubt != !strcmp(text, "yes"))
		wrong(g, "doubt", text);
}

static void on_login(struct stage *g, const char *text)
{
	static char pair[128];
	char *blank;

	snprintf(pair, sizeof(pair), "%s", text);
	blank = strchr(pair, ' ');
	out_session_login(&g->s, span_of(pair, (size_t)(blank - pair)), span_str(blank + 1));
}

static void on_no_login(struct stage *g, const char *text)
{
	static const struct queue_result away = {
	    .outcome = SPOOL_DEFERRED, .reason = QUEUE_KEYD, .reply = "4.3.0 keyd"};

	(void)text;
	out_session_no_login(&g->s, &away);
}

/* requiretls ret=full|hdrs envid=TEXT notify=never|success,failure,delay orcpt=TEXT; for all that
 * follows */
static void on_envelope(struct stage *g, const char *text)
{
	static char words[512], *save;

	snprintf(words, sizeof(words), "%s", text);
	g->flags = 0;
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		g->flags |= !strcmp(w, "requiretls") ? SPOOL_REQUIRETLS : 0;
		g->flags |= !strcmp(w, "ret=full") ? SPOOL_RET_FULL : 0;
		g->flags |= !strcmp(w, "ret=hdrs") ? SPOOL_RET_HDRS : 0;
		if (!strncmp(w, "envid=", 6))
			g->envelope.envid = w + 6;
		for (int i = 0; i < RECIPIENTS; i++) {
			if (!strncmp(w, "orcpt=", 6))
				g->recipients[i].orcpt = w + 6;
			if (!strncmp(w, "notify=", 7))
				g->recipients[i].notify =
				    (strstr(w, "never") ? SPOOL_NOTIFY_NEVER : 0u) |
				    (strstr(w, "success") ? SPOOL_NOTIFY_SUCCESS : 0u) |
				    (strstr(w, "failure") ? SPOOL_NOTIFY_FAILURE : 0u) |
				    (strstr(w, "delay") ? SPOOL_NOTIFY_DELAY : 0u);
		}
	}
}

static void on_passed(struct stage *g, const char *text)
{
	if (g->results[0].dsn_passed != !strcmp(text, "yes"))
		wrong(g, "DSN passed", text);
}

static void on_tls(struct stage *g, const char *level)
{
	static const char *const levels[] = {"none", "opportunistic", "encrypt", "verify"};
	struct out_session_setup setup = {.hostname = "relay.test",
					  .login = strstr(level, " login") != NULL,
					  .requiretls = strstr(level, " requiretls") != NULL,
					  .refuse_eightbit = strstr(level, " refuse-8bit") != NULL,
					  .heard = on_heard,
					  .arg = g};
	size_t n = strcspn(level, " ");

	while (strncmp(levels[setup.tls], level, n))
		setup.tls++;
	out_session_init(&g->s, &setup);
}

static void on_connected(struct stage *g, const char *text)
{
	(void)text;
	out_session_connected(&g->s);
}

static void on_secured(struct stage *g, const char *text)
{
	(void)text;
	g->s.vouched = g->s.setup.tls >= RELAY_TLS_VERIFY;
	out_session_secured(&g->s);
}

static void on_eof(struct stage *g, const char *text)
{
	(void)text;
	out_session_broken(&g->s, ERR_CLOSED, "closed");
}

static void on_reset(struct stage *g, const char *text)
{
	(void)text;
	out_session_broken(&g->s, ERR_IO, "connection reset");
}

static void on_timeout(struct stage *g, const char *text)
{
	(void)text;
	out_session_broken(&g->s, ERR_TIMEOUT, NULL);
}

static void on_end(struct stage *g, const char *text)
{
	(void)text;
	out_session_body_end(&g->s);
}

static void on_broken(struct stage *g, const char *text)
{
	static const struct queue_result away = {
	    .outcome = SPOOL_DEFERRED, .reason = QUEUE_KEYD, .reply = "4.3.0 keyd"};

	(void)text;
	out_session_body_broken(&g->s, &away);
}

static void on_quit(struct stage *g, const char *text)
{
	(void)text;
	out_session_quit(&g->s);
}

static const struct {
	const char *word;
	void (*fn)(struct stage *g, const char *text);
} lines[] = {
    {"server", on_server},   {"expect", on_expect},	  {"said", on_said},
    {"body", on_body},	     {"message", on_message},	  {"result", on_result},
    {"failure", on_failure}, {"wants", on_wants},	  {"state", on_state},
    {"tls", on_tls},	     {"connected", on_connected}, {"secured", on_secured},
    {"eof", on_eof},	     {"reset", on_reset},	  {"timeout", on_timeout},
    {"end", on_end},	     {"broken", on_broken},	  {"quit", on_quit},
    {"act", on_act},	     {"heard", on_heard_line},	  {"leaves", on_leaves},
    {"login", on_login},     {"no-login", on_no_login},	  {"envelope", on_envelope},
    {"passed", on_passed},   {"doubt", on_doubt},
};

static void act(struct stage *g, char *line)
{
	char *text = strchr(line, ':');

	line[strcspn(line, "\n")] = '\0';
	if (line[0] == '#' || !line[0])
		return;
	if (!text) {
		wrong(g, "not understood", line);
		return;
	}
	*text++ = '\0';
	text += *text == ' ';
	if (g->server_n && strcmp(line, "server")) {
		hear(g, g->server, g->server_n);
		g->server_n = 0;
	}
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!strcmp(lines[i].word, line)) {
			lines[i].fn(g, text);
			return;
		}
	wrong(g, "not understood", line);
}

static void play_file(const char *path, enum manner manner)
{
	static char customer[] = "default", sender[] = "a@sender.test", none[] = "";
	static char to[RECIPIENTS][20] = {"r0@there.test", "r1@there.test", "r2@there.test"};
	struct stage *g = calloc(1, sizeof(*g));
	FILE *f = fopen(path, "r");
	char line[4096];

	assert_non_null(f);
	g->file = path;
	g->manner = manner;
	g->envelope = (struct spool_envelope){.customer = customer,
					      .sender = sender,
					      .client = none,
					      .tls = none,
					      .recipients = g->recipients,
					      .count = RECIPIENTS};
	for (int i = 0; i < RECIPIENTS; i++)
		g->recipients[i].address = to[i];
	while (fgets(line, sizeof(line), f)) {
		g->line++;
		act(g, line);
	}
	fclose(f);
	if (g->server_n)
		hear(g, g->server, g->server_n);
	on_expect(g, "nothing");
	out_session_clear(&g->s);
	free(g);
}

static void the_plays_go_as_written(void **state)
{
	const char *src = getenv("srcdir");
	char folder[2048], path[4096];
	struct dirent **names;
	int n, played = 0;

	(void)state;
	snprintf(folder, sizeof(folder), "%s/test/scenario/out", src ? src : ".");
	n = scandir(folder, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		for (int m = 0; strstr(path, ".scn") && m < MANNERS; m++, played++)
			play_file(path, (enum manner)m);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	assert_true(played > 0);
}

/* --- what a play cannot show */

static void a_path_with_a_line_end_never_leaves(void **state)
{
	static char bad[] = "x@y.test>\r\nRCPT TO:<evil@z.test", good[] = "a@b.test", none[] = "";
	struct spool_recipient to[2] = {{.address = bad}, {.address = good}};
	struct spool_envelope e = {
	    .sender = good, .client = none, .tls = none, .recipients = to, .count = 2};
	struct queue_result results[2] = {{.recipient = 0}, {.recipient = 1}};
	struct out_session_mail m = {.envelope = &e, .size = 10, .results = results, .count = 2};
	struct out_session_setup setup = {.hostname = "relay.test"};
	struct out_session s;

	(void)state;
	out_session_init(&s, &setup);
	out_session_connected(&s);
	out_session_bytes(&s, SPAN_LIT("220 hi\r\n250-a\r\n250 PIPELINING\r\n"));
	buf_reset(&s.out);
	out_session_send(&s, &m);
	assert_int_equal(results[0].outcome, SPOOL_BOUNCED);
	assert_true(span_equal(buf_span(&s.out),
			       SPAN_LIT("MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n")));
	out_session_clear(&s);
}

static void every_wait_has_its_time(void **state)
{
	(void)state;
	assert_int_equal(out_state_timeout(OUT_STATE_CONNECT), 30 * INT64_C(1000000));
	assert_int_equal(out_state_timeout(OUT_STATE_GREETING), 300 * INT64_C(1000000));
	assert_int_equal(out_state_timeout(OUT_STATE_RCPT), 300 * INT64_C(1000000));
	assert_int_equal(out_state_timeout(OUT_STATE_DATA), 120 * INT64_C(1000000));
	assert_int_equal(out_state_timeout(OUT_STATE_BODY), 180 * INT64_C(1000000));
	assert_int_equal(out_state_timeout(OUT_STATE_DOT), 600 * INT64_C(1000000));
}

static void each_reply_in_a_group_begins_a_new_wait(void **state)
{
	static char good[] = "a@b.test", none[] = "";
	struct spool_recipient to[2] = {{.address = good}, {.address = good}};
	struct spool_envelope e = {
	    .sender = good, .client = none, .tls = none, .recipients = to, .count = 2};
	struct queue_result results[2] = {{.recipient = 0}, {.recipient = 1}};
	struct out_session_mail m = {.envelope = &e, .size = 10, .results = results, .count = 2};
	struct out_session_setup setup = {.hostname = "relay.test"};
	struct out_session s;
	unsigned before;

	(void)state;
	out_session_init(&s, &setup);
	out_session_connected(&s);
	out_session_bytes(&s, SPAN_LIT("220 hi\r\n250-a\r\n250 PIPELINING\r\n"));
	out_session_send(&s, &m);
	before = s.timer;
	out_session_bytes(&s, SPAN_LIT("250-a"));
	assert_int_equal(s.timer, before); /* a dribbling server gains no time */
	out_session_bytes(&s, SPAN_LIT("250 a\r\n250 b\r\n"));
	assert_int_equal(s.timer, before + 2);
	out_session_clear(&s);
}

static void replies_become_one_printable_line(void **state)
{
	struct smtp_reply_in r;
	struct queue_result v = {0};
	char status[OUT_VERDICT_STATUS];
	int done;

	(void)state;
	smtp_reply_in_init(&r);
	smtp_reply_in_feed(&r, SPAN_LIT("550-5.1.1 gr\xc3\xbc\x01\x1b[2J\r\n550 second\r\n"),
			   &done);
	out_verdict_reply(&v, QUEUE_RECIPIENT, &r);
	assert_string_equal(v.reply, "5.1.1 gr????[2J second");
	out_verdict_status(&v, status);
	assert_string_equal(status, "5.1.1");
	assert_string_equal(out_verdict_text(&v), "gr????[2J second");
}

static void a_status_that_contradicts_the_outcome_is_not_believed(void **state)
{
	struct queue_result v = {
	    .outcome = SPOOL_BOUNCED, .code = 550, .reply = "2.0.0 all is well"};
	char status[OUT_VERDICT_STATUS];

	(void)state;
	out_verdict_status(&v, status);
	assert_string_equal(status, "5.0.0");
	strcpy(v.reply, "5.1.10");
	out_verdict_status(&v, status);
	assert_string_equal(status, "5.1.10");
	strcpy(v.reply, "5.1.1000 x");
	out_verdict_status(&v, status);
	assert_string_equal(status, "5.0.0");
}

static void a_refusal_that_waits_keeps_its_subject_and_detail(void **state)
{
	struct queue_result v = {.outcome = SPOOL_BOUNCED, .reply = "5.7.30 message needs REQUIRETLS"};
	char status[OUT_VERDICT_STATUS];

	(void)state;
	out_verdict_soften(&v); /* another host could not be asked */
	out_verdict_status(&v, status);
	assert_string_equal(status, "4.7.30");
	strcpy(v.reply, "2.0.0 all is well");
	out_verdict_status(&v, status);
	assert_string_equal(status, "4.0.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_plays_go_as_written),
	    cmocka_unit_test(a_path_with_a_line_end_never_leaves),
	    cmocka_unit_test(every_wait_has_its_time),
	    cmocka_unit_test(each_reply_in_a_group_begins_a_new_wait),
	    cmocka_unit_test(replies_become_one_printable_line),
	    cmocka_unit_test(a_status_that_contradicts_the_outcome_is_not_believed),
	    cmocka_unit_test(a_refusal_that_waits_keeps_its_subject_and_detail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
