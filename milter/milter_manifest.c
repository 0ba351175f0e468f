/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_manifest.h"

#include <stdio.h>
#include <stdlib.h>

#include "campaign/camp_json.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyproto/keyproto_manifest.h"

/* A member that is text, or an empty span. */
static struct span text_of(const json_t *answer, const char *name)
{
	const json_t *v = json_object_get(answer, name);

	return span_of(json_string_value(v), json_string_length(v));
}

/* Appends what a member holds in base64. */
static int decode(struct buf *out, const json_t *answer, const char *name)
{
	struct span text = text_of(answer, name);
	uint8_t *room = buf_reserve(out, text.n / 4 * 3 + 3);
	int n;

	if (!room)
		return buf_failed(out) == ERR_LIMIT ? ERR_DAMAGED : ERR_NOMEM;
	n = hex_b64_decode(room, text.n / 4 * 3 + 3, text);
	if (n <= 0)
		return ERR_DAMAGED;
	buf_commit(out, (size_t)n);
	return 0;
}

/* keyd's word for what it is asked for. */
static int check_signature(const struct milter_manifest_item *i, const json_t *answer, struct milter_keyd *keyd,
			   const char **why)
{
	const json_t *version = json_object_get(answer, "key_version");
	struct keyproto_manifest m = {.customer = span_str(i->customer),
				      .campaign = span_str(i->campaign),
				      .version = i->version,
				      .hash = i->hash,
				      .author = text_of(answer, "author"),
				      .approver = text_of(answer, "approver")};
	struct span given = text_of(answer, "signature");
	uint8_t signature[KEYPROTO_MANIFEST_SIG + 4];
	char label[128];
	struct buf spki;
	int err, n;

	*why = "signature malformed";
	n = hex_b64_decode(signature, sizeof(signature), given);
	if (n != KEYPROTO_MANIFEST_SIG || !json_is_integer(version) || json_integer_value(version) < 1 ||
	    json_integer_value(version) > UINT32_MAX)
		return ERR_DAMAGED;
	*why = "keyd's public key";
	snprintf(label, sizeof(label), "manifest/%s#%u", i->customer, (unsigned)json_integer_value(version));
	buf_init(&spki, 1024);
	err = milter_keyd_public(keyd, label, &spki);
	if (err == 0) {
		*why = "keyd's signature does not verify";
		err = keyproto_manifest_verify(&m, buf_span(&spki), span_of(signature, (size_t)n));
		if (err == ERR_AUTH || err == ERR_FORMAT)
			err = ERR_DAMAGED;
	}
	buf_clear(&spki);
	return err;
}

/* What was signed is what the bundle holds, and is of this very version. */
static int check_content(const struct milter_manifest_item *i, const struct camp_manifest *m, const char **why)
{
	*why = "hash";
	if (memcmp(m->hash, i->hash, sizeof(i->hash)) != 0)
		return ERR_DAMAGED;
	*why = "of another version";
	return strcmp(m->customer, i->customer) || strcmp(m->campaign, i->campaign) || m->version != i->version ||
			       m->number != i->number
		       ? ERR_DAMAGED
		       : 0;
}

int milter_manifest_load(const struct milter_manifest_item *item, const json_t *answer, struct milter_keyd *keyd,
			 struct milter_manifest **out, const char **why)
{
	struct milter_manifest *m = calloc(1, sizeof(*m));
	struct camp_manifest *parsed = NULL;
	int err;

	*why = "memory";
	if (!m)
		return ERR_NOMEM;
	atomic_init(&m->refs, 1);
	pthread_mutex_init(&m->lock, NULL);
	m->item = *item;
	buf_init(&m->bytes, CAMP_BUNDLE_MAX);
	*why = "bundle is not base64";
	err = decode(&m->bytes, answer, "bundle");
	if (err == 0) {
		*why = "bundle does not hold";
		err = camp_bundle_get(buf_span(&m->bytes), &m->bundle, &parsed, NULL);
	}
	if (err == 0)
		err = check_content(item, parsed, why);
	if (err == 0)
		err = check_signature(item, answer, keyd, why);
	if (err == 0) {
		*why = "templates do not compile";
		err = camp_template_compile(&parsed, m->bundle.blob, m->bundle.n_blobs, &m->compiled, NULL, NULL);
	}
	camp_manifest_free(parsed);
	if (err < 0) {
		milter_manifest_unref(m);
		return err;
	}
	buf_init(&m->list, (size_t)milter_manifest_of(m)->audience_count * CAMP_AUDIENCE + 6); /* 6: what base64 takes */
	*out = m;
	return 0;
}

size_t milter_manifest_lacks(const struct milter_manifest *m)
{
	const struct camp_manifest *c = milter_manifest_of(m);

	return camp_bundle_apart(&m->bundle, c) ? c->audience_count * CAMP_AUDIENCE - buf_size(&m->list) : 0;
}

int milter_manifest_add(struct milter_manifest *m, const json_t *answer)
{
	const struct camp_manifest *c = milter_manifest_of(m);
	int err = decode(&m->list, answer, "audience");

	if (err == 0 && buf_size(&m->list) >= c->audience_count * CAMP_AUDIENCE)
		err = camp_bundle_join(&m->bundle, c, buf_span(&m->list));
	return err;
}

struct milter_manifest *milter_manifest_ref(struct milter_manifest *m)
{
	atomic_fetch_add(&m->refs, 1);
	return m;
}

void milter_manifest_unref(struct milter_manifest *m)
{
	if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
		return;
	camp_template_free(m->compiled);
	buf_clear(&m->bytes);
	buf_clear(&m->list);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

const struct camp_manifest *milter_manifest_of(const struct milter_manifest *m)
{
	return camp_template_manifest(m->compiled);
}

int milter_manifest_has(const struct milter_manifest *m, const uint8_t hash[CAMP_AUDIENCE])
{
	return camp_bundle_audience(&m->bundle, hash);
}
