/* SPDX-License-Identifier: Apache-2.0 */
/* milter_cb - the callbacks of libmilter: one connection of an MTA, its messages, and the answers.
 *
 *   connect ---> MAIL FROM ---> RCPT TO ... ---> headers ... ---> end of message
 *                  |  keyd not READY: 451 4.7.1      |                |
 *                  |  stopping: 451 4.3.2            |                +- campaign header wrong: 550 5.7.1
 *                  v                                 v                +- flood of our headers: 550 5.6.0
 *               message begins         noted, never answered          +- keyd, memory, MTA fail: 451 4.7.1
 *                                                                     +- else: our headers that came in go,
 *                                                                        the trace header comes: accepted
 * Story:  bodies, HELO, DATA and unknown commands are not asked for; RCPT and headers are not answered,
 *         so a message costs two round trips.
 * Thread: libmilter's, one for each connection. */
#ifndef MILTER_MILTER_CB_H
#define MILTER_MILTER_CB_H

struct milter;
struct smfiDesc;

/* The daemon that the callbacks belong to: libmilter has no place for an argument. */
void milter_cb_use(struct milter *m);
struct smfiDesc *milter_cb_descriptor(void);

#endif
