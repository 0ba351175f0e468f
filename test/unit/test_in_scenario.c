/* SPDX-License-Identifier: Apache-2.0 */
/* Plays the files of test/scenario/in: each is one session with the inbound server, written like a
 * play. Every file is played as it stands, and again with what the client sends cut into single
 * octets. Lines:
 *
 *   # text                     a comment
 *   client: TEXT               sends TEXT and CRLF
 *   send: TEXT                 sends TEXT alone; both know \r \n \t \0 \\ \xNN and \*N(TEXT) for N
 * times TEXT expect: TEXT               the next reply begins with TEXT has: TEXT / lacks: TEXT
 * that reply has (has not) a line with this text behind its code expect: nothing            no
 * reply is waiting expect: closed             the session is over, and nothing more was said
 *   expect: open               it is not
 *   filters: pass|hold|release|shut|long   filters are asked and answer at once; not yet; now;
 *                              have heard enough of the message; find its header section too long
 *   filter: STAGE discard, or STAGE CODE ENHANCED TEXT      what they say there
 *   asked: STAGES  shown: BYTES   all they were asked so far; what they saw of the last message
 *   keyd: ready|away|locked|busy|slow    disk: ok|full|broken    room: ok|none    tls:
 * none|ready|away|done commit: hold|release|fails|full      begin: release clock: +301s time passes
 *   auth: no|optional|required|locked-out|busy|hold|release
 *   suppressed: CUSTOMER ADDRESS, or away     owner: CUSTOMER whose the last message was
 *   dsn: ENVID NOTIFY:ORCPT ...  of the last message
 *   peer: trusted|untrusted|proxy|ADDRESS      mode: smarthost|submission|submissions    limit: NAME N
 * route: DOMAIN shutdown:   eof:           the daemon stops; the client closes stored: N messages
 * stored so far      aborted: N   messages given up so far sender: / recipients: / body: /
 * body-has: / flags: / via:      of the last message; body without its Received log: TEXT a line
 * with this text was logged, after those asked for before
 *
 * At the end no reply may be left, and no warning may have been logged that no log: asked for.
 * Lines of set-up (peer, mode, limit, route, tls) before the first client: or expect: come before
 * the start. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/num.h"
#include "test/unit/in_fake.h"

#define TEXT_MAX (1 << 20)
#define LOG_MAX	 4000

static struct play {
	struct in_fake f;
	const char *file;
	int line;
	char reply[65536]; /* the last one, with its line ends */
	char *log[LOG_MAX];
	int log_count, log_at;
	char log_used[LOG_MAX];
} * play;

static void wrong(const char *what, const char *detail) __attribute__((noreturn));
static void wrong(const char *what, const char *detail)
{
	print_error("%s:%d: %s: %s\n", play->file, play->line, what, detail);
	_fail(play->file, play->line);
	abort();
}

static void hear_log(void *arg, const char *line)
{
	struct play *p = arg;

	if (p->log_count < LOG_MAX)
		p->log[p->log_count++] = strdup(line);
}

/* Escapes of client: and send:, into out. */
static size_t expand(const char *s, size_t n, char *out, size_t room)
{
	size_t o = 0;

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (o + 1 > room)
			wrong("too long", s);
		if (c != '\\') {
			out[o++] = c;
			continue;
		}
		switch (s[++i]) {
		case 'r':
			out[o++] = '\r';
			break;
		case 'n':
			out[o++] = '\n';
			break;
		case 't':
			out[o++] = '\t';
			break;
		case '0':
			out[o++] = '\0';
			break;
		case 'x':
			out[o++] = (char)strtol((char[]){s[i + 1], s[i + 2], 0}, NULL, 16);
			i += 2;
			break;
		case '*': {
			char *open;
			long times = strtol(s + i + 1, &open, 10);
			const char *close = memchr(open, ')', n - (size_t)(open - s));
			if (*open != '(' || !close)
				wrong("bad \\*N(TEXT)", s);
			while (times-- > 0)
				o +=
				    expand(open + 1, (size_t)(close - open - 1), out + o, room - o);
			i = (size_t)(close - s);
			break;
		}
		default:
			out[o++] = s[i];
		}
	}
	return o;
}

static void start(struct play *p)
{
	if (!p->f.started)
		in_fake_start(&p->f);
}

static void send_text(struct play *p, const char *v, int crlf)
{
	static char out[TEXT_MAX];
	size_t n = expand(v, strlen(v), out, sizeof(out) - 2);

	if (crlf) {
		out[n++] = '\r';
		out[n++] = '\n';
	}
	in_fake_send(&p->f, span_of(out, n));
}

