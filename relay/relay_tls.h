/* SPDX-License-Identifier: Apache-2.0 */
/* relay_tls - relay's TLS contexts, and its private key that lives in keyd.
 *
 * Story:  relay_tls_load once (registers the provider), relay_tls_make at start and at each reload.
 *         The public part of the key comes from the certificate, so relay starts while keyd is
 *         away. When a handshake needs a signature, relay_tls asks keyd over the worker's own
 *         connection and the handshake waits as a suspended job; where jobs are not possible it
 *         asks over a connection of its own and blocks for at most two seconds. It asks for that
 *         version of the key whose public part the certificate has, and finds out which that is
 *         with the first signature: so a new version can be served before it is activated, and the
 *         old one until the certificate is changed.
 * Thread: load and make: main. Signing: workers. */
#ifndef RELAY_RELAY_TLS_H
#define RELAY_RELAY_TLS_H

#include "relay/relay.h"

struct relay_tls_set {
	SSL_CTX *in, *out, *out_verify;
};

int relay_tls_load(struct relay *r);
/* NULL, or what is wrong (valid until the next call); then out is empty. */
const char *relay_tls_make(const struct relay_conf *conf, struct relay_tls_set *out);
/* A context for servers with one certificate and key, as the configuration names them. NULL, or what is wrong (valid until
 * this thread's next call). */
const char *relay_tls_server(const char *certificate, const char *key_name, SSL_CTX **out);
/* ERR_NOTFOUND: keyd says that no version of the key is the certificate's. 0: one is, or keyd
 * cannot be asked now. Blocks for as long as signing does. Any thread. */
int relay_tls_check(struct relay *r, const struct relay_conf *conf);
/* keyd is another one, perhaps with other keys: versions are looked for again. Any thread. */
void relay_tls_forget(void);
/* Tells relay_tls which worker this thread is: at the start of the worker's thread. */
void relay_tls_worker(struct relay_worker *w);
/* Frees what signing kept for this thread. */
void relay_tls_worker_end(void);

#endif
