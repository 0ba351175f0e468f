/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_backup - a backup of the store: a snapshot that needs no anchor, sealed under a secret of
 * its own.
 *
 *   head     magic 16, format u32, store 16, generation u64, made u64, sequence u64, key u32,
 *            length u64, salt 24, commitment 32                                    128 bytes
 *   chunks   as seal_chunk.h
 *
 * Story:     the object key comes from the backup key's secret, with all of the head before the
 *            salt as context; so a head that was changed does not open, and neither does any other
 *            byte. What is inside is a snapshot that says restored, with KEKs wrapped under the
 *            root alone. Who has the file and the secret sees names and wrapped keys; to open
 *            those he needs the root as well.
 * Errors:    ERR_AUTH: not a backup, of another key, changed, or cut; and ERR_LIMIT, ERR_NOMEM,
 *            ERR_CRYPTO, ERR_IO, ERR_NOSPACE.
 * Source:    sealpost-keyd-backup(7).
 * Thread:    any. */
#ifndef KEYD_KEYD_BACKUP_H
#define KEYD_KEYD_BACKUP_H

#include "core/buf.h"

#define KEYD_BACKUP_HEAD 128

struct keyd_backup_head {
	uint8_t store[16];
	uint64_t generation, sequence;
	int64_t made;
	uint32_t key;
	uint64_t length;
};
/* Nothing in it may be believed before keyd_backup_open. */
int keyd_backup_head_parse(struct span file, struct keyd_backup_head *head);

/* Writes the whole backup of snapshot into fd, from its beginning. Returns its size. */
int64_t keyd_backup_seal(const struct keyd_backup_head *head, const uint8_t secret[32],
			 struct span snapshot, int fd);
/* Appends the snapshot to out. */
int keyd_backup_open(struct span file, const uint8_t secret[32], struct keyd_backup_head *head,
		     struct buf *out);

#endif
