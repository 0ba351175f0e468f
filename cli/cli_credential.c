/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost credential: who may log in here, and as whom relay logs in elsewhere. */
#include <getopt.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_secret.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/rand.h"
#include "core/secret.h"

#define PASSWORD_MAX 255
#define GENERATED    18 /* octets: 24 characters */

struct wish {
	const char *kind, *name, *customer, *login, *file, *certificate, *messages, *recipients;
	long connections;
	int generate, yes;
};

static int kind_ok(const char *kind)
{
	return !strcmp(kind, "inbound") || !strcmp(kind, "upstream");
}

/* KIND NAME [options]: 0, or an exit code. */
static int read_wish(struct wish *w, int argc, char **argv)
{
	static const struct option options[] = {
	    {"customer", required_argument, NULL, 'c'},	    {"login", required_argument, NULL, 'l'},
	    {"password-file", required_argument, NULL, 'f'}, {"certificate", required_argument, NULL, 'x'},
	    {"messages", required_argument, NULL, 'm'},	    {"recipients", required_argument, NULL, 'r'},
	    {"connections", required_argument, NULL, 'n'},   {"generate", no_argument, NULL, 'g'},
	    {"yes", no_argument, NULL, 'y'},		     {NULL, 0, NULL, 0}};
	int opt;

	memset(w, 0, sizeof(*w));
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'c': w->customer = optarg; break;
		case 'l': w->login = optarg; break;
		case 'f': w->file = optarg; break;
		case 'x': w->certificate = optarg; break;
		case 'm': w->messages = optarg; break;
		case 'r': w->recipients = optarg; break;
		case 'n': w->connections = strtol(optarg, NULL, 10); break;
		case 'g': w->generate = 1; break;
		case 'y': w->yes = 1; break;
		default: return cli_usage("credential");
		}
	}
	if (argc - optind != 2)
		return cli_usage("credential");
	w->kind = argv[optind];
	w->name = argv[optind + 1];
	if (!kind_ok(w->kind))
		return cli_fail(EXIT_USAGE, "%s: a credential is inbound or upstream", w->kind);
	if (w->file && w->generate)
		return cli_fail(EXIT_USAGE, "give --password-file or --generate, not both");
	return 0;
}

/* Its length, or an exit code below 0. */
static int get_password(const struct wish *w, char password[PASSWORD_MAX + 1])
{
	uint8_t random[GENERATED];
	char prompt[128];
	int n;

	if (w->generate) {
		rand_bytes(random, sizeof(random));
		hex_b64url_encode(password, random, sizeof(random));
		secret_wipe(random, sizeof(random));
		return (int)strlen(password);
	}
	snprintf(prompt, sizeof(prompt), "Password of %s credential %s: ", w->kind, w->name);
	n = cli_secret_read(w->file, prompt, PASSWORD_MAX, password);
	if (n < 0)
		return -EXIT_ENVIRONMENT;
	password[n] = '\0';
	if (n == 0) {
		cli_fail(0, "a password must not be empty");
		return -EXIT_USAGE;
	}
	return n;
}

static int fingerprint_of(const char *path, char out[HEX_SIZE(32)])
{
	FILE *f = fopen(path, "re");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	uint8_t digest[32];
	unsigned n = 0;

	if (f)
		fclose(f);
	if (!x || !X509_digest(x, EVP_sha256(), digest, &n)) {
		X509_free(x);
		return cli_fail(EXIT_USAGE, "%s: no certificate in PEM", path);
	}
	X509_free(x);
	hex_encode(out, digest, 32);
	return 0;
}

static void put(json_t *body, const char *name, const char *value)
{
	if (value)
		json_object_set_new(body, name, json_string(value));
}

/* Sends, wipes the password, and tells a generated one. */
static int send(struct cli *c, const struct wish *w, const char *method, const char *path, json_t *body,
		char *password, const char *done)
{
	json_t *j, *kept;
	int rc;

	if (*password)
		put(body, "password", password);
	rc = cli_api_body(c, method, path, body, 0, &j);
	kept = json_object_get(body, "password");
	if (kept)
		secret_wipe((char *)(uintptr_t)json_string_value(kept), strlen(password));
	json_decref(body);
	if (rc == 0) {
		json_decref(j);
		printf("%s credential %s %s.\n", w->kind, w->name, done);
		if (w->generate)
			printf("Password: %s\nIt is not shown again.\n", password);
	}
	secret_wipe(password, PASSWORD_MAX + 1);
	return rc;
}

