/* SPDX-License-Identifier: Apache-2.0 */
#include "milter/milter_judge.h"

#include <stdlib.h>

#include "campaign/camp_audience.h"
#include "core/clock.h"
#include "core/err.h"
#include "core/secret.h"
#include "milter/milter_campaign.h"
#include "milter/milter_track.h"

/* What is wrong first counts. */
void milter_judge_fail(struct milter_judge *j, enum camp_verdict v, const char *reason)
{
	if (j->verdict != CAMP_PASS)
		return;
	j->verdict = v;
	j->reason = reason ? reason : camp_verdict_name(v);
}

/* keyd could not say. */
static void fail_keyd(struct milter_judge *j, int err)
{
	if (err == ERR_NOMEM)
		milter_judge_fail(j, CAMP_MEMORY, NULL);
	else
		milter_judge_fail(j, CAMP_KEYD, err == ERR_NOTFOUND ? "unknown-customer" : NULL);
}

/* --- the campaign that it claims */

static int prove(struct milter_judge *j)
{
	enum milter_campaign_verdict v;
	struct buf input;
	int err = 0;

	buf_init(&input, MAIL_CAMPAIGN_INPUT_MAX);
	v = milter_campaign_judge(j->msg, clock_wall(), &j->campaign, &input);
	j->claimed = v == MILTER_CAMPAIGN_GOOD || v >= MILTER_CAMPAIGN_EXPIRED;
	if (buf_failed(&input) == ERR_NOMEM)
		err = ERR_NOMEM;
	else if (v == MILTER_CAMPAIGN_GOOD)
		err = milter_keyd_verify(j->keyd, j->msg->customer, buf_span(&input), j->campaign.mac);
	buf_clear(&input);
	if (err == ERR_AUTH)
		v = MILTER_CAMPAIGN_FORGED;
	else if (err < 0)
		fail_keyd(j, err);
	if (v != MILTER_CAMPAIGN_GOOD)
		milter_judge_fail(j, CAMP_MAC, milter_campaign_name(v));
	j->proven = j->verdict == CAMP_PASS;
	return j->proven;
}

static int find(struct milter_judge *j)
{
	static const struct {
		int err;
		enum camp_verdict verdict;
		const char *reason;
	} rows[] = {{ERR_NOTFOUND, CAMP_UNKNOWN, NULL}, {ERR_GONE, CAMP_REVOKED, NULL},
		    {ERR_BADSTATE, CAMP_NOT_ACTIVE, NULL}, {ERR_DAMAGED, CAMP_STORE, "manifest"},
		    {ERR_AWAY, CAMP_STORE, "feed"}};
	int err = milter_feed_find(j->feed, j->msg->customer, j->campaign.id, j->campaign.version, &j->manifest);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (err == rows[i].err)
			milter_judge_fail(j, rows[i].verdict, rows[i].reason);
	if (err < 0)
		milter_judge_fail(j, CAMP_STORE, NULL);
	return err == 0;
}

static int valid_now(struct milter_judge *j)
{
	const struct camp_manifest *m = milter_manifest_of(j->manifest);
	int64_t now = clock_wall() / CLOCK_SEC;

	if (now < m->valid_from)
		milter_judge_fail(j, CAMP_NOT_YET, NULL);
	else if (now >= m->valid_to)
		milter_judge_fail(j, CAMP_EXPIRED, NULL);
	return j->verdict == CAMP_PASS;
}

static struct span bare(struct span path)
{
	return path.n >= 2 && path.p[0] == '<' && path.p[path.n - 1] == '>' ? span_sub(path, 1, path.n - 2) : path;
}

static int in_audience(struct milter_judge *j)
{
	struct span rcpt = bare(buf_span(&j->msg->recipient));
	uint8_t hash[CAMP_AUDIENCE], *key;
	int err;

	if (!milter_manifest_of(j->manifest)->has_audience)
		return 1;
	key = secret_alloc(MILTER_KEYS_SIZE);
	err = key ? milter_keys_get(j->keys, MILTER_KEYS_AUDIENCE, j->msg->customer, 0, key) : ERR_NOMEM;
	if (err < 0) {
		fail_keyd(j, err);
	} else {
		err = camp_audience_hash(key, rcpt, hash);
		if (err < 0 && err != ERR_FORMAT)
			milter_judge_fail(j, CAMP_MEMORY, NULL);
		else if (err < 0 || !milter_manifest_has(j->manifest, hash)) /* what is no address is in no list */
			milter_judge_fail(j, CAMP_NOT_IN_AUDIENCE, NULL);
	}
	secret_free(key, MILTER_KEYS_SIZE);
	return j->verdict == CAMP_PASS;
}

