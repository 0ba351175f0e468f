/* SPDX-License-Identifier: Apache-2.0 */
#include "seal/seal_track.h"

#include <openssl/err.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "core/secret.h"
#include "seal/seal_alg.h"

#define TAG	   16
#define PLAIN	   16 /* without fields */
#define PLACE_MAX  255
#define DAY	   86400
#define EPOCHS	   8 /* that a token can name */
#define EPOCH_BITS 7
#define KIND_SHIFT 3
#define VERSION_SHIFT	   5

_Static_assert(SEAL_TRACK_MIN == 1 + TAG + PLAIN, "head, tag, plaintext");
/* A token of an epoch's last day, on its own last day and with a clock that is a day ahead, is still
 * of the latest epoch that its number can mean. */
_Static_assert(SEAL_TRACK_DAYS_MAX == (EPOCHS - 1) * SEAL_TRACK_EPOCH - 1, "see seal_track_peek");

uint32_t seal_track_day(int64_t seconds)
{
	return seconds < 0 ? 0 : (uint32_t)(seconds / DAY);
}

uint32_t seal_track_epoch(uint32_t day)
{
	return day / SEAL_TRACK_EPOCH;
}

static int place_ok(const struct seal_track_place *place)
{
	return place->host.n >= 1 && place->host.n <= PLACE_MAX && place->customer.n >= 1 &&
	       place->customer.n <= PLACE_MAX;
}

/* A component of associated data: OpenSSL takes a NULL output as such, and passes over an empty one. */
static int bind(EVP_CIPHER_CTX *ctx, struct span s)
{
	int n;

	return EVP_CipherUpdate(ctx, NULL, &n, s.p, (int)s.n);
}

/* A context for one operation: SIV allows no second one under a context. */
static EVP_CIPHER_CTX *begin(const uint8_t key[SEAL_TRACK_KEY], const uint8_t *head,
			     const struct seal_track_place *place, int make)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && EVP_CipherInit_ex2(ctx, seal_alg_siv(), key, NULL, make, NULL) &&
	    (make || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, (void *)(head + 1))) &&
	    bind(ctx, span_of(head, 1)) && bind(ctx, place->host) && bind(ctx, place->customer))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static void put(uint8_t *p, const struct seal_track *t)
{
	num_put_u64(p, t->message);
	num_put_u32(p + 8, t->number);
	num_put_u16(p + 12, t->link);
	num_put_u16(p + 14, t->last);
	memcpy(p + PLAIN, t->field, t->n);
}

int seal_track_make(const uint8_t key[SEAL_TRACK_KEY], const struct seal_track_place *place,
		    const struct seal_track *t, uint32_t today, struct seal_track_raw *out)
{
	uint8_t plain[PLAIN + SEAL_TRACK_FIELD];
	EVP_CIPHER_CTX *ctx;
	int n, ok;

	if (t->kind > SEAL_TRACK_UNSUBSCRIBE)
		return ERR_FORMAT;
	if (!place_ok(place) || t->last < today || t->last - today > SEAL_TRACK_DAYS_MAX)
		return ERR_LIMIT;
	put(plain, t);
	out->n = SEAL_TRACK_MIN + t->n;
	out->p[0] = (uint8_t)(SEAL_TRACK_VERSION << VERSION_SHIFT | t->kind << KIND_SHIFT |
			      (seal_track_epoch(today) & EPOCH_BITS));
	ctx = begin(key, out->p, place, 1);
	ok = ctx && EVP_CipherUpdate(ctx, out->p + 1 + TAG, &n, plain, PLAIN + t->n) &&
	     n == PLAIN + t->n &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, out->p + 1);
	EVP_CIPHER_CTX_free(ctx);
	secret_wipe(plain, sizeof(plain));
	if (!ok)
		memset(out, 0, sizeof(*out));
	return ok ? 0 : ERR_CRYPTO;
}

int seal_track_peek(const struct seal_track_raw *raw, uint32_t today, enum seal_track_kind *kind,
		    uint32_t *epoch)
{
	uint8_t head = raw->p[0];
	unsigned k = head >> KIND_SHIFT & 3;
	uint32_t latest = seal_track_epoch(today + 1), back;

	if (raw->n < SEAL_TRACK_MIN || raw->n > SEAL_TRACK_MAX ||
	    head >> VERSION_SHIFT != SEAL_TRACK_VERSION || k > SEAL_TRACK_UNSUBSCRIBE)
		return ERR_FORMAT;
	back = (latest - head) & EPOCH_BITS;
	*kind = (enum seal_track_kind)k;
	*epoch = back <= latest ? latest - back : 0;
	return 0;
}

