/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost dkim: what there is of a domain's keys, and what the DNS says of them. See sealpost-dkim(8). */
#include "cli/cli_dkim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "keyproto/keyproto_version.h"

#define EXPIRE_DEFAULT (5 * 86400 * CLOCK_SEC) /* retry.expire */

void cli_dkim_label(char out[KEYPROTO_NAME_MAX + 1], const struct cli_dkim_place *p,
		    enum mail_selector_type type)
{
	snprintf(out, KEYPROTO_NAME_MAX + 1, "dkim/%s/%s", p->domain, mail_selector_type_name(type));
}

int cli_dkim_domain(const char *label, char out[KEYPROTO_NAME_MAX + 1])
{
	const char *end = strrchr(label, '/');

	if (strncmp(label, "dkim/", 5) || !end || end < label + 6 ||
	    (strcmp(end, "/rsa") && strcmp(end, "/ed25519")))
		return 0;
	snprintf(out, KEYPROTO_NAME_MAX + 1, "%.*s", (int)(end - label - 5), label + 5);
	return 1;
}

/* NULL, or what is wrong with it. */
static const char *read_domain(const char *text, char out[CLI_DKIM_DOMAIN_MAX + 1])
{
	size_t n = strlen(text), label = 0;

	if (n && text[n - 1] == '.')
		n--;
	if (n > CLI_DKIM_DOMAIN_MAX)
		return "keyd's labels have room for domains of at most 51 octets";
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if ((unsigned char)c >= 0x80)
			return "give it as the DNS has it, in ASCII (xn--...)";
		c = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
		label = c == '.' ? 0 : label + 1;
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.') ||
		    (c == '.' && (i == 0 || out[i - 1] == '.')) || label > 63)
			return "that is no domain";
		out[i] = c;
	}
	out[n] = '\0';
	return n ? NULL : "that is no domain";
}

void cli_dkim_relay(struct cli_dkim_place *p, const json_t *relay, const json_t *item)
{
	const char *prefix = cli_text(json_is_object(item) ? item : relay, "selector");

	p->configured = json_is_object(item);
	p->away = relay == NULL;
	p->expire = relay ? (int64_t)cli_number(relay, "expire") : EXPIRE_DEFAULT;
	snprintf(p->prefix, sizeof(p->prefix), "%s", *prefix ? prefix : "sp");
}

int cli_dkim_place(const struct cli *c, const char *domain, struct cli_dkim_place *out)
{
	const char *wrong = read_domain(domain, out->domain);
	json_t *relay = NULL, *item, *found = NULL;
	size_t i;

	if (wrong)
		return cli_fail(EXIT_USAGE, "%s: %s", domain, wrong);
	cli_api(c, "GET", "/v1/dkim", 1, &relay);
	json_array_foreach(json_object_get(relay, "items"), i, item)
		if (!strcmp(cli_text(item, "domain"), out->domain))
			found = item;
	cli_dkim_relay(out, relay, found);
	json_decref(relay);
	return 0;
}

/* --- records */

static int add_record(struct cli_dkim_records *r, const struct cli_dkim_place *p,
		      enum mail_selector_type type, const struct keyproto_version *all, unsigned at)
{
	const struct keyproto_version *v = &all[at];
	struct cli_dkim_record *grown = reallocarray(r->all, r->count + 1, sizeof(*grown)), *out;
	struct span key = mail_selector_key(type, v->spki);
	int64_t retired = keyproto_version_retired(all, at);
	struct buf text;
	int rc;

	if (!grown)
		return ERR_NOMEM;
	r->all = grown;
	if (!key.n)
		return 0; /* a key of another type under this label signs nothing */
	out = &grown[r->count];
	memset(out, 0, sizeof(*out));
	out->type = type;
	out->version = v->version;
	out->state = v->state;
	out->changed = (int64_t)v->changed;
	out->until = retired ? retired + p->expire + MAIL_SELECTOR_REST : 0;
	out->needed = !out->until || out->until > clock_wall();
	buf_init(&text, sizeof(out->text) - 1);
	rc = mail_selector_format(out->selector, p->prefix, v->version, type);
	if (rc == 0)
		rc = mail_selector_name(out->name, out->selector, p->domain);
	if (rc == 0)
		rc = mail_selector_text(&text, type, key);
	if (rc == 0)
		rc = span_copy_str(out->text, sizeof(out->text), buf_span(&text));
	buf_clear(&text);
	r->count += rc == 0;
	r->types |= rc == 0 ? 1u << type : 0;
	return rc;
}

