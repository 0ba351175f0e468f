/* SPDX-License-Identifier: Apache-2.0 */
/* audit_verify - is this log whole? Names the first bad place: file, line, reason.
 *
 * Story:     _init; _key for each public key that the reader trusts (from keyd, or kept from an
 *            earlier export); _file for the files in the order of their numbers; _end. Once
 *            something is bad, nothing after it is looked at. keyd itself reads its newest file so
 *            at start, to go on behind it.
 * Trust:     numbers and hashes show that nothing was altered, cut out, put in or moved between
 *            two places; who changes a line and makes all later hashes anew is caught by the next
 *            checkpoint, whose signature he cannot make. A checkpoint by a given key vouches for
 *            all before it, and for the keys that lines before it introduced. After the first of
 *            them, no other key may sign. Every file introduces the keys that sign in it. Lines
 *            behind the last checkpoint are vouched for by nobody yet: signed_to says how far it
 *            goes. Whole lines missing from the end show only to a reader who knows the head
 *            (_end).
 *            Without any given key, signatures are checked with the keys that the log itself
 *            introduces, which proves little, and signed_to stays 0.
 * Errors:    ERR_DAMAGED, with where in file, line (from 1) and reason (static).
 * Source:    sealpost-keyd-audit(7).
 * Thread:    pure; any. */
#ifndef AUDIT_AUDIT_VERIFY_H
#define AUDIT_AUDIT_VERIFY_H

#include "audit/audit_line.h"

#define AUDIT_VERIFY_KEYS 32
#define AUDIT_SIG	  64
#define AUDIT_KEY_ID	  8
#define AUDIT_SPKI	  44 /* DER of an Ed25519 public key */

enum audit_trust { AUDIT_DECLARED, AUDIT_TRUSTED };

struct audit_verify {
	uint64_t seq; /* of the last good line */
	uint8_t chain[AUDIT_HASH];
	uint32_t first_file, file; /* 0: none yet */
	unsigned line;
	const char *reason; /* NULL: all good so far */
	uint64_t good;	    /* bytes of the last file that are good lines */
	uint64_t lines, checkpoints;
	uint64_t signed_to;	   /* last line that a given key vouches for */
	uint64_t mark, generation; /* of the last line that has a branch: 16 digits */
	char branch[17];
	char store[33];
	int given;
	int no_signatures; /* set by a reader who has no time for them */
	unsigned key_count;
	struct audit_verify_key {
		uint8_t id[AUDIT_KEY_ID];
		uint8_t spki[AUDIT_SPKI];
		enum audit_trust trust;
	} keys[AUDIT_VERIFY_KEYS];
};

void audit_verify_init(struct audit_verify *v);
/* ERR_FORMAT: not an Ed25519 key in DER. */
int audit_verify_key(struct audit_verify *v, struct span spki);
int audit_verify_file(struct audit_verify *v, uint32_t number, struct span bytes);
/* All files are in. seq: the head as its writer knows it, with hash; 0: not known. */
int audit_verify_end(struct audit_verify *v, uint64_t seq, const uint8_t hash[AUDIT_HASH]);

/* What a checkpoint signs: a fixed text, the store's identity (32 digits), number and hash of the
 * last line before it. */
#define AUDIT_SIGNED_MAX 128
size_t audit_verify_signed(uint8_t out[AUDIT_SIGNED_MAX], const char *store, uint64_t upto,
			   const uint8_t hash[AUDIT_HASH]);
/* Name of a key in the log. ERR_CRYPTO. */
int audit_verify_key_id(struct span spki, uint8_t id[AUDIT_KEY_ID]);

#endif