/* Takes the next whole reply off what was said; 0 if there is none. */
static int next_reply(struct play *p)
{
	struct span all = buf_span(&p->f.replies), rest = all;
	size_t n = 0;

	while (rest.n >= 5) {
		ptrdiff_t lf = span_find(rest, '\n');
		int last = rest.p[3] != '-';

		if (lf < 1 || rest.p[lf - 1] != '\r')
			wrong("reply line without CRLF", (const char *)rest.p);
		n += (size_t)lf + 1;
		rest = span_sub(all, n, all.n);
		if (last)
			break;
	}
	if (!n)
		return 0;
	snprintf(p->reply, sizeof(p->reply), "%.*s", (int)n, (const char *)all.p);
	buf_drain(&p->f.replies, n);
	return 1;
}

static void expect(struct play *p, const char *v)
{
	if (!strcmp(v, "closed") || !strcmp(v, "open")) {
		if (p->f.closed != (v[0] == 'c'))
			wrong("expected", v);
		if (buf_size(&p->f.replies) && v[0] == 'c')
			wrong("said before closing", (const char *)buf_ptr(&p->f.replies));
		return;
	}
	if (!strcmp(v, "nothing")) {
		if (next_reply(p))
			wrong("expected nothing, got", p->reply);
		return;
	}
	if (!next_reply(p))
		wrong("no reply, expected", v);
	if (strncmp(p->reply, v, strlen(v)))
		wrong("got", p->reply);
}

static void has(struct play *p, const char *v)
{
	char want[300];
	snprintf(want, sizeof(want), "%s\r\n", v);
	for (char *line = p->reply; line && strlen(line) > 4; line = strchr(line, '\n') + 1)
		if (!strncmp(line + 4, want, strlen(want)))
			return;
	wrong("reply lacks", v);
}

static void lacks(struct play *p, const char *v)
{
	if (strstr(p->reply, v))
		wrong("reply has", v);
}

static int choose(const char *v, const char *const *names, const int *values)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], v))
			return values[i];
	wrong("unknown word", v);
}

static void set_keyd(struct play *p, const char *v)
{
	static const char *const names[] = {"ready", "slow", "away", "locked", "busy", NULL};
	static const int values[] = {0, 0, ERR_AWAY, ERR_LOCKED, ERR_BUSY};

	p->f.keys = choose(v, names, values);
	p->f.later = !strcmp(v, "slow");
}

static void set_disk(struct play *p, const char *v)
{
	static const char *const names[] = {"ok", "full", "broken", NULL};
	static const int values[] = {0, ERR_NOSPACE, ERR_IO};
	int err = choose(v, names, values);

	p->f.disk = err == ERR_NOSPACE ? err : 0;
	p->f.body_err = err;
}

static void set_tls(struct play *p, const char *v)
{
	static const char *const names[] = {"none", "ready", "away", "done", NULL};
	static const int values[] = {ERR_UNSUPPORTED, 0, ERR_AWAY, 1};
	int to = choose(v, names, values);

	if (to != 1) {
		p->f.tls = to;
		return;
	}
	start(p);
	if (p->f.peer.mode != RELAY_SUBMISSIONS && !p->f.handshake)
		wrong("no handshake was begun", v);
	in_fake_tls(&p->f);
}

static void set_commit(struct play *p, const char *v)
{
	static const char *const names[] = {"hold", "release", "fails", "full", NULL};
	static const int values[] = {1, 2, ERR_IO, ERR_NOSPACE};
	int to = choose(v, names, values);

	if (to == 1)
		p->f.hold = 1;
	else if (to == 2)
		in_fake_release(&p->f);
	else
		p->f.commit_err = to;
}

static void set_peer(struct play *p, const char *v)
{
	if (!strcmp(v, "proxy"))
		p->f.peer.xclient = 1;
	else if (!strcmp(v, "trusted") || !strcmp(v, "untrusted"))
		p->f.peer.trusted = v[0] == 't';
	else
		snprintf(p->f.peer.address, sizeof(p->f.peer.address), "%s", v);
}

static void set_mode(struct play *p, const char *v)
{
	static const char *const names[] = {"smarthost", "submission", "submissions", NULL};
	static const int values[] = {RELAY_SMARTHOST, RELAY_SUBMISSION, RELAY_SUBMISSIONS};

	p->f.peer.mode = choose(v, names, values);
	p->f.peer.tls_required = p->f.peer.mode != RELAY_SMARTHOST;
}

