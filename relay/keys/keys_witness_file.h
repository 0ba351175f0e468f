/* SPDX-License-Identifier: Apache-2.0 */
/* keys_witness_file - what relay knows of keyd's store, as lines of text, and that in a file.
 *
 *   sealpost-witness 1
 *   store HEX (16 bytes)
 *   mark GENERATION SEQUENCE BRANCH
 *   tomb HEX          one for each destroyed customer, in keyd's order
 *
 * Ownership: embedded; _clear frees.
 * Errors:    ERR_FORMAT (not such a file), ERR_LIMIT (more than KEYS_WITNESS_TOMBS), ERR_NOMEM; from
 *            files sys_file's.
 * Thread:    one. */
#ifndef RELAY_KEYS_KEYS_WITNESS_FILE_H
#define RELAY_KEYS_KEYS_WITNESS_FILE_H

#include "core/buf.h"
#include "keyproto/keyproto_witness.h"

#define KEYS_WITNESS_TOMBS 65536

struct keys_witness_file {
	uint8_t store[16];
	struct keyproto_mark mark;
	struct keys_witness_tomb {
		uint16_t n;
		uint8_t bytes[KEYPROTO_TOMB_MAX];
	} * tombs;
	uint32_t count, room;
};
void keys_witness_file_clear(struct keys_witness_file *f);
/* ERR_EXISTS: it is there. */
int keys_witness_file_add(struct keys_witness_file *f, struct span tomb);
static inline struct span keys_witness_file_tomb(const struct keys_witness_file *f, uint32_t i)
{
	return span_of(f->tombs[i].bytes, f->tombs[i].n);
}

int keys_witness_file_format(const struct keys_witness_file *f, struct buf *out);
/* f is empty before. */
int keys_witness_file_parse(struct span text, struct keys_witness_file *f);
/* ERR_NOTFOUND: none yet. */
int keys_witness_file_load(const char *path, struct keys_witness_file *f);
int keys_witness_file_save(const char *path, const struct keys_witness_file *f);

#endif
