/* SPDX-License-Identifier: Apache-2.0 */
/* DKIM: which domains are configured, and what the DNS says of a domain's selectors.
 *
 *   check -> keyd: versions of both keys -> DNS: a TXT question each -> answer
 *
 * Each check has a resolver of its own, which has nothing cached: who has just changed his zone wants to
 * see that. It validates as all of relay's do, and is freed with the check; so is what it was not answered
 * within PATIENCE. */
#include "relay/api/api_dkim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/list.h"
#include "evt/evt_timer.h"
#include "keyproto/keyproto_client_ev.h"
#include "keyproto/keyproto_version.h"
#include "mail/mail_selector.h"
#include "relay/api/api_call.h"
#include "relay/out/out_dns.h"

#define KEYD_WAIT (10 * CLOCK_SEC)
#define PATIENCE  (20 * CLOCK_SEC) /* for the DNS; the command waits half a minute */
#define CHECKS	  8		   /* at once */
#define VERSIONS  8		   /* of a key, newest first: enough for years */
#define KEY_MAX	  512
#define PREFIX	  "sp" /* of a domain that is not configured yet: the default of dkim.selector */

struct check;

struct record { /* one version of one key */
	struct check *check;
	enum mail_selector_type type;
	uint32_t version;
	unsigned state;
	int64_t until; /* wall; needed as long; 0: no end in sight */
	int needed;
	uint8_t key[KEY_MAX];
	size_t key_size;
	char selector[MAIL_SELECTOR_MAX], name[MAIL_SELECTOR_NAME_MAX];
	int answered, result, secure, testing;
	enum mail_selector_verdict verdict;
	json_t *found;
};

struct ask { /* of one key */
	struct check *check;
	enum mail_selector_type type;
};

struct check {
	struct list_link link;
	struct api_call *call;
	struct relay *relay;
	struct relay_conf *conf;
	const char *prefix;
	int configured;
	struct ask asks[2];
	unsigned waiting; /* answers of keyd, then of the DNS */
	int err;
	struct record records[2 * VERSIONS];
	unsigned count;
	struct out_dns *dns;
	struct evt_timer timer;
};

struct api_dkim_checks {
	struct list running;
	unsigned count;
};

/* --- what is configured */

static const struct relay_dkim *configured(const struct relay_conf *conf, const char *domain)
{
	const struct relay_dkim *d = conf->dkim.items;

	for (size_t i = 0; i < conf->dkim.count; i++)
		if (!strcmp(d[i].domain, domain))
			return &d[i];
	return NULL;
}

void api_dkim_list(struct api_call *c)
{
	struct relay_conf *conf = relay_now(c->relay);
	const struct relay_dkim *d = conf->dkim.items;
	json_t *items = json_array();

	for (size_t i = 0; i < conf->dkim.count; i++)
		json_array_append_new(items, json_pack("{s:s, s:s?, s:s, s:b}", "domain", d[i].domain,
						       "customer", d[i].customer, "selector",
						       d[i].selector, "subdomains", d[i].subdomains));
	api_call_reply(c, 200, json_pack("{s:o, s:s, s:I}", "items", items, "selector", PREFIX, "expire",
					 (json_int_t)conf->retry.expire));
	relay_conf_unref(conf);
}

/* --- a check's end */

static const char *dns_word(const struct record *r)
{
	if (r->result == ERR_AUTH)
		return "bogus";
	if (!r->answered || (r->result < 0 && r->result != ERR_NOTFOUND))
		return "unreachable";
	return mail_selector_verdict_word(r->verdict);
}

static const char *dns_text(const struct record *r)
{
	if (r->result == ERR_AUTH)
		return "its DNSSEC signatures do not hold: verifiers that look at them find nothing";
	if (!r->answered || (r->result < 0 && r->result != ERR_NOTFOUND))
		return "no answer came";
	return mail_selector_verdict_text(r->verdict);
}

static const char *dnssec_word(const struct record *r)
{
	if (r->result == ERR_AUTH)
		return "bogus";
	if (!r->answered || (r->result < 0 && r->result != ERR_NOTFOUND))
		return "unknown";
	return r->secure ? "secure" : "insecure";
}

static int is_published(const struct record *r)
{
	return r->answered && r->result == 0 && r->verdict == MAIL_SELECTOR_PUBLISHED;
}

