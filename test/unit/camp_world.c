/* SPDX-License-Identifier: Apache-2.0 */
#include "camp_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "campaign/camp_json.h"
#include "core/err.h"
#include "core/hex.h"

static const char skeleton[] =
    "{\"v\":1,\"customer\":\"shop\",\"campaign\":\"cmp_01\",\"version\":3,\"number\":7,"
    "\"author\":\"anna\",\"mode\":\"template\",\"valid\":{\"from\":\"2026-01-10T00:00:00Z\","
    "\"to\":\"2027-01-10T00:00:00Z\"},\"max_messages\":1000,"
    "\"headers\":{\"from\":{\"addr\":\"news@shop.example\",\"name\":\"Shop\"},\"reply_to\":null,"
    "\"subject\":\"tpl:0\",\"list_id\":null,\"extra_allow\":[]},\"mime\":[],\"templates\":[],"
    "\"fields\":{},\"links\":[],\"hosts\":[\"shop.example\"],\"attachments\":[],"
    "\"audience\":null,\"track\":null}";

void camp_world_init(struct camp_world *w)
{
	memset(w, 0, sizeof(*w));
	w->json = json_loads(skeleton, 0, NULL);
	buf_init(&w->canonical, CAMP_MANIFEST_MAX);
}

void camp_world_clear(struct camp_world *w)
{
	json_decref(w->json);
	for (unsigned i = 0; i < w->n_blobs; i++)
		buf_clear(&w->blob[i]);
	buf_clear(&w->canonical);
}

void camp_world_field(struct camp_world *w, const char *name, const char *type, unsigned max,
		      const char *ctx, const char *members)
{
	char text[4096];

	snprintf(text, sizeof(text), "{\"type\":\"%s\",\"max\":%u,\"ctx\":\"%s\"%s%s}", type, max,
		 ctx, members ? "," : "", members ? members : "");
	json_object_set_new(json_object_get(w->json, "fields"), name, json_loads(text, 0, NULL));
}

struct reader {
	struct camp_world *w;
	const char *p;
	struct buf *blob;
	unsigned tpl;
	json_int_t pixel;
};

static void put_lit(struct reader *r, json_t *ops, size_t from)
{
	size_t n = buf_size(r->blob);

	if (n > from)
		json_array_append_new(
		    ops, json_pack("[s,I,I]", "lit", (json_int_t)from, (json_int_t)(n - from)));
}

static json_t *link_of(struct reader *r, const char *url, size_t n, int track)
{
	json_t *links = json_object_get(r->w->json, "links"), *link;
	json_int_t at = (json_int_t)buf_size(r->blob);

	link = json_pack("{s:I,s:I,s:[I,I],s:s%,s:b}", "i", (json_int_t)json_array_size(links),
			 "tpl", (json_int_t)r->tpl, "span", at, at, "url", url, n, "track", track);
	json_array_append_new(links, link);
	return link;
}

static json_t *read_ops(struct reader *r);

static json_t *read_block(struct reader *r, const char *tag, size_t n)
{
	json_t *branches = json_array(), *op;
	int alt = strncmp(tag, "#alt", 4) == 0;

	do {
		json_array_append_new(branches, read_ops(r));
	} while (strncmp(r->p, "{{|}}", 5) == 0 && (r->p += 5));
	r->p += 5; /* {{/}} */
	if (alt)
		return json_pack("[s,o]", "alt", branches);
	if (strncmp(tag, "#rep", 4) == 0)
		op = json_pack("[s,i,O]", "rep", n > 5 ? atoi(tag + 5) : 2,
			       json_array_get(branches, 0));
	else
		op = json_pack("[s,O]", "opt", json_array_get(branches, 0));
	json_decref(branches);
	return op;
}

static json_t *read_ops(struct reader *r)
{
	json_t *ops = json_array(), *link = NULL;
	size_t from = buf_size(r->blob);

	while (*r->p && strncmp(r->p, "{{/}}", 5) != 0 && strncmp(r->p, "{{|}}", 5) != 0) {
		const char *tag = r->p + 2, *end;
		size_t n;

		if (strncmp(r->p, "{{", 2) != 0) {
			buf_put(r->blob, r->p++, 1);
			continue;
		}
		/* a URL may end in a field: "{{@https://x/{c}}}" */
		end = strstr(tag, "}}");
		while (end[2] == '}')
			end++;
		n = (size_t)(end - tag);
		r->p = end + 2;
		if (*tag == '@' || *tag == '~') {
			link = link_of(r, tag + 1, n - 1, *tag == '@');
			continue;
		}
		if (strncmp(tag, "/@", 2) == 0) {
			json_array_set_new(json_object_get(link, "span"), 1,
					   json_integer((json_int_t)buf_size(r->blob)));
			continue;
		}
		if (*tag == '*') {
			r->pixel = (json_int_t)buf_size(r->blob);
			continue;
		}
		put_lit(r, ops, from);
		if (*tag == '#')
			json_array_append_new(ops, read_block(r, tag, n));
		else
			json_array_append_new(ops, json_pack("[s,s%]", "fld", tag, n));
		from = buf_size(r->blob);
	}
	put_lit(r, ops, from);
	return ops;
}

