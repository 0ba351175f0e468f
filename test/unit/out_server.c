/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/out_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "evt/evt_conn.h"

static const char *const verbs[] = {"GREETING", "EHLO", "HELO", "STARTTLS", "MAIL", "RCPT",
				    "DATA",	"DOT",	"RSET", "QUIT",	    "AUTH", NULL};

static int verb_index(const char *verb)
{
	for (int i = 0; verbs[i]; i++)
		if (!strcmp(verbs[i], verb))
			return i;
	return -1;
}

static void hang_up(struct out_server_conn *k)
{
	if (k->in_data)
		k->server->cut++;
	k->server->conns[k->number] = NULL;
	k->server->open--;
	evt_conn_close(k->c);
	buf_clear(&k->body);
	free(k);
}

static void reply(struct out_server_conn *k, const char *text)
{
	char line[600];

	while (*text) {
		size_t n = strcspn(text, "\n");
		int len = snprintf(line, sizeof(line), "%.*s\r\n", (int)n, text);
		evt_conn_write(k->c, line, (size_t)len);
		text += n + (text[n] == '\n');
	}
}

/* The rule for this command, or the usual answer. 0: the connection is gone. */
static int answer(struct out_server_conn *k, const char *verb, const char *usual, int *usually)
{
	struct out_server *s = k->server;
	unsigned n = ++s->verbs[verb_index(verb)];

	*usually = 0;
	for (int i = 0; i < OUT_SERVER_RULES && s->rules[i].verb; i++) {
		const struct out_server_rule *r = &s->rules[i];
		if (strcmp(r->verb, verb) || (r->nth && (unsigned)r->nth != n))
			continue;
		if (!r->reply)
			return 1;
		if (!strcmp(r->reply, "CLOSE")) {
			hang_up(k);
			return 0;
		}
		reply(k, r->reply);
		return 1;
	}
	*usually = 1;
	reply(k, usual);
	return 1;
}

static int on_ehlo(struct out_server_conn *k)
{
	char text[1024], *last;
	int usually, n;

	n = snprintf(text, sizeof(text), "250-mx\n");
	for (const char *p = k->server->caps; *p; p += strcspn(p, "\n") + 1)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "250-%.*s\n",
			      (int)strcspn(p, "\n"), p);
	if (k->server->tls && !k->tls)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "250-STARTTLS\n");
	text[n - 1] = '\0';
	last = strrchr(text, '\n');
	(last ? last + 1 : text)[3] = ' ';
	return answer(k, "EHLO", text, &usually);
}

static int on_starttls(struct out_server_conn *k)
{
	int usually;

	k->server->starttls++;
	if (!answer(k, "STARTTLS", "220 go", &usually))
		return 0;
	if (!usually)
		return 1;
	if (k->server->break_handshakes) {
		k->server->break_handshakes--;
		k->raw = 1; /* the hello will be answered with an end */
		return 1;
	}
	return evt_conn_tls_accept(k->c, k->server->tls) == 0;
}

static int on_path(struct out_server_conn *k, const char *line, int rcpt)
{
	const char *from = strchr(line, '<'), *to = strchr(line, '>');
	int usually, n = from && to ? (int)(to - from - 1) : 0;

	size_t had;

	if (!rcpt)
		memset(&k->now, 0, sizeof(k->now));
	had = strlen(k->now.params);
	if (to)
		snprintf(k->now.params + had, sizeof(k->now.params) - had, "%s", to + 1);
	if (!rcpt) {
		snprintf(k->now.from, sizeof(k->now.from), "%.*s", n, from + 1);
		k->reads = 1;
		return answer(k, "MAIL", "250 ok", &usually);
	}
	if (!answer(k, "RCPT", "250 ok", &usually))
		return 0;
	if (usually) {
		size_t at = strlen(k->now.rcpt);
		snprintf(k->now.rcpt + at, sizeof(k->now.rcpt) - at, "%s%.*s", at ? " " : "", n,
			 from + 1);
		k->now.rcpts++;
	}
	return 1;
}

static int on_data(struct out_server_conn *k)
{
	int usually;

	k->server->envelope_reads = k->reads;
	k->reads = 0;
	if (!answer(k, "DATA", k->now.rcpts ? "354 go" : "554 no recipients", &usually))
		return 0;
	if (usually && k->now.rcpts) {
		k->in_data = 1;
		smtp_data_in_init(&k->data);
	}
	return 1;
}

static int on_line(struct out_server_conn *k, const char *line)
{
	int usually;

	if (!strncmp(line, "EHLO", 4)) {
		snprintf(k->helo, sizeof(k->helo), "%.120s", line + 5);
		return on_ehlo(k);
	}
	if (!strncmp(line, "HELO", 4))
		return answer(k, "HELO", "250 mx", &usually);
	if (!strcmp(line, "STARTTLS"))
		return on_starttls(k);
	if (!strncmp(line, "MAIL", 4) || !strncmp(line, "RCPT", 4))
		return on_path(k, line, line[0] == 'R');
	if (!strcmp(line, "DATA"))
		return on_data(k);
	if (!strncmp(line, "BDAT ", 5)) {
		k->in_data = 2;
		k->chunk = strtoul(line + 5, NULL, 10);
		k->server->envelope_reads = k->reads;
		k->reads = 0;
		return 1;
	}
	if (!strncmp(line, "AUTH", 4)) {
		snprintf(k->server->auth, sizeof(k->server->auth), "%.250s", line);
		return answer(k, "AUTH", "235 2.7.0 ok", &usually);
	}
	if (!strcmp(line, "RSET")) {
		k->server->resets++;
		return answer(k, "RSET", "250 ok", &usually);
	}
	if (!strcmp(line, "QUIT")) {
		k->server->quits++;
		reply(k, "221 bye");
		return 1;
	}
	reply(k, "500 what");
	return 1;
}

