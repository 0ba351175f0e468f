/* SPDX-License-Identifier: Apache-2.0 */
/* keys_cred_own - what the files of keys_cred know of each other; nobody else includes it.
 *
 * Story: keys_cred_book.c fills the book on control's thread; keys_cred.c reads it on the workers', with the lock held
 *        for as long as it takes to put a question to keyd together. */
#ifndef RELAY_KEYS_KEYS_CRED_OWN_H
#define RELAY_KEYS_KEYS_CRED_OWN_H

#include <pthread.h>

#include "relay/keys/keys_cred.h"

struct keys_cred_sealed {
	struct keys_cred_row row; /* points into block */
	void *block;
};
struct keys_cred_book {
	pthread_mutex_t lock;
	uint64_t generation; /* grows with each set */
	struct keys_cred_sealed *rows;
	unsigned count;
};

#endif
