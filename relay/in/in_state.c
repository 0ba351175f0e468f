/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_state.h"

#include "core/log.h"
#include "relay/in/in_session.h"

const char *in_state_name(enum in_state s)
{
	static const char *const names[] = {
#define IN_STATE_NAME(name, text) #name,
	    IN_STATES(IN_STATE_NAME)
#undef IN_STATE_NAME
	};

	return names[s];
}

void in_state_set(struct in_session *s, enum in_state to, const char *why)
{
	if (log_topic("in"))
		log_debug("in", s->name, "session-state", "from=%s to=%s why=%s",
			  in_state_name(s->state), in_state_name(to), why);
	s->state = to;
	s->ticket++; /* whoever still has an answer for the old state comes too late */
}
