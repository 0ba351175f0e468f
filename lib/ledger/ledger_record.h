/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_record - the records of the ledger's files, and the chain that binds them.
 *
 *   | length u32 | kind u8 | body | check 8 |        length: of all that stands behind it
 *
 * Story:  the hash of a record is SHA-256 over the hash of the one before and over the record without
 *         its check; check is the first eight octets of it. So a record cannot be altered, dropped, put
 *         in or moved without the check of that record or of the next one failing. The chain goes
 *         through all files of a ledger. Whoever makes all later checks anew is caught by the next
 *         checkpoint, whose signature he cannot make.
 *
 *         HEAD        first record of a file: which ledger, its first row, the hash before it, and TAIL:
 *                     the last checkpoint and batch record of the file before, as they stand there
 *         ROW         one attempt for one recipient
 *         BATCH       ends what was written at once: rows so far, where the batch begins, the hash.
 *                     What stands behind the last whole batch of a file was being written when the
 *                     machine stopped: it is no part of the ledger
 *         CHECKPOINT  keyd's signature over counter, rows and the hash before this record
 *         DROP        rows up to this number were removed by retention
 *         EVENT       a reader followed a link, opened a message or unsubscribed. It is no row, and is not
 *                     counted as one; nothing in it tells who that was
 * Ownership: spans of a decoded record point into its bytes.
 * Errors: ERR_FORMAT; _put: ERR_LIMIT (a text of more than 255 octets), ERR_NOMEM, ERR_CRYPTO.
 * Source: sealpost-ledger(7).
 * Thread: pure; any. One chain: one thread at a time. */
#ifndef LEDGER_LEDGER_RECORD_H
#define LEDGER_LEDGER_RECORD_H

#include "core/buf.h"

#define LEDGER_HASH	 32
#define LEDGER_CHECK	 8
#define LEDGER_UUID	 16
#define LEDGER_INDEX	 16 /* octets of a blind index */
#define LEDGER_SIGNATURE_MAX 512
#define LEDGER_RECORD_MAX (16u << 10) /* whole, with length and check */
#define LEDGER_RECORD_MIN (4 + 1 + LEDGER_CHECK)

enum ledger_kind {
	LEDGER_HEAD = 1,
	LEDGER_ROW = 2,
	LEDGER_BATCH = 3,
	LEDGER_CHECKPOINT = 4,
	LEDGER_DROP = 5,
	LEDGER_EVENT = 6
};

/* Words that are kept as one octet; X(symbol, number, word). 255: a word that is in no list. */
#define LEDGER_OUTCOMES(X)                                                                        \
	X(DELIVERED, 1, "delivered") X(DEFERRED, 2, "deferred") X(BOUNCED, 3, "bounced")           \
	X(EXPIRED, 4, "expired") X(DELETED, 5, "deleted")
#define LEDGER_TLS(X)                                                                             \
	X(NONE, 0, "none") X(V12, 1, "TLSv1.2") X(V13, 2, "TLSv1.3")
#define LEDGER_CLEARS(X)                                                                          \
	X(NO, 0, "") X(ROUTE, 1, "route") X(NOT_OFFERED, 2, "not-offered")                         \
	X(REFUSED, 3, "refused") X(BROKEN, 4, "broken") X(EXCEPTION, 5, "exception")
#define LEDGER_POLICIES(X)                                                                        \
	X(NONE, 0, "none") X(ROUTE, 1, "route") X(EXCEPTION, 2, "exception") X(DANE, 3, "dane")    \
	X(STS, 4, "sts") X(STS_TESTING, 5, "sts-testing")
#define LEDGER_BYS(X)                                                                             \
	X(NONE, 0, "none") X(PKIX, 1, "pkix") X(DANE_EE, 2, "dane-ee") X(DANE_TA, 3, "dane-ta")    \
	X(STS, 4, "sts")
#define LEDGER_X(sym, num, word) sym = num,
#define LEDGER_X_OUTCOME(sym, num, word) LEDGER_OUTCOME_##sym = num,
#define LEDGER_X_TLS(sym, num, word) LEDGER_TLS_##sym = num,
#define LEDGER_X_CLEAR(sym, num, word) LEDGER_CLEAR_##sym = num,
#define LEDGER_X_POLICY(sym, num, word) LEDGER_POLICY_##sym = num,
#define LEDGER_X_BY(sym, num, word) LEDGER_BY_##sym = num,
enum ledger_outcome { LEDGER_OUTCOMES(LEDGER_X_OUTCOME) };
enum ledger_tls { LEDGER_TLS(LEDGER_X_TLS) };
enum ledger_clear { LEDGER_CLEARS(LEDGER_X_CLEAR) };
enum ledger_policy { LEDGER_POLICIES(LEDGER_X_POLICY) };
enum ledger_by { LEDGER_BYS(LEDGER_X_BY) };
#undef LEDGER_X
#define LEDGER_OTHER 255

enum ledger_word { LEDGER_WORD_OUTCOME, LEDGER_WORD_TLS, LEDGER_WORD_CLEAR, LEDGER_WORD_POLICY, LEDGER_WORD_BY };
/* "other" for a number that has no word. */
const char *ledger_word(enum ledger_word list, unsigned number);
/* LEDGER_OTHER if there is none such; 0 for NULL. */
uint8_t ledger_word_number(enum ledger_word list, const char *word);

