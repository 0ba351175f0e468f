/* SPDX-License-Identifier: Apache-2.0 */
/* out_ledger - notes what became of a turn's recipients in the ledger.
 *
 * Story:  out_job_report calls it once for each turn, when outcomes are in the spool (or wait there). One
 *         row for each recipient. What was not tried at all, because keyd was away or the queue is to
 *         hand it out again, is none. Without an open envelope there is no address to note.
 * Thread: the worker's. */
#ifndef RELAY_OUT_OUT_LEDGER_H
#define RELAY_OUT_OUT_LEDGER_H

struct out_job;

void out_ledger_note(const struct out_job *job);

#endif
