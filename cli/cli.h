/* SPDX-License-Identifier: Apache-2.0 */
/* cli - what the subcommands of sealpost share: where things are, how to ask, how to print.
 *
 * Story:  main finds the set (the system's, or a prefix) and calls the subcommand from its table. A subcommand asks
 *         relay's local API (cli_api) or keyd's admin socket (cli_keyd), prints, and returns an exit code.
 * Exit:   0 done; 1 asked for something that is not there, or status found something wrong; 64, 75, 78 as everywhere.
 * Thread: one. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "core/buf.h"
#include "keyproto/keyproto_client_sync.h"

struct cli {
	const char *prefix; /* NULL: the system's set */
	char conf_dir[4096]; /* PREFIX or /etc/sealpost */
	char run_dir[4096];  /* PREFIX/run or /run/sealpost */
	const char *self;    /* argv[0] */
};

enum { CLI_NOT_THERE = 1 };

/* A row of the table of subcommands. */
struct cli_command {
	const char *name;
	int (*run)(struct cli *c, int argc, char **argv);
	const char *usage; /* after "sealpost ": forms, parted by " | "; behind "; " what several have */
	const char *help;  /* one line */
};
const struct cli_command *cli_commands(void);

/* Subcommands; argv[0] is the subcommand's name. */
int cli_init(struct cli *c, int argc, char **argv);
int cli_status(struct cli *c, int argc, char **argv);
int cli_queue(struct cli *c, int argc, char **argv);
int cli_shaping(struct cli *c, int argc, char **argv);
int cli_suppression(struct cli *c, int argc, char **argv);
int cli_tls(struct cli *c, int argc, char **argv);
int cli_deliveries(struct cli *c, int argc, char **argv);
int cli_ledger(struct cli *c, int argc, char **argv);
int cli_trace(struct cli *c, int argc, char **argv);
int cli_config(struct cli *c, int argc, char **argv);
int cli_key(struct cli *c, int argc, char **argv);
int cli_credential(struct cli *c, int argc, char **argv);
int cli_campaign(struct cli *c, int argc, char **argv);
int cli_approver(struct cli *c, int argc, char **argv);
int cli_domain(struct cli *c, int argc, char **argv);
int cli_dkim(struct cli *c, int argc, char **argv);
int cli_tracking(struct cli *c, int argc, char **argv);
int cli_webhook(struct cli *c, int argc, char **argv);
int cli_help(struct cli *c, int argc, char **argv);

/* Prints "sealpost: ..." to standard error; returns code. */
int cli_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The usage of a subcommand, to standard error; returns EXIT_USAGE. */
int cli_usage(const char *name);
/* The forms of a subcommand, a line each. (cli_usage.c) */
void cli_usage_put(FILE *f, const struct cli_command *k);
/* Path of a daemon's program: beside this one, or where it was installed. */
void cli_program(const struct cli *c, const char *name, char *out, size_t size);
/* Runs a program and waits. Its exit code, or EXIT_ENVIRONMENT. */
int cli_run(const char *path, char *const argv[]);

/* Connected client of keyd's admin socket, or NULL (said why). Who is behind the socket is keyd's user, root, or
 * ourselves: nobody else is sent anything. */
struct keyproto_client_sync *cli_keyd(const struct cli *c, unsigned role);
/* The same for what two roles may do: in the first of them that we have. */
struct keyproto_client_sync *cli_keyd_either(const struct cli *c, unsigned role, unsigned other);
/* Says what went wrong with keyd; returns an exit code. */
int cli_keyd_failed(int err);
/* The answer to a request that was begun, whose whole body is JSON. NULL after saying why, with an exit code in
 * *code. */
json_t *cli_keyd_json(struct keyproto_client_sync *k, uint16_t op, int *code);
/* A request whose body is one name; reply as in keyproto_client_sync_call. */
int cli_keyd_name(struct keyproto_client_sync *k, uint16_t op, const char *name, struct span *reply);

/* One request to relay's local API. *out: the JSON answer (json_decref) or NULL; a refusal with findings is one too. Returns 0, or an exit code after saying
 * why. quiet_away: return ERR_AWAY without a word when relay does not answer. */
int cli_api(const struct cli *c, const char *method, const char *path, int quiet_away, json_t **out);
/* The same with a JSON object (borrowed; NULL: none) as the request's body. */
int cli_api_body(const struct cli *c, const char *method, const char *path, const json_t *body,
		 int quiet_away, json_t **out);

/* A member of a JSON object: "" if it is not there or no text; 0 if not there or no number. */
const char *cli_text(const json_t *o, const char *name);
json_int_t cli_number(const json_t *o, const char *name);

/* Time as "2026-11-22 06:16:18" local, or "-" for 0. usec since 1970. */
void cli_time(char dst[32], json_int_t usec);

/* A table: columns padded to their longest cell, headed in capitals. Cells are copied. */
struct cli_table;
struct cli_table *cli_table_new(const char *const *heads, unsigned columns, const char *right);
void cli_table_row(struct cli_table *t, const char *const *cells);
void cli_table_print(struct cli_table *t);
void cli_table_free(struct cli_table *t);

#endif
