/* SPDX-License-Identifier: Apache-2.0 */
/* filter_milter_own - what the files of filter_milter share: filter_milter.c (life and commands),
 * filter_milter_message.c (showing a message), filter_milter_reply.c (what the filter says). */
#ifndef RELAY_FILTER_FILTER_MILTER_OWN_H
#define RELAY_FILTER_FILTER_MILTER_OWN_H

#include "relay/filter/filter_milter.h"

/* The one place where the state changes; sets the timer for it. */
void filter_milter_become(struct filter_milter *m, enum filter_milter_state to);
/* Never works again; a verdict that is owed is FAILED. Returns ERR_BADSTATE. */
int filter_milter_broken(struct filter_milter *m, const char *why);
void filter_milter_macros(struct filter_milter *m, enum milterproto_command c,
			  enum milterproto_stage stage);
/* Shows what can be shown of the message now. */
void filter_milter_advance(struct filter_milter *m);

#endif
