/* SPDX-License-Identifier: Apache-2.0 */
/* audit_event - what keyd's audit log may say: one table of events, and of the fields of each.
 *
 * Story:     whoever writes a line names an event and gives it values; what the table below does
 *            not allow for that event cannot be written. So nothing is ever masked out of the log:
 *            it is not let in. A field's kind says which bytes it takes, and none of the kinds
 *            takes an address; texts are sentences out of our own source.
 * Adding:    a row here, an item in sealpost-keyd-audit(7), and the same row in
 *            test/system/keyd_audit.py. Rows are never taken away: old files must stay readable.
 * Source:    sealpost-keyd-audit(7).
 * Thread:    pure; any. */
#ifndef AUDIT_AUDIT_EVENT_H
#define AUDIT_AUDIT_EVENT_H

#include "core/span.h"

enum audit_kind {
	AUDIT_KIND_NUM,	 /* decimal, below 2^63 */
	AUDIT_KIND_WORD, /* 0..96 bytes of [A-Za-z0-9._/#-]: names of things */
	AUDIT_KIND_HEX,	 /* 0..256 digits of [0-9a-f] */
	AUDIT_KIND_TEXT	 /* 0..160 bytes, escaped: static texts alone */
};
#define AUDIT_WORD_MAX 96
#define AUDIT_HEX_MAX  256
#define AUDIT_TEXT_MAX 160

/* X(symbol, name, kind) */
#define AUDIT_FIELDS(X)                                                                     \
	X(MARK, "mark", NUM)		 /* sequence of the store when the line was made */ \
	X(BRANCH, "branch", HEX)	 /* and its branch */                               \
	X(GENERATION, "generation", NUM) /* and its generation */                           \
	X(FILE, "file", NUM)                                                                \
	X(PREV, "prev", HEX) /* hash of the last line of the file before */                 \
	X(STORE, "store", HEX)                                                              \
	X(UPTO, "upto", NUM) /* the line that a signature covers, with all before it */     \
	X(KEY, "key", HEX)   /* which key signed: first 8 bytes of SHA-256 of its SPKI */   \
	X(PUBLIC, "public", HEX)                                                            \
	X(SIG, "sig", HEX)                                                                  \
	X(OP, "op", WORD)                                                                   \
	X(ROLE, "role", WORD)                                                               \
	X(UID, "uid", NUM)                                                                  \
	X(SESSION, "session", WORD)                                                         \
	X(OF, "of", NUM) /* the line whose operation this ends */                           \
	X(STATUS, "status", NUM)                                                            \
	X(RESULT, "result", WORD)                                                           \
	X(CUSTOMER, "customer", WORD)                                                       \
	X(LABEL, "label", WORD)                                                             \
	X(SUBJECT, "subject", WORD)                                                         \
	X(TYPE, "type", WORD)                                                               \
	X(METHOD, "method", WORD)                                                           \
	X(SLOT, "slot", NUM)                                                                \
	X(SHARD, "shard", NUM)                                                              \
	X(VERSION, "version", NUM)                                                          \
	X(KEYREF, "keyref", NUM)                                                            \
	X(STATE, "state", WORD)                                                             \
	X(FROM, "from", WORD)                                                               \
	X(TO, "to", WORD)                                                                   \
	X(WHY, "why", TEXT)                                                                 \
	X(WHAT, "what", WORD)                                                               \
	X(COUNT, "count", NUM)                                                              \
	X(FAILED, "failed", NUM)                                                            \
	X(PROPOSAL, "proposal", NUM)                                                        \
	X(TOKEN, "token", HEX) /* of a tombstone */                                         \
	X(DIGEST, "digest", HEX)                                                            \
	X(HAVE, "have", NUM)                                                                \
	X(NEED, "need", NUM)                                                                \
	X(BACKUP, "backup", NUM)                                                            \
	X(SEEN, "seen", NUM) /* sequence that a witness has seen */                         \
	X(SOURCE, "source", WORD)                                                           \
	X(BYTES, "bytes", NUM)                                                              \
	X(LINE, "line", NUM)                                                                \
	X(CAMPAIGN, "campaign", WORD)                                                       \
	X(APPROVER, "approver", TEXT)                                                       \
	X(AUTHOR, "author", TEXT)

enum audit_field {
	AUDIT_F_NONE,
#define AUDIT_X(sym, name, kind) AUDIT_F_##sym,
	AUDIT_FIELDS(AUDIT_X)
#undef AUDIT_X
	    AUDIT_FIELD_COUNT
};

/* X(symbol, name). Which fields each may have is in audit_event.c. */
#define AUDIT_EVENTS(X)                                                              \
	X(FILE, "file")		    /* first line of every file */                   \
	X(KEY, "audit-key")	    /* the key that signs from here on */            \
	X(CHECKPOINT, "checkpoint") /* signature over all before it */               \
	X(CUT, "cut")		    /* a torn end was taken off at start */          \
	X(DAMAGE, "damage")	    /* the file before this one does not verify */   \
	X(ROOM, "room")		    /* the reserve was used up, or is there again */ \
	X(GAP, "gap")		    /* for a while nothing could be written */       \
	X(START, "start")                                                            \
	X(STOP, "stop")                                                              \
	X(CONFIG, "config") /* what keyd.yaml says of quorums and limits */          \
	X(STATE, "state")                                                            \
	X(INTENT, "intent")   /* an operation that is about to be done */            \
	X(OUTCOME, "outcome") /* what came of it */                                  \
	X(USE, "use")	      /* sum of one minute */                                \
	X(USE_MORE, "use-more")                                                      \
	X(SESSIONS, "sessions")                                                      \
	X(DENIED, "denied")                                                          \
	X(UNSEAL, "unseal")                                                          \
	X(TAMPER, "tamper")                                                          \
	X(TAMPER_LOCK, "tamper-lock")                                                \
	X(PROPOSED, "proposed")                                                      \
	X(APPROVED, "approved")                                                      \
	X(WITHDRAWN, "withdrawn")                                                    \
	X(EXPIRED, "expired")                                                        \
	X(KEK, "kek")                                                                \
	X(REWRAPPED, "rewrapped")                                                    \
	X(DEK, "dek")                                                                \
	X(SIGNING_KEY, "signing-key")                                                \
	X(SHRED, "shred")                                                            \
	X(SLOT, "slot")                                                              \
	X(BACKUP, "backup")                                                          \
	X(RESTORE, "restore")                                                        \
	X(ROLLBACK, "rollback")                                                      \
	X(SELFTEST, "selftest")                                                      \
	X(ZEROIZE, "zeroize")                                                        \
	X(APPROVER, "approver")                                                      \
	X(MANIFEST, "manifest") /* a campaign was countersigned, or not: why */

enum audit_event {
	AUDIT_NONE,
#define AUDIT_X(sym, name) AUDIT_##sym,
	AUDIT_EVENTS(AUDIT_X)
#undef AUDIT_X
	    AUDIT_EVENT_COUNT
};

/* Name of an event or field, or NULL. */
const char *audit_event_name(unsigned event);
const char *audit_event_field_name(unsigned field);
/* The number, or 0. */
unsigned audit_event_of_name(struct span name);
unsigned audit_event_field_of_name(struct span name);

/* 1 if lines of this event may have this field. */
int audit_event_allows(unsigned event, unsigned field);
enum audit_kind audit_event_field_kind(unsigned field);

#endif
