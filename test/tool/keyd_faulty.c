/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_faulty - sealpost-keyd that dies by SIGKILL at the Nth step of writing its files, as a power
 * failure would have it. N is in the environment (SEALPOST_FAULT; unset: never). Linked with
 * keyd's main. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "keyd/keyd_fault.h"

static atomic_long left;

static void at(const char *point)
{
	(void)point;
	if (atomic_fetch_sub(&left, 1) == 1)
		raise(SIGKILL); /* kill is not in the table of calls */
}

__attribute__((constructor)) static void arm(void)
{
	const char *n = getenv("SEALPOST_FAULT");

	if (!n)
		return;
	atomic_store(&left, strtol(n, NULL, 10));
	keyd_fault_hook = at;
}
