/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_slot.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_secret.h"
#include "cli/cli_shares.h"
#include "core/err.h"
#include "core/secret.h"

static const char *const methods[] = {[KEYPROTO_SLOT_FILE] = "file",
				      [KEYPROTO_SLOT_PASSPHRASE] = "passphrase",
				      [KEYPROTO_SLOT_CREDENTIAL] = "credential",
				      [KEYPROTO_SLOT_SHARES] = "shares",
				      [KEYPROTO_SLOT_TOKEN] = "token"};
#define METHODS (sizeof(methods) / sizeof(methods[0]))

unsigned cli_slot_method(const char *name)
{
	for (unsigned i = 1; i < METHODS; i++)
		if (!strcmp(name, methods[i]))
			return i;
	return 0;
}

int cli_slot_failed(int err)
{
	static const struct {
		int err, code;
		const char *text;
	} rows[] = {
	    {ERR_AUTH, CLI_NOT_THERE, "keyd refuses: what was given opens nothing"},
	    {ERR_NOTFOUND, CLI_NOT_THERE, "no such slot, or keyd.yaml names no secret of that method, or it is not there"},
	    {ERR_FORMAT, EXIT_USAGE, "keyd refuses: the passphrase is too short, a share has a typo, or a name is odd"},
	    {ERR_BUSY, EXIT_ENVIRONMENT,
	     "keyd makes you wait after a failed try, or the token keeps its PIN back: keyd's log says which"},
	    {ERR_IO, EXIT_ENVIRONMENT, "keyd could not, or the token did not: keyd's log says why"},
	    {ERR_LIMIT, EXIT_ENVIRONMENT, "there are eight slots already: remove one first"},
	    {ERR_BADSTATE, EXIT_ENVIRONMENT, "not possible now; the last slot cannot be removed"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == err)
			return cli_fail(rows[i].code, "%s", rows[i].text);
	return cli_keyd_failed(err);
}

json_t *cli_slot_status(struct keyproto_client_sync *k)
{
	int code;

	keyproto_client_sync_begin(k);
	return cli_keyd_json(k, KEYPROTO_STATUS, &code);
}

static int ask_shares(unsigned need, char *out)
{
	char prompt[64];
	size_t n = 0;
	int got;

	for (unsigned i = 1; i <= need; i++) {
		snprintf(prompt, sizeof(prompt), "Share %u of %u: ", i, need);
		got = cli_secret_read(NULL, prompt, CLI_SLOT_SECRET_MAX - n - 1, out + n);
		if (got <= 0)
			return got;
		n += (size_t)got;
		out[n++] = '\n';
	}
	return (int)n;
}

int cli_slot_ask(unsigned method, unsigned need, const char *file, char *out)
{
	int n;

	if (!file && method == KEYPROTO_SLOT_TOKEN && !isatty(STDIN_FILENO))
		return 0;
	if (!file && method == KEYPROTO_SLOT_SHARES)
		n = ask_shares(need, out);
	else
		n = cli_secret_read(file,
				    method == KEYPROTO_SLOT_TOKEN ? "PIN of the token (empty: keyd has it): "
								  : "Passphrase: ",
				    CLI_SLOT_SECRET_MAX, out);
	if (n == 0 && method == KEYPROTO_SLOT_TOKEN)
		return 0;
	if (n == 0)
		cli_fail(0, "nothing was given");
	return n == 0 ? ERR_FORMAT : n;
}

/* --- list */

static int list(struct cli *c, int argc, char **argv)
{
	static const char *const heads[] = {"ID", "METHOD", "NAME", "CREATED", "SAFE", "OFFLINE"};
	struct keyproto_client_sync *k;
	struct cli_table *t;
	json_t *j, *s, *w;
	size_t i;

	(void)argv;
	if (argc != 1)
		return cli_usage("key");
	k = cli_keyd_either(c, KEYPROTO_ROLE_OPERATOR, KEYPROTO_ROLE_OFFICER);
	j = k ? cli_slot_status(k) : NULL;
	keyproto_client_sync_free(k);
	if (!j)
		return EXIT_ENVIRONMENT;
	t = cli_table_new(heads, 6, "rlllll");
	json_array_foreach(json_object_get(j, "slots"), i, s)
	{
		char id[16], method[48];
		snprintf(id, sizeof(id), "%lld", (long long)cli_number(s, "id"));
		snprintf(method, sizeof(method), "%.20s", cli_text(s, "method"));
		if (cli_number(s, "of"))
			snprintf(method, sizeof(method), "%.20s %lld/%lld", cli_text(s, "method"),
				 (long long)cli_number(s, "need"), (long long)cli_number(s, "of"));
		cli_table_row(t, (const char *[]){id, method, cli_text(s, "name"), cli_text(s, "created"),
						  json_is_true(json_object_get(s, "safe")) ? "yes" : "no",
						  json_is_true(json_object_get(s, "offline")) ? "yes" : "no"});
	}
	cli_table_print(t);
	cli_table_free(t);
	json_array_foreach(json_object_get(j, "warnings"), i, w)
	    printf("warning: %s\n", json_string_value(w));
	json_decref(j);
	return 0;
}

/* --- add */

struct add {
	unsigned method, opener;
	const char *name, *shares, *out;
	const char *secret_file, *opener_file;
	struct keyproto_slot_add m;
	char *secret, *opens; /* secret memory */
};

/* The first slot of a method in keyd's account, or NULL. */
static const json_t *slot_of(const json_t *status, unsigned method)
{
	const json_t *slots = json_object_get(status, "slots");

	for (size_t i = 0; i < json_array_size(slots); i++)
		if (!strcmp(cli_text(json_array_get(slots, i), "method"), methods[method]))
			return json_array_get(slots, i);
	return NULL;
}

/* What opens the root: as asked for; else what needs nobody, else what people have. */
static unsigned choose_opener(const struct add *a, const json_t *status)
{
	static const uint8_t order[] = {KEYPROTO_SLOT_PASSPHRASE, KEYPROTO_SLOT_SHARES, KEYPROTO_SLOT_TOKEN};

	if (a->opener)
		return a->opener;
	if (slot_of(status, KEYPROTO_SLOT_FILE) || slot_of(status, KEYPROTO_SLOT_CREDENTIAL))
		return KEYPROTO_SLOT_ANY;
	for (unsigned i = 0; i < sizeof(order); i++)
		if (slot_of(status, order[i]))
			return order[i];
	return KEYPROTO_SLOT_ANY;
}

static int needs_secret(unsigned method)
{
	return method == KEYPROTO_SLOT_PASSPHRASE || method == KEYPROTO_SLOT_SHARES || method == KEYPROTO_SLOT_TOKEN;
}

/* Fills the request. 0, or an exit code after saying why. */
static int prepare(struct add *a, const json_t *status)
{
	unsigned opener = choose_opener(a, status);
	int n = 0;

	a->m.opener.method = (uint8_t)opener;
	a->m.slot.method = (uint8_t)a->method;
	a->m.name = span_str(a->name);
	if (needs_secret(opener)) {
		if (!a->opener_file)
			fprintf(stderr, "To open the root key:\n");
		n = cli_slot_ask(opener, (unsigned)cli_number(slot_of(status, opener), "need"), a->opener_file, a->opens);
		if (n < 0)
			return EXIT_USAGE;
		a->m.opener.secret = span_of(a->opens, (size_t)n);
	}
	if (a->method == KEYPROTO_SLOT_PASSPHRASE || a->method == KEYPROTO_SLOT_TOKEN) {
		if (!a->secret_file)
			fprintf(stderr, "For the new slot:\n");
		n = cli_slot_ask(a->method, 0, a->secret_file, a->secret);
		if (n < 0)
			return EXIT_USAGE;
		a->m.slot.secret = span_of(a->secret, (size_t)n);
	}
	if (a->method == KEYPROTO_SLOT_SHARES)
		return cli_shares_check(a->out, a->m.of);
	return 0;
}

static int remove_slot(struct keyproto_client_sync *k, uint32_t id)
{
	struct span reply;
	int rc = keyproto_slot_remove_put(keyproto_client_sync_begin(k), id);

	return rc < 0 ? rc : keyproto_client_sync_call(k, KEYPROTO_SLOT_REMOVE, &reply);
}

int cli_slot_made(struct span reply, const char *out, uint32_t *id)
{
	struct keyproto_slot_made made;
	int rc = keyproto_slot_made_get(reply, &made);

	*id = 0;
	if (rc < 0)
		return cli_keyd_failed(rc);
	*id = made.id;
	printf("Slot        %u\n", (unsigned)made.id);
	return made.count ? cli_shares_deliver(out, &made) : 0;
}

static int add_with(struct add *a, struct keyproto_client_sync *k)
{
	struct span reply;
	uint32_t id;
	int rc = keyproto_slot_add_put(keyproto_client_sync_begin(k), &a->m);

	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_SLOT_ADD, &reply);
	if (rc < 0)
		return cli_slot_failed(rc);
	rc = cli_slot_made(reply, a->out, &id);
	if (rc != 0 && id && remove_slot(k, id) == 0)
		fprintf(stderr, "sealpost: slot %u was removed again\n", (unsigned)id);
	return rc;
}

