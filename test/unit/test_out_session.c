/* SPDX-License-Identifier: Apache-2.0 */
/* Dialogues with servers, played against the engine. One line each:
 *   S TEXT       the server says TEXT (CRLF is added)
 *   C TEXT       the client has said TEXT as its next line
 *   C.           the client has said nothing more
 *   said TEXT    that and nothing more was said, with \r and \n as written
 *   connected, tls, eof, reset, timeout    what the connection does
 *   send N FLAGS SIZE   a message for N recipients: FLAGS of 8 (8BIT) and u (UTF8), or -
 *   body TEXT    a stretch of the body (\r \n as written); end: it is complete; broken: it is not
 *   quit         the owner ends the session
 *   want WORDS   exactly these wishes are open; they are taken
 *   result I OUTCOME REASON CODE TEXT     of recipient I; TEXT is a part of the reply
 *   failure OUTCOME REASON CODE TEXT      why the session never got ready
 *   state NAME
 * Every play is played three times: with whole lines, octet by octet, and with the lines of one run joined. */
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
	char said[70000]; /* by the client, not yet looked at */
	size_t said_n;
	char heard[4096]; /* from the server, not yet used */
	size_t heard_n;
	enum manner manner;
	const char *play;
};

static void gather(struct stage *g)
{
	assert_int_equal(buf_failed(&g->s.out), 0);
	if (buf_size(&g->s.out))
		memcpy(g->said + g->said_n, buf_ptr(&g->s.out), buf_size(&g->s.out));
	g->said_n += buf_size(&g->s.out);
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

static void server(struct stage *g, const char *text, size_t n)
{
	if (g->manner == WHOLE)
		hear(g, text, n);
	else
		for (size_t i = 0; i < n; i++)
			hear(g, text + i, 1);
}

static void expect_said(struct stage *g, const char *want)
{
	char *end = strstr(g->said, "\r\n");

	if (!end)
		fail_msg("[%s] expected \"%s\", nothing more was said", g->play, want);
	*end = '\0';
	if (strcmp(g->said, want))
		fail_msg("[%s] expected \"%s\", said \"%s\"", g->play, want, g->said);
	g->said_n -= (size_t)(end + 2 - g->said);
	memmove(g->said, end + 2, g->said_n + 1);
}

static void give(struct stage *g, const char *text)
{
	uint8_t raw[512], dst[1024];
	size_t n = 0, out;

	for (; *text; text++) {
		if (text[0] == '\\' && (text[1] == 'r' || text[1] == 'n'))
			raw[n++] = *++text == 'r' ? '\r' : '\n';
		else
			raw[n++] = (uint8_t)*text;
	}
	if (out_session_body(&g->s, span_of(raw, n), dst, &out) < 0)
		return;
	gather(g);
	memcpy(g->said + g->said_n, dst, out);
	g->said_n += out;
	g->said[g->said_n] = '\0';
}

static void expect_rest(struct stage *g, const char *want)
{
	char is[256];
	size_t n = 0;

	for (size_t i = 0; i < g->said_n; i++)
		n += (size_t)snprintf(is + n, sizeof(is) - n, "%s",
				      g->said[i] == '\r' ? "\\r" : g->said[i] == '\n' ? "\\n"
								  : (char[2]){g->said[i], 0});
	assert_string_equal(is, want);
	g->said_n = 0;
}

static void send_mail(struct stage *g, const char *args)
{
	unsigned count;
	unsigned long size;
	char flags[8];
	struct out_session_mail m;

	assert_int_equal(sscanf(args, "%u %7s %lu", &count, flags, &size), 3);
	g->envelope.flags = (strchr(flags, '8') ? SPOOL_8BIT : 0) | (strchr(flags, 'u') ? SPOOL_UTF8 : 0);
	memset(g->results, 0, sizeof(g->results));
	for (unsigned i = 0; i < count; i++)
		g->results[i].recipient = (uint16_t)i;
	m = (struct out_session_mail){&g->envelope, size, g->results, count};
	out_session_send(&g->s, &m);
}

static const char *const outcomes[] = {[SPOOL_DELIVERED] = "delivered",
				       [SPOOL_DEFERRED] = "deferred",
				       [SPOOL_BOUNCED] = "bounced"};
#define QUEUE_X(sym, num, text) [num] = #sym,
static const char *const reasons[] = {QUEUE_REASONS(QUEUE_X)};
#undef QUEUE_X

static void expect_result(struct stage *g, const struct queue_result *r, const char *want)
{
	char is[256], outcome[16], reason[16];
	unsigned code;
	int at;

	assert_int_equal(sscanf(want, "%15s %15s %u %n", outcome, reason, &code, &at), 3);
	snprintf(is, sizeof(is), "%s %s %u", r->outcome < 4 && r->outcome ? outcomes[r->outcome] : "none",
		 reasons[r->reason], r->code);
	if (strncmp(is, want, strlen(is)) || !strstr(r->reply, want + at))
		fail_msg("[%s] expected \"%s\", is \"%s %s\"", g->play, want, is, r->reply);
}

static void expect_want(struct stage *g, const char *words)
{
	static const struct {
		const char *word;
		unsigned bit;
	} names[] = {{"tls", OUT_SESSION_TLS},	   {"ready", OUT_SESSION_READY},
		     {"body", OUT_SESSION_BODY},   {"ended", OUT_SESSION_ENDED},
		     {"stale", OUT_SESSION_STALE}, {"close", OUT_SESSION_CLOSE}};
	unsigned want = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strstr(words, names[i].word))
			want |= names[i].bit;
	if (want != g->s.want)
		fail_msg("[%s] wants %#x, expected \"%s\"", g->play, g->s.want, words);
	g->s.want = 0;
}

