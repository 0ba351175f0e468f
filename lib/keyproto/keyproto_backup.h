/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_backup - messages about backups of keyd's store: BACKUP, BACKUP_FORGET, RESTORE.
 *
 * Story:  as keyproto_msg, all on the admin socket. BACKUP makes a backup as the store is at that
 *         moment, and then hands it out piece by piece; there is one at a time, and a new one, END,
 *         a lock or ten minutes without a request end it. RESTORE takes one to an EMPTY keyd, also
 *         in pieces and in order; the last brings the secret of the key file.
 * Source: sealpost-keyproto(7), sealpost-keyd-backup(7).
 * Thread: pure; any. */
#ifndef KEYPROTO_KEYPROTO_BACKUP_H
#define KEYPROTO_KEYPROTO_BACKUP_H

#include "keyproto/keyproto_msg.h"

#define KEYPROTO_BACKUP_PIECE  (48 * 1024)
#define KEYPROTO_BACKUP_SECRET 32

enum keyproto_backup_what {
	KEYPROTO_BACKUP_BEGIN = 1, /* reply: keyproto_backup_begun */
	KEYPROTO_BACKUP_READ = 2,  /* reply: one bytes16, shorter than asked for at the end alone */
	KEYPROTO_BACKUP_END = 3,   /* reply empty */
	KEYPROTO_BACKUP_LIST = 4   /* reply: JSON text, see below; times are seconds since 1970:
	     * {"keys":[{"id":1,"state":"current","created":..,"used":..,"changed":..}]} */
};

/* --- BACKUP */
struct keyproto_backup {
	uint8_t what;	 /* enum keyproto_backup_what */
	uint8_t new_key; /* BEGIN: 1: under a new key, whose secret is in the reply */
	uint64_t handle; /* READ, END: from the reply to BEGIN; else 0 */
	uint64_t offset; /* READ; else 0 */
};
int keyproto_backup_put(struct buf *b, const struct keyproto_backup *m);
int keyproto_backup_get(struct span body, struct keyproto_backup *m);

struct keyproto_backup_begun {
	uint64_t handle, size;
	uint32_t key;	    /* id */
	struct span secret; /* KEYPROTO_BACKUP_SECRET bytes if the key is new, else empty */
};
int keyproto_backup_begun_put(struct buf *b, const struct keyproto_backup_begun *m);
int keyproto_backup_begun_get(struct span body, struct keyproto_backup_begun *m);

/* --- BACKUP_FORGET: u32, the id of a key whose file is destroyed. Reply empty. */
int keyproto_backup_forget_put(struct buf *b, uint32_t id);
int keyproto_backup_forget_get(struct span body, uint32_t *id);

/* --- RESTORE: reply empty. E_AUTH: this is no backup of that key, or it was changed. */
struct keyproto_restore {
	uint64_t size, offset;
	struct span secret; /* KEYPROTO_BACKUP_SECRET bytes with the last piece, else empty */
	struct span data;   /* 1..KEYPROTO_BACKUP_PIECE bytes */
};
int keyproto_restore_put(struct buf *b, const struct keyproto_restore *m);
int keyproto_restore_get(struct span body, struct keyproto_restore *m);

#endif
