/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_audit_scan - what lies in the audit log's directory: which files, and where the last good
 * line is.
 *
 * Story:     keyd_audit_file asks before it opens anything; AUDIT_READ reads through here. Only
 *            the newest file is verified, and no signature: that it goes on where it ended is all
 *            that a writer must know. sealpost key audit verify looks at all.
 * Torn ends: a crash leaves bytes behind the last good line that have no newline, or that hold a
 *            zero byte (a disk sector that never arrived). They are counted in cut. A newest file
 *            without a first line was never begun, and is removed. Anything else that does not
 *            verify is damage: reason says what, and at is what is good before it.
 * Errors:    ERR_NOTFOUND (no directory), ERR_DENIED, ERR_LIMIT, ERR_IO, ERR_NOMEM.
 * Source:    sealpost-keyd-audit(7).
 * Thread:    any; blocks. */
#ifndef KEYD_KEYD_AUDIT_SCAN_H
#define KEYD_KEYD_AUDIT_SCAN_H

#include "audit/audit_verify.h"
#include "core/buf.h"

#define KEYD_AUDIT_SCAN_NAME 32
#define KEYD_AUDIT_SCAN_MAX  (64u * 1024 * 1024) /* longest file that is read */

struct keyd_audit_scan {
	uint32_t oldest, newest; /* 0: there is no file */
	uint64_t cut;
	const char *reason; /* NULL: no damage */
	struct audit_verify at;
};

int keyd_audit_scan(const char *dir, struct keyd_audit_scan *out);

/* Appends at most max bytes of file number *file from *offset to out; *file 0: the oldest there
 * is. Both are moved on to what comes next; *file becomes 0 at the end of the log.
 * ERR_NOTFOUND: there is no such file. */
int keyd_audit_scan_read(const char *dir, uint32_t *file, uint64_t *offset, size_t max,
			 struct buf *out);
/* "audit-000001.log" */
void keyd_audit_scan_name(char name[KEYD_AUDIT_SCAN_NAME], uint32_t number);

#endif
