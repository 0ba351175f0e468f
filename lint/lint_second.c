/* SPDX-License-Identifier: Apache-2.0 */
#include "lint/lint_second.h"

#include <gumbo.h>
#include <stdlib.h>

#include "core/err.h"
#include "lint/lint_limit.h"

/* libgumbo does not look whether there is any. */
static void *take(void *arg, size_t size)
{
	(void)arg;
	return lint_limit_take(size);
}

static void give(void *arg, void *p)
{
	(void)arg;
	free(p);
}

static void squeeze(struct buf *out, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, " \t\n\f\r");
		buf_put(out, text, n);
		text += n;
		text += strspn(text, " \t\n\f\r");
	}
}

static void link_in(struct camp_lint_seen *seen, const GumboElement *e, const char *name)
{
	const GumboAttribute *a = gumbo_get_attribute(&e->attributes, name);
	uint32_t at;

	if (!a)
		return;
	at = a->name_start.offset;
	squeeze(&seen->links, a->value);
	buf_put_str(&seen->links, "\n");
	buf_put(&seen->places, &at, sizeof(at));
}

static void element(const GumboElement *e, struct camp_lint_seen *seen)
{
	if (e->tag == GUMBO_TAG_A || e->tag == GUMBO_TAG_AREA)
		link_in(seen, e, "href");
	if (e->tag == GUMBO_TAG_IMG)
		link_in(seen, e, "src");
	link_in(seen, e, "background");
}

static const GumboVector *inside(const GumboNode *node)
{
	if (node->type == GUMBO_NODE_DOCUMENT)
		return &node->v.document.children;
	if (node->type != GUMBO_NODE_ELEMENT && node->type != GUMBO_NODE_TEMPLATE)
		return NULL;
	switch (node->v.element.tag) {
	case GUMBO_TAG_TITLE:
	case GUMBO_TAG_STYLE:
	case GUMBO_TAG_SCRIPT:
		return NULL;
	default:
		return &node->v.element.children;
	}
}

/* In the order of the document, without a stack: nodes know their parents. */
static void walk(const GumboNode *root, struct camp_lint_seen *seen)
{
	const GumboNode *node = root;

	while (node) {
		const GumboVector *children = inside(node);

		if (node->type == GUMBO_NODE_TEXT || node->type == GUMBO_NODE_CDATA)
			squeeze(&seen->text, node->v.text.text);
		else if (node->type == GUMBO_NODE_ELEMENT || node->type == GUMBO_NODE_TEMPLATE)
			element(&node->v.element, seen);
		if (children && children->length) {
			node = children->data[0];
			continue;
		}
		for (;;) {
			const GumboVector *row;
			if (node == root)
				return;
			row = node->parent->type == GUMBO_NODE_DOCUMENT ? &node->parent->v.document.children
									: &node->parent->v.element.children;
			if (node->index_within_parent + 1 < row->length) {
				node = row->data[node->index_within_parent + 1];
				break;
			}
			node = node->parent;
		}
	}
}

int lint_second(struct span html, struct camp_lint_seen *seen)
{
	GumboOptions options = kGumboDefaultOptions;
	GumboOutput *out;

	options.allocator = take;
	options.deallocator = give;
	options.max_errors = 1;
	out = gumbo_parse_with_options(&options, (const char *)html.p, html.n);
	if (!out)
		return ERR_UNSUPPORTED;
	walk(out->document, seen);
	gumbo_destroy_output(&options, out);
	return 0;
}
