/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_credential.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/err.h"
#include "sys/sys_file.h"

#define SECRET_MIN 32
#define LAYERS_MAX 8 /* block devices above each other */

int keyd_credential_read(const char *name, struct buf *out)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];
	struct stat st;
	int rc;

	if (!dir || !*name || strchr(name, '/'))
		return ERR_NOTFOUND;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return ERR_LIMIT;
	/* systemd gives the service's user an ACL, which looks like a right of the group. */
	if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO))
		return ERR_DENIED;
	rc = sys_file_read(path, out, 0);
	return rc == 0 && buf_size(out) < SECRET_MIN ? ERR_FORMAT : rc;
}

static int is_crypt(const char *device)
{
	char path[PATH_MAX], uuid[7] = "";
	FILE *f;

	if ((size_t)snprintf(path, sizeof(path), "%s/dm/uuid", device) >= sizeof(path))
		return 0;
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(uuid, sizeof(uuid), f))
		uuid[0] = '\0';
	fclose(f);
	return !strcmp(uuid, "CRYPT-");
}

/* 1 if this device, or one below it, is a disk without dm-crypt above it. */
static int is_plain(const char *device, int layers)
{
	char path[PATH_MAX];
	const struct dirent *e;
	int plain = 0, below = 0;
	DIR *d;

	if (access(device, F_OK) < 0 || is_crypt(device) || layers == 0 ||
	    (size_t)snprintf(path, sizeof(path), "%s/slaves", device) >= sizeof(path))
		return 0;
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		below = 1;
		if ((size_t)snprintf(path, sizeof(path), "%s/slaves/%s", device, e->d_name) <
		    sizeof(path))
			plain |= is_plain(path, layers - 1);
	}
	if (d)
		closedir(d);
	return below ? plain : 1;
}

int keyd_credential_host_key_plain(const char *root)
{
	char path[PATH_MAX];
	struct stat st;

	if ((size_t)snprintf(path, sizeof(path), "%s/var/lib/systemd/credential.secret", root) >=
		sizeof(path) ||
	    stat(path, &st) < 0)
		return 0;
	if ((size_t)snprintf(path, sizeof(path), "%s/sys/dev/block/%u:%u", root, major(st.st_dev),
			     minor(st.st_dev)) >= sizeof(path))
		return 0;
	return is_plain(path, LAYERS_MAX);
}
