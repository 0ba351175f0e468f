/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_manifest - MANIFEST_SIGN, APPROVER_ADD, APPROVER_REMOVE, APPROVERS, TRACK_KEY,
 * AUDIENCE_KEY: campaigns that somebody approved, and the keys of tracking tokens and audiences.
 *
 * Story:     an approver signs keyproto_manifest_approver_text with a key of his own, whose public
 *            part an officer enrolled (APPROVER_ADD). At activation relay shows keyd that signature
 *            (MANIFEST_SIGN). keyd checks that the approver is enrolled for the customer, is not the
 *            author, and that the signature is his and of this very text; then it signs
 *            keyproto_manifest_text with its key "manifest/CUSTOMER", which it makes by itself before
 *            the first. Whoever has that signature and the public key needs nobody's word: milter
 *            checks it (keyproto_manifest_verify).
 *            What was revoked is a list, whose text keyd vouches for as the checkpoint "revoked".
 *            TRACK_KEY gives the key of one customer's tokens in one epoch: see seal_track.h.
 *            AUDIENCE_KEY gives the key that one customer's recipients are hashed with: see
 *            camp_audience.h.
 * Signature: keyd's: Ed25519, of the key's version that comes with it; its public part is PUBLIC_KEY
 *            of "manifest/CUSTOMER#VERSION". An approver's: Ed25519, or ES256 in DER (SHA-256).
 * Ownership: spans point into the body.
 * Errors:    ERR_FORMAT. Replies of MANIFEST_SIGN: E_DENIED whatever of the above does not hold;
 *            keyd's log and audit log say what.
 * Source:    sealpost-keyproto(7), sealpost-crypto(7).
 * Thread:    pure; any. */
#ifndef KEYPROTO_KEYPROTO_MANIFEST_H
#define KEYPROTO_KEYPROTO_MANIFEST_H

#include "keyproto/keyproto_msg.h"

#define KEYPROTO_MANIFEST_HASH	   32  /* SHA-256 of the canonical manifest */
#define KEYPROTO_MANIFEST_SIG	   64  /* keyd's */
#define KEYPROTO_MANIFEST_SIG_MAX  80  /* an approver's: 64, or DER of an ES256 signature */
#define KEYPROTO_MANIFEST_TEXT	   512 /* no text is longer */
#define KEYPROTO_APPROVER_SPKI_MAX 128 /* DER of a public key, Ed25519 or EC P-256 */
#define KEYPROTO_APPROVERS_MAX	   256
#define KEYPROTO_TRACK_SIZE	   32 /* of a key that TRACK_KEY gives */
#define KEYPROTO_AUDIENCE_SIZE	   32 /* of a key that AUDIENCE_KEY gives */
#define KEYPROTO_ANY_CUSTOMER	   "*" /* an approver for all */

/* 1 if s is the name of a campaign: 1..64 of letters, digits, '.', '_', '-'. */
int keyproto_manifest_campaign_ok(struct span s);
/* 1 if s names an author or an approver: the same, and '@' and '+'. */
int keyproto_manifest_person_ok(struct span s);
/* 1 if both are one person: case does not tell people apart. */
int keyproto_manifest_same_person(struct span a, struct span b);

/* What the two signatures are of. */
struct keyproto_manifest {
	struct span customer; /* keyproto_name_ok */
	struct span campaign;
	uint32_t version;    /* from 1 */
	const uint8_t *hash; /* KEYPROTO_MANIFEST_HASH bytes */
	struct span author, approver;
};
/* Append the texts that are signed:
 *     sealpost-approve-1\ncustomer C\ncampaign N\nversion 3\nhash <64 digits>\nauthor A\napprover P\n
 * and the same with sealpost-manifest-1 in front. 0, ERR_FORMAT (a part that is not as said above), or
 * what the buf is marked with. */
int keyproto_manifest_approver_text(struct buf *out, const struct keyproto_manifest *m);
int keyproto_manifest_text(struct buf *out, const struct keyproto_manifest *m);

