/* SPDX-License-Identifier: Apache-2.0 */
/* evt_conn - one byte stream, in clear or under TLS: nothing above it sees a descriptor or an SSL.
 *
 * Story:     made from an accepted descriptor or by connecting. Bytes that arrive gather in in; the
 *            owner drains what he used. Bytes to send are appended with evt_conn_write and leave in
 *            one write at the end of the loop's turn (or when 64 KiB wait), so a pipelined batch of
 *            replies is one segment and one TLS record. Everything that happens is one of these
 *            events:
 *
 *              CONNECTED   outgoing connection stands
 *              TLS         handshake done (evt_conn_tls_info says what it got)
 *              DATA        bytes were added to in
 *              DRAINED     all that was written has left (only after evt_conn_notify_drained)
 *              EOF         the peer sent its end; under TLS with close_notify. in may hold bytes
 *              TIMEOUT     evt_conn_set_timeout ran out; the owner decides (set again, or close)
 *              ERROR       broken: evt_conn_error says why; nothing follows
 *
 *            The owner may close the connection inside any callback. Events never arrive inside a
 *            call that the owner makes.
 *
 *            When a write fails because the peer has gone, what he said last is still told (DATA)
 *            before ERROR. DATA may come several times a turn, with at most 32 KiB of news each.
 * TLS:       SSL on the socket itself, non-blocking. A handshake of a side with a private key is an
 *            ASYNC job (evt_async), so that it can be suspended while keyd signs. After starttls,
 *            bytes in in that arrived before the handshake are an ERROR (ERR_TLS): command
 *            injection, CVE-2011-0411. What is written after tls_accept or tls_connect leaves under
 *            TLS. A TCP end without close_notify under TLS is ERROR (ERR_CLOSED), never EOF:
 *            truncation.
 * Limits:    in holds at most in_max bytes; reading stops at that mark and goes on when drained.
 * Memory:    in and out borrow from the loop while they hold bytes; an idle connection is about
 *            0.5 KiB, and OpenSSL's part (14 KiB).
 * Ownership: the owner keeps the struct evt_conn until he calls close or finish; after that call it
 *            is gone.
 * Thread:    its loop's. */
#ifndef EVT_EVT_CONN_H
#define EVT_EVT_CONN_H

#include <sys/socket.h>

#include <openssl/ssl.h>

#include "core/buf.h"
#include "evt/evt_loop.h"

enum evt_conn_event {
	EVT_CONN_CONNECTED,
	EVT_CONN_TLS,
	EVT_CONN_DATA,
	EVT_CONN_DRAINED,
	EVT_CONN_EOF,
	EVT_CONN_TIMEOUT,
	EVT_CONN_ERROR
};

struct evt_conn;
typedef void (*evt_conn_fn)(void *arg, struct evt_conn *c, enum evt_conn_event ev);

/* Takes fd over (closed on failure too); it must be non-blocking, as evt_listen gives it. NULL: no
 * memory. */
struct evt_conn *evt_conn_accept(struct evt_loop *l, int fd, size_t in_max, evt_conn_fn fn,
				 void *arg);
/* source: local address to bind, or NULL. The result comes as CONNECTED or ERROR (ERR_AWAY,
 * ERR_TIMEOUT, ...). NULL: *err says (ERR_FORMAT: families differ, ERR_NOTFOUND: no such local
 * address, ERR_NOMEM, ERR_IO). */
struct evt_conn *evt_conn_connect(struct evt_loop *l, const struct sockaddr_storage *to,
				  const struct sockaddr_storage *source, size_t in_max,
				  evt_conn_fn fn, void *arg, int *err);
/* Connects to a Unix socket. */
struct evt_conn *evt_conn_connect_unix(struct evt_loop *l, const char *path, size_t in_max,
				       evt_conn_fn fn, void *arg, int *err);
/* What passes here is key material: its memory is wiped as soon as it is given back, not only when
 * the allocator gets it. */
void evt_conn_set_secret(struct evt_conn *c);
/* Drops everything at once. Safe in callbacks. NULL is fine. */
void evt_conn_close(struct evt_conn *c);
/* Closes once what was written has left (TLS: with close_notify), or after 5 s. The owner hears
 * nothing more. If the peer still sends, his bytes are thrown away until he ends, so that no reset
 * destroys our last reply on its way. */
void evt_conn_finish(struct evt_conn *c);