int cli_dkim_records(struct keyproto_client_sync *k, const struct cli_dkim_place *p,
		     struct cli_dkim_records *out)
{
	struct keyproto_version all[KEYPROTO_VERSIONS_MAX];
	char label[KEYPROTO_NAME_MAX + 1];
	struct span reply;
	int rc = 0, n;

	memset(out, 0, sizeof(*out));
	for (unsigned type = 0; rc == 0 && type <= MAIL_SELECTOR_ED25519; type++) {
		cli_dkim_label(label, p, type);
		rc = cli_keyd_name(k, KEYPROTO_KEY_VERSIONS, label, &reply);
		n = rc == 0 ? keyproto_versions_get(reply, all) : 0;
		rc = rc == ERR_NOTFOUND ? 0 : rc;
		if (n < 0)
			rc = n;
		for (int i = 0; rc == 0 && i < n; i++)
			rc = add_record(out, p, type, all, (unsigned)i);
	}
	if (rc == 0 && out->count == 0)
		rc = ERR_NOTFOUND;
	return rc;
}

void cli_dkim_records_free(struct cli_dkim_records *r)
{
	free(r->all);
	memset(r, 0, sizeof(*r));
}

int cli_dkim_failed(const struct cli_dkim_place *p, int err)
{
	if (err == ERR_NOTFOUND)
		return cli_fail(CLI_NOT_THERE, "%s has no DKIM key: \"sealpost dkim add %s\" makes it",
				p->domain, p->domain);
	if (err == ERR_LIMIT)
		return cli_fail(EXIT_USAGE, "%s: with its selector the name would be too long for the DNS",
				p->domain);
	return cli_keyd_failed(err);
}

static void print_one(const struct cli_dkim_record *r, int revoked)
{
	char until[32];
	struct buf line;

	cli_time(until, r->until);
	printf("; %s: %s%s%s\n", r->selector, keyproto_version_state_name(r->state),
	       r->until ? (r->needed ? ", needed until " : ", not needed since ") : "",
	       r->until ? until : "");
	buf_init(&line, 4096);
	if (revoked)
		mail_selector_zone(&line, r->name, SPAN_LIT("v=DKIM1; p="));
	else
		mail_selector_zone(&line, r->name, span_str(r->text));
	fwrite(buf_ptr(&line), 1, buf_size(&line), stdout);
	buf_clear(&line);
}

void cli_dkim_print(const struct cli_dkim_records *r, unsigned states)
{
	for (unsigned i = 0; i < r->count; i++)
		if (states & 1u << r->all[i].state)
			print_one(&r->all[i], 0);
}

/* Place and records of the one domain that is named. */
static int find(struct cli *c, int argc, char **argv, struct cli_dkim_place *p,
		struct cli_dkim_records *r)
{
	struct keyproto_client_sync *k;
	int rc;

