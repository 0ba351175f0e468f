/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_cmd.h"

#include "smtp/smtp_auth.h"

#define GREET	IN_STATE_BIT(GREET)
#define READY	IN_STATE_BIT(READY)
#define MAIL	IN_STATE_BIT(MAIL)
#define RCPT	IN_STATE_BIT(RCPT)
#define GREETED (READY | MAIL | RCPT)
#define CHUNKS	IN_STATE_BIT(CHUNKS)
#define ANY	(GREET | GREETED | CHUNKS)

#define ROW(verb, run, states, wrong, tls, args, line) \
	[SMTP_VERB_##verb] = {run, states, IN_REPLY_##wrong, tls, IN_CMD_ARGS_##args, line}

/* Verbs without a row (EXPN, ETRN, ATRN, TURN, SEND, SOML, SAML) are not
 * offered. */
static const struct in_cmd rows[SMTP_VERB_COUNT] = {
    /* clang-format off */
    /*  verb      handler          allowed in   otherwise     TLS  arg   line */
    ROW(EHLO,     in_cmd_ehlo,     ANY,         NONE,         0,   SOME, IN_CMD_LINE),
    ROW(HELO,     in_cmd_helo,     ANY,         NONE,         0,   SOME, IN_CMD_LINE),
    ROW(STARTTLS, in_cmd_starttls, READY,       NO_TLS_NOW,   0,   NONE, IN_CMD_LINE),
    ROW(AUTH,     in_cmd_auth,     READY,       NO_AUTH_NOW,  1,   SOME, SMTP_AUTH_LINE),
    ROW(MAIL,     in_cmd_mail,     READY,       NESTED_MAIL,  1,   SOME, IN_CMD_LINE_MAIL),
    ROW(RCPT,     in_cmd_rcpt,     MAIL | RCPT, MAIL_FIRST,   1,   SOME, IN_CMD_LINE_RCPT),
    ROW(DATA,     in_cmd_data,     MAIL | RCPT, MAIL_FIRST,   1,   NONE, IN_CMD_LINE),
    ROW(BDAT,     in_cmd_bdat,     ANY,         NONE,         0,   SOME, IN_CMD_LINE),
    ROW(RSET,     in_cmd_rset,     ANY,         NONE,         0,   NONE, IN_CMD_LINE),
    ROW(NOOP,     in_cmd_noop,     ANY,         NONE,         0,   ANY,  IN_CMD_LINE),
    ROW(QUIT,     in_cmd_quit,     ANY,         NONE,         0,   NONE, IN_CMD_LINE),
    ROW(VRFY,     in_cmd_vrfy,     ANY,         NONE,         0,   SOME, IN_CMD_LINE),
    ROW(XCLIENT,  in_cmd_xclient,  GREET | READY, NO_XCLIENT_NOW, 0, SOME, IN_CMD_LINE),
    ROW(HELP,     in_cmd_help,     ANY,         NONE,         0,   ANY,  IN_CMD_LINE),
    /* clang-format on */
};

const struct in_cmd *in_cmd_row(enum smtp_verb v)
{
	return &rows[v];
}

enum in_reply in_cmd_params(struct span params, enum in_reply (*take)(const struct smtp_param *p, void *arg),
			    void *arg)
{
	enum in_reply bad = IN_REPLY_NONE;
	struct smtp_param p;
	unsigned seen = 0;
	int rc;

	while (bad == IN_REPLY_NONE && (rc = smtp_param_next(&params, &p)) != 0) {
		if (rc < 0 || (seen & (1u << p.id)))
			return IN_REPLY_BAD_PARAMETER;
		seen |= 1u << p.id;
		bad = take(&p, arg);
	}
	return bad;
}
