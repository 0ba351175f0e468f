/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_cb.h"

#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "milter/milter.h"
#include "milter/milter_campaign.h"
#include "milter/milter_msg.h"

#define ACTIONS (SMFIF_ADDHDRS | SMFIF_CHGHDRS)
#define STEPS                                                                         \
	(SMFIP_NOHELO | SMFIP_NOBODY | SMFIP_NOEOH | SMFIP_NOUNKNOWN | SMFIP_NODATA | \
	 SMFIP_NR_CONN | SMFIP_NR_RCPT | SMFIP_NR_HDR)

static struct milter *daemon_at_work;

/* One connection of an MTA. */
struct conn {
	struct milter_rule_who who; /* address, from connect on */
	struct milter_msg msg;
	const char *blank; /* before a header value, if the MTA does not add it itself */
};

static struct conn *conn_of(SMFICTX *ctx)
{
	struct conn *c = smfi_getpriv(ctx);

	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	milter_msg_init(&c->msg);
	c->blank = "";
	if (smfi_setpriv(ctx, c) != MI_SUCCESS) {
		free(c);
		return NULL;
	}
	return c;
}

/* Callbacks end here: what was logged must be out before the thread waits for the MTA again. */
static sfsistat done(sfsistat r)
{
	log_flush();
	return r;
}

static sfsistat cb_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
			     unsigned long f2, unsigned long f3, unsigned long *want_actions,
			     unsigned long *want_steps, unsigned long *want_f2,
			     unsigned long *want_f3)
{
	struct conn *c = conn_of(ctx);

	(void)f2;
	(void)f3;
	*want_f2 = *want_f3 = 0;
	if ((actions & ACTIONS) != ACTIONS) {
		log_event(LOG_LEVEL_ERROR, NULL, "mta-unfit",
			  "actions=0x%lx why=\"cannot change headers\"", actions);
		return done(SMFIS_REJECT);
	}
	*want_actions = ACTIONS;
	*want_steps = STEPS & steps;
	if (c && (steps & SMFIP_HDR_LEADSPC)) {
		*want_steps |= SMFIP_HDR_LEADSPC;
		c->blank = " ";
	}
	if (actions & SMFIF_SETSYMLIST) {
		*want_actions |= SMFIF_SETSYMLIST;
		smfi_setsymlist(ctx, SMFIM_CONNECT, (char *)"");
		smfi_setsymlist(ctx, SMFIM_ENVFROM, (char *)"{auth_authen}");
		smfi_setsymlist(ctx, SMFIM_ENVRCPT, (char *)"");
		smfi_setsymlist(ctx, SMFIM_EOM, (char *)"i");
	}
	return c ? SMFIS_CONTINUE : SMFIS_REJECT;
}

static sfsistat cb_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	struct conn *c = conn_of(ctx);

	(void)host;
	if (c)
		milter_rule_from(&c->who, (const struct sockaddr *)address);
	return SMFIS_NOREPLY;
}

/* The message is over, however it went. */
static void end(struct conn *c)
{
	if (!c->msg.open)
		return;
	milter_msg_end(&c->msg);
	milter_leave(daemon_at_work);
}

static sfsistat answer(SMFICTX *ctx, const char *code, const char *extended, const char *text)
{
	smfi_setreply(ctx, (char *)code, (char *)extended, (char *)text);
	return *code == '4' ? SMFIS_TEMPFAIL : SMFIS_REJECT;
}

static sfsistat later(SMFICTX *ctx)
{
	return answer(ctx, "451", "4.7.1", "Service not available now, please try again later");
}

/* Puts the message off: nothing is ever let through because something of ours is missing. */
static sfsistat defer(SMFICTX *ctx, struct conn *c, const char *reason)
{
	log_event(LOG_LEVEL_INFO, c->msg.id_text, "message-deferred", "reason=%s customer=%s",
		  reason, c->msg.customer);
	end(c);
	return done(later(ctx));
}

