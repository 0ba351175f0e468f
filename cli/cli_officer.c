/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_officer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_shares.h"
#include "cli/cli_slot.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "keyproto/keyproto_audit.h"

/* The JSON answer to a request that was begun, or NULL with *rc an exit code. k is freed. */
static json_t *ask(struct keyproto_client_sync *k, uint16_t op, int *rc)
{
	json_t *j;

	*rc = 0;
	j = cli_keyd_json(k, op, rc);
	keyproto_client_sync_free(k);
	return j;
}

static void print_proposal(const json_t *p)
{
	json_t *uid;
	size_t i;

	printf("%" PRId64 "  %s, asked for by uid %" PRId64 ", approved by", (int64_t)cli_number(p, "number"),
	       cli_text(p, "op"), (int64_t)cli_number(p, "uid"));
	json_array_foreach(json_object_get(p, "approved"), i, uid)
		printf(" %" PRId64, (int64_t)json_integer_value(uid));
	printf(" of %" PRId64 ", expires in %" PRId64 " s\n   request %s\n", (int64_t)cli_number(p, "need"),
	       (int64_t)cli_number(p, "expires_s"), cli_text(p, "digest"));
}

int cli_officer_proposals(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	json_t *j, *p;
	size_t i;
	int rc;

	(void)argv;
	if (argc != 1)
		return cli_usage("key");
	k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	if (!k)
		return EXIT_ENVIRONMENT;
	keyproto_client_sync_begin(k);
	j = ask(k, KEYPROTO_PROPOSALS, &rc);
	json_array_foreach(json_object_get(j, "proposals"), i, p)
		print_proposal(p);
	if (j && !json_array_size(json_object_get(j, "proposals")))
		puts("Nothing waits for approval.");
	json_decref(j);
	return rc;
}

/* What the operation of a proposal answered, which was approved. */
static int print_done(struct span reply, int made_slot, const char *out)
{
	uint32_t id;

	if (made_slot)
		return cli_slot_made(reply, out, &id);
	if (reply.n && reply.p[0] == '{')
		printf("Done: %.*s\n", (int)reply.n, (const char *)reply.p);
	else
		puts("Done.");
	return 0;
}

/* 1 if this proposal makes a slot, whose shares the last who approves is told; -1 after saying why not. */
static int makes_slot(struct keyproto_client_sync *k, uint64_t number)
{
	json_t *j, *p;
	int code, yes = 0;
	size_t i;

	keyproto_client_sync_begin(k);
	j = cli_keyd_json(k, KEYPROTO_PROPOSALS, &code);
	if (!j)
		return -1;
	json_array_foreach(json_object_get(j, "proposals"), i, p)
		yes |= (uint64_t)cli_number(p, "number") == number && !strcmp(cli_text(p, "op"), "slot-add");
	json_decref(j);
	return yes;
}

static int vote_with(struct keyproto_client_sync *k, uint64_t number, uint16_t op, const char *out)
{
	int made_slot = op == KEYPROTO_APPROVE ? makes_slot(k, number) : 0, rc;
	struct span reply;

	if (made_slot < 0)
		return EXIT_ENVIRONMENT;
	if (made_slot && (rc = cli_shares_check(out, KEYPROTO_SHARES_MAX)) != 0)
		return rc;
	keyproto_audit_number_put(keyproto_client_sync_begin(k), number);
	rc = keyproto_client_sync_call(k, op, &reply);
	if (rc == 0 && op == KEYPROTO_APPROVE)
		return print_done(reply, made_slot, out);
	if (rc == 0)
		puts("Withdrawn.");
	else if (rc == ERR_QUORUM)
		puts("Approved; others must approve, too.");
	else if (rc == ERR_EXISTS)
		cli_fail(0, "you have approved that already: others must");
	else if (rc == ERR_NOTFOUND)
		cli_fail(0, "there is no such proposal (any more)");
	else
		cli_keyd_failed(rc);
	return rc == ERR_NOTFOUND || rc == ERR_EXISTS ? CLI_NOT_THERE : rc < 0 && rc != ERR_QUORUM ? EXIT_ENVIRONMENT : 0;
}

static int vote(struct cli *c, int argc, char **argv, uint16_t op)
{
	const char *out = op == KEYPROTO_APPROVE && argc == 4 && !strcmp(argv[2], "--out") ? argv[3] : NULL;
	struct keyproto_client_sync *k;
	uint64_t number;
	int rc;

	if ((argc != 2 && !out) || num_parse_u64(span_str(argv[1]), &number) < 0 || !number)
		return cli_usage("key");
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	rc = vote_with(k, number, op, out);
	keyproto_client_sync_free(k);
	return rc;
}

