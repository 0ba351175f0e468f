/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_selftest - known answers for every algorithm that keyd uses, before it serves anybody.
 *
 * Story:  keyd_start runs them all; the first that fails puts keyd into ERROR, and nothing is
 *         served. Each new signing key is also tested for itself: see keyd_crypto_generate.
 * Source: RFC 4231, 5869, 7515, 8032, 9106; NIST SP 800-38D (McGrew and Viega's case 16);
 *         c2sp.org's XAES-256-GCM; Wycheproof (chunked encryption). The keys in here are
 *         published examples.
 * Thread: any. Takes some 10 ms. */
#ifndef KEYD_KEYD_SELFTEST_H
#define KEYD_KEYD_SELFTEST_H

/* NULL, or the name of the part that failed. */
const char *keyd_selftest(void);

#endif
