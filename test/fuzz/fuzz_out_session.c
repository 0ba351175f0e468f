/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile server against the client engine. Byte 0: TLS level, recipients, flags of the message, login.
 * Then stretches of server bytes; 0xff and a byte in between is something that happens to us (see
 * happen). Each input is played with whole stretches and octet by octet: both must say the same and
 * come to the same results. Checked on the way: no bare CR or LF leaves, nothing is delivered whose
 * end was not sent, no message is begun in clear where the route asks for TLS, and every ended
 * transaction has an outcome for everybody. */
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "relay/out/out_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECIPIENTS = 3, TRANSCRIPT = 1 << 16, BODY = 9 };

struct play {
	struct out_session s;
	struct queue_result results[RECIPIENTS];
	unsigned recipients;
	int in_mail, secured, ended; /* ended: the dot of this message was sent */
	uint8_t left[4200];	     /* server bytes not yet used */
	size_t left_n;
	uint8_t *said;
	size_t said_n;
	uint32_t sum; /* of all outcomes */
};

static char sender[] = "a@sender.test", to[] = "b@there.test", none[] = "";
static struct spool_recipient recipients[RECIPIENTS] = {
    {.address = to}, {.address = to}, {.address = to}};
static struct spool_envelope envelope = {.sender = sender,
					 .customer = none,
					 .client = none,
					 .tls = none,
					 .recipients = recipients,
					 .count = RECIPIENTS};

static void must(int cond)
{
	if (!cond)
		abort();
}

static void say(struct play *p, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		must(p->said_n < TRANSCRIPT);
		if (b[i] == '\n')
			must(p->said_n && p->said[p->said_n - 1] == '\r');
		else
			must(!p->said_n || p->said[p->said_n - 1] != '\r');
		p->said[p->said_n++] = b[i];
	}
}

static void gather(struct play *p)
{
	struct span out = buf_span(&p->s.out);

	must(!buf_failed(&p->s.out));
	if (p->s.setup.tls >= RELAY_TLS_ENCRYPT && !p->secured)
		must(out.n < 4 || !memmem(out.p, out.n, "MAIL", 4));
	say(p, out.p, out.n);
	buf_reset(&p->s.out);
}

static void judge(struct play *p)
{
	if (!(p->s.want & (OUT_SESSION_ENDED | OUT_SESSION_STALE)))
		return;
	must(p->in_mail);
	p->in_mail = 0;
	for (unsigned i = 0; i < p->recipients; i++) {
		const struct queue_result *r = &p->results[i];
		must((r->outcome == 0) == ((p->s.want & OUT_SESSION_STALE) != 0));
		must(r->outcome != SPOOL_DELIVERED || p->ended);
		must(memchr(r->reply, 0, sizeof(r->reply)) != NULL);
		p->sum = p->sum * 31 + r->outcome * 7u + r->reason * 3u + r->code;
	}
	p->s.want &= ~(unsigned)(OUT_SESSION_ENDED | OUT_SESSION_STALE);
}

static void hear(struct play *p, const uint8_t *b, size_t n)
{
	size_t used;

	if (p->s.state == OUT_STATE_CLOSED || p->left_n + n > sizeof(p->left))
		return;
	memcpy(p->left + p->left_n, b, n);
	p->left_n += n;
	used = out_session_bytes(&p->s, span_of(p->left, p->left_n));
	must(used <= p->left_n);
	memmove(p->left, p->left + used, p->left_n - used);
	p->left_n -= used;
	gather(p);
	judge(p);
}

static void body(struct play *p, const char *text, int end)
{
	uint8_t dst[128];
	size_t n;

	if (!p->s.giving)
		return;
	must(p->s.want & OUT_SESSION_BODY);
	if (out_session_body(&p->s, span_str(text), dst, &n) == 0) {
		gather(p);
		say(p, dst, n);
		if (end && out_session_body_end(&p->s) == 0)
			p->ended = 1;
	}
	gather(p);
	judge(p);
}

