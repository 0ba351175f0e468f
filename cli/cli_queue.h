/* SPDX-License-Identifier: Apache-2.0 */
/* cli_queue - what the files of sealpost queue share.
 *
 * Story: cli_queue.c shows messages; cli_queue_order.c shows queues (CUSTOMER:CAMPAIGN@SITE) and gives orders. */
#ifndef CLI_CLI_QUEUE_H
#define CLI_CLI_QUEUE_H

#include "cli/cli.h"

struct cli_queue_wish { /* options of all queue commands */
	const char *customer, *campaign, *destination, *to;
	uint64_t limit;
	int limited, json, summary, all, yes, undo;
	const char *id; /* the argument that is no option, or NULL */
};
/* 0 or an exit code. argv[0] is the command. */
int cli_queue_read(struct cli_queue_wish *w, int argc, char **argv);
/* The selector as a JSON object, new; members that are not wished are not there. */
json_t *cli_queue_selector(const struct cli_queue_wish *w);
/* "in 4m", "now" while a worker has it, "due", "when released". */
void cli_queue_next(char dst[32], json_int_t next);

int cli_queue_summary(struct cli *c, const struct cli_queue_wish *w);
int cli_queue_orders(struct cli *c, const struct cli_queue_wish *w);
/* CLI_NOT_AN_ORDER: command is none. */
#define CLI_NOT_AN_ORDER (-1)
int cli_queue_order(struct cli *c, const char *command, const struct cli_queue_wish *w);

#endif
