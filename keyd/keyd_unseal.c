/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_unseal.h"

#include <inttypes.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/secret.h"

#define SHARES_SIZE (KEYD_ROOT_SHARES_MAX * sizeof(struct keyd_shamir_share))

void keyd_unseal_drop(struct keyd_unseal *u)
{
	if (!u->shares)
		return;
	secret_free(u->shares, SHARES_SIZE);
	u->shares = NULL;
	u->have = u->need = 0;
	if (u->timer.loop)
		evt_timer_stop(&u->timer);
}

void keyd_unseal_expire(struct keyd_unseal *u, int64_t now)
{
	if (!u->shares || now - u->began < KEYD_UNSEAL_TIME)
		return;
	log_event(LOG_LEVEL_WARN, NULL, "unseal-expired", "uid=%u have=%u need=%u",
		  (unsigned)u->uid, u->have, u->need);
	keyd_unseal_drop(u);
}

static void on_timer(void *arg)
{
	keyd_unseal_expire(arg, clock_mono());
}

void keyd_unseal_init(struct keyd_unseal *u, struct evt_loop *loop)
{
	if (loop)
		evt_timer_init(&u->timer, loop, on_timer, u);
}

void keyd_unseal_clear(struct keyd_unseal *u)
{
	keyd_unseal_drop(u);
	if (u->timer.loop)
		evt_timer_clear(&u->timer);
}

static const struct keyd_root_slot *slot_of(const struct keyd_snapshot_head *head,
					    const struct keyd_share *s)
{
	for (unsigned i = 0; i < head->slot_count; i++) {
		const struct keyd_root_slot *slot = &head->slots[i];
		if (slot->method == KEYPROTO_SLOT_SHARES && slot->shares.need == s->k &&
		    slot->shares.of >= s->point.x &&
		    !memcmp(slot->shares.set, s->set, KEYD_SHARE_SET))
			return slot;
	}
	return NULL;
}

static int begin(struct keyd_unseal *u, const struct keyd_root_slot *slot, uid_t uid,
		 const char *session, int64_t now)
{
	u->shares = secret_alloc(SHARES_SIZE);
	if (!u->shares)
		return ERR_NOMEM;
	if (u->timer.loop && evt_timer_set(&u->timer, KEYD_UNSEAL_TIME) < 0) {
		keyd_unseal_drop(u);
		return ERR_NOMEM;
	}
	memcpy(u->set, slot->shares.set, sizeof(u->set));
	u->have = 0;
	u->need = slot->shares.need;
	u->slot = slot->id;
	u->uid = uid;
	u->began = now;
	log_event(LOG_LEVEL_INFO, session, "unseal-begun", "uid=%u slot=%" PRIu32 " need=%u",
		  (unsigned)uid, u->slot, u->need);
	return 0;
}

static int add(struct keyd_unseal *u, const struct keyd_snapshot_head *head,
	       const struct keyd_share *s, uid_t uid, const char *session, int64_t now)
{
	const struct keyd_root_slot *slot = slot_of(head, s);
	int rc;

	if (!slot)
		return ERR_NOTFOUND;
	if (u->shares && memcmp(u->set, s->set, sizeof(u->set)) != 0)
		return ERR_BADSTATE;
	if (!u->shares && (rc = begin(u, slot, uid, session, now)) < 0)
		return rc;
	for (unsigned i = 0; i < u->have; i++)
		if (u->shares[i].x == s->point.x)
			return ERR_EXISTS;
	u->shares[u->have++] = s->point;
	log_event(LOG_LEVEL_INFO, session, "unseal-share", "uid=%u share=%u have=%u need=%u",
		  (unsigned)uid, s->point.x, u->have, u->need);
	return u->have < u->need ? ERR_MORE : 0;
}

int keyd_unseal_take(struct keyd_unseal *u, const struct keyd_snapshot_head *head, struct span text,
		     uid_t uid, const char *session, int64_t now)
{
	struct keyd_share *s = secret_alloc(sizeof(*s));
	int rc = s ? keyd_share_parse(text, s) : ERR_NOMEM;

	keyd_unseal_expire(u, now);
	if (rc == 0)
		rc = add(u, head, s, uid, session, now);
	secret_free(s, sizeof(*s));
	return rc;
}

int keyd_unseal_key(struct keyd_unseal *u, uint8_t key[32], uint32_t *slot)
{
	int rc = u->shares && u->have == u->need ? keyd_shamir_combine(u->shares, u->need, key)
						 : ERR_BADSTATE;

	*slot = u->slot;
	keyd_unseal_drop(u);
	return rc;
}

int keyd_unseal_cancel(struct keyd_unseal *u, uid_t uid, const char *session, int64_t now)
{
	keyd_unseal_expire(u, now);
	if (!u->shares)
		return ERR_BADSTATE;
	if (u->uid != uid) {
		log_event(LOG_LEVEL_WARN, session, "unseal-cancel-refused", "uid=%u begun_by=%u",
			  (unsigned)uid, (unsigned)u->uid);
		return ERR_DENIED;
	}
	log_event(LOG_LEVEL_WARN, session, "unseal-cancelled", "uid=%u have=%u need=%u",
		  (unsigned)uid, u->have, u->need);
	keyd_unseal_drop(u);
	return 0;
}

void keyd_unseal_json(const struct keyd_unseal *u, int64_t now, struct buf *out)
{
	char set[HEX_SIZE(KEYD_SHARE_SET)];

	if (!u->shares || now - u->began >= KEYD_UNSEAL_TIME) {
		buf_put_str(out, "null");
		return;
	}
	hex_encode(set, u->set, sizeof(u->set));
	buf_putf(out, "{\"set\":\"%s\",\"have\":%u,\"need\":%u,\"uid\":%u,\"age_s\":%" PRId64 "}",
		 set, u->have, u->need, (unsigned)u->uid, (now - u->began) / CLOCK_SEC);
}
