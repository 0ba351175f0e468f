/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/err.h"
#include "core/id.h"
#include "core/num.h"
#include "relay/api/api_call.h"

static const struct api_route routes[] = {
    {"GET", "/v1/status", api_status_get},
    {"GET", "/v1/queue", api_queue_list},
    {"POST", "/v1/queue/retry", api_queue_retry_all},
    {"POST", "/v1/queue/list", api_queue_find},
    {"GET", "/v1/queue/{id}", api_queue_show},
    {"DELETE", "/v1/queue/{id}", api_queue_delete},
    {"POST", "/v1/queue/{id}/retry", api_queue_retry},
    {"GET", "/v1/queues", api_queues_get},
    {"POST", "/v1/queues/summary", api_queues_summary},
    {"GET", "/v1/queues/orders", api_queues_orders},
    {"POST", "/v1/queues/{name}", api_queues_act},
    {"GET", "/v1/shaping", api_shaping_get},
    {"POST", "/v1/shaping/list", api_shaping_list},
    {"POST", "/v1/shaping/suspend", api_shaping_suspend},
    {"POST", "/v1/shaping/resume", api_shaping_resume},
    {"POST", "/v1/tls/check", api_tls_check},
    {"GET", "/v1/tls/exceptions", api_tls_exceptions},
    {"POST", "/v1/tls/exceptions", api_tls_exception_add},
    {"POST", "/v1/tls/exceptions/remove", api_tls_exception_remove},
    {"POST", "/v1/tls/reports", api_tlsrpt_list},
    {"POST", "/v1/tls/reports/show", api_tlsrpt_show},
    {"POST", "/v1/tls/reports/send", api_tlsrpt_send},
    {"GET", "/v1/dkim", api_dkim_list},
    {"GET", "/v1/dkim/{name}", api_dkim_check},
    {"GET", "/v1/domains", api_domain_list},
    {"POST", "/v1/domains", api_domain_add},
    {"POST", "/v1/domains/show", api_domain_show},
    {"POST", "/v1/domains/verify", api_domain_verify},
    {"POST", "/v1/domains/trust", api_domain_trust},
    {"POST", "/v1/domains/remove", api_domain_remove},
    {"GET", "/v1/trace/{id}", api_trace_get},
    {"POST", "/v1/deliveries", api_ledger_deliveries},
    {"POST", "/v1/tls/stats", api_ledger_tls_stats},
    {"GET", "/v1/ledger", api_ledger_status},
    {"POST", "/v1/ledger/export", api_ledger_export},
    {"GET", "/v1/ledger/verify", api_ledger_verify},
    {"POST", "/v1/ledger/verify", api_ledger_verify_start},
    {"POST", "/v1/tracking/stats", api_track_stats},
    {"POST", "/v1/tracking/events", api_track_events},
    {"POST", "/v1/tracking/export", api_track_export},
    {"POST", "/v1/tracking/erase", api_track_erase},
    {"GET", "/v1/webhooks", api_webhook_list},
    {"POST", "/v1/webhooks", api_webhook_add},
    {"POST", "/v1/webhooks/remove", api_webhook_remove},
    {"POST", "/v1/webhooks/test", api_webhook_test},
    {"POST", "/v1/webhooks/secret", api_webhook_secret},
    {"GET", "/v1/suppression", api_suppression_list},
    {"POST", "/v1/suppression", api_suppression_add},
    {"POST", "/v1/suppression/check", api_suppression_check},
    {"POST", "/v1/suppression/remove", api_suppression_remove},
    {"GET", "/v1/credentials", api_credential_list},
    {"POST", "/v1/credentials", api_credential_add},
    {"PUT", "/v1/credentials/inbound/{name}", api_credential_change_inbound},
    {"PUT", "/v1/credentials/upstream/{name}", api_credential_change_upstream},
    {"DELETE", "/v1/credentials/inbound/{name}", api_credential_remove_inbound},
    {"DELETE", "/v1/credentials/upstream/{name}", api_credential_remove_upstream},
    {"GET", "/v1/campaigns", api_campaign_list},
    {"POST", "/v1/campaigns", api_campaign_add},
    {"POST", "/v1/campaigns/lint", api_campaign_lint},
    {"POST", "/v1/campaigns/audience", api_audience_put},
    {"POST", "/v1/campaigns/test", api_campaign_test},
    {"POST", "/v1/campaigns/show", api_campaign_show},
    {"POST", "/v1/campaigns/approve", api_campaign_approve},
    {"POST", "/v1/campaigns/activate", api_campaign_activate},
    {"POST", "/v1/campaigns/pause", api_campaign_pause},
    {"POST", "/v1/campaigns/resume", api_campaign_resume},
    {"POST", "/v1/campaigns/revoke", api_campaign_revoke},
    {"GET", "/v1/campaigns/{name}", api_campaign_versions},
    {"GET", "/v1/rejections/{name}", api_campaign_rejection},
    {"GET", "/v1/milter/campaigns", api_milter_campaigns},
    {"POST", "/v1/milter/bundle", api_milter_bundle},
    {"POST", "/v1/milter/audience", api_audience_read},
    {"POST", "/v1/milter/take", api_milter_take},
    {"POST", "/v1/milter/return", api_milter_return},
    {"POST", "/v1/milter/reports", api_milter_reports},
    {0}};

