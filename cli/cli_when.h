/* SPDX-License-Identifier: Apache-2.0 */
/* cli_when - times as people give them to options. Pure but for the clock; one thread. */
#ifndef CLI_CLI_WHEN_H
#define CLI_CLI_WHEN_H

#include <stdint.h>

/* "2026-11-22", "2026-11-22T06:16", "2026-11-22T06:16:18" (each perhaps with a Z: it is UTC anyway), or "7d", "90m": so long
 * ago. usec since 1970, or ERR_FORMAT. */
int cli_when_parse(const char *text, int64_t *usec);

#endif
