/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_audit - the audit log as keyd's loop sees it: who has something to record says it here.
 *
 * Story:     keyd_audit_event records what happened, at once and without waiting; it cannot fail.
 *            keyd_audit_wait records what is about to happen: its done comes when that is on
 *            stable storage, or with the reason why not, and then it must not happen. Lines go to
 *            the disk thread in batches. What could not be written (but for waits, which fail)
 *            is kept, tried again each second, and counted once it grows too long.
 *            Operations that use keys are summed (keyd_audit_use) and written once a minute.
 * Signing:   the newest audit/keyd signs the chain behind each batch, so before and after each
 *            administrative operation and each minute if there was anything; while LOCKED nobody
 *            signs, and the next checkpoint covers that time. A batch that is with the disk
 *            thread when keyd locks keeps the key for that moment.
 * Ownership: struct keyd has the one handle; without (tests, fuzzers) all of this does nothing, and
 *            waits succeed at once.
 * Errors:    ERR_IO or the like from the file system; event audit-failed.
 * Source:    sealpost-keyd-audit(7); key audit.
 * Thread:    the loop's. */
#ifndef KEYD_KEYD_AUDIT_H
#define KEYD_KEYD_AUDIT_H

#include "audit/audit_line.h"
#include "core/list.h"
#include "keyd/keyd_audit_file.h"

struct keyd;
struct keyd_audit;

/* Opens the log in keyd.yaml's audit:. A directory that cannot be written is no failure: keyd then
 * refuses what must be recorded. ERR_NOMEM. */
int keyd_audit_open(struct keyd *k);
/* Last lines, then the end. The pools but for the disk's are gone. */
void keyd_audit_close(struct keyd *k);

/* keyd became READY: the key that signs is made if the store has none. */
void keyd_audit_ready(struct keyd *k);
/* keyd was locked: forgets the key. */
void keyd_audit_forget(struct keyd *k);

/* values: a list that ends with field AUDIT_F_NONE; see AUDIT_NUM and AUDIT_STR. A value that the
 * table does not allow is our bug: logged as audit-line-refused, and the line is left out. */
void keyd_audit_put(struct keyd *k, unsigned event, const struct audit_value *values);
#define keyd_audit_event(k, event, ...) \
	keyd_audit_put(k, event, (const struct audit_value[]){__VA_ARGS__, {0}})

/* Embedded in whatever waits. */
struct keyd_audit_wait {
	void (*done)(struct keyd_audit_wait *w, int rc);
	uint64_t seq; /* number of the line, once done; 0: it was not written */
	struct keyd_audit_wait *next;
	uint64_t at; /* place within the batch */
};
enum keyd_audit_how {
	KEYD_AUDIT_BEFORE, /* must be written before it is done */
	KEYD_AUDIT_AFTER   /* was done: may use the last room, and is signed */
};
/* done may come within the call. An AFTER that fails is kept and written later. */
void keyd_audit_wait(struct keyd *k, struct keyd_audit_wait *w, enum keyd_audit_how how,
		     unsigned event, const struct audit_value *values);

/* Something for the sums: count times, of them failed in vain. event: USE, SESSIONS or DENIED. */
struct keyd_audit_use {
	unsigned event, op, role;
	uint32_t uid;
	struct span subject; /* customer or label */
	unsigned count, failed;
};
void keyd_audit_use(struct keyd *k, const struct keyd_audit_use *use);
/* Once a second: tries again what is kept; each minute the sums. */
void keyd_audit_tick(struct keyd *k);

/* 0 while nothing can be written. */
int keyd_audit_writable(const struct keyd *k);
/* Where the log ended when keyd started: a witness of the store. */
const struct keyd_audit_file_tail *keyd_audit_tail(const struct keyd *k);
/* {"writable":..,"file":..,"seq":..,"kept":..,"lost":..} */
void keyd_audit_json(const struct keyd *k, struct buf *out);
/* Where the files are. */
const char *keyd_audit_dir(const struct keyd *k);
/* The end of what is on disk. */
void keyd_audit_head(const struct keyd *k, struct keyd_audit_file_tail *out);

#endif