static sfsistat cb_envfrom(SMFICTX *ctx, char **argv)
{
	struct conn *c = conn_of(ctx);

	if (!c)
		return later(ctx);
	end(c);
	if (!milter_enter(daemon_at_work))
		return answer(ctx, "451", "4.3.2",
			      "Service is being restarted, please try again later");
	c->who.login = span_str(smfi_getsymval(ctx, (char *)"{auth_authen}"));
	c->who.sender = span_str(argv[0]);
	milter_msg_begin(&c->msg, milter_conf_now(daemon_at_work), &c->who);
	c->who.login = c->who.sender = span_of(NULL, 0); /* they are the MTA's buffers */
	log_debug("customer", c->msg.id_text, "customer-named", "customer=%s by=%s",
		  c->msg.customer, c->msg.by);
	if (milter_keyd_check(milter_keyd_of(daemon_at_work)) != 0)
		return defer(ctx, c, "keyd");
	return done(SMFIS_CONTINUE);
}

static sfsistat cb_envrcpt(SMFICTX *ctx, char **argv)
{
	struct conn *c = smfi_getpriv(ctx);

	if (c && c->msg.open)
		milter_msg_recipient(&c->msg, span_str(argv[0]));
	return SMFIS_NOREPLY;
}

static sfsistat cb_header(SMFICTX *ctx, char *name, char *value)
{
	struct conn *c = smfi_getpriv(ctx);

	if (c && c->msg.open)
		milter_msg_header(&c->msg, span_str(name), span_str(value));
	return SMFIS_NOREPLY;
}

/* The sender learns that it was refused, and a name for it; the reason is for the log's readers. */
static sfsistat refuse(SMFICTX *ctx, struct conn *c, enum milter_campaign_verdict v,
		       const struct mail_campaign *camp)
{
	int parsed = v >= MILTER_CAMPAIGN_EXPIRED;
	char text[64];

	log_event(LOG_LEVEL_WARN, c->msg.id_text, "campaign-refused",
		  "reason=%s customer=%s campaign=%.*s recipients=%u", milter_campaign_name(v),
		  c->msg.customer, parsed ? (int)camp->id.n : 1,
		  parsed ? (const char *)camp->id.p : "-", c->msg.recipients);
	snprintf(text, sizeof(text), "Campaign refused, report %s", c->msg.id_text);
	end(c);
	return done(answer(ctx, "550", "5.7.1", text));
}

/* 0: verified, or there is no such header. >0: refused, and *v says why. <0: cannot tell now. */
static int check_campaign(struct conn *c, enum milter_campaign_verdict *v,
			  struct mail_campaign *camp)
{
	struct milter_keyd *keyd = milter_keyd_of(daemon_at_work);
	struct buf input;
	int err;

	if (c->msg.campaigns == 0)
		return milter_keyd_check(keyd);
	buf_init(&input, MAIL_CAMPAIGN_INPUT_MAX);
	*v = milter_campaign_judge(&c->msg, clock_wall(), camp, &input);
	err = buf_failed(&input) == ERR_NOMEM ? ERR_NOMEM : 0;
	if (err == 0 && *v == MILTER_CAMPAIGN_GOOD) {
		err = milter_keyd_verify(keyd, c->msg.customer, buf_span(&input), camp->mac);
		if (err == ERR_AUTH) {
			*v = MILTER_CAMPAIGN_FORGED;
			err = 0;
		}
	}
	buf_clear(&input);
	return err < 0 ? err : *v != MILTER_CAMPAIGN_GOOD;
}

static const char *reason_of(int err)
{
	return err == ERR_NOMEM ? "memory" : err == ERR_NOTFOUND ? "unknown-customer" : "keyd";
}

/* Takes out what came in and is ours, and puts the trace header in. Deletes from the highest index
 * down: each deletion renumbers those that follow it. */
