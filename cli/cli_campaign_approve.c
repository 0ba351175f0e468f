/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost campaign approve: shows what is to be approved, asks, and signs its hash with the approver's own key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "cli/cli_campaign.h"
#include "cli/cli_secret.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/secret.h"
#include "keyproto/keyproto_manifest.h"

/* --- the key */

/* OpenSSL asks only for a key that is encrypted. */
static int on_passphrase(char *out, int size, int writing, void *arg)
{
	const struct cli_campaign *k = arg;
	char *pass = secret_alloc(CLI_SECRET_MAX);
	int n = pass ? cli_secret_read(k->passphrase_file, "Passphrase of the approver's key: ", CLI_SECRET_MAX, pass) : -1;

	(void)writing;
	if (n > size)
		n = -1;
	if (n > 0)
		memcpy(out, pass, (size_t)n);
	secret_free(pass, CLI_SECRET_MAX);
	return n > 0 ? n : -1;
}

static EVP_PKEY *read_key(struct cli_campaign *k)
{
	FILE *f = fopen(k->key, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, on_passphrase, k) : NULL;

	if (!f)
		cli_fail(0, "%s: cannot be read", k->key);
	else if (!key)
		cli_fail(0, "%s: no private key in PEM, or another passphrase", k->key);
	else if (EVP_PKEY_get_id(key) != EVP_PKEY_ED25519 && EVP_PKEY_get_id(key) != EVP_PKEY_EC) {
		cli_fail(0, "%s: must be an Ed25519 or EC P-256 key", k->key);
		EVP_PKEY_free(key);
		key = NULL;
	}
	if (f)
		fclose(f);
	return key;
}

static int sign(EVP_PKEY *key, struct span text, uint8_t out[KEYPROTO_MANIFEST_SIG_MAX], size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = EVP_PKEY_get_id(key) == EVP_PKEY_EC ? EVP_sha256() : NULL;
	int ok;

	*n = KEYPROTO_MANIFEST_SIG_MAX;
	ok = ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
	     EVP_DigestSign(ctx, out, n, text.p, text.n) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : cli_fail(EXIT_ENVIRONMENT, "the key does not sign: it must be Ed25519 or EC P-256");
}

/* --- what is sent */

static int sign_version(struct cli_campaign *k, const struct cli_campaign_version *v, json_t *ask)
{
	const struct keyproto_manifest m = {.customer = span_str(v->manifest->customer),
					    .campaign = span_str(v->manifest->campaign),
					    .version = v->manifest->version,
					    .hash = v->manifest->hash,
					    .author = span_str(v->manifest->author),
					    .approver = span_str(k->approver)};
	uint8_t signature[KEYPROTO_MANIFEST_SIG_MAX];
	char text64[HEX_B64_SIZE(sizeof(signature))];
	EVP_PKEY *key = read_key(k);
	struct buf text;
	size_t n;
	int rc = key ? 0 : EXIT_USAGE;

	buf_init(&text, KEYPROTO_MANIFEST_TEXT);
	if (rc == 0 && keyproto_manifest_approver_text(&text, &m) < 0)
		rc = cli_fail(EXIT_USAGE, "--approver: must be 1 to 64 of A-Z a-z 0-9 . _ - @ +");
	if (rc == 0)
		rc = sign(key, buf_span(&text), signature, &n);
	if (rc == 0) {
		text64[hex_b64_encode(text64, signature, n)] = '\0';
		json_object_set_new(ask, "signature", json_string(text64));
	}
	EVP_PKEY_free(key);
	buf_clear(&text);
	return rc;
}

/* The version that is active now, to compare with: 1, or 0 if there is none. */
static int fetch_active(struct cli_campaign *k, json_int_t but, struct cli_campaign_version *v)
{
	const char *customer = k->customer ? k->customer : "default";
	json_t *answer, *item;
	json_int_t version = 0;
	char path[256];
	size_t i;

	snprintf(path, sizeof(path), "/v1/campaigns/%.100s", k->args[0]);
	if (cli_api(k->cli, "GET", path, 0, &answer))
		return 0;
	json_array_foreach(json_object_get(answer, "items"), i, item)
		if (!version && !strcmp(cli_text(item, "state"), "active") && !strcmp(cli_text(item, "customer"), customer))
			version = cli_number(item, "version");
	json_decref(answer);
	return version && version != but && cli_campaign_fetch(k, k->args[0], version, v) == 0;
}

static void show(struct cli_campaign *k, const struct cli_campaign_version *v)
{
	struct cli_campaign_version old;

	cli_campaign_print(v);
	if (!fetch_active(k, v->manifest->version, &old)) {
		puts("\nNo version of it is active: nothing to compare with.");
		return;
	}
	printf("\nCOMPARED WITH VERSION %u, WHICH IS ACTIVE\n", old.manifest->version);
	cli_campaign_compare(&old, v);
	cli_campaign_version_clear(&old);
}

static int agreed(const struct cli_campaign *k, const struct cli_campaign_version *v)
{
	char answer[16] = "";

	if (k->yes)
		return 1;
	printf("\nApprove version %u of %s as %s? [y/N] ", v->manifest->version, v->manifest->campaign, k->approver);
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int approve(struct cli_campaign *k, const struct cli_campaign_version *v)
{
	json_t *ask = cli_campaign_which(k, k->args[0], v->manifest->version), *answer;
	int rc, other;

	json_object_set(ask, "hash", json_object_get(v->row, "hash"));
	json_object_set_new(ask, "approver", json_string(k->approver));
	rc = sign_version(k, v, ask);
	if (rc == 0)
		rc = cli_api_body(k->cli, "POST", "/v1/campaigns/approve", ask, 0, &answer);
	json_decref(ask);
	if (rc)
		return rc;
	if (k->json)
		return cli_campaign_json(answer);
	other = strcmp(v->manifest->customer, "default") != 0;
	printf("Approved version %u of %s, as %s.\nNext       sealpost campaign activate %s%s%s --version %u\n",
	       v->manifest->version, v->manifest->campaign, k->approver, v->manifest->campaign,
	       other ? " --customer " : "", other ? v->manifest->customer : "", v->manifest->version);
	json_decref(answer);
	return 0;
}

int cli_campaign_approve(struct cli_campaign *k)
{
	struct cli_campaign_version v;
	int rc;

	if (!k->approver || !k->key)
		return cli_fail(EXIT_USAGE, "--approver NAME and --key FILE say who approves, and with which key");
	if (k->json && !k->yes)
		return cli_fail(EXIT_USAGE, "--json asks nothing: it needs --yes");
	rc = cli_campaign_fetch(k, k->args[0], k->version, &v);
	if (rc)
		return rc;
	if (!k->json)
		show(k, &v);
	rc = agreed(k, &v) ? approve(k, &v) : cli_fail(CLI_NOT_THERE, "nothing was approved");
	cli_campaign_version_clear(&v);
	return rc;
}
