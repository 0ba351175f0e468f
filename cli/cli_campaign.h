/* SPDX-License-Identifier: Apache-2.0 */
/* cli_campaign - sealpost campaign: what its subcommands share. See sealpost-campaign(8). One thread. */
#ifndef CLI_CLI_CAMPAIGN_H
#define CLI_CLI_CAMPAIGN_H

#include "campaign/camp_bundle.h"
#include "cli/cli.h"

struct cli_campaign { /* options, and what stands behind them */
	struct cli *cli;
	const char *customer; /* "default" */
	const char *author, *approver, *key, *passphrase_file, *rcpt, *audience;
	json_int_t version; /* 0: the newest */
	int json, yes, keep, all, text;
	char **args;
	int count;
};

/* Rows of the table: argv[0] is the subcommand's name. */
int cli_campaign_header(struct cli *c, int argc, char **argv);
int cli_campaign_add(struct cli_campaign *k);
int cli_campaign_lint(struct cli_campaign *k);
int cli_campaign_learn(struct cli_campaign *k);
int cli_campaign_test(struct cli_campaign *k);
int cli_campaign_approve(struct cli_campaign *k);
int cli_campaign_activate(struct cli_campaign *k);
int cli_campaign_pause(struct cli_campaign *k);
int cli_campaign_resume(struct cli_campaign *k);
int cli_campaign_revoke(struct cli_campaign *k);
int cli_campaign_show(struct cli_campaign *k);
int cli_campaign_list(struct cli_campaign *k);
int cli_campaign_report(struct cli_campaign *k);

/* --- a source: YAML file, and the files that it names */
#define CLI_CAMPAIGN_PARTS 64
struct cli_campaign_source {
	json_t *document;
	char *files[CLI_CAMPAIGN_PARTS]; /* of its parts; NULL: none */
	const char *audience;		 /* file of its recipients; NULL: anyone may get it */
};
/* 0, or an exit code, said why. */
int cli_campaign_source_read(const char *path, struct cli_campaign_source *s);
void cli_campaign_source_clear(struct cli_campaign_source *s);

/* Sends the list that --audience names, and puts its name into the document. 0, or an exit code, said why. */
int cli_campaign_audience_send(struct cli_campaign *k, struct cli_campaign_source *source);
/* What relay says of it. */
void cli_campaign_audience_print(const json_t *answer);

/* Findings as compilers print them: FILE:LINE:COLUMN: level: rule: text. s and path (of the YAML file) may be NULL. Counts errors and warnings. */
void cli_campaign_findings(const json_t *findings, const struct cli_campaign_source *s, const char *path, int *errors,
			   int *warnings);

/* --- a version, as the API tells of it */
struct cli_campaign_version {
	json_t *row;
	uint8_t *bytes; /* of the bundle */
	struct camp_bundle bundle;
	struct camp_manifest *manifest;
};
/* Fetches and checks it: what is shown is what the hash is of. 0, or an exit code, said why. version 0: the newest. */
int cli_campaign_fetch(struct cli_campaign *k, const char *campaign, json_int_t version, struct cli_campaign_version *v);
void cli_campaign_version_clear(struct cli_campaign_version *v);
/* Prints it. */
void cli_campaign_print(const struct cli_campaign_version *v);
/* A template as its author wrote it: "{{name}}" for fields. */
int cli_campaign_render(const struct cli_campaign_version *v, unsigned tpl, struct buf *out);
/* The line of text that holds octet at, as much of it as a terminal shows well. */
struct span cli_campaign_line(struct span text, size_t at);
/* Prints what others wrote, on one line: no controls. */
void cli_campaign_put(struct span text);
/* What differs, in short. */
void cli_campaign_compare(const struct cli_campaign_version *old, const struct cli_campaign_version *fresh);

/* One request about a version, as an object; members are added by the caller. */
json_t *cli_campaign_which(const struct cli_campaign *k, const char *campaign, json_int_t version);
/* Prints JSON and releases it. */
int cli_campaign_json(json_t *o);

#endif
