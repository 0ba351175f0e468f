/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "conf/conf_peek.h"
#include "conf/conf_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct item {
	char *name;
};
struct sample {
	char *path;
	int64_t wait;
	struct conf_list items, words, free_map;
};

static const struct conf_key item_keys[] = {
    {.name = "n", .type = CONF_STRING, .offset = offsetof(struct item, name)}, {0}};
static const struct conf_key keys[] = {
    {.name = "p", .type = CONF_PATH, .offset = offsetof(struct sample, path)},
    {.name = "w", .type = CONF_DURATION, .offset = offsetof(struct sample, wait), .fallback = "5m"},
    {.name = "i", .type = CONF_LIST, .offset = offsetof(struct sample, items), .sub = item_keys,
     .item_size = sizeof(struct item)},
    {.name = "s", .type = CONF_STRINGS, .offset = offsetof(struct sample, words)},
    {.name = "f", .type = CONF_FREE_MAP, .offset = offsetof(struct sample, free_map)},
    {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sample s;
	char err[CONF_ERR_MAX];
	char value[16];
	struct buf out;

	memset(&s, 0, sizeof(s));
	conf_peek(span_of(data, size), "p", value, sizeof(value));
	if (conf_parse("fuzz", span_of(data, size), keys, &s, err) < 0)
		return 0;
	buf_init(&out, 1u << 20);
	conf_dump(keys, &s, &out);
	buf_clear(&out);
	conf_free(keys, &s);
	return 0;
}
