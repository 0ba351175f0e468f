/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH PLAIN and LOGIN (RFC 4954, 4616). What a client said lies in secret memory until it is checked. */
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/secret.h"
#include "relay/in/in_cmd.h"
#include "smtp/smtp_auth.h"

enum step { PLAIN_MESSAGE, LOGIN_NAME, LOGIN_PASSWORD };

struct in_cmd_auth_talk {
	enum step step;
	char name[SMTP_AUTH_FIELD + 1];
	uint8_t decoded[SMTP_AUTH_MESSAGE];
};

static const struct {
	const char *name;
	enum step first;
	const char *challenge; /* without an initial response; base64 */
} mechanisms[] = {
    {"PLAIN", PLAIN_MESSAGE, ""},
    {"LOGIN", LOGIN_NAME, "VXNlcm5hbWU6"}, /* "Username:" */
};
#define PASSWORD_CHALLENGE "UGFzc3dvcmQ6" /* "Password:" */

void in_cmd_auth_clear(struct in_session *s)
{
	secret_free(s->talk, sizeof(*s->talk));
	s->talk = NULL;
}

/* The exchange is over. */
static void end(struct in_session *s, enum in_reply r)
{
	in_cmd_auth_clear(s);
	in_state_set(s, IN_STATE_READY, in_reply_row(r)->name);
	in_session_say(s, r);
}

static enum in_reply reply_of(int err)
{
	switch (err) {
	case ERR_AUTH:
		return IN_REPLY_AUTH_FAILED;
	case ERR_LIMIT:
		return IN_REPLY_LOCKED_OUT;
	case ERR_EXISTS:
		return IN_REPLY_FULL_CREDENTIAL;
	default:
		return IN_REPLY_AUTH_AWAY;
	}
}

static void check(struct in_session *s, struct span password)
{
	int err;

	in_state_set(s, IN_STATE_CHECK, "auth");
	err = s->host->auth(s->arg, s->ticket, s->talk->name, password);
	if (err < 0 && s->state == IN_STATE_CHECK)
		end(s, reply_of(err));
}

static void take_plain(struct in_session *s, struct span message)
{
	struct smtp_auth_plain p;

	if (smtp_auth_plain_parse(message, &p) < 0)
		end(s, IN_REPLY_AUTH_BAD_LINE);
	else if (p.authzid.n && !span_equal(p.authzid, p.name))
		end(s, IN_REPLY_AUTH_FAILED); /* nobody acts for another */
	else if (span_copy_str(s->talk->name, sizeof(s->talk->name), p.name) < 0)
		end(s, IN_REPLY_AUTH_BAD_LINE);
	else
		check(s, p.password);
}

static void take_name(struct in_session *s, struct span name)
{
	if (smtp_auth_field_ok(name) < 0 ||
	    span_copy_str(s->talk->name, sizeof(s->talk->name), name) < 0) {
		end(s, IN_REPLY_AUTH_BAD_LINE);
		return;
	}
	s->talk->step = LOGIN_PASSWORD;
	in_session_say_param(s, IN_REPLY_AUTH_MORE, PASSWORD_CHALLENGE);
}

static void take_password(struct in_session *s, struct span password)
{
	if (smtp_auth_field_ok(password) < 0)
		end(s, IN_REPLY_AUTH_BAD_LINE);
	else
		check(s, password);
}

static void (*const takes[])(struct in_session *s, struct span decoded) = {
    [PLAIN_MESSAGE] = take_plain, [LOGIN_NAME] = take_name, [LOGIN_PASSWORD] = take_password};

/* text: base64, or "=" for nothing. */
static void take(struct in_session *s, struct span text)
{
	struct in_cmd_auth_talk *t = s->talk;
	int n = span_equal(text, SPAN_LIT("=")) ? 0 : hex_b64_decode(t->decoded, sizeof(t->decoded), text);

	if (n < 0)
		end(s, IN_REPLY_AUTH_BAD_LINE);
	else
		takes[t->step](s, span_of(t->decoded, (size_t)n));
}

void in_cmd_auth_line(struct in_session *s, struct span line)
{
	if (span_equal(line, SPAN_LIT("*")))
		end(s, IN_REPLY_AUTH_CANCELLED);
	else
		take(s, line);
}

static void begin(struct in_session *s, size_t mechanism, struct span response)
{
	s->talk = secret_alloc(sizeof(*s->talk));
	if (!s->talk) {
		in_session_say(s, IN_REPLY_AUTH_AWAY);
		return;
	}
	s->talk->step = mechanisms[mechanism].first;
	in_state_set(s, IN_STATE_AUTH, mechanisms[mechanism].name);
	if (response.n)
		take(s, response);
	else
		in_session_say_param(s, IN_REPLY_AUTH_MORE, mechanisms[mechanism].challenge);
}

void in_cmd_auth(struct in_session *s, struct span args)
{
	ptrdiff_t space = span_find(args, ' ');
	struct span name = space < 0 ? args : span_sub(args, 0, (size_t)space);
	struct span response = space < 0 ? span_of(NULL, 0) : span_sub(args, (size_t)space + 1, args.n);

	if (s->peer.auth == RELAY_AUTH_NO || s->peer.auth == RELAY_AUTH_BY_MODE) {
		in_session_say(s, IN_REPLY_NOT_OFFERED);
	} else if (!s->tls.version) {
		in_session_say(s, IN_REPLY_AUTH_IN_CLEAR);
	} else if (s->login) {
		in_session_say(s, IN_REPLY_AUTH_ALREADY);
	} else {
		for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
			if (span_equal_nocase(name, span_str(mechanisms[i].name))) {
				begin(s, i, response);
				return;
			}
		in_session_say(s, IN_REPLY_AUTH_UNKNOWN);
	}
}

void in_cmd_auth_checked(struct in_session *s, int err, const char *credential, const char *customer)
{
	const char *mechanism = s->talk->step == PLAIN_MESSAGE ? "PLAIN" : "LOGIN";

	if (err == 0)
		err = in_session_log_in(s, credential, customer, mechanism);
	if (err == ERR_AUTH)
		log_event(LOG_LEVEL_WARN, s->name, "login-failed", "credential=%s mechanism=%s client=%s",
			  credential && *credential ? credential : "unknown", mechanism, s->peer.address);
	end(s, err == 0 ? IN_REPLY_LOGGED_IN : reply_of(err));
}
