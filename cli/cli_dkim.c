/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost dkim: add, list, rotate. See sealpost-dkim(8). */
#include "cli/cli_dkim.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli_key_version.h"
#include "core/err.h"
#include "keyproto/keyproto_rotate.h"
#include "keyproto/keyproto_version.h"

#define ALL_TYPES (1u << MAIL_SELECTOR_RSA | 1u << MAIL_SELECTOR_ED25519)

static const unsigned keytypes[] = {[MAIL_SELECTOR_RSA] = KEYPROTO_KEY_RSA2048,
				    [MAIL_SELECTOR_ED25519] = KEYPROTO_KEY_ED25519};

/* --- add */

static int add_key(struct keyproto_client_sync *k, const struct cli_dkim_place *p,
		   enum mail_selector_type type)
{
	char label[KEYPROTO_NAME_MAX + 1];
	struct keyproto_key_add m = {.type = (uint8_t)keytypes[type]};
	struct span reply;
	int rc;

	cli_dkim_label(label, p, type);
	m.label = span_str(label);
	rc = keyproto_key_add_put(keyproto_client_sync_begin(k), &m);
	return rc < 0 ? rc : keyproto_client_sync_call(k, KEYPROTO_KEY_ADD, &reply);
}

static void next_steps(const struct cli_dkim_place *p)
{
	printf("\nPut these records into the zone of %s; then see whether they are found:\n"
	       "  sealpost dkim check %s\n",
	       p->domain, p->domain);
	if (!p->configured)
		printf("and when it is, have relay sign, in relay.yaml:\n"
		       "  dkim:\n"
		       "    - {domain: %s}\n",
		       p->domain);
}

/* Makes those of wanted that are not there; *made: which. */
static int add_keys(struct keyproto_client_sync *k, const struct cli_dkim_place *p, unsigned wanted,
		    unsigned *made)
{
	int rc = 0;

	*made = 0;
	for (unsigned type = 0; rc == 0 && type <= MAIL_SELECTOR_ED25519; type++) {
		if (!(wanted & 1u << type))
			continue;
		rc = add_key(k, p, type);
		if (rc == 0)
			*made |= 1u << type;
		else if (rc == ERR_EXISTS)
			rc = 0;
	}
	return rc;
}

static int add(struct cli *c, int argc, char **argv)
{
	struct cli_dkim_records r = {.count = 0};
	struct keyproto_client_sync *k;
	unsigned wanted = ALL_TYPES, made = 0;
	struct cli_dkim_place p;
	int rc;

	if (argc == 3 && !strcmp(argv[2], "--rsa-only"))
		wanted = 1u << MAIL_SELECTOR_RSA;
	else if (argc == 3 && !strcmp(argv[2], "--ed25519-only"))
		wanted = 1u << MAIL_SELECTOR_ED25519;
	else if (argc != 2)
		return cli_usage("dkim");
	rc = cli_dkim_place(c, argv[1], &p);
	if (rc)
		return rc;
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = add_keys(k, &p, wanted, &made);
	if (rc == 0)
		rc = cli_dkim_records(k, &p, &r);
	keyproto_client_sync_free(k);
	if (rc < 0)
		return cli_keyd_failed(rc);
	if (made) {
		cli_dkim_print(&r, 1u << KEYPROTO_VERSION_ACTIVE);
		next_steps(&p);
	}
	cli_dkim_records_free(&r);
	return made ? 0
		    : cli_fail(CLI_NOT_THERE, "%s has these keys already: see \"sealpost dkim dns %s\"",
			       p.domain, p.domain);
}

/* --- list */

/* An object with a member for each domain that has keys or is configured: relay's item of it, or null. NULL with *code. */
static json_t *domains(struct keyproto_client_sync *k, const json_t *relay, int *code)
{
	json_t *keys = cli_key_version_all(k, code), *all = keys ? json_object() : NULL, *key, *item;
	char domain[KEYPROTO_NAME_MAX + 1];
	size_t i;

	json_array_foreach(json_object_get(relay, "items"), i, item)
		json_object_set(all, cli_text(item, "domain"), item);
	json_array_foreach(keys, i, key)
		if (cli_dkim_domain(cli_text(key, "label"), domain) && !json_object_get(all, domain))
			json_object_set_new(all, domain, json_null());
	json_decref(keys);
	return all;
}

