/* SPDX-License-Identifier: Apache-2.0 */
#include "core/err.h"
#include "relay/in/in_cmd.h"

/* The handshake itself begins in in_session_input, when it is certain that nothing stands behind
 * the command. */
void in_cmd_starttls(struct in_session *s, struct span args)
{
	int err = s->host->tls_ready(s->arg);

	(void)args;
	if (s->tls.version) {
		in_session_say(s, IN_REPLY_TLS_ALREADY);
	} else if (err == ERR_UNSUPPORTED) {
		in_session_say(s, IN_REPLY_NOT_OFFERED);
	} else if (err < 0) {
		in_session_say(s, IN_REPLY_TLS_AWAY);
	} else {
		in_session_say(s, IN_REPLY_TLS_READY);
		in_state_set(s, IN_STATE_TLS, "starttls");
	}
}
