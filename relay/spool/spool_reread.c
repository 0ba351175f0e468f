/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/spool/spool_reread.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/secret.h"
#include "relay/spool/spool_message_priv.h"

struct spool_reread {
	struct spool_written from;
	struct seal_chunk *cipher;
	struct buf part; /* the PART under way, sealed */
	unsigned
	    next_part; /* part_count: next is what the writer holds sealed, then what it holds plain */
	struct span stretch; /* what is left of the sealed stretch under way */
	uint64_t chunk, skip;
	int plain_given, err;
	uint8_t plain[SEAL_CHUNK_PLAIN];
};

int spool_reread_ready(struct spool_writer *sw, void (*ready)(void *arg), void *arg)
{
	return spool_writer_settled(sw, ready, arg);
}

struct spool_reread *spool_reread_open(struct spool_writer *sw, uint64_t skip)
{
	struct spool_reread *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	buf_init(&r->part, SPOOL_PART_MAX);
	spool_writer_written(sw, &r->from);
	r->skip = skip;
	r->cipher = seal_chunk_new();
	if (!r->cipher) {
		free(r);
		return NULL;
	}
	r->err = r->from.err < 0 ? r->from.err : seal_chunk_set_key(r->cipher, r->from.key);
	return r;
}

void spool_reread_close(struct spool_reread *r)
{
	if (!r)
		return;
	secret_wipe(r->plain, sizeof(r->plain));
	seal_chunk_free(r->cipher);
	buf_clear(&r->part);
	free(r);
}

/* The next sealed stretch: 1, 0 if there is none. */
static int next_stretch(struct spool_reread *r)
{
	int err;

	if (r->next_part > r->from.part_count)
		return 0;
	if (r->next_part == r->from.part_count) {
		r->stretch = r->from.sealed;
	} else {
		buf_reset(&r->part);
		err =
		    spool_log_read(r->from.log, r->from.parts[r->next_part], r->from.id, &r->part);
		if (err < 0)
			return err;
		r->stretch = buf_span(&r->part);
	}
	r->next_part++;
	return r->stretch.n % SEAL_CHUNK_SEALED ? ERR_DAMAGED : 1;
}

static int next_chunk(struct spool_reread *r, struct span *out)
{
	int rc;

	while (r->stretch.n == 0) {
		rc = next_stretch(r);
		if (rc < 0)
			return rc;
		if (rc == 0) {
			if (r->plain_given++)
				return 0;
			*out = r->from.plain;
			return 1;
		}
	}
	rc = seal_chunk_open(r->cipher, r->chunk++, r->stretch.p, SEAL_CHUNK_SEALED, r->plain);
	r->stretch = span_sub(r->stretch, SEAL_CHUNK_SEALED, SIZE_MAX);
	*out = span_of(r->plain, SEAL_CHUNK_PLAIN);
	return rc < 0 ? rc : 1;
}

int spool_reread_next(struct spool_reread *r, struct span *out)
{
	int rc = r->err;

	*out = span_of(NULL, 0);
	while (rc == 0 && out->n == 0) {
		size_t over;

		rc = next_chunk(r, out);
		if (rc <= 0)
			break;
		over = out->n < r->skip ? out->n : (size_t)r->skip;
		r->skip -= over;
		*out = span_sub(*out, over, SIZE_MAX);
		rc = 0;
	}
	if (rc < 0) {
		r->err = rc;
		*out = span_of(NULL, 0);
		return rc;
	}
	return out->n ? 1 : 0;
}