static void begin_mail(struct play *p)
{
	struct out_session_mail m = {.envelope = &envelope,
				     .size = BODY,
				     .results = p->results,
				     .count = p->recipients};

	if (p->s.state != OUT_STATE_READY || p->in_mail)
		return;
	memset(p->results, 0, sizeof(p->results));
	p->in_mail = 1;
	p->ended = 0;
	out_session_send(&p->s, &m);
	gather(p);
	judge(p);
}

static void secure(struct play *p)
{
	if (!(p->s.want & OUT_SESSION_TLS) || p->s.state != OUT_STATE_HANDSHAKE)
		return;
	p->s.want &= ~(unsigned)OUT_SESSION_TLS;
	p->secured = 1;
	p->s.vouched = p->s.setup.tls >= RELAY_TLS_VERIFY;
	out_session_secured(&p->s);
	gather(p);
}

static void log_in(struct play *p)
{
	if (p->s.state != OUT_STATE_LOGIN)
		return;
	must(p->secured);
	out_session_login(&p->s, SPAN_LIT("user"), SPAN_LIT("password"));
	gather(p);
}

static void broken(struct play *p, int err)
{
	out_session_broken(&p->s, err, "broken");
	gather(p);
	judge(p);
}

static void happen(struct play *p, uint8_t what)
{
	switch (what % 8) {
	case 0: /* all goes on */
		secure(p);
		log_in(p);
		body(p, ".one\r\ntwo", 1);
		begin_mail(p);
		break;
	case 1:
		body(p, "a line\r\n", 0);
		break;
	case 2:
		body(p, "half a line end\r", 0);
		break;
	case 3:
		body(p, "\n.\r\n", 0);
		break;
	case 4:
		broken(p, ERR_CLOSED);
		break;
	case 5:
		broken(p, ERR_TIMEOUT);
		break;
	case 6:
		out_session_quit(&p->s);
		gather(p);
		judge(p);
		break;
	default:
		body(p, "bare\nline", 1);
		break;
	}
}

static void play(struct play *p, const uint8_t *data, size_t size, size_t step)
{
	struct out_session_setup setup = {
	    .hostname = "relay.test", .tls = data[0] & 3, .login = data[0] >> 7};
	size_t from = 1;

	memset(p, 0, offsetof(struct play, said));
	p->said_n = 0;
	p->sum = 0;
	p->recipients = 1 + (data[0] >> 2) % RECIPIENTS;
	envelope.flags = (data[0] >> 5 & 3) | (data[0] & 3 ? 0 : SPOOL_RET_HDRS | SPOOL_REQUIRETLS);
	out_session_init(&p->s, &setup);
	out_session_connected(&p->s);
	while (from < size) {
		const uint8_t *mark = memchr(data + from, 0xff, size - from);
		size_t to_mark = mark ? (size_t)(mark - data) : size;
		for (size_t n; from < to_mark; from += n) {
			n = to_mark - from < step ? to_mark - from : step;
			hear(p, data + from, n);
		}
		if (mark && from + 1 < size)
			happen(p, data[from + 1]);
		from += 2;
	}
	must(p->s.state != OUT_STATE_CLOSED || !p->in_mail);
	out_session_clear(&p->s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct play *a, *b;

	if (size < 1 || size > 4096)
		return 0;
	a = calloc(2, sizeof(*a));
	b = a + 1;
	a->said = malloc(2 * TRANSCRIPT);
	b->said = a->said + TRANSCRIPT;
	play(a, data, size, size);
	play(b, data, size, 1);
	must(a->said_n == b->said_n && !memcmp(a->said, b->said, a->said_n));
	must(a->sum == b->sum && a->s.state == b->s.state &&
	     a->s.failure.reason == b->s.failure.reason && a->s.failure.code == b->s.failure.code);
	free(a->said);
	free(a);
	return 0;
}