unsigned camp_world_template(struct camp_world *w, const char *text)
{
	struct reader r = {.w = w, .p = text, .tpl = w->n_blobs, .pixel = -1};
	uint8_t hash[CAMP_HASH];
	char hex[HEX_SIZE(CAMP_HASH)];
	json_t *ops;

	r.blob = &w->blob[w->n_blobs++];
	buf_init(r.blob, CAMP_TEMPLATE_MAX + 1);
	ops = read_ops(&r);
	camp_json_hash(buf_span(r.blob), hash);
	hex_encode(hex, hash, sizeof(hash));
	json_array_append_new(json_object_get(w->json, "templates"),
			      json_pack("{s:s,s:o}", "sha256", hex, "ops", ops));
	if (r.pixel >= 0) /* the row that names it takes it over */
		json_object_set_new(w->json, "pixel", json_integer(r.pixel));
	return r.tpl;
}

void camp_world_part(struct camp_world *w, const char *row)
{
	json_t *part = json_loads(row, 0, NULL), *pixel = json_object_get(w->json, "pixel");

	if (pixel && strcmp(json_string_value(json_object_get(part, "type")), "text/html") == 0) {
		json_object_set(part, "pixel_at", pixel);
		json_object_del(w->json, "pixel");
	}
	json_array_append_new(json_object_get(w->json, "mime"), part);
}

void camp_world_attachment(struct camp_world *w, const char *type, const char *name,
			   struct span content)
{
	uint8_t hash[CAMP_HASH];
	char hex[HEX_SIZE(CAMP_HASH)];

	camp_json_hash(content, hash);
	hex_encode(hex, hash, sizeof(hash));
	json_array_append_new(json_object_get(w->json, "attachments"),
			      json_pack("{s:s,s:s,s:I,s:s}", "type", type, "name", name, "size",
					(json_int_t)content.n, "sha256", hex));
}

struct span camp_world_manifest(struct camp_world *w)
{
	buf_reset(&w->canonical);
	if (camp_json_canonical(w->json, &w->canonical) != 0)
		return span_of(NULL, 0);
	return buf_span(&w->canonical);
}

struct camp_manifest *camp_world_parse(struct camp_world *w, struct camp_error *e)
{
	struct camp_manifest *m;

	camp_manifest_parse(camp_world_manifest(w), &m, e);
	return m;
}

static void note(void *arg, const struct camp_template_finding *f)
{
	struct camp_world *w = arg;
	size_t n = strlen(w->found);

	if (!f->warning)
		snprintf(w->found + n, sizeof(w->found) - n, "%s@%d:%u ", f->rule,
			 f->tpl == CAMP_NONE ? -1 : (int)f->tpl, f->offset);
}

struct camp_compiled *camp_world_compile(struct camp_world *w)
{
	struct span blobs[CAMP_TEMPLATES];
	struct camp_compiled *c = NULL;
	struct camp_error e;
	struct camp_manifest *m = camp_world_parse(w, &e);

	w->found[0] = 0;
	if (!m) {
		snprintf(w->found, sizeof(w->found), "%s: %s", e.place, e.text);
		return NULL;
	}
	for (unsigned i = 0; i < w->n_blobs; i++)
		blobs[i] = buf_span(&w->blob[i]);
	camp_template_compile(&m, blobs, w->n_blobs, &c, note, w);
	camp_manifest_free(m);
	return c;
}

int camp_world_bundle(struct camp_world *w, struct buf *out)
{
	struct camp_bundle b = {.manifest = camp_world_manifest(w), .n_blobs = w->n_blobs};

	for (unsigned i = 0; i < w->n_blobs; i++)
		b.blob[i] = buf_span(&w->blob[i]);
	return camp_bundle_put(out, &b);
}
