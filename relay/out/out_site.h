/* SPDX-License-Identifier: Apache-2.0 */
/* out_site - the name of a next hop, by which mail is counted, shaped, held and sent together.
 *
 * Story:  the queue asks once per domain (QUEUE_RESOLVE), and all domains with one name are one site:
 *           HOST:PORT             a next hop that a route names, as it is written there
 *           ADDRESS               of a literal, without brackets
 *           host                  the only MX host, or the domain itself if it has no MX record
 *           host+N~DIGEST         the best MX host (lowest preference, then the alphabet), how many
 *                                 others there are, and 20 hex digits of a SHA-256 over all names in
 *                                 the order in which they are tried, equals by the alphabet
 *         The digest is long because domains of one site share connections and limits: whoever could
 *         publish another set of hosts under the same name would get, or stop, the mail of the others.
 *         No host name has '+', '~' or ':' in it (out_dnsmsg), so the kinds cannot be mistaken for
 *         each other.
 * Errors: ERR_NOMEM, when a digest cannot be made.
 * Thread: pure; any. */
#ifndef RELAY_OUT_OUT_SITE_H
#define RELAY_OUT_OUT_SITE_H

#include "core/clock.h"
#include "relay/out/out_mx.h"
#include "relay/out/out_route.h"
#include "relay/queue/queue.h"

/* How long the queue may use an answer. */
#define OUT_SITE_TTL_MIN (60 * CLOCK_SEC)
#define OUT_SITE_TTL_MAX (3600 * CLOCK_SEC)

/* hosts as out_mx_choose leaves them; count at least 1. ERR_NOMEM. */
int out_site_of_hosts(char dst[QUEUE_SITE], const struct out_mx_host *hosts, size_t count);
/* Of a route whose host stands for itself (route->mx 0). */
void out_site_of_route(char dst[QUEUE_SITE], const struct out_route *route);

#endif
