/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's destroyed customers: what track.db has of their readers goes with their keys; totals stay. */
#include <stdlib.h>

#include "core/err.h"
#include "core/log.h"
#include "relay/track/track_keep_own.h"

void track_keep_gone_run(struct track_keep *k, const char *customer)
{
	int64_t webhooks = 0, rows = track_db_customer_forget(k->store, customer, &webhooks);

	if (rows < 0) {
		log_event(LOG_LEVEL_ERROR, NULL, "tracking-store-failed", "why=\"%s\"", err_text((int)rows));
		return;
	}
	if (rows == 0 && webhooks == 0)
		return;
	k->scrub = 1;
	log_event(LOG_LEVEL_WARN, NULL, "tracking-destroyed", "customer=%s rows=%lld webhooks=%lld", customer, (long long)rows,
		  (long long)webhooks);
}

struct names {
	char (*all)[TRACK_NAME];
	size_t count, room;
};

static int note_name(void *arg, const char *customer)
{
	struct names *n = arg;

	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 16;
		char(*more)[TRACK_NAME] = realloc(n->all, room * sizeof(*more));
		if (!more)
			return ERR_NOMEM;
		n->all = more;
		n->room = room;
	}
	return span_copy_str(n->all[n->count++], TRACK_NAME, span_str(customer));
}

void track_keep_gone_look(struct track_keep *k)
{
	struct names n = {.count = 0};
	uint8_t unused[TRACK_DB_WHO];
	int err = track_db_customers(k->store, note_name, &n);

	for (size_t i = 0; i < n.count && err == 0; i++) {
		int rc = track_keep_sent_index(k, n.all[i], 0, "", unused); /* any question would do */
		if (rc == ERR_GONE)
			track_keep_gone_run(k, n.all[i]);
		else if (ledger_keys_later(rc))
			break;
	}
	free(n.all);
}