int cli_officer_approve(struct cli *c, int argc, char **argv)
{
	return vote(c, argc, argv, KEYPROTO_APPROVE);
}

int cli_officer_withdraw(struct cli *c, int argc, char **argv)
{
	return vote(c, argc, argv, KEYPROTO_WITHDRAW);
}

int cli_officer_selftest(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	json_t *j;
	int rc;

	(void)argv;
	if (argc != 1)
		return cli_usage("key");
	k = cli_keyd(c, KEYPROTO_ROLE_OPERATOR);
	if (!k)
		return EXIT_ENVIRONMENT;
	keyproto_client_sync_begin(k);
	j = ask(k, KEYPROTO_SELFTEST, &rc);
	if (j && json_is_true(json_object_get(j, "passed"))) {
		printf("passed in %" PRId64 " ms\n", (int64_t)cli_number(j, "usec") / 1000);
	} else if (j) {
		printf("failed: %s; keyd serves nobody any more\n", cli_text(j, "failed"));
		rc = CLI_NOT_THERE;
	}
	json_decref(j);
	return rc;
}

/* --- zeroize */

/* The store's identity as 32 digits: out of keyd's status. 0, or an exit code. */
static int store_of(struct cli *c, char id[33])
{
	struct keyproto_client_sync *k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	json_t *j;
	int rc;

	if (!k)
		return EXIT_ENVIRONMENT;
	keyproto_client_sync_begin(k);
	j = ask(k, KEYPROTO_STATUS, &rc);
	snprintf(id, 33, "%s", j ? cli_text(j, "store") : "");
	json_decref(j);
	return rc;
}

/* Typed by somebody who reads it: the store's identity. */
static int typed(const char *id)
{
	char line[80];

	if (!isatty(STDIN_FILENO))
		return cli_fail(EXIT_USAGE, "no terminal to ask on; name the store with --store");
	printf("This destroys all keys of store %s.\nWhat they sealed, all queued mail included, is lost for good.\n"
	       "Type the store's identity to go on: ",
	       id);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return EXIT_USAGE;
	line[strcspn(line, "\r\n")] = '\0';
	return strcmp(line, id) ? cli_fail(EXIT_USAGE, "that is another one; nothing was done") : 0;
}

static int print_destroyed(const json_t *j)
{
	const json_t *memory = json_object_get(j, "memory");
	int whole = json_is_true(json_object_get(j, "complete"));
	json_t *f;
	size_t i;

	printf("memory: %s (%" PRId64 " bytes looked at)\n",
	       json_is_true(json_object_get(memory, "wiped")) ? "no key is left" : "KEYS MAY BE LEFT; stop keyd",
	       (int64_t)cli_number(memory, "checked_bytes"));
	json_array_foreach(json_object_get(j, "files"), i, f)
		printf("%s: %" PRId64 " bytes %s, %s%s%s\n", cli_text(f, "path"), (int64_t)cli_number(f, "bytes"),
		       json_is_true(json_object_get(f, "verified")) ? "overwritten and read back" : "NOT OVERWRITTEN",
		       json_is_true(json_object_get(f, "removed")) ? "removed" : "NOT REMOVED",
		       *cli_text(f, "error") ? ": " : "", cli_text(f, "error"));
	puts(whole ? "Everything was destroyed." : "NOT everything could be destroyed.");
	return whole ? 0 : CLI_NOT_THERE;
}

int cli_officer_zeroize(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	uint8_t store[16];
	char id[33];
	json_t *j;
	int rc;

	if (argc < 2 || strcmp(argv[1], "--yes-destroy-everything") || (argc != 2 && argc != 4) ||
	    (argc == 4 && strcmp(argv[2], "--store")))
		return cli_usage("key");
	rc = store_of(c, id);
	if (rc == 0 && argc == 4 && strcmp(argv[3], id))
		rc = cli_fail(EXIT_USAGE, "keyd's store is %s; nothing was done", id);
	else if (rc == 0 && argc == 2)
		rc = typed(id);
	if (rc)
		return rc;
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k || hex_decode(store, sizeof(store), span_str(id)) != sizeof(store)) {
		keyproto_client_sync_free(k);
		return EXIT_ENVIRONMENT;
	}
	keyproto_audit_zeroize_put(keyproto_client_sync_begin(k), store);
	j = ask(k, KEYPROTO_ZEROIZE, &rc);
	if (j)
		rc = print_destroyed(j);
	json_decref(j);
	return rc;
}
