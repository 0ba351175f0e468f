/* SPDX-License-Identifier: Apache-2.0 */
/* seal_track - the token in a tracking link, in a pixel's address and in an address to unsubscribe.
 *
 *   | version 3 bits, kind 2, epoch 3 | AES-128-SIV: tag 16, sealed 16 + n |      33 bytes and n
 *   sealed: | message u64 | number u32 | link u16 | last day u16 | field n |
 *
 * Story:  milter makes tokens (seal_track_make) and writes them into links as 44 characters of
 *         base64url, which no transfer encoding touches, or into a mailto: address as 53 of base32,
 *         which survive a change of case. The tracking host reads what comes back
 *         (seal_track_url_get, seal_track_mail_get), asks seal_track_peek which key opens it, and
 *         opens it (seal_track_open). There is no URL in a token: where a click leads is found in the
 *         signed manifest, by number and link. A link with typed fields has their values sealed
 *         behind; several are put one after the other by seal_track_field_put.
 * Keys:   32 bytes, of one customer and one epoch, from keyd (TRACK_KEY); an epoch is 64 days, and
 *         the token holds its number modulo 8: one key is tried, never several. The caller keeps
 *         them in secret memory.
 * Bound:  byte 0, host and customer are authenticated (three components of associated data in this
 *         order, RFC 5297): a token is good for its kind, at its host, of its customer.
 * Days:   are counted from 1970-01-01 in UTC (seal_track_day). A token is good through its last day,
 *         at most SEAL_TRACK_DAYS_MAX after the day it was made.
 * Errors: ERR_FORMAT (not of this form), ERR_AUTH (does not verify: changed, or of another host,
 *         customer or key, or so old that its epoch's number was given again), ERR_EXPIRED,
 *         ERR_LIMIT (too many days; a host, customer or field that is too long, or empty),
 *         ERR_CRYPTO (OpenSSL refuses: no memory).
 *         Text is malformed unless it is the one text of these bytes.
 * Source: RFC 5297, RFC 4648; sealpost-crypto(7); vectors in test/vectors/seal.
 * Thread: pure; any. */
#ifndef SEAL_SEAL_TRACK_H
#define SEAL_SEAL_TRACK_H

#include "core/span.h"

#define SEAL_TRACK_VERSION   1
#define SEAL_TRACK_KEY	     32
#define SEAL_TRACK_FIELD     255 /* bytes of field values */
#define SEAL_TRACK_MIN	     33	 /* bytes of a token without them */
#define SEAL_TRACK_MAX	     (SEAL_TRACK_MIN + SEAL_TRACK_FIELD)
#define SEAL_TRACK_EPOCH     64	 /* days */
#define SEAL_TRACK_DAYS_MAX  447 /* from the day a token is made to its last */

#define SEAL_TRACK_URL	     44	 /* characters of a token without fields, as base64url */
#define SEAL_TRACK_MAIL	     53	 /* and as base32 */
#define SEAL_TRACK_URL_SIZE  385 /* room for any token as base64url, terminated */
#define SEAL_TRACK_MAIL_SIZE (SEAL_TRACK_MAIL + 1)

/* The numbers are in tokens, and in paths as /c/, /o/ and /u/. */
enum seal_track_kind { SEAL_TRACK_CLICK = 0, SEAL_TRACK_OPEN = 1, SEAL_TRACK_UNSUBSCRIBE = 2 };

/* Where a token is good. host: the tracking host's name, in lower case, without a port. 1 to 255
 * bytes each. */
struct seal_track_place {
	struct span host, customer;
};

/* What a token says. */
struct seal_track {
	enum seal_track_kind kind;
	uint64_t message; /* 0: nobody in particular */
	uint32_t number;  /* of the campaign version */
	uint16_t link;	  /* index in the manifest; 0 but for clicks */
	uint16_t last;	  /* day */
	uint8_t field[SEAL_TRACK_FIELD];
	uint8_t n; /* of field */
};

/* A token as bytes. */
struct seal_track_raw {
	uint8_t p[SEAL_TRACK_MAX];
	size_t n;
};

/* Day of a time in seconds since 1970; 0 for a time before. */
uint32_t seal_track_day(int64_t seconds);
/* Epoch of a day: the number that TRACK_KEY is asked for. */
uint32_t seal_track_epoch(uint32_t day);

/* Makes the token of day today with that day's epoch's key. */
int seal_track_make(const uint8_t key[SEAL_TRACK_KEY], const struct seal_track_place *place,
		    const struct seal_track *t, uint32_t today, struct seal_track_raw *out);
/* Its texts; both return the number of characters. Only a token without fields has one for mail. */
size_t seal_track_url_put(char out[SEAL_TRACK_URL_SIZE], const struct seal_track_raw *raw);
size_t seal_track_mail_put(char out[SEAL_TRACK_MAIL_SIZE], const struct seal_track_raw *raw);

int seal_track_url_get(struct span text, struct seal_track_raw *out);
int seal_track_mail_get(struct span text, struct seal_track_raw *out); /* either case */
/* Kind, and the epoch whose key opens it: the latest that tomorrow may have and that its byte can
 * mean. Nothing of it is proven before seal_track_open. */
int seal_track_peek(const struct seal_track_raw *raw, uint32_t today, enum seal_track_kind *kind,
		    uint32_t *epoch);
/* Opens it with the key of the epoch that seal_track_peek named. *out is zero unless the result is 0
 * or ERR_EXPIRED (then it is what the token says). */
int seal_track_open(const uint8_t key[SEAL_TRACK_KEY], const struct seal_track_place *place,
		    const struct seal_track_raw *raw, uint32_t today, struct seal_track *out);

/* Appends a field's value with its length before it. ERR_LIMIT: no room, t as it was. */
int seal_track_field_put(struct seal_track *t, struct span value);
/* Takes the next value from *rest (begin with all of field). ERR_FORMAT: there is none. */
int seal_track_field_get(struct span *rest, struct span *value);

#endif
