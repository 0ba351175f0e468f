/* SPDX-License-Identifier: Apache-2.0 */
/* shape_store - the file in which shaping keeps what a restart must not forget.
 *
 * Story:  text, one thing a line, fields set apart by one space, "-" for an empty one:
 *           sealpost-shaping 1
 *           source SOURCE                                 suspended by an administrator, everywhere
 *           site SOURCE SITE                              the same for one site
 *           rest SOURCE SITE RULE WHY UNTIL PATTERN       a pause that a pattern began; WHY: backoff, suspended
 *           warm SOURCE SITE DAY COUNT                    messages on that day (since 1970); at least as many as went
 *           end LINES                                     how many lines are above
 *         A thread of its own writes it when something changed, at most once in SHAPE_STORE_PAUSE, all at once
 *         (sys_file_replace). Counts are written ahead: what goes beyond waits until it is written, so a crash never makes
 *         a day's number larger than it is, and costs at most a twentieth of it, or ten messages, and what was in flight.
 * Errors: shape_store_parse: ERR_FORMAT and the line.
 * Limits: SHAPE_STORE_MAX bytes.
 * Thread: the parser is pure. */
#ifndef RELAY_SHAPE_SHAPE_STORE_H
#define RELAY_SHAPE_SHAPE_STORE_H

#include "core/buf.h"

#define SHAPE_STORE_MAX	  (64u << 20)
#define SHAPE_STORE_PAUSE (INT64_C(50) * 1000)

enum shape_store_kind { SHAPE_STORE_SOURCE, SHAPE_STORE_SITE, SHAPE_STORE_REST, SHAPE_STORE_WARM };
struct shape_store_line {
	enum shape_store_kind kind;
	struct span source, site, rule, pattern; /* "-" is empty here */
	int suspended;				 /* REST: 1 suspended, 0 backoff */
	int64_t until;				 /* REST: wall usec */
	int64_t day;
	uint32_t count;
};
/* take is called for each line. *line: the bad one. */
int shape_store_parse(struct span text, int (*take)(void *arg, const struct shape_store_line *l), void *arg,
		      unsigned *line);
void shape_store_print(struct buf *out, const struct shape_store_line *l);

#endif
