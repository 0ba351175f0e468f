/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/hex.h"
#include "core/num.h"
#include "keyproto/keyproto_manifest.h"
#include "milter/milter_feed_own.h"

/* --- by customer, campaign, version */

static int compare(const void *x, const void *y)
{
	const struct milter_manifest_item *a = &((const struct milter_feed_entry *)x)->item;
	const struct milter_manifest_item *b = &((const struct milter_feed_entry *)y)->item;
	int c = strcmp(a->customer, b->customer);

	if (!c)
		c = strcmp(a->campaign, b->campaign);
	return c ? c : a->version < b->version ? -1 : a->version > b->version;
}

static int compare_lines(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* --- relay's answer */

static int number(const json_t *o, const char *name, uint32_t *out)
{
	const json_t *v = json_object_get(o, name);

	if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > UINT32_MAX)
		return ERR_FORMAT;
	*out = (uint32_t)json_integer_value(v);
	return 0;
}

static int name(const json_t *o, const char *member, char dst[65], int (*ok)(struct span s))
{
	const json_t *v = json_object_get(o, member);
	struct span s = span_of(json_string_value(v), json_string_length(v));

	return s.n && ok(s) && span_copy_str(dst, 65, s) == 0 ? 0 : ERR_FORMAT;
}

static int parse_entry(const json_t *o, struct milter_manifest_item *i)
{
	const char *state = json_string_value(json_object_get(o, "state"));
	const json_t *hash = json_object_get(o, "hash");

	if (name(o, "customer", i->customer, keyproto_name_ok) < 0 ||
	    name(o, "campaign", i->campaign, keyproto_manifest_campaign_ok) < 0 || number(o, "version", &i->version) < 0 ||
	    number(o, "number", &i->number) < 0 || !state ||
	    hex_decode(i->hash, sizeof(i->hash), span_of(json_string_value(hash), json_string_length(hash))) !=
		sizeof(i->hash))
		return ERR_FORMAT;
	i->active = !strcmp(state, "active");
	return 0;
}

static int parse_entries(struct milter_feed_list *l, const json_t *items)
{
	size_t n = json_array_size(items);

	if (!json_is_array(items))
		return ERR_FORMAT;
	if (n > MILTER_FEED_VERSIONS)
		return ERR_LIMIT;
	l->entries = calloc(n ? n : 1, sizeof(*l->entries));
	if (!l->entries)
		return ERR_NOMEM;
	for (; l->count < n; l->count++)
		if (parse_entry(json_array_get(items, l->count), &l->entries[l->count].item) < 0)
			return ERR_FORMAT;
	qsort(l->entries, l->count, sizeof(*l->entries), compare);
	return 0;
}

/* The text is hashed as it came, then cut into its lines. */
static int parse_revoked(struct milter_feed_list *l, const json_t *o)
{
	const json_t *list = json_object_get(o, "list"), *counter = json_object_get(o, "counter");
	struct span text = span_of(json_string_value(list), json_string_length(list));
	size_t head = sizeof(KEYPROTO_REVOKED_HEAD) - 1, lines = 0;
	char *at;

	if (!json_is_integer(counter) || json_integer_value(counter) < 0 || !json_is_string(list))
		return ERR_FORMAT;
	l->counter = (uint64_t)json_integer_value(counter);
	if (!text.n && !l->counter)
		return 0;
	if (text.n < head || memcmp(text.p, KEYPROTO_REVOKED_HEAD, head) != 0 || text.p[text.n - 1] != '\n' ||
	    span_find(text, 0) >= 0)
		return ERR_FORMAT;
	if (EVP_Digest(text.p, text.n, l->revoked_hash, NULL, EVP_sha256(), NULL) != 1)
		return ERR_NOMEM;
	for (size_t i = head; i < text.n; i++)
		lines += text.p[i] == '\n';
	if (lines > MILTER_FEED_REVOKED)
		return ERR_LIMIT;
	l->text = malloc(text.n - head + 1);
	l->revoked = calloc(lines ? lines : 1, sizeof(*l->revoked));
	if (!l->text || !l->revoked)
		return ERR_NOMEM;
	memcpy(l->text, text.p + head, text.n - head);
	l->text[text.n - head] = '\0';
	for (at = l->text; *at; at++) {
		l->revoked[l->revoked_count++] = at;
		at = strchr(at, '\n');
		*at = '\0';
	}
	qsort(l->revoked, l->revoked_count, sizeof(*l->revoked), compare_lines);
	return 0;
}