static void note_check(struct milter_judge *j)
{
	if (j->verdict != CAMP_PASS)
		return;
	j->where = camp_check_result(j->check);
	milter_judge_fail(j, j->where.verdict == CAMP_PASS ? CAMP_MEMORY : j->where.verdict, j->where.rule);
}

static void begin_check(struct milter_judge *j)
{
	struct camp_check_params params = {.rcpt = buf_span(&j->msg->recipient)};
	struct span name, value;
	size_t at = 0;
	int err = 0;

	if (j->msg->fields_cut) {
		milter_judge_fail(j, CAMP_TOO_BIG, "header-size");
		return;
	}
	j->check = camp_check_new(j->manifest->compiled, &params);
	if (j->check && milter_track_wanted(j->msg, milter_manifest_of(j->manifest)))
		j->body = milter_body_new(j->msg->conf->state);
	if (!j->check || (!j->body && milter_track_wanted(j->msg, milter_manifest_of(j->manifest)))) {
		milter_judge_fail(j, CAMP_MEMORY, NULL);
		return;
	}
	while (err == 0 && milter_msg_field(j->msg, &at, &name, &value))
		err = camp_check_header(j->check, name, value);
	if (err == 0)
		err = camp_check_eoh(j->check);
	if (err < 0)
		note_check(j);
}

static void begin_claimed(struct milter_judge *j)
{
	if (!prove(j) || !j->msg->conf->streams.count)
		return;
	if (!find(j) || !valid_now(j) || !in_audience(j))
		return;
	if (milter_track_consent_ok(j->msg))
		begin_check(j);
	else
		milter_judge_fail(j, CAMP_HEADER_FOREIGN, "consent");
}

/* --- a message without campaign, and what is looked for in any */

static void begin_scan(struct milter_judge *j)
{
	const struct milter_conf *conf = j->msg->conf;
	const struct milter_stream *links =
	    j->policy == MILTER_POLICY_LINKS && !j->msg->campaigns ? j->msg->stream : NULL;
	struct span name, value;
	size_t at = 0;

	if (!links && !conf->sensitive.count)
		return;
	j->scan = milter_scan_new(conf, links);
	if (!j->scan) {
		milter_judge_fail(j, CAMP_MEMORY, NULL);
		return;
	}
	j->scanning = 1;
	if (j->msg->fields_cut && links)
		milter_judge_fail(j, CAMP_TOO_BIG, "header-size");
	while (milter_msg_field(j->msg, &at, &name, &value))
		milter_scan_header(j->scan, name, value);
	milter_scan_eoh(j->scan);
}

void milter_judge_begin(struct milter_judge *j, const struct milter_msg *msg, struct milter_feed *feed,
			struct milter_keyd *keyd, struct milter_keys *keys)
{
	milter_judge_clear(j);
	j->msg = msg;
	j->feed = feed;
	j->keyd = keyd;
	j->keys = keys;
	j->policy = milter_stream_policy(msg->stream, clock_wall());
	j->where.tpl = CAMP_NONE;
	if (msg->campaigns)
		begin_claimed(j);
	else if (j->policy != MILTER_POLICY_OPEN && j->policy != MILTER_POLICY_LINKS)
		milter_judge_fail(j, CAMP_NO_CAMPAIGN, NULL);
	begin_scan(j);
}

/* --- the body */

/* 1: it is still held against the manifest. */
static int check_body(struct milter_judge *j, struct span piece)
{
	int err;

	if (!j->check || j->verdict != CAMP_PASS)
		return 0;
	if (camp_check_body(j->check, piece) < 0) {
		note_check(j);
		return 0;
	}
	err = j->body ? milter_body_put(j->body, piece) : 0;
	if (err < 0)
		milter_judge_fail(j, err == ERR_NOMEM ? CAMP_MEMORY : CAMP_STORE, "state");
	return err == 0;
}

int milter_judge_body(struct milter_judge *j, struct span piece)
{
	int more;

	j->size += piece.n;
	if (j->size > j->msg->conf->max_size && (j->check || (j->scanning && j->policy == MILTER_POLICY_LINKS))) {
		milter_judge_fail(j, CAMP_TOO_BIG, "message-size");
		j->scanning = 0;
	}
	more = check_body(j, piece);
	if (j->scanning && milter_scan_body(j->scan, piece))
		j->scanning = 0;
	return !more && !j->scanning;
}

