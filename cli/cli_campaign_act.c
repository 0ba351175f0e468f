/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost campaign activate, pause, resume, revoke, list, report. */
#include <stdio.h>
#include <string.h>

#include "cli/cli_campaign.h"
#include "core/err.h"

/* The version that is meant if none is named: the newest that has one of these states. */
static int find_version(struct cli_campaign *k, const char *const *states, json_int_t *version)
{
	json_t *ask, *answer, *items, *item;
	const char *customer = k->customer ? k->customer : "default";
	char path[256];
	size_t i;
	int rc;

	*version = k->version;
	if (k->version)
		return 0;
	snprintf(path, sizeof(path), "/v1/campaigns/%.100s", k->args[0]);
	rc = cli_api(k->cli, "GET", path, 0, &answer);
	if (rc)
		return rc;
	ask = NULL;
	items = json_object_get(answer, "items");
	json_array_foreach(items, i, item) {
		const char *state = cli_text(item, "state");
		for (const char *const *s = states; !ask && *s; s++)
			if (!strcmp(state, *s) && !strcmp(cli_text(item, "customer"), customer))
				ask = item;
	}
	*version = ask ? cli_number(ask, "version") : 0;
	json_decref(answer);
	return *version ? 0
			: cli_fail(CLI_NOT_THERE, "no version of %s is %s: name one with --version", k->args[0],
				   states[0]);
}

static int act(struct cli_campaign *k, const char *api, json_t *ask, const char *said)
{
	json_t *answer;
	int rc = cli_api_body(k->cli, "POST", api, ask, 0, &answer);

	json_decref(ask);
	if (rc)
		return rc;
	if (k->json)
		return cli_campaign_json(answer);
	printf("%s version %lld is %s.\n", cli_text(answer, "campaign"), (long long)cli_number(answer, "version"), said);
	if (json_is_false(json_object_get(answer, "revocation_signed")))
		puts("keyd has not signed the list of the revoked yet: until it has, milter lets campaign mail wait.");
	json_decref(answer);
	return 0;
}

static int act_on(struct cli_campaign *k, const char *api, const char *const *states, const char *said)
{
	json_int_t version;
	int rc = find_version(k, states, &version);

	return rc ? rc : act(k, api, cli_campaign_which(k, k->args[0], version), said);
}

int cli_campaign_activate(struct cli_campaign *k)
{
	static const char *const states[] = {"approved", NULL};
	json_int_t version;
	json_t *ask;
	int rc = find_version(k, states, &version);

	if (rc)
		return rc;
	ask = cli_campaign_which(k, k->args[0], version);
	if (k->keep)
		json_object_set_new(ask, "keep", json_true());
	return act(k, "/v1/campaigns/activate", ask, "active");
}

int cli_campaign_pause(struct cli_campaign *k)
{
	static const char *const states[] = {"active", NULL};

	return act_on(k, "/v1/campaigns/pause", states, "paused");
}

int cli_campaign_resume(struct cli_campaign *k)
{
	static const char *const states[] = {"paused", NULL};

	return act_on(k, "/v1/campaigns/resume", states, "active again");
}

int cli_campaign_revoke(struct cli_campaign *k)
{
	static const char *const states[] = {"active", "paused", NULL};
	json_int_t version = 0;
	char answer[16] = "";
	int rc = k->all ? 0 : find_version(k, states, &version);

	if (rc)
		return rc;
	if (!k->yes) {
		if (version)
			printf("Revoke %s version %lld? That is for ever. [y/N] ", k->args[0], (long long)version);
		else
			printf("Revoke all versions of %s, and those that may come? That is for ever. [y/N] ", k->args[0]);
		fflush(stdout);
		if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
			return cli_fail(CLI_NOT_THERE, "nothing was done");
	}
	return act(k, "/v1/campaigns/revoke", cli_campaign_which(k, k->args[0], version), "revoked");
}

/* --- list */

static void add_row(struct cli_table *t, const json_t *i)
{
	char version[24], messages[64], until[32];

	snprintf(version, sizeof(version), "%lld", (long long)cli_number(i, "version"));
	if (cli_number(i, "max_messages"))
		snprintf(messages, sizeof(messages), "%lld/%lld", (long long)cli_number(i, "taken"),
			 (long long)cli_number(i, "max_messages"));
	else
		snprintf(messages, sizeof(messages), "%lld", (long long)cli_number(i, "taken"));
	cli_time(until, cli_number(i, "valid_to"));
	until[strlen(until) > 16 ? 16 : strlen(until)] = '\0';
	cli_table_row(t, (const char *[]){cli_text(i, "customer"), cli_text(i, "campaign"), version,
					  json_is_true(json_object_get(i, "damaged")) ? "DAMAGED" : cli_text(i, "state"),
					  messages, until, cli_text(i, "author"),
					  cli_text(i, "approver")[0] ? cli_text(i, "approver") : "-"});
}

int cli_campaign_list(struct cli_campaign *k)
{
	static const char *const heads[] = {"CUSTOMER", "CAMPAIGN", "VERSION", "STATE",
					    "MESSAGES", "UNTIL",    "AUTHOR",  "APPROVER"};
	json_t *answer, *items, *item;
	struct cli_table *t;
	char path[256];
	size_t i;
	int rc;

	if (k->count)
		snprintf(path, sizeof(path), "/v1/campaigns/%.100s", k->args[0]);
	else
		snprintf(path, sizeof(path), "/v1/campaigns%s%.100s", k->customer ? "?customer=" : "",
			 k->customer ? k->customer : "");
	rc = cli_api(k->cli, "GET", path, 0, &answer);
	if (rc)
		return rc;
	items = json_object_get(answer, "items");
	if (k->json) {
		json_incref(items);
		json_decref(answer);
		return cli_campaign_json(items);
	}
	if (json_array_size(items)) {
		t = cli_table_new(heads, 8, "llrlrlll");
		json_array_foreach(items, i, item)
			if (!k->customer || !strcmp(cli_text(item, "customer"), k->customer))
				add_row(t, item);
		cli_table_print(t);
		cli_table_free(t);
	} else {
		puts("No campaign is registered.");
	}
	json_decref(answer);
	return 0;
}

