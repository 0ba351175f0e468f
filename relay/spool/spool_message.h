/* SPDX-License-Identifier: Apache-2.0 */
/* spool_message - a message on its way into the spool (writer) and out of it (reader).
 *
 * Story:     writer: begin takes an object key (keys_object), write seals chunk by chunk and
 *            posts a PART at each 256 KiB, commit seals the envelope and posts COMMIT; done is
 *            called on the same worker when it is on stable storage. What has not been committed
 *            does not exist: abort is always safe. reader: open reads the COMMIT record, gets
 *            keys from keyd if they are not at hand, opens the envelope; then next gives opened
 *            stretches one after the other. The end is certain only when next says so: until then
 *            a failure must abort the outgoing DATA.
 * Plaintext: lives in wiped buffers of bounded size (64 KiB per message under way), never in a
 *            file.
 * Errors:    begin: ERR_AWAY, ERR_LOCKED, ERR_BUSY (no key at hand), ERR_NOSPACE. Reader:
 *            ERR_AUTH and ERR_DAMAGED mean the stored message is broken: quarantine it, never
 *            retry for ever.
 * Thread:    one worker's. */
#ifndef RELAY_SPOOL_SPOOL_MESSAGE_H
#define RELAY_SPOOL_SPOOL_MESSAGE_H

#include "relay/relay.h"
#include "relay/spool/spool_log.h"

/* Envelope, in clear only in memory. Strings are NUL-terminated, owned by the envelope
 * (spool_envelope_clear); those that may be missing are "" then, never NULL once read back (put takes NULL for ""). */
enum {
	SPOOL_8BIT = 1,
	SPOOL_UTF8 = 2,
	SPOOL_REQUIRETLS = 4, /* RFC 8689 */
	SPOOL_HOLD = 8,	      /* a filter asked for quarantine: held in the queue until released */
	SPOOL_RET_FULL = 16,  /* RFC 3461 4.3; neither: not said */
	SPOOL_RET_HDRS = 32,
	SPOOL_REPORT = 64, /* made here (a DSN): what it reports on is not reported on again */
	SPOOL_TLS_OPTIONAL = 128, /* header TLS-Required: no (RFC 8689 4.2.2): receivers' TLS policies are passed over */
	SPOOL_DKIM = 256,    /* signed here */
	SPOOL_VERIFIED = 512 /* only to servers that verify, whether they offer REQUIRETLS or not: the milter's word */
};
enum { /* RFC 3461 4.1; 0: not said */
	SPOOL_NOTIFY_NEVER = 1,
	SPOOL_NOTIFY_SUCCESS = 2,
	SPOOL_NOTIFY_FAILURE = 4,
	SPOOL_NOTIFY_DELAY = 8
};
struct spool_recipient {
	char *address;	 /* local@domain */
	uint32_t notify; /* SPOOL_NOTIFY_* */
	char *orcpt;	 /* "rfc822;..." as it was given (xtext), or "" */
};
struct spool_envelope {
	char *customer;
	char *sender; /* "" is the null sender */
	int flags;
	int64_t created; /* wall usec */
	uint64_t size;	 /* body bytes as accepted, Received included */
	char *client;	 /* "mail.example.test [192.0.2.7]", for trace and DSN */
	char *tls;	 /* how it came in: "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" */
	char *campaign;	 /* id, at most 64 octets, or "" */
	char *credential; /* that logged in, or "" */
	uint64_t tid;	 /* in its tracking tokens; 0: it has none, and number and consent say nothing */
	uint32_t number; /* of its campaign's version */
	int consent;	 /* enum camp_consent, as a number of 0..255 */
	char *envid;	 /* xtext as it was given, at most 100 octets, or "" */
	struct span head; /* stands in place of the first skip stored bytes: a header section that a
			   * filter changed, signatures in front of it. With skip 0 it stands in front of
			   * all of them: signatures alone, or they are a body that a filter replaced. n 0:
			   * nothing was changed, skip is 0 */
	uint64_t skip;
	struct spool_recipient *recipients;
	unsigned count;
	void *block; /* not NULL: all of the above lies in this one piece (spool_envelope_get) */
};
#define SPOOL_ENVELOPE_HEAD_MAX (288u << 10)
#define SPOOL_ENVELOPE_SIGN_MAX (32u << 10) /* of it, kept for signatures */
void spool_envelope_clear(struct spool_envelope *e);
int spool_envelope_put(struct buf *b, const struct spool_envelope *e);
int spool_envelope_get(struct span s, struct spool_envelope *e);