static void set_auth(struct play *p, const char *v)
{
	static const char *const names[] = {"no", "optional", "required", "locked-out", "busy", "hold", "release", NULL};
	static const int values[] = {RELAY_AUTH_NO, RELAY_AUTH_OPTIONAL, RELAY_AUTH_REQUIRED, ERR_LIMIT, ERR_BUSY, 100, 101};
	int to = choose(v, names, values);

	if (to < 0)
		p->f.auth = to;
	else if (to == 100)
		p->f.auth_hold = 1;
	else if (to == 101)
		in_fake_release(&p->f);
	else
		p->f.peer.auth = to;
}

static void set_limit(struct play *p, const char *v)
{
	const char *n = strchr(v, ' ');
	long value = n ? atol(n) : 0;

	if (!strncmp(v, "recipients ", 11))
		p->f.conf.limits.recipients = value;
	else if (!strncmp(v, "errors ", 7))
		p->f.conf.limits.errors = value;
	else if (!strncmp(v, "messages ", 9))
		p->f.limit_message = value ? IN_REPLY_NONE : IN_REPLY_RATE_MESSAGES;
	else if (!strncmp(v, "rate-of-recipients ", 19))
		p->f.limit_recipient = value ? IN_REPLY_NONE : IN_REPLY_RATE_RECIPIENTS;
	else if (!strncmp(v, "size ", 5))
		p->f.conf.limits.message_size = (uint64_t)value;
	else
		wrong("unknown limit", v);
}

/* Only this domain has a route. */
static void set_route(struct play *p, const char *v)
{
	static char domain[300];

	snprintf(domain, sizeof(domain), "%s", v);
	p->f.routes[0].domain = domain;
	p->f.conf.routes.count = 1;
}

static void set_room(struct play *p, const char *v)
{
	static const char *const names[] = {"ok", "none", NULL};
	static const int values[] = {0, 1};

	p->f.no_room = choose(v, names, values);
	if (p->f.started)
		in_fake_run(&p->f);
}

static enum in_ask stage(const char *v, size_t n)
{
	static const char *const names[] = {
#define NAME(name, text) #name,
	    IN_ASKS(NAME)
#undef NAME
	};

	for (unsigned i = 0; i < IN_ASK_COUNT; i++)
		if (strlen(names[i]) == n && !strncmp(names[i], v, n))
			return (enum in_ask)i;
	wrong("unknown stage", v);
}

static void set_filters(struct play *p, const char *v)
{
	static const char *const names[] = {"pass", "hold", "release", "shut", "long", NULL};
	static const int values[] = {0, 1, 2, 3, 4};
	int to = choose(v, names, values);

	p->f.peer.filters = 1;
	if (to == 2)
		in_fake_release(&p->f);
	else if (to < 2)
		p->f.filter.hold = to;
	else
		p->f.filter.shown = to == 3 ? 1 : ERR_LIMIT;
}

/* "RCPT 550 5.7.1 No": texts live as long as the play. */
static void set_filter(struct play *p, const char *v)
{
	static char words[IN_ASK_COUNT][300];
	size_t n = strcspn(v, " ");
	enum in_ask at = stage(v, n);
	struct in_verdict *verdict = &p->f.filter.verdicts[at];
	char *text;

	snprintf(words[at], sizeof(words[at]), "%s", v + n + 1);
	if (!strcmp(words[at], "discard")) {
		*verdict = (struct in_verdict){.word = IN_VERDICT_DISCARD};
		return;
	}
	verdict->word = IN_VERDICT_REFUSE;
	verdict->code = (int)strtol(words[at], &text, 10);
	verdict->enhanced = ++text;
	text = strchr(text, ' ');
	if (!text)
		wrong("no text", v);
	*text = '\0';
	verdict->text = text + 1;
}

static void asked(struct play *p, const char *v)
{
	char want[1024];

	snprintf(want, sizeof(want), "%s ", v);
	if (strcmp(p->f.asked, want))
		wrong("asked were", p->f.asked);
}

static void shown(struct play *p, const char *v)
{
	static char want[TEXT_MAX];
	size_t n = expand(v, strlen(v), want, sizeof(want));

	if (!span_equal(buf_span(&p->f.shown), span_of(want, n)))
		wrong("shown was not", v);
}

static void clock_line(struct play *p, const char *v)
{
	int64_t usec;

	if (v[0] != '+' || num_parse_duration(span_str(v + 1), &usec) < 0)
		wrong("bad time", v);
	in_fake_wait(&p->f, usec);
}

