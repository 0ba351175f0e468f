/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost ledger verify: by relay itself, or of a copy by whoever has the public key; and that key. */
#include "cli/cli_ledger.h"

#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/id.h"
#include "keyproto/keyproto_checkpoint.h"
#include "sys/sys_map.h"

#define KEYS_MAX 16 /* in a file: versions of the key */
#define POLL_NSEC 200000000

static void say_progress(json_int_t done, json_int_t of)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%lld of %lld rows", (long long)done, (long long)of);
}

static void end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r                                                  \r", stderr);
}

/* --- the result, said the same way for both */

struct result {
	json_int_t first, rows, events, checkpoints, signed_to;
	json_int_t row, from, offset;
	const char *file, *message, *reason;
};

static void say_good(const struct result *r)
{
	if (!r->first || r->rows < r->first)
		printf("The ledger is whole. It has no rows.\n");
	else
		printf("The ledger is whole: rows %lld to %lld, %lld checkpoints.\n", (long long)r->first,
		       (long long)r->rows, (long long)r->checkpoints);
	if (r->events)
		printf("%lld events of readers are bound into it.\n", (long long)r->events);
	if (r->rows > r->signed_to)
		printf("Rows %lld to %lld are not signed yet: the next checkpoint covers them.\n",
		       (long long)r->signed_to + 1, (long long)r->rows);
}

static int say_bad(const struct result *r)
{
	printf("The ledger is NOT whole. The first bad place:\n");
	printf("  file    %s, offset %lld\n", r->file, (long long)r->offset);
	if (r->from && r->from < r->row)
		printf("  rows    %lld to %lld\n", (long long)r->from, (long long)r->row);
	else
		printf("  row     %lld\n", (long long)r->row);
	if (*r->message)
		printf("  message %s\n", r->message);
	printf("  what    %s\n", r->reason);
	if (r->signed_to)
		printf("Checkpoints vouch for the rows up to %lld.\n", (long long)r->signed_to);
	return CLI_NOT_THERE;
}

/* --- by relay */

static int judge(const json_t *answer)
{
	const json_t *bad = json_object_get(answer, "bad");
	const char *state = cli_text(answer, "state");
	struct result r = {.first = cli_number(answer, "first"),
			   .rows = cli_number(answer, "rows"),
			   .events = cli_number(answer, "events"),
			   .checkpoints = cli_number(answer, "checkpoints"),
			   .signed_to = cli_number(answer, "signed"),
			   .row = cli_number(bad, "row"),
			   .from = cli_number(bad, "from"),
			   .offset = cli_number(bad, "offset"),
			   .file = cli_text(bad, "file"),
			   .message = cli_text(bad, "message"),
			   .reason = cli_text(bad, "reason")};

	if (!strcmp(state, "bad"))
		return say_bad(&r);
	if (strcmp(state, "good") != 0)
		return cli_fail(EXIT_ENVIRONMENT, "not verified: %s", cli_text(answer, "why"));
	say_good(&r);
	return 0;
}

static int by_relay(struct cli *c)
{
	const struct timespec pause = {0, POLL_NSEC};
	json_t *answer = NULL;
	int rc = cli_api(c, "POST", "/v1/ledger/verify", 0, &answer);

	while (!rc && !strcmp(cli_text(answer, "state"), "running")) {
		say_progress(cli_number(answer, "done"), cli_number(answer, "of"));
		json_decref(answer);
		answer = NULL;
		nanosleep(&pause, NULL);
		rc = cli_api(c, "GET", "/v1/ledger/verify", 0, &answer);
	}
	end_progress();
	if (!rc)
		rc = judge(answer);
	json_decref(answer);
	return rc;
}

/* --- of a copy */

struct copy {
	const char *dir;
	struct cli *cli;
	struct keyproto_client_sync *keyd; /* NULL: the key is from a file */
	uint8_t keys[KEYS_MAX][KEYPROTO_CHECKPOINT_SPKI];
	uint32_t versions[KEYS_MAX]; /* of keyd's; 0: of a file */
	unsigned count;
	struct ledger_verify_last last;
};

