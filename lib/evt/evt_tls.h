/* SPDX-License-Identifier: Apache-2.0 */
/* evt_tls - SSL contexts as Sealpost wants them.
 *
 * Story:  made once at start and at reload, shared by all workers (SSL_CTX is thread-safe once set
 *         up). TLS 1.2 minimum, AEAD ciphers only, no compression, no renegotiation, server cipher
 *         order, X25519 and P-256 (a client P-384 too), session tickets on. The server's private
 *         key is usually a keyprov key. A client context keeps no sessions: its owner takes them
 *         from a connection with SSL_get1_session and gives them to evt_conn_tls_connect.
 * Errors: NULL, and *why is a text naming the file or step (static or OpenSSL's reason). */
#ifndef EVT_EVT_TLS_H
#define EVT_EVT_TLS_H

#include <openssl/ssl.h>

/* Server: PEM chain file and key (its reference is the caller's). Checks that they belong
 * together. */
SSL_CTX *evt_tls_server(const char *chain_pem, EVP_PKEY *key, const char **why);
/* Client: ca_pem is a bundle; NULL: the system store if verify, else none. verify: refuse peers that
 * do not verify; without it a handshake never fails for the certificate's sake, but
 * evt_conn_tls_info says whether it would have (by ca_pem). */
SSL_CTX *evt_tls_client(const char *ca_pem, int verify, const char **why);

#endif
