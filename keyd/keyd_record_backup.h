/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_record_backup - the record of a key of backups.
 *
 *   id u32, state u8, created u64, changed u64, used u64, generation u64, wrapped bytes8
 *
 * Story:     backups are sealed under a secret of their own. The newest is current: its secret is
 *            in the store, wrapped as KEKs are, for the next backup. Once replaced, the secret is
 *            in the key file alone that was given out with it; an officer says when that is
 *            destroyed. Ids are never given twice and records never taken away.
 * Ownership: _get leaves spans into the body.
 * Errors:    ERR_FORMAT from _get; _put marks the buf.
 * Source:    sealpost-keyd-store(7).
 * Thread:    pure; any. */
#ifndef KEYD_KEYD_RECORD_BACKUP_H
#define KEYD_KEYD_RECORD_BACKUP_H

#include "core/buf.h"
#include "keyd/keyd_wrap.h"

enum keyd_record_backup_state {
	KEYD_RECORD_BACKUP_CURRENT = 1,
	KEYD_RECORD_BACKUP_REPLACED = 2, /* not in the store any more */
	KEYD_RECORD_BACKUP_FORGOTTEN = 3 /* and its key file is destroyed, says an officer */
};
const char *keyd_record_backup_state_name(unsigned state); /* "current", ... or NULL */

struct keyd_record_backup {
	uint32_t id; /* from 1 */
	uint8_t state;
	int64_t created, changed; /* clock_wall */
	int64_t used;		  /* when the last backup was made under it; 0: never */
	uint64_t generation;	  /* of the store when the secret was made */
	struct span wrapped;	  /* KEYD_WRAP_KEY bytes; empty unless current */
};
int keyd_record_backup_put(struct buf *b, const struct keyd_record_backup *m);
int keyd_record_backup_get(struct span body, struct keyd_record_backup *m);
/* Additional data of the wrap. */
int keyd_record_backup_aad(struct buf *b, const uint8_t store[16],
			   const struct keyd_record_backup *m);

#endif
