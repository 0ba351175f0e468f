/* SPDX-License-Identifier: Apache-2.0 */
/* camp_manifest_own - how the files of camp_manifest read JSON: tables of members, one function per kind.
 *
 * Story: a reader carries the place it is at and the first error. read functions return 0 or ERR_*; the
 *        error is told by camp_manifest_bad, once. Memory comes from an arena that the manifest owns. */
#ifndef CAMPAIGN_CAMP_MANIFEST_OWN_H
#define CAMPAIGN_CAMP_MANIFEST_OWN_H

#include <jansson.h>

#include "campaign/camp_manifest.h"

struct camp_manifest_chunk;
struct camp_manifest_arena {
	struct camp_manifest_chunk *chunks;
};
/* Zeroed; NULL: out of memory. */
void *camp_manifest_alloc(struct camp_manifest_arena *a, size_t n);
void camp_manifest_drop(struct camp_manifest_arena *a);

struct camp_manifest_reader {
	struct camp_manifest_arena *arena;
	struct camp_manifest *m;
	struct camp_error *e;
	char place[128];
	unsigned ops; /* seen so far */
};

typedef int (*camp_manifest_read_fn)(struct camp_manifest_reader *r, const json_t *v, void *dst);
struct camp_manifest_member {
	const char *name;
	camp_manifest_read_fn read;
	size_t offset;
	int optional; /* 1: may be absent; 2: may be null (dst stays zero) */
};

/* Fills in the error; ERR_FORMAT. */
int camp_manifest_bad(struct camp_manifest_reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* v is an object of these members and no others. */
int camp_manifest_object(struct camp_manifest_reader *r, const json_t *v,
			 const struct camp_manifest_member *members, size_t n, void *base);
/* v is an array of min..max; read for each element, dst an array that is allocated here. */
int camp_manifest_array(struct camp_manifest_reader *r, const json_t *v, size_t max, size_t size,
			camp_manifest_read_fn read, void **dst, unsigned *count);
/* Steps into "name" or "[i]" and back. */
size_t camp_manifest_enter(struct camp_manifest_reader *r, const char *name, size_t index);
void camp_manifest_leave(struct camp_manifest_reader *r, size_t mark);

/* Kinds of members; dst: char[CAMP_NAME + 1], char *, uint32_t, uint64_t, int, uint8_t[32], int64_t. */
int camp_manifest_name(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_text(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_lower(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_host(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_u32(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_u64(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_bool(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_sha256(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_instant(struct camp_manifest_reader *r, const json_t *v, void *dst);
/* Index of v's text in names, or an error. */
int camp_manifest_choice(struct camp_manifest_reader *r, const json_t *v, const char *const *names,
			 size_t n, unsigned *out);

/* "fields", "mime", "templates", "links": camp_manifest_field.c, _mime.c, _ops.c; dst is the manifest. */
int camp_manifest_read_fields(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_read_mime(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_read_attachments(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_read_templates(struct camp_manifest_reader *r, const json_t *v, void *dst);
int camp_manifest_read_links(struct camp_manifest_reader *r, const json_t *v, void *dst);
/* What members say of each other, once all are read. */
int camp_manifest_join_mime(struct camp_manifest_reader *r);

#endif
