/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost tls check: what a delivery to a domain would do now. See sealpost-tls(8). */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli_tls.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"

static void line(const char *name, const char *value)
{
	if (*value)
		printf("  %-11s  %s\n", name, value);
}

static void append(char dst[1024], const char *between, const char *text)
{
	size_t n = strlen(dst);

	if (*text)
		snprintf(dst + n, 1024 - n, "%s%s", n ? between : "", text);
}

/* --- the domain */

/* "enforce: mx.example.org, *.example.org" */
static void print_sts(const json_t *policy)
{
	const json_t *sts = json_object_get(policy, "sts");
	const char *failure = cli_text(policy, "sts_failure"), *between = ": ";
	char text[1024] = "";
	json_t *mx;
	size_t i;

	if (!json_is_true(json_object_get(policy, "sts_asked"))) {
		line("MTA-STS", "not asked: it cannot change what was decided before");
		return;
	}
	append(text, "", json_is_object(sts) ? cli_text(sts, "mode") : "none");
	json_array_foreach(json_object_get(sts, "mx"), i, mx)
	{
		append(text, between, json_string_value(mx));
		between = ", ";
	}
	append(text, json_is_object(sts) ? "; not renewed: " : ": ", failure);
	line("MTA-STS", text);
}

static void print_domain(const json_t *j)
{
	const json_t *route = json_object_get(j, "route"), *exception = json_object_get(j, "exception"),
		     *policy = json_object_get(j, "policy");
	int mx = !strcmp(cli_text(route, "to"), "mx");
	char text[1024], until[32];

	printf("%s\n", cli_text(j, "domain"));
	if (mx)
		snprintf(text, sizeof(text), "by MX, tls %s", cli_text(route, "tls"));
	else
		snprintf(text, sizeof(text), "to %s port %lld, tls %s", cli_text(route, "host"),
			 (long long)cli_number(route, "port"), cli_text(route, "tls"));
	line("Route", text);
	if (json_is_object(exception)) {
		cli_time(until, cli_number(exception, "until"));
		snprintf(text, sizeof(text), "%s will do until %s", cli_text(exception, "level"), until);
		line("Exception", text);
	}
	if (!json_is_object(policy))
		return;
	if (mx && json_is_true(json_object_get(policy, "dane")))
		line("MX", json_is_true(json_object_get(policy, "mx_secure")) ? "proven by DNSSEC"
									       : "not proven by DNSSEC");
	if (mx)
		print_sts(policy);
}

/* --- a host */

static const struct {
	const char *state, *text;
} tlsas[] = {
    {"insecure", "not asked: the host's address is not proven by DNSSEC"},
    {"none", "none"},
    {"unusable", "there are records, and none can be used"},
    {"failed", "could not be looked up"},
    {"bogus", "the answer failed DNSSEC validation"},
};

static void print_tlsa(const json_t *t)
{
	const char *state = cli_text(t, "state"), *name = "TLSA";
	json_t *record;
	size_t i;

	for (i = 0; i < sizeof(tlsas) / sizeof(tlsas[0]); i++)
		if (!strcmp(tlsas[i].state, state))
			line(name, tlsas[i].text);
	json_array_foreach(json_object_get(t, "records"), i, record)
	{
		line(name, json_string_value(record));
		name = "";
	}
	if (i && cli_number(t, "unusable") + cli_number(t, "malformed"))
		printf("  %-11s  and %lld that cannot be used\n", "",
		       (long long)(cli_number(t, "unusable") + cli_number(t, "malformed")));
}

static void print_must(const json_t *m)
{
	static const struct {
		const char *level, *text;
	} rows[] = {{"none", "in clear text"},
		    {"opportunistic", "whatever is offered"},
		    {"encrypt", "TLS, whoever it is"},
		    {"verify", "TLS, verified by PKIX"},
		    {"dane", "TLS, verified by DANE"}};
	char text[1024] = "";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].level, cli_text(m, "level")))
			append(text, "", rows[i].text);
	if (json_is_true(json_object_get(m, "refused")))
		strcpy(text, "refused");
	if (*cli_text(m, "why")) {
		append(text, " (", cli_text(m, "why"));
		append(text, "", ")");
	}
	line("Must be", text);
}

