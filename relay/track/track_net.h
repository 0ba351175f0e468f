/* SPDX-License-Identifier: Apache-2.0 */
/* track_net - the network that a reader's address lies in: what is kept instead of the address.
 *
 * Story:  IPv4 is cut to /24, IPv6 to /48; an IPv4 address mapped into IPv6 is one of IPv4.
 * Thread: pure; any. */
#ifndef RELAY_TRACK_TRACK_NET_H
#define RELAY_TRACK_TRACK_NET_H

#include <stdint.h>
#include <sys/socket.h>

#define TRACK_NET_TEXT 52 /* "2001:db8:1::/48" */

/* "" for what is neither. */
void track_net_format(char dst[TRACK_NET_TEXT], const struct sockaddr_storage *a);
/* A number that is the same for the same network text. */
uint64_t track_net_number(const char *text);

#endif
