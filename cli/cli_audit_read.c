/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_audit_read.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/num.h"
#include "keyproto/keyproto_audit.h"
#include "sys/sys_file.h"

#define FILE_MAX (64u * 1024 * 1024)

/* Quietly: who is no auditor may be an officer. */
static struct keyproto_client_sync *as_auditor(const struct cli *c)
{
	char path[4200];
	struct keyproto_client_sync *k;

	snprintf(path, sizeof(path), "%s/keyd-admin.sock", c->run_dir);
	k = keyproto_client_sync_new(path, KEYPROTO_ROLE_AUDITOR, "sealpost", 30 * CLOCK_SEC);
	if (k && keyproto_client_sync_open(k, NULL) == 0)
		return k;
	keyproto_client_sync_free(k);
	return NULL;
}

int cli_audit_read_open(struct cli *c, const char *dir, struct cli_audit_read *out)
{
	memset(out, 0, sizeof(*out));
	out->dir = dir;
	if (dir)
		return 0;
	out->keyd = as_auditor(c);
	if (!out->keyd)
		out->keyd = cli_keyd(c, KEYPROTO_ROLE_OFFICER);
	return out->keyd ? 0 : EXIT_ENVIRONMENT;
}

void cli_audit_read_close(struct cli_audit_read *r)
{
	keyproto_client_sync_free(r->keyd);
	r->keyd = NULL;
}

static int ask(struct cli_audit_read *r, const struct keyproto_audit_at *at, struct keyproto_audit_part *part)
{
	struct span reply;
	int rc = keyproto_audit_at_put(keyproto_client_sync_begin(r->keyd), at);

	if (rc == 0)
		rc = keyproto_client_sync_call(r->keyd, KEYPROTO_AUDIT_READ, &reply);
	return rc < 0 ? rc : keyproto_audit_part_get(reply, part);
}

/* The head is that of the last part: lines that came while we read are behind it. */
static int from_keyd(struct cli_audit_read *r, int (*fn)(void *arg, uint32_t number, struct span bytes), void *arg)
{
	struct keyproto_audit_at at = {0, 0};
	struct keyproto_audit_part part;
	struct buf bytes;
	int rc = 0;

	buf_init(&bytes, FILE_MAX);
	do {
		int err = ask(r, &at, &part);
		if (err < 0) {
			rc = cli_keyd_failed(err);
			break;
		}
		buf_put_span(&bytes, part.data);
		if (buf_failed(&bytes)) {
			rc = cli_fail(EXIT_ENVIRONMENT, "a file of the audit log is too long");
			break;
		}
		r->head = part.head;
		memcpy(r->hash, part.hash, AUDIT_HASH);
		if (part.next.file != part.at.file && buf_size(&bytes)) {
			rc = fn(arg, part.at.file, buf_span(&bytes));
			buf_reset(&bytes);
		}
		at = part.next;
	} while (rc == 0 && at.file);
	buf_clear(&bytes);
	return rc;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_log(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n >= 16 && !strncmp(e->d_name, "audit-", 6) && !strcmp(e->d_name + n - 4, ".log");
}

static int one_file(const char *dir, const char *name, int (*fn)(void *arg, uint32_t number, struct span bytes),
		    void *arg)
{
	char path[4200];
	uint64_t number;
	struct buf bytes;
	int rc;

	if (num_parse_u64(span_of(name + 6, strlen(name) - 10), &number) < 0 || number > UINT32_MAX)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	buf_init(&bytes, FILE_MAX);
	rc = sys_file_read(path, &bytes, 0);
	rc = rc < 0 ? cli_fail(EXIT_ENVIRONMENT, "%s: %s", path, err_text(rc))
		    : fn(arg, (uint32_t)number, buf_span(&bytes));
	buf_clear(&bytes);
	return rc;
}

static int from_dir(const char *dir, int (*fn)(void *arg, uint32_t number, struct span bytes), void *arg)
{
	struct dirent **names;
	int n = scandir(dir, &names, is_log, by_name), rc = 0;

	if (n < 0)
		return cli_fail(EXIT_ENVIRONMENT, "%s cannot be read", dir);
	for (int i = 0; i < n; i++) {
		if (rc == 0)
			rc = one_file(dir, names[i]->d_name, fn, arg);
		free(names[i]);
	}
	free(names);
	return rc;
}

int cli_audit_read_each(struct cli_audit_read *r, int (*fn)(void *arg, uint32_t number, struct span bytes), void *arg)
{
	return r->keyd ? from_keyd(r, fn, arg) : from_dir(r->dir, fn, arg);
}

int cli_audit_read_pem(const char *path, uint8_t spki[AUDIT_SPKI])
{
	FILE *f = fopen(path, "r");
	EVP_PKEY *key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
	uint8_t *p = spki;
	int rc = !f ? ERR_NOTFOUND : ERR_FORMAT;

	if (f)
		fclose(f);
	if (key && i2d_PUBKEY(key, NULL) == AUDIT_SPKI) {
		i2d_PUBKEY(key, &p);
		rc = 0;
	}
	EVP_PKEY_free(key);
	return rc;
}

int cli_audit_read_public(struct cli_audit_read *r, uint8_t spki[AUDIT_SPKI])
{
	struct keyproto_public m;
	char path[4200];
	struct span reply;
	int rc;

	if (!r->keyd) {
		snprintf(path, sizeof(path), "%s/" CLI_AUDIT_READ_KEY, r->dir);
		return cli_audit_read_pem(path, spki);
	}
	rc = cli_keyd_name(r->keyd, KEYPROTO_PUBLIC_KEY, "audit/keyd", &reply);
	if (rc == 0)
		rc = keyproto_public_get(reply, &m);
	if (rc == 0 && m.spki.n != AUDIT_SPKI)
		rc = ERR_FORMAT;
	if (rc == 0)
		memcpy(spki, m.spki.p, AUDIT_SPKI);
	return rc;
}
