/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "conf/conf_schema.h"
#include "conf/conf_value.h"

#define DUMP_MAX (1u << 20) /* of one key */

static void indent(struct buf *out, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_put_str(out, "  ");
}

static void quoted(struct buf *out, const char *text)
{
	struct conf_key k = {.type = CONF_STRING};

	conf_value_print(&k, &text, out);
}

static void dump_strings(const struct conf_list *l, struct buf *out)
{
	buf_put_str(out, " [");
	for (size_t i = 0; i < l->count; i++) {
		if (i)
			buf_put_str(out, ", ");
		quoted(out, ((char *const *)l->items)[i]);
	}
	buf_put_str(out, "]\n");
}

static void dump_table(const struct conf_key *table, const void *s, struct buf *out, int depth,
		       int in_item);

static void dump_key(const struct conf_key *k, const void *s, struct buf *out, int depth)
{
	const void *place = (const char *)s + k->offset;
	const struct conf_list *l = place;

	buf_putf(out, "%s:", k->name);
	switch (k->type) {
	case CONF_MAP:
		buf_put_str(out, "\n");
		dump_table(k->sub, place, out, depth + 1, 0);
		break;
	case CONF_STRINGS:
		dump_strings(l, out);
		break;
	case CONF_LIST:
		buf_put_str(out, l->count ? "\n" : " []\n");
		for (size_t i = 0; i < l->count; i++) {
			indent(out, depth + 1);
			buf_put_str(out, "- ");
			dump_table(k->sub, (const char *)l->items + i * k->item_size, out,
				   depth + 2, 1);
		}
		break;
	case CONF_FREE_MAP:
		buf_put_str(out, l->count ? "\n" : " {}\n");
		for (size_t i = 0; i < l->count; i++) {
			const struct conf_pair *pair = (const struct conf_pair *)l->items + i;
			indent(out, depth + 1);
			quoted(out, pair->key);
			buf_put_str(out, ":");
			dump_strings(&pair->values, out);
		}
		break;
	default:
		buf_put_str(out, " ");
		conf_value_print(k, s, out);
		buf_put_str(out, "\n");
	}
}

static int is_unset(const struct conf_key *k, const void *s)
{
	return (k->type == CONF_STRING || k->type == CONF_PATH || k->type == CONF_SECRET) &&
	       !*(char *const *)(const void *)((const char *)s + k->offset);
}

static void dump_table(const struct conf_key *table, const void *s, struct buf *out, int depth,
		       int in_item)
{
	int first = 1;

	for (const struct conf_key *k = table; k->name; k++) {
		if (is_unset(k, s))
			continue;
		if (!(in_item && first))
			indent(out, depth);
		first = 0;
		dump_key(k, s, out, depth);
	}
}

int conf_dump(const struct conf_key *table, const void *s, struct buf *out)
{
	dump_table(table, s, out, 0, 0);
	return buf_failed(out);
}

static const struct conf_key *find_key(const struct conf_key *table, struct span name)
{
	for (; table->name; table++)
		if (span_equal(span_str(table->name), name))
			return table;
	return NULL;
}

int conf_same(const struct conf_key *table, const void *a, const void *b, const char *name)
{
	struct span path = span_str(name);
	ptrdiff_t dot = span_find(path, '.');
	const struct conf_key *k = find_key(table, dot < 0 ? path : span_sub(path, 0, (size_t)dot));
	struct buf one, two;
	int same;

	if (!k)
		return 0;
	if (dot >= 0 && k->type == CONF_MAP)
		return conf_same(k->sub, (const char *)a + k->offset, (const char *)b + k->offset,
				 name + dot + 1);
	if (is_unset(k, a) || is_unset(k, b))
		return is_unset(k, a) == is_unset(k, b);
	buf_init(&one, DUMP_MAX);
	buf_init(&two, DUMP_MAX);
	dump_key(k, a, &one, 0);
	dump_key(k, b, &two, 0);
	same = !buf_failed(&one) && !buf_failed(&two) && span_equal(buf_span(&one), buf_span(&two));
	buf_clear(&one);
	buf_clear(&two);
	return same;
}

static void mdoc_table(const struct conf_key *table, const char *prefix, struct buf *out)
{
	char name[128];

	for (const struct conf_key *k = table; k->name; k++) {
		size_t n = 0;
		struct span p = span_str(prefix), w = span_str(k->name);
		if (p.n + w.n + 1 > sizeof(name))
			continue;
		memcpy(name, p.p, p.n);
		n = p.n;
		memcpy(name + n, w.p, w.n);
		name[n + w.n] = '\0';
		buf_putf(out, ".It Ic %s : Ar %s\n", name, conf_value_type(k));
		if (k->help)
			buf_putf(out, "%s\n", k->help);
		if (k->type == CONF_ENUM) {
			buf_put_str(out, "One of");
			for (const struct conf_choice *c = k->choices; c->name; c++)
				buf_putf(out, "%s\n.Cm %s", c == k->choices ? "" : " ,", c->name);
			buf_put_str(out, " .\n");
		}
		if (k->fallback)
			buf_putf(out, "Default:\n.Cm %s .\n", k->fallback);
		if (k->required)
			buf_put_str(out, "Required.\n");
		if (k->sub) {
			memcpy(name + n + w.n, ".", 2);
			mdoc_table(k->sub, name, out);
		}
	}
}

int conf_dump_mdoc(const struct conf_key *table, struct buf *out)
{
	mdoc_table(table, "", out);
	return buf_failed(out);
}
