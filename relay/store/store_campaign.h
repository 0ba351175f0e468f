/* SPDX-License-Identifier: Apache-2.0 */
/* store_campaign - rows of campaign versions, the pieces that each one's package lies in, and the list of the revoked.
 *
 * Story:     a row is made before anything else, for its number, which is in the manifest, and filled once the package is
 *            sealed (store_campaign_fill, pieces and row as one change). From then on only states and signatures change:
 *            no statement here writes a hash or a piece a second time, but reseal, which puts the same bytes under
 *            another key.
 * Ownership: texts and spans of a row hold until the next step.
 * Errors:    of store.h; ERR_NOTFOUND; ERR_BADSTATE (a row that is not in the state that this needs).
 * Thread:    control's. */
#ifndef RELAY_STORE_STORE_CAMPAIGN_H
#define RELAY_STORE_STORE_CAMPAIGN_H

#include "relay/store/store.h"

#define STORE_CAMPAIGN_PIECE	16000 /* octets in one piece, before sealing: three fit into a batch of keys_reseal */
#define STORE_CAMPAIGN_PIECES	512
/* Behind those of the package: its audience, which may have many. */
#define STORE_CAMPAIGN_LIST	   STORE_CAMPAIGN_PIECES
#define STORE_CAMPAIGN_LIST_PIECES 4096
#define STORE_CAMPAIGN_HASH	32
#define STORE_CAMPAIGN_REVOKED_ALL 0 /* as a version in the list of the revoked: all of them */

struct store_campaign {
	int64_t number; /* u32 */
	const char *customer, *campaign;
	int64_t version;
	int state; /* enum campaign_state */
	const char *author;
	int64_t created; /* wall usec, as the times below; 0: not yet, or never */
	struct span hash;
	int64_t warnings;
	int64_t valid_from, valid_to;
	int64_t max_messages, taken; /* 0: no limit; taken: store_grant's */
	int64_t pieces, size;	     /* of the package: octets before sealing */
	const char *approver;
	struct span approval; /* the approver's signature */
	int64_t approved;
	int64_t key_version; /* of keyd's key */
	struct span signature;
	int64_t activated, changed;
};

/* Reserves the next version of a campaign: *number and *version. */
int store_campaign_add(struct store *s, const char *customer, const char *campaign, const char *author,
		       int state, int64_t now, int64_t *number, int64_t *version);
/* A row that came to nothing, and its pieces. */
int store_campaign_drop(struct store *s, int64_t number);
/* All that are in this state: at a start, what a crash left half made. */
int store_campaign_drop_all(struct store *s, int state);
/* Row id of a piece, up to STORE_CAMPAIGN_LIST + STORE_CAMPAIGN_LIST_PIECES: what its AAD binds it to. Pieces of a package
 * are in order, and so are those of an audience. */
int64_t store_campaign_piece_id(int64_t number, int64_t piece);
int store_campaign_piece_add(struct store *s, const char *customer, int64_t number, int64_t piece,
			     struct span sealed);
/* Takes away its audience, of a version that is served to nobody any more. */
int store_campaign_list_drop(struct store *s, int64_t number);
/* hash, warnings, valid_*, max_messages, pieces, size of c are taken over; state becomes c's. */
int store_campaign_fill(struct store *s, const struct store_campaign *c, int from);
int store_campaign_approve(struct store *s, int64_t number, int from, int state, const char *approver,
			   struct span approval, int64_t now);
int store_campaign_sign(struct store *s, int64_t number, int64_t key_version, struct span signature, int64_t now);
/* ERR_BADSTATE if it is not in from (from < 0: whatever it is in). */
int store_campaign_state(struct store *s, int64_t number, int from, int state, int64_t now);

/* fn until it says no (not 0), which is returned; 0: all. */
typedef int (*store_campaign_fn)(void *arg, const struct store_campaign *c);
int store_campaign_get(struct store *s, const char *customer, const char *campaign, int64_t version,
		       store_campaign_fn fn, void *arg); /* version 0: the newest that is not in state 0 */
int store_campaign_number(struct store *s, int64_t number, store_campaign_fn fn, void *arg);
/* By customer, campaign, version, newest first. NULL: any. */
int store_campaign_each(struct store *s, const char *customer, const char *campaign, store_campaign_fn fn, void *arg);
int store_campaign_in_state(struct store *s, const char *customer, const char *campaign, int state,
			    store_campaign_fn fn, void *arg);
/* Those whose time was not over at now (wall usec). */
int64_t store_campaign_count(struct store *s, int state, int64_t now);

/* Pieces. */
struct store_campaign_piece {
	int64_t id, number;
	struct span sealed;
};
typedef int (*store_campaign_piece_fn)(void *arg, const struct store_campaign_piece *p);
/* At most count pieces from first on: all of them are of the package, or all of the audience. */
int store_campaign_pieces(struct store *s, int64_t number, int64_t first, int64_t count, store_campaign_piece_fn fn,
			  void *arg);
/* A customer's, behind after. */
int store_campaign_pieces_each(struct store *s, const char *customer, int64_t after, int64_t limit,
			       store_campaign_piece_fn fn, void *arg);
int store_campaign_reseal(struct store *s, int64_t id, struct span was, struct span fresh);

/* The revoked: counter is the number of the checkpoint that vouches for a line first. Adding one twice changes nothing. */
struct store_campaign_revoked {
	const char *customer, *campaign;
	int64_t version, counter;
};
int store_campaign_revoke(struct store *s, const struct store_campaign_revoked *line, int64_t now);
/* Those with a counter of at most most, sorted as text is. */
typedef int (*store_campaign_revoked_fn)(void *arg, const struct store_campaign_revoked *line);
int store_campaign_revoked_each(struct store *s, int64_t most, store_campaign_revoked_fn fn, void *arg);
/* Lines above counter become its: nothing vouched for them yet. */
int store_campaign_revoked_move(struct store *s, int64_t counter);

/* Rejections, as milter tells them: never content. */
struct store_rejection {
	const char *id;
	int64_t time; /* wall usec */
	const char *customer, *campaign; /* "": unknown */
	int64_t version;
	const char *verdict, *header; /* header: the name of the one that the verdict is about, or "" */
	int64_t part, offset, template, template_offset; /* -1: none */
};
int store_rejection_put(struct store *s, const struct store_rejection *x);
typedef int (*store_rejection_fn)(void *arg, const struct store_rejection *x);
int store_rejection_get(struct store *s, const char *id, store_rejection_fn fn, void *arg);
/* Older than before, or all but the newest most: their number. */
int64_t store_rejection_expire(struct store *s, int64_t before, int64_t most);

#endif