int milter_feed_list_parse(const json_t *answer, struct milter_feed_list **out)
{
	struct milter_feed_list *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return ERR_NOMEM;
	atomic_init(&l->refs, 1);
	err = parse_entries(l, json_object_get(answer, "items"));
	if (err == 0)
		err = parse_revoked(l, json_object_get(answer, "revoked"));
	if (err == 0)
		*out = l;
	else
		milter_feed_list_unref(l);
	return err;
}

struct milter_feed_list *milter_feed_list_ref(struct milter_feed_list *l)
{
	if (l)
		atomic_fetch_add(&l->refs, 1);
	return l;
}

void milter_feed_list_unref(struct milter_feed_list *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	for (unsigned i = 0; i < l->count; i++)
		milter_manifest_unref(l->entries[i].manifest);
	free(l->entries);
	free(l->revoked);
	free(l->text);
	free(l);
}

/* --- what it says */

int milter_feed_list_vouched(const struct milter_feed_list *l, const struct milter_keyd_revoked *last)
{
	if (last->counter == 0)
		return l->counter == 0 && l->revoked_count == 0 ? 0 : ERR_ROLLBACK;
	return l->counter == last->counter && l->revoked_count == last->lines &&
			       memcmp(l->revoked_hash, last->hash, sizeof(last->hash)) == 0
		       ? 0
		       : ERR_ROLLBACK;
}

static const struct milter_feed_entry *find(const struct milter_feed_list *l, const struct milter_manifest_item *item)
{
	struct milter_feed_entry key = {.item = *item};

	return bsearch(&key, l->entries, l->count, sizeof(*l->entries), compare);
}

const struct milter_feed_entry *milter_feed_list_same(const struct milter_feed_list *l,
						      const struct milter_manifest_item *item)
{
	const struct milter_feed_entry *e = l ? find(l, item) : NULL;

	return e && e->item.number == item->number && e->item.active == item->active &&
			       memcmp(e->item.hash, item->hash, sizeof(item->hash)) == 0
		       ? e
		       : NULL;
}

static int revoked(const struct milter_feed_list *l, const struct milter_manifest_item *i)
{
	char line[160], *key = line;

	snprintf(line, sizeof(line), "%s %s %u", i->customer, i->campaign, i->version);
	if (bsearch(&key, l->revoked, l->revoked_count, sizeof(*l->revoked), compare_lines))
		return 1;
	snprintf(line, sizeof(line), "%s %s *", i->customer, i->campaign);
	return bsearch(&key, l->revoked, l->revoked_count, sizeof(*l->revoked), compare_lines) != NULL;
}

int milter_feed_list_find(const struct milter_feed_list *l, const char *customer, struct span campaign, uint32_t version,
			  struct milter_manifest **out)
{
	struct milter_manifest_item item = {.version = version};
	const struct milter_feed_entry *e;

	if (span_copy_str(item.customer, sizeof(item.customer), span_str(customer)) < 0 ||
	    span_copy_str(item.campaign, sizeof(item.campaign), campaign) < 0)
		return ERR_NOTFOUND;
	if (l->revoked_count && revoked(l, &item))
		return ERR_GONE;
	e = find(l, &item);
	if (!e)
		return ERR_NOTFOUND;
	if (!e->item.active)
		return ERR_BADSTATE;
	if (!e->manifest)
		return ERR_DAMAGED;
	*out = milter_manifest_ref(e->manifest);
	return 0;
}
