/* SPDX-License-Identifier: Apache-2.0 */
/* spool_world - a worker with a log in memory and a keyd that derives for real: what the tests of messages stand on.
 * The log answers when the test says so (world_work), keyd's keys come when it says so (world_answer_keys). */
#ifndef TEST_UNIT_SPOOL_WORLD_H
#define TEST_UNIT_SPOOL_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/keys/keys_object.h"
#include "relay/spool/spool_message.h"

#define LOG_SIZE (80u << 20)

struct record {
	uint8_t kind;
	uint64_t id;
	size_t at, size;
	struct spool_place parts[512];
	unsigned part_count;
	uint16_t recipients;
};

struct spool_log {
	uint8_t *bytes;
	size_t used;
	struct record *records;
	unsigned count;
	struct spool_job *waiting[64];
	unsigned waiting_count;
	int ready;  /* what spool_log_ready says */
	int result; /* what becomes of the next jobs */
	int moved; /* segment 7 is gone, PARTs are in 8 now; of COMMITs it knows the old place, too */
	unsigned kinds[5];
};

struct asked {
	struct keys_object_want want[2];
	char customers[2][65];
	uint8_t salts[2][KEYPROTO_SALT];
	unsigned count;
	keys_object_open_fn fn;
	void *arg;
	int64_t ticket;
};

struct keys_object {
	int err; /* what take and open say */
	uint64_t next_id;
	int64_t tickets;
	struct asked asked[64];
	unsigned asked_count, asked_ever;
};

struct world {
	struct relay relay;
	struct relay_worker worker;
	struct spool_log log;
	struct keys_object keys;
	size_t secret_before;
};

struct outcome {
	int calls, result;
	struct spool_place at;
	struct spool_fresh *fresh;
};

struct opening {
	int calls, result;
};

extern char a_customer[], a_sender[], a_recipient[], b_recipient[], a_client[], a_tls[];

void world_store(struct spool_log *s, struct spool_job *j);
void world_work(struct spool_log *s);
void world_answer_keys(struct keys_object *k, int err);
int world_set_up(void **state);
int world_tear_down(void **state);
void world_settle(struct world *w);
void world_on_done(void *arg, int result, struct spool_place at, struct spool_fresh *fresh);
struct spool_envelope *world_envelope(void);
uint8_t world_byte(size_t i);
struct spool_writer *world_begin(struct world *w, uint64_t *id);
int world_write(struct world *w, struct spool_writer *sw, size_t from, size_t size, size_t step);
uint64_t world_put(struct world *w, size_t size, size_t step, struct outcome *o);
void world_on_opened(void *arg, int result);
struct spool_reader *world_open(struct world *w, uint64_t id, struct spool_place at,
				struct spool_fresh *fresh, int *result);
int world_read(struct spool_reader *r, size_t *total);
void world_assert_reads(struct world *w, uint64_t id, struct outcome *o, size_t size);

#endif
