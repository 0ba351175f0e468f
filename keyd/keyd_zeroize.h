/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_zeroize - ends files for good: overwrites, reads back, removes.
 *
 * Story:  each file is overwritten with random bytes and then with zeros, synced each time; what
 *         is then read from the disk, not from memory, must be zeros. Then it is cut to nothing and
 *         removed. What was done with each is told.
 * Limits: a file system that writes elsewhere instead of over the old (copy on write, snapshots,
 *         the spare blocks of flash) keeps what it likes; that is why the root's slots, not these
 *         files, must be out of reach. See sealpost-keyd(8).
 * Errors: as in struct keyd_zeroize_file; nothing ends the whole.
 * Thread: any; blocks. */
#ifndef KEYD_KEYD_ZEROIZE_H
#define KEYD_KEYD_ZEROIZE_H

#include <stdint.h>

#define KEYD_ZEROIZE_MAX 64 /* files in one call */

struct keyd_zeroize_file {
	char *path;
	uint64_t bytes;
	int verified; /* zeros were read back */
	int removed;
	int rc; /* 0, or the first thing that failed; ERR_NOTFOUND: nothing was there */
};

struct keyd_zeroize {
	unsigned count;
	struct keyd_zeroize_file files[KEYD_ZEROIZE_MAX];
};

/* path is copied; one that is there already is left out. ERR_LIMIT, ERR_NOMEM. */
int keyd_zeroize_add(struct keyd_zeroize *z, const char *path);
/* All plain files of a directory but except (a name). */
int keyd_zeroize_add_dir(struct keyd_zeroize *z, const char *dir, const char *except);
/* 1: all are verified and gone. */
int keyd_zeroize_run(struct keyd_zeroize *z);
void keyd_zeroize_clear(struct keyd_zeroize *z);

#endif
