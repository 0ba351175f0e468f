/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_session.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "relay/in/in_cmd.h"
#include "smtp/smtp_auth.h"
#include "smtp/smtp_line.h"
#include "smtp/smtp_reply.h"

#define LOOK_MAX       SMTP_AUTH_LINE /* what is looked at; each verb has its own limit below that */
#define SKIP_MAX       (64u << 10) /* octets of an over-long line before we hang up */
#define OUT_MAX	       (32u << 10) /* replies gathered before they have to leave */
#define OUT_PAUSE      (16u << 10)
#define BEGIN_WAIT     (30 * CLOCK_SEC)
#define HANDSHAKE_WAIT (60 * CLOCK_SEC)

#define OPEN_STATES \
	(IN_STATE_BIT(GREET) | IN_STATE_BIT(READY) | IN_STATE_BIT(MAIL) | IN_STATE_BIT(RCPT) |        \
	 IN_STATE_BIT(CHUNKS))

static int is_in(const struct in_session *s, unsigned states)
{
	return (1u << s->state & states) != 0;
}

static char nameless[] = "";

int in_session_set_helo(struct in_session *s, struct span name)
{
	char *kept = name.n ? malloc(name.n + 1) : nameless;

	if (!kept)
		return ERR_NOMEM;
	if (name.n)
		span_copy_str(kept, name.n + 1, name);
	if (s->helo != nameless)
		free(s->helo);
	s->helo = kept;
	return 0;
}

void in_session_init(struct in_session *s, const struct in_session_host *host, void *arg,
		     const struct relay_conf *conf, const struct in_peer *peer)
{
	memset(s, 0, offsetof(struct in_session, tx));
	in_tx_init(&s->tx);
	s->host = host;
	s->arg = arg;
	s->conf = conf;
	s->peer = *peer;
	s->helo = nameless;
	buf_init(&s->out, OUT_MAX);
	id_format(s->name, id_new());
}

/* How long the peer, or somebody else, may be silent now. */
static void arm(struct in_session *s)
{
	int64_t wait = s->conf->limits.idle;

	if (s->state == IN_STATE_CONNECT || s->state == IN_STATE_TLS)
		wait = HANDSHAKE_WAIT;
	else if (s->state == IN_STATE_BEGIN)
		wait = BEGIN_WAIT;
	else if (s->state == IN_STATE_COMMIT || s->state == IN_STATE_CLOSED ||
		 s->state == IN_STATE_FILTER || s->state == IN_STATE_CHECK)
		wait = 0; /* spool and checkers always answer, and filters have timeouts of their own */
	s->host->timer(s->arg, wait);
}

void in_session_drop(struct in_session *s)
{
	if (s->tx.begun)
		s->host->abort(s->arg);
	if (s->tx.asked)
		s->host->forget(s->arg);
	in_tx_reset(&s->tx);
}

/* A session that did nothing unusual leaves no line: health checks are many. */
static void log_end(const struct in_session *s, const char *why)
{
	int usual = !s->errors_all && !s->refused_all &&
		    is_in(s, IN_STATE_BIT(GREET) | IN_STATE_BIT(READY)) &&
		    (!strcmp(why, "BYE") || !strcmp(why, "eof"));

	if (usual && !log_topic("in"))
		return;
	log_event(LOG_LEVEL_INFO, s->name, "session-ended",
		  "why=%s state=%s accepted=%u refused=%u errors=%u tls=%s", why,
		  in_state_name(s->state), s->accepted_all, s->refused_all, s->errors_all,
		  s->tls.version ? s->tls.version : "no");
}

static void finish(struct in_session *s, const char *why)
{
	if (s->state == IN_STATE_CLOSED)
		return;
	in_session_drop(s);
	log_end(s, why);
	in_state_set(s, IN_STATE_CLOSED, why);
	s->host->close(s->arg);
}

