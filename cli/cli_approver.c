/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost approver: who may approve campaigns, and their key files. See sealpost-approver(8). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cli_secret.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/secret.h"
#include "keyproto/keyproto_manifest.h"
#include "sys/sys_file.h"

#define SCRYPT_N (1u << 14) /* 16 MiB: what OpenSSL reads without being told to take more */
#define SCRYPT_R 8
#define SCRYPT_P 5

/* --- keygen */

struct keygen {
	const char *file, *passphrase_file;
	int plain;
	char public[4100];
};

static EVP_PKEY *new_key(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static int put_encrypted(BIO *out, EVP_PKEY *key, const char *pass, int n)
{
	PKCS8_PRIV_KEY_INFO *inner = EVP_PKEY2PKCS8(key);
	X509_ALGOR *by = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 16, NULL, SCRYPT_N, SCRYPT_R,
					       SCRYPT_P);
	X509_SIG *sealed = inner && by ? PKCS8_set0_pbe(pass, n, inner, by) : NULL;
	int ok = sealed && PEM_write_bio_PKCS8(out, sealed);

	if (!sealed)
		X509_ALGOR_free(by);
	X509_SIG_free(sealed);
	PKCS8_PRIV_KEY_INFO_free(inner);
	return ok ? 0 : ERR_CRYPTO;
}

/* The passphrase, asked for twice unless it comes from a file; its length or ERR_* after saying why. */
static int new_passphrase(const struct keygen *k, char *pass, char *again)
{
	int n = cli_secret_read(k->passphrase_file, "New passphrase of this key: ", CLI_SECRET_MAX, pass), m;

	if (n < 0 || k->passphrase_file)
		return n;
	m = cli_secret_read(NULL, "Once more: ", CLI_SECRET_MAX, again);
	if (m < 0)
		return m;
	if (m != n || !secret_equal(pass, again, (size_t)n)) {
		cli_fail(EXIT_USAGE, "the two are not the same; nothing was written");
		return ERR_FORMAT;
	}
	return n;
}

/* The private part as PEM. 0, or an exit code after saying why. */
static int put_private(const struct keygen *k, EVP_PKEY *key, BIO *out)
{
	char *pass, *again;
	int n;

	if (k->plain)
		return PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL)
			   ? 0
			   : cli_fail(EXIT_ENVIRONMENT, "OpenSSL cannot write the key");
	pass = secret_alloc(CLI_SECRET_MAX);
	again = secret_alloc(CLI_SECRET_MAX);
	n = pass && again ? new_passphrase(k, pass, again) : ERR_NOMEM;
	if (n > 0 && put_encrypted(out, key, pass, n) < 0)
		n = cli_fail(-1, "OpenSSL cannot encrypt the key");
	else if (n == 0)
		n = cli_fail(-1, "an empty passphrase; --no-passphrase writes a key without one");
	secret_free(pass, CLI_SECRET_MAX);
	secret_free(again, CLI_SECRET_MAX);
	return n > 0 ? 0 : EXIT_USAGE;
}

/* A file that is not there yet. */
static int write_new(const char *path, BIO *from, mode_t mode)
{
	char *p;
	long n = BIO_get_mem_data(from, &p);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode), rc;

	if (fd < 0)
		return cli_fail(errno == EEXIST ? EXIT_USAGE : EXIT_ENVIRONMENT, "%s: %s", path,
				strerror(errno));
	rc = fchmod(fd, mode) || sys_file_write_at(fd, span_of(p, (size_t)n), 0) < 0 || fsync(fd);
	if (close(fd) < 0 || rc) {
		unlink(path);
		return cli_fail(EXIT_ENVIRONMENT, "%s cannot be written", path);
	}
	return 0;
}

static int keygen(const struct keygen *k)
{
	BIO *private = BIO_new(BIO_s_secmem()), *public = BIO_new(BIO_s_mem());
	EVP_PKEY *key = new_key();
	int rc = EXIT_ENVIRONMENT;

	if (private && public && key && PEM_write_bio_PUBKEY(public, key))
		rc = put_private(k, key, private);
	if (rc == 0)
		rc = write_new(k->file, private, 0600);
	if (rc == 0) {
		rc = write_new(k->public, public, 0644);
		if (rc)
			unlink(k->file);
	}
	EVP_PKEY_free(key);
	BIO_free(private);
	BIO_free(public);
	if (rc)
		return rc;
	printf("%s is the key: keep it where only its approver can use it.\n"
	       "%s is its public part, for an officer:\n"
	       "  sealpost approver add NAME --customer CUSTOMER --key %s\n",
	       k->file, k->public, k->public);
	return 0;
}

