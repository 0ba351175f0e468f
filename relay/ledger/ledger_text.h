/* SPDX-License-Identifier: Apache-2.0 */
/* ledger_text - rows as people and programs read them: a line of CSV, or an object of JSON.
 *
 * Story:  CSV has the columns of PowerMTA's accounting files, in their order, with dlvTlsProtocol and
 *         dlvTlsCipher behind them (RFC 4180; lines end in LF); what the ledger does not know is empty.
 *         JSON has everything that a row has. Events of readers, which PowerMTA knows nothing of, have columns of
 *         their own.
 * Thread: pure; any. */
#ifndef RELAY_LEDGER_LEDGER_TEXT_H
#define RELAY_LEDGER_LEDGER_TEXT_H

#include "ledger/ledger_record.h"

/* What was sealed, opened; p NULL: not opened. */
struct ledger_text_plain {
	struct span recipient, sender, reply;
	const char *why; /* not opened, although that was wanted; else NULL */
};
/* Takes apart what was sealed. */
void ledger_text_split(struct span plain, struct ledger_text_plain *out);

void ledger_text_csv_head(struct buf *out);
void ledger_text_csv(struct buf *out, const struct ledger_row *r, const struct ledger_text_plain *p);
/* Without a line end. */
void ledger_text_json(struct buf *out, const struct ledger_row *r, const struct ledger_text_plain *p);

/* What a reader did. */
void ledger_text_event_csv_head(struct buf *out);
void ledger_text_event_csv(struct buf *out, const struct ledger_event *e);
void ledger_text_event_json(struct buf *out, const struct ledger_event *e); /* with a line end */

#endif