static int change_headers(SMFICTX *ctx, struct conn *c)
{
	const struct milter_msg *m = &c->msg;
	char value[130];

	for (unsigned i = 0; i < m->forged_names; i++) {
		const char *name = (const char *)buf_ptr(&m->names) + m->forged[i].name;
		for (unsigned n = m->forged[i].count; n > 0; n--)
			if (smfi_chgheader(ctx, (char *)name, (int)n, NULL) != MI_SUCCESS)
				return ERR_CLOSED;
	}
	if (m->campaigns &&
	    smfi_chgheader(ctx, (char *)MAIL_CAMPAIGN_HEADER, 1, NULL) != MI_SUCCESS)
		return ERR_CLOSED;
	value[0] = ' ';
	milter_msg_trace(m, value + 1);
	/* Index 1: below the Received header that the MTA has put on top. */
	if (smfi_insheader(ctx, 1, (char *)MILTER_MSG_TRACE, value + !*c->blank) != MI_SUCCESS)
		return ERR_CLOSED;
	return 0;
}

static sfsistat cb_eom(SMFICTX *ctx)
{
	struct conn *c = smfi_getpriv(ctx);
	enum milter_campaign_verdict verdict = MILTER_CAMPAIGN_GOOD;
	struct mail_campaign camp;
	const char *queue;
	int r;

	if (!c || !c->msg.open)
		return later(ctx);
	if (c->msg.no_memory)
		return defer(ctx, c, "memory");
	if (c->msg.flood || (c->msg.odd && !c->msg.campaigns)) {
		log_event(LOG_LEVEL_WARN, c->msg.id_text, "headers-refused",
			  "reason=%s customer=%s", c->msg.flood ? "flood" : "blank-before-colon",
			  c->msg.customer);
		end(c);
		return done(
		    answer(ctx, "550", "5.6.0", "Message carries trace headers of this service"));
	}
	r = check_campaign(c, &verdict, &camp);
	if (r > 0)
		return refuse(ctx, c, verdict, &camp);
	if (r < 0)
		return defer(ctx, c, reason_of(r));
	if (change_headers(ctx, c) != 0)
		return defer(ctx, c, "mta");
	queue = smfi_getsymval(ctx, (char *)"i");
	log_event(LOG_LEVEL_INFO, c->msg.id_text, "message-passed",
		  "customer=%s by=%s queue=%s recipients=%u campaign=%.*s forged=%u",
		  c->msg.customer, c->msg.by, queue ? queue : "-", c->msg.recipients,
		  c->msg.campaigns ? (int)camp.id.n : 1,
		  c->msg.campaigns ? (const char *)camp.id.p : "-", c->msg.forged_count);
	end(c);
	return done(SMFIS_ACCEPT);
}

static sfsistat cb_abort(SMFICTX *ctx)
{
	struct conn *c = smfi_getpriv(ctx);

	if (c)
		end(c);
	return SMFIS_CONTINUE;
}

static sfsistat cb_close(SMFICTX *ctx)
{
	struct conn *c = smfi_getpriv(ctx);

	if (c) {
		end(c);
		milter_msg_clear(&c->msg);
		smfi_setpriv(ctx, NULL);
		free(c);
	}
	return done(SMFIS_CONTINUE);
}

static struct smfiDesc descriptor = {
    .xxfi_name = (char *)"sealpost-milter",
    .xxfi_version = SMFI_VERSION,
    .xxfi_flags = ACTIONS | SMFIF_SETSYMLIST,
    .xxfi_connect = cb_connect,
    .xxfi_envfrom = cb_envfrom,
    .xxfi_envrcpt = cb_envrcpt,
    .xxfi_header = cb_header,
    .xxfi_eom = cb_eom,
    .xxfi_abort = cb_abort,
    .xxfi_close = cb_close,
    .xxfi_negotiate = cb_negotiate,
};

void milter_cb_use(struct milter *m)
{
	daemon_at_work = m;
}

struct smfiDesc *milter_cb_descriptor(void)
{
	return &descriptor;
}