/* --- report */

static const struct {
	const char *verdict, *text;
} verdicts[] = {
    {"literal", "text differs from what was approved"},
    {"field-octet", "a field's value holds a character that its type does not have"},
    {"field-length", "a field's value is too long, or too short"},
    {"field-value", "a field's value is not of its type, or not permitted"},
    {"field-link", "a mail program would make a link of a field's value"},
    {"field-recipient", "an address in the text is not the recipient's"},
    {"branch", "none of the alternatives that were approved stands there"},
    {"repeats", "a block stands there more often than was approved"},
    {"text-ends", "text is missing at the end of a part"},
    {"text-goes-on", "there is text behind the end of what was approved"},
    {"part-type", "a MIME part is of another type, or in another place"},
    {"part-extra", "there is a MIME part that was not approved"},
    {"part-missing", "a MIME part is missing"},
    {"part-digest", "an attachment or image is not the file that was approved"},
    {"part-size", "an attachment or image has another size than what was approved"},
    {"header-from", "the sender shown (From) is not the one that was approved"},
    {"header-to", "To is not the one recipient"},
    {"header-reply-to", "Reply-To is not what was approved"},
    {"header-subject", "Subject is not text"},
    {"header-list-id", "List-Id is not what was approved"},
    {"header-url", "a header leads to a host that is not the campaign's"},
    {"header-missing", "a header that belongs there is not there"},
    {"header-date", "Date is not a date, or holds other text"},
    {"header-foreign", "a header that was not approved, or one twice"},
    {"unknown-campaign", "no such campaign or version is active"},
    {"not-active", "the campaign is not active"},
    {"not-yet", "the campaign's time has not begun"},
    {"expired", "the campaign's time is over"},
    {"cap", "as many messages as were approved have gone out"},
    {"revoked", "this version was revoked"},
    {"audience", "the recipient is not in the campaign's audience"},
    {"mac", "the header X-DoPosta-Campaign was not made by the customer's application for this message"},
    {"no-campaign", "the stream takes campaign mail alone, and the message names none"},
    {"ambiguous", "its MIME structure can be read in more than one way"},
};

/* What was approved for the place where the message differs. Not every reader of reports may see it: then nothing. */
static void put_approved(struct cli_campaign *k, const json_t *x)
{
	struct cli_campaign about = *k;
	struct cli_campaign_version v;
	json_int_t tpl = cli_number(x, "template"), at = cli_number(x, "template_offset");
	struct span line;

	about.customer = cli_text(x, "customer");
	if (!json_is_integer(json_object_get(x, "template")) ||
	    cli_campaign_fetch(&about, cli_text(x, "campaign"), cli_number(x, "version"), &v))
		return;
	if (tpl < v.bundle.n_blobs && (size_t)at <= v.bundle.blob[tpl].n) {
		line = cli_campaign_line(v.bundle.blob[tpl], (size_t)at);
		fputs("Approved   ", stdout);
		cli_campaign_put(line);
		puts("");
	}
	cli_campaign_version_clear(&v);
}

static void put_place(const json_t *x)
{
	if (cli_text(x, "header")[0]) {
		printf("Header     %s\n", cli_text(x, "header"));
		return;
	}
	if (!json_is_integer(json_object_get(x, "part")))
		return;
	printf("Part       %lld", (long long)cli_number(x, "part"));
	if (json_is_integer(json_object_get(x, "offset")))
		printf(", offset %lld", (long long)cli_number(x, "offset"));
	puts("");
}

int cli_campaign_report(struct cli_campaign *k)
{
	char path[256], when[32];
	const char *why = NULL;
	json_t *x;
	int rc;

	if (strspn(k->args[0], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(k->args[0]) ||
	    strlen(k->args[0]) > 64)
		return cli_fail(EXIT_USAGE, "that is no report id");
	snprintf(path, sizeof(path), "/v1/rejections/%s", k->args[0]);
	rc = cli_api(k->cli, "GET", path, 0, &x);
	if (rc)
		return rc;
	if (k->json)
		return cli_campaign_json(x);
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (!strcmp(verdicts[i].verdict, cli_text(x, "verdict")))
			why = verdicts[i].text;
	cli_time(when, cli_number(x, "time"));
	printf("Report     %s\nTime       %s\nCustomer   %s\n", cli_text(x, "id"), when, cli_text(x, "customer"));
	if (cli_text(x, "campaign")[0])
		printf("Campaign   %s version %lld\n", cli_text(x, "campaign"), (long long)cli_number(x, "version"));
	printf("Verdict    %s%s%s\n", cli_text(x, "verdict"), why ? ": " : "", why ? why : "");
	put_place(x);
	if (json_is_integer(json_object_get(x, "template")))
		printf("Template   %lld, offset %lld\n", (long long)cli_number(x, "template"),
		       (long long)cli_number(x, "template_offset"));
	put_approved(k, x);
	json_decref(x);
	return 0;
}
