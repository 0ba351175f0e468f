/* SPDX-License-Identifier: Apache-2.0 */
/* sys_program - where a program that a daemon starts lies.
 *
 * Story:  path = sys_program_find("sealpost-lint", room, sizeof(room)); posix_spawn(..., path, ...).
 * Thread: any. */
#ifndef SYS_SYS_PROGRAM_H
#define SYS_SYS_PROGRAM_H

#include <stddef.h>

enum { SYS_PROGRAM_PATH = 4096 }; /* room that is always enough */

/* Path of the program name, in room: beside the program that runs (a build tree) if there is an
 * executable of that name, else where it is installed. */
const char *sys_program_find(const char *name, char *room, size_t size);

#endif
