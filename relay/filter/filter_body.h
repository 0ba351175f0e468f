/* SPDX-License-Identifier: Apache-2.0 */
/* filter_body - a body that a filter gives in place of a message's: a new message in the spool, in the making.
 *
 * Story:     put takes the filter's octets as they come; the first begins a spool message, which may have to wait for its
 *            key. end closes the last line. Then the writer is taken, or aborted if the filter fails after all.
 *            A key never seals two bodies: that is why the new one gets another message's id.
 *            If mail is signed (hashes), the hash that DKIM needs is made on the way.
 * Rules:     a bare LF or CR becomes CR LF: what is stored is fit to be sent. A NUL is refused.
 * Errors:    ERR_FORMAT, ERR_LIMIT (longer than limits.message_size and a mebibyte), those of spool_writer.
 * Thread:    its worker's. */
#ifndef RELAY_FILTER_FILTER_BODY_H
#define RELAY_FILTER_FILTER_BODY_H

#include "mail/mail_dkim_body.h"
#include "relay/keys/keys_object.h"
#include "relay/spool/spool_message.h"

struct filter_body {
	struct relay_worker *w;
	const char *customer;
	uint64_t max;
	void (*ready)(void *arg); /* put takes octets again */
	void *arg;
	struct keys_object_wait wait;
	int waiting;
	struct spool_writer *sw; /* NULL: not begun */
	uint64_t id, size;
	int cr,
	    in_line; /* the last octet was a CR that is still to be written; the last line has no end */
	struct buf fit; /* one stretch, fit to be sent: the writer takes it at once or not at all */
	int err;
	int hashes;
	struct mail_dkim_body dkim; /* md NULL: not begun */
	uint8_t hash[MAIL_DKIM_HASH]; /* once ended, with hashes */
};

void filter_body_init(struct filter_body *b, struct relay_worker *w, const char *customer,
		      uint64_t max, int hashes, void (*ready)(void *arg), void *arg);
void filter_body_clear(struct filter_body *b);
/* 0: taken; 1: nothing was taken, ready comes; ERR_*. */
int filter_body_put(struct filter_body *b, struct span s);
/* 1 if put or end may be called now; else ready comes. */
int filter_body_room(struct filter_body *b);
/* 0 or ERR_*. */
int filter_body_end(struct filter_body *b);
int filter_body_begun(const struct filter_body *b);
/* The writer is the caller's from here on. */
struct spool_writer *filter_body_take(struct filter_body *b, uint64_t *id);
void filter_body_abort(struct filter_body *b);

#endif
