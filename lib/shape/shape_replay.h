/* SPDX-License-Identifier: Apache-2.0 */
/* shape_replay - what the rules would do with replies that are given, by the engine that relay uses.
 *
 * Story:  lines of text, in order of time:
 *           TIME SOURCE SITE REPLY [=> EXPECTED]
 *         TIME since the beginning, such as 90s, 5m, 2h; SOURCE a name, "-" for the host's own; SITE a host; REPLY as the
 *         destination gives it, in one line, beginning with its code. 2xx is a message accepted. A line that is empty or
 *         begins with # is skipped. Each source and site has as many connections open as its limit is.
 *         The outcome of a line is what changed by it: "PATTERN slow 30m", "PATTERN backoff 15m", "PATTERN suspend 2h",
 *         "PATTERN fewer 3", "PATTERN retry", "PATTERN bounce", several of them set apart by ", ", or "-" for
 *         nothing. A reply to a message that would not have been sent is marked by the caller through waits.
 * Limits: SHAPE_REPLAY_LANES sources and sites.
 * Errors: ERR_FORMAT and why; ERR_LIMIT; ERR_NOMEM.
 * Thread: pure; any. */
#ifndef SHAPE_SHAPE_REPLAY_H
#define SHAPE_SHAPE_REPLAY_H

#include "shape/shape_state.h"

#define SHAPE_REPLAY_LANES   256
#define SHAPE_REPLAY_OUTCOME 512

struct shape_replay;

/* What one line brought. */
struct shape_replay_step {
	int64_t at;			    /* usec since the beginning */
	struct span source, site, reply;    /* of the line */
	const char *rule;		    /* name, or "" */
	int waits;			    /* enum shape_why before the reply: SHAPE_GO, or it would have waited */
	char outcome[SHAPE_REPLAY_OUTCOME]; /* "-": nothing */
	struct span expected;		    /* p NULL: nothing was said */
};

/* rules is borrowed. NULL: no memory. */
struct shape_replay *shape_replay_new(const struct shape_rules *rules);
void shape_replay_free(struct shape_replay *r);
/* One line without its end. 1: step is set; 0: a line to skip. why (static) with ERR_FORMAT. */
int shape_replay_line(struct shape_replay *r, struct span line, struct shape_replay_step *step,
		      const char **why);

#endif
