/* SPDX-License-Identifier: Apache-2.0 */
/* track_agent - which family of programs a User-Agent field names.
 *
 * Story:  the first row of the table whose words are all in the field decides. A family is all that is kept of the field.
 *         What a program says of itself proves nothing: a family counts as a sign beside others (track_bot).
 * Thread: pure; any. */
#ifndef RELAY_TRACK_TRACK_AGENT_H
#define RELAY_TRACK_TRACK_AGENT_H

#include "core/span.h"

/* X(symbol, number, name, what it is). Numbers lie in the database: they never change. */
#define TRACK_AGENTS(X)                                                                            \
	X(NONE, 0, "none", UNKNOWN) X(OTHER, 1, "other", UNKNOWN)                                    \
	X(CHROME, 2, "chrome", PERSON) X(FIREFOX, 3, "firefox", PERSON)                              \
	X(SAFARI, 4, "safari", PERSON) X(EDGE, 5, "edge", PERSON) X(OPERA, 6, "opera", PERSON)        \
	X(SAMSUNG, 7, "samsung", PERSON) X(OUTLOOK, 8, "outlook", PERSON)                            \
	X(THUNDERBIRD, 9, "thunderbird", PERSON) X(APPLE_MAIL, 10, "apple-mail", PERSON)             \
	X(GOOGLE_PROXY, 11, "google-proxy", PROXY) X(YAHOO_PROXY, 12, "yahoo-proxy", PROXY)          \
	X(APPLE_PROXY, 13, "apple-proxy", PROXY) X(SCANNER, 14, "scanner", SCANNER)                  \
	X(TOOL, 15, "tool", SCANNER)

enum track_agent {
#define TRACK_X(sym, num, name, is) TRACK_AGENT_##sym = num,
	TRACK_AGENTS(TRACK_X)
#undef TRACK_X
};
enum track_agent_is { TRACK_AGENT_IS_UNKNOWN, TRACK_AGENT_IS_PERSON, TRACK_AGENT_IS_PROXY, TRACK_AGENT_IS_SCANNER };

enum track_agent track_agent_of(struct span field);
enum track_agent_is track_agent_is(unsigned agent);
/* "other" for a number that has no name. */
const char *track_agent_name(unsigned agent);

#endif
