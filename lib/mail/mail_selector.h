/* SPDX-License-Identifier: Apache-2.0 */
/* mail_selector - what the DNS must say of a DKIM key, and whether it does.
 *
 * Story:     version N of a domain's key has the selector PREFIX N LETTER: "sp1r" is the first RSA key, "sp2e" the
 *            second Ed25519 key. A TXT record of SELECTOR._domainkey.DOMAIN holds the public key: _text writes it, _zone
 *            as a line of a zone file, _judge says of the TXT records that were found whether verifiers will find the
 *            key in them.
 * Key:       as it stands in p=: of RSA the DER of SubjectPublicKeyInfo, of Ed25519 its 32 octets (RFC 8463 4.2).
 * Limits:    MAIL_SELECTOR_MAX octets of selector, _NAME_MAX of its whole name.
 * Ownership: copies, or appends to the caller's buf.
 * Source:    RFC 6376 3.6.1, 3.6.2.2; RFC 8463 4; RFC 1035 3.3.14 and 5.1 (strings of 255 octets).
 * Thread:    pure; any. */
#ifndef MAIL_MAIL_SELECTOR_H
#define MAIL_MAIL_SELECTOR_H

#include "core/buf.h"

#define MAIL_SELECTOR_MAX      32
#define MAIL_SELECTOR_PREFIX_MAX 16
#define MAIL_SELECTOR_NAME_MAX 254 /* with its NUL */
/* How long a selector is looked for after the last mail signed by it has left the queue, microseconds: it lies in
 * others' queues, and filters look at mailboxes again. */
#define MAIL_SELECTOR_REST (7 * 86400 * INT64_C(1000000))

enum mail_selector_type { MAIL_SELECTOR_RSA, MAIL_SELECTOR_ED25519 };
/* "rsa", "ed25519": as in k=. */
const char *mail_selector_type_name(enum mail_selector_type type);

/* "sp1r". ERR_LIMIT. */
int mail_selector_format(char out[MAIL_SELECTOR_MAX], const char *prefix, uint32_t version,
			 enum mail_selector_type type);
/* "sp1r._domainkey.a.example", without a dot at its end. ERR_LIMIT: longer than a name can be. */
int mail_selector_name(char out[MAIL_SELECTOR_NAME_MAX], const char *selector, const char *domain);
/* 1 if s is a prefix: small letters, digits and hyphens, a letter first, at most MAIL_SELECTOR_PREFIX_MAX. */
int mail_selector_prefix_ok(const char *s);

/* What p= holds of a key in DER; empty if it is none of that type. */
struct span mail_selector_key(enum mail_selector_type type, struct span spki);
/* Appends "v=DKIM1; k=rsa; p=..."; an empty key says that it is revoked. */
int mail_selector_text(struct buf *out, enum mail_selector_type type, struct span key);
/* Appends a line for a zone file: name with a dot behind it, "IN TXT", the text in strings; and its line end. */
int mail_selector_zone(struct buf *out, const char *name, struct span text);

/* X(symbol, word, for people) */
#define MAIL_SELECTOR_VERDICTS(X)                                                            \
	X(PUBLISHED, "published", "verifiers find this key")                                 \
	X(MISSING, "missing", "there is no such record")                                     \
	X(DIFFERENT, "different", "it holds another key")                                    \
	X(MULTIPLE, "multiple", "there are several records: verifiers take any one of them") \
	X(REVOKED, "revoked", "its p= is empty: signatures by it are no good")               \
	X(MALFORMED, "malformed", "it is no key record")                                     \
	X(UNFIT, "unfit", "its h= or s= keep the key from mail")
enum mail_selector_verdict {
#define MAIL_SELECTOR_X(sym, word, text) MAIL_SELECTOR_##sym,
	MAIL_SELECTOR_VERDICTS(MAIL_SELECTOR_X)
#undef MAIL_SELECTOR_X
	    MAIL_SELECTOR_VERDICT_COUNT
};
const char *mail_selector_verdict_word(enum mail_selector_verdict v);
const char *mail_selector_verdict_text(enum mail_selector_verdict v);

/* txts: the TXT records of the name, each with its strings joined; count may be 0. *testing (may be NULL): 1 if the record
 * says t=y, and verifiers are to do as if there were no signature. */
enum mail_selector_verdict mail_selector_judge(const struct span *txts, size_t count,
					       enum mail_selector_type type, struct span key,
					       int *testing);

#endif
