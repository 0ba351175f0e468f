/* SPDX-License-Identifier: Apache-2.0 */
/* out_tlsrpt - tells the TLS reports (tlsrpt) what came of each TLS session.
 *
 * Story:  one note for every session that was tried with an MX host, or that policy forbade; and one for every lookup that
 *         failed in a way that reports have a name for. The domain is that which the connection was opened for: others of
 *         the same hosts and policy may use it. Routes without TLS, and mail that passes over policies (TLS-Required: no),
 *         have no place in reports.
 * Thread: the worker's. */
#ifndef RELAY_OUT_OUT_TLSRPT_H
#define RELAY_OUT_OUT_TLSRPT_H

#include "relay/out/out_conn.h"

void out_tlsrpt_session(struct relay *r, const struct out_policy *p, const struct out_policy_host *must,
			const char *domain, const struct out_conn_peer *peer);
/* Nothing could be tried; result TLSRPT_OK: that is no matter of TLS. */
void out_tlsrpt_untried(struct relay *r, const char *domain, enum tlsrpt_result result, const char *why);

#endif
