/* SPDX-License-Identifier: Apache-2.0 */
/* spool_scan - walks the records of one segment, over whatever damage there is.
 *
 * Story:     from an offset to an end, record after record. Where none begins, the walk looks for the
 *            next place at which one does (a multiple of SPOOL_ALIGN with the segment's own mark and a
 *            right sum), and reports what lies between. The bytes behind the last record are reported
 *            the same way if a broken head of this life stands among them, not if they are zero or
 *            older; whether a gap is damage or was never written wholly is for the caller to say.
 *            Sectors that cannot be read are gaps too.
 * Ownership: meta and data are valid during the call of record.
 * Thread:    pure but for the read function; one walk, one thread. */
#ifndef RELAY_SPOOL_SPOOL_SCAN_H
#define RELAY_SPOOL_SPOOL_SCAN_H

#include "relay/spool/spool_record.h"

struct spool_scan {
	struct spool_mark mark;
	uint32_t size; /* of the segment */
	uint32_t from, end;
	int heads_only; /* data are skipped, not read: record gets whole = 1 and no data */
	void *arg;
	/* 0 when all n bytes were read, else ERR_*. */
	int (*read)(void *arg, void *p, size_t n, uint32_t offset);
	/* One record; whole is 0 if its data are damaged (meta is right even then). Not 0: stop the
	 * walk with it. */
	int (*record)(void *arg, const struct spool_record *r, uint32_t offset, struct span meta,
		      struct span data, int whole);
	void (*gap)(void *arg, uint32_t from, uint32_t to); /* may be NULL */
	/* result */
	uint32_t tail; /* behind the last record */
};

/* 0; what record returned; ERR_NOMEM. */
int spool_scan_run(struct spool_scan *sc);

#endif
