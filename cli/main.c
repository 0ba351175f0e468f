/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost: the administrator's command. See sealpost(8). */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/err.h"
#include "core/log.h"

static const struct cli_command commands[] = {
    {"init", cli_init, "init [--hostname NAME] [--passphrase-file FILE] [--shares NEED/OF] [--shares-out DIR] [--user NAME]",
     "write configuration, make keys, certificate and the first customer"},
    {"status", cli_status, "status [--json]", "what runs, what waits, what is wrong"},
    {"queue", cli_queue, "queue list [--summary] [SELECTOR] [--limit N] [--json] | show ID | orders [--json] | hold|release ID|SELECTOR | suspend|resume SELECTOR | retry ID|SELECTOR|--all | reroute ID|SELECTOR --to HOP|--undo | bounce|purge ID|SELECTOR [--yes] | delete ID; SELECTOR: [--customer C] [--campaign C] [--destination D]",
     "look at queued mail and act on it"},
    {"shaping", cli_shaping,
     "shaping list [--json] | show [--json] SITE | suspend SOURCE[@SITE] | resume SOURCE[@SITE] | test [--rules PATTERN] FILE ...",
     "what destinations are given, and sources that rest"},
    {"tls", cli_tls,
     "tls stats [DOMAIN] [--since T] [--until T] [--limit N] [--json] | check [--customer NAME] [--json] DOMAIN | exception list [--json] | exception add DOMAIN --level LEVEL [--for TIME | --until TIME] --reason TEXT | exception remove DOMAIN | report [DAY] [--domain DOMAIN] [--json | --send]",
     "TLS policy of domains: statistics, what a delivery would do now, exceptions, TLS reports"},
    {"deliveries", cli_deliveries,
     "deliveries [--recipient ADDRESS | --domain D | --message ID] [--customer C] [--campaign X] [--outcome O] [--since T] [--until T] [--limit N] [--json]",
     "what became of each attempt to deliver"},
    {"ledger", cli_ledger,
     "ledger status [--json] | verify [--from DIR [--key FILE]] | export --format csv|json [--with-addresses | --events] [--since T] [--until T] [--customer C] [--domain D] | key",
     "the record of all attempts: is it whole, and what is in it"},
    {"trace", cli_trace, "trace [--json] ID", "the way of one message"},
    {"config", cli_config, "config check", "check the configuration of all daemons"},
    {"key", cli_key,
     "key unseal [--passphrase-file FILE | --shares [--secret-file FILE] | --token [--secret-file FILE] | --cancel] | lock | list | rotate LABEL [--activate] | rotate dek CUSTOMER | rotate kek [--shard N] [--wait] | rotate --pause | rotate --resume | schedule [--all] | certify LABEL --out FILE [--hostname NAME] [--csr] | deks CUSTOMER | slot list | slot add METHOD [--name NAME] [--shares NEED/OF] [--out DIR] [--secret-file FILE] [--with METHOD] [--with-file FILE] | slot remove ID | slot test ID [--secret-file FILE] | shred CUSTOMER --yes | shred --status | backup --to FILE [--key-file FILE] | backup --list | backup --forget ID | restore --from FILE [--key-file FILE] | audit show [--event NAME] [--limit N] [--json] [--dir DIR] | audit verify [--dir DIR] [--key FILE] | audit export DIR | history [--limit N] [--json] [--dir DIR] | proposals | approve N [--out DIR] | withdraw N | selftest | zeroize --yes-destroy-everything [--store ID]",
     "open and lock keyd, change keys and what opens them"},
    {"suppression", cli_suppression,
     "suppression list [--customer NAME] [--json] | add [--customer NAME] [--reason REASON] [--keep TIME] ADDRESS... | remove [--customer NAME] ADDRESS... | check [--customer NAME] ADDRESS... | import [--customer NAME] [--reason REASON] [--keep TIME] [FILE] | export [--customer NAME]",
     "recipients that a customer's mail is not taken for"},
    {"credential", cli_credential,
     "credential list [--json] | add inbound NAME [--customer CUSTOMER] [--password-file FILE | --generate] [--certificate FILE] [--messages RATE] [--recipients RATE] [--connections N] | add upstream NAME --login USER [--password-file FILE] | password KIND NAME [--login USER] [--password-file FILE | --generate] | disable KIND NAME | enable KIND NAME | remove KIND NAME --yes",
     "who may log in here, and as whom relay logs in elsewhere"},
    {"campaign", cli_campaign,
     "campaign add|lint FILE.yaml [--author NAME] [--audience FILE] | learn VALUES.yaml | list [NAME] | show NAME [--text] | test NAME MESSAGE --rcpt ADDRESS | approve NAME --approver NAME --key FILE [--passphrase-file FILE] [--yes] | activate NAME [--keep] | pause NAME | resume NAME | revoke NAME [--all] [--yes] | report ID | header --customer NAME --id ID --version N --from ADDRESS --to ADDRESS --message-id ID; with each: [--customer NAME] [--version N] [--json]",
     "what may be sent: register, approve, activate, revoke; why a message was refused"},
    {"domain", cli_domain,
     "domain list [--customer NAME] [--json] | add|show|verify|remove [--customer NAME] [--json] DOMAIN | trust [--customer NAME] --reason TEXT [--json] DOMAIN",
     "domains that are a customer's own: hosts that his campaigns may lead to"},
    {"approver", cli_approver,
     "approver keygen FILE [--passphrase-file FILE | --no-passphrase] | add NAME --customer C --key FILE | list [--json] | remove NAME",
     "who may approve campaigns, and their keys"},
    {"dkim", cli_dkim,
     "dkim add DOMAIN [--ed25519-only | --rsa-only] | list [--json] | dns DOMAIN | check DOMAIN [--json] | rotate DOMAIN [--activate [--force]] | retire DOMAIN",
     "the keys that sign a domain's mail, and their DNS records"},
    {"tracking", cli_tracking,
     "tracking stats [CAMPAIGN] [--customer NAME] [--raw] [--json] | events [CAMPAIGN] [--customer NAME] [--limit N] [--json] | export [--customer NAME] ADDRESS | erase [--customer NAME] --yes ADDRESS",
     "what readers of campaigns did; what is known of one recipient, and its erasure"},
    {"webhook", cli_webhook,
     "webhook list [--customer NAME] [--json] | add [--customer NAME] [--events LIST] URL | remove ID | test ID | secret ID",
     "web servers that are told of clicks, opens and unsubscribing"},
    {"help", cli_help, "help [SUBCOMMAND]", "show a manual page"},
    {0}};