static int run_keygen(int argc, char **argv)
{
	static const struct option options[] = {{"passphrase-file", 1, NULL, 'p'},
						{"no-passphrase", 0, NULL, 'n'},
						{0}};
	struct keygen k = {NULL};
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'p')
			k.passphrase_file = optarg;
		else if (opt == 'n')
			k.plain = 1;
		else
			return cli_usage("approver");
	}
	if (optind + 1 != argc || (k.plain && k.passphrase_file))
		return cli_usage("approver");
	k.file = argv[optind];
	if (strlen(k.file) > 4090)
		return cli_fail(EXIT_USAGE, "the file's name is too long");
	snprintf(k.public, sizeof(k.public), "%s.pub", k.file);
	if (access(k.file, F_OK) == 0 || access(k.public, F_OK) == 0)
		return cli_fail(EXIT_USAGE, "%s or %s is there already; nothing was written", k.file,
				k.public);
	return keygen(&k);
}

/* --- add, remove, list */

/* The public key of a PEM file as DER; its length, or 0 after saying why, with an exit code in *code. */
static size_t read_public(const char *path, uint8_t out[KEYPROTO_APPROVER_SPKI_MAX], int *code)
{
	FILE *f = fopen(path, "r");
	EVP_PKEY *key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
	char line[256];
	int n = key ? i2d_PUBKEY(key, NULL) : 0, private = 0;

	if (f && !key) {
		rewind(f);
		while (fgets(line, sizeof(line), f))
			private |= strstr(line, "PRIVATE KEY-----") != NULL;
	}
	if (!f)
		*code = cli_fail(EXIT_USAGE, "%s cannot be read: %s", path, strerror(errno));
	else if (private)
		*code = cli_fail(EXIT_USAGE, "%s holds the private key, which is nobody's but the approver's: give "
					     "the public part, FILE.pub", path);
	else if (!key)
		*code = cli_fail(EXIT_USAGE, "%s holds no public key in PEM", path);
	else if (n <= 0 || n > KEYPROTO_APPROVER_SPKI_MAX || i2d_PUBKEY(key, &out) != n ||
		 !keyproto_approver_keytype(span_of(out - n, (size_t)n)))
		*code = cli_fail(EXIT_USAGE, "%s: an approver's key is Ed25519 or EC P-256", path), n = 0;
	EVP_PKEY_free(key);
	if (f)
		fclose(f);
	return n > 0 && key ? (size_t)n : 0;
}

static int add(struct cli *c, const char *name, const char *customer, const char *file)
{
	uint8_t der[KEYPROTO_APPROVER_SPKI_MAX];
	struct keyproto_approver_add m = {span_str(name), span_str(customer), {NULL, 0}};
	struct keyproto_client_sync *k;
	struct span reply;
	int rc = 0;

	if (!keyproto_manifest_person_ok(m.name))
		return cli_fail(EXIT_USAGE, "a name is 1 to 64 letters, digits, '.', '_', '-', '@', '+'");
	m.spki = span_of(der, read_public(file, der, &rc));
	if (rc)
		return rc;
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = keyproto_approver_add_put(keyproto_client_sync_begin(k), &m);
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_APPROVER_ADD, &reply);
	keyproto_client_sync_free(k);
	if (rc == ERR_EXISTS)
		return cli_fail(CLI_NOT_THERE, "there is an approver %s already", name);
	if (rc == ERR_NOTFOUND || rc == ERR_GONE)
		return cli_fail(CLI_NOT_THERE, "there is no customer %s%s", customer,
				rc == ERR_GONE ? " any more" : "");
	if (rc == ERR_FORMAT)
		return cli_fail(EXIT_USAGE, "%s is no customer's name", customer);
	if (rc == ERR_LIMIT)
		return cli_fail(EXIT_ENVIRONMENT, "there are %d approvers, and cannot be more",
				KEYPROTO_APPROVERS_MAX);
	if (rc < 0)
		return cli_keyd_failed(rc);
	printf("%s can approve campaigns of %s from now on.\n", name,
	       strcmp(customer, KEYPROTO_ANY_CUSTOMER) ? customer : "all customers");
	return 0;
}

