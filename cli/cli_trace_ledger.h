/* SPDX-License-Identifier: Apache-2.0 */
/* cli_trace_ledger - what the ledger knows of a message's attempts, put with what the spool has.
 *
 * Story: the spool's record of an attempt that failed for now says no more than that and when it is tried again; the
 *        ledger has a row for every attempt and recipient. add gives each row to the event of the trace that it
 *        belongs to (same outcome and recipient, nearest in time), or makes it an event of its own. */
#ifndef CLI_CLI_TRACE_LEDGER_H
#define CLI_CLI_TRACE_LEDGER_H

#include <jansson.h>

/* events: of a trace, in order of time; rows: of the ledger, in any order. events stay in order. */
void cli_trace_ledger_add(json_t *events, const json_t *rows);

#endif
