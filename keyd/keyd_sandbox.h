/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_sandbox - what keyd gives up before it reads the store, and what of it holds.
 *
 * Story:     main, in this order: children that need more than keyd are started; then
 *            keyd_sandbox_files, while there is one thread: from now on files are those named by
 *            keyd.yaml, and no program can be run; keyd_new makes the threads, and no more are
 *            made after it; keyd_sandbox_calls: from now on the system calls are those of the
 *            table in keyd_sandbox.c. Only then is the store opened, so that its parsers, the
 *            self-tests and all requests run inside. STATUS shows what holds.
 * Changes:   a new path in keyd.yaml is a row in the table of paths, and one that changes at
 *            SIGHUP waits for a restart. A new kind of system call is a row in the table of calls,
 *            with its reason. A child cannot be started, killed or waited for later: it must
 *            end when its socket is closed. Threads and what wakes the loop are made by keyd_new.
 * Errors:    a kernel that has less is no reason not to serve: the event sandbox-partial and a
 *            warning in STATUS say what is missing.
 * Source:    sealpost-keyd(8), key sandbox; event sandbox-on.
 * Thread:    start-up; keyd_sandbox_json and _warnings: the loop's. */
#ifndef KEYD_KEYD_SANDBOX_H
#define KEYD_KEYD_SANDBOX_H

#include "core/buf.h"
#include "keyd/keyd_conf.h"

struct keyd_sandbox {
	int off;      /* by keyd.yaml */
	int seccomp;  /* the table of calls holds */
	int landlock; /* version that holds; 0: none */
};

/* conf_path: the file that SIGHUP reads again. Makes the folders that keyd makes (state) if they are
 * not there, so that there is something to permit. */
void keyd_sandbox_files(struct keyd_sandbox *s, const struct keyd_conf *conf,
			const char *conf_path);
/* Logs sandbox-on or sandbox-partial. */
void keyd_sandbox_calls(struct keyd_sandbox *s);

/* Appends {"seccomp":..,"landlock":..,"memlock":..,"dumpable":..,"tracer":..}. */
void keyd_sandbox_json(const struct keyd_sandbox *s, struct buf *out);
/* Calls fn for each thing that does not hold; texts are static. */
void keyd_sandbox_warnings(const struct keyd_sandbox *s, void (*fn)(void *arg, const char *text),
			   void *arg);

#endif
