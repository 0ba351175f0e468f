/* SPDX-License-Identifier: Apache-2.0 */
/* sys_peer - who is at the other end of a Unix socket (SO_PEERCRED: as it was at connect). Any
 * thread. */
#ifndef SYS_SYS_PEER_H
#define SYS_SYS_PEER_H

#include <sys/types.h>

/* gid may be NULL. ERR_NOTFOUND: not a connected Unix socket; ERR_IO. */
int sys_peer_uid(int fd, uid_t *uid, gid_t *gid);

#endif
