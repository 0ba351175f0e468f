/* SPDX-License-Identifier: Apache-2.0 */
/* out_tls - TLS on the way out: which hello is tried, what follows when it fails, sessions for
 * resumption.
 *
 * Story:  the level of the route decides what is allowed:
 *           none           never
 *           opportunistic  if offered; broken: again with a TLS 1.2 hello, then in clear (logged:
 *                          event=tls-fallback)
 *           encrypt        must be offered and work, whoever the peer is; else the message waits
 *           verify         as encrypt, and chain and name must hold; a peer that does not verify is
 *                          not asked again
 *           dane           as verify, by the host's TLSA records instead of trusted authorities
 *         What worked is remembered by the caller for OUT_TLS_MEMORY, so that a broken host does
 *         not cost two handshakes for each connection. Sessions are kept per host, port, level, hello
 *         and TLSA records: one that was made without verification is never resumed where verification is
 *         asked for, nor one that was verified by other records than there are now.
 * Thread: one per worker, its own.
 * Source: RFC 3207, 8446, 7435; DESIGN section 5. */
#ifndef RELAY_OUT_OUT_TLS_H
#define RELAY_OUT_OUT_TLS_H

#include <openssl/ssl.h>

#include "core/clock.h"
#include "relay/relay.h"
#include "relay/tlsrpt/tlsrpt_result.h"

#define OUT_TLS_MEMORY (10 * 60 * CLOCK_SEC)

enum out_tls_try { OUT_TLS_FULL, OUT_TLS_12, OUT_TLS_CLEAR };

/* What to try after a handshake failed; -1: nothing, policy forbids the rest. Pure. */
int out_tls_next(int level, enum out_tls_try tried, int not_verified);
/* "full", "1.2", "clear": for the log. */
const char *out_tls_try_name(enum out_tls_try t);

/* How the check of a certificate (X509_V_*) ended, as reports call it; X509_V_OK: something else broke
 * the handshake. Pure. */
enum tlsrpt_result out_tls_result(long verify_code);
/* The same in plain words; text if there are none. */
const char *out_tls_why(long verify_code, const char *text);

struct out_tls;
struct out_tls *out_tls_new(struct relay *r);
void out_tls_free(struct out_tls *t);

/* The context for a hello; NULL: cannot be made. The reference stays here; good until the next
 * call. */
enum out_tls_trust {
	OUT_TLS_ANY,	 /* whoever it is; also for DANE, which brings its own trust */
	OUT_TLS_TRUSTED, /* must verify by outbound.ca, or the system's authorities */
	OUT_TLS_NOTED	 /* is checked by these, and may fail */
};
SSL_CTX *out_tls_context(struct out_tls *t, enum out_tls_trust trust, enum out_tls_try how);

/* tlsa: digest of the records, or "". */
#define OUT_TLS_KEY 320
void out_tls_key(char dst[OUT_TLS_KEY], const char *host, unsigned port, int level,
		 enum out_tls_try how, const char *tlsa);
/* A session to resume, or NULL; valid until the next put or forget. *by: as it was kept with. */
SSL_SESSION *out_tls_session(struct out_tls *t, const char *key, const char **by);
/* Keeps what ssl can be resumed by, if anything. by: static, what the peer was verified by. At most
 * OUT_TLS_SESSIONS, the least used goes first. */
#define OUT_TLS_SESSIONS 512
void out_tls_keep(struct out_tls *t, const char *key, SSL *ssl, const char *by);
void out_tls_forget(struct out_tls *t, const char *key);

#endif
