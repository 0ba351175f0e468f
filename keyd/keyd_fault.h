/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_fault - where a test may let keyd die: before and after each step that changes its files.
 *
 * Story:  the code that writes names its steps here; nothing happens unless a test program has set
 *         the hook. sealpost-keyd never does.
 * Thread: the hook is set before threads start, and called on whichever thread writes. */
#ifndef KEYD_KEYD_FAULT_H
#define KEYD_KEYD_FAULT_H

extern void (*keyd_fault_hook)(const char *point);

/* point: "journal-write", "journal-sync", "journal-done", "snapshot-write", ... */
static inline void keyd_fault(const char *point)
{
	if (keyd_fault_hook)
		keyd_fault_hook(point);
}

#endif
