/* SPDX-License-Identifier: Apache-2.0 */
/* relay_conf_own - what the files of relay_conf know of each other; nobody else includes it.
 *
 * Story: relay_conf_table.c says which keys there are and what one value may be; relay_conf.c what the table cannot say:
 *        derived members and rules across keys. */
#ifndef RELAY_RELAY_CONF_OWN_H
#define RELAY_RELAY_CONF_OWN_H

#include "relay/relay_conf.h"

#define RELAY_CONF_WORKERS_MAX 64

/* A CIDR block, numeric. ERR_FORMAT. */
int relay_conf_net_parse(const char *text, struct relay_net *net);
/* "name" or "name=weight" of a pool: *name_len, *weight (1..1000). ERR_FORMAT. */
int relay_conf_member_parse(const char *text, size_t *name_len, unsigned *weight);

#endif