/* Keys of a message that was just accepted, for its first delivery: spares the way to keyd. In
 * secret memory; at most SPOOL_FRESH_MAX exist, beyond that NULL is passed around and keyd is
 * asked. */
#define SPOOL_FRESH_MAX 1024
struct spool_fresh;
void spool_fresh_free(struct spool_fresh *f);

struct spool_writer;
typedef void (*spool_writer_done_fn)(void *arg, int result, struct spool_place at,
				     struct spool_fresh *fresh /* taken over; may be NULL */);

/* id: out; the new message's name. */
int spool_writer_begin(struct relay_worker *w, const char *customer, struct spool_writer **out,
		       uint64_t *id);
/* ERR_NOSPACE, ERR_IO from an earlier PART, ERR_BUSY if more than 1 MiB of parts is unwritten:
 * wait for room. */
int spool_writer_write(struct spool_writer *sw, const uint8_t *p, size_t n);
/* 1 if write would take bytes now; else room(arg) is called once when it would. */
int spool_writer_room(struct spool_writer *sw, void (*room)(void *arg), void *arg);
/* Takes the writer over; done is called exactly once, later. */
void spool_writer_commit(struct spool_writer *sw, const struct spool_envelope *e,
			 spool_writer_done_fn done, void *arg);
void spool_writer_abort(struct spool_writer *sw);

struct spool_reader;
/* opened is called once, later, never within the call: 0 and the envelope is readable, or
 * ERR_*. fresh is taken over. NULL: out of memory; opened is then never called. */
typedef void (*spool_reader_open_fn)(void *arg, int result);
struct spool_reader *spool_reader_open(struct relay_worker *w, uint64_t id, struct spool_place at,
				       struct spool_fresh *fresh, spool_reader_open_fn opened,
				       void *arg);
const struct spool_envelope *spool_reader_envelope(const struct spool_reader *r);
/* The size is known before: bytes that next will give, a changed header section counted in place of the stored one. */
uint64_t spool_reader_size(const struct spool_reader *r);
/* 1: out is the next opened stretch (valid until the next call), 0: the end was reached and
 * verified, ERR_*. */
int spool_reader_next(struct spool_reader *r, struct span *out);
/* Back to the first byte: for another transaction with the same message. */
int spool_reader_rewind(struct spool_reader *r);
/* Any time; also before opened was called (which then never comes). */
void spool_reader_close(struct spool_reader *r);

#define SPOOL_DETAIL_MAX 8192
/* Posts news of recipients, with a text that is sealed under the message's envelope key (peer,
 * TLS facts, reply): read back by trace. What is beyond SPOOL_DETAIL_MAX bytes of it is cut off. r may be NULL: then the text is dropped. done on the
 * same worker when written; may be NULL. */
int spool_message_state(struct relay_worker *w, uint64_t id, const struct spool_reader *r,
			const struct spool_state *states, unsigned count, struct span detail,
			void (*done)(void *arg, int result), void *arg);

/* Opens the detail of one STATE record (its head as read from the log): for trace. fn exactly
 * once, perhaps within the call; detail is valid during it. Run it on a worker. */
typedef void (*spool_message_detail_fn)(void *arg, int result, struct span detail);
void spool_message_detail_open(struct relay_worker *w, uint64_t id, struct span head,
			       spool_message_detail_fn fn, void *arg);

/* What a worker keeps for reuse, freed at its end (after its sessions; NULL is fine). */
void spool_pool_free(struct spool_pool *p);

#endif