/* --- the end */

/* Parts whose digest the sender vouches for. */
static void verify_signed(struct milter_judge *j)
{
	const uint8_t *mac;
	struct buf input;
	int err = 0;

	for (size_t i = 0; err == 0 && j->verdict == CAMP_PASS; i++) {
		buf_init(&input, MAIL_CAMPAIGN_INPUT_MAX);
		err = camp_check_signed(j->check, i, buf_span(&j->msg->message_id), &input, &mac);
		if (err == 0) {
			err = milter_keyd_verify(j->keyd, j->msg->customer, buf_span(&input), mac);
			if (err == ERR_AUTH)
				milter_judge_fail(j, CAMP_PART_SIGNED, NULL);
			else if (err < 0)
				fail_keyd(j, err);
		} else if (err != ERR_NOTFOUND) {
			milter_judge_fail(j, CAMP_MEMORY, NULL);
		}
		buf_clear(&input);
	}
}

static void end_check(struct milter_judge *j)
{
	if (!j->check || j->verdict != CAMP_PASS)
		return;
	if (camp_check_end(j->check) < 0)
		note_check(j);
	else if (j->body && milter_body_end(j->body) < 0)
		milter_judge_fail(j, CAMP_STORE, "state");
	verify_signed(j);
}

static void end_scan(struct milter_judge *j)
{
	if (!j->scan)
		return;
	milter_scan_end(j->scan, &j->sensitive);
	if (j->sensitive.verdict == CAMP_PASS || j->verdict != CAMP_PASS)
		return;
	milter_judge_fail(j, j->sensitive.verdict, j->sensitive.reason);
	j->where.part = j->sensitive.part;
	j->where.offset = j->sensitive.offset;
}

static void take(struct milter_judge *j)
{
	int err;

	if (!j->manifest || j->verdict != CAMP_PASS || j->sensitive.refuse)
		return;
	err = milter_feed_take(j->feed, j->manifest);
	if (err == ERR_LIMIT)
		milter_judge_fail(j, CAMP_CAP, NULL);
	else if (err < 0)
		milter_judge_fail(j, CAMP_STORE, "feed");
}

static enum milter_judge_word word_of(const struct milter_judge *j)
{
	int code = camp_verdict_reply(j->verdict).code;

	if (j->verdict == CAMP_PASS)
		return MILTER_JUDGE_PASS;
	if (code / 100 == 4)
		return MILTER_JUDGE_LATER;
	if (j->verdict == CAMP_SENSITIVE || j->sensitive.unread)
		return MILTER_JUDGE_REFUSE;
	return j->policy == MILTER_POLICY_QUARANTINE ? MILTER_JUDGE_HOLD
	       : j->policy == MILTER_POLICY_OBSERVE  ? MILTER_JUDGE_TELL
						     : MILTER_JUDGE_REFUSE;
}

void milter_judge_end(struct milter_judge *j)
{
	end_check(j);
	end_scan(j);
	take(j);
	if (j->sensitive.refuse && camp_verdict_reply(j->verdict).code / 100 != 4) {
		j->verdict = CAMP_PASS; /* no policy lets it pass, whatever else is wrong with it */
		milter_judge_fail(j, CAMP_SENSITIVE, "sensitive");
	}
	j->word = word_of(j);
}

void milter_judge_report(const struct milter_judge *j, struct milter_report *r)
{
	memset(r, 0, sizeof(*r));
	span_copy_str(r->customer, sizeof(r->customer), span_str(j->msg->customer));
	if (j->claimed) {
		span_copy_str(r->campaign, sizeof(r->campaign), j->campaign.id);
		r->version = j->campaign.version;
	}
	r->verdict = j->reason;
	span_copy_str(r->header, sizeof(r->header), span_str(j->where.header));
	r->part = j->where.part;
	r->offset = j->where.offset;
	r->templated = j->where.tpl != CAMP_NONE;
	r->tpl = j->where.tpl;
	r->tpl_offset = j->where.tpl_offset;
}

void milter_judge_clear(struct milter_judge *j)
{
	camp_check_free(j->check);
	milter_scan_free(j->scan);
	milter_body_free(j->body);
	milter_manifest_unref(j->manifest);
	memset(j, 0, sizeof(*j));
}
