/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_selftest.h"

#include <argon2.h>

#include "core/hex.h"
#include "core/rand.h"
#include "keyd/keyd_crypto.h"
#include "keyd/keyd_wrap.h"
#include "seal/seal_chunk.h"
#include "seal/seal_field.h"
#include "seal/seal_kdf.h"

#define BYTES_MAX 512

/* Bytes from hexadecimal or base64url text. */
struct bytes {
	uint8_t p[BYTES_MAX];
	size_t n;
};

static struct span hex(struct bytes *b, const char *text)
{
	int n = hex_decode(b->p, sizeof(b->p), span_str(text));

	b->n = n < 0 ? 0 : (size_t)n;
	return span_of(b->p, b->n);
}

static struct span b64(struct bytes *b, const char *text)
{
	int n = hex_b64url_decode(b->p, sizeof(b->p), span_str(text));

	b->n = n < 0 ? 0 : (size_t)n;
	return span_of(b->p, b->n);
}

static int same(const uint8_t *got, size_t n, const char *want)
{
	struct bytes b;

	hex(&b, want);
	return b.n == n && memcmp(got, b.p, n) == 0;
}

static int test_hmac(void) /* RFC 4231 4.3 */
{
	struct span text = SPAN_LIT("what do ya want for nothing?");
	uint8_t mac[32];

	return seal_kdf_hmac((const uint8_t *)"Jefe", 4, &text, 1, mac) == 0 &&
	       same(mac, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

static int test_hkdf(void) /* RFC 5869 A.1, the first block of OKM */
{
	struct bytes prk, info;
	uint8_t key[32];

	hex(&prk, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
	return seal_kdf_subkey(prk.p, hex(&info, "f0f1f2f3f4f5f6f7f8f9"), key) == 0 &&
	       same(key, 32, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

static int test_gcm(void) /* McGrew and Viega, test case 16; then our wrap and a broken one */
{
	struct bytes key, iv, aad, text;
	uint8_t out[60], tag[16], sealed[60 + KEYD_WRAP_OVERHEAD], back[60];
	struct span a = hex(&aad, "feedfacedeadbeeffeedfacedeadbeefabaddad2"), whole;

	hex(&key, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
	hex(&iv, "cafebabefacedbaddecaf888");
	hex(&text, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		   "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
	if (keyd_wrap_raw(key.p, iv.p, a, text.p, text.n, out, tag) < 0 ||
	    !same(out, 60,
		  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662") ||
	    !same(tag, 16, "76fc6ece0f4e1768cddf8853bb2d551b"))
		return 0;
	whole = span_of(sealed, sizeof(sealed));
	if (keyd_wrap_seal(key.p, a, text.p, text.n, sealed) < 0 ||
	    keyd_wrap_open(key.p, a, whole, back) < 0 || memcmp(back, text.p, text.n))
		return 0;
	sealed[20] ^= 1;
	return keyd_wrap_open(key.p, a, whole, back) < 0;
}

static int test_field(void) /* c2sp.org XAES-256-GCM, second example */
{
	struct bytes key;
	uint8_t out[64];

	hex(&key, "0303030303030303030303030303030303030303030303030303030303030303");
	return seal_field_xaes(key.p, (const uint8_t *)"ABCDEFGHIJKLMNOPQRSTUVWX",
			       SPAN_LIT("c2sp.org/XAES-256-GCM"), SPAN_LIT("XAES-256-GCM"), 0,
			       out) == 0 &&
	       same(out, 28, "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

static int test_chunk(void) /* Wycheproof, Cobblestone-256, test 1 */
{
	struct bytes key, salt;
	uint8_t out[SEAL_CHUNK_KEY];

	hex(&key, "59454c4c4f57205355424d4152494e452059454c4c4f57205355424d4152494e");
	hex(&salt, "43a2e39431cbae0389d3fc86adf46f7c3a24de88d9311617");
	return seal_chunk_derive(key.p, salt.p, span_of(NULL, 0), out) == 0 &&
	       same(out, SEAL_CHUNK_KEY,
		    "781b72bce3c966fffb09e5d596e1d21b029b21a9599852fb9b9f644e23b86ae8"
		    "f206a92ac0ba380c8e9e3843"
		    "e53f3164cc1d5dc738a66b97f0bf786565c31799c2f463d50a7e10046011dc6f");
}

/* Signs and verifies with k; want: the one right signature, or empty where there are many. A
 * changed signature must not verify. */
static int sign_round(struct keyd_crypto_key *k, unsigned alg, struct span text, struct span want)
{
	uint8_t sig[KEYD_CRYPTO_SIG_MAX];
	struct buf spki;
	int n = keyd_crypto_sign(k, alg, text, sig), ok;

	buf_init(&spki, KEYD_CRYPTO_PKCS8_MAX);
	ok = n > 0 && keyd_crypto_public(k, &spki) == 0 &&
	     (want.n == 0 || span_equal(want, span_of(sig, (size_t)n))) &&
	     keyd_crypto_verify(buf_span(&spki), alg, text, span_of(sig, (size_t)n)) == 0;
	if (ok) {
		sig[n / 2] ^= 1;
		ok = keyd_crypto_verify(buf_span(&spki), alg, text, span_of(sig, (size_t)n)) < 0;
	}
	buf_clear(&spki);
	return ok;
}

static int test_rsa(void) /* RFC 7515 A.2 */
{
	struct bytes n, d, sig;
	struct span parts[3] = {
	    b64(&n,
		"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJ"
		"PMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0"
		"LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uD"
		"Zlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2"
		"PAcDTW9gb54h4FRWyuXpoQ"),
	    SPAN_LIT("\x01\x00\x01"),
	    b64(&d,
		"Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9S"
		"E-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVd"
		"xzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQ"
		"UShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjn"
		"czT0QU91p1DhOVRuOopznQ")};
	struct span text = SPAN_LIT("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz"
				    "ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
	struct span want = b64(
	    &sig, "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF"
		  "5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK"
		  "5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqt"
		  "FZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
		  "p0igcN_IoypGlUPQGe77Rw");
	struct keyd_crypto_key *k;
	int ok;

	if (keyd_crypto_parts(KEYPROTO_KEY_RSA2048, parts, 3, &k) < 0)
		return 0;
	ok = want.n && sign_round(k, KEYPROTO_ALG_RS256, text, want) &&
	     sign_round(k, KEYPROTO_ALG_PS256, text, span_of(NULL, 0));
	keyd_crypto_free(k);
	return ok;
}

static int test_ecdsa(void) /* RFC 7515 A.3; its signature as DER, as TLS wants it */
{
	struct bytes d, point, der;
	struct span parts[2] = {
	    b64(&d, "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"),
	    hex(&point, "04"
			"7fcdce2770f6c45d4183cbee6fdb4b7b580733357be9ef13bacf6e3c7bd15445"
			"c7f144cd1bbd9b7e872cdfedb9eeb9f4b3695d6ea90b24ad8a4623288588e5ad")};
	struct span text = SPAN_LIT("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkz"
				    "ODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
	struct span known =
	    hex(&der, "3045"
		      "02200ed1215379636c483c2f7f155807d402a3b228033af97c7e17819ac3169ea665"
		      "022100c50a07d38c3c70e5d8f12daf084a5480a66590c5f293509a8f3f7f8a83a354d5");
	struct keyd_crypto_key *k;
	struct buf spki;
	int ok;

	if (keyd_crypto_parts(KEYPROTO_KEY_EC_P256, parts, 2, &k) < 0)
		return 0;
	buf_init(&spki, KEYD_CRYPTO_PKCS8_MAX);
	ok = keyd_crypto_public(k, &spki) == 0 &&
	     keyd_crypto_verify(buf_span(&spki), KEYPROTO_ALG_ES256, text, known) == 0 &&
	     sign_round(k, KEYPROTO_ALG_ES256, text, span_of(NULL, 0));
	buf_clear(&spki);
	keyd_crypto_free(k);
	return ok;
}

static int test_ed25519(void) /* RFC 8032 7.1, test 2 */
{
	struct bytes seed, sig;
	struct span part =
	    hex(&seed, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
	struct span want =
	    hex(&sig, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
		      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
	struct keyd_crypto_key *k;
	int ok;

	if (keyd_crypto_parts(KEYPROTO_KEY_ED25519, &part, 1, &k) < 0)
		return 0;
	ok = want.n && sign_round(k, KEYPROTO_ALG_ED25519, span_of("\x72", 1), want);
	keyd_crypto_free(k);
	return ok;
}

static int test_argon2(void) /* RFC 9106 5.3 */
{
	uint8_t pass[32], salt[16], secret[8], ad[12], out[32];
	argon2_context c = {.out = out,
			    .outlen = 32,
			    .pwd = pass,
			    .pwdlen = 32,
			    .salt = salt,
			    .saltlen = 16,
			    .secret = secret,
			    .secretlen = 8,
			    .ad = ad,
			    .adlen = 12,
			    .t_cost = 3,
			    .m_cost = 32,
			    .lanes = 4,
			    .threads = 1,
			    .version = ARGON2_VERSION_13};

	memset(pass, 1, sizeof(pass));
	memset(salt, 2, sizeof(salt));
	memset(secret, 3, sizeof(secret));
	memset(ad, 4, sizeof(ad));
	return argon2id_ctx(&c) == ARGON2_OK &&
	       same(out, 32, "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
}

static int test_random(void) /* a source that repeats itself is none */
{
	uint8_t a[32], b[32], zero[32] = {0};

	rand_bytes(a, sizeof(a));
	rand_bytes(b, sizeof(b));
	return memcmp(a, b, sizeof(a)) && memcmp(a, zero, sizeof(a)) && memcmp(b, zero, sizeof(b));
}

const char *keyd_selftest(void)
{
	static const struct {
		const char *name;
		int (*test)(void);
	} parts[] = {{"random", test_random}, {"hmac", test_hmac},  {"hkdf", test_hkdf},
		     {"aes-gcm", test_gcm},   {"xaes", test_field}, {"chunk", test_chunk},
		     {"ecdsa", test_ecdsa},   {"rsa", test_rsa},    {"ed25519", test_ed25519},
		     {"argon2", test_argon2}};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!parts[i].test())
			return parts[i].name;
	return NULL;
}
