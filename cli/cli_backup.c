/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_backup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli_secret.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "core/secret.h"
#include "keyproto/keyproto_backup.h"

#define KEY_TEXT  "sealpost-backup-key-1"
#define KEY_LINE  256
#define STORE_AT  20 /* identity of the store in the head of a backup */
#define KEY_AT	  60 /* id of the key */
#define HEAD_SIZE 128

struct options {
	const char *to, *from, *key_file, *forget;
	int list;
};

static int options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
	    {"to", required_argument, NULL, 't'},	{"from", required_argument, NULL, 'f'},
	    {"key-file", required_argument, NULL, 'k'}, {"forget", required_argument, NULL, 'x'},
	    {"list", no_argument, NULL, 'l'},		{0}};
	int at;

	memset(o, 0, sizeof(*o));
	optind = 0;
	while ((at = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (at) {
		case 't':
			o->to = optarg;
			break;
		case 'f':
			o->from = optarg;
			break;
		case 'k':
			o->key_file = optarg;
			break;
		case 'x':
			o->forget = optarg;
			break;
		case 'l':
			o->list = 1;
			break;
		default:
			return -1;
		}
	}
	return optind == argc ? 0 : -1;
}

static int failed(int rc)
{
	static const struct {
		int err, code;
		const char *text;
	} rows[] = {
	    {ERR_NOTFOUND, EXIT_USAGE,
	     "there is no key of backups whose secret somebody has: add --key-file FILE for a new "
	     "one"},
	    {ERR_AUTH, CLI_NOT_THERE,
	     "this is no backup under that key, or it was changed or cut; nothing was written"},
	    {ERR_BADSTATE, EXIT_ENVIRONMENT,
	     "keyd has a store: a backup is restored into an empty keyd"},
	    {ERR_BUSY, EXIT_ENVIRONMENT, "keyd is at something else: try again"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == rc)
			return cli_fail(rows[i].code, "%s", rows[i].text);
	return cli_keyd_failed(rc);
}

static int write_all(int fd, struct span s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		s = span_sub(s, (size_t)n, s.n);
	}
	return 0;
}

/* --- backup --to */

/* What lies open while a backup is fetched. */
struct fetch {
	struct keyproto_client_sync *k;
	struct keyproto_backup_begun begun;
	uint8_t *secret; /* secret memory */
	char part[PATH_MAX];
	int fd, key_fd;
};

static int begin(struct fetch *f, int new_key)
{
	struct keyproto_backup m = {.what = KEYPROTO_BACKUP_BEGIN, .new_key = (uint8_t)new_key};
	struct span reply;
	int rc;

	keyproto_backup_put(keyproto_client_sync_begin(f->k), &m);
	rc = keyproto_client_sync_call(f->k, KEYPROTO_BACKUP, &reply);
	if (rc == 0)
		rc = keyproto_backup_begun_get(reply, &f->begun);
	if (rc < 0)
		return rc;
	if (f->begun.secret.n)
		memcpy(f->secret, f->begun.secret.p, 32);
	secret_wipe((uint8_t *)reply.p, reply.n);
	f->begun.secret = span_of(NULL, 0);
	return 0;
}

/* The line of a key file, for the backup that begins with head. */
static int write_key(struct fetch *f, struct span head)
{
	char store[HEX_SIZE(16)], *line = secret_alloc(KEY_LINE), *hex = secret_alloc(HEX_SIZE(32));
	int n, rc = line && hex && head.n >= HEAD_SIZE ? 0 : ERR_IO;

	if (rc == 0) {
		hex_encode(store, head.p + STORE_AT, 16);
		hex_encode(hex, f->secret, 32);
		n = snprintf(line, KEY_LINE, KEY_TEXT " %s %" PRIu32 " %s\n", store, f->begun.key,
			     hex);
		rc = write_all(f->key_fd, span_of(line, (size_t)n));
	}
	if (rc == 0 && fsync(f->key_fd) < 0)
		rc = ERR_IO;
	secret_free(line, KEY_LINE);
	secret_free(hex, HEX_SIZE(32));
	return rc;
}

static int fetch_all(struct fetch *f)
{
	struct keyproto_backup m = {.what = KEYPROTO_BACKUP_READ, .handle = f->begun.handle};
	struct span reply, data;
	int rc = 0;

	while (rc == 0 && m.offset < f->begun.size) {
		keyproto_backup_put(keyproto_client_sync_begin(f->k), &m);
		rc = keyproto_client_sync_call(f->k, KEYPROTO_BACKUP, &reply);
		if (rc == 0)
			rc = keyproto_bytes_get(reply, &data);
		if (rc == 0 && (data.n == 0 || data.n > f->begun.size - m.offset))
			rc = ERR_FORMAT;
		if (rc == 0 && m.offset == 0 && f->key_fd >= 0)
			rc = write_key(f, data);
		if (rc == 0)
			rc = write_all(f->fd, data);
		m.offset += data.n;
	}
	return rc == 0 && fsync(f->fd) < 0 ? ERR_IO : rc;
}

