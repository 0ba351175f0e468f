/* SPDX-License-Identifier: Apache-2.0 */
/* sys_priv - what a daemon does first: give up root, keep its memory to itself. Main thread,
 * start-up. */
#ifndef SYS_SYS_PRIV_H
#define SYS_SYS_PRIV_H

#include <stdint.h>
#include <sys/types.h>

/* No core files, not dumpable (so /proc/PID is closed to others), no new privileges, umask 077,
 * memlock limit raised to the hard limit. */
void sys_priv_harden(void);
/* As root: becomes user (name or number) with its own group and no other. Not root: nothing to do.
 * ERR_NOTFOUND, ERR_DENIED (also when user is root). Call sys_priv_harden after it (setuid resets
 * dumpable). */
int sys_priv_drop(const char *user);
/* Raises the limit of open descriptors to want, or as far as the hard limit lets it. */
void sys_priv_descriptors(uint64_t want);
/* Process that traces us (a debugger, strace): its id, 0 for none, or ERR_*. Any thread. */
int sys_priv_tracer(void);
/* uid of a name or a decimal number. ERR_NOTFOUND. */
int sys_priv_uid(const char *user, uid_t *uid);

#endif