static void event(struct stage *g, const char *line)
{
	static const struct queue_result away = {.outcome = SPOOL_DEFERRED, .reason = QUEUE_KEYD,
						 .reply = "4.3.0 keyd"};

	if (!strcmp(line, "connected"))
		out_session_connected(&g->s);
	else if (!strcmp(line, "tls"))
		out_session_secured(&g->s);
	else if (!strcmp(line, "eof"))
		out_session_broken(&g->s, ERR_CLOSED, "closed");
	else if (!strcmp(line, "reset"))
		out_session_broken(&g->s, ERR_IO, "connection reset");
	else if (!strcmp(line, "timeout"))
		out_session_broken(&g->s, ERR_TIMEOUT, NULL);
	else if (!strcmp(line, "end"))
		out_session_body_end(&g->s);
	else if (!strcmp(line, "broken"))
		out_session_body_broken(&g->s, &away);
	else if (!strcmp(line, "quit"))
		out_session_quit(&g->s);
	else
		fail_msg("[%s] no such line: %s", g->play, line);
}

/* Takes the server's lines that follow each other in one piece. */
static const char *joined(struct stage *g, const char *play)
{
	char text[4096];
	size_t n = 0;

	while (!strncmp(play, "S ", 2)) {
		size_t len = strcspn(play, "\n");
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s\r\n", (int)len - 2, play + 2);
		play += len + 1;
	}
	hear(g, text, n);
	return play;
}

static const char *step(struct stage *g, const char *play)
{
	char line[1024];
	size_t n = strcspn(play, "\n");

	if (g->manner == JOINED && !strncmp(play, "S ", 2))
		return joined(g, play);
	snprintf(line, sizeof(line), "%.*s", (int)n, play);
	if (!strncmp(line, "S ", 2)) {
		strcat(line, "\r\n");
		server(g, line + 2, strlen(line) - 2);
	} else if (!strncmp(line, "C ", 2)) {
		gather(g);
		expect_said(g, line + 2);
	} else if (!strcmp(line, "C.")) {
		gather(g);
		if (g->said_n)
			fail_msg("[%s] said too much: %s", g->play, g->said);
	} else if (!strncmp(line, "said ", 5)) {
		gather(g);
		expect_rest(g, line + 5);
	} else if (!strncmp(line, "send ", 5)) {
		send_mail(g, line + 5);
	} else if (!strncmp(line, "body ", 5)) {
		give(g, line + 5);
	} else if (!strncmp(line, "want ", 5)) {
		expect_want(g, line + 5);
	} else if (!strncmp(line, "result ", 7)) {
		expect_result(g, &g->results[line[7] - '0'], line + 9);
	} else if (!strncmp(line, "failure ", 8)) {
		expect_result(g, &g->s.failure, line + 8);
	} else if (!strncmp(line, "state ", 6)) {
		assert_string_equal(out_state_name(g->s.state), line + 6);
	} else {
		event(g, line);
	}
	return play + n + (play[n] == '\n');
}

