/* SPDX-License-Identifier: Apache-2.0 */
/* sys_notify - tells systemd, if it started us, that we are ready, reloading, or stopping. */
#ifndef SYS_SYS_NOTIFY_H
#define SYS_SYS_NOTIFY_H

void sys_notify_ready(void);
void sys_notify_reloading(void);
void sys_notify_stopping(void);

#endif
