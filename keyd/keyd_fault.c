/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_fault.h"

#include <stddef.h>

void (*keyd_fault_hook)(const char *point);