static json_t *record_json(struct record *r)
{
	struct buf text;
	json_t *j;

	buf_init(&text, 4 * KEY_MAX);
	mail_selector_text(&text, r->type, span_of(r->key, r->key_size));
	j = json_pack("{s:s, s:s, s:s, s:I, s:s, s:b, s:I, s:s%, s:s, s:s, s:s, s:b, s:O}", "selector",
		      r->selector, "name", r->name, "type", mail_selector_type_name(r->type), "version",
		      (json_int_t)r->version, "state", keyproto_version_state_name(r->state), "needed",
		      r->needed, "until", (json_int_t)r->until, "text", buf_ptr(&text), buf_size(&text),
		      "dns", dns_word(r), "why", dns_text(r), "dnssec", dnssec_word(r), "testing",
		      r->testing, "found", r->found);
	buf_clear(&text);
	return j;
}

static void check_free(struct check *k)
{
	for (unsigned i = 0; i < k->count; i++)
		json_decref(k->records[i].found);
	if (list_linked(&k->link)) {
		list_remove(&k->link);
		k->relay->dkim_checks->count--;
	}
	evt_timer_clear(&k->timer);
	out_dns_free(k->dns);
	relay_conf_unref(k->conf);
	free(k);
}

static void answer(struct check *k)
{
	json_t *items = json_array();
	int good = 1;

	for (unsigned i = 0; i < k->count; i++) {
		good &= !k->records[i].needed || is_published(&k->records[i]);
		json_array_append_new(items, record_json(&k->records[i]));
	}
	api_call_reply(k->call, 200,
		       json_pack("{s:s, s:b, s:s, s:b, s:o}", "domain", k->call->name, "configured",
				 k->configured, "prefix", k->prefix, "good", good, "records", items));
}

static void refuse(struct check *k)
{
	if (k->err == ERR_NOTFOUND)
		api_call_problem(k->call, 404, "keyd has no DKIM key of this domain: see \"sealpost dkim add\"");
	else if (k->err == ERR_LIMIT)
		api_call_problem(k->call, 400, "a selector of this domain would be too long a name");
	else
		api_call_failed(k->call, k->err);
}

/* In a turn of its own: the resolver cannot be freed out of its callbacks. Also the end of patience. */
static void on_timer(void *arg)
{
	struct check *k = arg;

	if (k->err < 0)
		refuse(k);
	else
		answer(k);
	check_free(k);
}

/* --- the DNS */

static void judge(struct record *r, const struct out_dnsmsg *msg)
{
	struct span texts[OUT_DNSMSG_TXTS];
	unsigned n = r->result == 0 ? msg->count : 0;

	if (n > OUT_DNSMSG_TXTS)
		n = OUT_DNSMSG_TXTS;
	for (unsigned i = 0; i < n; i++) {
		texts[i] = span_of(msg->txt[i].text, msg->txt[i].len);
		/* What is no UTF-8 is left out: it is no key record either. */
		json_array_append_new(r->found, json_stringn(msg->txt[i].text, msg->txt[i].len));
	}
	r->verdict = mail_selector_judge(texts, n, r->type, span_of(r->key, r->key_size), &r->testing);
	if (r->result == 0 && n == 0 && msg->void_records)
		r->verdict = MAIL_SELECTOR_MALFORMED; /* a record that is too long for one */
}

static void on_dns(void *arg, int result, const struct out_dnsmsg *msg, int secure)
{
	struct record *r = arg;
	struct check *k = r->check;

	r->answered = 1;
	r->result = result;
	r->secure = secure;
	if (result == 0 || result == ERR_NOTFOUND)
		judge(r, msg);
	if (--k->waiting == 0)
		evt_timer_set(&k->timer, 0);
}

static void ask_dns(struct check *k)
{
	const char *why;

	k->dns = out_dns_new(k->relay->loop, k->conf, &why);
	if (!k->dns) {
		k->err = ERR_NOMEM;
		evt_timer_set(&k->timer, 0);
		return;
	}
	out_dns_quiet(k->dns); /* the answer says it */
	evt_timer_set(&k->timer, PATIENCE);
	k->waiting = k->count;
	for (unsigned i = 0; i < k->count; i++)
		out_dns_ask(k->dns, k->records[i].name, OUT_DNSMSG_TXT, on_dns, &k->records[i]);
}

/* --- keyd */

