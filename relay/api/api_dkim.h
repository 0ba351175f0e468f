/* SPDX-License-Identifier: Apache-2.0 */
/* api_dkim - checks of what the DNS says of DKIM keys, while they are under way: a part of control.
 *
 * Source: sealpost-dkim(8). Thread: control's. */
#ifndef RELAY_API_API_DKIM_H
#define RELAY_API_API_DKIM_H

#include "relay/relay_control.h"

struct api_dkim_checks;

extern const struct relay_control_part api_dkim_part;

#endif
