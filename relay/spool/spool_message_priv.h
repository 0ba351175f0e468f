/* SPDX-License-Identifier: Apache-2.0 */
/* spool_message_priv - what the files of spool_message share: spool_writer.c, spool_reader.c,
 * spool_message.c (news and their details), spool_payload.c (bytes of record payloads),
 * spool_pool.c (things kept for reuse), spool_envelope.c.
 *
 * Source:    sealpost-message(7) has the payloads.
 * Thread:    one worker's, except spool_fresh. */
#ifndef RELAY_SPOOL_SPOOL_MESSAGE_PRIV_H
#define RELAY_SPOOL_SPOOL_MESSAGE_PRIV_H

#include "core/list.h"
#include "relay/keys/keys_object.h"
#include "relay/spool/spool_message.h"

#define SPOOL_ENVELOPE_MAX  (8u << 20) /* 10,000 recipients of 256 and more bytes */
#define SPOOL_UNWRITTEN_MAX (1u << 20) /* of one message, sealed */
/* Whole chunks that one PART holds. */
#define SPOOL_STRETCH (SPOOL_PART_MAX / SEAL_CHUNK_SEALED * SEAL_CHUNK_SEALED)

/* --- spool_pool.c */

/* Keys of one message: in secret memory. */
struct spool_fresh {
	struct keys_object_body body;
	struct keys_object_envelope envelope;
};
/* One that is not counted: the writer's and the reader's own. */
struct spool_fresh *spool_fresh_alloc(void);
void spool_fresh_discard(struct spool_fresh *f);
/* Counts it, so that it may be passed around; NULL (and f is gone) if too many are. */
struct spool_fresh *spool_fresh_share(struct spool_fresh *f);
/* The reverse, for who takes it over. */
void spool_fresh_claim(struct spool_fresh *f);

/* Room for a stretch of a body: plain bytes of one chunk gather behind the sealed ones, and
 * are sealed in place. */
enum spool_buffer_class {
	SPOOL_BUFFER_SMALL,
	SPOOL_BUFFER_CHUNK,
	SPOOL_BUFFER_STRETCH,
	SPOOL_BUFFER_CLASSES
};
struct spool_buffer {
	struct spool_job job;
	struct list_link link; /* in the pool */
	struct spool_writer *writer;
	unsigned part; /* which PART it is */
	int class;     /* enum spool_buffer_class */
	size_t sealed;
	uint8_t data[];
};
size_t spool_buffer_size(int class);

struct spool_pool {
	struct list buffers[SPOOL_BUFFER_CLASSES];
	unsigned buffer_count[SPOOL_BUFFER_CLASSES];
	struct list writers, readers, states; /* each begins with its link */
	unsigned writer_count, reader_count, state_count;
	struct buf plain; /* of the moment: an envelope or a detail in clear */
	struct buf aad;
};
/* The worker's pool, made if need be; NULL: out of memory. */
struct spool_pool *spool_pool_of(struct relay_worker *w);
struct spool_buffer *spool_pool_buffer(struct spool_pool *p, int class);
void spool_pool_buffer_back(struct spool_pool *p, struct spool_buffer *b);

/* How the pool frees what it knows only by its link. */
void spool_writer_destroy(struct list_link *l);
void spool_reader_destroy(struct list_link *l);
void spool_message_destroy(struct list_link *l);

/* --- spool_payload.c: bytes of record payloads */

struct spool_keyref { /* names an envelope key */
	uint64_t object;
	uint32_t keyref;
	const uint8_t *salt; /* KEYPROTO_SALT */
};
struct spool_head { /* COMMIT; spans and pointers into the record */
	struct span customer;
	uint32_t keyref;	   /* of the body */
	const uint8_t *salt;	   /* KEYPROTO_SALT */
	const uint8_t *commitment; /* SEAL_CHUNK_COMMIT */
	uint64_t size;		   /* plain bytes of the body */
	struct spool_keyref envelope_key;
	struct span clear;  /* all of the above: authenticated with the envelope */
	struct span sealed; /* the envelope */
	struct span body;   /* last stretch */
};
/* Appends the head of a COMMIT: clear part and sealed envelope. */
int spool_payload_commit_put(struct spool_pool *p, struct buf *out, uint64_t id,
			     const struct spool_fresh *keys, uint64_t size,
			     const struct spool_envelope *e);
int spool_payload_commit_get(struct span record, struct spool_head *h);
/* Opens the envelope of a COMMIT. ERR_AUTH, ERR_DAMAGED. */
int spool_payload_envelope(struct spool_pool *p, uint64_t id, const struct spool_head *h,
			   const uint8_t key[32], struct spool_envelope *e);

struct spool_news { /* head of a STATE */
	struct span customer;
	struct spool_keyref envelope_key;
	struct span clear, sealed;
};
int spool_payload_state_put(struct spool_pool *p, struct buf *out, uint64_t id,
			    struct span customer, const struct keys_object_envelope *key,
			    struct span detail);
int spool_payload_state_get(struct span head, struct spool_news *n);
/* Opens the detail into p->plain. */
int spool_payload_detail(struct spool_pool *p, uint64_t id, const struct spool_news *n,
			 const uint8_t key[32]);

/* --- spool_writer.c: what spool_reread.c needs of a writer */
struct spool_written { /* borrowed, until the writer is given more, committed or aborted */
	struct spool_log *log;
	uint64_t id;
	const uint8_t *key; /* SEAL_CHUNK_KEY */
	const struct spool_place *parts;
	unsigned part_count;
	struct span sealed; /* whole chunks behind the PARTs */
	struct span plain;  /* and what has not been sealed yet */
	int err;	    /* of a PART that failed */
};
void spool_writer_written(const struct spool_writer *sw, struct spool_written *w);
/* 1 if no PART is with the log; else settled is called once when none is. */
int spool_writer_settled(struct spool_writer *sw, void (*settled)(void *arg), void *arg);

/* --- spool_reader.c: what spool_message.c needs of a reader */
const struct keys_object_envelope *spool_reader_key(const struct spool_reader *r);

#endif
