/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_watch.h"

#include <inttypes.h>

#include "core/clock.h"
#include "core/hex.h"
#include "core/log.h"
#include "keyd/keyd.h"
#include "sys/sys_priv.h"

static void tick(void *arg)
{
	struct keyd *k = arg;

	keyd_watch_tick(k);
	evt_timer_set(&k->watch.timer, CLOCK_SEC);
}

static void settle(void *arg)
{
	keyd_watch_settle(arg);
}

static void set_limits(struct keyd *k)
{
	const struct keyd_conf_tamper *t = &k->conf->tamper;

	keyd_tamper_set(&k->tamper, t->window, (uint64_t)t->auth, (uint64_t)t->denied,
			(uint64_t)t->mac);
}

void keyd_watch_init(struct keyd *k)
{
	set_limits(k);
	if (!k->loop)
		return;
	k->watch.settle.fn = settle;
	k->watch.settle.arg = k;
	evt_timer_init(&k->watch.timer, k->loop, tick, k);
	evt_timer_set(&k->watch.timer, CLOCK_SEC);
	k->watch.running = 1;
}

void keyd_watch_clear(struct keyd *k)
{
	if (!k->watch.running)
		return;
	evt_loop_undefer(k->loop, &k->watch.settle);
	evt_timer_clear(&k->watch.timer);
	k->watch.running = 0;
}

void keyd_watch_told(struct keyd *k)
{
	const struct keyd_conf_quorum *q = &k->conf->quorum;
	const struct keyd_conf_tamper *t = &k->conf->tamper;
	const struct {
		const char *name;
		int64_t value;
	} all[] = {{"quorum.slot", q->slot},
		   {"quorum.shred", q->shred},
		   {"quorum.zeroize", q->zeroize},
		   {"tamper.auth", t->auth},
		   {"tamper.denied", t->denied},
		   {"tamper.mac", t->mac},
		   {"tamper.window", t->window / CLOCK_SEC}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		keyd_audit_event(k, AUDIT_CONFIG, AUDIT_STR(WHAT, all[i].name),
				 AUDIT_NUM(COUNT, all[i].value));
}

void keyd_watch_reload(struct keyd *k)
{
	set_limits(k);
	keyd_watch_told(k);
}

void keyd_watch_tamper(struct keyd *k, unsigned what, uint64_t n)
{
	uint64_t count;

	if (!n || !keyd_tamper_note(&k->tamper, what, n, clock_mono()))
		return;
	count = k->tamper.counters[what].total;
	log_event(LOG_LEVEL_ERROR, NULL, "tamper-noticed", "what=%s total=%" PRIu64,
		  keyd_tamper_name(what), count);
	keyd_audit_event(k, AUDIT_TAMPER, AUDIT_STR(WHAT, keyd_tamper_name(what)),
			 AUDIT_NUM(COUNT, count));
	k->watch.reached = what + 1;
	if (k->watch.running)
		evt_loop_defer(k->loop, &k->watch.settle);
}

void keyd_watch_settle(struct keyd *k)
{
	unsigned what = k->watch.reached - 1;

	if (!k->watch.reached)
		return;
	k->watch.reached = 0;
	if (k->state != KEYPROTO_READY)
		return;
	log_event(LOG_LEVEL_ERROR, NULL, "tamper-lock", "what=%s", keyd_tamper_name(what));
	keyd_audit_event(k, AUDIT_TAMPER_LOCK, AUDIT_STR(WHAT, keyd_tamper_name(what)));
	keyd_lock(k, "signs of tampering");
}

static void look_for_tracer(struct keyd *k)
{
	int pid = sys_priv_tracer();

	/* One that stays is told of once, and locks as often as somebody unseals beside it. */
	if (pid > 0 && (!k->watch.tracer || k->state == KEYPROTO_READY))
		keyd_watch_tamper(k, KEYD_TAMPER_TRACER, 1);
	k->watch.tracer = pid > 0;
}

static void drop(struct keyd *k, struct keyd_quorum_proposal *p)
{
	char digest[HEX_SIZE(32)];

	hex_encode(digest, p->digest, 32);
	log_event(LOG_LEVEL_WARN, NULL, "proposal-expired", "proposal=%" PRIu64 " op=%s", p->number,
		  keyproto_op_name(p->op));
	keyd_audit_event(k, AUDIT_EXPIRED, AUDIT_NUM(PROPOSAL, p->number),
			 AUDIT_STR(OP, keyproto_op_name(p->op)), AUDIT_STR(DIGEST, digest),
			 AUDIT_NUM(HAVE, p->have), AUDIT_NUM(NEED, p->need));
	keyd_quorum_drop(p);
}

void keyd_watch_drop_proposals(struct keyd *k)
{
	for (unsigned i = 0; i < KEYD_QUORUM_MAX; i++)
		if (k->quorum.items[i].number)
			drop(k, &k->quorum.items[i]);
}

static void expire(struct keyd *k)
{
	struct keyd_quorum_proposal *p;

	while ((p = keyd_quorum_expired(&k->quorum, clock_mono())))
		drop(k, p);
}

void keyd_watch_tick(struct keyd *k)
{
	look_for_tracer(k);
	keyd_watch_settle(k);
	expire(k);
	keyd_audit_tick(k);
}

void keyd_watch_json(struct keyd *k, struct buf *out)
{
	for (unsigned i = 0; i < KEYD_TAMPER_COUNT; i++)
		buf_putf(out,
			 "%s\"%s\":{\"recent\":%" PRIu64 ",\"limit\":%" PRIu64 ",\"total\":%" PRIu64
			 "}",
			 i ? "," : "{", keyd_tamper_name(i),
			 keyd_tamper_recent(&k->tamper, i, clock_mono()),
			 k->tamper.counters[i].limit, k->tamper.counters[i].total);
	buf_put_str(out, "}");
}
