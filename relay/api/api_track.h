/* SPDX-License-Identifier: Apache-2.0 */
/* api_track - what api_track and api_webhook have in common: a call that becomes a question to the keeper.
 *
 * Story:     ask makes it, post sends it and answers the call when it comes back, or at once with what is wrong.
 * Thread:    control's. */
#ifndef RELAY_API_API_TRACK_H
#define RELAY_API_API_TRACK_H

#include "relay/api/api_call.h"
#include "relay/track/track_ask.h"

/* NULL: the call is answered. */
struct track_ask *api_track_ask(struct api_call *c, enum track_ask_kind kind);
/* A text of the body into dst, "" if there is none. ERR_FORMAT, ERR_LIMIT. */
int api_track_text(const struct api_call *c, const char *name, char *dst, size_t size);
/* wrong: NULL, or what is wrong with the question; a is taken over. */
void api_track_post(struct api_call *c, struct track_ask *a, const char *wrong);

#endif
