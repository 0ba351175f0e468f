/* SPDX-License-Identifier: Apache-2.0 */
/* lint_limit - what keeps a hostile document within its own process.
 *
 * Story:     main calls lint_limit_set before it reads, lint_limit_close before it judges: from then on there are no files,
 *            no network and no other system calls than those a computation needs. When time or memory is used up, the answer
 *            is written all the same: a finding that says so.
 * Thread:    one. */
#ifndef LINT_LINT_LIMIT_H
#define LINT_LINT_LIMIT_H

#include <stddef.h>

#define LINT_LIMIT_CPU	  8  /* seconds of computing */
#define LINT_LIMIT_WALL	  15 /* seconds */
#define LINT_LIMIT_MEMORY (256UL << 20)

/* 0, or -1: a limit could not be set. */
int lint_limit_set(void);
/* 0, or -1 if the kernel refused what it has. */
int lint_limit_close(void);
/* Writes a result with the one finding lint-memory, and ends the process. */
void lint_limit_memory(void) __attribute__((noreturn));
/* malloc, for libraries that do not look: never NULL, lint_limit_memory instead. */
void *lint_limit_take(size_t size);

#endif
