/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_msg - what is said between keyd and its clients: each message as a struct and its codec.
 *
 * Story:     a client connects (keyd.sock to use keys, keyd-admin.sock to administer), sends HELLO
 *            naming the role it acts in, and then any number of requests at once (at most
 *            KEYPROTO_CREDIT unanswered). Every message has _put (struct -> body, into a buf between
 *            wire_frame_open and _close) and _get (body -> struct). The bytes are in
 *            sealpost-keyproto(7), and test/vectors/keyproto holds one example of each.
 * Ownership: _get leaves spans pointing into the body. Replies that hold keys are read in place and
 *            copied only into secret memory.
 * Errors:    a failed _get is ERR_FORMAT, and keyd then closes the connection. _get refuses numbers
 *            that are in no list here (roles, purposes, algorithms, key types, methods, states), names
 *            that keyproto_name_ok refuses, counts and lengths over their limits; so whoever has a
 *            struct from _get can index tables with it. _put holds to the same rules: it marks the buf
 *            and returns ERR_FORMAT, so a bad argument costs its frame and not the connection.
 * Limits:    names below are 1..64 bytes of [a-z0-9._/-]; batches 1..256 items; frame body 64 KiB.
 * Thread:    pure; any. */
#ifndef KEYPROTO_KEYPROTO_MSG_H
#define KEYPROTO_KEYPROTO_MSG_H

#include "core/buf.h"
#include "wire/wire_get.h"

#define KEYPROTO_BATCH_MAX 256
#define KEYPROTO_CREDIT 256
#define KEYPROTO_NAME_MAX 64
#define KEYPROTO_KEYNAME_MAX (KEYPROTO_NAME_MAX + 11) /* a label, '#', a version */
#define KEYPROTO_CONTEXT_MAX 255
#define KEYPROTO_SALT 24	/* salt of an object: see seal_chunk.h */
#define KEYPROTO_OBJECT_KEY 76	/* AEAD key 32, base nonce 12, commitment 32 */
#define KEYPROTO_DATA_MAX 16384 /* one field, one message to authenticate */
#define KEYPROTO_SIGN_MAX 49152 /* one message to sign: the headers of a mail, for DKIM */
#define KEYPROTO_SEALED_MAX (KEYPROTO_DATA_MAX + 64) /* one sealed field */
#define KEYPROTO_SLOTS_MAX 8
#define KEYPROTO_SECRET_MAX 1024 /* a passphrase */
#define KEYPROTO_PIN_MAX 255

