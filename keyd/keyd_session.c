/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_op.h"
#include "wire/wire_frame.h"

struct keyd_session *keyd_session_new(struct keyd *k, uid_t uid, unsigned roles, unsigned socket,
				      void (*wake)(void *arg), void *arg)
{
	struct keyd_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->keyd = k;
	s->uid = uid;
	s->roles = roles;
	s->socket = socket;
	s->wake = wake;
	s->arg = arg;
	s->refs = 1;
	snprintf(s->name, sizeof(s->name), "k%" PRIu64, ++k->session_count);
	buf_init_wiped(&s->out, KEYD_SESSION_OUT_MAX);
	list_push_back(&k->sessions, &s->link);
	return s;
}

static void release(struct keyd_session *s)
{
	if (--s->refs)
		return;
	buf_clear(&s->out);
	free(s);
}

void keyd_session_end(struct keyd_session *s)
{
	if (!s)
		return;
	list_remove(&s->link);
	s->wake = NULL;
	release(s);
}

void keyd_session_hold(struct keyd_session *s)
{
	s->refs++;
	s->unanswered++;
}

/* Writes a whole frame, or nothing. */
static int put_frame(struct keyd_session *s, unsigned op, uint64_t request, uint32_t status,
		     struct span body)
{
	size_t at = wire_frame_open(&s->out);

	buf_put_span(&s->out, body);
	return wire_frame_close(&s->out, at, (uint16_t)op, request, status, s->keyd->epoch);
}

/* These say what was asked for has been taken; their body says more. */
static int keeps_body(int rc)
{
	return rc >= 0 || rc == ERR_QUORUM || rc == ERR_MORE;
}

void keyd_session_answer(struct keyd_session *s, unsigned op, uint64_t request, int rc,
			 struct span body)
{
	s->unanswered--;
	if (s->wake) {
		if (put_frame(s, op, request, keyproto_status_of_err(rc),
			      keeps_body(rc) ? body : span_of(NULL, 0)) < 0)
			s->failed = 1;
		s->wake(s->arg);
	}
	release(s);
}

void keyd_session_push(struct keyd_session *s)
{
	struct buf body;

	if (!s->role || !s->wake)
		return;
	if (s->answering) { /* a frame is open in out: its answer goes first */
		s->push_after = 1;
		return;
	}
	buf_init(&body, 64);
	if (keyproto_event_put(&body, (uint8_t)s->keyd->state) == 0)
		s->failed |= put_frame(s, KEYPROTO_EVENT, 0, 0, buf_span(&body)) < 0;
	buf_clear(&body);
	s->wake(s->arg);
}

static void count(const struct keyd_session *s, unsigned event, unsigned op)
{
	const struct keyd_audit_use use = {
	    .event = event, .op = op, .role = s->role, .uid = s->uid, .count = 1};

	keyd_audit_use(s->keyd, &use);
}

void keyd_session_denied(struct keyd_session *s, unsigned op)
{
	int64_t now = clock_mono();

	s->keyd->counts.denied++;
	count(s, AUDIT_DENIED, op);
	keyd_watch_tamper(s->keyd, KEYD_TAMPER_DENIED, 1);
	if (s->denied_at && now - s->denied_at < CLOCK_SEC) {
		s->denied_quietly++;
		return;
	}
	log_event(LOG_LEVEL_WARN, s->name, "denied", "uid=%u role=%s op=%s unlogged=%u",
		  (unsigned)s->uid, s->role ? keyproto_role_name(s->role) : "none",
		  keyproto_op_name(op), s->denied_quietly);
	s->denied_at = now ? now : 1;
	s->denied_quietly = 0;
}

static int bad_frame(struct keyd_session *s, const char *what)
{
	s->keyd->counts.bad_frames++;
	log_event(LOG_LEVEL_WARN, s->name, "bad-frame", "uid=%u what=%s", (unsigned)s->uid, what);
	return ERR_FORMAT;
}

