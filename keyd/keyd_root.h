/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_root - the root key: wrapped in slots, any one of which opens it, and what is derived from
 * it.
 *
 * Story:     INIT makes a random root and the first slots; SLOT_ADD and SLOT_REMOVE change them
 *            later. Each method turns its secret into the slot's 32-byte key, which wraps the root:
 *              file        the key is the file
 *              passphrase  Argon2id, with parameters kept in the slot
 *              credential  HMAC of a systemd credential
 *              shares      the key is random, and split k of n (keyd_shamir, keyd_share)
 *              token       the key is random, and wrapped by a PKCS#11 token (keyd_token)
 *            For file, shares and token the secret given here is that key itself: who calls has put
 *            it together from shares or asked the token. The root is forgotten once
 *            keyd_root_derive has made the keys that are used; whoever changes slots opens one of
 *            them again.
 * Safety:    parameters read from a store are checked against hard caps before they are used: a
 *            planted slot cannot make keyd run out of time or memory. They are part of the wrap's
 *            AAD, as are id and name.
 * Errors:    ERR_AUTH (secret is not this slot's), ERR_FORMAT, ERR_LIMIT (parameters beyond the
 *            caps), ERR_NOMEM; from files also sys_file's.
 * Source:    RFC 9106 (Argon2id); sealpost-keyd-store(7); sealpost-keyd.yaml(5).
 * Thread:    pure; any. A passphrase takes 0.25 s and 64 MiB: for a worker thread. */
#ifndef KEYD_KEYD_ROOT_H
#define KEYD_KEYD_ROOT_H

#include "core/buf.h"
#include "keyd/keyd_share.h"
#include "keyd/keyd_token.h"
#include "keyd/keyd_wrap.h"
#include "keyproto/keyproto_msg.h"
#include "wire/wire_get.h"

#define KEYD_ROOT_SLOTS_MAX	 KEYPROTO_SLOTS_MAX
#define KEYD_ROOT_SECRET_MAX	 4096 /* longest passphrase or credential */
#define KEYD_ROOT_PASSPHRASE_MIN 8
#define KEYD_ROOT_NAME_MAX	 64
#define KEYD_ROOT_SHARES_MAX	 32 /* custodians of one slot */
#define KEYD_ROOT_SALT		 16

struct keyd_root_passphrase {
	uint32_t passes, memory_kib, lanes; /* Argon2id */
	uint8_t salt[KEYD_ROOT_SALT];
};

struct keyd_root_credential {
	uint8_t salt[KEYD_ROOT_SALT];
};

struct keyd_root_shares {
	uint8_t need, of; /* 2 <= need <= of <= KEYD_ROOT_SHARES_MAX */
	uint8_t set[KEYD_SHARE_SET];
};

struct keyd_root_token {
	char uri[KEYD_TOKEN_URI_MAX + 1]; /* without a PIN */
	struct keyd_token_blob blob;	  /* the slot's key, wrapped */
};

struct keyd_root_slot {
	uint32_t id; /* from 1; never given twice in the life of a store */
	uint8_t method;
	int64_t created; /* clock_wall */
	char
	    name[KEYD_ROOT_NAME_MAX + 1]; /* the credential's, or a word for people; may be empty */
	union {
		struct keyd_root_passphrase passphrase;
		struct keyd_root_credential credential;
		struct keyd_root_shares shares;
		struct keyd_root_token token;
	};
	uint8_t wrapped[KEYD_WRAP_KEY];
};

/* Whether whoever unseals has to give something. */
enum keyd_root_given { KEYD_ROOT_NEVER, KEYD_ROOT_ALWAYS, KEYD_ROOT_MAYBE };

/* THE table of methods, by enum keyproto_slot_method. */
struct keyd_root_method {
	const char *name;
	int safe;    /* its secret does not lie readable on the same disk */
	int offline; /* opens the store elsewhere, when this machine is lost */
	int alone;   /* can open when keyd starts, with nobody there */
	enum keyd_root_given given;
	/* for keyd_root.c: parameters as bytes and back, their caps, new ones, secret to key */
	void (*put)(struct buf *b, const struct keyd_root_slot *s);
	int (*get)(struct wire_get *g, struct keyd_root_slot *s);
	int (*fits)(const struct keyd_root_slot *s);
	void (*begin)(struct keyd_root_slot *s);
	int (*stretch)(const struct keyd_root_slot *s, struct span secret, uint8_t key[32]);
};
/* NULL: no such method. */
const struct keyd_root_method *keyd_root_method(unsigned method);
/* "file", ...; NULL: no such method. */
const char *keyd_root_method_name(unsigned method);
/* 1 if a slot may be called so: up to KEYD_ROOT_NAME_MAX visible ASCII characters, neither quote
 * nor backslash, so that it stands in JSON and in logs as it is. Empty is good. */
int keyd_root_name_ok(struct span name);

int keyd_root_slot_put(struct buf *b, const struct keyd_root_slot *s);
/* ERR_LIMIT: parameters beyond the caps. */
int keyd_root_slot_get(struct span body, struct keyd_root_slot *s);

/* Wraps root under secret. The caller has set id, method, created and name, and for shares and
 * token also their parameters; those of the other methods are made here. */
int keyd_root_slot_make(struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
			const uint8_t root[32]);
/* root: 32 bytes of secret memory. */
int keyd_root_slot_open(const struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
			uint8_t root[32]);

/* The secret of a file slot: 32 bytes. make leaves a good key that is there already as it is. */
int keyd_root_file_make(const char *path);
int keyd_root_file_read(const char *path, uint8_t key[32]);
/* What is derived from the root, in one piece of secret memory. */
struct keyd_root_keys {
	uint8_t kek[32];       /* wraps KEKs; after keyd_root_anchor that of root and anchor */
	uint8_t key[32];       /* wraps signing keys */
	uint8_t snapshot[32];  /* MAC of the snapshot */
	uint8_t journal[32];   /* MAC of the journal */
	uint8_t base[32];      /* kek of a store without anchor */
	uint8_t tombstone[32]; /* MAC of tombstones' tokens */
};
int keyd_root_derive(const uint8_t root[32], struct keyd_root_keys *out);
/* The key that wraps KEKs while the anchor is this one; out may be keys->kek. */
int keyd_root_anchor(const struct keyd_root_keys *keys, const uint8_t anchor[32], uint8_t out[32]);

/* Wrong passphrases: each failure doubles the wait (1 s .. 5 min) before the next is looked at. */
struct keyd_root_delay {
	unsigned failures;
	int64_t until; /* clock_mono */
};
/* 0, or ERR_BUSY: not yet. */
int keyd_root_delay_check(const struct keyd_root_delay *d, int64_t now);
void keyd_root_delay_failed(struct keyd_root_delay *d, int64_t now);
void keyd_root_delay_passed(struct keyd_root_delay *d);

/* Calls fn for each thing to say about the slots, until there are two of different kind and one of
 * them offline; texts are static. */
void keyd_root_warnings(const struct keyd_root_slot *slots, unsigned count,
			void (*fn)(void *arg, const char *text), void *arg);

#endif
