/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_root - the root key: wrapped in slots, any one of which opens it, and what is derived from
 * it.
 *
 * Story:     INIT makes a random root and one slot for each entry of keyd.yaml's slots:. A slot
 *            turns its secret into a 32-byte key: a key file as it is, a systemd credential
 *            through HMAC, a passphrase through Argon2id with parameters kept in the slot. The
 *            root itself is forgotten once keyd_root_derive has made the keys that are used; it
 *            is asked for again to change slots.
 * Safety:    parameters read from a store are checked against hard caps before they are used: a
 *            planted slot cannot make keyd run out of time or memory.
 * Errors:    ERR_AUTH (secret is not this slot's), ERR_FORMAT, ERR_NOMEM; from files also
 *            sys_file's.
 * Source:    RFC 9106 (Argon2id); sealpost-keyd-store(7); sealpost-keyd.yaml(5).
 * Thread:    pure; any. A passphrase takes 0.25 s and 64 MiB: for a worker thread. */
#ifndef KEYD_KEYD_ROOT_H
#define KEYD_KEYD_ROOT_H

#include "core/buf.h"
#include "keyd/keyd_wrap.h"
#include "keyproto/keyproto_msg.h"

#define KEYD_ROOT_SLOTS_MAX	 KEYPROTO_SLOTS_MAX
#define KEYD_ROOT_SECRET_MAX	 4096 /* longest passphrase or credential */
#define KEYD_ROOT_PASSPHRASE_MIN 8
#define KEYD_ROOT_NAME_MAX	 64

/* Methods are enum keyproto_slot_method. */
const char *keyd_root_method_name(unsigned method);

struct keyd_root_slot {
	uint8_t method;
	char name[KEYD_ROOT_NAME_MAX + 1];  /* credential's name; may be empty */
	uint32_t passes, memory_kib, lanes; /* Argon2id; 0 for other methods */
	uint8_t salt[16];
	uint8_t wrapped[KEYD_WRAP_KEY];
};
int keyd_root_slot_put(struct buf *b, const struct keyd_root_slot *s);
/* ERR_LIMIT: parameters beyond the caps. */
int keyd_root_slot_get(struct span body, struct keyd_root_slot *s);

/* Fills s (method and name are set by the caller) with root wrapped under secret. */
int keyd_root_slot_make(struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
			const uint8_t root[32]);
/* root: 32 bytes of secret memory. */
int keyd_root_slot_open(const struct keyd_root_slot *s, const uint8_t store[16], struct span secret,
			uint8_t root[32]);

/* The secret of a file slot: 32 bytes. make leaves a good key that is there already as it is. */
int keyd_root_file_make(const char *path);
int keyd_root_file_read(const char *path, uint8_t key[32]);
/* The secret of a credential slot: $CREDENTIALS_DIRECTORY/NAME, 32..KEYD_ROOT_SECRET_MAX bytes,
 * into a wiped buf. ERR_NOTFOUND if there is none. */
int keyd_root_credential_read(const char *name, struct buf *out);

/* What is derived from the root, in one piece of secret memory. */
struct keyd_root_keys {
	uint8_t kek[32];      /* wraps KEKs */
	uint8_t key[32];      /* wraps signing keys */
	uint8_t snapshot[32]; /* MAC of the snapshot */
	uint8_t journal[32];  /* MAC of the journal */
};
int keyd_root_derive(const uint8_t root[32], struct keyd_root_keys *out);

/* Wrong passphrases: each failure doubles the wait (1 s .. 5 min) before the next is looked at. */
struct keyd_root_delay {
	unsigned failures;
	int64_t until; /* clock_mono */
};
/* 0, or ERR_BUSY: not yet. */
int keyd_root_delay_check(const struct keyd_root_delay *d, int64_t now);
void keyd_root_delay_failed(struct keyd_root_delay *d, int64_t now);
void keyd_root_delay_passed(struct keyd_root_delay *d);

/* Calls fn for each thing to say about the slots; texts are static. */
void keyd_root_warnings(const struct keyd_root_slot *slots, unsigned count,
			void (*fn)(void *arg, const char *text), void *arg);
/* 1 unless the secret lies readable on the same disk. */
int keyd_root_method_safe(unsigned method);

#endif
