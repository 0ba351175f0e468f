/* SPDX-License-Identifier: Apache-2.0 */
/* dkim_canon: messages in relaxed form, for a test to compare with what others make of them. Standard input: for each
 * message its length (32 bits, big endian) and its octets. Standard output: one line each, the hash of the body, a blank,
 * and in hexadecimal the fields that DKIM would sign. */
#include <stdio.h>
#include <stdlib.h>

#include "core/hex.h"
#include "mail/mail_dkim.h"

#define MESSAGE_MAX (1u << 20)
#define HEAD_MAX    49152

static int print_message(struct span in)
{
	static char text[HEX_SIZE(HEAD_MAX)];
	uint8_t hash[MAIL_DKIM_HASH];
	struct mail_dkim_head h;
	struct mail_dkim_body b;
	struct span before;
	struct buf out;
	ptrdiff_t n;

	mail_dkim_head_init(&h, HEAD_MAX);
	buf_init(&out, HEAD_MAX);
	n = mail_dkim_head_feed(&h, in, &before);
	if (n < 0 || mail_dkim_head_end(&h) < 0 || mail_dkim_body_init(&b) < 0)
		return 1;
	mail_dkim_body_feed(&b, span_sub(in, (size_t)n, in.n));
	if (mail_dkim_body_end(&b, hash) < 0 || mail_dkim_head_input(&h, &out) < 0)
		return 1;
	hex_encode(text, hash, sizeof(hash));
	printf("%s ", text);
	hex_encode(text, buf_ptr(&out), buf_size(&out));
	printf("%s\n", text);
	mail_dkim_body_clear(&b);
	mail_dkim_head_clear(&h);
	buf_clear(&out);
	return 0;
}

int main(void)
{
	static uint8_t message[MESSAGE_MAX];
	uint8_t head[4];

	while (fread(head, 1, 4, stdin) == 4) {
		size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
		if (n > sizeof(message) || fread(message, 1, n, stdin) != n || print_message(span_of(message, n)))
			return 1;
	}
	return 0;
}
