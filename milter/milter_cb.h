/* SPDX-License-Identifier: Apache-2.0 */
/* milter_cb - the callbacks of libmilter: one connection of an MTA, its messages, and the answers.
 *
 *   connect ---> MAIL FROM ---> RCPT TO ... ---> headers ... ---> body ... ---> end of message
 *                  |  keyd not READY: 451 4.7.1      |               |              |
 *                  |  stopping: 451 4.3.2            |  milter_judge |  until it    +- flood of our headers: 550 5.6.0
 *                  |                 |               |  begins       |  has enough  +- refused: 550, 554, 552
 *                  |                 |               |               |              +- cannot be found out: 451 4.7.1
 *                  |                 |               |               |              +- passes: milter_act changes it
 *                  v                 +- second of a stream that takes one: 452 4.5.3
 *               message begins
 *
 * Story:  which steps the MTA tells, and which it waits for, is settled when it connects: without streams and sensitive
 *         content neither bodies nor replies to RCPT, so that a message costs two round trips.
 * Thread: libmilter's, one for each connection. */
#ifndef MILTER_MILTER_CB_H
#define MILTER_MILTER_CB_H

struct milter;
struct smfiDesc;

/* The daemon that the callbacks belong to: libmilter has no place for an argument. */
void milter_cb_use(struct milter *m);
struct smfiDesc *milter_cb_descriptor(void);

#endif
