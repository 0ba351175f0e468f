/* SPDX-License-Identifier: Apache-2.0 */
/* spool_sum - CRC-32C (Castagnoli), which finds torn and rotten records.
 *
 * Story:  spool_sum(0, p, n) of a whole; a sum is continued by giving it back with the next bytes. It
 *         is no protection against intent: what records hold is sealed and authenticated above.
 * Speed:  the SSE 4.2 instruction where the processor has it, else tables (8 bytes a step).
 * Thread: pure; any.
 * Source: RFC 3720 B.4 (test vectors). */
#ifndef RELAY_SPOOL_SPOOL_SUM_H
#define RELAY_SPOOL_SPOOL_SUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t spool_sum(uint32_t sum, const void *p, size_t n);
/* The one without special instructions: for machines without, and for tests. */
uint32_t spool_sum_portable(uint32_t sum, const void *p, size_t n);

#endif
