/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "conf/conf_peek.h"
#include "core/clock.h"
#include "core/err.h"
#include "sys/sys_file.h"
#include "sys/sys_priv.h"

#define CALL_MAX (120 * CLOCK_SEC) /* a token may take 30 s, and one slot is opened by another */

int cli_fail(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("sealpost: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

int cli_usage(const char *name)
{
	for (const struct cli_command *k = cli_commands(); k->name; k++)
		if (!strcmp(k->name, name))
			cli_usage_put(stderr, k);
	return EXIT_USAGE;
}

void cli_program(const struct cli *c, const char *name, char *out, size_t size)
{
	const char *slash = strrchr(c->self, '/');

	if (slash) {
		snprintf(out, size, "%.*s/%s", (int)(slash - c->self), c->self, name);
		if (access(out, X_OK) == 0)
			return;
		snprintf(out, size, "%.*s/../sbin/%s", (int)(slash - c->self), c->self, name);
		if (access(out, X_OK) == 0)
			return;
	}
	snprintf(out, size, "%s/%s", SP_SBINDIR, name);
}

int cli_run(const char *path, char *const argv[])
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		execv(path, argv);
		fprintf(stderr, "sealpost: cannot run %s\n", path);
		_exit(EXIT_ENVIRONMENT);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return EXIT_ENVIRONMENT;
	return WEXITSTATUS(status);
}

/* Who may be keyd: its user in keyd.yaml, root, and we ourselves. Nobody else gets a secret from us. */
static unsigned keyd_users(const struct cli *c, uid_t uids[3])
{
	char path[4200], user[64] = "sealpost-keyd";
	struct buf text;

	snprintf(path, sizeof(path), "%s/keyd.yaml", c->conf_dir);
	buf_init(&text, 1024 * 1024);
	if (sys_file_read(path, &text, 0) == 0)
		conf_peek(buf_span(&text), "user", user, sizeof(user));
	buf_clear(&text);
	uids[0] = 0;
	uids[1] = getuid();
	return sys_priv_uid(user, &uids[2]) == 0 ? 3 : 2;
}

static int connect_keyd(const struct cli *c, const char *path, unsigned role, struct keyproto_client_sync **out)
{
	struct keyproto_client_sync *k = keyproto_client_sync_new(path, role, "sealpost", CALL_MAX);
	uid_t uids[3];
	int rc;

	if (!k)
		return ERR_NOMEM;
	keyproto_client_sync_trust(k, uids, keyd_users(c, uids));
	rc = keyproto_client_sync_open(k, NULL);
	if (rc == 0)
		*out = k;
	else
		keyproto_client_sync_free(k);
	return rc;
}

struct keyproto_client_sync *cli_keyd_either(const struct cli *c, unsigned role, unsigned other)
{
	struct keyproto_client_sync *k = NULL;
	char path[4200];
	int rc;

	snprintf(path, sizeof(path), "%s/keyd-admin.sock", c->run_dir);
	rc = connect_keyd(c, path, role, &k);
	if (rc == ERR_DENIED && other != role)
		rc = connect_keyd(c, path, other, &k);
	if (rc == ERR_DENIED)
		cli_fail(0, "keyd does not let you act as %s: see peers: in keyd.yaml", keyproto_role_name(role));
	else if (rc == ERR_AUTH)
		cli_fail(0, "%s belongs to neither keyd's user, nor root, nor you: nothing was sent", path);
	else if (rc < 0)
		cli_fail(0, "keyd does not answer at %s: %s", path, err_text(rc));
	return k;
}

struct keyproto_client_sync *cli_keyd(const struct cli *c, unsigned role)
{
	return cli_keyd_either(c, role, role);
}

int cli_keyd_failed(int err)
{
	switch (err) {
	case ERR_DENIED:
		return cli_fail(EXIT_ENVIRONMENT, "keyd refuses: your role may not do that");
	case ERR_LOCKED:
		return cli_fail(EXIT_ENVIRONMENT, "keyd is locked: \"sealpost key unseal\" opens it");
	case ERR_AUTH:
		return cli_fail(CLI_NOT_THERE, "keyd refuses: what was given opens nothing");
	case ERR_QUORUM:
		return cli_fail(EXIT_ENVIRONMENT, "not done yet: kept as a proposal until others approve; see "
						  "\"sealpost key proposals\"");
	case ERR_BUSY:
		return cli_fail(EXIT_ENVIRONMENT, "keyd makes you wait after a failed try: again in a while");
	default:
		return cli_fail(EXIT_ENVIRONMENT, "keyd: %s", err_text(err));
	}
}

json_t *cli_keyd_json(struct keyproto_client_sync *k, uint16_t op, int *code)
{
	struct span reply;
	int rc = keyproto_client_sync_call(k, op, &reply);
	json_t *j = rc < 0 ? NULL
			   : json_loadb((const char *)reply.p, reply.n, JSON_REJECT_DUPLICATES, NULL);

	if (!j)
		*code = cli_keyd_failed(rc < 0 ? rc : ERR_FORMAT);
	return j;
}

int cli_keyd_name(struct keyproto_client_sync *k, uint16_t op, const char *name, struct span *reply)
{
	int rc = keyproto_bytes_put(keyproto_client_sync_begin(k), span_str(name));

	return rc < 0 ? rc : keyproto_client_sync_call(k, op, reply);
}

const char *cli_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

json_int_t cli_number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

void cli_time(char dst[32], json_int_t usec)
{
	time_t t = (time_t)(usec / 1000000);
	struct tm tm;

	if (usec == 0)
		strcpy(dst, "-");
	else
		strftime(dst, 32, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
}

struct cli_table {
	unsigned columns, rows;
	const char *right; /* one character a column: 'r' is aligned to the right */
	char ***cells;	   /* row 0: heads */
};

struct cli_table *cli_table_new(const char *const *heads, unsigned columns, const char *right)
{
	struct cli_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->columns = columns;
	t->right = right;
	cli_table_row(t, heads);
	return t;
}

void cli_table_row(struct cli_table *t, const char *const *cells)
{
	char ***grown = t ? realloc(t->cells, (t->rows + 1) * sizeof(*grown)) : NULL;

	if (!grown)
		return;
	t->cells = grown;
	t->cells[t->rows] = calloc(t->columns, sizeof(char *));
	if (!t->cells[t->rows])
		return;
	for (unsigned i = 0; i < t->columns; i++)
		t->cells[t->rows][i] = strdup(cells[i] ? cells[i] : "");
	t->rows++;
}

void cli_table_print(struct cli_table *t)
{
	for (unsigned r = 0; t && r < t->rows; r++) {
		for (unsigned i = 0; i < t->columns; i++) {
			int width = 0;
			for (unsigned k = 0; k < t->rows; k++) {
				int n = t->cells[k][i] ? (int)strlen(t->cells[k][i]) : 0;
				width = n > width ? n : width;
			}
			if (i + 1 == t->columns && t->right[i] != 'r')
				width = 0;
			if (t->right[i] == 'r')
				printf("%*s", width, t->cells[r][i]);
			else
				printf("%-*s", width, t->cells[r][i]);
			fputs(i + 1 == t->columns ? "\n" : "  ", stdout);
		}
	}
}

void cli_table_free(struct cli_table *t)
{
	for (unsigned r = 0; t && r < t->rows; r++) {
		for (unsigned i = 0; i < t->columns; i++)
			free(t->cells[r][i]);
		free(t->cells[r]);
	}
	if (t)
		free(t->cells);
	free(t);
}
