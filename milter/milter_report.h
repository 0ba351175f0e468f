/* SPDX-License-Identifier: Apache-2.0 */
/* milter_report - what was refused, held or let pass although it should not, on its way to whoever owns the campaign.
 *
 * Story:     the sender is told an opaque id alone. Each decision that has one is put here (add, never waits); the feed's
 *            thread takes batches and gives them to relay's API (POST /v1/milter/reports), and puts them back if relay does
 *            not take them. What does not fit is dropped, loudly (event reports-dropped): the log still has each decision.
 *            A report says where a message differs, never what stands there.
 * Limits:    MILTER_REPORT_WAITING reports wait; MILTER_REPORT_BATCH go at once.
 * Thread:    any. */
#ifndef MILTER_MILTER_REPORT_H
#define MILTER_MILTER_REPORT_H

#include <stdint.h>

#include "core/buf.h"
#include "core/id.h"

#define MILTER_REPORT_WAITING 2000
#define MILTER_REPORT_BATCH   200

struct milter_report {
	char id[ID_TEXT_SIZE];
	int64_t time; /* wall usec */
	char customer[65];
	char campaign[65]; /* "": the message named none */
	uint32_t version;
	char header[48];     /* the name of the one that the verdict is about, as camp_check_result gives it; or "" */
	const char *verdict; /* static: a name of a verdict, or of a rule of the gate */
	unsigned part;
	uint64_t offset;
	int templated; /* the next two say something */
	unsigned tpl;
	uint64_t tpl_offset;
};

struct milter_reports;

/* NULL: out of memory. */
struct milter_reports *milter_report_new(void);
void milter_report_free(struct milter_reports *q);

/* Copied. The oldest goes if there is no room. */
void milter_report_add(struct milter_reports *q, const struct milter_report *r);

/* Appends a body for the API with the oldest reports, which stay until milter_report_done says how it went: sent 1 drops them.
 * Their number; 0: there are none; or what out is marked with. */
int milter_report_batch(struct milter_reports *q, struct buf *out);
void milter_report_done(struct milter_reports *q, int sent);

#endif
