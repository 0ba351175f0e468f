/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_shamir.h"

#include "core/err.h"
#include "core/rand.h"
#include "core/secret.h"

#define REDUCE 0x1bu /* x^8 in the field */

/* a * b: eight steps whatever the operands are. A mask of all ones or all zeros stands where a
 * branch would. */
static uint8_t multiply(uint8_t a, uint8_t b)
{
	unsigned product = 0, shifted = a;

	for (unsigned i = 0; i < 8; i++) {
		product ^= shifted & (0u - ((unsigned)b >> i & 1u));
		shifted = (shifted << 1 & 0xffu) ^ (REDUCE & (0u - (shifted >> 7)));
	}
	return (uint8_t)product;
}

/* 1 / a = a^254; 0 for 0. */
static uint8_t invert(uint8_t a)
{
	uint8_t power = a, result = 1;

	for (unsigned i = 1; i < 8; i++) { /* 254 = 2 + 4 + ... + 128 */
		power = multiply(power, power);
		result = multiply(result, power);
	}
	return result;
}

/* The polynomial at x, for each byte of the key: Horner's rule from the highest coefficient. */
static void evaluate(const uint8_t key[KEYD_SHAMIR_KEY], const uint8_t *coefficients, unsigned k,
		     struct keyd_shamir_share *s)
{
	for (unsigned i = 0; i < KEYD_SHAMIR_KEY; i++) {
		uint8_t y = 0;
		for (unsigned c = k - 1; c > 0; c--)
			y = multiply(y, s->x) ^ coefficients[(c - 1) * KEYD_SHAMIR_KEY + i];
		s->y[i] = multiply(y, s->x) ^ key[i];
	}
}

int keyd_shamir_split(const uint8_t key[KEYD_SHAMIR_KEY], unsigned k, unsigned n,
		      struct keyd_shamir_share *shares)
{
	uint8_t *coefficients;

	if (k < 2 || n < k || n > KEYD_SHAMIR_MAX)
		return ERR_FORMAT;
	coefficients = secret_alloc((k - 1) * KEYD_SHAMIR_KEY);
	if (!coefficients)
		return ERR_NOMEM;
	rand_bytes(coefficients, (k - 1) * KEYD_SHAMIR_KEY);
	for (unsigned i = 0; i < n; i++) {
		shares[i].x = (uint8_t)(i + 1);
		evaluate(key, coefficients, k, &shares[i]);
	}
	secret_free(coefficients, (k - 1) * KEYD_SHAMIR_KEY);
	return 0;
}

static int points_ok(const struct keyd_shamir_share *shares, unsigned k)
{
	if (k < 2 || k > KEYD_SHAMIR_MAX)
		return 0;
	for (unsigned i = 0; i < k; i++) {
		if (shares[i].x == 0)
			return 0;
		for (unsigned j = 0; j < i; j++)
			if (shares[i].x == shares[j].x)
				return 0;
	}
	return 1;
}

/* Lagrange's interpolation at 0. In this field minus is plus is exclusive or. */
int keyd_shamir_combine(const struct keyd_shamir_share *shares, unsigned k,
			uint8_t key[KEYD_SHAMIR_KEY])
{
	secret_wipe(key, KEYD_SHAMIR_KEY);
	if (!points_ok(shares, k))
		return ERR_FORMAT;
	for (unsigned i = 0; i < k; i++) {
		uint8_t weight = 1;
		for (unsigned j = 0; j < k; j++)
			if (j != i)
				weight =
				    multiply(weight, multiply(shares[j].x,
							      invert(shares[i].x ^ shares[j].x)));
		for (unsigned b = 0; b < KEYD_SHAMIR_KEY; b++)
			key[b] ^= multiply(weight, shares[i].y[b]);
	}
	return 0;
}
