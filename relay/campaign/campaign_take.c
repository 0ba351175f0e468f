/* SPDX-License-Identifier: Apache-2.0 */
/* How many messages may still go: what milter takes, and gives back. */
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/rand.h"
#include "relay/campaign/campaign.h"
#include "relay/campaign/campaign_own.h"
#include "relay/store/store_grant.h"

#define RETURNS_ONCE 1000

/* What a milter says of a block: 0, or ERR_FORMAT. */
static int read_id(const json_t *text, uint8_t id[STORE_GRANT_ID])
{
	struct span s = span_of(json_string_value(text), json_string_length(text));

	return hex_decode(id, STORE_GRANT_ID, s) == STORE_GRANT_ID ? 0 : ERR_FORMAT;
}

int campaign_take(struct relay *r, const struct campaign_which *which, int64_t count,
		  const json_t *spent, json_t **answer)
{
	uint8_t before[STORE_GRANT_ID], fresh[STORE_GRANT_ID];
	char name[HEX_SIZE(STORE_GRANT_ID)];
	struct campaign_row row;
	int64_t granted = 0;
	int err = spent ? read_id(spent, before) : 0;

	if (err == 0)
		err = campaign_row_get(r->campaigns, which->customer, which->campaign,
				       which->version, &row);
	if (err < 0)
		return err;
	rand_bytes(fresh, sizeof(fresh));
	err = store_grant_take(r->store, row.number, CAMPAIGN_ACTIVE, count,
			       span_of(before, spent ? sizeof(before) : 0),
			       span_of(fresh, sizeof(fresh)), &granted);
	if (err < 0)
		return err;
	if (granted < count)
		log_event(LOG_LEVEL_WARN, NULL, "campaign-cap",
			  "customer=%s campaign=%s version=%lld max_messages=%lld", row.customer,
			  row.campaign, (long long)row.version, (long long)row.max_messages);
	hex_encode(name, fresh, sizeof(fresh));
	*answer =
	    json_pack("{s:I, s:s}", "granted", (json_int_t)granted, "grant", granted ? name : "");
	return *answer ? 0 : ERR_NOMEM;
}

/* --- given back */

static int read_return(const json_t *o, uint8_t id[STORE_GRANT_ID], int64_t *unused)
{
	const json_t *n = json_object_get(o, "unused");

	*unused = json_integer_value(n);
	return json_is_integer(n) && *unused >= 0 ? read_id(json_object_get(o, "grant"), id)
						  : ERR_FORMAT;
}

static void tell(int64_t returned, unsigned versions, unsigned refused)
{
	if (versions)
		log_event(LOG_LEVEL_INFO, NULL, "messages-returned", "messages=%lld versions=%u",
			  (long long)returned, versions);
	if (refused)
		log_event(LOG_LEVEL_WARN, NULL, "messages-return-refused", "blocks=%u", refused);
}

int campaign_return(struct relay *r, const json_t *items, int64_t *returned)
{
	int err = json_is_array(items) && json_array_size(items) <= RETURNS_ONCE ? 0 : ERR_FORMAT;
	unsigned good = 0, refused = 0;
	uint8_t id[STORE_GRANT_ID];
	const json_t *o;
	int64_t unused;
	size_t i;

	*returned = 0;
	json_array_foreach(items, i, o) if (err == 0) err = read_return(o, id, &unused);
	if (err == 0)
		err = store_begin(r->store);
	if (err < 0)
		return err;
	json_array_foreach(items, i, o)
	{
		if (err == 0)
			err = read_return(o, id, &unused);
		if (err == 0)
			err = store_grant_return(r->store, span_of(id, sizeof(id)), unused);
		if (err == 0) {
			*returned += unused;
			good++;
		} else if (err == ERR_NOTFOUND || err == ERR_LIMIT) {
			refused++;
			err = 0;
		}
	}
	if (err == 0)
		err = store_commit(r->store);
	if (err < 0)
		store_rollback(r->store);
	else
		tell(*returned, good, refused);
	return err;
}
