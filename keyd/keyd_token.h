/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_token - keyd's end of sealpost-keyd-token, the helper process that speaks PKCS#11.
 *
 * Story:     modules of tokens are foreign code: keyd loads none. main starts the helper once, after
 *            keyd gave up root and before it confines itself, as it cannot start anything later. The
 *            helper forks for each request, so a module that hangs or crashes costs that request
 *            alone. What passes is the 32-byte key of one slot and the PIN; the helper knows no store
 *            and no root.
 *            wrap:    the token's AES key (made there if the URI finds none: 256 bits, sensitive, not
 *                     extractable) seals the slot's key with AES-GCM; a token without AES-GCM, or a
 *                     URI that finds an RSA key, uses RSA-OAEP (SHA-1). The context (store id and
 *                     slot id) is the AAD of AES-GCM; RSA-OAEP has none.
 *            unwrap:  the reverse. Never makes a key.
 *            test:    logs in, finds the key, wraps and unwraps random bytes. Changes nothing.
 *            A helper that has died stays dead until keyd starts anew: ERR_AWAY from then on.
 * Ownership: the handle is the caller's; requests borrow.
 * Errors:    ERR_AUTH        the PIN is wrong
 *            ERR_BUSY        the token has locked the PIN, or (unattended) has few tries left, or
 *                            another call is under way
 *            ERR_NOTFOUND    no such module, token or key
 *            ERR_FORMAT      not a URI that may be used, or it names several tokens or keys; a PIN
 *                            or blob of wrong length
 *            ERR_DENIED      module-path is not in token_modules:; the key could be read out
 *            ERR_CRYPTO      blob was not made by this key, or for another context
 *            ERR_UNSUPPORTED the token can neither AES-GCM nor RSA-OAEP
 *            ERR_TIMEOUT     the module took longer than the limit and was killed
 *            ERR_AWAY        no helper (NULL handle, or it died)
 *            ERR_IO          the module crashed, or says an error that is none of these
 *            ERR_NOMEM
 *            why is a static text for logs and status, more exact than the code; NULL after success.
 * Source:    PKCS#11 v2.40; RFC 7512 (URIs); sealpost-keyd-token(8); configuration keys
 *            token_helper, token_modules, token_timeout.
 * Thread:    start and stop: main. Calls: any one thread at a time (a worker's; a second one gets
 *            ERR_BUSY). They block up to token_timeout and a little: give pool jobs heavy = 1, so
 *            that a token never holds all threads. */
#ifndef KEYD_KEYD_TOKEN_H
#define KEYD_KEYD_TOKEN_H

#include <sys/types.h>

#include "core/span.h"

#define KEYD_TOKEN_URI_MAX     512
#define KEYD_TOKEN_PIN_MAX     255
#define KEYD_TOKEN_CONTEXT_MAX 64
#define KEYD_TOKEN_BLOB_MAX    512
#define KEYD_TOKEN_KEY	       32

enum keyd_token_kind { KEYD_TOKEN_AES_GCM = 1, KEYD_TOKEN_RSA_OAEP = 2 };

/* Where the key is, and who asks. */
struct keyd_token_where {
	const char *uri;     /* passes keyd_token_uri_check */
	struct span pin;     /* 1 .. KEYD_TOKEN_PIN_MAX bytes, secret memory */
	struct span context; /* at most KEYD_TOKEN_CONTEXT_MAX bytes */
	int unattended;	     /* the PIN comes from a file: leave the last tries to people */
};

/* A slot's key as the token wrapped it: not secret, goes into the store. */
struct keyd_token_blob {
	uint8_t kind; /* enum keyd_token_kind */
	uint16_t size;
	uint8_t bytes[KEYD_TOKEN_BLOB_MAX];
};

struct keyd_token;

struct keyd_token_conf {
	const char *helper;	    /* program; NULL: beside keyd's own, else in libexec */
	const char *const *modules; /* what module-path= of a URI may name */
	size_t module_count;
	int64_t timeout; /* of one request, microseconds */
};

/* NULL: no support for tokens here (no helper installed, or it cannot be started); why (static)
 * says so. keyd goes on without. */
struct keyd_token *keyd_token_start(const struct keyd_token_conf *conf, const char **why);
/* The same over a socket (SOCK_SEQPACKET, taken over) that somebody else answers: for tests. NULL:
 * out of memory. */
struct keyd_token *keyd_token_attach(int fd, int64_t timeout);
/* A call that is under way on another thread ends at once, and all later ones, with ERR_AWAY: before
 * its thread is waited for. NULL is fine. */
void keyd_token_quit(struct keyd_token *t);
/* No call is under way. The helper ends when its socket closes. NULL is fine. */
void keyd_token_stop(struct keyd_token *t);
/* 1 if t is not NULL and its helper has not died. */
int keyd_token_alive(const struct keyd_token *t);

/* NULL if uri may stand in a slot: scheme pkcs11, no longer than KEYD_TOKEN_URI_MAX, printable, names
 * the key (object= or id=), holds no PIN (pin-value=, pin-source=). Else a static text. Pure. */
const char *keyd_token_uri_check(struct span uri);

int keyd_token_wrap(struct keyd_token *t, const struct keyd_token_where *where,
		    const uint8_t key[KEYD_TOKEN_KEY], struct keyd_token_blob *out,
		    const char **why);
/* key: secret memory. */
int keyd_token_unwrap(struct keyd_token *t, const struct keyd_token_where *where,
		      const struct keyd_token_blob *blob, uint8_t key[KEYD_TOKEN_KEY],
		      const char **why);
int keyd_token_test(struct keyd_token *t, const struct keyd_token_where *where, const char **why);

#endif
