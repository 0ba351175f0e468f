/* SPDX-License-Identifier: Apache-2.0 */
/* cli_dkim - sealpost dkim: the keys that sign a domain's mail, and what the DNS says of them.
 *
 * Story:  a domain has a key of each type, under the labels dkim/DOMAIN/rsa and dkim/DOMAIN/ed25519. cli_dkim_records asks keyd
 *         for all their versions and makes of each what its selector must hold; relay says what selectors begin with, how
 *         long mail is queued, and what it finds in the DNS (cli_dkim_check).
 * Source: sealpost-dkim(8). */
#ifndef CLI_CLI_DKIM_H
#define CLI_CLI_DKIM_H

#include "cli/cli.h"
#include "mail/mail_selector.h"

#define CLI_DKIM_DOMAIN_MAX (KEYPROTO_NAME_MAX - 13) /* beside "dkim/" and "/ed25519" */

struct cli_dkim_place {
	char domain[CLI_DKIM_DOMAIN_MAX + 1]; /* small letters, no dot at its end */
	char prefix[MAIL_SELECTOR_PREFIX_MAX + 1];
	int64_t expire; /* usec that mail is queued at most */
	int configured; /* relay signs its mail */
	int away;	/* relay does not answer: the last three are the defaults */
};
/* Reads a domain and asks relay about it. 0, or an exit code after saying why. */
int cli_dkim_place(const struct cli *c, const char *domain, struct cli_dkim_place *out);
/* Fills in what relay says: its answer to GET /v1/dkim (NULL: away), and its item of the domain (NULL: none). */
void cli_dkim_relay(struct cli_dkim_place *p, const json_t *relay, const json_t *item);

struct cli_dkim_record {
	enum mail_selector_type type;
	uint32_t version;
	unsigned state;	 /* enum keyproto_version_state */
	int64_t changed; /* wall */
	int64_t until;	 /* wall: needed as long; 0: no end in sight */
	int needed;
	char selector[MAIL_SELECTOR_MAX], name[MAIL_SELECTOR_NAME_MAX];
	char text[1600];
};
struct cli_dkim_records {
	unsigned count, types; /* types: bit by enum mail_selector_type, of the keys that are there */
	struct cli_dkim_record *all;
};
/* Both keys, newest first each. 0 or ERR_*; ERR_NOTFOUND: neither is there. */
int cli_dkim_records(struct keyproto_client_sync *k, const struct cli_dkim_place *p,
		     struct cli_dkim_records *out);
/* After any of these, too. */
void cli_dkim_records_free(struct cli_dkim_records *r);
/* Says what went wrong; returns an exit code. */
int cli_dkim_failed(const struct cli_dkim_place *p, int err);
/* Zone lines of those in states (bits), needed or not. */
void cli_dkim_print(const struct cli_dkim_records *r, unsigned states);

/* Domain of a label as below; 0: it is none. */
int cli_dkim_domain(const char *label, char out[KEYPROTO_NAME_MAX + 1]);
/* Label of a key. */
void cli_dkim_label(char out[KEYPROTO_NAME_MAX + 1], const struct cli_dkim_place *p,
		    enum mail_selector_type type);

/* Subcommands that look; the others are in cli_dkim.c. */
int cli_dkim_dns(struct cli *c, int argc, char **argv);
int cli_dkim_check(struct cli *c, int argc, char **argv);
int cli_dkim_retire(struct cli *c, int argc, char **argv);
/* Relay's check of a domain: JSON as API GET /v1/dkim/{name} has it, or NULL with *code. */
json_t *cli_dkim_ask(const struct cli *c, const struct cli_dkim_place *p, int *code);
/* The table of a check. */
void cli_dkim_show(const json_t *check, int all);

#endif
