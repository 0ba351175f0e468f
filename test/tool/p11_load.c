/* SPDX-License-Identifier: Apache-2.0 */
/* p11_load - the operations of keyd_load asked of a PKCS#11 module in this process: what another software HSM takes.
 *
 * usage: p11_load --module FILE --label TOKEN --pin PIN --test NAME [--seconds N] [--bytes N]
 * Tests: find (an object by its label, the nearest to unwrapping by name), seal (AES-256-GCM), ES256 and RS256 (of a message
 * of 130 bytes). Keys are session objects, made at start. Prints one JSON object. There is no other process and no socket. */
#include <dlfcn.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <p11-kit/pkcs11.h>

#define LATENCY_MAX (8u << 20)

static struct {
	const char *module, *label, *pin, *test;
	double seconds;
	unsigned bytes;
} opt = {.seconds = 2, .bytes = 64};

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;
static uint32_t *latency;
static unsigned char text[16384];

static void must(CK_RV rv, const char *what)
{
	if (rv == CKR_OK)
		return;
	fprintf(stderr, "p11_load: %s: 0x%lx\n", what, (unsigned long)rv);
	exit(75);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static CK_SLOT_ID slot_of(const char *label)
{
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;
	CK_TOKEN_INFO info;

	must(p11->C_GetSlotList(CK_TRUE, slots, &count), "slots");
	for (CK_ULONG i = 0; i < count; i++)
		if (p11->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
		    !strncmp((char *)info.label, label, strlen(label)))
			return slots[i];
	must(CKR_TOKEN_NOT_PRESENT, label);
	return 0;
}

static void make_aes(void)
{
	CK_MECHANISM m = {CKM_AES_KEY_GEN, NULL, 0};
	CK_BBOOL yes = CK_TRUE;
	CK_ULONG size = 32;
	CK_ATTRIBUTE a[] = {{CKA_VALUE_LEN, &size, sizeof(size)},
			    {CKA_ENCRYPT, &yes, sizeof(yes)},
			    {CKA_SENSITIVE, &yes, sizeof(yes)},
			    {CKA_LABEL, (void *)"load", 4}};

	must(p11->C_GenerateKey(session, &m, a, 4, &key), "AES key");
}

static void make_pair(CK_MECHANISM_TYPE how, CK_ATTRIBUTE *public, CK_ULONG count)
{
	CK_MECHANISM m = {how, NULL, 0};
	CK_OBJECT_HANDLE other;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE private[] = {{CKA_SIGN, &yes, sizeof(yes)},
				  {CKA_SENSITIVE, &yes, sizeof(yes)}};

	must(p11->C_GenerateKeyPair(session, &m, public, count, private, 2, &other, &key),
	     "key pair");
}

static void make_ec(void)
{
	static unsigned char p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
	CK_ATTRIBUTE a[] = {{CKA_EC_PARAMS, p256, sizeof(p256)}};

	make_pair(CKM_EC_KEY_PAIR_GEN, a, 1);
}

static void make_rsa(void)
{
	static unsigned char e[] = {1, 0, 1};
	CK_ULONG bits = 2048;
	CK_ATTRIBUTE a[] = {{CKA_MODULUS_BITS, &bits, sizeof(bits)},
			    {CKA_PUBLIC_EXPONENT, e, sizeof(e)}};

	make_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, a, 2);
}

static CK_RV find(void)
{
	CK_ATTRIBUTE a = {CKA_LABEL, (void *)"load", 4};
	CK_OBJECT_HANDLE found;
	CK_ULONG count = 0;
	CK_RV rv = p11->C_FindObjectsInit(session, &a, 1);

	if (rv == CKR_OK)
		rv = p11->C_FindObjects(session, &found, 1, &count);
	p11->C_FindObjectsFinal(session);
	return rv == CKR_OK && count != 1 ? CKR_GENERAL_ERROR : rv;
}