static void get(const uint8_t *p, size_t n, struct seal_track *t)
{
	t->message = num_get_u64(p);
	t->number = num_get_u32(p + 8);
	t->link = num_get_u16(p + 12);
	t->last = num_get_u16(p + 14);
	t->n = (uint8_t)(n - PLAIN);
	memcpy(t->field, p + PLAIN, t->n);
}

int seal_track_open(const uint8_t key[SEAL_TRACK_KEY], const struct seal_track_place *place,
		    const struct seal_track_raw *raw, uint32_t today, struct seal_track *out)
{
	uint8_t plain[PLAIN + SEAL_TRACK_FIELD];
	enum seal_track_kind kind;
	EVP_CIPHER_CTX *ctx;
	uint32_t epoch;
	int n, ok, size;

	memset(out, 0, sizeof(*out));
	if (seal_track_peek(raw, today, &kind, &epoch) < 0)
		return ERR_FORMAT;
	if (!place_ok(place))
		return ERR_LIMIT;
	ctx = begin(key, raw->p, place, 0);
	if (!ctx)
		return ERR_CRYPTO;
	size = (int)raw->n - 1 - TAG;
	ok = EVP_CipherUpdate(ctx, plain, &n, raw->p + 1 + TAG, size) && n == size;
	EVP_CIPHER_CTX_free(ctx);
	if (ok) {
		out->kind = kind;
		get(plain, (size_t)size, out);
	}
	secret_wipe(plain, sizeof(plain));
	if (!ok) {
		ERR_clear_error();
		return ERR_AUTH;
	}
	return today > out->last ? ERR_EXPIRED : 0;
}

size_t seal_track_url_put(char out[SEAL_TRACK_URL_SIZE], const struct seal_track_raw *raw)
{
	return hex_b64url_encode(out, raw->p, raw->n);
}

int seal_track_url_get(struct span text, struct seal_track_raw *out)
{
	int n;

	memset(out, 0, sizeof(*out));
	if (text.n < SEAL_TRACK_URL || text.n > SEAL_TRACK_URL_SIZE - 1)
		return ERR_FORMAT;
	n = hex_b64url_decode(out->p, sizeof(out->p), text);
	if (n < SEAL_TRACK_MIN) {
		memset(out, 0, sizeof(*out));
		return ERR_FORMAT;
	}
	out->n = (size_t)n;
	return 0;
}

/* Base32 in small letters, the last character with one bit to spare, which is zero. */
size_t seal_track_mail_put(char out[SEAL_TRACK_MAIL_SIZE], const struct seal_track_raw *raw)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t made = 0;

	out[0] = '\0';
	if (raw->n != SEAL_TRACK_MIN)
		return 0;
	for (size_t i = 0; i < raw->n; i++) {
		acc = (acc << 8 | raw->p[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			out[made++] = digits[acc >> (bits - 5) & 31];
	}
	out[made++] = digits[acc << (5 - bits) & 31];
	out[made] = '\0';
	return made;
}

static int base32(uint8_t c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

int seal_track_mail_get(struct span text, struct seal_track_raw *out)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	int v = 0;

	memset(out, 0, sizeof(*out));
	if (text.n != SEAL_TRACK_MAIL)
		return ERR_FORMAT;
	for (size_t i = 0; i < text.n && (v = base32(text.p[i])) >= 0; i++) {
		acc = (acc << 5 | (uint32_t)v) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			out->p[out->n++] = (uint8_t)(acc >> bits);
		}
	}
	if (v >= 0 && out->n == SEAL_TRACK_MIN && !(acc & ((1u << bits) - 1)))
		return 0;
	memset(out, 0, sizeof(*out));
	return ERR_FORMAT;
}

int seal_track_field_put(struct seal_track *t, struct span value)
{
	if (value.n + 1 > (size_t)(SEAL_TRACK_FIELD - t->n))
		return ERR_LIMIT;
	t->field[t->n++] = (uint8_t)value.n;
	if (value.n)
		memcpy(t->field + t->n, value.p, value.n);
	t->n = (uint8_t)(t->n + value.n);
	return 0;
}

int seal_track_field_get(struct span *rest, struct span *value)
{
	if (rest->n < 1 || rest->p[0] > rest->n - 1)
		return ERR_FORMAT;
	*value = span_sub(*rest, 1, rest->p[0]);
	*rest = span_sub(*rest, 1 + value->n, rest->n);
	return 0;
}
