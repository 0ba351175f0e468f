/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_shares.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/err.h"
#include "sys/sys_file.h"

int cli_shares_parse(const char *text, uint8_t *need, uint8_t *of)
{
	unsigned k, n;
	char rest;

	if (sscanf(text, "%2u/%2u%c", &k, &n, &rest) != 2 || k < 2 || k > n || n > KEYPROTO_SHARES_MAX)
		return cli_fail(EXIT_USAGE, "shares are given as NEED/OF, such as 3/5: at least 2, at most %d",
				KEYPROTO_SHARES_MAX);
	*need = (uint8_t)k;
	*of = (uint8_t)n;
	return 0;
}

static int share_path(char path[PATH_MAX], const char *dir, unsigned i)
{
	return (size_t)snprintf(path, PATH_MAX, "%s/share-%u", dir, i) < PATH_MAX ? 0 : ERR_LIMIT;
}

int cli_shares_check(const char *dir, unsigned of)
{
	char path[PATH_MAX];
	int rc;

	if (!dir)
		return isatty(STDOUT_FILENO)
			   ? 0
			   : cli_fail(EXIT_USAGE, "standard output is no terminal: shares would stay where it goes; "
						  "use --out DIR");
	rc = sys_file_mkdir(dir, 0700);
	if (rc < 0)
		return cli_fail(EXIT_ENVIRONMENT, "%s: %s", dir, err_text(rc));
	for (unsigned i = 1; i <= of; i++)
		if (share_path(path, dir, i) < 0 || access(path, F_OK) == 0)
			return cli_fail(EXIT_USAGE, "%s exists already: nothing was changed", path);
	return 0;
}

static int write_files(const char *dir, const struct keyproto_slot_made *made)
{
	char path[PATH_MAX];
	struct buf line;
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < made->count; i++) {
		buf_init_wiped(&line, KEYPROTO_SHARE_TEXT_MAX + 1);
		buf_put_span(&line, made->shares[i]);
		rc = buf_put_str(&line, "\n");
		if (rc == 0)
			rc = share_path(path, dir, i + 1);
		if (rc == 0)
			rc = sys_file_replace(path, buf_span(&line), 0600);
		buf_clear(&line);
	}
	return rc < 0 ? cli_fail(EXIT_ENVIRONMENT, "%s: %s", dir, err_text(rc)) : 0;
}

/* How many open: each share says it. */
static unsigned need_of(const struct keyproto_slot_made *made)
{
	char head[32];
	unsigned need = 0;

	snprintf(head, sizeof(head), "%.*s", (int)made->shares[0].n, (const char *)made->shares[0].p);
	return sscanf(head, "sealpost-share-1-%u-", &need) == 1 ? need : made->count;
}

int cli_shares_deliver(const char *dir, const struct keyproto_slot_made *made)
{
	const unsigned need = need_of(made);

	if (dir) {
		int rc = write_files(dir, made);
		if (rc == 0)
			printf("Shares      %s/share-1 .. share-%u: one for each custodian, any %u of them open\n",
			       dir, made->count, need);
		return rc;
	}
	printf("Shares      one line for each custodian, any %u of %u open. They are shown now and never again.\n\n",
	       need, made->count);
	for (unsigned i = 0; i < made->count; i++)
		printf("%.*s\n", (int)made->shares[i].n, (const char *)made->shares[i].p);
	puts("");
	return 0;
}