static int add_record(struct check *k, enum mail_selector_type type, const struct keyproto_version *v,
		      int64_t retired)
{
	struct record *r = &k->records[k->count];
	struct span key = mail_selector_key(type, v->spki);
	int rc;

	if (!key.n || key.n > KEY_MAX)
		return 0; /* a key of another kind under this label signs nothing */
	memset(r, 0, sizeof(*r));
	r->check = k;
	r->type = type;
	r->version = v->version;
	r->state = v->state;
	r->until = retired ? retired + k->conf->retry.expire + MAIL_SELECTOR_REST : 0;
	r->needed = !r->until || r->until > clock_wall();
	memcpy(r->key, key.p, key.n);
	r->key_size = key.n;
	rc = mail_selector_format(r->selector, k->prefix, v->version, type);
	if (rc == 0)
		rc = mail_selector_name(r->name, r->selector, k->call->name);
	r->found = rc == 0 ? json_array() : NULL;
	k->count += rc == 0;
	return rc;
}

static int add_versions(struct check *k, enum mail_selector_type type, struct span reply)
{
	struct keyproto_version v[KEYPROTO_VERSIONS_MAX];
	int n = keyproto_versions_get(reply, v), rc = n < 0 ? n : 0;

	for (int i = 0; rc == 0 && i < n && i < VERSIONS; i++)
		rc = add_record(k, type, &v[i], keyproto_version_retired(v, i));
	return rc;
}

/* A domain may have one key of the two. */
static void on_versions(void *arg, int err, struct span reply)
{
	struct ask *a = arg;
	struct check *k = a->check;

	if (err == 0)
		err = add_versions(k, a->type, reply);
	if (err < 0 && err != ERR_NOTFOUND)
		k->err = err;
	if (--k->waiting)
		return;
	if (k->err == 0 && k->count == 0)
		k->err = ERR_NOTFOUND;
	if (k->err == 0)
		ask_dns(k);
	else
		evt_timer_set(&k->timer, 0);
}

static int fill(struct buf *body, const void *message)
{
	return keyproto_bytes_put(body, span_str(message));
}

static void ask_keyd(struct check *k, enum mail_selector_type type)
{
	char label[KEYPROTO_NAME_MAX + 1];
	struct ask *a = &k->asks[type];
	int n, rc;

	a->check = k;
	a->type = type;
	n = snprintf(label, sizeof(label), "dkim/%s/%s", k->call->name, mail_selector_type_name(type));
	rc = n > KEYPROTO_NAME_MAX ? ERR_NOTFOUND
				   : keyproto_client_ev_call(k->relay->keyd, KEYPROTO_KEY_VERSIONS,
							     KEYD_WAIT, fill, label, on_versions, a);
	if (rc < 0)
		on_versions(a, rc, span_of(NULL, 0));
}

void api_dkim_check(struct api_call *c)
{
	struct api_dkim_checks *all = c->relay->dkim_checks;
	struct check *k = all->count < CHECKS ? calloc(1, sizeof(*k)) : NULL;
	const struct relay_dkim *d;

	if (!k) {
		api_call_problem(c, 503, "too many checks at once: again in a while");
		return;
	}
	k->call = c;
	k->relay = c->relay;
	k->conf = relay_now(c->relay);
	d = configured(k->conf, c->name);
	k->configured = d != NULL;
	k->prefix = d ? d->selector : PREFIX;
	evt_timer_init(&k->timer, c->relay->loop, on_timer, k);
	list_push_back(&all->running, &k->link);
	all->count++;
	k->waiting = 2;
	ask_keyd(k, MAIL_SELECTOR_RSA);
	ask_keyd(k, MAIL_SELECTOR_ED25519);
}

/* --- with control */

static int open_checks(struct relay *r, const char **why)
{
	(void)why;
	r->dkim_checks = calloc(1, sizeof(*r->dkim_checks));
	if (!r->dkim_checks)
		return ERR_NOMEM;
	list_init(&r->dkim_checks->running);
	return 0;
}

/* keyd's client is gone, and with it what it was asked. */
static void close_checks(struct relay *r)
{
	while (r->dkim_checks && !list_empty(&r->dkim_checks->running)) {
		struct check *k =
		    list_entry(list_first(&r->dkim_checks->running), struct check, link);
		api_call_problem(k->call, 503, "relay is stopping");
		check_free(k);
	}
	free(r->dkim_checks);
	r->dkim_checks = NULL;
}

const struct relay_control_part api_dkim_part = {.open = open_checks, .close = close_checks};