static int add(struct cli *c, int argc, char **argv)
{
	char password[PASSWORD_MAX + 1] = "", fingerprint[HEX_SIZE(32)];
	struct wish w;
	json_t *body;
	int rc = read_wish(&w, argc, argv);

	if (rc == 0 && w.certificate)
		rc = fingerprint_of(w.certificate, fingerprint);
	if (rc)
		return rc;
	if (!strcmp(w.kind, "upstream") && !w.login)
		return cli_fail(EXIT_USAGE, "an upstream credential needs --login, the user name there");
	if (!w.certificate || w.file || w.generate) {
		rc = get_password(&w, password);
		if (rc < 0)
			return -rc;
	}
	body = json_object();
	put(body, "kind", w.kind);
	put(body, "name", w.name);
	put(body, "customer", w.customer);
	put(body, "login", w.login);
	put(body, "messages", w.messages);
	put(body, "recipients", w.recipients);
	put(body, "fingerprint", w.certificate ? fingerprint : NULL);
	if (w.connections)
		json_object_set_new(body, "connections", json_integer(w.connections));
	return send(c, &w, "POST", "/v1/credentials", body, password, "added");
}

static void path_of(char path[160], const struct wish *w)
{
	snprintf(path, 160, "/v1/credentials/%s/%s", w->kind, w->name);
}

static int password(struct cli *c, int argc, char **argv)
{
	char secret[PASSWORD_MAX + 1] = "", path[160];
	struct wish w;
	json_t *body;
	int rc = read_wish(&w, argc, argv);

	if (rc)
		return rc;
	rc = get_password(&w, secret);
	if (rc < 0)
		return -rc;
	path_of(path, &w);
	body = json_object();
	put(body, "login", w.login);
	return send(c, &w, "PUT", path, body, secret, "has a new password");
}

static int set_disabled(struct cli *c, int argc, char **argv, int disabled)
{
	char path[160], none[PASSWORD_MAX + 1] = "";
	struct wish w;
	int rc = read_wish(&w, argc, argv);

	if (rc)
		return rc;
	path_of(path, &w);
	return send(c, &w, "PUT", path, json_pack("{s:b}", "disabled", disabled), none,
		    disabled ? "disabled" : "enabled");
}

static int disable(struct cli *c, int argc, char **argv)
{
	return set_disabled(c, argc, argv, 1);
}

static int enable(struct cli *c, int argc, char **argv)
{
	return set_disabled(c, argc, argv, 0);
}

static int remove_it(struct cli *c, int argc, char **argv)
{
	char path[160];
	struct wish w;
	json_t *j;
	int rc = read_wish(&w, argc, argv);

	if (rc)
		return rc;
	if (!w.yes)
		return cli_fail(EXIT_USAGE, "say --yes: whoever uses it can not log in any more");
	path_of(path, &w);
	rc = cli_api(c, "DELETE", path, 0, &j);
	if (rc)
		return rc;
	json_decref(j);
	printf("%s credential %s removed.\n", w.kind, w.name);
	return 0;
}

static const char *how(const json_t *item)
{
	int certificate = *cli_text(item, "fingerprint") != '\0';

	if (json_is_true(json_object_get(item, "password")))
		return certificate ? "password, certificate" : "password";
	return certificate ? "certificate" : "nothing yet";
}

static int list(struct cli *c, int argc, char **argv)
{
	static const char *const heads[] = {"kind",	  "name",	 "customer", "logs in by", "messages",
					    "recipients", "connections", "state",    "changed"};
	struct cli_table *t;
	json_t *j, *item;
	size_t i;
	int rc;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json")))
		return cli_usage("credential");
	rc = cli_api(c, "GET", "/v1/credentials", 0, &j);
	if (rc)
		return rc;
	if (argc == 2) {
		json_dumpf(j, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(j);
		return 0;
	}
	t = cli_table_new(heads, 9, "llllrrrll");
	json_array_foreach(json_object_get(j, "items"), i, item) {
		char connections[24] = "-", when[32];
		const char *cells[9];
		if (cli_number(item, "connections"))
			snprintf(connections, sizeof(connections), "%lld",
				 (long long)cli_number(item, "connections"));
		cli_time(when, cli_number(item, "changed"));
		cells[0] = cli_text(item, "kind");
		cells[1] = cli_text(item, "name");
		cells[2] = cli_text(item, "customer");
		cells[3] = how(item);
		cells[4] = *cli_text(item, "messages") ? cli_text(item, "messages") : "-";
		cells[5] = *cli_text(item, "recipients") ? cli_text(item, "recipients") : "-";
		cells[6] = connections;
		cells[7] = json_is_true(json_object_get(item, "disabled")) ? "disabled" : "enabled";
		cells[8] = when;
		cli_table_row(t, cells);
	}
	if (i)
		cli_table_print(t);
	else
		puts("There are no credentials.");
	cli_table_free(t);
	json_decref(j);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct cli *c, int argc, char **argv);
} actions[] = {{"list", list},	     {"add", add},	   {"password", password},
	       {"disable", disable}, {"enable", enable}, {"remove", remove_it}};

int cli_credential(struct cli *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(actions[i].name, argv[1]))
			return actions[i].run(c, argc - 1, argv + 1);
	return cli_usage("credential");
}
