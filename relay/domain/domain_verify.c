/* SPDX-License-Identifier: Apache-2.0 */
/* One TXT question for each check, to a resolver that is made for it and freed with it. */
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "evt/evt_timer.h"
#include "relay/domain/domain_own.h"
#include "relay/out/out_dns.h"

struct check {
	struct list_link link;
	struct relay *relay;
	struct relay_conf *conf;
	struct out_dns *dns;
	struct evt_timer timer;
	struct domain d;
	json_t *texts;
	domain_verify_fn fn;
	void *arg;
	int err;
};

struct domain_checks {
	struct list running;
	unsigned count;
};

static void check_free(struct check *k)
{
	list_remove(&k->link);
	k->relay->domain_checks->count--;
	evt_timer_clear(&k->timer);
	out_dns_free(k->dns);
	relay_conf_unref(k->conf);
	json_decref(k->texts);
	free(k);
}

/* The row may have gone meanwhile, or been made anew with another challenge. */
static int settle(struct check *k)
{
	struct domain now;
	int err = domain_get(k->relay, k->d.customer, k->d.domain, &now);

	if (err < 0)
		return err;
	if (strcmp(now.challenge, k->d.challenge) != 0)
		return ERR_NOTFOUND;
	now.found = k->d.found;
	now.secure = k->d.secure;
	k->d = now;
	return domain_note(k->relay, &k->d);
}

/* In a turn of its own: the resolver cannot be freed out of its callbacks. Also the end of patience. */
static void on_timer(void *arg)
{
	struct check *k = arg;
	int err = k->err < 0 ? k->err : settle(k);

	k->fn(k->arg, err, &k->d, k->texts);
	check_free(k);
}

static int judge(struct check *k, const struct out_dnsmsg *msg)
{
	static const int founds[] = {[CAMP_OWNER_FOUND] = DOMAIN_FOUND,
				     [CAMP_OWNER_OTHER] = DOMAIN_OTHER,
				     [CAMP_OWNER_MISSING] = DOMAIN_MISSING};
	struct span texts[OUT_DNSMSG_TXTS];
	unsigned n = msg->count < OUT_DNSMSG_TXTS ? msg->count : OUT_DNSMSG_TXTS;
	int found;

	for (unsigned i = 0; i < n; i++) {
		texts[i] = span_of(msg->txt[i].text, msg->txt[i].len);
		/* What is no UTF-8 is left out: it is not what was asked for either. */
		json_array_append_new(k->texts, json_stringn(msg->txt[i].text, msg->txt[i].len));
	}
	found = founds[camp_owner_judge(texts, n, k->d.challenge)];
	return found == DOMAIN_MISSING && msg->void_records ? DOMAIN_OTHER : found;
}

static void on_dns(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct check *k = arg;

	k->d.secure = 0;
	if (result == 0) {
		k->d.found = judge(k, msg);
		k->d.secure = secure;
	} else if (result == ERR_NOTFOUND) {
		k->d.found = DOMAIN_MISSING;
		k->d.secure = secure;
	} else {
		k->d.found = result == ERR_AUTH ? DOMAIN_BOGUS : DOMAIN_UNREACHABLE;
	}
	evt_timer_set(&k->timer, 0);
}

static void ask(struct check *k)
{
	char name[CAMP_OWNER_NAME];
	const char *why;

	k->dns = out_dns_new(k->relay->loop, k->conf, &why);
	if (!k->dns) {
		k->err = ERR_NOMEM;
		evt_timer_set(&k->timer, 0);
		return;
	}
	out_dns_quiet(k->dns); /* the answer says it */
	evt_timer_set(&k->timer, DOMAIN_PATIENCE);
	camp_owner_name(name, k->d.domain);
	k->d.found = DOMAIN_UNREACHABLE;
	k->d.secure = 0;
	out_dns_ask(k->dns, name, OUT_DNSMSG_TXT, on_dns, k);
}

int domain_verify(struct relay *r, const char *customer, const char *domain, domain_verify_fn fn,
		  void *arg)
{
	struct domain_checks *all = r->domain_checks;
	struct domain d;
	struct check *k;
	int err = domain_get(r, customer, domain, &d);

	if (err < 0)
		return err;
	if (all->count >= DOMAIN_CHECKS)
		return ERR_BUSY;
	k = calloc(1, sizeof(*k));
	if (!k || !(k->texts = json_array())) {
		free(k);
		return ERR_NOMEM;
	}
	k->relay = r;
	k->conf = relay_now(r);
	k->d = d;
	k->fn = fn;
	k->arg = arg;
	evt_timer_init(&k->timer, r->loop, on_timer, k);
	list_push_back(&all->running, &k->link);
	all->count++;
	ask(k);
	return 0;
}

/* --- with control */

static int open_checks(struct relay *r, const char **why)
{
	(void)why;
	r->domain_checks = calloc(1, sizeof(*r->domain_checks));
	if (!r->domain_checks)
		return ERR_NOMEM;
	list_init(&r->domain_checks->running);
	return 0;
}

static void close_checks(struct relay *r)
{
	while (r->domain_checks && !list_empty(&r->domain_checks->running)) {
		struct check *k =
		    list_entry(list_first(&r->domain_checks->running), struct check, link);
		k->fn(k->arg, ERR_CLOSED, &k->d, k->texts);
		check_free(k);
	}
	free(r->domain_checks);
	r->domain_checks = NULL;
}

const struct relay_control_part domain_part = {.open = open_checks, .close = close_checks};
