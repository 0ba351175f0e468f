/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_shred.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "keyproto/keyproto_shred.h"

/* What a destruction waits for, in words. */
static void put_waits(const json_t *row, char *out, size_t size)
{
	json_t *wait;
	size_t i, n = 0;

	snprintf(out, size, "-");
	json_array_foreach(json_object_get(row, "waits"), i, wait)
	{
		const char *comma = i ? "; " : "";
		char until[32];
		cli_time(until, cli_number(wait, "until") * 1000000);
		if (n >= size)
			return;
		if (!strcmp(cli_text(wait, "for"), "backup"))
			n += (size_t)snprintf(out + n, size - n,
					      "%skey %" JSON_INTEGER_FORMAT
					      " of backups: forget it, or %s",
					      comma, cli_number(wait, "id"), until);
		else
			n += (size_t)snprintf(out + n, size - n,
					      "%sold copies of the store, until %s", comma, until);
	}
}

/* Adds a page of rows. The first row of the next, or 0. */
static int64_t put_page(struct cli_table *t, const json_t *page)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(page, "shreds"), i, row)
	{
		char ordered[32], waits[1024];
		cli_time(ordered, cli_number(row, "ordered") * 1000000);
		put_waits(row, waits, sizeof(waits));
		cli_table_row(t, (const char *[]){cli_text(row, "customer"), cli_text(row, "state"),
						  ordered, waits});
	}
	return cli_number(page, "next");
}

static int status(struct cli *c)
{
	static const char *const heads[] = {"CUSTOMER", "STATE", "ORDERED", "WAITS FOR"};
	struct keyproto_client_sync *k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	struct cli_table *t;
	json_t *page;
	int64_t from = 0;
	int code = 0;

	if (!k)
		return EXIT_ENVIRONMENT;
	t = cli_table_new(heads, 4, "llll");
	do {
		keyproto_shreds_put(keyproto_client_sync_begin(k), (uint32_t)from);
		page = cli_keyd_json(k, KEYPROTO_SHREDS, &code);
		from = page ? put_page(t, page) : 0;
		json_decref(page);
	} while (from);
	if (code == 0)
		cli_table_print(t);
	cli_table_free(t);
	keyproto_client_sync_free(k);
	return code;
}

/* Whoever sits at a terminal has to type the name again. */
static int meant(const char *name)
{
	char typed[KEYPROTO_NAME_MAX + 2];

	if (!isatty(STDIN_FILENO))
		return 1;
	printf("Everything that is sealed with the keys of %s will be unreadable for ever.\nType "
	       "the name: ",
	       name);
	fflush(stdout);
	if (!fgets(typed, sizeof(typed), stdin))
		return 0;
	typed[strcspn(typed, "\n")] = '\0';
	return !strcmp(typed, name);
}

static int failed(int rc, const char *name)
{
	if (rc == ERR_NOTFOUND)
		return cli_fail(CLI_NOT_THERE, "no such customer: %s", name);
	if (rc == ERR_GONE)
		return cli_fail(CLI_NOT_THERE,
				"%s was destroyed before: sealpost key shred --status", name);
	if (rc == ERR_QUORUM) {
		puts("Kept as a proposal: other officers must approve it.");
		return 0;
	}
	return cli_keyd_failed(rc);
}

int cli_shred(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	struct span reply;
	int rc;

	if (argc == 2 && !strcmp(argv[1], "--status"))
		return status(c);
	if (argc != 3 || strcmp(argv[2], "--yes") || argv[1][0] == '-')
		return argc == 2 && argv[1][0] != '-'
			   ? cli_fail(EXIT_USAGE, "this destroys the customer's keys for ever; "
						  "read sealpost-key(8), "
						  "then add --yes")
			   : cli_usage("key");
	if (!meant(argv[1]))
		return cli_fail(EXIT_USAGE, "that is another name; nothing was done");
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = cli_keyd_name(k, KEYPROTO_SHRED, argv[1], &reply);
	keyproto_client_sync_free(k);
	if (rc < 0)
		return failed(rc, argv[1]);
	printf(
	    "The keys of %s are gone from keyd. What is left to do: sealpost key shred --status\n",
	    argv[1]);
	return 0;
}
