/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_key_version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_cert.h"
#include "cli/cli_dkim.h"
#include "core/err.h"
#include "keyproto/keyproto_dek.h"
#include "keyproto/keyproto_rotate.h"
#include "wire/wire_put.h"

json_t *cli_key_version_all(struct keyproto_client_sync *k, int *code)
{
	json_t *all = json_array(), *page;
	uint32_t from = 0;

	do {
		wire_put_u32(keyproto_client_sync_begin(k), from);
		page = cli_keyd_json(k, KEYPROTO_KEY_LIST, code);
		if (!page) {
			json_decref(all);
			return NULL;
		}
		json_array_extend(all, json_object_get(page, "keys"));
		from = (uint32_t)cli_number(page, "keys_next"); /* never 0, so 0 says that it is not there */
		json_decref(page);
	} while (from);
	return all;
}

static const char *text_of(const json_t *key, const char *name)
{
	const char *s = json_string_value(json_object_get(key, name));

	return s ? s : "-";
}

int cli_key_version_list(struct cli *c, int argc, char **argv)
{
	static const char *const heads[] = {"LABEL", "VERSION", "TYPE", "STATE", "CREATED"};
	struct keyproto_client_sync *k;
	struct cli_table *t;
	json_t *all, *key;
	size_t i;
	int code;

	(void)argv;
	if (argc != 1)
		return cli_usage("key");
	k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	if (!k)
		return EXIT_ENVIRONMENT;
	all = cli_key_version_all(k, &code);
	keyproto_client_sync_free(k);
	if (!all)
		return code;
	t = cli_table_new(heads, 5, "lrlll");
	json_array_foreach(all, i, key)
	{
		char version[24], created[32];
		snprintf(version, sizeof(version), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(json_object_get(key, "version")));
		cli_time(created, json_integer_value(json_object_get(key, "created")));
		cli_table_row(t,
			      (const char *[]){text_of(key, "label"), version, text_of(key, "type"),
					       text_of(key, "state"), created});
	}
	cli_table_print(t);
	cli_table_free(t);
	json_decref(all);
	return 0;
}

/* The label's version in that state; 0: none. Returns 0, or an exit code after saying why. */
static int version_in(struct keyproto_client_sync *k, const char *label, const char *state,
		      int64_t *version)
{
	json_t *all, *key;
	int code = 0;
	size_t i;

	*version = 0;
	all = cli_key_version_all(k, &code);
	json_array_foreach(all, i, key)
		if (!strcmp(text_of(key, "label"), label) && !strcmp(text_of(key, "state"), state))
			*version = cli_number(key, "version");
	json_decref(all);
	return code;
}

/* What the name of a new selector must hold in the DNS. */
static int print_dkim(struct keyproto_client_sync *k, const char *label, const char *name)
{
	char domain[KEYPROTO_NAME_MAX + 1];
	enum mail_selector_type type;
	struct keyproto_public pub;
	struct span reply;
	struct buf text;
	int rc = cli_keyd_name(k, KEYPROTO_PUBLIC_KEY, name, &reply);

	if (rc == 0)
		rc = keyproto_public_get(reply, &pub);
	if (rc < 0 || pub.type == KEYPROTO_KEY_EC_P256)
		return rc;
	type = pub.type == KEYPROTO_KEY_ED25519 ? MAIL_SELECTOR_ED25519 : MAIL_SELECTOR_RSA;
	buf_init(&text, 2048);
	rc = mail_selector_text(&text, type, mail_selector_key(type, pub.spki));
	if (rc == 0)
		printf("TXT of its selector: \"%.*s\"\n", (int)buf_size(&text),
		       (const char *)buf_ptr(&text));
	buf_clear(&text);
	if (rc == 0 && cli_dkim_domain(label, domain))
		printf("\"sealpost dkim dns %s\" shows it with its name; when it is published:\n"
		       "  sealpost dkim rotate %s --activate\n",
		       domain, domain);
	return rc;
}

static int say_next(struct keyproto_client_sync *k, const char *label)
{
	char name[KEYPROTO_NAME_MAX + 24];
	int64_t version;
	int rc = version_in(k, label, "next", &version);

	if (rc || version == 0) /* it was activated meanwhile */
		return rc;
	snprintf(name, sizeof(name), "%.*s#%" PRId64, KEYPROTO_NAME_MAX, label, version);
	printf("%s is the next version.\n", name);
	if (!strncmp(label, "dkim/", 5))
		return print_dkim(k, label, name);
	if (!strncmp(label, "tls/", 4))
		printf("Now have a certificate for it (sealpost key certify %s --out FILE), reload "
		       "relay, and then:\n"
		       "  sealpost key rotate %s --activate\n",
		       label, label);
	return 0;
}

static int say_active(struct keyproto_client_sync *k, const char *label)
{
	int64_t version;
	int rc = version_in(k, label, "active", &version);

	if (rc == 0)
		printf("%s#%" PRId64 " is active; the one before it is retired.\n", label, version);
	return rc;
}