static int parse_add(struct add *a, int argc, char **argv)
{
	static const struct option options[] = {{"name", required_argument, NULL, 'n'},
						{"shares", required_argument, NULL, 's'},
						{"out", required_argument, NULL, 'o'},
						{"secret-file", required_argument, NULL, 'f'},
						{"with", required_argument, NULL, 'w'},
						{"with-file", required_argument, NULL, 'F'},
						{NULL, 0, NULL, 0}};
	const char **const values[] = {&a->name, &a->shares, &a->out, &a->secret_file, NULL, &a->opener_file};
	int opt, at;

	while ((opt = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (opt == '?')
			return cli_usage("key");
		if (opt != 'w')
			*values[at] = optarg;
		else if (!(a->opener = cli_slot_method(optarg)))
			return cli_fail(EXIT_USAGE, "--with: no such method");
	}
	if (optind + 1 != argc || !(a->method = cli_slot_method(argv[optind])))
		return cli_usage("key");
	if ((a->method == KEYPROTO_SLOT_SHARES) != (a->shares != NULL) || (a->out && !a->shares))
		return cli_fail(EXIT_USAGE, "--shares NEED/OF, and perhaps --out DIR, are for method shares");
	return a->shares ? cli_shares_parse(a->shares, &a->m.need, &a->m.of) : 0;
}

static int add(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	struct add a = {.name = ""};
	json_t *status;
	int rc = parse_add(&a, argc, argv);

	if (rc)
		return rc;
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	status = k ? cli_slot_status(k) : NULL;
	a.secret = secret_alloc(CLI_SLOT_SECRET_MAX);
	a.opens = secret_alloc(CLI_SLOT_SECRET_MAX);
	rc = status && a.secret && a.opens ? prepare(&a, status) : EXIT_ENVIRONMENT;
	if (rc == 0)
		rc = add_with(&a, k);
	secret_free(a.secret, CLI_SLOT_SECRET_MAX);
	secret_free(a.opens, CLI_SLOT_SECRET_MAX);
	json_decref(status);
	keyproto_client_sync_free(k);
	return rc;
}

/* --- remove, test */

static int parse_id(const char *text, uint32_t *id)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	*id = (uint32_t)v;
	return *text && !*end && v >= 1 && v <= UINT32_MAX ? 0 : cli_fail(EXIT_USAGE, "%s: not a slot's id", text);
}

