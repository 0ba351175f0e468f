/* SPDX-License-Identifier: Apache-2.0 */
/* out_anchor - the trust anchor that answers of the DNS are validated from.
 *
 * Story:  dns.trust_anchor names a file; without it Debian's root key (package dns-root-data) is
 *         taken if it is installed. That file is kept by the package's updates, which bring a new
 *         root key years before it signs; out_dns takes a changed file up by itself. libunbound could
 *         keep a file of its own (RFC 5011), but it ends the process when it cannot write it, and a
 *         full disk must not do that.
 *         The zones that an anchor speaks for are what the self-test (out_selftest) asks about.
 * Thread: any. zones is pure.
 * Source: RFC 1035 5.1, RFC 4034; dns.trust_anchor. */
#ifndef RELAY_OUT_OUT_ANCHOR_H
#define RELAY_OUT_OUT_ANCHOR_H

#include "core/span.h"
#include "relay/out/out_mx.h"
#include "relay/relay_conf.h"

#define OUT_ANCHOR_ZONES 8

struct out_anchor {
	unsigned count;
	char zones[OUT_ANCHOR_ZONES][OUT_MX_NAME]; /* lower case; "." is the root */
};

/* NULL: there is none. */
const char *out_anchor_path(const struct relay_conf *c);
/* Owners of DS and DNSKEY records in a zone file's text, each once; more than fit are left out. How
 * many there are. */
unsigned out_anchor_zones(struct span text, struct out_anchor *out);
/* Of the file. 0, ERR_FORMAT: no anchor is in it; of sys_file_read. */
int out_anchor_read(const struct relay_conf *c, struct out_anchor *out);

#endif