static int public_key(struct keyproto_client_sync *keyd, uint32_t version, uint8_t spki[KEYPROTO_CHECKPOINT_SPKI])
{
	struct keyproto_public m;
	struct span reply;
	char label[40] = "audit/ledger";
	int err;

	if (version)
		snprintf(label, sizeof(label), "audit/ledger#%u", (unsigned)version);
	err = cli_keyd_name(keyd, KEYPROTO_PUBLIC_KEY, label, &reply);
	if (err == 0)
		err = keyproto_public_get(reply, &m);
	if (err == 0 && m.spki.n != KEYPROTO_CHECKPOINT_SPKI)
		err = ERR_FORMAT;
	if (err == 0)
		memcpy(spki, m.spki.p, KEYPROTO_CHECKPOINT_SPKI);
	return err;
}

/* Each version of the key that checkpoints name is asked for once. */
static int signature(void *arg, const struct ledger_checkpoint *c)
{
	struct copy *k = arg;
	int known = 0, err = ERR_AUTH;

	for (unsigned i = 0; err == ERR_AUTH && i < k->count; i++) {
		known |= k->versions[i] == c->version;
		err = ledger_verify_signature(span_of(k->keys[i], KEYPROTO_CHECKPOINT_SPKI), c);
	}
	if (err == 0 || !k->keyd || known || k->count == KEYS_MAX || !c->version)
		return err;
	err = public_key(k->keyd, c->version, k->keys[k->count]);
	if (err < 0)
		return err == ERR_NOTFOUND ? ERR_AUTH : err;
	k->versions[k->count++] = c->version;
	return ledger_verify_signature(span_of(k->keys[k->count - 1], KEYPROTO_CHECKPOINT_SPKI), c);
}

static int keys_of_file(struct copy *k, const char *path)
{
	FILE *f = fopen(path, "r");
	EVP_PKEY *key;

	if (!f)
		return cli_fail(EXIT_USAGE, "%s cannot be read", path);
	while (k->count < KEYS_MAX && (key = PEM_read_PUBKEY(f, NULL, NULL, NULL))) {
		uint8_t *p = k->keys[k->count];
		if (i2d_PUBKEY(key, NULL) == KEYPROTO_CHECKPOINT_SPKI && i2d_PUBKEY(key, &p) > 0)
			k->count++;
		EVP_PKEY_free(key);
	}
	fclose(f);
	return k->count ? 0 : cli_fail(EXIT_USAGE, "%s holds no Ed25519 public key in PEM", path);
}