static void count_is(const char *what, unsigned have, const char *v)
{
	char text[80];

	snprintf(text, sizeof(text), "%s: have %u", what, have);
	if (have != (unsigned)atoi(v))
		wrong(text, v);
}

static struct span body_of(struct play *p)
{
	struct span all = buf_span(&p->f.body);
	size_t i = 0;

	if (all.n < 10 || memcmp(all.p, "Received: ", 10))
		wrong("message does not begin with our Received", "");
	for (;;) {
		ptrdiff_t lf = span_find(span_sub(all, i, all.n), '\n');
		if (lf < 0)
			wrong("Received has no end", "");
		i += (size_t)lf + 1;
		if (i >= all.n || all.p[i] != '\t')
			return span_sub(all, i, all.n);
	}
}

static void body_is(struct play *p, const char *v)
{
	static char want[TEXT_MAX];
	size_t n = expand(v, strlen(v), want, sizeof(want));

	if (!span_equal(body_of(p), span_of(want, n)))
		wrong("body differs from", v);
}

static void body_has(struct play *p, const char *v)
{
	static char want[TEXT_MAX];
	size_t n = expand(v, strlen(v), want, sizeof(want));
	struct span all = buf_span(&p->f.body);

	if (!all.n || !memmem(all.p, all.n, want, n))
		wrong("message lacks", v);
}

static void recipients_are(struct play *p, const char *v)
{
	char have[4096] = "";

	for (unsigned i = 0; i < p->f.recipient_count; i++) {
		size_t n = strlen(have);
		snprintf(have + n, sizeof(have) - n, "%s%s", i ? " " : "", p->f.recipients[i]);
	}
	if (strcmp(have, v))
		wrong("recipients are", have);
}

static void dsn_is(struct play *p, const char *v)
{
	if (strcmp(p->f.dsn, v))
		wrong("of reports it says", p->f.dsn);
}

static void flags_are(struct play *p, const char *v)
{
	static const char *const names[] = {"none", "8bit", "utf8", "8bit utf8", "requiretls", "ret-hdrs",
					   "tls-optional", "verified", NULL};
	static const int values[] = {0, SPOOL_8BIT, SPOOL_UTF8, SPOOL_8BIT | SPOOL_UTF8,
				     SPOOL_REQUIRETLS, SPOOL_RET_HDRS, SPOOL_TLS_OPTIONAL, SPOOL_VERIFIED};

	if (p->f.flags != choose(v, names, values))
		wrong("flags differ from", v);
}

/* "campaign tid number consent" */
static void mark_is(struct play *p, const char *v)
{
	if (strcmp(p->f.mark, v))
		wrong("our milter said", p->f.mark);
}

static void owner_is(struct play *p, const char *v)
{
	if (strcmp(p->f.owner, v))
		wrong("the message is of", p->f.owner);
}

static void set_suppressed(struct play *p, const char *v)
{
	snprintf(p->f.suppressed, sizeof(p->f.suppressed), "%s", v);
}

static void via_is(struct play *p, const char *v)
{
	char have[800];

	snprintf(have, sizeof(have), "%s %s", p->f.client,
		 p->f.tls_text[0] ? p->f.tls_text : "clear");
	if (strcmp(have, v))
		wrong("client and TLS are", have);
}

static void logged(struct play *p, const char *v)
{
	for (; p->log_at < p->log_count; p->log_at++)
		if (strstr(p->log[p->log_at], v)) {
			p->log_used[p->log_at++] = 1;
			return;
		}
	wrong("not logged", v);
}

static void quiet_end(struct play *p)
{
	for (int i = 0; i < p->log_count; i++)
		if (!p->log_used[i] &&
		    (strstr(p->log[i], " warning ") || strstr(p->log[i], " error ")))
			wrong("unexpected in the log", p->log[i]);
	if (next_reply(p))
		wrong("left over", p->reply);
}

static void sender_is(struct play *p, const char *v)
{
	if (strcmp(p->f.sender, v))
		wrong("sender is", p->f.sender);
}

static void client(struct play *p, const char *v)
{
	send_text(p, v, 1);
}

static void raw(struct play *p, const char *v)
{
	send_text(p, v, 0);
}

static void begin_line(struct play *p, const char *v)
{
	if (strcmp(v, "release"))
		wrong("unknown word", v);
	in_fake_release(&p->f);
}

