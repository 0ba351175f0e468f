/* SPDX-License-Identifier: Apache-2.0 */
/* relay_reseal - brings what lies sealed in the store under a customer's newest DEK (keys_reseal).
 *
 * Story:  a part of control, for the store is control's. Its sources are the fields of the store's tables: logins and
 *         secrets of credentials, addresses of suppressed recipients, packages of campaigns. What is replaced is handed out anew. A table with
 *         another sealed column needs another source here: keyd destroys an older DEK once nothing is said to be under it.
 * Thread: control's.
 * Source: sealpost-keyproto(7), customer-keys and dek-empty; configuration reseal. */
#ifndef RELAY_RELAY_RESEAL_H
#define RELAY_RELAY_RESEAL_H

#include "relay/relay_control.h"

extern const struct relay_control_part relay_reseal_part;

#endif