enum { /* flags of a row */
	LEDGER_REACHED = 1, /* the message was offered to a host, in the way that tls says */
	LEDGER_RESUMED = 2,
	LEDGER_INDEXED = 4, /* index is one */
	LEDGER_DESTROYED = 8 /* the customer's keys are gone: nothing was sealed */
};

/* Texts of a row, each at most 255 octets, in this order. */
#define LEDGER_TEXTS(X)                                                                           \
	X(customer) X(campaign) X(domain) X(host) X(address) X(source) X(cipher) X(group)          \
	X(status) X(failure) X(why)

struct ledger_row {
	uint64_t row; /* number, from 1 */
	uint64_t id;  /* of the message */
	int64_t at, queued; /* wall usec */
	uint64_t size;
	uint32_t ms;
	uint16_t recipient; /* in the envelope */
	uint16_t code, attempts;
	uint8_t outcome, reason, bounce_class, tls, clear, policy, by, dkim, flags;
	const uint8_t *index; /* LEDGER_INDEX octets */
#define LEDGER_X(name) struct span name;
	LEDGER_TEXTS(LEDGER_X)
#undef LEDGER_X
	struct span sealed; /* recipient ("": not known), sender, reply, each with a NUL; n 0: none */
};
struct ledger_batch {
	uint64_t rows;	/* of the ledger, up to here */
	uint64_t start; /* offset of the batch's first record in the file */
	const uint8_t *hash; /* before this record */
};
struct ledger_checkpoint {
	uint64_t counter, rows;
	const uint8_t *hash; /* before this record */
	int64_t at;
	uint32_t version; /* of the key */
	struct span signature;
};
struct ledger_head {
	const uint8_t *uuid;
	uint64_t first; /* number of the first row in this file */
	int64_t at;
	const uint8_t *before; /* hash of the last record of the file before */
	struct span tail;
};
struct ledger_drop {
	uint64_t through;
	int64_t at;
};

struct ledger_event {
	int64_t at;
	uint32_t number; /* of the campaign version */
	uint32_t reasons;
	uint16_t link;
	uint8_t kind, class, revised; /* numbers of sealpost-ledger(7); revised: judged anew */
	uint8_t message[LEDGER_UUID]; /* stands for the message that the token was in */
	const char *customer, *campaign; /* "": not known. Read: with their lengths in: */
	struct span customer_text, campaign_text;
};

/* --- the chain */
struct ledger_chain {
	uint8_t hash[LEDGER_HASH];
	void *digest; /* kept: making one costs more than hashing a row */
};
/* Starts where a ledger starts. */
int ledger_chain_init(struct ledger_chain *c, const uint8_t uuid[LEDGER_UUID]);
void ledger_chain_clear(struct ledger_chain *c);
/* Hash of what a whole record (with or without its check) adds. */
int ledger_chain_add(struct ledger_chain *c, struct span without_check);

/* --- writing: appends the record and moves the chain on. After a failure both are spoiled. */
int ledger_record_put_row(struct buf *b, struct ledger_chain *c, const struct ledger_row *r);
int ledger_record_put_batch(struct buf *b, struct ledger_chain *c, const struct ledger_batch *m);
int ledger_record_put_checkpoint(struct buf *b, struct ledger_chain *c, const struct ledger_checkpoint *m);
int ledger_record_put_head(struct buf *b, struct ledger_chain *c, const struct ledger_head *m);
int ledger_record_put_drop(struct buf *b, struct ledger_chain *c, const struct ledger_drop *m);
int ledger_record_put_event(struct buf *b, struct ledger_chain *c, const struct ledger_event *m);

/* --- reading */
struct ledger_record {
	uint8_t kind;
	struct span body;
	struct span hashed; /* the record without its check */
	const uint8_t *check;
};
/* >0: length of the record at the start of s; 0: s ends within it; ERR_FORMAT: not one. */
int ledger_record_parse(struct span s, struct ledger_record *r);
int ledger_record_get_row(struct span body, struct ledger_row *r);
int ledger_record_get_batch(struct span body, struct ledger_batch *m);
int ledger_record_get_checkpoint(struct span body, struct ledger_checkpoint *m);
int ledger_record_get_head(struct span body, struct ledger_head *m);
int ledger_record_get_drop(struct span body, struct ledger_drop *m);
int ledger_record_get_event(struct span body, struct ledger_event *m); /* customer and campaign stay NULL */

/* --- files: "ledger-00000000000000000001.log", named by their first row; .idx beside it. */
#define LEDGER_NAME 40
void ledger_record_name(char dst[LEDGER_NAME], uint64_t first, const char *suffix);
/* 0 and *first if name is one with that suffix; else ERR_FORMAT. */
int ledger_record_name_parse(const char *name, const char *suffix, uint64_t *first);

/* What AAD binds a row's sealed field to. */
int ledger_record_aad(struct buf *out, const char *customer, const uint8_t uuid[LEDGER_UUID], uint64_t row);

#endif
