/* SPDX-License-Identifier: Apache-2.0 */
/* out_addr - addresses that the DNS may not send us to.
 *
 * Story:  whoever owns a domain chooses what its MX hosts resolve to; without this check he chooses
 *         which service of our own network we talk to. Judged is the address that is then connected
 *         to, never asked for again. An IPv6 address that stands for an IPv4 address (mapped,
 *         NAT64, 6to4) is judged as that.
 * Thread: pure; any.
 * Source: outbound.private_ok of relay.yaml; RFC 6890. */
#ifndef RELAY_OUT_OUT_ADDR_H
#define RELAY_OUT_OUT_ADDR_H

#include <stdint.h>
#include <sys/socket.h>

#include "relay/relay_conf.h"

/* What is special about a: "loopback", "private", "link-local"... NULL for an ordinary address of
 * the Internet. */
const char *out_addr_special(const struct sockaddr_storage *a);
/* 1 if an MX host may have it. */
int out_addr_allowed(const struct relay_conf *c, const struct sockaddr_storage *a);

/* From 4 or 16 bytes. */
void out_addr_make(struct sockaddr_storage *a, const uint8_t *bytes, int v6, uint16_t port);
/* From text; ERR_FORMAT. */
int out_addr_parse(struct sockaddr_storage *a, const char *text, uint16_t port);

#endif