/* The answer to HELLO: state and store, or a refusal after which nothing follows. */
static int hello(struct keyd_session *s, const struct wire_frame *f)
{
	struct keyproto_hello m;
	struct keyproto_hello_reply reply = {WIRE_FRAME_VERSION, (uint8_t)s->keyd->state,
					     span_of(keyd_store_id(s->keyd), 16)};
	size_t at;

	if (f->opcode != KEYPROTO_HELLO || keyproto_hello_get(f->body, &m) < 0)
		return bad_frame(s, "hello");
	s->keyd->counts.requests[KEYPROTO_HELLO]++;
	if (m.version_min > WIRE_FRAME_VERSION || m.version_max < WIRE_FRAME_VERSION) {
		put_frame(s, f->opcode, f->request, KEYPROTO_E_ARGUMENT, span_of(NULL, 0));
		return bad_frame(s, "version");
	}
	if (!(s->roles & 1u << m.role) ||
	    !keyd_permit(m.role, s->socket, KEYPROTO_HELLO, span_of(NULL, 0))) {
		keyd_session_denied(s, KEYPROTO_HELLO);
		put_frame(s, f->opcode, f->request, KEYPROTO_E_DENIED, span_of(NULL, 0));
		return ERR_DENIED;
	}
	s->role = m.role;
	count(s, AUDIT_SESSIONS, KEYPROTO_HELLO);
	log_event(LOG_LEVEL_INFO, s->name, "session-opened", "uid=%u role=%s program=%.*s",
		  (unsigned)s->uid, keyproto_role_name(s->role), (int)m.program.n,
		  (const char *)m.program.p);
	at = wire_frame_open(&s->out);
	keyproto_hello_reply_put(&s->out, &reply);
	return wire_frame_close(&s->out, at, f->opcode, f->request, 0, s->keyd->epoch);
}

/* The answer goes into out behind a frame head that is filled in at the end. */
static int answer_now(struct keyd_session *s, const struct wire_frame *f)
{
	struct keyd_op_call call = {.keyd = s->keyd,
				    .session = s,
				    .op = f->opcode,
				    .request = f->request,
				    .body = f->body,
				    .reply = &s->out};
	size_t body;
	int rc;

	call.at = wire_frame_open(&s->out);
	body = buf_size(&s->out);
	rc = keyd_op_run(&call);
	if (rc == KEYD_OP_LATER)
		return 0;
	if (rc == KEYD_OP_MALFORMED) {
		s->out.len = s->out.off + call.at;
		return bad_frame(s, "body");
	}
	if (!keeps_body(rc)) { /* what was written before the failure is taken back */
		s->out.len = s->out.off + body;
		s->out.failed = 0;
	}
	rc = wire_frame_close(&s->out, call.at, f->opcode, f->request, keyproto_status_of_err(rc),
			      s->keyd->epoch);
	log_debug("session", s->name, "request", "op=%s", keyproto_op_name(f->opcode));
	if (rc == ERR_LIMIT) /* a lawful request whose answer is longer than a frame */
		rc = put_frame(s, f->opcode, f->request, KEYPROTO_E_LIMIT, span_of(NULL, 0));
	return rc;
}

static int request(struct keyd_session *s, const struct wire_frame *f)
{
	int rc;

	if (f->request == 0 || f->status != 0)
		return bad_frame(s, "head");
	if (s->unanswered >= KEYPROTO_CREDIT)
		return put_frame(s, f->opcode, f->request, KEYPROTO_E_BUSY, span_of(NULL, 0));
	s->answering = 1;
	rc = answer_now(s, f);
	s->answering = 0;
	if (s->push_after) {
		s->push_after = 0;
		keyd_session_push(s);
	}
	return rc;
}

int keyd_session_step(struct keyd_session *s, struct buf *in)
{
	struct wire_frame f;
	int n = wire_frame_parse(buf_span(in), &f), rc;

	if (n == 0)
		return 0;
	if (n < 0)
		return bad_frame(s, "frame");
	rc = s->role ? request(s, &f) : hello(s, &f);
	/* Passphrases and plaintext pass through here. */
	secret_wipe((uint8_t *)buf_ptr(in) + WIRE_FRAME_HEAD, f.body.n);
	buf_drain(in, (size_t)n);
	keyd_watch_settle(s->keyd);
	return rc < 0 ? rc : 1;
}
