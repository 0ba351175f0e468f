/* SPDX-License-Identifier: Apache-2.0 */
/* in_reply - every reply that the inbound SMTP server gives, in one table.
 *
 * Story:  handlers name a reply; in_session says it. "%s" in a text stands for the one thing that varies (our host
 *         name, a message id). sealpost-replies(7) documents each row; a test fails if one is missing there.
 * Flags:  ERROR counts against limits.errors; REFUSAL is logged (event=refused) and counted as rejected (5xx) or
 *         tempfailed (4xx); CLOSE ends the session.
 * Source: RFC 5321 4.2, RFC 2034, RFC 3463, RFC 5248. */
#ifndef RELAY_IN_IN_REPLY_H
#define RELAY_IN_IN_REPLY_H

enum { IN_REPLY_ERROR = 1, IN_REPLY_REFUSAL = 2, IN_REPLY_CLOSE = 4 };

#define IN_E IN_REPLY_ERROR
#define IN_R IN_REPLY_REFUSAL
#define IN_C IN_REPLY_CLOSE

/* X(name, code, enhanced code, flags, text) */
#define IN_REPLIES(X)                                                                              \
	X(HELP, 214, "2.0.0", 0,                                                                   \
	  "Commands: EHLO HELO STARTTLS MAIL RCPT DATA RSET NOOP VRFY HELP QUIT\n"                 \
	  "Replies are explained in sealpost-replies(7)")                                          \
	X(GREETING, 220, "", 0, "%s ESMTP Sealpost")                                               \
	X(TLS_READY, 220, "2.0.0", 0, "Ready to start TLS")                                        \
	X(BYE, 221, "2.0.0", IN_C, "%s closing, bye")                                              \
	X(HELO, 250, "", 0, "%s")                                                                  \
	X(LOGGED_IN, 235, "2.7.0", 0, "Logged in")                                                  \
	X(OK, 250, "2.0.0", 0, "Ok")                                                               \
	X(RESET, 250, "2.0.0", 0, "Transaction reset")                                             \
	X(SENDER_OK, 250, "2.1.0", 0, "Sender ok")                                                 \
	X(RECIPIENT_OK, 250, "2.1.5", 0, "Recipient ok")                                           \
	X(CHUNK_OK, 250, "2.0.0", 0, "%s octets received")                                          \
	X(QUEUED, 250, "2.0.0", 0, "Ok, queued as %s")                                             \
	X(VRFY, 252, "2.0.0", 0, "Addresses are not verified; send mail and see")                  \
	X(AUTH_MORE, 334, "", 0, "%s")                                                              \
	X(START_DATA, 354, "", 0, "End data with <CR><LF>.<CR><LF>")                               \
	X(STOPPING, 421, "4.3.2", IN_C, "%s is shutting down, try again later")                    \
	X(IDLE, 421, "4.4.2", IN_C, "%s heard nothing for too long, closing")                      \
	X(TOO_MANY_ERRORS, 421, "4.7.0", IN_C, "%s has seen too many errors, closing")             \
	X(FULL, 421, "4.7.0", IN_C, "%s has too many sessions, try again later")                   \
	X(FULL_CLIENT, 421, "4.7.0", IN_C,                                                         \
	  "%s has too many sessions from your address, try again later")                           \
	X(LOCKED_OUT, 421, "4.7.0", IN_R | IN_C,                                                    \
	  "%s has seen too many failed logins from your address, try again later")                 \
	X(FULL_CREDENTIAL, 421, "4.7.0", IN_R | IN_C,                                               \
	  "%s has too many sessions of your credential, try again later")                          \
	X(FOREIGN, 421, "4.7.0", IN_C, "%s speaks SMTP only, closing")                             \
	X(KEYS_AWAY, 451, "4.3.0", IN_R, "Keys are not available now, try again later")            \
	X(STORE_FAILED, 451, "4.3.0", IN_R, "Message could not be stored, try again later")        \
	X(SIGN_FAILED, 451, "4.3.0", IN_R, "Message could not be signed, try again later")         \
	X(RATE_MESSAGES, 450, "4.7.1", IN_R, "Too many messages for now, try again later")          \
	X(RATE_RECIPIENTS, 450, "4.7.1", IN_R, "Too many recipients for now, try again later")      \
	X(NO_SPACE, 452, "4.3.1", IN_R, "Not enough disk space, try again later")                  \
	X(TOO_MANY_RECIPIENTS, 452, "4.5.3", IN_R,                                                 \
	  "Too many recipients, send to the rest in another transaction")                          \
	X(AUTH_AWAY, 454, "4.7.0", IN_R, "Logging in is not possible now, try again later")         \
	X(TLS_AWAY, 454, "4.7.0", 0, "TLS is not available now, try again later")                  \
	X(BAD_LINE_END, 500, "5.5.2", IN_E | IN_C,                                                 \
	  "A line ends in CR LF and holds no other CR, LF or NUL, closing")                        \
	X(LONG_LINE, 500, "5.5.2", IN_E, "Command line too long")                                  \
	X(UNKNOWN, 500, "5.5.1", IN_E, "Command not known")                                        \
	X(BAD_HELO, 501, "5.5.4", IN_E, "Give your host name or address literal")                  \
	X(ARGUMENT_MISSING, 501, "5.5.4", IN_E, "Argument missing")                                \
	X(ARGUMENT_EXTRA, 501, "5.5.4", IN_E, "This command takes no argument")                    \
	X(BAD_MAIL, 501, "5.5.4", IN_E, "Syntax: MAIL FROM:<address> parameters")                  \
	X(BAD_BDAT, 501, "5.5.4", IN_E | IN_C, "Syntax: BDAT size [LAST]; what follows is unclear, closing") \
	X(BAD_RCPT, 501, "5.5.4", IN_E, "Syntax: RCPT TO:<address> parameters")                    \
	X(BAD_PARAMETER, 501, "5.5.4", IN_E, "Parameter malformed or given twice")                 \
	X(BAD_SENDER, 501, "5.1.7", IN_E, "Sender address is malformed")                           \
	X(LONG_SENDER, 501, "5.1.7", IN_E, "Sender address is too long")                           \
	X(BAD_RECIPIENT, 501, "5.1.3", IN_E, "Recipient address is malformed")                     \
	X(LONG_RECIPIENT, 501, "5.1.3", IN_E, "Recipient address is too long")                     \
	X(NOT_OFFERED, 502, "5.5.1", IN_E, "Command not implemented")                              \
	X(HELO_FIRST, 503, "5.5.1", IN_E, "Say EHLO or HELO first")                                \
	X(MAIL_FIRST, 503, "5.5.1", IN_E, "Say MAIL first")                                        \
	X(RCPT_FIRST, 503, "5.5.1", IN_E, "Say RCPT first")                                        \
	X(NESTED_MAIL, 503, "5.5.1", IN_E, "Sender was given already, RSET starts over")           \
	X(CHUNKS_FIRST, 503, "5.5.1", IN_E, "A message is under way with BDAT, RSET gives it up")   \
	X(TLS_ALREADY, 503, "5.5.1", IN_E, "TLS is on already")                                    \
	X(NO_TLS_NOW, 503, "5.5.1", IN_E, "Not within a transaction")                              \
	X(AUTH_BAD_LINE, 501, "5.5.2", IN_E, "Not the base64 that this mechanism takes")            \
	X(AUTH_CANCELLED, 501, "5.7.0", IN_E, "Login cancelled")                                    \
	X(AUTH_ALREADY, 503, "5.5.1", IN_E, "Logged in already")                                    \
	X(NO_AUTH_NOW, 503, "5.5.1", IN_E, "Not within a transaction")                              \
	X(NO_XCLIENT_NOW, 503, "5.5.1", IN_E, "XCLIENT comes before any mail")                     \
	X(AUTH_UNKNOWN, 504, "5.5.4", IN_E, "This mechanism is not offered")                        \
	X(AUTH_FIRST, 530, "5.7.0", IN_E | IN_R, "Log in first")                                    \
	X(AUTH_FAILED, 535, "5.7.8", IN_E | IN_R, "Name or password is wrong")                      \
	X(AUTH_IN_CLEAR, 538, "5.7.11", IN_E, "Passwords are taken under TLS only, say STARTTLS first") \
	X(REQUIRETLS_IN_CLEAR, 530, "5.7.10", IN_E, "REQUIRETLS is for sessions under TLS")          \
	X(TLS_FIRST, 530, "5.7.0", IN_E, "Say STARTTLS first")                                     \
	X(NO_ROUTE, 550, "5.1.2", IN_R, "No route to this domain")                                 \
	X(NO_SUCH_LOGIN, 550, "5.7.0", IN_E | IN_R, "There is no credential of that name")         \
	X(RELAY_REFUSED, 550, "5.7.1", IN_E | IN_R,                                                \
	  "Relay refused: your address is not trusted here")                                       \
	X(NO_MAILBOX, 550, "5.1.1", IN_R, "No such address here")                                  \
	X(SUPPRESSED, 550, "5.7.1", IN_R,                                                          \
	  "Recipient is suppressed: mail bounced, or was not wanted")                              \
	X(TOO_BIG, 552, "5.3.4", IN_R, "Message too big, the limit is SIZE in the answer to EHLO") \
	X(LONG_HEADER, 552, "5.3.4", IN_R,                                                         \
	  "Message refused: header section over 250 KiB, filters cannot be asked")                 \
	X(CHUNK_TOO_BIG, 552, "5.3.4", IN_R | IN_C, "Chunk bigger than any message may be, closing") \
	X(UTF8_SENDER, 553, "5.6.7", IN_R, "Sender address needs the SMTPUTF8 parameter")          \
	X(UTF8_RECIPIENT, 553, "5.6.7", IN_R, "Recipient address needs SMTPUTF8 with MAIL")        \
	X(NO_RECIPIENTS, 554, "5.5.1", IN_E, "No valid recipients")                                \
	X(BARE_LF, 554, "5.6.0", IN_R, "Message refused: LF without CR in it")                     \
	X(BARE_CR, 554, "5.6.0", IN_R, "Message refused: CR without LF in it")                     \
	X(NUL, 554, "5.6.0", IN_R, "Message refused: NUL octet in it")                             \
	X(LONG_TEXT, 554, "5.6.0", IN_R,                                                           \
	  "Message refused: line over 1000 octets with its CR LF in it")                           \
	X(NO_END, 554, "5.6.0", IN_R, "Message refused: its last line has no CR LF")                \
	X(SIGN_TOO_LONG, 554, "5.6.0", IN_R,                                                        \
	  "Message refused: From, Subject and the like are too long to be signed")                 \
	X(LOOP, 554, "5.4.6", IN_R, "Message refused: over 100 Received headers, it loops")        \
	X(UNSUPPORTED, 555, "5.5.4", IN_E, "Parameter not supported")

enum in_reply {
	IN_REPLY_NONE,
#define IN_REPLY_ENUM(name, code, enhanced, flags, text) IN_REPLY_##name,
	IN_REPLIES(IN_REPLY_ENUM)
#undef IN_REPLY_ENUM
	IN_REPLY_COUNT
};

struct in_reply_row {
	int code;
	const char *enhanced;
	unsigned flags;
	const char *text;
	const char *name; /* for the log: "RELAY_REFUSED" */
};

const struct in_reply_row *in_reply_row(enum in_reply r);

#endif
