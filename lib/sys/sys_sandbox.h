/* SPDX-License-Identifier: Apache-2.0 */
/* sys_sandbox - takes from a process what it will never need: files by landlock, system calls by
 * seccomp.
 *
 * Story:     1. still with one thread: sys_sandbox_files. What is opened after it lies beneath one
 *            of the given paths or is refused (EACCES); nothing can be executed; no TCP (kernel
 *            6.7 and later); no abstract sockets of others and no signals to others (6.12). 2. with
 *            all threads there: sys_sandbox_calls. Every thread of the process may make the calls
 *            of the list and no other one: a call that is not in it ends the process at once
 *            (SIGSYS, which the kernel's log names). Neither can be taken back; both are passed on
 *            to threads and children that come later, not to children that are there already.
 * Level:     landlock is as good as the kernel: what its version does not know is left open and
 *            sys_sandbox_files says which version it was. Debian 12 (6.1) has version 2: files,
 *            but no truncation, no TCP, no scopes. Seccomp is there or not.
 * Tests:     a build with sanitizers (SP_SANITIZED) makes calls of its own that no list foresees:
 *            there sys_sandbox_calls does nothing and answers ERR_UNSUPPORTED.
 * Source:    seccomp(2), landlock(7).
 * Thread:    as told above. */
#ifndef SYS_SYS_SANDBOX_H
#define SYS_SYS_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

enum sys_sandbox_right {
	SYS_SANDBOX_READ = 1,	/* read files, list folders */
	SYS_SANDBOX_WRITE = 2,	/* and make, write, replace, remove them */
	SYS_SANDBOX_SOCKET = 4, /* make and remove Unix sockets */
};

/* A file, or a folder with all beneath it. One that is not there is left out: it can then not be
 * made either, unless a folder above it is in the list. */
struct sys_sandbox_path {
	const char *path;
	unsigned rights; /* of enum sys_sandbox_right */
};

/* keep_abstract: leave abstract sockets alone (systemd's may be one, see NOTIFY_SOCKET).
 * Version of landlock that holds now (1 or more), or ERR_UNSUPPORTED: the kernel has none; ERR_*:
 * nothing holds. */
int sys_sandbox_files(const struct sys_sandbox_path *paths, size_t count, int keep_abstract);

enum sys_sandbox_verdict {
	SYS_SANDBOX_ALLOW,
	SYS_SANDBOX_REFUSE, /* the call fails with error: for what libraries try and can do without */
};
enum sys_sandbox_test {
	SYS_SANDBOX_ANY,   /* whatever the arguments are */
	SYS_SANDBOX_EQUAL, /* argument number arg & mask == value */
	SYS_SANDBOX_OTHER, /* argument number arg != value; mask is not looked at */
};

/* One row. A call may have several; what none of them covers ends the process. */
struct sys_sandbox_call {
	const char *name; /* one that this machine's architecture lacks is skipped */
	const char *why;  /* who needs it, and what for */
	enum sys_sandbox_verdict verdict;
	int error; /* errno of REFUSE */
	enum sys_sandbox_test test;
	unsigned arg;
	uint64_t mask, value;
};

/* 0, or ERR_UNSUPPORTED: no seccomp in this kernel or build; ERR_NOMEM. */
int sys_sandbox_calls(const struct sys_sandbox_call *calls, size_t count);

#endif