static void add_record(json_t *out, const struct cli_dkim_place *p, const struct cli_dkim_record *r)
{
	if (!r->needed)
		return;
	json_array_append_new(
	    out, json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:I, s:o}", "domain", p->domain,
			   "selector", r->selector, "name", r->name, "type",
			   mail_selector_type_name(r->type), "version", (json_int_t)r->version, "state",
			   keyproto_version_state_name(r->state), "changed", (json_int_t)r->changed,
			   "until", (json_int_t)r->until, "signs",
			   p->away ? json_null() : json_boolean(p->configured)));
}

/* All records of one domain into out. */
static int list_domain(struct keyproto_client_sync *k, const char *domain, const json_t *relay,
		       const json_t *item, json_t *out)
{
	struct cli_dkim_place p = {.away = relay == NULL};
	struct cli_dkim_records r;
	int rc;

	snprintf(p.domain, sizeof(p.domain), "%s", domain);
	cli_dkim_relay(&p, relay, item);
	rc = cli_dkim_records(k, &p, &r);
	if (rc == ERR_NOTFOUND) {
		json_array_append_new(out, json_pack("{s:s, s:b}", "domain", domain, "signs", 1));
		return 0;
	}
	for (unsigned i = 0; rc == 0 && i < r.count; i++)
		add_record(out, &p, &r.all[i]);
	cli_dkim_records_free(&r);
	return rc;
}

static void print_list(const json_t *rows)
{
	static const char *const heads[] = {"DOMAIN", "SELECTOR", "TYPE", "STATE", "SINCE", "NEEDED UNTIL", "SIGNS"};
	struct cli_table *t = cli_table_new(heads, 7, "lllllll");
	char since[32], until[32];
	const json_t *signs;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *state = cli_text(row, "state"), *does = "?";
		signs = json_object_get(row, "signs");
		if (json_is_boolean(signs))
			does = json_is_false(signs)	   ? "no: not in relay.yaml"
			       : !*state		   ? "no: it has no key"
			       : !strcmp(state, "active") ? "yes"
							   : "no";
		cli_time(since, cli_number(row, "changed"));
		cli_time(until, cli_number(row, "until"));
		cli_table_row(t, (const char *[]){cli_text(row, "domain"), *state ? cli_text(row, "selector") : "-",
						  *state ? cli_text(row, "type") : "-", *state ? state : "-",
						  since, until, does});
	}
	cli_table_print(t);
	cli_table_free(t);
}