static void log_refusal(struct in_session *s, const struct in_reply_row *row)
{
	s->refused_all++;
	if (row->code >= 500)
		s->count.rejected++;
	else
		s->count.tempfailed++;
	log_event(LOG_LEVEL_INFO, s->name, "refused", "code=%d enhanced=%s reply=%s", row->code,
		  row->enhanced, row->name);
}

void in_session_say_param(struct in_session *s, enum in_reply r, const char *param)
{
	const struct in_reply_row *row = in_reply_row(r);
	char text[1024];
	const char *hole;

	if (row->flags & IN_REPLY_REFUSAL)
		log_refusal(s, row);
	if (row->flags & IN_REPLY_ERROR) {
		s->errors_all++;
		if (++s->errors >= (unsigned)s->conf->limits.errors &&
		    !(row->flags & IN_REPLY_CLOSE)) {
			row = in_reply_row(IN_REPLY_TOO_MANY_ERRORS);
			param = s->conf->hostname;
		}
	}
	hole = strstr(row->text, "%s");
	if (hole)
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(hole - row->text), row->text, param,
			 hole + 2);
	smtp_reply_format(&s->out,
			  &(struct smtp_reply){row->code, row->enhanced, hole ? text : row->text});
	if (row->flags & IN_REPLY_CLOSE)
		finish(s, row->name);
}

void in_session_say(struct in_session *s, enum in_reply r)
{
	in_session_say_param(s, r, s->conf->hostname);
}

void in_session_say_verdict(struct in_session *s, const struct in_verdict *v, int last)
{
	const struct in_reply_row row = {.code = v->code, .enhanced = v->enhanced, .name = "FILTER"};

	log_refusal(s, &row);
	smtp_reply_format(&s->out, &(struct smtp_reply){v->code, v->enhanced, v->text});
	if (last || v->code == 421)
		finish(s, row.name);
}

enum in_reply in_session_reply_of(int err)
{
	switch (err) {
	case ERR_AWAY:
	case ERR_LOCKED:
	case ERR_BUSY:
	case ERR_TIMEOUT:
		return IN_REPLY_KEYS_AWAY;
	case ERR_NOSPACE:
		return IN_REPLY_NO_SPACE;
	default:
		return IN_REPLY_STORE_FAILED;
	}
}

void in_session_greet(struct in_session *s)
{
	in_state_set(s, IN_STATE_GREET, "greeting");
	in_session_say(s, IN_REPLY_GREETING);
}

void in_session_meet(struct in_session *s)
{
	if (!in_ask_start(s, IN_ASK_CONNECT, span_of(NULL, 0)))
		in_session_greet(s);
}

void in_session_start(struct in_session *s)
{
	if (s->peer.mode != RELAY_SUBMISSIONS)
		in_session_meet(s);
	arm(s);
}

void in_session_refuse(struct in_session *s, enum in_reply why)
{
	in_session_say(s, why);
}

/* The table's word on whether a command may run now; NONE: it may. */
static enum in_reply judge(struct in_session *s, const struct in_cmd *cmd, size_t octets,
			   struct span args)
{
	if (octets > (cmd->line_max ? cmd->line_max : IN_CMD_LINE))
		return IN_REPLY_LONG_LINE;
	if (!cmd->run)
		return IN_REPLY_NOT_OFFERED;
	if (!is_in(s, cmd->states))
		return s->state == IN_STATE_GREET    ? IN_REPLY_HELO_FIRST
		       : s->state == IN_STATE_CHUNKS ? IN_REPLY_CHUNKS_FIRST
						     : cmd->wrong;
	if (cmd->needs_tls && s->peer.tls_required && !s->tls.version)
		return IN_REPLY_TLS_FIRST;
	if (cmd->args == IN_CMD_ARGS_NONE && args.n)
		return IN_REPLY_ARGUMENT_EXTRA;
	if (cmd->args == IN_CMD_ARGS_SOME && !args.n)
		return IN_REPLY_ARGUMENT_MISSING;
	return IN_REPLY_NONE;
}

