/* SPDX-License-Identifier: Apache-2.0 */
/* ZEROIZE: the end of all keys, in memory and on disk, and a report of what was verified. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "core/secret.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_zeroize.h"
#include "keyproto/keyproto_audit.h"

#define JSON_MAX (60 * 1024)

struct zero_job {
	struct keyd_pool_job job;
	struct keyd_op_late late;
	struct keyd_zeroize files;
	int complete;
};

static void zero_work(struct keyd_pool_job *job)
{
	struct zero_job *j = (struct zero_job *)job;

	j->complete = keyd_zeroize_run(&j->files);
}

/* 1 if no key is left in memory. */
static int put_memory(struct buf *out)
{
	unsigned keys = keyd_crypto_live();
	size_t used, taken, clean;
	int wiped = secret_check(&clean) == 0 && keys == 0;

	secret_usage(&used, &taken);
	buf_putf(out,
		 "{\"wiped\":%s,\"checked_bytes\":%zu,\"in_use_bytes\":%zu,"
		 "\"private_keys\":%u}",
		 wiped ? "true" : "false", clean, used, keys);
	return wiped;
}

/* Paths come from keyd.yaml and the state directory: quotes and the like are left out. */
static void put_path(struct buf *out, const char *path)
{
	for (; *path; path++)
		if (*path != '"' && *path != '\\' && (unsigned char)*path >= 0x20)
			buf_put(out, path, 1);
}

static uint64_t put_files(struct buf *out, const struct keyd_zeroize *z)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < z->count; i++) {
		const struct keyd_zeroize_file *f = &z->files[i];
		if (f->rc == ERR_NOTFOUND)
			continue;
		buf_put_str(out, buf_ptr(out)[buf_size(out) - 1] == '[' ? "" : ",");
		buf_put_str(out, "{\"path\":\"");
		put_path(out, f->path);
		buf_putf(out,
			 "\",\"bytes\":%" PRIu64 ",\"verified\":%s,\"removed\":%s,"
			 "\"error\":\"%s\"}",
			 f->bytes, f->verified ? "true" : "false", f->removed ? "true" : "false",
			 f->rc ? err_text(f->rc) : "");
		bytes += f->bytes;
	}
	return bytes;
}

static void zero_done(struct keyd_pool_job *job)
{
	struct zero_job *j = (struct zero_job *)job;
	struct keyd *k = j->late.keyd;
	struct buf json;
	uint64_t bytes;
	int whole;

	buf_init(&json, JSON_MAX);
	buf_put_str(&json, "{\"memory\":");
	whole = put_memory(&json) && j->complete;
	buf_put_str(&json, ",\"files\":[");
	bytes = put_files(&json, &j->files);
	buf_putf(&json, "],\"complete\":%s}", whole ? "true" : "false");
	log_event(whole ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, NULL, "zeroized",
		  "files=%u bytes=%" PRIu64 " complete=%s", j->files.count, bytes,
		  whole ? "yes" : "no");
	keyd_audit_event(k, AUDIT_ZEROIZE, AUDIT_STR(RESULT, whole ? "complete" : "incomplete"),
			 AUDIT_NUM(COUNT, j->files.count), AUDIT_NUM(BYTES, bytes));
	k->opening = 0;
	keyd_emptied(k);
	keyd_op_late_answer(&j->late, buf_failed(&json), buf_span(&json));
	buf_clear(&json);
	keyd_zeroize_clear(&j->files);
	free(j);
}

/* Key files first: without them the rest is noise. */
static int collect(const struct keyd *k, struct keyd_zeroize *z)
{
	const struct keyd_conf *conf = k->conf;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < conf->slots.count; i++)
		if (keyd_conf_slot(conf, i)->path)
			rc = keyd_zeroize_add(z, keyd_conf_slot(conf, i)->path);
	if (rc == 0 && conf->anchor)
		rc = keyd_zeroize_add(z, conf->anchor);
	return rc < 0 ? rc : keyd_zeroize_add_dir(z, conf->state, "store.lock");
}

int keyd_op_zeroize(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	const uint8_t *store;
	struct zero_job *j;
	int rc;

	if (keyproto_audit_zeroize_get(call->body, &store) < 0)
		return KEYD_OP_MALFORMED;
	if (!k->store && k->state == KEYPROTO_READY)
		return ERR_BADSTATE; /* a ring that was never more than memory */
	if (memcmp(store, keyd_store_id(k), 16))
		return ERR_FORMAT;
	if (k->opening)
		return ERR_BUSY;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ERR_NOMEM;
	rc = collect(k, &j->files);
	if (rc < 0) {
		keyd_zeroize_clear(&j->files);
		free(j);
		return rc;
	}
	log_event(LOG_LEVEL_ERROR, call->session->name, "zeroizing", "uid=%u files=%u",
		  (unsigned)call->session->uid, j->files.count);
	if (k->ring)
		keyd_lock(k, "asked to destroy everything");
	keyd_watch_drop_proposals(k);
	keyd_unseal_drop(&k->unseal);
	k->opening = 1; /* nobody unseals meanwhile */
	j->job.work = zero_work;
	j->job.done = zero_done;
	keyd_op_late_begin(&j->late, call);
	keyd_pool_run(k->disk, &j->job);
	return KEYD_OP_LATER;
}