static int rotate(struct cli *c, unsigned what, const char *name, unsigned flags)
{
	struct keyproto_rotate m = {(uint8_t)what, span_str(name), (uint8_t)flags};
	struct keyproto_client_sync *k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	struct span reply;
	int rc;

	if (!k)
		return EXIT_ENVIRONMENT;
	rc = keyproto_rotate_put(keyproto_client_sync_begin(k), &m);
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_ROTATE, &reply);
	if (rc == 0 && what == KEYPROTO_ROTATE_DEK)
		printf("%s: new data goes under a new key from now on; relay seals the old anew.\n",
		       name);
	else if (rc == 0)
		rc = flags ? say_active(k, name) : say_next(k, name);
	keyproto_client_sync_free(k);
	if (rc == ERR_NOTFOUND)
		return cli_fail(CLI_NOT_THERE, "%s: not there", name);
	if (rc == ERR_EXISTS)
		return cli_fail(EXIT_ENVIRONMENT,
				"%s has a next version already: activate it first", name);
	if (rc == ERR_BADSTATE)
		return cli_fail(EXIT_ENVIRONMENT, "%s has no next version: rotate it first", name);
	return rc < 0 ? cli_keyd_failed(rc) : rc;
}

int cli_key_version_rotate(struct cli *c, int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "dek"))
		return rotate(c, KEYPROTO_ROTATE_DEK, argv[2], 0);
	if (argc < 2 || argc > 3 || argv[1][0] == '-')
		return cli_usage("key");
	if (argc == 3 && strcmp(argv[2], "--activate"))
		return cli_usage("key");
	return rotate(c, KEYPROTO_ROTATE_KEY, argv[1], argc == 3 ? KEYPROTO_ROTATE_ACTIVATE : 0);
}

struct certify {
	const char *label, *out;
	char hostname[256];
	int request;
};

/* label: its next version if there is one, else the active one. */
static int certify(struct cli *c, const struct certify *a)
{
	struct keyproto_client_sync *k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	char name[KEYPROTO_NAME_MAX + 24];
	int64_t version;
	int rc;

	if (!k)
		return EXIT_ENVIRONMENT;
	rc = version_in(k, a->label, "next", &version);
	if (rc == 0 && version == 0)
		rc = version_in(k, a->label, "active", &version);
	if (rc || version == 0) {
		keyproto_client_sync_free(k);
		return rc ? rc : cli_fail(CLI_NOT_THERE, "%s: not there", a->label);
	}
	snprintf(name, sizeof(name), "%.*s#%" PRId64, KEYPROTO_NAME_MAX, a->label, version);
	rc = a->request ? cli_cert_request(k, name, a->hostname, a->out)
			: cli_cert_self_signed(k, name, a->hostname, a->out);
	keyproto_client_sync_free(k);
	if (rc < 0)
		return cli_fail(EXIT_ENVIRONMENT, "%s: %s", a->out, err_text(rc));
	printf("%s %s, for %s, key %s\n", a->request ? "Request" : "Certificate", a->out,
	       a->hostname, name);
	return 0;
}

int cli_key_version_certify(struct cli *c, int argc, char **argv)
{
	struct certify a = {.label = argc > 1 ? argv[1] : NULL};
	const char *hostname = NULL;

	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--csr"))
			a.request = 1;
		else if (i + 1 < argc && !strcmp(argv[i], "--out"))
			a.out = argv[++i];
		else if (i + 1 < argc && !strcmp(argv[i], "--hostname"))
			hostname = argv[++i];
		else
			return cli_usage("key");
	}
	if (!a.label || !a.out)
		return cli_usage("key");
	if (hostname)
		snprintf(a.hostname, sizeof(a.hostname), "%s", hostname);
	else if (gethostname(a.hostname, sizeof(a.hostname) - 1) < 0)
		return cli_fail(EXIT_ENVIRONMENT, "no host name; give --hostname");
	return certify(c, &a);
}

int cli_key_version_deks(struct cli *c, int argc, char **argv)
{
	static const char *const heads[] = {"CUSTOMER", "VERSION", "KEYREF", "STATE", "CREATED"};
	struct keyproto_dek deks[KEYPROTO_BATCH_MAX];
	struct keyproto_client_sync *k;
	struct cli_table *t;
	struct span reply;
	int rc;

	if (argc != 2)
		return cli_usage("key");
	k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = cli_keyd_name(k, KEYPROTO_CUSTOMER_KEYS, argv[1], &reply);
	if (rc == 0)
		rc = keyproto_deks_get(reply, deks);
	if (rc < 0) {
		keyproto_client_sync_free(k);
		return rc == ERR_NOTFOUND ? cli_fail(CLI_NOT_THERE, "%s: not there", argv[1])
					  : cli_keyd_failed(rc);
	}
	t = cli_table_new(heads, 5, "lrrll");
	for (int i = 0; i < rc; i++) {
		char customer[KEYPROTO_NAME_MAX + 1], version[16], keyref[16], created[32];
		const char *state = i == 0 ? "active" : "older";
		span_copy_str(customer, sizeof(customer), deks[i].customer);
		snprintf(version, sizeof(version), "%" PRIu32, deks[i].version);
		snprintf(keyref, sizeof(keyref), "%" PRIu32, deks[i].keyref);
		cli_time(created, (json_int_t)deks[i].created);
		if (deks[i].state == KEYPROTO_DEK_RETIRED)
			state = "retired";
		cli_table_row(t, (const char *[]){customer, version, keyref, state, created});
	}
	keyproto_client_sync_free(k);
	cli_table_print(t);
	cli_table_free(t);
	return 0;
}
