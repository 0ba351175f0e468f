/* SPDX-License-Identifier: Apache-2.0 */
/* api_call - one request to the local API, from its route to its answer.
 *
 * Story:     api_server parses a request, api_route finds the row, the row's handler gets the call and answers it once, at once or
 *            later, with api_call_reply or api_call_problem. A client that hangs up meanwhile changes nothing for the
 *            handler: the answer is then dropped.
 * Ownership: the call belongs to whoever has to answer; answering ends it, and frees body. JSON given to reply is
 *            taken over.
 * Limits:    API_BODY_MAX octets of body; API_SOURCE_MAX for the sources and messages of campaigns.
 * Thread:    control's. */
#ifndef RELAY_API_API_CALL_H
#define RELAY_API_API_CALL_H

#include <jansson.h>

#include "http/http_request.h"
#include "relay/relay.h"

#define API_BODY_MAX (256u << 10)
#define API_SOURCE_MAX (1u << 20)
#define API_NAME     65

struct api_conn;

struct api_call {
	struct relay *relay;
	struct api_conn *conn; /* NULL once the client has gone */
	uint64_t id;	       /* of the message in the path, where the route has one */
	uint64_t after;	       /* query parameters of lists */
	unsigned limit;
	unsigned uid; /* of the client */
	json_t *body; /* object that came with a POST or PUT; else NULL */
	char name[API_NAME]; /* segment of the path that stands for {name}, else query parameter customer, or "" */
};

void api_call_reply(struct api_call *c, int status, json_t *body);
/* RFC 9457. detail is for people and holds no input. */
void api_call_problem(struct api_call *c, int status, const char *detail);
/* The same for an ERR_* from inside. */
void api_call_failed(struct api_call *c, int err);

/* --- routes: api_route.c holds the table. */
struct api_route {
	const char *method;
	const char *pattern; /* "/v1/queue/{id}" */
	void (*run)(struct api_call *c);
};
/* 1 if it is for api.milter. */
int api_route_is_milters(const struct api_route *row);
/* How large a body may be that is sent there. */
size_t api_route_body_max(const struct http_request *r);
/* 0 and *row; ERR_NOTFOUND; ERR_UNSUPPORTED (the path exists, the method does not); ERR_FORMAT (bad id, name or query). */
int api_route_find(const struct http_request *r, struct api_call *c, const struct api_route **row);

/* --- handlers */
void api_status_get(struct api_call *c);
void api_queue_list(struct api_call *c);
void api_queue_show(struct api_call *c);
void api_queue_retry(struct api_call *c);
void api_queue_retry_all(struct api_call *c);
void api_queue_delete(struct api_call *c);
void api_queue_find(struct api_call *c);
void api_queues_get(struct api_call *c);
void api_queues_summary(struct api_call *c);
void api_queues_orders(struct api_call *c);
void api_queues_act(struct api_call *c);
struct queue_ask;
/* Fills selector, limit and after from the body: NULL, or what is wrong with it. */
const char *api_queues_filter(struct api_call *c, struct queue_ask *a);
void api_shaping_get(struct api_call *c);
void api_shaping_list(struct api_call *c);
void api_shaping_suspend(struct api_call *c);
void api_shaping_resume(struct api_call *c);
void api_tls_check(struct api_call *c);
void api_tls_exceptions(struct api_call *c);
void api_tls_exception_add(struct api_call *c);
void api_tls_exception_remove(struct api_call *c);
void api_tlsrpt_list(struct api_call *c);
void api_tlsrpt_show(struct api_call *c);
void api_tlsrpt_send(struct api_call *c);
void api_dkim_list(struct api_call *c);
void api_dkim_check(struct api_call *c);
void api_domain_list(struct api_call *c);
void api_domain_show(struct api_call *c);
void api_domain_add(struct api_call *c);
void api_domain_verify(struct api_call *c);
void api_domain_trust(struct api_call *c);
void api_domain_remove(struct api_call *c);
void api_trace_get(struct api_call *c);
void api_ledger_deliveries(struct api_call *c);
void api_ledger_tls_stats(struct api_call *c);
void api_ledger_status(struct api_call *c);
void api_ledger_export(struct api_call *c);
void api_ledger_verify(struct api_call *c);
void api_ledger_verify_start(struct api_call *c);
void api_track_stats(struct api_call *c);
void api_track_events(struct api_call *c);
void api_track_export(struct api_call *c);
void api_track_erase(struct api_call *c);
void api_webhook_list(struct api_call *c);
void api_webhook_add(struct api_call *c);
void api_webhook_remove(struct api_call *c);
void api_webhook_test(struct api_call *c);
void api_webhook_secret(struct api_call *c);
void api_suppression_list(struct api_call *c);
void api_suppression_add(struct api_call *c);
void api_suppression_remove(struct api_call *c);
void api_suppression_check(struct api_call *c);
void api_campaign_list(struct api_call *c);
void api_campaign_versions(struct api_call *c);
void api_campaign_show(struct api_call *c);
void api_campaign_add(struct api_call *c);
void api_campaign_lint(struct api_call *c);
void api_audience_put(struct api_call *c);
void api_audience_read(struct api_call *c);
void api_campaign_test(struct api_call *c);
void api_campaign_approve(struct api_call *c);
void api_campaign_activate(struct api_call *c);
void api_campaign_pause(struct api_call *c);
void api_campaign_resume(struct api_call *c);
void api_campaign_revoke(struct api_call *c);
void api_campaign_rejection(struct api_call *c);
void api_milter_campaigns(struct api_call *c);
void api_milter_bundle(struct api_call *c);
void api_milter_take(struct api_call *c);
void api_milter_return(struct api_call *c);
void api_milter_reports(struct api_call *c);
void api_credential_list(struct api_call *c);
void api_credential_add(struct api_call *c);
void api_credential_change_inbound(struct api_call *c);
void api_credential_change_upstream(struct api_call *c);
void api_credential_remove_inbound(struct api_call *c);
void api_credential_remove_upstream(struct api_call *c);

#endif
