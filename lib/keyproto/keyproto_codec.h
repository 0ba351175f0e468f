/* SPDX-License-Identifier: Apache-2.0 */
/* keyproto_codec - what the codecs of keyproto_msg.h share; private to lib/keyproto.
 *
 * Story:  _put and _get hold a message to the same rules, so what _put wrote _get takes, and what _get
 *         took re-encodes to the same bytes. A struct that breaks a rule marks the buf (wire_frame_close
 *         then takes the frame back): a caller's mistake must not cost him the connection. */
#ifndef KEYPROTO_KEYPROTO_CODEC_H
#define KEYPROTO_KEYPROTO_CODEC_H

#include "core/err.h"
#include "keyproto/keyproto_msg.h"
#include "wire/wire_get.h"
#include "wire/wire_put.h"

/* Marks b and returns what it is marked with. */
static inline int keyproto_codec_refuse(struct buf *b)
{
	if (!b->failed)
		b->failed = ERR_FORMAT;
	return b->failed;
}

static inline int keyproto_codec_count_ok(unsigned count)
{
	return count >= 1 && count <= KEYPROTO_BATCH_MAX;
}

static inline int keyproto_codec_purpose_ok(unsigned purpose)
{
	return purpose >= KEYPROTO_FOR_SPOOL && purpose <= KEYPROTO_FOR_HMAC;
}

#endif