/* X(symbol, number, name): one row an operation. The name is what logs and keyd_permit use. */
#define KEYPROTO_OPS(X)                                                                            \
	X(HELLO, 1, "hello")                                                                       \
	X(STATUS, 2, "status")                                                                     \
	X(DERIVE_NEW, 16, "derive-new")                                                            \
	X(DERIVE_EXISTING, 17, "derive-existing")                                                  \
	X(SEAL_FIELDS, 18, "seal-fields")                                                          \
	X(OPEN_FIELDS, 19, "open-fields")                                                          \
	X(BLIND_INDEX, 20, "blind-index")                                                          \
	X(MAC, 21, "mac")                                                                          \
	X(VERIFY_MAC, 22, "verify-mac")                                                            \
	X(SIGN, 23, "sign")                                                                        \
	X(PUBLIC_KEY, 24, "public-key")                                                            \
	X(WITNESS, 25, "witness")                                                                  \
	X(RESEAL_FIELDS, 26, "reseal-fields")                                                      \
	X(CUSTOMER_KEYS, 27, "customer-keys")                                                      \
	X(DEK_EMPTY, 28, "dek-empty")                                                              \
	X(CHECKPOINT, 29, "checkpoint")                                                            \
	X(CHECKPOINT_LAST, 30, "checkpoint-last")                                                  \
	X(KEY_VERSIONS, 31, "key-versions")                                                        \
	X(INIT, 32, "init")                                                                        \
	X(UNSEAL, 33, "unseal")                                                                    \
	X(LOCK, 34, "lock")                                                                        \
	X(CUSTOMER_ADD, 35, "customer-add")                                                        \
	X(KEY_ADD, 36, "key-add")                                                                  \
	X(KEY_LIST, 37, "key-list")                                                                \
	X(SLOT_ADD, 38, "slot-add")                                                                \
	X(SLOT_REMOVE, 39, "slot-remove")                                                          \
	X(SLOT_TEST, 40, "slot-test")                                                              \
	X(UNSEAL_CANCEL, 41, "unseal-cancel")                                                      \
	X(ROTATE, 42, "rotate")                                                                    \
	X(ROTATION, 43, "rotation")                                                                \
	X(SCHEDULE, 44, "schedule")                                                                \
	X(SHRED, 45, "shred")                                                                      \
	X(SHREDS, 46, "shreds")                                                                    \
	X(BACKUP, 47, "backup")                                                                    \
	X(BACKUP_FORGET, 48, "backup-forget")                                                      \
	X(RESTORE, 49, "restore")                                                                  \
	X(SELFTEST, 51, "selftest")                                                                \
	X(ZEROIZE, 52, "zeroize")                                                                  \
	X(ACCEPT, 53, "accept")                                                                    \
	X(AUDIT_READ, 54, "audit-read")                                                            \
	X(APPROVE, 55, "approve")                                                                  \
	X(PROPOSALS, 56, "proposals")                                                              \
	X(WITHDRAW, 57, "withdraw")                                                                \
	X(MANIFEST_SIGN, 58, "manifest-sign")                                                      \
	X(APPROVER_ADD, 59, "approver-add")                                                        \
	X(APPROVER_REMOVE, 60, "approver-remove")                                                  \
	X(APPROVERS, 61, "approvers")                                                              \
	X(TRACK_KEY, 62, "track-key")                                                              \
	X(AUDIENCE_KEY, 63, "audience-key")                                                        \
	X(EVENT, 64, "event")

enum keyproto_op {
#define KEYPROTO_X(sym, num, name) KEYPROTO_##sym = num,
	KEYPROTO_OPS(KEYPROTO_X)
#undef KEYPROTO_X
};
/* Name of an operation, or NULL. */
const char *keyproto_op_name(unsigned op);

/* Status codes in replies. Decryption has one code whatever the cause: no oracle. */
#define KEYPROTO_STATUS_LIST(X)                                                                    \
	X(OK, 0, 0)                                                                                \
	X(E_DENIED, 1, ERR_DENIED)                                                                 \
	X(E_NOTFOUND, 2, ERR_NOTFOUND)                                                             \
	X(E_AUTH, 3, ERR_AUTH)	   /* seal, MAC or passphrase does not verify */                   \
	X(E_LOCKED, 4, ERR_LOCKED) /* sealed, or never initialised */                              \
	X(E_BUSY, 5, ERR_BUSY)	   /* over the rate or the credit */                               \
	X(E_LIMIT, 6, ERR_LIMIT)                                                                   \
	X(E_EXISTS, 7, ERR_EXISTS)                                                                 \
	X(E_STATE, 8, ERR_BADSTATE) /* not now: e.g. init of an initialised store */               \
	X(E_ARGUMENT, 9, ERR_FORMAT)                                                               \
	X(E_INTERNAL, 10, ERR_IO)                                                                  \
	X(E_MORE, 11, ERR_MORE)	    /* taken; more shares are needed */                            \
	X(E_QUORUM, 12, ERR_QUORUM) /* kept as a proposal; the body is its number, u64 */          \
	X(E_GONE, 13, ERR_GONE)	    /* the customer's keys were destroyed */                       \
	X(E_ROLLBACK, 14, ERR_ROLLBACK)
enum keyproto_status {
#define KEYPROTO_X(sym, num, err) KEYPROTO_##sym = num,
	KEYPROTO_STATUS_LIST(KEYPROTO_X)
#undef KEYPROTO_X
};
/* ERR_* for a status in a reply, and back (0 <-> 0; anything unknown -> ERR_IO / E_INTERNAL). */
int keyproto_err_of_status(uint32_t status);
uint32_t keyproto_status_of_err(int err);

/* Roles. A uid may hold several; HELLO picks the one this connection acts in. */
#define KEYPROTO_ROLES(X)                                                                          \
	X(RELAY, 1, "relay")                                                                       \
	X(MILTER, 2, "milter")                                                                     \
	X(OFFICER, 3, "officer")                                                                   \
	X(OPERATOR, 4, "operator")                                                                 \
	X(AUDITOR, 5, "auditor")