static int end_of_data(struct out_server_conn *k)
{
	struct out_server *s = k->server;
	struct out_server_message *m;
	int usually, chunked = k->in_data == 2;

	k->in_data = 0;
	s->body_reads = k->reads;
	if (!answer(k, "DOT", k->now.rcpts ? "250 2.0.0 queued" : "503 no recipients", &usually))
		return 0;
	usually &= k->now.rcpts > 0;
	if (!usually || s->message_count == OUT_SERVER_MESSAGES || k->data.fault) {
		buf_reset(&k->body);
		return 1;
	}
	m = &s->messages[s->message_count++];
	*m = k->now;
	m->tls = k->tls;
	m->chunked = chunked;
	memcpy(m->helo, k->helo, sizeof(m->helo));
	memcpy(m->client, k->client, sizeof(m->client));
	m->conn = k->number;
	if (k->body.max > buf_size(&k->body)) {
		m->body = calloc(1, buf_size(&k->body) + 1);
		memcpy(m->body, buf_size(&k->body) ? buf_ptr(&k->body) : (const uint8_t *)"",
		       buf_size(&k->body));
	}
	buf_reset(&k->body);
	return 1;
}

static void keep(struct out_server_conn *k, struct span body)
{
	k->now.size += body.n;
	for (size_t i = 0; i < body.n; i++)
		k->now.sum = k->now.sum * 31 + body.p[i];
	buf_put_span(&k->body, body);
}

/* 1: go on; 0: wait, or gone. */
static int take(struct out_server_conn *k, struct buf *in)
{
	struct span out, all = buf_span(in);
	ptrdiff_t lf;
	char line[2048];
	size_t n;

	if (k->in_data == 2) {
		n = all.n < k->chunk ? all.n : k->chunk;
		keep(k, span_of(all.p, n));
		buf_drain(in, n);
		k->chunk -= n;
		return k->chunk ? n > 0 : end_of_data(k);
	}
	if (k->in_data) {
		n = smtp_data_in_feed(&k->data, all, &out);
		keep(k, out);
		buf_drain(in, n);
		return k->data.done ? end_of_data(k) : n > 0;
	}
	lf = span_find(all, '\n');
	if (lf < 1)
		return 0;
	snprintf(line, sizeof(line), "%.*s", (int)lf - 1, (const char *)all.p);
	buf_drain(in, (size_t)lf + 1);
	return on_line(k, line);
}

static void on_event(void *arg, struct evt_conn *c, enum evt_conn_event ev)
{
	struct out_server_conn *k = arg;
	struct evt_conn_tls info;
	struct out_server *s = k->server;
	unsigned number = k->number;

	switch (ev) {
	case EVT_CONN_DATA:
		k->reads++;
		if (k->raw) {
			hang_up(k);
			break;
		}
		/* k is gone when its place is empty */
		while (s->conns[number] == k && buf_size(evt_conn_in(c)) && take(k, evt_conn_in(c)))
			;
		if (s->conns[number] == k && s->slow && k->in_data && k->now.size >= k->pause_at) {
			k->pause_at = k->now.size + (6u << 20);
			evt_conn_read_pause(c);
		}
		break;
	case EVT_CONN_TLS:
		evt_conn_tls_info(c, &info);
		s->handshakes++;
		s->resumed += info.resumed != 0;
		k->tls = 1;
		break;
	case EVT_CONN_EOF:
	case EVT_CONN_ERROR:
		hang_up(k);
		break;
	default:
		break;
	}
}

static void on_accept(void *arg, int fd, const struct sockaddr_storage *peer)
{
	struct out_server *s = arg;
	struct out_server_conn *k = calloc(1, sizeof(*k));
	int usually;

	k->server = s;
	evt_listen_format(k->client, peer);
	buf_init(&k->body, 1u << 20);
	while (s->conns[k->number])
		k->number++;
	s->conns[k->number] = k;
	s->accepted++;
	if (++s->open > s->open_max)
		s->open_max = s->open;
	k->c = evt_conn_accept(s->loop, fd, 65536, on_event, k);
	answer(k, "GREETING", "220 mx ESMTP", &usually);
}

void out_server_open(struct out_server *s, struct evt_loop *l, const char *address)
{
	struct sockaddr_storage a;
	int err;

	memset(s, 0, sizeof(*s));
	s->loop = l;
	s->caps = "PIPELINING\n8BITMIME\n";
	if (evt_listen_address(span_str(address), &a, NULL) == 0)
		s->listen = evt_listen_tcp(l, &a, 0, on_accept, s, &err);
	if (!s->listen)
		abort();
	s->port = (uint16_t)evt_listen_port(s->listen);
}

void out_server_hang_up(struct out_server *s)
{
	for (unsigned i = 0; i < OUT_SERVER_CONNS; i++)
		if (s->conns[i])
			hang_up(s->conns[i]);
}

void out_server_read_on(struct out_server *s)
{
	for (unsigned i = 0; i < OUT_SERVER_CONNS; i++)
		if (s->conns[i])
			evt_conn_read_resume(s->conns[i]->c);
}

void out_server_close(struct out_server *s)
{
	out_server_hang_up(s);
	evt_listen_close(s->listen);
	for (unsigned i = 0; i < s->message_count; i++)
		free(s->messages[i].body);
}

void out_server_rule(struct out_server *s, const char *verb, int nth, const char *reply)
{
	for (int i = 0; i < OUT_SERVER_RULES; i++)
		if (!s->rules[i].verb) {
			s->rules[i] = (struct out_server_rule){verb, nth, reply};
			return;
		}
	abort();
}
