/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_peer.h"

#include <errno.h>
#include <sys/socket.h>

#include "core/err.h"

int sys_peer_uid(int fd, uid_t *uid, gid_t *gid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_from_errno(errno);
	/* A socket that is not a connected Unix socket answers "nobody known" instead of an error.
	 */
	if (len != sizeof(peer) || peer.uid == (uid_t)-1)
		return ERR_NOTFOUND;
	*uid = peer.uid;
	if (gid)
		*gid = peer.gid;
	return 0;
}