/* Opens what will be written, before a key is made for it. */
static int open_files(struct fetch *f, const struct options *o)
{
	if (o->key_file) {
		f->key_fd =
		    open(o->key_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (f->key_fd < 0)
			return cli_fail(EXIT_ENVIRONMENT, "%s: %s", o->key_file,
					errno == EEXIST ? "is there already" : strerror(errno));
	}
	if ((size_t)snprintf(f->part, sizeof(f->part), "%s.part", o->to) >= sizeof(f->part))
		return cli_fail(EXIT_USAGE, "the name is too long");
	f->fd = open(f->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	return f->fd < 0 ? cli_fail(EXIT_ENVIRONMENT, "%s: %s", f->part, strerror(errno)) : 0;
}

static int make(struct fetch *f, const struct options *o)
{
	int rc = open_files(f, o), made;

	if (rc)
		return rc;
	rc = begin(f, o->key_file != NULL);
	made = rc == 0;
	if (rc == 0)
		rc = fetch_all(f);
	if (rc == 0 && rename(f->part, o->to) < 0)
		rc = ERR_IO;
	if (rc < 0) {
		if (f->fd >= 0)
			unlink(f->part);
		if (o->key_file)
			unlink(o->key_file);
		if (made && o->key_file)
			cli_fail(0,
				 "key %" PRIu32 " was made and nobody has its secret: sealpost key "
						"backup --forget %" PRIu32,
				 f->begun.key, f->begun.key);
		return rc == ERR_IO ? cli_fail(EXIT_ENVIRONMENT, "the backup cannot be written: %s",
					       strerror(errno))
				    : failed(rc);
	}
	printf("%s: %" PRIu64 " bytes, under key %" PRIu32 ".\n", o->to, f->begun.size,
	       f->begun.key);
	if (o->key_file)
		printf("%s opens it: keep it elsewhere.\n", o->key_file);
	return 0;
}

static int backup_to(struct cli *c, const struct options *o)
{
	struct fetch f = {.fd = -1, .key_fd = -1};
	int rc = EXIT_ENVIRONMENT;

	f.k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	f.secret = secret_alloc(32);
	if (f.k && f.secret)
		rc = make(&f, o);
	if (f.fd >= 0)
		close(f.fd);
	if (f.key_fd >= 0)
		close(f.key_fd);
	secret_free(f.secret, 32);
	keyproto_client_sync_free(f.k);
	return rc;
}

/* --- backup --list, --forget */

static int list(struct cli *c)
{
	static const char *const heads[] = {"KEY", "STATE", "MADE", "LAST BACKUP", "SINCE"};
	struct keyproto_backup m = {.what = KEYPROTO_BACKUP_LIST};
	struct keyproto_client_sync *k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	struct cli_table *t;
	json_t *j, *key;
	size_t i;
	int code;

	if (!k)
		return EXIT_ENVIRONMENT;
	keyproto_backup_put(keyproto_client_sync_begin(k), &m);
	j = cli_keyd_json(k, KEYPROTO_BACKUP, &code);
	keyproto_client_sync_free(k);
	if (!j)
		return code;
	t = cli_table_new(heads, 5, "rllll");
	json_array_foreach(json_object_get(j, "keys"), i, key)
	{
		char id[24], made[32], used[32], changed[32];
		snprintf(id, sizeof(id), "%" JSON_INTEGER_FORMAT, cli_number(key, "id"));
		cli_time(made, cli_number(key, "created") * 1000000);
		cli_time(used, cli_number(key, "used") * 1000000);
		cli_time(changed, cli_number(key, "changed") * 1000000);
		cli_table_row(t, (const char *[]){id, cli_text(key, "state"), made, used, changed});
	}
	cli_table_print(t);
	cli_table_free(t);
	json_decref(j);
	return 0;
}

static int forget(struct cli *c, const char *text)
{
	struct keyproto_client_sync *k;
	struct span reply;
	char *end;
	unsigned long id = strtoul(text, &end, 10);
	int rc;

	if (id < 1 || id > UINT32_MAX || *end || text[0] < '0' || text[0] > '9')
		return cli_fail(EXIT_USAGE, "not the number of a key: %s", text);
	k = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	if (!k)
		return EXIT_ENVIRONMENT;
	keyproto_backup_forget_put(keyproto_client_sync_begin(k), (uint32_t)id);
	rc = keyproto_client_sync_call(k, KEYPROTO_BACKUP_FORGET, &reply);
	keyproto_client_sync_free(k);
	if (rc == ERR_NOTFOUND)
		return cli_fail(CLI_NOT_THERE, "no such key: %lu", id);
	if (rc < 0)
		return cli_keyd_failed(rc);
	printf("Key %lu counts as destroyed: nobody can open its backups.\n", id);
	return 0;
}

int cli_backup(struct cli *c, int argc, char **argv)
{
	struct options o;

	if (options(argc, argv, &o) < 0 || o.from || !!o.to + o.list + !!o.forget != 1 ||
	    (o.key_file && !o.to))
		return cli_usage("key");
	if (o.list)
		return list(c);
	return o.forget ? forget(c, o.forget) : backup_to(c, &o);
}

/* --- restore */

/* Looks at a key file, and at the head of the backup that it is said to open. secret: 32 bytes. */
static int read_key(const char *path, const uint8_t *head, uint8_t *secret)
{
	char *line = secret_alloc(KEY_LINE), store[HEX_SIZE(16)], own[HEX_SIZE(16)];
	uint32_t key;
	int n, at = 0, rc = 0;

	if (!line)
		return EXIT_ENVIRONMENT;
	n = cli_secret_read(path, NULL, KEY_LINE - 1, line);
	if (n < 0) {
		secret_free(line, KEY_LINE);
		return EXIT_ENVIRONMENT;
	}
	line[n] = '\0';
	if (sscanf(line, KEY_TEXT " %32[0-9a-f] %" SCNu32 " %n", store, &key, &at) != 2 || !at ||
	    n - at != 64 || hex_decode(secret, 32, span_of(line + at, 64)) != 32)
		rc = cli_fail(EXIT_USAGE, "%s: not a key file", path);
	secret_free(line, KEY_LINE);
	if (rc)
		return rc;
	hex_encode(own, head + STORE_AT, 16);
	if (strcmp(own, store))
		return cli_fail(CLI_NOT_THERE, "%s: of another store", path);
	if (key != num_get_u32(head + KEY_AT))
		return cli_fail(CLI_NOT_THERE,
				"%s: of key %" PRIu32 ", and the backup is under key %" PRIu32,
				path, key, num_get_u32(head + KEY_AT));
	return 0;
}

/* Sends it in pieces; the last brings the secret. */
static int send_all(struct keyproto_client_sync *k, FILE *f, uint64_t size, const uint8_t *secret,
		    uint8_t *piece)
{
	struct keyproto_restore m = {.size = size};
	struct span reply;
	int rc = 0;

	while (rc == 0 && m.offset < size) {
		size_t n = fread(piece, 1, KEYPROTO_BACKUP_PIECE, f);
		if (n == 0 || n > size - m.offset)
			return ERR_IO;
		m.data = span_of(piece, n);
		m.secret = span_of(secret, m.offset + n == size ? 32 : 0);
		keyproto_restore_put(keyproto_client_sync_begin(k), &m);
		rc = keyproto_client_sync_call(k, KEYPROTO_RESTORE, &reply);
		m.offset += n;
	}
	return rc;
}

static int restore(struct cli *c, const struct options *o, FILE *f, uint8_t *secret)
{
	char key_file[PATH_MAX];
	struct keyproto_client_sync *k;
	uint8_t *piece;
	struct stat st;
	int rc;

	snprintf(key_file, sizeof(key_file), "%s.key", o->from);
	piece = malloc(KEYPROTO_BACKUP_PIECE);
	if (!piece || fstat(fileno(f), &st) < 0 || fread(piece, 1, HEAD_SIZE, f) != HEAD_SIZE) {
		free(piece);
		return cli_fail(EXIT_USAGE, "%s: not a backup", o->from);
	}
	rewind(f);
	rc = read_key(o->key_file ? o->key_file : key_file, piece, secret);
	k = rc == 0 ? cli_keyd(c, KEYPROTO_ROLE_OFFICER) : NULL;
	if (k) {
		rc = send_all(k, f, (uint64_t)st.st_size, secret, piece);
		rc = rc == ERR_IO
			 ? cli_fail(EXIT_ENVIRONMENT,
				    "%s cannot be read, or keyd failed: its log says why", o->from)
		     : rc < 0 ? failed(rc)
			      : 0;
	} else if (rc == 0) {
		rc = EXIT_ENVIRONMENT;
	}
	free(piece);
	keyproto_client_sync_free(k);
	if (rc == 0)
		puts("Restored; keyd is locked. Customers destroyed since then come back unless "
		     "relay or the audit log tells\n"
		     "keyd of them: start relay, then \"sealpost key unseal\" and \"sealpost key "
		     "accept-rollback --yes\".");
	return rc;
}

int cli_backup_restore(struct cli *c, int argc, char **argv)
{
	struct options o;
	uint8_t *secret;
	FILE *f;
	int rc;

	if (options(argc, argv, &o) < 0 || !o.from || o.to || o.list || o.forget)
		return cli_usage("key");
	f = fopen(o.from, "re");
	if (!f)
		return cli_fail(EXIT_ENVIRONMENT, "%s: %s", o.from, strerror(errno));
	secret = secret_alloc(32);
	rc = secret ? restore(c, &o, f, secret) : EXIT_ENVIRONMENT;
	secret_free(secret, 32);
	fclose(f);
	return rc;
}