static int list(struct cli *c, int argc, char **argv)
{
	int as_json = argc == 2 && !strcmp(argv[1], "--json"), code = 0, rc = 0;
	json_t *relay = NULL, *all, *rows, *item;
	struct keyproto_client_sync *k;
	const char *domain;

	if (argc > 1 + as_json)
		return cli_usage("dkim");
	k = cli_keyd_either(c, KEYPROTO_ROLE_OPERATOR, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rows = json_array();
	cli_api(c, "GET", "/v1/dkim", 1, &relay);
	all = domains(k, relay, &code);
	if (all)
		json_object_foreach(all, domain, item)
			if (rc == 0)
				rc = list_domain(k, domain, relay, item, rows);
	keyproto_client_sync_free(k);
	if (rc < 0)
		code = cli_keyd_failed(rc);
	if (code == 0 && as_json) {
		json_dumpf(rows, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else if (code == 0 && json_array_size(rows)) {
		print_list(rows);
	} else if (code == 0) {
		puts("No domain has a DKIM key: \"sealpost dkim add DOMAIN\" makes one.");
	}
	json_decref(rows);
	json_decref(all);
	json_decref(relay);
	return code;
}

/* --- rotate */

static int order(struct keyproto_client_sync *k, const struct cli_dkim_place *p,
		 enum mail_selector_type type, unsigned flags)
{
	char label[KEYPROTO_NAME_MAX + 1];
	struct keyproto_rotate m = {.what = KEYPROTO_ROTATE_KEY, .flags = (uint8_t)flags};
	struct span reply;
	int rc;

	cli_dkim_label(label, p, type);
	m.name = span_str(label);
	rc = keyproto_rotate_put(keyproto_client_sync_begin(k), &m);
	return rc < 0 ? rc : keyproto_client_sync_call(k, KEYPROTO_ROTATE, &reply);
}

static unsigned types_in(const struct cli_dkim_records *r, unsigned state)
{
	unsigned types = 0;

	for (unsigned i = 0; i < r->count; i++)
		if (r->all[i].state == state)
			types |= 1u << r->all[i].type;
	return types;
}

/* A next version of each key that has none. */
static int make_next(struct keyproto_client_sync *k, const struct cli_dkim_place *p,
		     const struct cli_dkim_records *r)
{
	unsigned wanted = r->types & ~types_in(r, KEYPROTO_VERSION_NEXT);
	struct cli_dkim_records after;
	int rc = 0;

	for (unsigned type = 0; rc == 0 && type <= MAIL_SELECTOR_ED25519; type++)
		if (wanted & 1u << type)
			rc = order(k, p, type, 0);
	if (rc == 0)
		rc = cli_dkim_records(k, p, &after);
	if (rc < 0)
		return cli_keyd_failed(rc);
	if (!wanted)
		fprintf(stderr, "The next keys are there already.\n");
	cli_dkim_print(&after, 1u << KEYPROTO_VERSION_NEXT);
	printf("\nPut these records into the zone of %s, beside those that are there; then:\n"
	       "  sealpost dkim rotate %s --activate\n",
	       p->domain, p->domain);
	cli_dkim_records_free(&after);
	return 0;
}

/* 0 if relay finds all next keys in the DNS. */
static int next_published(const struct cli *c, const struct cli_dkim_place *p)
{
	int code = 0, missing = 0;
	json_t *check = cli_dkim_ask(c, p, &code), *row;
	size_t i;

	if (!check)
		return code;
	json_array_foreach(json_object_get(check, "records"), i, row) {
		if (strcmp(cli_text(row, "state"), "next") || !strcmp(cli_text(row, "dns"), "published"))
			continue;
		cli_fail(0, "%s: %s: %s", cli_text(row, "name"), cli_text(row, "dns"), cli_text(row, "why"));
		missing = 1;
	}
	json_decref(check);
	return missing ? cli_fail(CLI_NOT_THERE, "not activated: nobody could verify mail that they sign "
						 "(--force activates all the same)")
		       : 0;
}

static int activate(const struct cli *c, struct keyproto_client_sync *k, const struct cli_dkim_place *p,
		    const struct cli_dkim_records *r, int force)
{
	unsigned types = types_in(r, KEYPROTO_VERSION_NEXT);
	int rc = 0;

	if (!types)
		return cli_fail(EXIT_ENVIRONMENT, "%s has no next keys: \"sealpost dkim rotate %s\" makes them",
				p->domain, p->domain);
	if (!force)
		rc = next_published(c, p);
	if (rc)
		return rc;
	for (unsigned type = 0; rc == 0 && type <= MAIL_SELECTOR_ED25519; type++)
		if (types & 1u << type)
			rc = order(k, p, type, KEYPROTO_ROTATE_ACTIVATE);
	if (rc < 0)
		return cli_keyd_failed(rc);
	for (unsigned i = 0; i < r->count; i++)
		if (r->all[i].state == KEYPROTO_VERSION_NEXT)
			printf("%s signs from now on.\n", r->all[i].selector);
	printf("Leave the older selectors in the DNS: mail that they signed is still under way;\n"
	       "\"sealpost dkim retire %s\" says when it is not.\n",
	       p->domain);
	return 0;
}

static int rotate(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	struct cli_dkim_records r;
	struct cli_dkim_place p;
	int now = 0, force = 0, rc;

	for (int i = 2; i < argc; i++) {
		now |= !strcmp(argv[i], "--activate");
		force |= !strcmp(argv[i], "--force");
	}
	if (argc != 2 + now + force || (force && !now))
		return cli_usage("dkim");
	rc = cli_dkim_place(c, argv[1], &p);
	if (rc)
		return rc;
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = cli_dkim_records(k, &p, &r);
	if (rc < 0)
		rc = cli_dkim_failed(&p, rc);
	else
		rc = now ? activate(c, k, &p, &r, force) : make_next(k, &p, &r);
	cli_dkim_records_free(&r);
	keyproto_client_sync_free(k);
	return rc;
}

static const struct {
	const char *name;
	int (*run)(struct cli *c, int argc, char **argv);
} rows[] = {
    {"add", add},   {"list", list},	    {"dns", cli_dkim_dns}, {"check", cli_dkim_check},
    {"rotate", rotate}, {"retire", cli_dkim_retire},
};

int cli_dkim(struct cli *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].name, argv[1]))
			return rows[i].run(c, argc - 1, argv + 1);
	return cli_usage("dkim");
}
