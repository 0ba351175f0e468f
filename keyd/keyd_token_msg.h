/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_token_msg - what keyd and sealpost-keyd-token say to each other, as structs and bytes.
 *
 * Story:     a request and its reply are one packet each on a SOCK_SEQPACKET pair; one request at a
 *            time. Both ends use this codec, and neither trusts the other: _get refuses whatever
 *            breaks a rule here, and _put does not write it.
 *            request: version u8, operation u8, unattended u8, kind u8, id u32, limit in ms u32,
 *                     URI bytes16, PIN bytes8, context bytes8, data bytes16
 *            reply:   version u8, why u8, kind u8, id u32, data bytes16
 *            Integers are big-endian. data is the key (wrap), the blob (unwrap) or nothing (test) in
 *            a request; blob, key or nothing in its reply, and nothing when why is not OK. kind says
 *            what a blob is and is 0 where there is none.
 * Ownership: _get leaves spans pointing into the packet, which is secret memory.
 * Errors:    ERR_FORMAT; _put also marks the buf.
 * Thread:    pure; any. */
#ifndef KEYD_KEYD_TOKEN_MSG_H
#define KEYD_KEYD_TOKEN_MSG_H

#include "core/buf.h"
#include "keyd/keyd_token.h"

#define KEYD_TOKEN_MSG_VERSION	 1
#define KEYD_TOKEN_MSG_MAX	 2048	/* one packet */
#define KEYD_TOKEN_MSG_LIMIT_MAX 600000 /* milliseconds */

/* X(symbol, number, error, text): how a request ended. Logs and status show the text. */
#define KEYD_TOKEN_WHYS(X)                                                                         \
	X(OK, 0, ERR_OK, "done")                                                                   \
	X(PIN_WRONG, 1, ERR_AUTH, "the PIN is wrong")                                              \
	X(PIN_LOCKED, 2, ERR_BUSY, "the token has locked its PIN: its officer must set a new one") \
	X(PIN_LOW, 3, ERR_BUSY, "few tries of the PIN are left: they are kept for people")         \
	X(PIN_UNSET, 4, ERR_NOTFOUND, "the token has no user PIN yet")                             \
	X(PIN_EXPIRED, 5, ERR_BUSY, "the PIN has expired: set a new one")                          \
	X(NO_MODULE, 6, ERR_NOTFOUND, "there is no such module")                                   \
	X(MODULE_DENIED, 7, ERR_DENIED, "module-path is not listed in token_modules")              \
	X(NO_TOKEN, 8, ERR_NOTFOUND, "no token matches the URI")                                   \
	X(MANY_TOKENS, 9, ERR_FORMAT, "the URI matches more than one token")                       \
	X(NO_KEY, 10, ERR_NOTFOUND, "no key on the token matches the URI")                         \
	X(MANY_KEYS, 11, ERR_FORMAT, "the URI matches more than one key")                          \
	X(WEAK_KEY, 12, ERR_DENIED, "the key can be read out of the token, or is too short")       \
	X(BAD_URI, 13, ERR_FORMAT, "not a PKCS#11 URI that can be used")                           \
	X(WRONG_KEY, 14, ERR_CRYPTO, "the slot was made with another key, or for another store")   \
	X(NO_MECHANISM, 15, ERR_UNSUPPORTED, "the token can neither AES-GCM nor RSA-OAEP")         \
	X(READ_ONLY, 16, ERR_DENIED, "the token is write-protected: a key cannot be made")         \
	X(TOKEN_BUSY, 17, ERR_BUSY, "the token is busy")                                           \
	X(TIMEOUT, 18, ERR_TIMEOUT, "the module took too long and was ended")                      \
	X(CRASHED, 19, ERR_IO, "the module crashed")                                               \
	X(TOKEN_ERROR, 20, ERR_IO, "the token reports an error")                                   \
	X(NO_MEMORY, 21, ERR_NOMEM, "out of memory")                                               \
	X(NO_HELPER, 22, ERR_AWAY, "the token helper is not there")                                \
	X(HELPER_BROKEN, 23, ERR_AWAY, "the token helper does not answer as it should")            \
	X(CALL_BUSY, 24, ERR_BUSY, "another request is with the token")                            \
	X(BAD_CALL, 25, ERR_FORMAT, "PIN, URI or wrapped key have a wrong form")

enum keyd_token_why {
#define KEYD_TOKEN_X(sym, num, err, text) KEYD_TOKEN_##sym = num,
	KEYD_TOKEN_WHYS(KEYD_TOKEN_X)
#undef KEYD_TOKEN_X
};
/* ERR_* and text of a why; of an unknown one those of HELPER_BROKEN. */
int keyd_token_msg_err(unsigned why);
const char *keyd_token_msg_text(unsigned why);

enum keyd_token_op { KEYD_TOKEN_WRAP = 1, KEYD_TOKEN_UNWRAP = 2, KEYD_TOKEN_TEST = 3 };

struct keyd_token_ask {
	uint8_t op, unattended, kind;
	uint32_t id; /* not 0 */
	uint32_t limit_ms;
	struct span uri, pin, context, data;
};
int keyd_token_msg_ask_put(struct buf *b, const struct keyd_token_ask *m);
int keyd_token_msg_ask_get(struct span packet, struct keyd_token_ask *m);

struct keyd_token_reply {
	uint8_t why, kind;
	uint32_t id;
	struct span data;
};
int keyd_token_msg_reply_put(struct buf *b, const struct keyd_token_reply *m);
int keyd_token_msg_reply_get(struct span packet, struct keyd_token_reply *m);

/* A buf over n bytes of secret memory that stays there: it never grows, and is never cleared. */
static inline struct buf keyd_token_msg_buf(uint8_t *room, size_t n)
{
	return (struct buf){.data = room, .cap = n, .max = n};
}

#endif
