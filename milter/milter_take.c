/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_take.h"

#include "core/err.h"
#include "core/log.h"
#include "core/span.h"
#include "milter/milter_ask.h"

#define RETURNS_ONCE 1000 /* as relay takes them */

/* A block that relay granted: 0, or ERR_FORMAT. */
static int note_block(struct milter_manifest *m, const json_t *answer, uint64_t asked)
{
	const json_t *granted = json_object_get(answer, "granted"),
		     *grant = json_object_get(answer, "grant");
	int64_t n = json_integer_value(granted);

	if (!json_is_integer(granted) || n < 0 || (uint64_t)n > asked)
		return ERR_FORMAT;
	/* without a name it can be used, and not be given back */
	if (span_copy_str(m->grant, sizeof(m->grant),
			  span_of(json_string_value(grant), json_string_length(grant))) < 0)
		m->grant[0] = '\0';
	m->left = (uint64_t)n;
	return 0;
}

static int ask_block(const char *socket, struct milter_manifest *m)
{
	uint64_t max = milter_manifest_of(m)->max_messages, block = max / 100;
	json_t *answer, *q = json_pack("{s:s, s:s, s:I}", "customer", m->item.customer, "campaign",
				       m->item.campaign, "version", (json_int_t)m->item.version);
	int err;

	block = block < 1 ? 1 : block > 100 ? 100 : block;
	json_object_set_new(q, "count", json_integer((json_int_t)block));
	if (m->grant[0])
		json_object_set_new(q, "spent", json_string(m->grant));
	err = milter_ask_post(socket, "/v1/milter/take", q, &answer);
	if (err == 0)
		err = note_block(m, answer, block);
	json_decref(answer);
	return err;
}

int milter_take_one(const char *socket, struct milter_manifest *m)
{
	int err = 0;

	pthread_mutex_lock(&m->lock);
	if (m->over)
		err = ERR_AWAY;
	else if (!m->left)
		err = ask_block(socket, m);
	if (err == 0 && !m->left)
		err = ERR_LIMIT;
	m->left -= err == 0;
	pthread_mutex_unlock(&m->lock);
	return err;
}

/* --- giving back */

/* Ends the manifest's allowance: what was left of it, in items. */
static uint64_t end(struct milter_manifest *m, json_t *items)
{
	uint64_t left;

	pthread_mutex_lock(&m->lock);
	left = m->grant[0] ? m->left : 0;
	if (left)
		json_array_append_new(
		    items, json_pack("{s:s, s:I}", "grant", m->grant, "unused", (json_int_t)left));
	m->left = 0;
	m->over = 1;
	pthread_mutex_unlock(&m->lock);
	return left;
}

static int give(const char *socket, json_t *items, uint64_t unused)
{
	size_t versions = json_array_size(items);
	json_t *answer;
	int err = milter_ask_post(socket, "/v1/milter/return", json_pack("{s:O}", "items", items),
				  &answer);

	if (err < 0)
		log_event(LOG_LEVEL_WARN, NULL, "messages-not-given-back",
			  "messages=%llu versions=%zu why=\"%s\"", (unsigned long long)unused,
			  versions, err_text(err));
	else
		log_event(LOG_LEVEL_INFO, NULL, "messages-given-back", "messages=%lld versions=%zu",
			  (long long)json_integer_value(json_object_get(answer, "returned")),
			  versions);
	json_decref(answer);
	return err;
}

int milter_take_return(const char *socket, struct milter_manifest *const *over, size_t count)
{
	int err = 0;

	for (size_t i = 0; i < count;) {
		json_t *items = json_array();
		uint64_t unused = 0;
		for (; i < count && json_array_size(items) < RETURNS_ONCE; i++)
			if (over[i])
				unused += end(over[i], items);
		/* a relay that does not answer is not waited for again: but what is left is over all the same */
		if (unused && err == 0)
			err = give(socket, items, unused);
		json_decref(items);
	}
	return err;
}
