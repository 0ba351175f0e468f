/* SPDX-License-Identifier: Apache-2.0 */
/* rand - random bytes from the kernel (getrandom), never from a user-space generator: the kernel
 * reseeds when a virtual machine is cloned. Panics if the kernel refuses. Thread: any. */
#ifndef CORE_RAND_H
#define CORE_RAND_H

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *dst, size_t n);
uint64_t rand_u64(void);

#endif
