/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/sys_program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *sys_program_find(const char *name, char *room, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", room, size - 1);
	char *slash = NULL;

	if (n > 0) {
		room[n] = '\0';
		slash = strrchr(room, '/');
	}
	if (slash && (size_t)(slash + 1 - room) + strlen(name) < size) {
		strcpy(slash + 1, name);
		if (access(room, X_OK) == 0)
			return room;
	}
	snprintf(room, size, "%s/%s", SP_LIBEXECDIR, name);
	return room;
}