static void print_got(const json_t *t, const char *must_why)
{
	char text[1024] = "", ms[32];

	if (!json_is_true(json_object_get(t, "ready"))) {
		line("Fails", *cli_text(t, "reply") ? cli_text(t, "reply") : "no answer in time");
		return;
	}
	if (*cli_text(t, "tls")) {
		append(text, "", cli_text(t, "tls"));
		append(text, ", ", cli_text(t, "cipher"));
		append(text, ", ", cli_text(t, "group"));
		append(text, "; ", strcmp(cli_text(t, "verified_by"), "none") ? "verified by " : "not verified");
		if (strcmp(cli_text(t, "verified_by"), "none"))
			append(text, "", cli_text(t, "verified_by"));
	} else {
		append(text, "", "clear text: ");
		append(text, "", cli_text(t, "clear"));
	}
	if (json_is_true(json_object_get(t, "requiretls")))
		append(text, "; ", "offers REQUIRETLS");
	snprintf(ms, sizeof(ms), "%lld ms", (long long)cli_number(t, "ms"));
	append(text, "; ", ms);
	line("Is", text);
	if (*cli_text(t, "failure")) {
		snprintf(text, sizeof(text), "%s", cli_text(t, "failure"));
		append(text, ": ", strcmp(cli_text(t, "why"), must_why) ? cli_text(t, "why") : "");
		line("Noted", text);
	}
}

static void print_names(const json_t *names)
{
	char text[1024] = "";
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name) append(text, ", ", json_string_value(name));
	line("  names", text);
}

static void print_chain(const json_t *t)
{
	char text[1024], until[32], left[24];
	json_int_t now = clock_wall(), end;
	json_t *x;
	size_t i;

	if (json_is_true(json_object_get(t, "chain_shown_only")))
		line("Shows", "this, when it is not asked to prove anything:");
	json_array_foreach(json_object_get(t, "chain"), i, x)
	{
		end = cli_number(x, "until");
		snprintf(text, sizeof(text), "%s", *cli_text(x, "subject") ? cli_text(x, "subject") : "(no subject)");
		line(i ? "Issuer" : "Certificate", text);
		print_names(json_object_get(x, "names"));
		line("  issuer", cli_text(x, "issuer"));
		cli_time(until, end);
		until[10] = '\0';
		num_format_duration(left, now > end ? now - end : end - now);
		snprintf(text, sizeof(text), now > end ? "until %s: expired %s ago" : "until %s (%s)", until, left);
		line("  valid", text);
		line("  key", cli_text(x, "key"));
		line("  TLSA", cli_text(x, "tlsa"));
	}
}

static void print_host(const json_t *h)
{
	const json_t *t = json_object_get(h, "try");
	char text[1024] = "";
	json_t *a;
	size_t i;

	printf("\n%s", cli_text(h, "host"));
	if (cli_number(h, "preference"))
		printf(" (%lld)", (long long)cli_number(h, "preference"));
	puts("");
	json_array_foreach(json_object_get(h, "addresses"), i, a) append(text, ", ", json_string_value(a));
	line("Address", text);
	print_tlsa(json_object_get(h, "tlsa"));
	print_must(json_object_get(h, "must"));
	print_got(t, cli_text(json_object_get(h, "must"), "why"));
	print_chain(t);
}

static int ask(struct cli *c, const char *domain, const char *customer, json_t **answer)
{
	json_t *body = json_pack("{s:s, s:s}", "domain", domain, "customer", customer);
	int rc;

	if (!body)
		return cli_fail(EXIT_USAGE, "a domain must be UTF-8");
	rc = cli_api_body(c, "POST", "/v1/tls/check", body, 0, answer);
	json_decref(body);
	return rc;
}

int cli_tls_check(struct cli *c, int argc, char **argv)
{
	static const struct option all[] = {
	    {"customer", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
	const char *customer = "default";
	json_t *j, *host;
	int opt, rc, as_json = 0;
	size_t i;

	optind = 0;
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (opt == 'c')
			customer = optarg;
		else if (opt == 'j')
			as_json = 1;
		else
			return cli_usage("tls");
	}
	if (optind + 1 != argc)
		return cli_usage("tls");
	rc = ask(c, argv[optind], customer, &j);
	if (rc)
		return rc;
	rc = strcmp(cli_text(json_object_get(j, "verdict"), "outcome"), "delivered") ? CLI_NOT_THERE : 0;
	if (as_json) {
		json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		puts("");
	} else {
		print_domain(j);
		json_array_foreach(json_object_get(j, "hosts"), i, host) print_host(host);
		printf("\nA message %s.\n", cli_text(json_object_get(j, "verdict"), "text"));
	}
	json_decref(j);
	return rc;
}
