/* SPDX-License-Identifier: Apache-2.0 */
/* dkim_domain - which domain of the configuration signs a message.
 *
 * Story:     the domain in From decides. It must be one of relay.yaml's dkim: list, or below one with subdomains: yes; the
 *            longest such counts. A domain of one customer signs that customer's mail only; messages that are made here
 *            (delivery reports) belong to nobody.
 * Thread:    pure; any. The result is the configuration's.
 * Source:    sealpost-relay.yaml(5), dkim; RFC 6376 3.10, 3.11 (d= and its subdomains), RFC 5891 (domains in UTF-8). */
#ifndef RELAY_DKIM_DKIM_DOMAIN_H
#define RELAY_DKIM_DKIM_DOMAIN_H

#include "relay/relay_conf.h"

/* from: lower case, perhaps UTF-8. customer NULL: made here. NULL: none signs for it; *foreign then says whether one does for
 * another customer. */
const struct relay_dkim *dkim_domain_find(const struct relay_conf *conf, const char *customer, const char *from,
					  int *foreign);

#endif
