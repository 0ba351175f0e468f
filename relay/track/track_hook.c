/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/track/track_hook.h"

#include <stdio.h>

#include <openssl/evp.h>

#include "core/err.h"
#include "relay/track/track_bot.h"

void track_hook_secret_text(char dst[TRACK_HOOK_TEXT], const uint8_t secret[TRACK_HOOK_SECRET])
{
	memcpy(dst, "whsec_", 6);
	EVP_EncodeBlock((uint8_t *)dst + 6, secret, TRACK_HOOK_SECRET);
}

/* "v1,...": its length, or ERR_*. */
static int sign_one(char *dst, const uint8_t secret[TRACK_HOOK_SECRET], const char *head, size_t head_n, struct span body)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", "provider=default");
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
	uint8_t sum[32];
	size_t n = 0;
	int ok = ctx && EVP_MAC_init(ctx, secret, TRACK_HOOK_SECRET, params) &&
		 EVP_MAC_update(ctx, (const uint8_t *)head, head_n) && EVP_MAC_update(ctx, body.p, body.n) &&
		 EVP_MAC_final(ctx, sum, &n, sizeof(sum));

	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	if (!ok)
		return ERR_CRYPTO;
	memcpy(dst, "v1,", 3);
	return 3 + EVP_EncodeBlock((uint8_t *)dst + 3, sum, sizeof(sum));
}

int track_hook_sign(char dst[TRACK_HOOK_SIGNATURE], const uint8_t secret[TRACK_HOOK_SECRET],
		    const uint8_t second[TRACK_HOOK_SECRET], const char *id, int64_t seconds, struct span body)
{
	char head[TRACK_HOOK_ID + 32];
	int head_n = snprintf(head, sizeof(head), "%.*s.%lld.", TRACK_HOOK_ID, id, (long long)seconds);
	int n = sign_one(dst, secret, head, (size_t)head_n, body), more;

	if (n < 0 || !second)
		return n < 0 ? n : 0;
	dst[n++] = ' ';
	more = sign_one(dst + n, second, head, (size_t)head_n, body);
	return more < 0 ? more : 0;
}

int64_t track_hook_wait(unsigned failed, uint64_t draw)
{
	/* three days and a half in all */
	static const int64_t waits[] = {0, 2, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, TRACK_HOOK_QUIET / CLOCK_SEC};
	int64_t wait;

	if (failed >= sizeof(waits) / sizeof(waits[0]))
		return -1;
	wait = waits[failed] * CLOCK_SEC;
	return wait - wait / 5 + (int64_t)(draw % ((uint64_t)wait * 2 / 5 + 1));
}

int64_t track_hook_quiet(long status, int64_t retry_after)
{
	if ((status != 429 && status != 503) || retry_after <= 0)
		return 0;
	return retry_after < TRACK_HOOK_QUIET / CLOCK_SEC ? retry_after * CLOCK_SEC : TRACK_HOOK_QUIET;
}

unsigned track_hook_kinds(struct span text)
{
	unsigned kinds = 0;

	while (text.n) {
		ptrdiff_t comma = span_find(text, ',');
		struct span word = comma < 0 ? text : span_sub(text, 0, (size_t)comma);
		unsigned k = 0;
		text = comma < 0 ? span_of(NULL, 0) : span_sub(text, (size_t)comma + 1, text.n);
		while (k < TRACK_KIND_COUNT && !span_equal(word, span_str(track_bot_kind(k))))
			k++;
		if (k == TRACK_KIND_COUNT)
			return 0;
		kinds |= 1u << k;
	}
	return kinds;
}

void track_hook_kinds_text(char dst[TRACK_HOOK_KINDS], unsigned kinds)
{
	size_t n = 0;

	dst[0] = '\0';
	for (unsigned k = 0; k < TRACK_KIND_COUNT; k++)
		if (kinds >> k & 1)
			n += (size_t)snprintf(dst + n, TRACK_HOOK_KINDS - n, "%s%s", n ? "," : "", track_bot_kind(k));
}
