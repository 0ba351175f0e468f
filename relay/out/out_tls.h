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
 *         What worked is remembered by the caller for OUT_TLS_MEMORY, so that a broken host does
 *         not cost two handshakes for each connection. Sessions are kept per host, port, level and
 *         hello: one that was made without verification is never resumed where verification is
 *         asked for.
 * Thread: one per worker, its own.
 * Source: RFC 3207, 8446, 7435; DESIGN section 5. */
#ifndef RELAY_OUT_OUT_TLS_H
#define RELAY_OUT_OUT_TLS_H

#include <openssl/ssl.h>

#include "core/clock.h"
#include "relay/relay.h"

#define OUT_TLS_MEMORY (10 * 60 * CLOCK_SEC)

enum out_tls_try { OUT_TLS_FULL, OUT_TLS_12, OUT_TLS_CLEAR };

/* What to try after a handshake failed; -1: nothing, policy forbids the rest. Pure. */
int out_tls_next(int level, enum out_tls_try tried, int not_verified);
/* "full", "1.2", "clear": for the log. */
const char *out_tls_try_name(enum out_tls_try t);

struct out_tls;
struct out_tls *out_tls_new(struct relay *r);
void out_tls_free(struct out_tls *t);

/* The context for a hello; NULL: cannot be made. The reference stays here; good until the next
 * call. */
SSL_CTX *out_tls_context(struct out_tls *t, int level, enum out_tls_try how);

#define OUT_TLS_KEY 288
void out_tls_key(char dst[OUT_TLS_KEY], const char *host, unsigned port, int level,
		 enum out_tls_try how);
/* A session to resume, or NULL; valid until the next put or forget. */
SSL_SESSION *out_tls_session(struct out_tls *t, const char *key);
/* Keeps what ssl can be resumed by, if anything. At most OUT_TLS_SESSIONS, the least used goes
 * first. */
#define OUT_TLS_SESSIONS 512
void out_tls_keep(struct out_tls *t, const char *key, SSL *ssl);
void out_tls_forget(struct out_tls *t, const char *key);

#endif
