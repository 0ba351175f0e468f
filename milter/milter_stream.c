/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "milter/milter_stream.h"

#include <stdio.h>
#include <time.h>

#include "core/clock.h"
#include "keyproto/keyproto_msg.h"
#include "mail/mail_sensitive.h"

#define DAY (86400 * CLOCK_SEC)

#define STREAM(member) offsetof(struct milter_stream, member)
#define RULE(member)   offsetof(struct milter_sensitive, member)

const char *milter_stream_policy_name(enum milter_policy p)
{
	static const char *const names[] = {
#define MILTER_POLICY_X(sym, name) name,
	    MILTER_POLICIES(MILTER_POLICY_X)
#undef MILTER_POLICY_X
	};

	return names[p];
}

static const char *check_name(const char *v)
{
	return keyproto_name_ok(span_str(v)) ? NULL : "must be 1 to 64 of a-z 0-9 . _ / -";
}

/* The last moment of that day, UTC; 0: not a date. */
static int64_t parse_date(const char *v)
{
	struct tm tm = {0};
	const char *end = strlen(v) == 10 ? strptime(v, "%Y-%m-%d", &tm) : NULL;
	int day = tm.tm_mday;
	time_t t;

	if (!end || *end)
		return 0;
	t = timegm(&tm);
	return t > 0 && tm.tm_mday == day ? (int64_t)t * CLOCK_SEC + DAY : 0;
}

static const char *check_until(const char *v)
{
	return parse_date(v) ? NULL : "must be a date such as 2026-12-31";
}

static const struct conf_choice policies[] = {
#define MILTER_POLICY_X(sym, text) {text, MILTER_POLICY_##sym},
    MILTER_POLICIES(MILTER_POLICY_X)
#undef MILTER_POLICY_X
    {0}};

const struct conf_key milter_stream_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = STREAM(name), .required = 1, .check = check_name,
     .help = "By which rules name it."},
    {.name = "policy", .type = CONF_ENUM, .offset = STREAM(policy), .required = 1, .choices = policies,
     .help = "What is demanded of its messages: open, enforce, links-only, quarantine or observe."},
    {.name = "until", .type = CONF_STRING, .offset = STREAM(until_text), .check = check_until,
     .help = "Last day of policy observe (UTC); from then on the stream is enforced."},
    {.name = "hosts", .type = CONF_STRINGS, .offset = STREAM(hosts),
     .help = "Hosts that links may lead to under policy links-only; .example.org for what is below it."},
    {.name = "attachments", .type = CONF_STRINGS, .offset = STREAM(attachments),
     .help = "Media types of attachments that policy links-only lets pass."},
    {0}};

static const struct conf_choice kinds[] = {
    {"card", MILTER_SENSITIVE_CARD}, {"pattern", MILTER_SENSITIVE_PATTERN}, {0}};
static const struct conf_choice actions[] = {
    {"verify", MILTER_SENSITIVE_VERIFY}, {"refuse", MILTER_SENSITIVE_REFUSE}, {0}};

const struct conf_key milter_sensitive_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = RULE(name), .required = 1, .check = check_name,
     .help = "By which the log names it."},
    {.name = "kind", .type = CONF_ENUM, .offset = RULE(kind), .required = 1, .choices = kinds,
     .help = "card: numbers of payment cards; pattern: as pattern says."},
    {.name = "pattern", .type = CONF_STRING, .offset = RULE(pattern),
     .help = "Text to look for: # is a digit, @ a letter, all else itself; 2 to 64 characters."},
    {.name = "action", .type = CONF_ENUM, .offset = RULE(action), .required = 1, .choices = actions,
     .help = "verify: deliver to verified servers alone; refuse: 550."},
    {0}};

const char *milter_stream_finish(void *item)
{
	struct milter_stream *s = item;

	if (s->until_text && s->policy != MILTER_POLICY_OBSERVE)
		return "until is for policy observe alone";
	if ((s->hosts.count || s->attachments.count) && s->policy != MILTER_POLICY_LINKS)
		return "hosts and attachments are for policy links-only alone";
	if (s->policy == MILTER_POLICY_OBSERVE && !s->until_text)
		return "policy observe needs until, the day on which it ends";
	if (s->until_text)
		s->until = parse_date(s->until_text);
	return NULL;
}

const char *milter_sensitive_finish(void *item)
{
	struct milter_sensitive *r = item;

	if ((r->kind == MILTER_SENSITIVE_PATTERN) != (r->pattern != NULL))
		return r->pattern ? "pattern is for kind pattern alone" : "kind pattern needs pattern";
	return r->pattern ? mail_sensitive_check(r->pattern) : NULL;
}

const struct milter_stream *milter_stream_find(const struct conf_list *streams, const char *name)
{
	const struct milter_stream *all = streams->items;

	for (size_t i = 0; name && i < streams->count; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	return NULL;
}

enum milter_policy milter_stream_policy(const struct milter_stream *stream, int64_t now)
{
	if (!stream)
		return MILTER_POLICY_OPEN;
	if (stream->policy == MILTER_POLICY_OBSERVE && now >= stream->until)
		return MILTER_POLICY_ENFORCE;
	return (enum milter_policy)stream->policy;
}

int milter_stream_single(const struct milter_stream *stream, int64_t now)
{
	return milter_stream_policy(stream, now) == MILTER_POLICY_ENFORCE;
}
