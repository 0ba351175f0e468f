/* SPDX-License-Identifier: Apache-2.0 */
/* milterproto - the bytes of the milter protocol, version 6, as an MTA writes and reads them.
 *
 * Story:     a packet is a length (4 octets, big-endian, of what follows), a command octet, and data. The MTA sends
 *            commands (milterproto_put_*), the filter answers most of them with one reply; after the end of the body
 *            changes of the message come before the reply. milterproto_take cuts packets off a stream,
 *            milterproto_reply reads one by a table of what each may hold. Pure; any thread.
 * Ownership: spans point into the input.
 * Limits:    a packet of a filter MILTERPROTO_PACKET_MAX octets; a chunk of the body MILTERPROTO_CHUNK.
 * Errors:    put: those of buf. take, reply, options: ERR_FORMAT, ERR_LIMIT.
 * Source:    libmilter's mfdef.h and mfapi.h; Postfix MILTER_README and Sendmail's milter API documents. */
#ifndef MILTERPROTO_MILTERPROTO_H
#define MILTERPROTO_MILTERPROTO_H

#include "core/buf.h"

#define MILTERPROTO_VERSION    6
#define MILTERPROTO_OLDEST     2 /* that a filter may speak */
#define MILTERPROTO_CHUNK      65535
#define MILTERPROTO_PACKET_MAX (256u << 10)

/* What a filter may do to a message (SMFIF_). */
enum {
	MILTERPROTO_ADDHDRS = 0x001,
	MILTERPROTO_CHGBODY = 0x002,
	MILTERPROTO_ADDRCPT = 0x004,
	MILTERPROTO_DELRCPT = 0x008,
	MILTERPROTO_CHGHDRS = 0x010,
	MILTERPROTO_QUARANTINE = 0x020,
	MILTERPROTO_CHGFROM = 0x040,
	MILTERPROTO_ADDRCPT_PAR = 0x080,
	MILTERPROTO_SETSYMLIST = 0x100,
	MILTERPROTO_ACTIONS = 0x1ff
};

/* What a filter does not want to hear, or does not answer (SMFIP_). */
enum {
	MILTERPROTO_NOCONNECT = 0x000001,
	MILTERPROTO_NOHELO = 0x000002,
	MILTERPROTO_NOMAIL = 0x000004,
	MILTERPROTO_NORCPT = 0x000008,
	MILTERPROTO_NOBODY = 0x000010,
	MILTERPROTO_NOHDRS = 0x000020,
	MILTERPROTO_NOEOH = 0x000040,
	MILTERPROTO_NR_HDR = 0x000080,
	MILTERPROTO_NOUNKNOWN = 0x000100,
	MILTERPROTO_NODATA = 0x000200,
	MILTERPROTO_SKIP = 0x000400, /* the MTA understands the reply SKIP */
	MILTERPROTO_RCPT_REJ = 0x000800,
	MILTERPROTO_NR_CONN = 0x001000,
	MILTERPROTO_NR_HELO = 0x002000,
	MILTERPROTO_NR_MAIL = 0x004000,
	MILTERPROTO_NR_RCPT = 0x008000,
	MILTERPROTO_NR_DATA = 0x010000,
	MILTERPROTO_NR_UNKN = 0x020000,
	MILTERPROTO_NR_EOH = 0x040000,
	MILTERPROTO_NR_BODY = 0x080000,
	MILTERPROTO_HDR_LEADSPC = 0x100000, /* header values keep their leading blank, both ways */
	MILTERPROTO_STEPS = 0x1fffff & ~MILTERPROTO_RCPT_REJ
};

/* X(name, octet): what the MTA says. */
#define MILTERPROTO_COMMANDS(X)                                                                   \
	X(ABORT, 'A')                                                                             \
	X(BODY, 'B')                                                                              \
	X(CONNECT, 'C') X(MACRO, 'D') X(BODYEOB, 'E') X(HELO, 'H') X(QUIT_NC, 'K') X(HEADER, 'L') \
	    X(MAIL, 'M') X(EOH, 'N') X(OPTNEG, 'O') X(QUIT, 'Q') X(RCPT, 'R') X(DATA, 'T')        \
		X(UNKNOWN, 'U')

/* X(name, octet, kind, needed action, data): what the filter says. Data: i a number, s a string, o a string that may
 * be missing, * the rest. */