	if (argc != 2)
		return cli_usage("dkim");
	rc = cli_dkim_place(c, argv[1], p);
	if (rc)
		return rc;
	k = cli_keyd_either(c, KEYPROTO_ROLE_OPERATOR, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = cli_dkim_records(k, p, r);
	keyproto_client_sync_free(k);
	if (rc == 0)
		return 0;
	cli_dkim_records_free(r);
	return cli_dkim_failed(p, rc);
}

int cli_dkim_dns(struct cli *c, int argc, char **argv)
{
	struct cli_dkim_records r;
	struct cli_dkim_place p;
	int rc = find(c, argc, argv, &p, &r);

	if (rc)
		return rc;
	if (p.away)
		cli_fail(0, "relay does not answer: if its dkim: names another selector than %s, these names are "
			    "wrong",
			 p.prefix);
	for (unsigned i = 0; i < r.count; i++)
		if (r.all[i].needed)
			print_one(&r.all[i], 0);
	cli_dkim_records_free(&r);
	return 0;
}

/* --- check */

json_t *cli_dkim_ask(const struct cli *c, const struct cli_dkim_place *p, int *code)
{
	char path[CLI_DKIM_DOMAIN_MAX + 32];
	json_t *j = NULL;

	snprintf(path, sizeof(path), "/v1/dkim/%s", p->domain);
	*code = cli_api(c, "GET", path, 0, &j);
	return *code ? NULL : j;
}

void cli_dkim_show(const json_t *check, int all)
{
	static const char *const heads[] = {"SELECTOR", "STATE", "NEEDED UNTIL", "DNS", "DNSSEC", "WHY"};
	struct cli_table *t = cli_table_new(heads, 6, "llllll");
	char until[32];
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(check, "records"), i, row) {
		if (!all && !json_is_true(json_object_get(row, "needed")))
			continue;
		cli_time(until, cli_number(row, "until"));
		cli_table_row(t, (const char *[]){cli_text(row, "selector"), cli_text(row, "state"), until,
						  cli_text(row, "dns"), cli_text(row, "dnssec"),
						  json_is_true(json_object_get(row, "testing"))
						      ? "t=y: verifiers are asked not to heed it"
						      : cli_text(row, "why")});
	}
	cli_table_print(t);
	cli_table_free(t);
}

/* What is in the DNS instead, and what should be. */
static void show_differences(const json_t *check)
{
	json_t *row, *text;
	size_t i, n;

	json_array_foreach(json_object_get(check, "records"), i, row) {
		if (!json_is_true(json_object_get(row, "needed")) || !strcmp(cli_text(row, "dns"), "published"))
			continue;
		printf("\n%s\n  wanted: %s\n", cli_text(row, "name"), cli_text(row, "text"));
		json_array_foreach(json_object_get(row, "found"), n, text)
			printf("  found:  %s\n", json_string_value(text));
	}
}

int cli_dkim_check(struct cli *c, int argc, char **argv)
{
	int as_json = argc == 3 && !strcmp(argv[2], "--json"), rc, good;
	struct cli_dkim_place p;
	json_t *check;

	if (argc != 2 + as_json)
		return cli_usage("dkim");
	rc = cli_dkim_place(c, argv[1], &p);
	if (rc)
		return rc;
	check = cli_dkim_ask(c, &p, &rc);
	if (!check)
		return rc;
	good = json_is_true(json_object_get(check, "good"));
	if (as_json) {
		json_dumpf(check, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else {
		cli_dkim_show(check, 0);
		show_differences(check);
		if (!p.configured)
			printf("\n%s is not in dkim: of relay.yaml: its mail is not signed.\n", p.domain);
	}
	json_decref(check);
	return good ? 0 : CLI_NOT_THERE;
}

/* --- retire */

/* The records that nobody needs any more, as they tell that their keys are revoked. */
int cli_dkim_retire(struct cli *c, int argc, char **argv)
{
	struct cli_dkim_records r;
	struct cli_dkim_place p;
	unsigned over = 0, waiting = 0;
	int rc = find(c, argc, argv, &p, &r);

	if (rc)
		return rc;
	for (unsigned i = 0; i < r.count; i++) {
		over += !r.all[i].needed;
		waiting += r.all[i].until && r.all[i].needed;
	}
	if (over)
		printf("Mail signed by these can be under way no more. Take them out of the zone, or say that "
		       "their\nkeys are revoked:\n\n");
	for (unsigned i = 0; i < r.count; i++)
		if (!r.all[i].needed)
			print_one(&r.all[i], 1);
	if (waiting)
		printf("%sThese must stay as they are:\n\n", over ? "\n" : "");
	for (unsigned i = 0; i < r.count; i++)
		if (r.all[i].until && r.all[i].needed)
			print_one(&r.all[i], 0);
	if (!over && !waiting)
		printf("%s has no older selectors.\n", p.domain);
	cli_dkim_records_free(&r);
	return 0;
}