static void run(struct in_session *s, struct span line)
{
	struct span args;
	enum smtp_verb verb = smtp_verb_parse(line, &args);
	const struct in_cmd *cmd = in_cmd_row(verb);
	enum in_reply bad;

	if (verb == SMTP_VERB_FOREIGN)
		bad = IN_REPLY_FOREIGN;
	else if (verb == SMTP_VERB_UNKNOWN)
		bad = line.n + 2 > IN_CMD_LINE ? IN_REPLY_LONG_LINE : IN_REPLY_UNKNOWN;
	else
		bad = judge(s, cmd, line.n + 2, args);
	if (log_topic("in"))
		log_debug("in", s->name, "command", "verb=%s octets=%zu", smtp_verb_name(verb),
			  line.n + 2);
	if (bad != IN_REPLY_NONE)
		in_session_say(s, bad);
	else
		cmd->run(s, args);
}

/* In an over-long line: throws it away up to its end, which is when the reply is due. */
static size_t skip(struct in_session *s, struct span in)
{
	int found;
	size_t n = smtp_line_skip(in, &found);

	s->skipped += n;
	if (s->skipped > SKIP_MAX) {
		in_session_say(s, IN_REPLY_LONG_LINE);
		finish(s, "endless-line");
	} else if (found) {
		s->skipped = 0;
		in_session_say(s, IN_REPLY_LONG_LINE);
	}
	return n;
}

static size_t command(struct in_session *s, struct span in)
{
	struct span line, args;
	int n;

	if (s->skipped)
		return skip(s, in);
	n = smtp_line_take(in, LOOK_MAX, &line);
	if (n == ERR_FORMAT) {
		in_session_say(s, IN_REPLY_BAD_LINE_END);
		return 0;
	}
	if (n == ERR_LIMIT) {
		if (smtp_verb_parse(span_sub(in, 0, LOOK_MAX), &args) == SMTP_VERB_FOREIGN)
			in_session_say(s, IN_REPLY_FOREIGN);
		else
			return skip(s, in);
		return 0;
	}
	if (n > 0)
		run(s, line);
	return (size_t)n;
}

/* A line of an AUTH exchange. */
static size_t answer(struct in_session *s, struct span in)
{
	struct span line;
	int n = smtp_line_take(in, LOOK_MAX, &line);

	if (n == ERR_FORMAT || n == ERR_LIMIT) {
		in_session_say(s, n == ERR_FORMAT ? IN_REPLY_BAD_LINE_END : IN_REPLY_LONG_LINE);
		finish(s, "bad-auth-line");
		return 0;
	}
	if (n > 0)
		in_cmd_auth_line(s, line);
	return (size_t)n;
}

/* STARTTLS was said. Whatever came behind it in clear was put there by somebody on the way
 * (CVE-2011-0411). */
static void begin_tls(struct in_session *s, size_t behind)
{
	if (behind)
		finish(s, "plaintext-behind-starttls");
	else
		s->host->start_tls(s->arg);
}

/* After anything that may have changed the state. */
static void settle(struct in_session *s)
{
	if (s->stopping && is_in(s, OPEN_STATES))
		in_session_say(s, IN_REPLY_STOPPING);
	if (s->lost && s->state != IN_STATE_COMMIT)
		finish(s, s->lost);
	if (buf_failed(&s->out) && s->state != IN_STATE_COMMIT)
		finish(s, "no-memory");
	arm(s);
}

size_t in_session_input(struct in_session *s, struct span in)
{
	size_t used = 0, n;

	while (used < in.n && buf_size(&s->out) < OUT_PAUSE) {
		struct span rest = span_sub(in, used, in.n);

		if (s->state == IN_STATE_DATA)
			n = in_cmd_data_input(s, rest);
		else if (s->state == IN_STATE_CHUNK)
			n = in_cmd_bdat_input(s, rest);
		else if (s->chunk_left && is_in(s, OPEN_STATES) && !s->stopping)
			n = in_cmd_bdat_drop(s, rest);
		else if (s->state == IN_STATE_AUTH)
			n = answer(s, rest);
		else if (is_in(s, OPEN_STATES) && !s->stopping)
			n = command(s, rest);
		else
			break;
		if (n == 0)
			break;
		used += n;
		if (s->state == IN_STATE_TLS) {
			begin_tls(s, in.n - used);
			break;
		}
	}
	if (used)
		settle(s);
	return used;
}

