/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_rotate - messages about the change of keys: ROTATE, ROTATION, SCHEDULE.
 *
 * Story:  as keyproto_msg. All three are for the admin socket. ROTATE only begins what may take
 *         minutes: its answer says that the order is on disk, STATUS and SCHEDULE how far it is.
 * Source: sealpost-keyproto(7).
 * Thread: pure; any. */
#ifndef KEYPROTO_KEYPROTO_ROTATE_H
#define KEYPROTO_KEYPROTO_ROTATE_H

#include "keyproto/keyproto_msg.h"

/* What is to get a new version. */
enum keyproto_rotate_what {
	KEYPROTO_ROTATE_KEK = 1, /* name: a shard, "0" to "255", or "all" */
	KEYPROTO_ROTATE_DEK = 2, /* name: a customer */
	KEYPROTO_ROTATE_KEY = 3	 /* name: a label */
};

/* --- ROTATE: reply empty. */
enum keyproto_rotate_flag {
	KEYPROTO_ROTATE_ACTIVATE = 1, /* key: the next version becomes the active one */
	KEYPROTO_ROTATE_URGENT = 2 /* kek, one shard: at once, and the old ones are destroyed; the
				       * answer comes when that is done */
};
struct keyproto_rotate {
	uint8_t what; /* enum keyproto_rotate_what */
	struct span name;
	uint8_t flags; /* only those that what knows */
};
int keyproto_rotate_put(struct buf *b, const struct keyproto_rotate *m);
int keyproto_rotate_get(struct span body, struct keyproto_rotate *m);
/* Shard of a name: 0..255, 256 for "all"; or ERR_FORMAT. */
#define KEYPROTO_ROTATE_ALL 256
int keyproto_rotate_shard(struct span name);

/* --- ROTATION: holds the rotation of KEKs, or lets it go on. Reply empty. */
enum keyproto_rotation { KEYPROTO_ROTATION_PAUSE = 1, KEYPROTO_ROTATION_RESUME = 2 };
int keyproto_rotation_put(struct buf *b, uint8_t order);
int keyproto_rotation_get(struct span body, uint8_t *order);

/* --- SCHEDULE: a page of what is due when, as JSON text; from is the first row, and "next" in the
 * reply the first of the next page, if there is one. Times are microseconds since 1970. */
enum keyproto_schedule_part {
	KEYPROTO_SCHEDULE_KEKS = 1, /* rows are shards */
	KEYPROTO_SCHEDULE_KEYS = 2  /* rows are signing keys */
};
struct keyproto_schedule {
	uint8_t part; /* enum keyproto_schedule_part */
	uint32_t from;
};
int keyproto_schedule_put(struct buf *b, const struct keyproto_schedule *m);
int keyproto_schedule_get(struct span body, struct keyproto_schedule *m);

#endif
