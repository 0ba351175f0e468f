/* SPDX-License-Identifier: Apache-2.0 */
#include "campaign/camp_bundle.h"

#include <stdio.h>
#include <string.h>

#include "campaign/camp_json.h"
#include "core/err.h"
#include "core/num.h"

#define MAGIC "SPCB\001"

static int put_u32(struct buf *out, uint32_t v)
{
	uint8_t b[4];

	num_put_u32(b, v);
	return buf_put(out, b, sizeof(b));
}

static int put_piece(struct buf *out, struct span s)
{
	put_u32(out, (uint32_t)s.n);
	return buf_put_span(out, s);
}

int camp_bundle_put(struct buf *out, const struct camp_bundle *b)
{
	uint8_t count[2];

	if (b->manifest.n > CAMP_MANIFEST_MAX || b->n_blobs > CAMP_TEMPLATES ||
	    b->audience.n > CAMP_BUNDLE_MAX / 2)
		return ERR_LIMIT;
	buf_put(out, MAGIC, 5);
	put_piece(out, b->manifest);
	num_put_u16(count, (uint16_t)b->n_blobs);
	buf_put(out, count, sizeof(count));
	for (unsigned i = 0; i < b->n_blobs; i++) {
		if (b->blob[i].n > CAMP_TEMPLATE_MAX)
			return ERR_LIMIT;
		put_piece(out, b->blob[i]);
	}
	put_piece(out, b->audience);
	return buf_failed(out);
}

static int bad(struct camp_error *e, const char *place, const char *text, int code)
{
	if (e) {
		snprintf(e->place, sizeof(e->place), "%s", place);
		snprintf(e->text, sizeof(e->text), "%s", text);
	}
	return code;
}

static int get_piece(struct span *rest, struct span *piece)
{
	uint32_t n;

	if (rest->n < 4)
		return ERR_FORMAT;
	n = num_get_u32(rest->p);
	if (n > rest->n - 4)
		return ERR_FORMAT;
	*piece = span_of(rest->p + 4, n);
	*rest = span_sub(*rest, 4 + (size_t)n, rest->n);
	return 0;
}

static int get_pieces(struct span rest, struct camp_bundle *b)
{
	if (rest.n < 5 || memcmp(rest.p, MAGIC, 5) != 0)
		return ERR_FORMAT;
	rest = span_sub(rest, 5, rest.n);
	if (get_piece(&rest, &b->manifest) != 0 || rest.n < 2)
		return ERR_FORMAT;
	b->n_blobs = num_get_u16(rest.p);
	rest = span_sub(rest, 2, rest.n);
	if (b->n_blobs > CAMP_TEMPLATES)
		return ERR_FORMAT;
	for (unsigned i = 0; i < b->n_blobs; i++)
		if (get_piece(&rest, &b->blob[i]) != 0)
			return ERR_FORMAT;
	if (get_piece(&rest, &b->audience) != 0 || rest.n != 0)
		return ERR_FORMAT;
	return 0;
}

static int is_digest(struct span bytes, const uint8_t want[CAMP_HASH])
{
	uint8_t have[CAMP_HASH];

	return camp_json_hash(bytes, have) == 0 && memcmp(have, want, CAMP_HASH) == 0;
}

static int sorted(struct span audience)
{
	for (size_t i = CAMP_AUDIENCE; i < audience.n; i += CAMP_AUDIENCE)
		if (memcmp(audience.p + i - CAMP_AUDIENCE, audience.p + i, CAMP_AUDIENCE) >= 0)
			return 0;
	return 1;
}

static int is_audience(struct span audience, const struct camp_manifest *m)
{
	return audience.n % CAMP_AUDIENCE == 0 && audience.n / CAMP_AUDIENCE == m->audience_count && sorted(audience) &&
	       is_digest(audience, m->audience_sha256);
}

static int agree(const struct camp_bundle *b, const struct camp_manifest *m, struct camp_error *e)
{
	char place[32];

	if (b->n_blobs != m->n_templates)
		return bad(e, "templates", "their number is not the bundle's", ERR_DAMAGED);
	for (unsigned i = 0; i < b->n_blobs; i++) {
		snprintf(place, sizeof(place), "templates[%u]", i);
		if (b->blob[i].n != m->templates[i].size)
			return bad(e, place, "the literals do not cover the blob", ERR_DAMAGED);
		if (!is_digest(b->blob[i], m->templates[i].sha256))
			return bad(e, place, "the blob has another digest", ERR_DAMAGED);
	}
	if (!m->has_audience)
		return b->audience.n ? bad(e, "audience", "is not in the manifest", ERR_DAMAGED)
				     : 0;
	if (!camp_bundle_apart(b, m) && !is_audience(b->audience, m))
		return bad(e, "audience", "is not the manifest's", ERR_DAMAGED);
	return 0;
}

int camp_bundle_get(struct span bytes, struct camp_bundle *b, struct camp_manifest **m,
		    struct camp_error *e)
{
	int r;

	*m = NULL;
	memset(b, 0, sizeof(*b));
	if (bytes.n > CAMP_BUNDLE_MAX)
		return bad(e, "", "the bundle is too large", ERR_LIMIT);
	if (get_pieces(bytes, b) != 0)
		return bad(e, "", "no bundle", ERR_FORMAT);
	r = camp_manifest_parse(b->manifest, m, e);
	if (r)
		return r;
	r = agree(b, *m, e);
	if (r) {
		camp_manifest_free(*m);
		*m = NULL;
	}
	return r;
}

int camp_bundle_join(struct camp_bundle *b, const struct camp_manifest *m, struct span audience)
{
	if (!m->has_audience || !is_audience(audience, m))
		return ERR_DAMAGED;
	b->audience = audience;
	return 0;
}

int camp_bundle_audience(const struct camp_bundle *b, const uint8_t hash[CAMP_AUDIENCE])
{
	size_t lo = 0, hi = b->audience.n / CAMP_AUDIENCE;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(hash, b->audience.p + mid * CAMP_AUDIENCE, CAMP_AUDIENCE);

		if (c == 0)
			return 1;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return 0;
}
