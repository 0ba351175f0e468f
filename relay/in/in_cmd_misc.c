/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/in/in_cmd.h"

void in_cmd_rset(struct in_session *s, struct span args)
{
	(void)args;
	in_session_drop(s);
	if (s->state != IN_STATE_GREET && s->state != IN_STATE_READY)
		in_state_set(s, IN_STATE_READY, "reset");
	in_session_say(s, IN_REPLY_RESET);
}

void in_cmd_noop(struct in_session *s, struct span args)
{
	(void)args;
	in_session_say(s, IN_REPLY_OK);
}

void in_cmd_quit(struct in_session *s, struct span args)
{
	(void)args;
	in_session_say(s, IN_REPLY_BYE);
}

void in_cmd_vrfy(struct in_session *s, struct span args)
{
	(void)args;
	in_session_say(s, IN_REPLY_VRFY);
}

void in_cmd_help(struct in_session *s, struct span args)
{
	(void)args;
	in_session_say(s, IN_REPLY_HELP);
}
