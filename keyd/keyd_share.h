/* SPDX-License-Identifier: Apache-2.0 */
/* keyd_share - one share of a shares slot as the text that a person keeps.
 *
 *   sealpost-share-1-3-5-mfrggz-dfmy2t-qnrw ...
 *                  | | |  twelve groups of six letters: base32 of set 8, y 32, check 5
 *                  | | x
 *                  | k
 *                  format
 *
 * Story:  keyd writes one line for each custodian when a slot is made, and forgets it. At UNSEAL it
 *         reads them one by one. The set says which slot, so shares of two slots cannot be mixed up;
 *         the check value covers everything, so a typo is told before the share counts.
 * Reading: capitals are as good as small letters; blanks, line ends and hyphens between the letters
 *         do not matter.
 * Errors: ERR_FORMAT: this is no share, or there is a typo in it.
 * Source: RFC 4648 6 (base32); sealpost-keyd-store(7) describes the text.
 * Thread: pure; any. */
#ifndef KEYD_KEYD_SHARE_H
#define KEYD_KEYD_SHARE_H

#include "core/span.h"
#include "keyd/keyd_shamir.h"

#define KEYD_SHARE_SET	8
#define KEYD_SHARE_TEXT 128 /* room for any, with its NUL */

struct keyd_share {
	uint8_t set[KEYD_SHARE_SET];
	uint8_t k;
	struct keyd_shamir_share point;
};

/* text: secret memory. Returns its length. ERR_FORMAT: k < 2 or x = 0; ERR_CRYPTO. */
int keyd_share_format(const struct keyd_share *s, char text[KEYD_SHARE_TEXT]);
/* s: secret memory; wiped on an error. */
int keyd_share_parse(struct span text, struct keyd_share *s);

#endif