/* Paths that take API_SOURCE_MAX. */
static const char *const large[] = {"/v1/campaigns", "/v1/campaigns/lint", "/v1/campaigns/test"};
/* What the user of api.milter may use, and nothing else. */
#define MILTERS "/v1/milter/"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX 1000

/* 1 if the path has the pattern's shape; *id, *name are the segments that stand for {id} and {name}. */
static int matches(const char *pattern, const struct http_request *r, struct span *id, struct span *name)
{
	struct span rest = span_str(pattern);
	unsigned i = 0;

	for (; rest.n; i++) {
		ptrdiff_t slash;
		struct span want;
		rest = span_sub(rest, 1, rest.n);
		slash = span_find(rest, '/');
		want = slash < 0 ? rest : span_sub(rest, 0, (size_t)slash);
		rest = span_sub(rest, want.n, rest.n);
		if (i >= r->segment_count)
			return 0;
		if (want.p[0] == '{')
			*(want.p[1] == 'n' ? name : id) = r->segments[i];
		else if (!span_equal(want, r->segments[i]))
			return 0;
	}
	return i == r->segment_count;
}

static int read_query(const struct http_request *r, struct api_call *c)
{
	struct span limit = http_request_query(r, "limit"), after = http_request_query(r, "after");
	struct span customer = http_request_query(r, "customer");
	uint64_t n = LIMIT_DEFAULT;

	if (customer.p && !c->name[0] && span_copy_str(c->name, sizeof(c->name), customer) < 0)
		return ERR_FORMAT;

	if (limit.p && (num_parse_u64(limit, &n) < 0 || n < 1 || n > LIMIT_MAX))
		return ERR_FORMAT;
	c->limit = (unsigned)n;
	return after.p ? id_parse(after, &c->after) : 0;
}

size_t api_route_body_max(const struct http_request *r)
{
	struct span id, name;

	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++)
		if (matches(large[i], r, &id, &name))
			return API_SOURCE_MAX;
	return API_BODY_MAX;
}

int api_route_is_milters(const struct api_route *row)
{
	return !strncmp(row->pattern, MILTERS, sizeof(MILTERS) - 1);
}

int api_route_find(const struct http_request *r, struct api_call *c, const struct api_route **row)
{
	int known = 0;

	for (const struct api_route *k = routes; k->method; k++) {
		struct span id = {NULL, 0}, name = {NULL, 0};
		if (!matches(k->pattern, r, &id, &name))
			continue;
		known = 1;
		if (!span_equal(r->method, span_str(k->method)))
			continue;
		*row = k;
		if (id.p && id_parse(id, &c->id) < 0)
			return ERR_FORMAT;
		if (name.p && span_copy_str(c->name, sizeof(c->name), name) < 0)
			return ERR_FORMAT;
		return read_query(r, c);
	}
	return known ? ERR_UNSUPPORTED : ERR_NOTFOUND;
}
