/* SPDX-License-Identifier: Apache-2.0 */
/* sys_map - a file's bytes, without reading them: for large ones that are looked into.
 *
 * Story:     the file may grow or be removed meanwhile; what is mapped stays. It must not be cut.
 * Errors:    ERR_NOTFOUND, ERR_DENIED, ERR_NOMEM, ERR_IO.
 * Thread:    any. */
#ifndef SYS_SYS_MAP_H
#define SYS_SYS_MAP_H

#include "core/span.h"

/* most: map no more than so many bytes; 0: all. An empty file gives an empty span. */
int sys_map_open(const char *path, uint64_t most, struct span *out);
void sys_map_close(struct span *s);
/* It will be read once, from front to end. */
void sys_map_in_order(struct span s);

#endif