#define MILTERPROTO_REPLIES(X)                          \
	X(ADD_RCPT, '+', CHANGE, ADDRCPT, "s")          \
	X(DEL_RCPT, '-', CHANGE, DELRCPT, "s")          \
	X(ADD_RCPT_PAR, '2', CHANGE, ADDRCPT_PAR, "so") \
	X(SHUTDOWN, '4', VERDICT, ACTIONS, "")          \
	X(ACCEPT, 'a', VERDICT, ACTIONS, "")            \
	X(REPL_BODY, 'b', CHANGE, CHGBODY, "*")         \
	X(CONTINUE, 'c', VERDICT, ACTIONS, "")          \
	X(DISCARD, 'd', VERDICT, ACTIONS, "")           \
	X(CHG_FROM, 'e', CHANGE, CHGFROM, "so")         \
	X(CONN_FAIL, 'f', VERDICT, ACTIONS, "")         \
	X(ADD_HEADER, 'h', CHANGE, ADDHDRS, "ss")       \
	X(INS_HEADER, 'i', CHANGE, ADDHDRS, "iss")      \
	X(SET_SYMLIST, 'l', OPTION, SETSYMLIST, "is")   \
	X(CHG_HEADER, 'm', CHANGE, CHGHDRS, "iss")      \
	X(PROGRESS, 'p', PROGRESS, ACTIONS, "")         \
	X(QUARANTINED, 'q', CHANGE, QUARANTINE, "s")    \
	X(REJECT, 'r', VERDICT, ACTIONS, "")            \
	X(SKIPPED, 's', VERDICT, ACTIONS, "")           \
	X(TEMPFAIL, 't', VERDICT, ACTIONS, "")          \
	X(REPLYCODE, 'y', VERDICT, ACTIONS, "s")        \
	X(OPTIONS, 'O', OPTION, ACTIONS, "*")

enum milterproto_command {
#define MILTERPROTO_ENUM(name, octet) MILTERPROTO_##name = octet,
	MILTERPROTO_COMMANDS(MILTERPROTO_ENUM)
#undef MILTERPROTO_ENUM
};
enum milterproto_kind {
	MILTERPROTO_KIND_OPTION,
	MILTERPROTO_KIND_VERDICT,
	MILTERPROTO_KIND_CHANGE,
	MILTERPROTO_KIND_PROGRESS
};
enum milterproto_what {
	MILTERPROTO_NOTHING,
#define MILTERPROTO_ENUM(name, octet, kind, action, data) MILTERPROTO_SAYS_##name,
	MILTERPROTO_REPLIES(MILTERPROTO_ENUM)
#undef MILTERPROTO_ENUM
};

/* --- what the MTA says; 0, ERR_NOMEM, ERR_LIMIT */

int milterproto_put(struct buf *out, enum milterproto_command c, struct span data);
int milterproto_put_options(struct buf *out, uint32_t version, uint32_t actions, uint32_t steps);
/* family '4', '6', 'L' or 'U' (then neither port nor address are sent). */
int milterproto_put_connect(struct buf *out, const char *host, char family, unsigned port,
			    const char *address);
/* Strings, each with its NUL: HELO, UNKNOWN (one), MAIL, RCPT (path, parameters), HEADER (name, value). */
int milterproto_put_strings(struct buf *out, enum milterproto_command c, const struct span *strings,
			    unsigned count);
/* Macros for the command that follows: data is name NUL value NUL and so on. */
int milterproto_put_macros(struct buf *out, enum milterproto_command c, struct span pairs);

/* --- what the filter says */

/* One packet off the front of in: octets used, 0 (more are needed), ERR_FORMAT (without a command), ERR_LIMIT. */
int milterproto_take(struct span in, uint8_t *command, struct span *data);

struct milterproto_reply {
	enum milterproto_what what;
	enum milterproto_kind kind;
	uint32_t needs; /* action that must have been agreed on; MILTERPROTO_ACTIONS: none */
	uint32_t index; /* of a header */
	uint8_t command;
	struct span data; /* as it came */
	struct span a, b; /* first and second string; for REPL_BODY and OPTIONS a is all */
};
/* ERR_FORMAT: no such reply, or its data is not what belongs to it. */
int milterproto_reply(uint8_t command, struct span data, struct milterproto_reply *r);
/* "REPLYCODE". Static. */
const char *milterproto_name(enum milterproto_what w);

/* Macro lists that a filter may ask for, by stage (SMFIM_). */
enum milterproto_stage {
	MILTERPROTO_AT_CONNECT,
	MILTERPROTO_AT_HELO,
	MILTERPROTO_AT_MAIL,
	MILTERPROTO_AT_RCPT,
	MILTERPROTO_AT_DATA,
	MILTERPROTO_AT_END,
	MILTERPROTO_AT_EOH,
	MILTERPROTO_STAGES
};
struct milterproto_options {
	uint32_t version, actions, steps;
	struct span macros[MILTERPROTO_STAGES]; /* names with blanks between */
	unsigned asked;				/* bits of the stages for which there is a list */
};
/* Of an OPTIONS reply. ERR_FORMAT. */
int milterproto_options(struct span data, struct milterproto_options *o);

/* The reply that a filter wants its client to see. Lines of text are joined by \n. */
#define MILTERPROTO_TEXT 512
struct milterproto_smtp {
	int code;	   /* 400..599 */
	char enhanced[12]; /* of the same class; x.7.1 if the filter gave none */
	char text[MILTERPROTO_TEXT];
};
/* ERR_FORMAT: not a reply of class 4 or 5, or codes of its lines disagree with one another or with the enhanced
 * code: s->code is then 451 or 550 by the first digit, or 0 if that says nothing. "%%" is read as "%" (filters double
 * it for Sendmail); what is not printable ASCII becomes "?"; text that is too long is cut. */
int milterproto_smtp(struct span text, struct milterproto_smtp *s);

#endif