enum keyproto_role {
#define KEYPROTO_X(sym, num, name) KEYPROTO_ROLE_##sym = num,
	KEYPROTO_ROLES(KEYPROTO_X)
#undef KEYPROTO_X
};
const char *keyproto_role_name(unsigned role);
/* Role of a name, or 0. */
unsigned keyproto_role_of_name(struct span name);

/* Sub-keys of a customer's DEK. The number goes into HKDF as text, so it can never change. */
#define KEYPROTO_PURPOSES(X)                                                                       \
	X(SPOOL, 1, "spool")                                                                       \
	X(FIELD, 2, "field")                                                                       \
	X(INDEX, 3, "index")                                                                       \
	X(CRED, 4, "cred")                                                                         \
	X(ASSET, 5, "asset")                                                                       \
	X(EXPORT, 6, "export")                                                                     \
	X(TRACK, 7, "track")                                                                       \
	X(HMAC, 8, "hmac")
enum keyproto_purpose {
#define KEYPROTO_X(sym, num, name) KEYPROTO_FOR_##sym = num,
	KEYPROTO_PURPOSES(KEYPROTO_X)
#undef KEYPROTO_X
};
const char *keyproto_purpose_name(unsigned purpose);

/* Signature algorithms. The key decides which of them it may do (an EC key only ES256, an RSA key
 * those with RS and PS); keyd hashes the message itself. */
#define KEYPROTO_ALGS(X)                                                                           \
	X(ES256, 1, "ES256")                                                                       \
	X(RS256, 2, "RS256")                                                                       \
	X(RS384, 3, "RS384")                                                                       \
	X(RS512, 4, "RS512")                                                                       \
	X(PS256, 5, "PS256") /* salt as long as the digest */                                      \
	X(PS384, 6, "PS384")                                                                       \
	X(PS512, 7, "PS512")                                                                       \
	X(ED25519, 8, "Ed25519")
enum keyproto_alg {
#define KEYPROTO_X(sym, num, name) KEYPROTO_ALG_##sym = num,
	KEYPROTO_ALGS(KEYPROTO_X)
#undef KEYPROTO_X
};
const char *keyproto_alg_name(unsigned alg);

/* Key types of KEY_ADD and KEY_LIST. */
enum keyproto_keytype { KEYPROTO_KEY_EC_P256 = 1, KEYPROTO_KEY_RSA2048 = 2, KEYPROTO_KEY_ED25519 = 3 };
const char *keyproto_keytype_name(unsigned type); /* "ec-p256", "rsa-2048", "ed25519" */

/* State of keyd. */
enum keyproto_state {
	KEYPROTO_EMPTY = 1,  /* no store yet: waits for INIT */
	KEYPROTO_LOCKED = 2, /* store there, root not: waits for UNSEAL */
	KEYPROTO_READY = 3,
	KEYPROTO_ERROR = 4 /* a self-test or the store failed: nothing is served */
};
const char *keyproto_state_name(unsigned state); /* "empty", "locked", "ready", "error" */

/* --- HELLO: first on every connection; anything else closes it. */
struct keyproto_hello {
	uint16_t version_min, version_max; /* frame versions the client speaks */
	uint8_t role;			   /* enum keyproto_role */
	struct span program;		   /* for logs: "sealpost-relay" */
};
struct keyproto_hello_reply {
	uint16_t version;
	uint8_t state;	    /* enum keyproto_state */
	struct span store;  /* 16 bytes: uuid of the store; zeros while empty */
};
int keyproto_hello_put(struct buf *b, const struct keyproto_hello *m);
int keyproto_hello_get(struct span body, struct keyproto_hello *m);
int keyproto_hello_reply_put(struct buf *b, const struct keyproto_hello_reply *m);
int keyproto_hello_reply_get(struct span body, struct keyproto_hello_reply *m);