static int run_add(struct cli *c, int argc, char **argv)
{
	static const struct option options[] = {{"customer", 1, NULL, 'c'},
						{"key", 1, NULL, 'k'},
						{0}};
	const char *customer = NULL, *key = NULL;
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'c')
			customer = optarg;
		else if (opt == 'k')
			key = optarg;
		else
			return cli_usage("approver");
	}
	if (optind + 1 != argc || !customer || !key)
		return cli_usage("approver");
	return add(c, argv[optind], customer, key);
}

static int run_remove(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	struct span reply;
	int rc;

	if (argc != 2 || argv[1][0] == '-')
		return cli_usage("approver");
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = cli_keyd_name(k, KEYPROTO_APPROVER_REMOVE, argv[1], &reply);
	keyproto_client_sync_free(k);
	if (rc == ERR_NOTFOUND || rc == ERR_FORMAT)
		return cli_fail(CLI_NOT_THERE, "there is no approver %s", argv[1]);
	if (rc < 0)
		return cli_keyd_failed(rc);
	printf("%s can approve nothing any more. What keyd countersigned before stays active until it is revoked.\n",
	       argv[1]);
	return 0;
}

/* All approvers as one array, or NULL with *code. */
static json_t *fetch(struct keyproto_client_sync *k, int *code)
{
	json_t *all = json_array(), *page;
	json_int_t at = 0;

	do {
		if (keyproto_approvers_put(keyproto_client_sync_begin(k), (uint32_t)at) < 0 ||
		    !(page = cli_keyd_json(k, KEYPROTO_APPROVERS, code))) {
			json_decref(all);
			return NULL;
		}
		json_array_extend(all, json_object_get(page, "approvers"));
		at = cli_number(page, "next");
		json_decref(page);
	} while (at > 0);
	return all;
}

static void print(const json_t *all)
{
	static const char *const heads[] = {"NAME", "CUSTOMER", "KEY", "ADDED", "FINGERPRINT"};
	struct cli_table *t = cli_table_new(heads, 5, "     ");
	const json_t *a;
	size_t i;

	json_array_foreach(all, i, a)
	{
		char print[20];
		snprintf(print, sizeof(print), "%.16s", cli_text(a, "fingerprint"));
		cli_table_row(t, (const char *const[]){cli_text(a, "name"), cli_text(a, "customer"),
						       cli_text(a, "type"), cli_text(a, "added"), print});
	}
	cli_table_print(t);
	cli_table_free(t);
}

static int run_list(struct cli *c, int argc, char **argv)
{
	int json = argc == 2 && !strcmp(argv[1], "--json"), rc = 0;
	struct keyproto_client_sync *k;
	json_t *all;

	if (argc != 1 && !json)
		return cli_usage("approver");
	k = cli_keyd_either(c, KEYPROTO_ROLE_OFFICER, KEYPROTO_ROLE_AUDITOR);
	if (!k)
		return EXIT_ENVIRONMENT;
	all = fetch(k, &rc);
	keyproto_client_sync_free(k);
	if (!all)
		return rc;
	if (json) {
		json_dumpf(all, stdout, JSON_INDENT(2));
		puts("");
	} else if (json_array_size(all) == 0) {
		puts("Nobody can approve campaigns: \"sealpost approver keygen FILE\" makes a key, "
		     "\"sealpost approver add\" enrols it.");
	} else {
		print(all);
	}
	json_decref(all);
	return 0;
}

int cli_approver(struct cli *c, int argc, char **argv)
{
	if (argc < 2)
		return cli_usage("approver");
	argc--;
	argv++;
	if (!strcmp(argv[0], "keygen"))
		return run_keygen(argc, argv);
	if (!strcmp(argv[0], "add"))
		return run_add(c, argc, argv);
	if (!strcmp(argv[0], "remove"))
		return run_remove(c, argc, argv);
	if (!strcmp(argv[0], "list"))
		return run_list(c, argc, argv);
	return cli_usage("approver");
}
