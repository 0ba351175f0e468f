/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/num.h"

void sys_priv_harden(void)
{
	struct rlimit limit = {0, 0};

	setrlimit(RLIMIT_CORE, &limit);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	umask(077);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
}

void sys_priv_descriptors(uint64_t want)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int sys_priv_tracer(void)
{
	static const char label[] = "\nTracerPid:";
	char text[4096];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return err_from_errno(errno);
	text[n] = '\0';
	at = strstr(text, label);
	return at ? atoi(at + sizeof(label) - 1) : ERR_UNSUPPORTED;
}

/* Looks a user up. A number without an entry in the user database is fine: its group is then the
 * same number. */
static int look_up(const char *user, uid_t *uid, gid_t *gid)
{
	char room[16384];
	struct passwd pw, *found = NULL;
	uint64_t number;
	int numeric = num_parse_u64(span_str(user), &number) == 0;

	if (numeric && number >= (uid_t)-1)
		return ERR_NOTFOUND;
	if (numeric)
		getpwuid_r((uid_t)number, &pw, room, sizeof(room), &found);
	else
		getpwnam_r(user, &pw, room, sizeof(room), &found);
	if (!found && !numeric)
		return ERR_NOTFOUND;
	*uid = found ? found->pw_uid : (uid_t)number;
	*gid = found ? found->pw_gid : (gid_t)number;
	return 0;
}

int sys_priv_uid(const char *user, uid_t *uid)
{
	gid_t gid;

	return look_up(user, uid, &gid);
}

int sys_priv_drop(const char *user)
{
	uid_t uid;
	gid_t gid;
	int err;

	if (geteuid() != 0)
		return 0;
	err = look_up(user, &uid, &gid);
	if (err < 0)
		return err;
	if (uid == 0)
		return ERR_DENIED;
	if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return ERR_DENIED;
	/* A way back would make all of this decoration. */
	if (setuid(0) == 0 || seteuid(0) == 0 || getuid() != uid || geteuid() != uid)
		return ERR_DENIED;
	return 0;
}