static int ask_keyd(struct copy *k)
{
	struct keyproto_checkpoint_last m;
	struct span reply;
	int err;

	k->keyd = cli_keyd_either(k->cli, KEYPROTO_ROLE_AUDITOR, KEYPROTO_ROLE_OFFICER);
	if (!k->keyd)
		return EXIT_ENVIRONMENT;
	err = cli_keyd_name(k->keyd, KEYPROTO_CHECKPOINT_LAST, "ledger", &reply);
	if (err == 0)
		err = keyproto_checkpoint_last_get(reply, &m);
	if (err < 0 && err != ERR_NOTFOUND)
		return cli_keyd_failed(err);
	k->last.known = 1;
	if (err == 0) {
		k->last.counter = m.counter;
		k->last.rows = m.rows;
	}
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_file(const struct dirent *e)
{
	uint64_t first;

	return ledger_record_name_parse(e->d_name, ".log", &first) == 0;
}

static int one_file(struct copy *k, struct ledger_verify *v, const char *name, int last)
{
	char path[4400];
	struct span bytes;
	uint64_t first = 0;
	int err;

	ledger_record_name_parse(name, ".log", &first);
	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	err = sys_map_open(path, 0, &bytes);
	sys_map_in_order(bytes);
	if (err == 0)
		err = ledger_verify_file(v, first, bytes, last ? LEDGER_VERIFY_LAST : LEDGER_VERIFY_MORE);
	sys_map_close(&bytes);
	return err;
}

static int all_files(struct copy *k, struct ledger_verify *v)
{
	struct dirent **names;
	int n = scandir(k->dir, &names, is_file, by_name), err = 0;

	if (n < 0)
		return ERR_NOTFOUND;
	for (int i = 0; i < n; i++) {
		if (err == 0)
			err = one_file(k, v, names[i]->d_name, i + 1 == n);
		say_progress((json_int_t)v->rows, (json_int_t)(k->last.rows > v->rows ? k->last.rows : v->rows));
		free(names[i]);
	}
	free(names);
	end_progress();
	if (err == 0 && n == 0)
		return ERR_NOTFOUND;
	return err < 0 ? err : ledger_verify_end(v, &k->last);
}

static int say_no_files(const struct copy *k)
{
	if (!k->last.rows)
		return cli_fail(EXIT_USAGE, "%s: no files of a ledger", k->dir);
	printf("The ledger is NOT whole: no file of it is in %s, and keyd signed rows 1 to %llu.\n", k->dir,
	       (unsigned long long)k->last.rows);
	return CLI_NOT_THERE;
}

/* keyd was not asked, and no signature was found: all of it could have been made by anybody. */
static int say_unsigned(const struct ledger_verify *v)
{
	printf("No checkpoint vouches for rows %llu to %llu: anybody could have made them.\n",
	       (unsigned long long)v->first, (unsigned long long)v->rows);
	return CLI_NOT_THERE;
}

static int say_copy(const struct copy *k, const struct ledger_verify *v, int err)
{
	char file[LEDGER_NAME], message[ID_TEXT_SIZE] = "";
	struct result r = {.first = (json_int_t)v->first,
			   .rows = (json_int_t)v->rows,
			   .events = (json_int_t)v->events,
			   .checkpoints = (json_int_t)v->checkpoints,
			   .signed_to = (json_int_t)v->signed_to,
			   .row = (json_int_t)v->row,
			   .from = (json_int_t)v->from,
			   .offset = (json_int_t)v->offset,
			   .file = file,
			   .message = message,
			   .reason = v->reason};

	ledger_record_name(file, v->file, ".log");
	if (v->message)
		id_format(message, v->message);
	if (err == ERR_DAMAGED && v->reason)
		return say_bad(&r);
	if (err == ERR_NOTFOUND)
		return say_no_files(k);
	if (err < 0)
		return cli_fail(EXIT_ENVIRONMENT, "not verified: %s", err_text(err));
	if (!k->last.known && !v->signed_to && v->first && v->rows >= v->first)
		return say_unsigned(v);
	say_good(&r);
	if (v->torn)
		printf("%llu octets behind the last row are of a batch that was being written.\n",
		       (unsigned long long)v->torn);
	if (!k->last.known)
		printf("keyd was not asked: rows cut off at the end would not be noticed.\n");
	return 0;
}

static int of_copy(struct cli *c, const char *dir, const char *key)
{
	struct copy k = {.dir = dir, .cli = c};
	struct ledger_verify v;
	int rc = key ? keys_of_file(&k, key) : ask_keyd(&k);

	if (!rc) {
		rc = ledger_verify_init(&v, signature, &k) < 0
			 ? cli_fail(EXIT_ENVIRONMENT, "out of memory")
			 : say_copy(&k, &v, all_files(&k, &v));
		ledger_verify_clear(&v);
	}
	keyproto_client_sync_free(k.keyd);
	return rc;
}

int cli_ledger_verify(struct cli *c, int argc, char **argv)
{
	static const struct option options[] = {
	    {"from", required_argument, NULL, 'f'}, {"key", required_argument, NULL, 'k'}, {NULL, 0, NULL, 0}};
	const char *dir = NULL, *key = NULL;
	int opt;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'f')
			dir = optarg;
		else if (opt == 'k')
			key = optarg;
		else
			return cli_usage("ledger");
	}
	if (optind < argc || (key && !dir))
		return cli_usage("ledger");
	return dir ? of_copy(c, dir, key) : by_relay(c);
}

/* --- the public key */

int cli_ledger_key(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *keyd;
	uint8_t spki[KEYPROTO_CHECKPOINT_SPKI];
	const uint8_t *p = spki;
	EVP_PKEY *key;
	int err;

	(void)argv;
	if (argc > 1)
		return cli_usage("ledger");
	keyd = cli_keyd_either(c, KEYPROTO_ROLE_AUDITOR, KEYPROTO_ROLE_OFFICER);
	if (!keyd)
		return EXIT_ENVIRONMENT;
	err = public_key(keyd, 0, spki);
	keyproto_client_sync_free(keyd);
	if (err == ERR_NOTFOUND)
		return cli_fail(CLI_NOT_THERE, "there is no such key yet: keyd makes it for the first checkpoint");
	if (err < 0)
		return cli_keyd_failed(err);
	key = d2i_PUBKEY(NULL, &p, sizeof(spki));
	if (!key || PEM_write_PUBKEY(stdout, key) != 1)
		err = cli_fail(EXIT_ENVIRONMENT, "the key cannot be printed");
	EVP_PKEY_free(key);
	return err;
}
