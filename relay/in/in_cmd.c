/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_cmd.h"

#define GREET IN_STATE_BIT(GREET)
#define READY IN_STATE_BIT(READY)
#define MAIL IN_STATE_BIT(MAIL)
#define RCPT IN_STATE_BIT(RCPT)
#define GREETED (READY | MAIL | RCPT)
#define ANY (GREET | GREETED)

static const struct in_cmd rows[SMTP_VERB_COUNT] = {
    /* verb                 handler          allowed in    otherwise           TLS  argument       line */
    [SMTP_VERB_EHLO] = {in_cmd_ehlo, ANY, IN_REPLY_NONE, 0, IN_CMD_ARGS_SOME, IN_CMD_LINE},
    [SMTP_VERB_HELO] = {in_cmd_helo, ANY, IN_REPLY_NONE, 0, IN_CMD_ARGS_SOME, IN_CMD_LINE},
    [SMTP_VERB_STARTTLS] = {in_cmd_starttls, READY, IN_REPLY_NO_TLS_NOW, 0, IN_CMD_ARGS_NONE, IN_CMD_LINE},
    [SMTP_VERB_MAIL] = {in_cmd_mail, READY, IN_REPLY_NESTED_MAIL, 1, IN_CMD_ARGS_SOME, IN_CMD_LINE_MAIL},
    [SMTP_VERB_RCPT] = {in_cmd_rcpt, MAIL | RCPT, IN_REPLY_MAIL_FIRST, 1, IN_CMD_ARGS_SOME, IN_CMD_LINE},
    [SMTP_VERB_DATA] = {in_cmd_data, MAIL | RCPT, IN_REPLY_MAIL_FIRST, 1, IN_CMD_ARGS_NONE, IN_CMD_LINE},
    [SMTP_VERB_RSET] = {in_cmd_rset, ANY, IN_REPLY_NONE, 0, IN_CMD_ARGS_NONE, IN_CMD_LINE},
    [SMTP_VERB_NOOP] = {in_cmd_noop, ANY, IN_REPLY_NONE, 0, IN_CMD_ARGS_ANY, IN_CMD_LINE},
    [SMTP_VERB_QUIT] = {in_cmd_quit, ANY, IN_REPLY_NONE, 0, IN_CMD_ARGS_NONE, IN_CMD_LINE},
    [SMTP_VERB_VRFY] = {in_cmd_vrfy, ANY, IN_REPLY_NONE, 0, IN_CMD_ARGS_SOME, IN_CMD_LINE},
    [SMTP_VERB_HELP] = {in_cmd_help, ANY, IN_REPLY_NONE, 0, IN_CMD_ARGS_ANY, IN_CMD_LINE},
    /* no row: EXPN, AUTH, BDAT, ETRN, ATRN, TURN, SEND, SOML, SAML, XCLIENT are not offered */
};

const struct in_cmd *in_cmd_row(enum smtp_verb v)
{
	return &rows[v];
}
