/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_key_rotate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_key_version.h"
#include "core/err.h"
#include "keyproto/keyproto_rotate.h"

#define SHOWN  12     /* shards that are due next */
#define WAIT_S 500000 /* microseconds between two looks */

/* One line, again and again on a terminal, else only once it says something new. */
static void say_progress(const json_t *rotation, char last[128])
{
	char now[128];

	if (json_object_get(rotation, "shard"))
		snprintf(now, sizeof(now), "shard %lld: %lld keys wrapped anew, %lld left; %lld shards wait",
			 cli_number(rotation, "shard"), cli_number(rotation, "done"),
			 cli_number(rotation, "left"), cli_number(rotation, "asked"));
	else
		snprintf(now, sizeof(now), "%lld shards wait", cli_number(rotation, "asked"));
	if (!strcmp(now, last))
		return;
	strcpy(last, now);
	printf(isatty(STDOUT_FILENO) ? "\r%-78s" : "%s\n", now);
	fflush(stdout);
}

/* Until nothing waits; a pause or a store that takes nothing ends it too. */
static int wait_done(struct keyproto_client_sync *k)
{
	char last[128] = "";
	int code = 0, more = 1;

	while (more && code == 0) {
		json_t *status, *rotation;
		keyproto_client_sync_begin(k);
		status = cli_keyd_json(k, KEYPROTO_STATUS, &code);
		if (!status)
			break;
		rotation = json_object_get(status, "rotation");
		say_progress(rotation, last);
		more = cli_number(rotation, "asked") || json_object_get(rotation, "shard");
		if (more && json_is_true(json_object_get(rotation, "paused")))
			code = cli_fail(EXIT_ENVIRONMENT, "rotation is paused: "
							  "\"sealpost key rotate --resume\" lets it go on");
		else if (more && json_object_get(rotation, "error"))
			code = cli_fail(EXIT_ENVIRONMENT, "keyd cannot write its store: %s; it tries again",
					cli_text(rotation, "error"));
		json_decref(status);
		if (more && code == 0)
			usleep(WAIT_S);
	}
	if (isatty(STDOUT_FILENO))
		putchar('\n');
	if (code == 0)
		puts("All are done.");
	return code;
}

static int rotate_kek(struct cli *c, const char *shard, int wait)
{
	struct keyproto_rotate m = {KEYPROTO_ROTATE_KEK, span_str(shard), 0};
	struct keyproto_client_sync *k;
	struct span reply;
	int rc;

	if (keyproto_rotate_shard(m.name) < 0)
		return cli_fail(EXIT_USAGE, "%s: a shard is 0 to 255", shard);
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = keyproto_rotate_put(keyproto_client_sync_begin(k), &m);
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_ROTATE, &reply);
	if (rc < 0)
		rc = cli_keyd_failed(rc);
	else if (wait)
		rc = wait_done(k);
	else
		puts("Ordered; \"sealpost key schedule\" shows how far it is.");
	keyproto_client_sync_free(k);
	return rc;
}

static int order(struct cli *c, unsigned what)
{
	struct keyproto_client_sync *k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	struct span reply;
	int rc;

	if (!k)
		return EXIT_ENVIRONMENT;
	rc = keyproto_rotation_put(keyproto_client_sync_begin(k), (uint8_t)what);
	if (rc == 0)
		rc = keyproto_client_sync_call(k, KEYPROTO_ROTATION, &reply);
	keyproto_client_sync_free(k);
	if (rc < 0)
		return cli_keyd_failed(rc);
	puts(what == KEYPROTO_ROTATION_PAUSE ? "Rotation of KEKs is paused, over restarts too."
					     : "Rotation of KEKs goes on.");
	return 0;
}

int cli_key_rotate(struct cli *c, int argc, char **argv)
{
	const char *shard = "all";
	int wait = 0;

	if (argc == 2 && !strcmp(argv[1], "--pause"))
		return order(c, KEYPROTO_ROTATION_PAUSE);
	if (argc == 2 && !strcmp(argv[1], "--resume"))
		return order(c, KEYPROTO_ROTATION_RESUME);
	if (argc < 2 || strcmp(argv[1], "kek"))
		return cli_key_version_rotate(c, argc, argv);
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--wait"))
			wait = 1;
		else if (!strcmp(argv[i], "--shard") && i + 1 < argc)
			shard = argv[++i];
		else
			return cli_usage("key");
	}
	return rotate_kek(c, shard, wait);
}

