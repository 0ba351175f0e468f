/* SPDX-License-Identifier: Apache-2.0 */
/* filter_note - says in the log that a filter is away, and that it is back, without a line for each message.
 *
 * Story:  away logs at once when a filter begins to fail, then at most once a minute with the number of times;
 *         back logs when one that had failed answers again. A failure of the protocol is told by its own event in the
 *         same way.
 * Limits: 32 filters are remembered; of more, each failure is logged.
 * Thread: any; a lock. */
#ifndef RELAY_FILTER_FILTER_NOTE_H
#define RELAY_FILTER_FILTER_NOTE_H

/* filter: as configured. id: of session or message. why: a word. protocol: it answered, but not as it should. */
void filter_note_away(const char *filter, const char *id, const char *why, int protocol);
void filter_note_back(const char *filter, const char *id);

#endif
