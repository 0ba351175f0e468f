/* SPDX-License-Identifier: Apache-2.0 */
/* AUDIT_READ: parts of the log as it lies on disk; and SELFTEST, which runs in the pool. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "keyd/keyd_audit_scan.h"
#include "keyd/keyd_op.h"
#include "keyd/keyd_selftest.h"
#include "keyproto/keyproto_audit.h"

/* On the disk thread, so behind all that was written before it was asked for. */
struct read_job {
	struct keyd_pool_job job;
	struct keyd_op_late late;
	char *dir;
	struct keyproto_audit_at at, next;
	struct buf data;
	int result;
};

static void read_work(struct keyd_pool_job *job)
{
	struct read_job *j = (struct read_job *)job;

	j->next = j->at;
	j->result = keyd_audit_scan_read(j->dir, &j->next.file, &j->next.offset,
					 KEYPROTO_AUDIT_PART, &j->data);
}

static void read_done(struct keyd_pool_job *job)
{
	struct read_job *j = (struct read_job *)job;
	struct keyd_audit_file_tail head;
	struct keyproto_audit_part part = {.at = j->at, .next = j->next};
	struct buf reply;
	int rc = j->result;

	keyd_audit_head(j->late.keyd, &head);
	part.head = head.seq;
	part.hash = head.hash;
	part.data = buf_span(&j->data);
	if (!part.at.file) /* the first part says where it came from */
		part.at.file = j->next.file;
	buf_init(&reply, KEYPROTO_AUDIT_PART + 1024);
	if (rc == 0)
		rc = keyproto_audit_part_put(&reply, &part);
	keyd_op_late_answer(&j->late, rc, buf_span(&reply));
	buf_clear(&reply);
	buf_clear(&j->data);
	free(j->dir);
	free(j);
}

int keyd_op_audit_read(struct keyd_op_call *call)
{
	struct keyd *k = call->keyd;
	struct keyproto_audit_at at;
	struct read_job *j;

	if (keyproto_audit_at_get(call->body, &at) < 0)
		return KEYD_OP_MALFORMED;
	if (!k->audit)
		return ERR_NOTFOUND;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ERR_NOMEM;
	j->dir = strdup(keyd_audit_dir(k));
	if (!j->dir) {
		free(j);
		return ERR_NOMEM;
	}
	j->at = at;
	buf_init(&j->data, KEYPROTO_AUDIT_PART);
	j->job.work = read_work;
	j->job.done = read_done;
	keyd_op_late_begin(&j->late, call);
	keyd_pool_run(k->disk, &j->job);
	return KEYD_OP_LATER;
}

struct test_job {
	struct keyd_op_job job;
	const char *part;
	int64_t usec;
};

static void test_work(struct keyd_pool_job *job)
{
	struct test_job *j = (struct test_job *)job;
	int64_t begun = clock_mono();

	j->part = keyd_selftest();
	j->usec = clock_mono() - begun;
}

static void test_done(struct keyd_pool_job *job)
{
	struct test_job *j = (struct test_job *)job;
	struct keyd *k = j->job.late.keyd;
	struct buf json;

	buf_init(&json, 1024);
	if (j->part)
		buf_putf(&json, "{\"passed\":false,\"failed\":\"%s\",\"usec\":%" PRId64 "}",
			 j->part, j->usec);
	else
		buf_putf(&json, "{\"passed\":true,\"failed\":null,\"usec\":%" PRId64 "}", j->usec);
	keyd_audit_event(k, AUDIT_SELFTEST, AUDIT_STR(RESULT, j->part ? "failed" : "passed"),
			 AUDIT_STR(WHY, j->part ? j->part : ""));
	if (j->part) {
		k->tested = 0;
		log_event(LOG_LEVEL_ERROR, NULL, "selftest-failed", "part=%s", j->part);
		keyd_fail(k, "a self-test failed");
	}
	keyd_op_late_answer(&j->job.late, 0, buf_span(&json));
	buf_clear(&json);
	free(j);
}

int keyd_op_selftest(struct keyd_op_call *call)
{
	struct test_job *j;

	if (call->body.n)
		return KEYD_OP_MALFORMED;
	j = calloc(1, sizeof(*j));
	if (!j)
		return ERR_NOMEM;
	j->job.pool.work = test_work;
	j->job.pool.done = test_done;
	return keyd_op_job_start(&j->job, call);
}