static void shut_down(struct play *p, const char *v)
{
	(void)v;
	in_session_stop(&p->f.s);
	in_fake_run(&p->f);
	buf_put_span(&p->f.replies, buf_span(&p->f.s.out));
	buf_reset(&p->f.s.out);
}

static void eof(struct play *p, const char *v)
{
	(void)v;
	in_fake_eof(&p->f);
}

static void stored(struct play *p, const char *v)
{
	count_is("stored", p->f.committed, v);
}

static void aborted(struct play *p, const char *v)
{
	count_is("aborted", p->f.aborted, v);
}

static const struct {
	const char *name;
	void (*run)(struct play *p, const char *v);
	int before; /* may come before the session starts */
} words[] = {
    {"client", client, 0},	{"send", raw, 0},
    {"expect", expect, 0},	{"has", has, 0},
    {"lacks", lacks, 0},	{"keyd", set_keyd, 1},
    {"disk", set_disk, 1},	{"room", set_room, 1},
    {"tls", set_tls, 1},	{"commit", set_commit, 0},
    {"begin", begin_line, 0},	{"clock", clock_line, 0},
    {"peer", set_peer, 1},	{"mode", set_mode, 1},
    {"auth", set_auth, 1},
    {"limit", set_limit, 1},	{"route", set_route, 1},
    {"shutdown", shut_down, 0}, {"eof", eof, 0},
    {"stored", stored, 0},	{"aborted", aborted, 0},
    {"sender", sender_is, 0},	{"recipients", recipients_are, 0},
    {"body", body_is, 0},	{"body-has", body_has, 0},
    {"flags", flags_are, 0},	{"mark", mark_is, 0},	{"dsn", dsn_is, 0},
    {"owner", owner_is, 0},	{"suppressed", set_suppressed, 1},
   	{"via", via_is, 0},
    {"log", logged, 0},		{"filters", set_filters, 1},
    {"filter", set_filter, 1},	{"asked", asked, 0},
    {"shown", shown, 0},
};

static void run_line(struct play *p, char *line)
{
	char *colon = strchr(line, ':'), *v;

	if (!*line || *line == '#')
		return;
	if (!colon)
		wrong("not a line of a play", line);
	*colon = '\0';
	v = colon + 1 + (colon[1] == ' ');
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i].name, line)) {
			if (!words[i].before)
				start(p);
			words[i].run(p, v);
			return;
		}
	wrong("unknown line", line);
}

static void run_file(const char *path, size_t piece)
{
	static char line[65536];
	FILE *file = fopen(path, "r");

	if (!file)
		wrong("cannot open", path);
	clock_set(CLOCK_SEC, INT64_C(1790000000) * CLOCK_SEC);
	in_fake_init(&play->f);
	play->f.piece = piece;
	play->line = play->log_count = play->log_at = 0;
	memset(play->log_used, 0, sizeof(play->log_used));
	log_capture(hear_log, play);
	while (fgets(line, sizeof(line), file)) {
		play->line++;
		line[strcspn(line, "\n")] = '\0';
		run_line(play, line);
	}
	start(play);
	quiet_end(play);
	in_fake_clear(&play->f);
	log_capture(NULL, NULL);
	for (int i = 0; i < play->log_count; i++)
		free(play->log[i]);
	clock_restore();
	fclose(file);
}

static void plays(void **state)
{
	const char *path = *state;

	play->file = path;
	run_file(path, 0);
	run_file(path, 1);
	run_file(path, 7);
}

static int is_play(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && !strcmp(d->d_name + n - 4, ".scn");
}

int main(void)
{
	const char *src = getenv("srcdir") ? getenv("srcdir") : ".";
	char dir[4000];
	struct dirent **names;
	struct CMUnitTest *tests;
	int n;

	snprintf(dir, sizeof(dir), "%s/test/scenario/in", src);
	n = scandir(dir, &names, is_play, alphasort);
	play = calloc(1, sizeof(*play));
	tests = n > 0 ? calloc((size_t)n, sizeof(*tests)) : NULL;
	if (!play || !tests) {
		fprintf(stderr, "%s: no scenarios\n", dir);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char *path = NULL;
		if (asprintf(&path, "%s/%s", dir, names[i]->d_name) < 0)
			return 1;
		tests[i] = (struct CMUnitTest){names[i]->d_name, plays, NULL, NULL, path};
	}
	int failed = _cmocka_run_group_tests(dir, tests, (size_t)n, NULL, NULL);
	for (int i = 0; i < n; i++) {
		free(tests[i].initial_state);
		free(names[i]);
	}
	free(names);
	free(tests);
	free(play);
	return failed;
}