static void perform(const char *name, int tls, const char *play, enum manner manner)
{
	static char customer[] = "default", sender[] = "a@sender.test", none[] = "";
	static char to[RECIPIENTS][20] = {"r0@there.test", "r1@there.test", "r2@there.test"};
	struct stage *g = calloc(1, sizeof(*g));
	struct out_session_setup setup = {"relay.test", tls};

	g->play = name;
	g->manner = manner;
	g->envelope = (struct spool_envelope){.customer = customer, .sender = sender, .client = none,
					      .tls = none, .recipients = g->recipients, .count = RECIPIENTS};
	for (int i = 0; i < RECIPIENTS; i++)
		g->recipients[i].address = to[i];
	out_session_init(&g->s, &setup);
	while (*play)
		play = step(g, play);
	gather(g);
	if (g->said_n)
		fail_msg("[%s] said at the end: %s", name, g->said);
	out_session_clear(&g->s);
	free(g);
}

struct play {
	const char *name;
	int tls;
	const char *text;
};

#define NONE RELAY_TLS_NONE
#define OPPORTUNISTIC RELAY_TLS_OPPORTUNISTIC
#define ENCRYPT RELAY_TLS_ENCRYPT
#define VERIFY RELAY_TLS_VERIFY

#define GREETED "connected\nS 220 mx.test ESMTP\nC EHLO relay.test\n"
#define PLAIN GREETED "S 250 mx.test\nwant ready\n"
#define PIPED GREETED "S 250-mx.test\nS 250-PIPELINING\nS 250-SIZE 10000\nS 250 8BITMIME\nwant ready\n"
#define PIPED_ONE                                                                                  \
	"send 1 - 100\nC MAIL FROM:<a@sender.test> SIZE=100\nC RCPT TO:<r0@there.test>\nC DATA\nC.\n"
#define PIPED_THREE                                                                                \
	"send 3 - 100\nC MAIL FROM:<a@sender.test> SIZE=100\nC RCPT TO:<r0@there.test>\n"          \
	"C RCPT TO:<r1@there.test>\nC RCPT TO:<r2@there.test>\nC DATA\nC.\n"
#define TO_DOT "body hi\\r\\n\nend\nC hi\nC .\nC.\nwant -\n"
#define PLAIN_MAIL "send 1 - 100\nC MAIL FROM:<a@sender.test>\nC.\n"