/* All rows of a part of the schedule, or NULL. */
static json_t *all_rows(struct keyproto_client_sync *k, unsigned part, const char *name, int *code)
{
	struct keyproto_schedule m = {(uint8_t)part, 0};
	json_t *rows = json_array(), *page;

	do {
		keyproto_schedule_put(keyproto_client_sync_begin(k), &m);
		page = cli_keyd_json(k, KEYPROTO_SCHEDULE, code);
		if (!page) {
			json_decref(rows);
			return NULL;
		}
		json_array_extend(rows, json_object_get(page, name));
		m.from = (uint32_t)cli_number(page, "next"); /* never 0, so 0 says that it is not there */
		json_decref(page);
	} while (m.from);
	return rows;
}

/* Shards in work and asked for first, then by the time when they are due; never comes last. */
static int sooner(const json_t *a, const json_t *b)
{
	json_int_t x = cli_number(a, "left") || json_object_get(a, "asked") ? 1 : cli_number(a, "due");
	json_int_t y = cli_number(b, "left") || json_object_get(b, "asked") ? 1 : cli_number(b, "due");

	return (uint64_t)(x - 1) < (uint64_t)(y - 1);
}

static void add_shard(struct cli_table *t, const json_t *row)
{
	char shard[24], version[24], created[32], due[32], deks[24], left[24], old[64] = "";
	const json_t *older = json_object_get(row, "older"), *o = json_array_get(older, 0);

	snprintf(shard, sizeof(shard), "%lld", cli_number(row, "shard"));
	snprintf(version, sizeof(version), "%lld", cli_number(row, "version"));
	snprintf(deks, sizeof(deks), "%lld", cli_number(row, "deks"));
	snprintf(left, sizeof(left), "%lld", cli_number(row, "left"));
	cli_time(created, cli_number(row, "created"));
	if (json_object_get(row, "asked"))
		strcpy(due, "asked for");
	else
		cli_time(due, cli_number(row, "due"));
	if (json_object_get(o, "until")) {
		char until[32];
		cli_time(until, cli_number(o, "until"));
		snprintf(old, sizeof(old), "%lld kept until %s", cli_number(o, "version"), until);
	} else if (o) {
		snprintf(old, sizeof(old), "%lld in use", cli_number(o, "version"));
	}
	cli_table_row(t, (const char *[]){shard, version, created, due, deks, left, old});
}

static void print_shards(json_t *rows, int all)
{
	static const char *const heads[] = {"SHARD", "VERSION", "CREATED", "DUE", "DEKS", "LEFT", "OLDER"};
	struct cli_table *t = cli_table_new(heads, 7, "rrllrrl");
	size_t count = json_array_size(rows), shown = all || count < SHOWN ? count : SHOWN, best;

	for (size_t i = 0; i < shown; i++) {
		best = 0;
		for (size_t k = 1; k < json_array_size(rows); k++)
			if (sooner(json_array_get(rows, k), json_array_get(rows, best)))
				best = k;
		add_shard(t, json_array_get(rows, best));
		json_array_remove(rows, best);
	}
	cli_table_print(t);
	cli_table_free(t);
	if (shown < count)
		printf("%zu more shards are due later: --all shows them.\n", count - shown);
}

static void print_keys(const json_t *rows)
{
	static const char *const heads[] = {"LABEL", "VERSION", "STATE", "CREATED", "DUE", "WHAT"};
	struct cli_table *t = cli_table_new(heads, 6, "lrllll");
	char version[24], created[32], due[32];
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		snprintf(version, sizeof(version), "%lld", cli_number(row, "version"));
		cli_time(created, cli_number(row, "created"));
		cli_time(due, cli_number(row, "due"));
		cli_table_row(t, (const char *[]){cli_text(row, "label"), version,
						  cli_text(row, "state"), created, due,
						  cli_text(row, "action")});
	}
	cli_table_print(t);
	cli_table_free(t);
}

int cli_key_rotate_schedule(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	int all = argc == 2 && !strcmp(argv[1], "--all"), code = 0;
	json_t *keys, *shards;

	if (argc > 2 || (argc == 2 && !all))
		return cli_usage("key");
	k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	if (!k)
		return EXIT_ENVIRONMENT;
	keys = all_rows(k, KEYPROTO_SCHEDULE_KEYS, "keys", &code);
	shards = keys ? all_rows(k, KEYPROTO_SCHEDULE_KEKS, "shards", &code) : NULL;
	keyproto_client_sync_free(k);
	if (shards) {
		puts("Signing keys");
		print_keys(keys);
		puts("\nKEKs");
		print_shards(shards, all);
	}
	json_decref(keys);
	json_decref(shards);
	return code;
}
