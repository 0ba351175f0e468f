/* SPDX-License-Identifier: Apache-2.0 */
/* sealpost key unseal: with a passphrase, with a token, or share by share. */
#include <getopt.h>
#include <stdio.h>

#include "cli/cli_secret.h"
#include "cli/cli_slot.h"
#include "core/err.h"
#include "core/secret.h"

struct unseal {
	unsigned method;
	const char *file; /* of the secret; NULL: the terminal */
	int cancel;
	char *secret; /* secret memory */
};

static int call(struct keyproto_client_sync *k, unsigned method, const char *secret, size_t n)
{
	struct keyproto_slot m = {(uint8_t)method, span_of(secret, n)};
	struct span reply;
	int rc = keyproto_slot_put(keyproto_client_sync_begin(k), &m);

	return rc < 0 ? rc : keyproto_client_sync_call(k, KEYPROTO_UNSEAL, &reply);
}

/* "2 of 3 shares are there." */
static void say_progress(struct keyproto_client_sync *k)
{
	json_t *status = cli_slot_status(k);
	const json_t *u = json_object_get(status, "unseal");

	if (json_is_object(u))
		printf("%lld of %lld shares are there.\n", (long long)cli_number(u, "have"),
		       (long long)cli_number(u, "need"));
	json_decref(status);
}

/* Says why a share did not count; returns an exit code. */
static int share_failed(int err)
{
	static const struct {
		int err;
		const char *text;
	} rows[] = {{ERR_FORMAT, "that is no share, or there is a typo in it"},
		    {ERR_EXISTS, "that share is there already"},
		    {ERR_NOTFOUND, "that share is of no slot of this store"},
		    {ERR_BADSTATE, "that share is of another slot than those that are there"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == err)
			return cli_fail(CLI_NOT_THERE, "%s: it does not count", rows[i].text);
	return err == ERR_AUTH ? cli_fail(CLI_NOT_THERE, "one of the shares is not what was made: all of them are "
							 "forgotten, and keyd makes you wait")
			       : cli_keyd_failed(err);
}

/* Each line of text, until keyd is open. */
static int give_lines(struct keyproto_client_sync *k, struct span text)
{
	while (text.n) {
		ptrdiff_t end = span_find(text, '\n');
		size_t n = end < 0 ? text.n : (size_t)end;
		int rc = n ? call(k, KEYPROTO_SLOT_SHARES, (const char *)text.p, n) : ERR_MORE;
		text = span_sub(text, end < 0 ? n : n + 1, text.n);
		if (rc == 0) {
			puts("keyd is open.");
			return 0;
		}
		if (rc != ERR_MORE)
			return share_failed(rc);
	}
	say_progress(k);
	return 0;
}

/* Asks for one share after the other; an empty line ends: others may give theirs elsewhere. */
static int ask_lines(struct keyproto_client_sync *k, char *secret)
{
	int n, rc, said;

	while ((n = cli_secret_read(NULL, "Share (empty: no more from here): ", CLI_SLOT_SECRET_MAX, secret)) > 0) {
		rc = call(k, KEYPROTO_SLOT_SHARES, secret, (size_t)n);
		if (rc == 0) {
			puts("keyd is open.");
			return 0;
		}
		said = rc == ERR_MORE ? 0 : share_failed(rc);
		if (rc == ERR_MORE)
			say_progress(k);
		else if (rc == ERR_AUTH || said != CLI_NOT_THERE)
			return said;
	}
	return n < 0 ? EXIT_USAGE : 0;
}

static int unseal(struct unseal *u, struct keyproto_client_sync *k)
{
	int n, rc;

	if (u->method == KEYPROTO_SLOT_SHARES && !u->file)
		return ask_lines(k, u->secret);
	n = cli_slot_ask(u->method, 0, u->file, u->secret);
	if (n < 0)
		return EXIT_USAGE;
	if (u->method == KEYPROTO_SLOT_SHARES)
		return give_lines(k, span_of(u->secret, (size_t)n));
	rc = call(k, u->method, u->secret, (size_t)n);
	if (rc < 0)
		return cli_slot_failed(rc);
	puts("keyd is open.");
	return 0;
}

static int cancel(struct keyproto_client_sync *k)
{
	struct span reply;
	int rc;

	keyproto_client_sync_begin(k);
	rc = keyproto_client_sync_call(k, KEYPROTO_UNSEAL_CANCEL, &reply);
	if (rc == ERR_DENIED)
		return cli_fail(EXIT_ENVIRONMENT, "only who gave the first share can cancel");
	if (rc == ERR_BADSTATE)
		return cli_fail(CLI_NOT_THERE, "no shares are there");
	if (rc < 0)
		return cli_keyd_failed(rc);
	puts("The shares that were there are forgotten.");
	return 0;
}

static int parse(struct unseal *u, int argc, char **argv)
{
	static const struct option options[] = {{"passphrase-file", required_argument, NULL, KEYPROTO_SLOT_PASSPHRASE},
						{"shares", no_argument, NULL, KEYPROTO_SLOT_SHARES},
						{"token", no_argument, NULL, KEYPROTO_SLOT_TOKEN},
						{"secret-file", required_argument, NULL, 'f'},
						{"cancel", no_argument, NULL, 'c'},
						{NULL, 0, NULL, 0}};
	int opt, chosen = 0;

	u->method = KEYPROTO_SLOT_PASSPHRASE;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == '?')
			return cli_usage("key");
		if (opt == 'f' || opt == KEYPROTO_SLOT_PASSPHRASE)
			u->file = optarg;
		if (opt == 'f')
			continue;
		if (chosen++)
			return cli_usage("key");
		if (opt == 'c')
			u->cancel = 1;
		else
			u->method = (unsigned)opt;
	}
	return optind == argc && !(u->cancel && u->file) ? 0 : cli_usage("key");
}

int cli_slot_unseal(struct cli *c, int argc, char **argv)
{
	struct keyproto_client_sync *k;
	struct unseal u = {0};
	int rc = parse(&u, argc, argv);

	if (rc)
		return rc;
	k = cli_keyd_either(c, KEYPROTO_ROLE_OFFICER, KEYPROTO_ROLE_OPERATOR);
	u.secret = secret_alloc(CLI_SLOT_SECRET_MAX);
	if (!k || !u.secret)
		rc = EXIT_ENVIRONMENT;
	else
		rc = u.cancel ? cancel(k) : unseal(&u, k);
	secret_free(u.secret, CLI_SLOT_SECRET_MAX);
	keyproto_client_sync_free(k);
	return rc;
}