void in_session_begun(struct in_session *s, uint64_t ticket, int err, uint64_t id)
{
	if (s->state != IN_STATE_BEGIN || ticket != s->ticket)
		return;
	in_cmd_data_begun(s, err, id);
	settle(s);
}

void in_session_committed(struct in_session *s, uint64_t ticket, int err)
{
	if (s->state != IN_STATE_COMMIT || ticket != s->ticket)
		return;
	in_cmd_data_committed(s, err);
	settle(s);
}

void in_session_filtered(struct in_session *s, uint64_t ticket, const struct in_verdict *v)
{
	if (in_ask_answer(s, ticket, v))
		settle(s);
}

void in_session_authed(struct in_session *s, uint64_t ticket, int err, const char *credential,
		       const char *customer)
{
	if (s->state != IN_STATE_CHECK || ticket != s->ticket)
		return;
	in_cmd_auth_checked(s, err, credential, customer);
	settle(s);
}

int in_session_log_in(struct in_session *s, const char *credential, const char *customer,
		      const char *mechanism)
{
	struct in_session_login *l = s->login ? s->login : malloc(sizeof(*l));

	if (!l)
		return ERR_NOMEM;
	snprintf(l->credential, sizeof(l->credential), "%s", credential);
	snprintf(l->customer, sizeof(l->customer), "%s", customer);
	l->mechanism = mechanism;
	s->login = l;
	s->peer.customer = l->customer;
	log_event(LOG_LEVEL_INFO, s->name, "logged-in", "credential=%s customer=%s mechanism=%s client=%s",
		  l->credential, l->customer, mechanism, s->peer.address);
	return 0;
}

void in_session_tls_done(struct in_session *s, const struct in_tls *tls)
{
	if (s->state != IN_STATE_TLS && s->state != IN_STATE_CONNECT)
		return;
	s->tls = *tls;
	in_session_set_helo(s, span_of(NULL, 0));
	if (s->state == IN_STATE_CONNECT)
		in_session_meet(s);
	else
		in_state_set(s, IN_STATE_GREET, "tls"); /* RFC 3207 4.2: no second greeting */
	settle(s);
}

void in_session_timeout(struct in_session *s)
{
	if (is_in(s, OPEN_STATES | IN_STATE_BIT(DATA) | IN_STATE_BIT(CHUNK) | IN_STATE_BIT(AUTH))) {
		in_session_say(s, IN_REPLY_IDLE);
	} else if (s->state == IN_STATE_BEGIN) {
		s->host->abort(s->arg);
		in_cmd_data_begun(s, ERR_TIMEOUT, 0);
		settle(s);
	} else if (s->state == IN_STATE_CONNECT || s->state == IN_STATE_TLS) {
		finish(s, "handshake-timeout");
	}
}

void in_session_lost(struct in_session *s, const char *why)
{
	s->lost = why; /* a message that is being committed cannot be called back: its answer is
			  awaited */
	settle(s);
}

void in_session_stop(struct in_session *s)
{
	s->stopping = 1;
	if (is_in(s, OPEN_STATES))
		in_session_say(s, IN_REPLY_STOPPING);
	else if (s->state == IN_STATE_CONNECT)
		finish(s, "stopping");
}

int in_session_waits(const struct in_session *s)
{
	return s->state == IN_STATE_COMMIT || s->state == IN_STATE_FILTER;
}

void in_session_clear(struct in_session *s)
{
	if (s->state != IN_STATE_CLOSED)
		log_end(s, "cut");
	in_session_drop(s);
	in_cmd_auth_clear(s);
	in_session_set_helo(s, span_of(NULL, 0));
	free(s->login);
	s->login = NULL;
	buf_clear(&s->out);
}
