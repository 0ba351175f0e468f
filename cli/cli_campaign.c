/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost campaign: what may be sent, and who said so. See sealpost-campaign(8). */
#include "cli/cli_campaign.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "core/err.h"
#include "core/num.h"

/* Options that a subcommand takes: a letter each, see options[]. */
static const struct {
	const char *name;
	int (*run)(struct cli_campaign *k);
	const char *options;
	int least, most; /* arguments */
} rows[] = {
    {"add", cli_campaign_add, "culj", 1, 1},
    {"lint", cli_campaign_lint, "culj", 1, 1},
    {"learn", cli_campaign_learn, "", 1, 1},
    {"test", cli_campaign_test, "cvrj", 2, 2},
    {"approve", cli_campaign_approve, "cvapfyj", 1, 1},
    {"activate", cli_campaign_activate, "cvkj", 1, 1},
    {"pause", cli_campaign_pause, "cvj", 1, 1},
    {"resume", cli_campaign_resume, "cvj", 1, 1},
    {"revoke", cli_campaign_revoke, "cvAyj", 1, 1},
    {"show", cli_campaign_show, "cvtj", 1, 1},
    {"list", cli_campaign_list, "cj", 0, 1},
    {"report", cli_campaign_report, "j", 1, 1},
};

static const struct option options[] = {{"customer", 1, NULL, 'c'},
					{"version", 1, NULL, 'v'},
					{"author", 1, NULL, 'u'},
					{"audience", 1, NULL, 'l'},
					{"approver", 1, NULL, 'a'},
					{"key", 1, NULL, 'p'},
					{"passphrase-file", 1, NULL, 'f'},
					{"rcpt", 1, NULL, 'r'},
					{"json", 0, NULL, 'j'},
					{"yes", 0, NULL, 'y'},
					{"keep", 0, NULL, 'k'},
					{"all", 0, NULL, 'A'},
					{"text", 0, NULL, 't'},
					{NULL, 0, NULL, 0}};

static int take(struct cli_campaign *k, int opt)
{
	uint64_t n;

	switch (opt) {
	case 'c':
		k->customer = optarg;
		return 0;
	case 'v':
		if (num_parse_u64(span_str(optarg), &n) < 0 || n < 1 || n > UINT32_MAX)
			return cli_fail(EXIT_USAGE, "--version: must be a number from 1");
		k->version = (json_int_t)n;
		return 0;
	case 'u':
		k->author = optarg;
		return 0;
	case 'l':
		k->audience = optarg;
		return 0;
	case 'a':
		k->approver = optarg;
		return 0;
	case 'p':
		k->key = optarg;
		return 0;
	case 'f':
		k->passphrase_file = optarg;
		return 0;
	case 'r':
		k->rcpt = optarg;
		return 0;
	default:
		k->json |= opt == 'j';
		k->yes |= opt == 'y';
		k->keep |= opt == 'k';
		k->all |= opt == 'A';
		k->text |= opt == 't';
		return 0;
	}
}

static int run(struct cli *c, size_t row, int argc, char **argv)
{
	struct cli_campaign k = {.cli = c, .customer = NULL};
	int opt, rc = 0;

	while (rc == 0 && (opt = getopt_long(argc, argv, "", options, NULL)) != -1)
		rc = opt != '?' && strchr(rows[row].options, opt) ? take(&k, opt) : cli_usage("campaign");
	if (rc)
		return rc;
	k.args = argv + optind;
	k.count = argc - optind;
	if (k.count < rows[row].least || k.count > rows[row].most)
		return cli_usage("campaign");
	return rows[row].run(&k);
}

int cli_campaign(struct cli *c, int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "header"))
		return cli_campaign_header(c, argc - 1, argv + 1);
	for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i].name, argv[1]))
			return run(c, i, argc - 1, argv + 1);
	return cli_usage("campaign");
}

json_t *cli_campaign_which(const struct cli_campaign *k, const char *campaign, json_int_t version)
{
	json_t *o = json_pack("{s:s, s:s}", "customer", k->customer ? k->customer : "default", "campaign", campaign);

	if (version)
		json_object_set_new(o, "version", json_integer(version));
	return o;
}

int cli_campaign_json(json_t *o)
{
	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	puts("");
	json_decref(o);
	return 0;
}