static CK_RV seal(void)
{
	static uint64_t nonce[2];
	unsigned char out[sizeof(text) + 16];
	CK_ULONG n = sizeof(out);
	CK_GCM_PARAMS gcm = {.pIv = (unsigned char *)nonce,
			     .ulIvLen = 12,
			     .ulIvBits = 96,
			     .pAAD = text,
			     .ulAADLen = 34,
			     .ulTagBits = 128};
	CK_MECHANISM m = {CKM_AES_GCM, &gcm, sizeof(gcm)};
	CK_RV rv;

	nonce[0]++;
	rv = p11->C_EncryptInit(session, &m, key);
	return rv == CKR_OK ? p11->C_Encrypt(session, text, opt.bytes, out, &n) : rv;
}

static CK_RV sign(CK_MECHANISM_TYPE how, unsigned char *data, CK_ULONG size)
{
	CK_MECHANISM m = {how, NULL, 0};
	unsigned char sig[512];
	CK_ULONG n = sizeof(sig);
	CK_RV rv = p11->C_SignInit(session, &m, key);

	return rv == CKR_OK ? p11->C_Sign(session, data, size, sig, &n) : rv;
}

static CK_RV es256(void)
{
	unsigned char digest[32];

	SHA256(text, 130, digest); /* the module signs digests only */
	return sign(CKM_ECDSA, digest, sizeof(digest));
}

static CK_RV rs256(void)
{
	return sign(CKM_SHA256_RSA_PKCS, text, 130);
}

static const struct test {
	const char *name;
	void (*make)(void);
	CK_RV (*once)(void);
} tests[] = {{"find", make_aes, find},
	     {"seal", make_aes, seal},
	     {"ES256", make_ec, es256},
	     {"RS256", make_rsa, rs256}};

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static const struct test *options(int argc, char **argv)
{
	static const struct option names[] = {{"module", 1, NULL, 'm'},	 {"label", 1, NULL, 'l'},
					      {"pin", 1, NULL, 'p'},	 {"test", 1, NULL, 't'},
					      {"seconds", 1, NULL, 's'}, {"bytes", 1, NULL, 'b'},
					      {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		const char **strings[] = {
		    ['m'] = &opt.module, ['l'] = &opt.label, ['p'] = &opt.pin, ['t'] = &opt.test};

		if (c == 's')
			opt.seconds = atof(optarg);
		else if (c == 'b')
			opt.bytes = (unsigned)atoi(optarg);
		else if (c != '?')
			*strings[c] = optarg;
	}
	for (size_t i = 0; opt.test && i < sizeof(tests) / sizeof(tests[0]); i++)
		if (!strcmp(tests[i].name, opt.test) && opt.module && opt.label && opt.pin &&
		    opt.bytes <= sizeof(text))
			return &tests[i];
	fprintf(
	    stderr,
	    "usage: p11_load --module FILE --label TOKEN --pin PIN --test NAME: see the source\n");
	exit(64);
}

int main(int argc, char **argv)
{
	const struct test *test = options(argc, argv);
	void *dl = dlopen(opt.module, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList list =
	    dl ? (CK_C_GetFunctionList)dlsym(dl, "C_GetFunctionList") : NULL;
	uint64_t began, end, t, n = 0;

	latency = calloc(LATENCY_MAX, sizeof(*latency));
	if (!list || !latency || list(&p11) != CKR_OK)
		must(CKR_GENERAL_ERROR, opt.module);
	must(p11->C_Initialize(NULL), "initialize");
	must(p11->C_OpenSession(slot_of(opt.label), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
				&session),
	     "session");
	must(p11->C_Login(session, CKU_USER, (unsigned char *)opt.pin, strlen(opt.pin)), "login");
	test->make();
	began = t = now_ns();
	end = began + (uint64_t)(opt.seconds * 1e9);
	while (t < end && n < LATENCY_MAX) {
		uint64_t before = t;

		must(test->once(), test->name);
		t = now_ns();
		latency[n++] = (uint32_t)(t - before);
	}
	qsort(latency, n, sizeof(*latency), by_size);
	printf("{\"test\":\"%s\",\"requests\":%" PRIu64
	       ",\"per_second\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
	       test->name, n, (double)n / ((double)(t - began) / 1e9), latency[n / 2] / 1000.0,
	       latency[n * 99 / 100] / 1000.0);
	p11->C_Finalize(NULL);
	return 0;
}
