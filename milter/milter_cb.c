/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_cb.h"

#include <libmilter/mfapi.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/clock.h"
#include "core/err.h"
#include "core/log.h"
#include "milter/milter.h"
#include "milter/milter_act.h"

/* By headers alone, or the message as a whole. */
#define ACTIONS	      (SMFIF_ADDHDRS | SMFIF_CHGHDRS)
#define ACTIONS_WHOLE (ACTIONS | SMFIF_CHGBODY | SMFIF_QUARANTINE)
#define STEPS	      (SMFIP_NOHELO | SMFIP_NOUNKNOWN | SMFIP_NODATA | SMFIP_NR_CONN | SMFIP_NR_RCPT | SMFIP_NR_HDR)
#define STEPS_HEADERS (SMFIP_NOBODY | SMFIP_NOEOH)
#define STEPS_WHOLE   (SMFIP_NR_EOH | SMFIP_SKIP)

static struct milter *daemon_at_work;

/* One connection of an MTA. */
struct conn {
	struct milter_rule_who who; /* address, from connect on */
	struct milter_msg msg;
	struct milter_judge judge;
	struct milter_track track;
	const char *blank; /* before a header value, if the MTA does not add it itself */
	int whole;	   /* the MTA gives the body, and may be asked to change it */
	int single;	   /* it waits for an answer to each RCPT */
	int asked;	   /* it was told which macros are needed */
	int skips;	   /* it can be told that nothing more of the body is needed */
	int begun;	   /* the judge has the headers */
	int enough;	   /* and needs nothing more */
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

/* The macros of each stage. {mail_addr} tells nothing that is needed: it is always there, so if it is missing, libmilter
 * had no memory for the macros, and who has logged in is not known. */
static int ask_macros(SMFICTX *ctx)
{
	static const struct {
		int stage;
		const char *names;
	} asked[] = {{SMFIM_CONNECT, ""}, {SMFIM_ENVFROM, "{auth_authen} {mail_addr}"}, {SMFIM_ENVRCPT, ""}, {SMFIM_EOM, "i"}};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		if (smfi_setsymlist(ctx, asked[i].stage, (char *)(uintptr_t)asked[i].names) != MI_SUCCESS)
			return 0;
	return 1;
}

/* What the present configuration needs. A connection that began before it changed is told to come again. */
static void needs(int *whole, int *single)
{
	struct milter_conf *conf = milter_conf_now(daemon_at_work);
	const struct milter_stream *streams = conf->streams.items;

	*whole = milter_conf_bodies(conf);
	*single = 0;
	for (size_t i = 0; i < conf->streams.count; i++)
		*single |= streams[i].policy == MILTER_POLICY_ENFORCE || streams[i].policy == MILTER_POLICY_OBSERVE;
	milter_conf_unref(conf);
}

static sfsistat cb_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
			     unsigned long f2, unsigned long f3, unsigned long *want_actions,
			     unsigned long *want_steps, unsigned long *want_f2,
			     unsigned long *want_f3)
{
	struct conn *c = conn_of(ctx);
	unsigned long acts;
	int whole, single;

	(void)f2;
	(void)f3;
	*want_f2 = *want_f3 = 0;
	needs(&whole, &single);
	acts = whole ? ACTIONS_WHOLE : ACTIONS;
	if ((actions & acts) != acts) {
		log_event(LOG_LEVEL_ERROR, NULL, "mta-unfit", "actions=0x%lx why=\"cannot change %s\"", actions,
			  (actions & ACTIONS) != ACTIONS ? "headers" : "bodies, or hold messages");
		return done(SMFIS_REJECT);
	}
	*want_actions = acts;
	*want_steps = (STEPS | (whole ? STEPS_WHOLE : STEPS_HEADERS)) & steps;
	if (single)
		*want_steps &= ~(unsigned long)SMFIP_NR_RCPT;
	if (c) {
		c->whole = whole;
		c->single = single;
		c->skips = (*want_steps & SMFIP_SKIP) != 0;
	}
	if (c && (steps & SMFIP_HDR_LEADSPC)) {
		*want_steps |= SMFIP_HDR_LEADSPC;
		c->blank = " ";
	}
	if (c && (actions & SMFIF_SETSYMLIST)) {
		*want_actions |= SMFIF_SETSYMLIST;
		c->asked = ask_macros(ctx);
		if (!c->asked)
			c = NULL;
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
	milter_track_clear(&c->track);
	milter_judge_clear(&c->judge); /* it points into the message */
	c->begun = c->enough = 0;
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
	if (c->asked && !smfi_getsymval(ctx, (char *)"{mail_addr}"))
		return defer(ctx, c, "macros");
	if (milter_keyd_check(milter_keyd_of(daemon_at_work)) != 0)
		return defer(ctx, c, "keyd");
	if (!c->whole && milter_conf_bodies(c->msg.conf))
		return defer(ctx, c, "reload"); /* its next connection is told what is needed now */
	return done(SMFIS_CONTINUE);
}

static sfsistat cb_envrcpt(SMFICTX *ctx, char **argv)
{
	struct conn *c = smfi_getpriv(ctx);

	if (!c || !c->msg.open)
		return c && c->single ? SMFIS_CONTINUE : SMFIS_NOREPLY;
	if (c->msg.recipients && milter_stream_single(c->msg.stream, clock_wall())) {
		log_debug("customer", c->msg.id_text, "second-recipient", "customer=%s", c->msg.customer);
		return done(answer(ctx, "452", "4.5.3", "One recipient in each message here"));
	}
	milter_msg_recipient(&c->msg, span_str(argv[0]));
	return c->single ? SMFIS_CONTINUE : SMFIS_NOREPLY;
}

static sfsistat cb_header(SMFICTX *ctx, char *name, char *value)
{
	struct conn *c = smfi_getpriv(ctx);

	if (c && c->msg.open)
		milter_msg_header(&c->msg, span_str(name), span_str(value));
	return SMFIS_NOREPLY;
}

/* --- the message as a whole */

/* Without a body the end comes without eoh being of use, and without streams there is no eoh. */
static void judge_begin(struct conn *c)
{
	if (c->begun)
		return;
	c->begun = 1;
	milter_judge_begin(&c->judge, &c->msg, milter_feed_of(daemon_at_work), milter_keyd_of(daemon_at_work),
			   milter_keys_of(daemon_at_work));
}

/* What keeps a message from being judged at all. */
static int unfit(const struct conn *c)
{
	return c->msg.no_memory || c->msg.flood || (c->msg.odd && !c->msg.campaigns);
}

static sfsistat cb_eoh(SMFICTX *ctx)
{
	struct conn *c = smfi_getpriv(ctx);

	if (c && c->msg.open && !unfit(c))
		judge_begin(c);
	return done(SMFIS_NOREPLY);
}

static sfsistat cb_body(SMFICTX *ctx, unsigned char *piece, size_t n)
{
	struct conn *c = smfi_getpriv(ctx);

	if (!c || !c->msg.open || unfit(c))
		return c && c->skips ? SMFIS_SKIP : SMFIS_CONTINUE;
	judge_begin(c);
	if (!c->enough)
		c->enough = milter_judge_body(&c->judge, span_of(piece, n));
	return done(c->enough && c->skips ? SMFIS_SKIP : SMFIS_CONTINUE);
}

/* --- what was decided */

/* events: campaign-refused campaign-held campaign-observed */
static void tell(const struct conn *c, enum log_level level, const char *event)
{
	const struct milter_judge *j = &c->judge;

	log_event(level, c->msg.id_text, event,
		  "reason=%s customer=%s stream=%s campaign=%.*s version=%u recipients=%u part=%u offset=%llu",
		  j->reason, c->msg.customer, c->msg.stream ? c->msg.stream->name : "-",
		  j->claimed ? (int)j->campaign.id.n : 1, j->claimed ? (const char *)j->campaign.id.p : "-",
		  j->claimed ? j->campaign.version : 0, c->msg.recipients, j->where.part,
		  (unsigned long long)j->where.offset);
}

static void report(const struct conn *c)
{
	struct milter_report r;

	if (!c->msg.conf->streams.count)
		return; /* relay is not asked for anything */
	milter_judge_report(&c->judge, &r);
	memcpy(r.id, c->msg.id_text, sizeof(r.id));
	r.time = clock_wall();
	milter_report_add(milter_feed_reports(milter_feed_of(daemon_at_work)), &r);
}

/* The sender learns that it was refused, and a name for it; the reason is for others. */
static sfsistat refuse(SMFICTX *ctx, struct conn *c)
{
	struct camp_reply reply = camp_verdict_reply(c->judge.verdict);
	char code[8], text[64];

	tell(c, LOG_LEVEL_WARN, "campaign-refused");
	report(c);
	snprintf(code, sizeof(code), "%d", reply.code);
	snprintf(text, sizeof(text), CAMP_VERDICT_TEXT "%s", c->msg.id_text);
	end(c);
	return done(answer(ctx, code, reply.enhanced, text));
}

/* Tokens and edits. 0, or the judge has failed. */
static int prepare_tracking(struct conn *c)
{
	struct milter_judge *j = &c->judge;
	int err;

	if (!j->check || j->word != MILTER_JUDGE_PASS)
		return 0;
	err = milter_track_prepare(&c->track, milter_keys_of(daemon_at_work), &c->msg,
				   milter_manifest_of(j->manifest), j->check, clock_wall());
	if (err == 0 && c->track.n_edits)
		err = milter_track_try(&c->track, j->check, j->body);
	if (err == 0 && c->track.skipped)
		log_event(LOG_LEVEL_INFO, c->msg.id_text, "tracking-skipped", "reason=%s customer=%s campaign=%.*s",
			  c->track.skipped, c->msg.customer, (int)j->campaign.id.n, (const char *)j->campaign.id.p);
	return err;
}

static int change(SMFICTX *ctx, struct conn *c)
{
	struct milter_act act = {ctx, &c->msg, &c->judge, c->judge.check ? &c->track : NULL, c->blank};
	int err = milter_act_headers(&act);

	if (err == 0)
		err = milter_act_body(&act);
	if (err == 0 && c->judge.word == MILTER_JUDGE_HOLD)
		err = milter_act_hold(&act);
	return err;
}

static sfsistat pass(SMFICTX *ctx, struct conn *c)
{
	const struct milter_judge *j = &c->judge;
	const char *queue = smfi_getsymval(ctx, (char *)"i");

	if (j->word == MILTER_JUDGE_HOLD)
		tell(c, LOG_LEVEL_WARN, "campaign-held");
	if (j->word == MILTER_JUDGE_TELL)
		tell(c, LOG_LEVEL_WARN, "campaign-observed");
	if (j->word != MILTER_JUDGE_PASS)
		report(c);
	if (j->sensitive.verify)
		log_event(LOG_LEVEL_INFO, c->msg.id_text, "sensitive-content", "customer=%s rule=%s found=%u action=verify",
			  c->msg.customer, j->sensitive.verify, j->sensitive.found);
	log_event(LOG_LEVEL_INFO, c->msg.id_text, "message-passed",
		  "customer=%s by=%s stream=%s queue=%s recipients=%u campaign=%.*s tracked=%zu forged=%u",
		  c->msg.customer, c->msg.by, c->msg.stream ? c->msg.stream->name : "-", queue ? queue : "-",
		  c->msg.recipients, j->claimed ? (int)j->campaign.id.n : 1,
		  j->claimed ? (const char *)j->campaign.id.p : "-", c->track.n_edits, c->msg.forged_count);
	end(c);
	return done(SMFIS_ACCEPT);
}

static sfsistat finish(SMFICTX *ctx, struct conn *c)
{
	struct milter_judge *j = &c->judge;
	int err;

	judge_begin(c);
	milter_judge_end(j);
	if (j->word == MILTER_JUDGE_LATER)
		return defer(ctx, c, j->reason);
	if (j->word == MILTER_JUDGE_REFUSE)
		return refuse(ctx, c);
	/* It may have gone while the message passed. */
	if (!c->msg.campaigns && milter_keyd_check(milter_keyd_of(daemon_at_work)) != 0)
		return defer(ctx, c, "keyd");
	err = prepare_tracking(c);
	if (err < 0)
		return defer(ctx, c, err == ERR_NOMEM ? "memory" : "keyd");
	if (change(ctx, c) != 0)
		return defer(ctx, c, "mta");
	return pass(ctx, c);
}

static sfsistat cb_eom(SMFICTX *ctx)
{
	struct conn *c = smfi_getpriv(ctx);

	if (!c || !c->msg.open)
		return later(ctx);
	if (c->msg.no_memory)
		return defer(ctx, c, "memory");
	if (unfit(c)) {
		log_event(LOG_LEVEL_WARN, c->msg.id_text, "headers-refused",
			  "reason=%s customer=%s", c->msg.flood ? "flood" : "blank-before-colon",
			  c->msg.customer);
		end(c);
		return done(
		    answer(ctx, "550", "5.6.0", "Message carries trace headers of this service"));
	}
	return finish(ctx, c);
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
		milter_judge_clear(&c->judge);
		milter_msg_clear(&c->msg);
		smfi_setpriv(ctx, NULL);
		free(c);
	}
	return done(SMFIS_CONTINUE);
}

static struct smfiDesc descriptor = {
    .xxfi_name = (char *)"sealpost-milter",
    .xxfi_version = SMFI_VERSION,
    .xxfi_flags = ACTIONS_WHOLE | SMFIF_SETSYMLIST,
    .xxfi_connect = cb_connect,
    .xxfi_envfrom = cb_envfrom,
    .xxfi_envrcpt = cb_envrcpt,
    .xxfi_header = cb_header,
    .xxfi_eoh = cb_eoh,
    .xxfi_body = cb_body,
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