/* --- STATUS: empty request. The reply is JSON text (for people and `sealpost status`):
 * {"state":"ready","store":"<hex>","generation":12,"uptime_s":5,"customers":1,"deks":1,"keks":256,
 *  "keys":[{"label":"tls/relay","type":"ec-p256","state":"active"}],
 *  "slots":[{"id":1,"method":"file","name":"","created":"2026-11-22T06:16:18Z","safe":false,
 *  "offline":false},...],"unseal":null,"warnings":["..."],
 *  "requests":{"derive-new":17,...},"denied":0,"bad_frames":0,"locked_bytes":131072,"selftest":"passed"} */

/* --- DERIVE_NEW: keys for new objects of one customer; keyd picks salts. Count = contexts.
 * context: see seal_context in seal_chunk.h; it binds customer, object id and kind. */
struct keyproto_derive_new {
	struct span customer;
	uint8_t purpose; /* SPOOL, ASSET or EXPORT */
	uint16_t count;
	struct span contexts[KEYPROTO_BATCH_MAX];
};
struct keyproto_derived {
	uint32_t keyref;	/* which DEK: stored beside the object */
	const uint8_t *salt;	/* KEYPROTO_SALT bytes */
	const uint8_t *key;	/* KEYPROTO_OBJECT_KEY bytes */
	uint32_t status;	/* per item; salt and key are NULL and not on the wire unless 0 */
};
int keyproto_derive_new_put(struct buf *b, const struct keyproto_derive_new *m);
int keyproto_derive_new_get(struct span body, struct keyproto_derive_new *m);
/* Replies of both derive operations. items: room for KEYPROTO_BATCH_MAX. Returns the count or ERR_FORMAT. */
int keyproto_derived_put(struct buf *b, const struct keyproto_derived *items, unsigned count);
int keyproto_derived_get(struct span body, struct keyproto_derived *items);

/* --- DERIVE_EXISTING: keys of objects that exist. One answer per item; counted, rate-limited. */
struct keyproto_object {
	struct span customer;
	uint8_t purpose;
	uint32_t keyref;
	const uint8_t *salt; /* KEYPROTO_SALT bytes */
	struct span context;
};
struct keyproto_derive_existing {
	uint16_t count;
	struct keyproto_object items[KEYPROTO_BATCH_MAX];
};
int keyproto_derive_existing_put(struct buf *b, const struct keyproto_derive_existing *m);
int keyproto_derive_existing_get(struct span body, struct keyproto_derive_existing *m);

/* --- SEAL_FIELDS, OPEN_FIELDS: database fields and credentials (purpose FIELD or CRED).
 * seal: data = plaintext; the reply's data is the sealed field (seal_field.h). open: the reverse. */
struct keyproto_field {
	struct span aad;  /* seal_field_aad: at most KEYPROTO_DATA_MAX */
	struct span data;
};
struct keyproto_fields {
	struct span customer;
	uint8_t purpose;
	uint16_t count;
	struct keyproto_field items[KEYPROTO_BATCH_MAX];
	uint32_t keyref; /* purpose INDEX alone; 0, and not on the wire: the newest DEK */
};
struct keyproto_result {
	uint32_t status;
	struct span data; /* empty unless status is 0 */
};
int keyproto_fields_put(struct buf *b, const struct keyproto_fields *m);
int keyproto_fields_get(struct span body, struct keyproto_fields *m);
/* Replies of SEAL_FIELDS, OPEN_FIELDS and BLIND_INDEX. Returns the count or ERR_FORMAT. */
int keyproto_results_put(struct buf *b, const struct keyproto_result *items, unsigned count);
int keyproto_results_get(struct span body, struct keyproto_result *items);

/* --- BLIND_INDEX: same body as fields, purpose INDEX; aad = column label, data = normalised value.
 * Each result is 32 bytes; the caller truncates as the column says. keyref: an older DEK, whose rows
 * are to be found. */

/* --- RESEAL_FIELDS: same body as OPEN_FIELDS; each result is the field sealed under the customer's
 * newest DEK, with the same AAD. The plaintext stays in keyd. */