static const struct play plays[] = {
    {"a message goes out command by command when nothing is offered", NONE,
     PLAIN PLAIN_MAIL "S 250 ok\nC RCPT TO:<r0@there.test>\nC.\nS 250 ok\nC DATA\nS 354 go\nwant body\n" TO_DOT
		      "S 250 2.0.0 queued\nwant ready ended\nresult 0 delivered DATA 250 2.0.0 queued\n"},
    {"with PIPELINING the envelope leaves in one piece", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 250 ok\nwant ready ended\nresult 0 delivered DATA 250 ok\n"},
    {"a connection takes message after message", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 250 ok\nwant ready ended\n" PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 250 two\nwant ready ended\nresult 0 delivered DATA 250 two\nquit\nC QUIT\nwant close\n"},
    {"HELO follows an EHLO that is not understood", NONE,
     GREETED "S 500 what\nC HELO relay.test\nS 250 hello\nwant ready\n"},
    {"HELO refused for good is the host's last word", NONE,
     GREETED "S 502 no\nC HELO relay.test\nS 550 go away\nwant close\nfailure bounced GREETING 550 go away\nC QUIT\n"},
    {"a greeting of 4xx defers", NONE,
     "connected\nS 450 4.3.2 busy\nC QUIT\nwant close\nfailure deferred GREETING 450 4.3.2 busy\n"},
    {"a greeting of 5xx is permanent for this host", NONE,
     "connected\nS 554 5.7.1 not you\nC QUIT\nwant close\nfailure bounced GREETING 554 5.7.1 not you\n"},
    {"a greeting of 421 ends it without QUIT", NONE,
     "connected\nS 421 4.3.2 closing\nwant close\nfailure deferred GREETING 421 closing\n"},
    {"a greeting that is not SMTP ends it", NONE,
     "connected\nS HTTP/1.1 400 Bad Request\nwant close\nfailure deferred PROTOCOL 0 does not speak SMTP\n"},
    {"a greeting of 354 is nonsense", NONE,
     "connected\nS 354 go\nwant close\nfailure deferred PROTOCOL 354 go\n"},
    {"a connection that cannot be made defers", NONE,
     "reset\nwant close\nfailure deferred CONNECT 0 4.4.1 connection reset\n"},
    {"a connect that takes too long defers", NONE,
     "timeout\nwant close\nfailure deferred CONNECT 0 timed out\n"},
    {"a server that never greets is a timeout", NONE,
     "connected\ntimeout\nwant close\nfailure deferred TIMEOUT 0 greeting\n"},
    {"a server that hangs up before the greeting is lost", NONE,
     "connected\neof\nwant close\nfailure deferred LOST 0 greeting\n"},
    {"a greeting of several lines is one greeting", NONE,
     "connected\nS 220-mx.test\nS 220-welcome\nS 220 be nice\nC EHLO relay.test\nC.\n"},

    /* --- refusals in a transaction */
    {"a sender refused for good bounces", NONE,
     PLAIN PLAIN_MAIL "S 550 5.7.1 no\nwant ready ended\nresult 0 bounced SENDER 550 5.7.1 no\n"},
    {"a sender refused for now defers", NONE,
     PLAIN PLAIN_MAIL "S 451 later\nwant ready ended\nresult 0 deferred SENDER 451 later\n"},
    {"a recipient refused for good bounces and the transaction is reset", NONE,
     PLAIN PLAIN_MAIL "S 250 ok\nC RCPT TO:<r0@there.test>\nS 550 5.1.1 unknown\nwant ended\n"
		      "result 0 bounced RECIPIENT 550 5.1.1 unknown\nC RSET\nS 250 ok\nwant ready\n"},
    {"a server that refuses RSET is left", NONE,
     PLAIN PLAIN_MAIL "S 250 ok\nC RCPT TO:<r0@there.test>\nS 450 later\nwant ended\nC RSET\n"
		      "S 500 what\nwant close\nC QUIT\nresult 0 deferred RECIPIENT 450 later\n"},
    {"the accepted recipients get the message, the others their own answers", NONE,
     PIPED PIPED_THREE "S 250 ok\nS 550 5.1.1 unknown\nS 250 ok\nS 452 4.5.3 too many\nS 354 go\nwant body\n" TO_DOT
		       "S 250 ok\nwant ready ended\nresult 0 bounced RECIPIENT 550 5.1.1 unknown\n"
		       "result 1 delivered DATA 250 ok\nresult 2 deferred RECIPIENT 452 4.5.3 too many\n"},
    {"552 after an accepted recipient means too many, and defers", NONE,
     PIPED PIPED_THREE "S 250 ok\nS 250 ok\nS 552 too many recipients\nS 552 5.2.2 mailbox full\nS 354 go\nwant body\n" TO_DOT
		       "S 250 ok\nwant ready ended\nresult 1 deferred RECIPIENT 552 too many\n"
		       "result 2 bounced RECIPIENT 552 5.2.2\n"},
    {"a refused sender in a group bounces all when the group is answered", NONE,
     PIPED PIPED_THREE "S 550 5.7.1 no\nS 503 no\nS 503 no\nS 503 no\nS 503 no\nwant ended\nC RSET\n"
		       "result 0 bounced SENDER 550 5.7.1\nresult 2 bounced SENDER 550 5.7.1\nS 250 ok\nwant ready\n"},
    {"a server that takes DATA after a refused sender is left without a dot", NONE,
     PIPED PIPED_ONE "S 550 no\nS 250 ok\nS 354 go\nwant ended close\nresult 0 bounced SENDER 550 no\n"},
    {"DATA taken after all recipients were refused is ended by a lone dot", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 550 5.1.1 unknown\nS 354 go\nC .\nC.\nwant -\nS 250 accepted nothing\n"
		     "want ready ended\nresult 0 bounced RECIPIENT 550 unknown\n"},
    {"DATA refused in a group with accepted recipients defers them", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 451 4.3.0 try later\nwant ended\nC RSET\nS 250 ok\nwant ready\n"
		     "result 0 deferred DATA 451 try later\n"},
    {"a message refused after the dot bounces", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 554 5.6.0 spam\nwant ready ended\nresult 0 bounced DATA 554 5.6.0 spam\n"},
    {"a message refused for now after the dot defers", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 450 greylisted\nwant ready ended\nresult 0 deferred DATA 450 greylisted\n"},
    {"unknown codes are judged by their first digit", NONE,
     PIPED PIPED_ONE "S 299 ok\nS 251 will forward\nS 399 go\nwant body\n" TO_DOT
		     "S 287 ok\nwant ready ended\nresult 0 delivered DATA 287 ok\n"},

    /* --- 421, losses, silence */
    {"421 to a later command defers everybody and ends it", NONE,
     PIPED PIPED_THREE "S 250 ok\nS 550 no\nS 421 4.3.2 shutting down\nwant ended close\n"
		       "result 0 bounced RECIPIENT 550 no\nresult 1 deferred RECIPIENT 421 shutting\n"
		       "result 2 deferred RECIPIENT 421 shutting\n"},
    {"421 after the dot is an answer: deferred", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 421 no\nwant ended close\nresult 0 deferred DATA 421 no\n"},
    {"421 to the first command on a used connection asks for another one", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 250 ok\nwant ready ended\n" PIPED_ONE "S 421 idle too long\nwant stale close\n"
		     "result 0 none NEW 0 \n"},
    {"a used connection that breaks before an answer asks for another one", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 250 ok\nwant ready ended\n" PIPED_ONE "eof\nwant stale close\nresult 0 none NEW 0 \n"},
    {"a fresh connection that breaks before an answer is lost", NONE,
     PIPED PIPED_ONE "eof\nwant ended close\nresult 0 deferred LOST 0 mail\n"},
    {"421 to an idle connection closes it", NONE, PIPED "S 421 bye\nwant close\n"},
    {"a server that speaks to an idle connection is left", NONE, PIPED "S 250 hello\nwant close\n"},
    {"lost after the dot defers and remembers the doubt", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "reset\nwant ended close\nresult 0 deferred LOST 0 dot\n"},
    {"silence after the dot is a timeout", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "timeout\nwant ended close\nresult 0 deferred TIMEOUT 0 dot\n"},
    {"silence in the body is a timeout and no dot leaves", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody hi\\r\\n\ntimeout\nwant ended close\n"
		     "C hi\nresult 0 deferred TIMEOUT 0 body\n"},
    {"a body that breaks off closes without a dot", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody hi\\r\\n\nbroken\nwant ended close\n"
		     "C hi\nresult 0 deferred KEYD 0 keyd\n"},
    {"a refusal in the middle of the body ends it", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody hi\\r\\n\nS 552 5.3.4 too big\nwant ended close\n"
		     "C hi\nresult 0 bounced DATA 552 too big\n"},
    {"250 before the body is over is not a delivery", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nS 250 queued\nwant ended close\nresult 0 deferred PROTOCOL 0 \n"},
    {"354 to the message is nonsense", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\n" TO_DOT
		     "S 354 more\nwant ended close\nresult 0 deferred PROTOCOL 0 \n"},
    {"250 to DATA is nonsense", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 250 ok\nwant ended close\nresult 0 deferred PROTOCOL 0 \n"},
    {"354 to MAIL is nonsense", NONE,
     PIPED PIPED_ONE "S 354 ok\nwant ended close\nresult 0 deferred PROTOCOL 0 \n"},

    /* --- what the server offers */
    {"8BITMIME is said when offered and needed", NONE,
     PIPED "send 1 8 100\nC MAIL FROM:<a@sender.test> SIZE=100 BODY=8BITMIME\nC RCPT TO:<r0@there.test>\nC DATA\n"},
    {"an 8-bit body goes unchanged where 8BITMIME is not offered", NONE,
     PLAIN "send 1 8 100\nC MAIL FROM:<a@sender.test>\nS 250 ok\nC RCPT TO:<r0@there.test>\nS 250 ok\nC DATA\n"
	   "S 354 go\nwant body\nbody gr\xc3\xbc\xc3\x9f\\r\\n\nend\nC gr\xc3\xbc\xc3\x9f\nC .\n"},
    {"a message larger than SIZE bounces without a word", NONE,
     PIPED "send 1 - 10001\nC.\nwant ready ended\nresult 0 bounced DATA 0 5.3.4\n"},
    {"a message of exactly SIZE goes", NONE,
     PIPED "send 1 - 10000\nC MAIL FROM:<a@sender.test> SIZE=10000\nC RCPT TO:<r0@there.test>\nC DATA\n"},
    {"SIZE without a number is no limit", NONE,
     GREETED "S 250-mx.test\nS 250 SIZE\nwant ready\nsend 1 - 99999999\nC MAIL FROM:<a@sender.test> SIZE=99999999\n"},
    {"SMTPUTF8 not offered bounces", NONE,
     PIPED "send 1 u 100\nC.\nwant ready ended\nresult 0 bounced DATA 0 5.6.7\n"},
    {"SMTPUTF8 is said when offered", NONE,
     GREETED "S 250-mx.test\nS 250 SMTPUTF8\nwant ready\nsend 1 u 100\nC MAIL FROM:<a@sender.test> SMTPUTF8\n"},
    {"keywords are found in any case", NONE,
     GREETED "S 250-mx.test\nS 250-pipelining\nS 250 size 10000\nwant ready\n" PIPED_ONE},

    /* --- TLS */
    {"TLS is taken when offered", OPPORTUNISTIC,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nC.\nS 220 go\nwant tls\ntls\nC EHLO relay.test\nC.\n"
	     "S 250 mx.test\nwant ready\n"},
    {"what was offered before TLS is forgotten", OPPORTUNISTIC,
     GREETED "S 250-mx.test\nS 250-PIPELINING\nS 250-SIZE 5\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nwant tls\ntls\n"
	     "C EHLO relay.test\nS 250 mx.test\nwant ready\n" PLAIN_MAIL},
    {"TLS not offered goes on in clear where policy allows", OPPORTUNISTIC, PLAIN},
    {"STARTTLS refused goes on in clear where policy allows", OPPORTUNISTIC,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nS 454 4.7.0 not now\nwant ready\n"},
    {"STARTTLS refused defers where TLS is asked for", ENCRYPT,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nS 454 4.7.0 not now\nwant close\nC QUIT\n"
	     "failure deferred TLS 454 4.7.0\n"},
    {"STARTTLS refused for good still only defers where TLS is asked for", VERIFY,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nS 554 5.7.0 never\nwant close\nC QUIT\n"
	     "failure deferred TLS 554 5.7.0\n"},
    {"TLS not offered defers where it is asked for", ENCRYPT,
     GREETED "S 250 mx.test\nwant close\nC QUIT\nfailure deferred TLS 0 STARTTLS\n"},
    {"a server of HELO only defers where TLS is asked for", VERIFY,
     GREETED "S 500 no\nC HELO relay.test\nS 250 ok\nwant close\nC QUIT\nfailure deferred TLS 0 STARTTLS\n"},
    {"TLS is not taken where the route says none", NONE,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC.\nwant ready\n"},
    {"a forged reply behind the answer to STARTTLS ends it", OPPORTUNISTIC,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nS 250 STARTTLS\nwant close\n"
	     "failure deferred TLS 0 before the TLS handshake\n"},
    {"a broken handshake is told apart", OPPORTUNISTIC,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nwant tls\nreset\nwant close\n"
	     "failure deferred TLS 0 connection reset\n"},
    {"a handshake that takes too long defers", ENCRYPT,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nS 220 go\nwant tls\ntimeout\nwant close\n"
	     "failure deferred TLS 0 handshake timed out\n"},
    {"421 to STARTTLS is the end, also where clear is allowed", OPPORTUNISTIC,
     GREETED "S 250-mx.test\nS 250 STARTTLS\nC STARTTLS\nS 421 bye\nwant close\nfailure deferred TLS 421 bye\n"},

    /* --- bodies */
    {"dots at line starts are doubled, also over stretches", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody .a\\r\\n\nbody .\\r\\nb.c\\r\\n.\nbody \\r\\n\nend\n"
		     "C ..a\nC ..\nC b.c\nC ..\nC .\nC.\n"},
    {"a body without a line end gets one before the dot", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody hi\nend\nC hi\nC .\nC.\n"},
    {"a bare LF never leaves", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody a\\n.\\r\\n\nwant ended close\nC.\n"
		     "result 0 deferred DAMAGED 0 \n"},
    {"a bare CR never leaves", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody a\\r.\\r\\n\nwant ended close\nC.\n"
		     "result 0 deferred DAMAGED 0 \n"},
    {"a bare CR between stretches is seen", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody a\\r\nbody b\\r\\n\nwant ended close\n"
		     "said a\\r\nresult 0 deferred DAMAGED 0 \nstate closed\n"},
    {"a bare LF at the start of a stretch is seen", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody a\nbody \\n.\\r\\n\nwant ended close\nsaid a\n"
		     "result 0 deferred DAMAGED 0 \nstate closed\n"},
    {"a line end divided over two stretches is whole", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody a\\r\nbody \\n.b\\r\\n\nend\nC a\nC ..b\nC .\nC.\n"},
    {"a CR at the very end stops the dot", NONE,
     PIPED PIPED_ONE "S 250 ok\nS 250 ok\nS 354 go\nwant body\nbody a\\r\nend\nwant ended close\nstate closed\nsaid a\\r\n"
		     "result 0 deferred DAMAGED 0 \n"},
};

/* The text after the wished-for end may hold what the client had already said. */
static void the_plays_go_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(plays) / sizeof(plays[0]); i++)
		for (int manner = 0; manner < MANNERS; manner++)
			perform(plays[i].name, plays[i].tls, plays[i].text, (enum manner)manner);
}

static void a_path_with_a_line_end_never_leaves(void **state)
{
	static char bad[] = "x@y.test>\r\nRCPT TO:<evil@z.test", good[] = "a@b.test", none[] = "";
	struct spool_recipient to[2] = {{.address = bad}, {.address = good}};
	struct spool_envelope e = {.sender = good, .client = none, .tls = none, .recipients = to, .count = 2};
	struct queue_result results[2] = {{.recipient = 0}, {.recipient = 1}};
	struct out_session_mail m = {&e, 10, results, 2};
	struct out_session_setup setup = {"relay.test", RELAY_TLS_NONE};
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
	struct spool_envelope e = {.sender = good, .client = none, .tls = none, .recipients = to, .count = 2};
	struct queue_result results[2] = {{.recipient = 0}, {.recipient = 1}};
	struct out_session_mail m = {&e, 10, results, 2};
	struct out_session_setup setup = {"relay.test", RELAY_TLS_NONE};
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
	smtp_reply_in_feed(&r, SPAN_LIT("550-5.1.1 gr\xc3\xbc\x01\x1b[2J\r\n550 second\r\n"), &done);
	out_verdict_reply(&v, QUEUE_RECIPIENT, &r);
	assert_string_equal(v.reply, "5.1.1 gr????[2J second");
	out_verdict_status(&v, status);
	assert_string_equal(status, "5.1.1");
	assert_string_equal(out_verdict_text(&v), "gr????[2J second");
}

static void a_status_that_contradicts_the_outcome_is_not_believed(void **state)
{
	struct queue_result v = {.outcome = SPOOL_BOUNCED, .code = 550, .reply = "2.0.0 all is well"};
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_plays_go_as_written),
	    cmocka_unit_test(a_path_with_a_line_end_never_leaves),
	    cmocka_unit_test(every_wait_has_its_time),
	    cmocka_unit_test(each_reply_in_a_group_begins_a_new_wait),
	    cmocka_unit_test(replies_become_one_printable_line),
	    cmocka_unit_test(a_status_that_contradicts_the_outcome_is_not_believed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
