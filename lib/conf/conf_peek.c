/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/conf_peek.h"

#include <yaml.h>

#include "core/err.h"

static int find(yaml_document_t *d, const char *key, char *out, size_t size)
{
	const yaml_node_t *root = yaml_document_get_root_node(d);
	const yaml_node_t *k, *v;

	if (!root || root->type != YAML_MAPPING_NODE)
		return ERR_CONFIG;
	for (const yaml_node_pair_t *p = root->data.mapping.pairs.start;
	     p < root->data.mapping.pairs.top; p++) {
		k = yaml_document_get_node(d, p->key);
		v = yaml_document_get_node(d, p->value);
		if (k->type != YAML_SCALAR_NODE ||
		    !span_equal(span_of(k->data.scalar.value, k->data.scalar.length),
				span_str(key)))
			continue;
		return v->type != YAML_SCALAR_NODE
			   ? ERR_CONFIG
			   : span_copy_str(out, size,
					   span_of(v->data.scalar.value, v->data.scalar.length));
	}
	return ERR_NOTFOUND;
}

int conf_peek(struct span file, const char *key, char *out, size_t size)
{
	yaml_document_t d;
	yaml_parser_t p;
	int rc = ERR_CONFIG;

	if (!yaml_parser_initialize(&p))
		return ERR_NOMEM;
	yaml_parser_set_input_string(&p, file.p, file.n);
	if (yaml_parser_load(&p, &d)) {
		rc = find(&d, key, out, size);
		yaml_document_delete(&d);
	}
	yaml_parser_delete(&p);
	return rc;
}