static int take_away(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	json_t *status, *w;
	uint32_t id;
	size_t i;
	int rc;

	if (argc != 2)
		return cli_usage("key");
	rc = parse_id(argv[1], &id);
	if (rc)
		return rc;
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = remove_slot(k, id);
	if (rc < 0) {
		keyproto_client_sync_free(k);
		return cli_slot_failed(rc);
	}
	printf("Slot %u is removed. Older copies of the store still open by it.\n", (unsigned)id);
	status = cli_slot_status(k);
	json_array_foreach(json_object_get(status, "warnings"), i, w)
	    printf("warning: %s\n", json_string_value(w));
	json_decref(status);
	keyproto_client_sync_free(k);
	return 0;
}

static const json_t *slot_by_id(const json_t *status, uint32_t id)
{
	const json_t *slots = json_object_get(status, "slots");

	for (size_t i = 0; i < json_array_size(slots); i++)
		if (cli_number(json_array_get(slots, i), "id") == (json_int_t)id)
			return json_array_get(slots, i);
	return NULL;
}

static int try_with(struct keyproto_client_sync *k, uint32_t id, const char *file, const json_t *slot, char *secret)
{
	unsigned method = cli_slot_method(cli_text(slot, "method"));
	struct keyproto_slot_test m = {.id = id};
	struct span reply;
	int n = 0, rc;

	if (needs_secret(method))
		n = cli_slot_ask(method, (unsigned)cli_number(slot, "need"), file, secret);
	if (n < 0)
		return EXIT_USAGE;
	m.secret = span_of(secret, (size_t)n);
	rc = keyproto_slot_test_put(keyproto_client_sync_begin(k), &m);
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_SLOT_TEST, &reply);
	if (rc < 0)
		return cli_slot_failed(rc);
	printf("Slot %u opens the root key.\n", (unsigned)id);
	return 0;
}

static int test(struct cli *c, int argc, char **argv)
{
	const char *file = argc == 4 && !strcmp(argv[2], "--secret-file") ? argv[3] : NULL;
	struct keyproto_client_sync *k;
	const json_t *slot;
	json_t *status;
	char *secret;
	uint32_t id;
	int rc;

	if (argc != 2 && !file)
		return cli_usage("key");
	rc = parse_id(argv[1], &id);
	if (rc)
		return rc;
	k = cli_keyd_either(c, KEYPROTO_ROLE_OPERATOR, KEYPROTO_ROLE_OFFICER);
	status = k ? cli_slot_status(k) : NULL;
	secret = secret_alloc(CLI_SLOT_SECRET_MAX);
	slot = slot_by_id(status, id);
	if (!status || !secret)
		rc = EXIT_ENVIRONMENT;
	else
		rc = slot ? try_with(k, id, file, slot, secret) : cli_slot_failed(ERR_NOTFOUND);
	secret_free(secret, CLI_SLOT_SECRET_MAX);
	json_decref(status);
	keyproto_client_sync_free(k);
	return rc;
}

static const struct {
	const char *name;
	int (*run)(struct cli *c, int argc, char **argv);
} commands[] = {{"add", add}, {"remove", take_away}, {"list", list}, {"test", test}};

int cli_slot(struct cli *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(c, argc - 1, argv + 1);
	return cli_usage("key");
}