/* The bytes received; drain with buf_drain, then the rest stays for the next DATA. Ask for it each
 * time: it is how a connection that was full learns that it is read again. If the owner stopped in
 * the middle and wants to go on without new bytes: evt_conn_again makes one more DATA event. */
struct buf *evt_conn_in(struct evt_conn *c);
void evt_conn_again(struct evt_conn *c);

/* Appends to what is sent. ERR_NOMEM, ERR_LIMIT beyond 4 MiB unsent (a reader that does not read),
 * or ERR_CLOSED after a failure whose ERROR is to come. A failed write adds nothing. */
int evt_conn_write(struct evt_conn *c, const void *p, size_t n);
/* As write, but the caller fills the room himself: for sealing straight into the output. NULL: as
 * above. */
uint8_t *evt_conn_reserve(struct evt_conn *c, size_t n);
void evt_conn_commit(struct evt_conn *c, size_t n);
/* Bytes not yet handed to the kernel. */
size_t evt_conn_unsent(const struct evt_conn *c);
/* One DRAINED when unsent is at most low bytes. */
void evt_conn_notify_drained(struct evt_conn *c, size_t low);

/* From now on in holds at most in_max bytes; what it has already stays. */
void evt_conn_set_in_max(struct evt_conn *c, size_t in_max);

/* Stops or goes on reading (back-pressure). While paused an end of the peer is not seen either. */
void evt_conn_read_pause(struct evt_conn *c);
void evt_conn_read_resume(struct evt_conn *c);

/* TIMEOUT after usec without being set again; 0 switches off. */
void evt_conn_set_timeout(struct evt_conn *c, int64_t usec);

/* Begins TLS as server, once all that was written has left. ERR_BADSTATE, ERR_NOMEM. ctx is
 * referenced. */
int evt_conn_tls_accept(struct evt_conn *c, SSL_CTX *ctx);
/* Begins TLS as client. name: for SNI (not if it is an address) and for verification; may be NULL
 * if ctx does not verify. session: to resume, or NULL (its reference stays the caller's); get it
 * with SSL_get1_session late, at the end of the connection: under TLS 1.3 tickets come after the
 * handshake. ERR_BADSTATE (TLS already, or no name), ERR_FORMAT (name), ERR_NOMEM. */
int evt_conn_tls_connect(struct evt_conn *c, SSL_CTX *ctx, const char *name, SSL_SESSION *session);

/* One TLSA record that is usable (RFC 6698): usage 2 or 3, selector 0 or 1, match 0, 1 or 2. */
struct evt_conn_tlsa {
	uint8_t usage, selector, match;
	uint16_t len;
	const uint8_t *data;
};
/* What a server must prove by DANE (RFC 7672 3). */
struct evt_conn_dane {
	const char *base; /* where the records stand: SNI, and the first name for usage 2 */
	const char *names[2]; /* further names that a certificate may have for usage 2; NULL: none */
	const struct evt_conn_tlsa *records;
	unsigned count;
};
/* As tls_connect, but the peer is verified by d and nothing else, whatever ctx trusts: usage 3 by the
 * certificate alone, without name and date; usage 2 by a chain to what a record names, with both. d is
 * used within the call. ERR_FORMAT also if no record could be used: nothing is sent then. */
int evt_conn_tls_connect_dane(struct evt_conn *c, SSL_CTX *ctx, const struct evt_conn_dane *d,
			      SSL_SESSION *session);

/* Facts about TLS for logs, trace headers and the ledger. Static strings, except as noted. */
struct evt_conn_tls {
	const char *version; /* "TLSv1.3"; NULL if in clear */
	const char *cipher;  /* "TLS_AES_256_GCM_SHA384" */
	const char *group;   /* "x25519" or NULL */
	int bits;
	int resumed;
	int verified;	  /* peer certificate chain and name hold (client side, ctx with trust) */
	long verify_code; /* X509_V_* when not */
	int dane_usage;	  /* of the record that matched, 2 or 3; 0: none, or the session was resumed */
	int by_base;	  /* 0: usage 2, and the certificate has one of names, but not base */
};
void evt_conn_tls_info(const struct evt_conn *c, struct evt_conn_tls *out);
SSL *evt_conn_ssl(struct evt_conn *c); /* for sessions and certificates; NULL in clear; never I/O */

/* After ERROR: ERR_* and a short text without addresses ("connection refused", "handshake: no
 * shared cipher"). Static or owned by c. */
int evt_conn_error(const struct evt_conn *c, const char **text);

int evt_conn_fd(const struct evt_conn *c); /* for peer credentials, and names of sockets */

#endif
