/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hex.h"

#include "core/err.h"

static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void hex_encode(char *dst, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *src = p;

	for (size_t i = 0; i < n; i++) {
		*dst++ = digits[src[i] >> 4];
		*dst++ = digits[src[i] & 15];
	}
	*dst = '\0';
}

static int nibble(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(void *dst, size_t room, struct span text)
{
	uint8_t *out = dst;

	if (text.n % 2)
		return ERR_FORMAT;
	if (text.n / 2 > room)
		return ERR_LIMIT;
	for (size_t i = 0; i < text.n; i += 2) {
		int hi = nibble(text.p[i]), lo = nibble(text.p[i + 1]);
		if (hi < 0 || lo < 0)
			return ERR_FORMAT;
		*out++ = (uint8_t)(hi << 4 | lo);
	}
	return (int)(text.n / 2);
}

static size_t encode(char *dst, const void *p, size_t n, const char *digits, int pad)
{
	const uint8_t *s = p;
	char *d = dst;

	for (; n >= 3; n -= 3, s += 3) {
		*d++ = digits[s[0] >> 2];
		*d++ = digits[(s[0] & 3) << 4 | s[1] >> 4];
		*d++ = digits[(s[1] & 15) << 2 | s[2] >> 6];
		*d++ = digits[s[2] & 63];
	}
	if (n) {
		*d++ = digits[s[0] >> 2];
		*d++ = digits[(s[0] & 3) << 4 | (n > 1 ? s[1] >> 4 : 0)];
		if (n > 1)
			*d++ = digits[(s[1] & 15) << 2];
		for (size_t i = n; pad && i < 3; i++)
			*d++ = '=';
	}
	*d = '\0';
	return (size_t)(d - dst);
}

static int value(uint8_t c, const char *digits)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (uint8_t)digits[62])
		return 62;
	if (c == (uint8_t)digits[63])
		return 63;
	return -1;
}

static int decode(void *dst, size_t room, struct span text, const char *digits)
{
	uint8_t *out = dst;
	uint32_t acc = 0;
	size_t made = 0;
	int bits = 0;

	if (text.n % 4 == 1)
		return ERR_FORMAT;
	for (size_t i = 0; i < text.n; i++) {
		int v = value(text.p[i], digits);
		if (v < 0)
			return ERR_FORMAT;
		acc = acc << 6 | (uint32_t)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (made == room)
				return ERR_LIMIT;
			out[made++] = (uint8_t)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	return acc ? ERR_FORMAT : (int)made;
}

size_t hex_b64url_encode(char *dst, const void *p, size_t n)
{
	return encode(dst, p, n, url_digits, 0);
}

int hex_b64url_decode(void *dst, size_t room, struct span text)
{
	return decode(dst, room, text, url_digits);
}

size_t hex_b64_encode(char *dst, const void *p, size_t n)
{
	return encode(dst, p, n, std_digits, 1);
}

int hex_b64_decode(void *dst, size_t room, struct span text)
{
	if (text.n % 4)
		return ERR_FORMAT;
	if (text.n && text.p[text.n - 1] == '=')
		text.n -= text.p[text.n - 2] == '=' ? 2 : 1;
	return decode(dst, room, text, std_digits);
}
