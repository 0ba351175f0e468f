/* SPDX-License-Identifier: Apache-2.0 */
/* https_ask - resolves the host of a job, looks at its addresses, has it fetched.
 *
 * Story:  A and AAAA are asked for by libunbound on the worker's loop (out_dns). Addresses that a
 *         stranger's name must not have are dropped (out_addr; event=https-address-refused):
 *         whoever owns a domain would choose else which service of our own network is asked. Then
 *         https_fetch has the job, with outbound.ca as it stands now. The answer comes through
 *         the worker's inbox, never within the call, also when nothing could be fetched.
 * Thread: the worker's.
 * Source: outbound.private_ok, outbound.ca, outbound.ipv6. */
#ifndef RELAY_HTTPS_HTTPS_ASK_H
#define RELAY_HTTPS_HTTPS_ASK_H

#include "relay/https/https_fetch.h"
#include "relay/out/out_dns.h"

/* job has run, url and the question; reply, ca and addresses are set here. */
void https_ask(struct relay_worker *w, struct out_dns *dns, struct https_job *job);

#endif
