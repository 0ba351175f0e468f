/* SPDX-License-Identifier: Apache-2.0 */
#include "mail/mail_dkim.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "core/err.h"
#include "core/hex.h"

#define WIDTH	      78
#define TAB	      8
#define SIGNATURE_MAX 1024

static const char *const algs[] = {
#define MAIL_DKIM_NAME(sym, name) name,
    MAIL_DKIM_ALGS(MAIL_DKIM_NAME)
#undef MAIL_DKIM_NAME
};

const char *mail_dkim_alg_name(enum mail_dkim_alg alg)
{
	return algs[alg];
}

/* A tag on the line that has used octets, or on a new one. */
static size_t put_tag(struct buf *out, size_t used, const char *tag)
{
	size_t n = strlen(tag);

	if (used + 1 + n > WIDTH) {
		buf_put_str(out, "\r\n\t");
		used = TAB;
	} else {
		buf_put_str(out, " ");
		used++;
	}
	buf_put_str(out, tag);
	return used + n;
}

int mail_dkim_format(const struct mail_dkim_head *h, const struct mail_dkim_facts *f, struct buf *field)
{
	char hash[HEX_B64_SIZE(MAIL_DKIM_HASH)], tag[300];
	size_t used = strlen("DKIM-Signature:");

	hex_b64_encode(hash, f->hash, MAIL_DKIM_HASH);
	buf_put_str(field, "DKIM-Signature:");
	used = put_tag(field, used, "v=1;");
	snprintf(tag, sizeof(tag), "a=%s;", algs[f->alg]);
	used = put_tag(field, used, tag);
	used = put_tag(field, used, "c=relaxed/relaxed;");
	snprintf(tag, sizeof(tag), "d=%s;", f->domain);
	used = put_tag(field, used, tag);
	snprintf(tag, sizeof(tag), "s=%s;", f->selector);
	used = put_tag(field, used, tag);
	snprintf(tag, sizeof(tag), "t=%" PRId64 ";", f->time);
	put_tag(field, used, tag);
	buf_put_str(field, "\r\n\th=");
	mail_dkim_head_names(h, TAB + 2, WIDTH - 1, field);
	buf_put_str(field, ";\r\n\tbh=");
	buf_put_str(field, hash);
	buf_put_str(field, ";\r\n\tb=");
	return buf_failed(field);
}

int mail_dkim_input(const struct mail_dkim_head *h, struct span field, struct buf *out)
{
	int err = mail_dkim_head_input(h, out);

	if (err == 0)
		err = mail_dkim_head_relax(field, out);
	if (err == 0)
		out->len -= 2; /* the field itself is signed without its line end */
	return err;
}

int mail_dkim_digest(struct span input, uint8_t digest[MAIL_DKIM_HASH])
{
	return EVP_Digest(input.p, input.n, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : ERR_CRYPTO;
}

int mail_dkim_choose(struct mail_dkim_head *h, const struct mail_dkim_facts *f)
{
	unsigned before;
	struct buf field;
	int err;

	buf_init(&field, MAIL_DKIM_FIELD_MAX);
	do { /* what is left out shortens h= too, so that it ends */
		buf_reset(&field);
		before = mail_dkim_head_left_out(h);
		err = mail_dkim_format(h, f, &field);
		if (err == 0 && buf_size(&field) >= h->max)
			err = ERR_LIMIT;
		if (err == 0)
			err = mail_dkim_head_choose(h, h->max - buf_size(&field));
	} while (err == 0 && mail_dkim_head_left_out(h) != before);
	buf_clear(&field);
	return err;
}

int mail_dkim_finish(struct buf *field, struct span signature)
{
	char text[HEX_B64_SIZE(SIGNATURE_MAX)];
	size_t n, at = 0, room = WIDTH - TAB - 2;

	if (signature.n > SIGNATURE_MAX)
		return ERR_LIMIT;
	n = hex_b64_encode(text, signature.p, signature.n);
	while (at < n) {
		size_t piece = n - at < room ? n - at : room;
		if (at)
			buf_put_str(field, "\r\n\t");
		buf_put(field, text + at, piece);
		at += piece;
		room = WIDTH - TAB;
	}
	return buf_put_str(field, "\r\n");
}