const struct cli_command *cli_commands(void)
{
	return commands;
}

static void overview(FILE *f)
{
	fprintf(f, "usage: sealpost [--prefix DIR] SUBCOMMAND ...\n\n");
	for (const struct cli_command *k = commands; k->name; k++)
		fprintf(f, "  %-10s %s\n", k->name, k->help);
	fprintf(f, "\n\"sealpost help SUBCOMMAND\" shows its manual page.\n");
}

static void find_set(struct cli *c)
{
	if (c->prefix && *c->prefix) {
		snprintf(c->conf_dir, sizeof(c->conf_dir), "%s", c->prefix);
		snprintf(c->run_dir, sizeof(c->run_dir), "%s/run", c->prefix);
	} else {
		c->prefix = NULL;
		snprintf(c->conf_dir, sizeof(c->conf_dir), "%s", SP_SYSCONFDIR);
		snprintf(c->run_dir, sizeof(c->run_dir), "%s", SP_RUNDIR);
	}
}

static int asks_for_help(char **argv)
{
	for (; *argv && strcmp(*argv, "--"); argv++)
		if (!strcmp(*argv, "--help"))
			return 1;
	return 0;
}

static int help(const struct cli_command *k)
{
	cli_usage_put(stdout, k);
	printf("\n\"sealpost help %s\" shows the manual page.\n", k->name);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"prefix", required_argument, NULL, 'p'},
						{"version", no_argument, NULL, 'V'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	struct cli c = {.prefix = getenv("SEALPOST_PREFIX"), .self = argv[0]};
	int opt;

	signal(SIGPIPE, SIG_IGN); /* a daemon that hangs up is told of, not died of */
	log_open("sealpost");
	while ((opt = getopt_long(argc, argv, "+hV", options, NULL)) != -1) {
		switch (opt) {
		case 'p':
			c.prefix = optarg;
			break;
		case 'V':
			printf("sealpost %s\n", PACKAGE_VERSION);
			return 0;
		case 'h':
			overview(stdout);
			return 0;
		default:
			overview(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		overview(stderr);
		return EXIT_USAGE;
	}
	find_set(&c);
	argv += optind;
	argc -= optind;
	optind = 0; /* subcommands parse options of their own */
	for (const struct cli_command *k = commands; k->name; k++)
		if (!strcmp(k->name, argv[0]))
			return asks_for_help(argv) ? help(k) : k->run(&c, argc, argv);
	fprintf(stderr, "sealpost: no subcommand \"%s\"\n\n", argv[0]);
	overview(stderr);
	return EXIT_USAGE;
}
