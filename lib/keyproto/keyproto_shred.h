/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_shred - messages about the destruction of customers: SHRED, SHREDS.
 *
 * Story:  as keyproto_msg. SHRED is one bytes16, the customer; its empty reply says that the keys
 *         are out of the store; from then on every request that names the customer is E_GONE. What
 *         is left to do goes on by itself: SHREDS shows how far it is.
 * Source: sealpost-keyproto(7), sealpost-keyd(8).
 * Thread: pure; any. */
#ifndef KEYPROTO_KEYPROTO_SHRED_H
#define KEYPROTO_KEYPROTO_SHRED_H

#include "keyproto/keyproto_msg.h"

/* --- SHREDS: request is u32, the first row wanted. The reply is JSON text; times are seconds since
 * 1970, "next" the first row of the next page or null:
 * {"shreds":[{"customer":"a","state":"backups","ordered":1795341600,"dead":1795341600,
 *   "changed":1795341660,"waits":[{"for":"copies","until":1798365600},
 *   {"for":"backup","id":3,"until":1798365600}]}],"next":null} */
int keyproto_shreds_put(struct buf *b, uint32_t from);
int keyproto_shreds_get(struct span body, uint32_t *from);

#endif