/* --- MAC, VERIFY_MAC: HMAC-SHA-256 under the customer's HMAC sub-key over label 0x00 data. */
struct keyproto_mac {
	struct span customer;
	struct span label; /* "campaign/1": separates uses */
	struct span data;
	struct span mac; /* VERIFY_MAC: 32 bytes; MAC: empty */
};
int keyproto_mac_put(struct buf *b, const struct keyproto_mac *m);
int keyproto_mac_get(struct span body, struct keyproto_mac *m);
/* Reply of MAC: one bytes16 (32 bytes), read with keyproto_bytes_get. Of VERIFY_MAC: empty, status says. */

/* --- SIGN: reply is one bytes16, the signature (ECDSA in DER, as TLS wants it). A key dkim/... signs
 * what has the form of DKIM alone, and no other key does (E_DENIED): see sealpost-keyproto(7). */
struct keyproto_sign {
	struct span label; /* "tls/relay": the active version; "tls/relay#2": that one */
	uint8_t alg;
	struct span data; /* the message, not a digest: at most KEYPROTO_SIGN_MAX */
};
int keyproto_sign_put(struct buf *b, const struct keyproto_sign *m);
int keyproto_sign_get(struct span body, struct keyproto_sign *m);

/* --- PUBLIC_KEY: request is one bytes16, the label, or label and version as in SIGN. Reply: */
struct keyproto_public {
	uint8_t type;	  /* enum keyproto_keytype */
	struct span spki; /* DER SubjectPublicKeyInfo */
};
int keyproto_public_put(struct buf *b, const struct keyproto_public *m);
int keyproto_public_get(struct span body, struct keyproto_public *m);

/* --- INIT (admin): makes root, KEKs and the first store, wrapped in the slots named here.
 * Refused (E_STATE) unless keyd is empty. */
enum keyproto_slot_method {
	KEYPROTO_SLOT_ANY = 0, /* only as what opens: see keyproto_slot.h */
	KEYPROTO_SLOT_FILE = 1,
	KEYPROTO_SLOT_PASSPHRASE = 2,
	KEYPROTO_SLOT_CREDENTIAL = 3,
	KEYPROTO_SLOT_SHARES = 4,
	KEYPROTO_SLOT_TOKEN = 5
};
struct keyproto_slot {
	uint8_t method;	    /* enum keyproto_slot_method */
	struct span secret; /* passphrase; one share (UNSEAL) or several, one a line; the token's PIN,
			     * empty if keyd has it; empty for file (keyd makes it) and credential */
};
struct keyproto_init {
	uint16_t count; /* 1..KEYPROTO_SLOTS_MAX, in the order of keyd.yaml's slots: */
	struct keyproto_slot slots[KEYPROTO_SLOTS_MAX];
};
int keyproto_init_put(struct buf *b, const struct keyproto_init *m);
int keyproto_init_get(struct span body, struct keyproto_init *m);

/* --- UNSEAL (admin): one keyproto_slot body; with shares, one of them. LOCK: empty, empty.
 * CUSTOMER_ADD: one bytes16, the name; reply empty. */
int keyproto_slot_put(struct buf *b, const struct keyproto_slot *m);
int keyproto_slot_get(struct span body, struct keyproto_slot *m);

/* --- KEY_ADD (admin): makes a signing key; reply as PUBLIC_KEY. KEY_LIST: see STATUS. */
struct keyproto_key_add {
	struct span label; /* purpose is the part before the slash: tls, dkim, jwt, ... */
	uint8_t type;
};
int keyproto_key_add_put(struct buf *b, const struct keyproto_key_add *m);
int keyproto_key_add_get(struct span body, struct keyproto_key_add *m);

/* --- EVENT (push, request id 0): state changed. Body: u8 state. The frame's epoch tells clients to
 * drop what they cached when it grows. */
int keyproto_event_put(struct buf *b, uint8_t state);
int keyproto_event_get(struct span body, uint8_t *state);

/* A body that is one bytes16. */
int keyproto_bytes_put(struct buf *b, struct span s);
int keyproto_bytes_get(struct span body, struct span *s);

/* 1 if s is a name as keyd takes them for customers and labels. */
int keyproto_name_ok(struct span s);
/* 1 if s names a signing key: a label, or "label#N" with N from 1 to 2^32 - 1, without zeros in
 * front. label and version (0: none was given) may be NULL. */
int keyproto_keyname_ok(struct span s, struct span *label, uint32_t *version);

#endif