/* Request of MANIFEST_SIGN. */
struct keyproto_manifest_sign {
	struct keyproto_manifest manifest;
	struct span signature; /* the approver's: at most KEYPROTO_MANIFEST_SIG_MAX */
};
int keyproto_manifest_sign_put(struct buf *b, const struct keyproto_manifest_sign *m);
int keyproto_manifest_sign_get(struct span body, struct keyproto_manifest_sign *m);

/* Its reply. */
struct keyproto_manifest_signed {
	uint32_t version;	  /* of the key */
	const uint8_t *signature; /* KEYPROTO_MANIFEST_SIG bytes */
};
int keyproto_manifest_signed_put(struct buf *b, const struct keyproto_manifest_signed *m);
int keyproto_manifest_signed_get(struct span body, struct keyproto_manifest_signed *m);

/* Request of APPROVER_ADD; the reply is empty. E_EXISTS: the name is taken; E_NOTFOUND: no such
 * customer; E_ARGUMENT: a key that is neither Ed25519 nor EC P-256; E_LIMIT: there are as many as can
 * be. Of APPROVER_REMOVE: one bytes16, the name; its reply is empty. */
struct keyproto_approver_add {
	struct span name;     /* keyproto_manifest_person_ok */
	struct span customer; /* or KEYPROTO_ANY_CUSTOMER */
	struct span spki;     /* DER, at most KEYPROTO_APPROVER_SPKI_MAX */
};
int keyproto_approver_add_put(struct buf *b, const struct keyproto_approver_add *m);
int keyproto_approver_add_get(struct span body, struct keyproto_approver_add *m);

/* Type of an approver's public key: KEYPROTO_KEY_ED25519 or _EC_P256, or 0 if it is neither, or not one
 * key alone. */
unsigned keyproto_approver_keytype(struct span spki);

/* --- APPROVERS: u32, the number of the first to tell of; an empty request means 0. The reply is JSON
 * text; next: the number to go on with, if they are too many for one reply.
 * {"approvers":[{"name":"erika","customer":"shop","type":"ed25519","added":"2026-11-22T06:16:18Z",
 *  "fingerprint":"<64 digits: SHA-256 of the key's DER>","key":"<base64 of the DER>"}],"next":null} */
int keyproto_approvers_put(struct buf *b, uint32_t from);
int keyproto_approvers_get(struct span body, uint32_t *from);

/* Request of TRACK_KEY; the reply is one bytes16, KEYPROTO_TRACK_SIZE bytes. E_NOTFOUND, E_GONE: no such
 * customer, or not any more. */
struct keyproto_track {
	struct span customer;
	uint32_t epoch; /* seal_track_epoch */
};
int keyproto_track_put(struct buf *b, const struct keyproto_track *m);
int keyproto_track_get(struct span body, struct keyproto_track *m);

/* Request of AUDIENCE_KEY: one bytes8, the customer. The reply is one bytes16, KEYPROTO_AUDIENCE_SIZE
 * bytes. E_NOTFOUND, E_GONE as above. */
int keyproto_audience_put(struct buf *b, struct span customer);
int keyproto_audience_get(struct span body, struct span *customer);

/* Checks a signature over a text by the key in spki (DER). 0; ERR_AUTH; ERR_FORMAT (no such key);
 * ERR_CRYPTO. verify: keyd's, over keyproto_manifest_text; spki must be Ed25519. */
int keyproto_manifest_verify(const struct keyproto_manifest *m, struct span spki,
			     struct span signature);
int keyproto_manifest_approver_verify(const struct keyproto_manifest *m, struct span spki,
				      struct span signature);

/* --- The revoked: text of sorted lines, of which CHECKPOINT "revoked" signs the SHA-256 and, as rows,
 * the number of lines behind the first. */
#define KEYPROTO_REVOKED "revoked" /* name of the checkpoint */
#define KEYPROTO_REVOKED_HEAD \
	"sealpost-revoked-1\n" /* then: CUSTOMER CAMPAIGN VERSION\n; VERSION may be * */

#endif
