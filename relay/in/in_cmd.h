/* SPDX-License-Identifier: Apache-2.0 */
/* in_cmd - the verbs of the inbound server: one table, and a handler for each.
 *
 * Story:  the generic loop of in_session looks a verb up and answers 500 or 502 if it has no handler, 500 if the line is
 *         too long for it, 503 if the state does not allow it, 530 if it needs TLS, 501 if an argument is missing or
 *         should not be there. Only then the handler runs; it says exactly one reply, or waits. */
#ifndef RELAY_IN_IN_CMD_H
#define RELAY_IN_IN_CMD_H

#include "relay/in/in_session.h"
#include "smtp/smtp_param.h"
#include "smtp/smtp_verb.h"

#define IN_CMD_LINE 512			     /* RFC 5321 4.5.3.1.4, with CRLF */
/* Parameters make lines longer: SIZE, BODY, SMTPUTF8 (RFC 1870, 6152, 6531), AUTH (RFC 4954), RET and ENVID; NOTIFY and
 * ORCPT (RFC 3461 4), REQUIRETLS. */
#define IN_CMD_LINE_MAIL (IN_CMD_LINE + 26 + 17 + 10 + 500 + 9 + 107 + 11)
#define IN_CMD_LINE_RCPT (IN_CMD_LINE + 500 + 28)

enum in_cmd_args { IN_CMD_ARGS_ANY, IN_CMD_ARGS_NONE, IN_CMD_ARGS_SOME };

struct in_cmd {
	void (*run)(struct in_session *s, struct span args); /* NULL: known but not offered (502) */
	unsigned states;      /* IN_STATE_BITs in which it may come */
	enum in_reply wrong;  /* said in other states, except in GREET: HELO_FIRST */
	int needs_tls;	      /* where the listener demands it */
	enum in_cmd_args args;
	unsigned line_max;
};

const struct in_cmd *in_cmd_row(enum smtp_verb v);

void in_cmd_helo(struct in_session *s, struct span args);
void in_cmd_ehlo(struct in_session *s, struct span args);
void in_cmd_mail(struct in_session *s, struct span args);
void in_cmd_rcpt(struct in_session *s, struct span args);
void in_cmd_data(struct in_session *s, struct span args);
void in_cmd_starttls(struct in_session *s, struct span args);
void in_cmd_auth(struct in_session *s, struct span args);
void in_cmd_rset(struct in_session *s, struct span args);
void in_cmd_noop(struct in_session *s, struct span args);
void in_cmd_quit(struct in_session *s, struct span args);
void in_cmd_vrfy(struct in_session *s, struct span args);
void in_cmd_help(struct in_session *s, struct span args);

/* How a command ends when the filters have nothing against it. */
void in_cmd_helo_taken(struct in_session *s);
void in_cmd_mail_taken(struct in_session *s);
void in_cmd_rcpt_taken(struct in_session *s);
void in_cmd_data_taken(struct in_session *s);
void in_cmd_data_commit(struct in_session *s);

void in_cmd_xclient(struct in_session *s, struct span args);

/* Goes through the parameters of MAIL or RCPT: each once, take says what is wrong with one. NONE: they are fine. */
enum in_reply in_cmd_params(struct span params, enum in_reply (*take)(const struct smtp_param *p, void *arg),
			    void *arg);

/* Parts of AUTH: a line of the client; the verdict; forgetting what was said. */
void in_cmd_auth_line(struct in_session *s, struct span line);
void in_cmd_auth_checked(struct in_session *s, int err, const char *credential, const char *customer);
void in_cmd_auth_clear(struct in_session *s);

/* Parts of BDAT: where the first chunk goes on; octets of a chunk, and of one that nobody wants. */
void in_cmd_bdat(struct in_session *s, struct span args);
void in_cmd_bdat_taken(struct in_session *s);
size_t in_cmd_bdat_input(struct in_session *s, struct span in);
size_t in_cmd_bdat_drop(struct in_session *s, struct span in);

/* Parts of DATA that BDAT shares: asks for the beginning of a message; takes octets of it (returns those used, 0 if there
 * is no room now); 1 if it is refused already, which is said then; its end has come. */
void in_cmd_data_begin(struct in_session *s);
size_t in_cmd_data_take(struct in_session *s, struct span in);
int in_cmd_data_refused(struct in_session *s);
void in_cmd_data_finish(struct in_session *s);

/* Parts of DATA. Body bytes: returns those used, 0 if there is no room now. */
size_t in_cmd_data_input(struct in_session *s, struct span in);
/* The answer to begin. */
void in_cmd_data_begun(struct in_session *s, int err, uint64_t id);
/* The answer to commit. */
void in_cmd_data_committed(struct in_session *s, int err);

#endif
