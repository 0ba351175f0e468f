/* SPDX-License-Identifier: Apache-2.0 */
#include "test/tool/sink_rule.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "evt/evt_listen.h"

#define RULES	64
#define SOURCES 4096
#define WINDOW	65536 /* attempts remembered of a source, for rates */

struct rule {
	enum sink_stage stage;
	int percent;	   /* 0..10000, hundredths of a percent */
	int64_t times;	   /* how often it may apply; -1: always */
	const char *match; /* text the command must have, or NULL */
	int code;
	char reply[512];
	uint64_t applied;
};

struct sink_source {
	char address[64];
	uint64_t connections, open, max_open, messages, over_connections, over_rate, over_messages,
	    max_rate;
	int64_t *attempts; /* ring of times of the last WINDOW attempts */
	uint64_t count;	   /* attempts ever */
	uint64_t oldest;   /* first attempt within the window */
};

static const char *const stages[SINK_STAGES] = {"connect", "ehlo", "starttls", "mail",
						"rcpt",	   "data", "body",     "dot"};

static struct {
	uint64_t max_connections, max_messages, rate;
	int64_t window; /* usec; 0: rates are not looked at */
	struct rule rules[RULES];
	int nrules;
	int64_t delay[SINK_STAGES];
	int silent[SINK_STAGES];
} opt;

static struct sink_source sources[SOURCES];
static int nsources;
static uint64_t open_now, open_max, silenced;

/* A generator of its own, so that a run can be repeated (--seed). */
static uint64_t state = 88172645463325252u;

static unsigned dice(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state % 10000);
}

static int find_stage(const char *name, size_t n)
{
	for (int i = 0; i < SINK_STAGES; i++)
		if (strlen(stages[i]) == n && !memcmp(stages[i], name, n))
			return i;
	return -1;
}

/* [%PERCENT][*TIMES][:TEXT] */
static int parse_conditions(struct rule *r, const char *p)
{
	char *end;

	r->percent = 10000;
	r->times = -1;
	if (*p == '%') {
		double percent = strtod(p + 1, &end);
		if (end == p + 1 || percent < 0 || percent > 100)
			return -1;
		r->percent = (int)(percent * 100 + 0.5);
		p = end;
	}
	if (*p == '*') {
		r->times = strtoll(p + 1, &end, 10);
		if (end == p + 1 || r->times < 0)
			return -1;
		p = end;
	}
	if (*p == ':')
		r->match = p + 1;
	else if (*p)
		return -1;
	return 0;
}

/* CODE[ TEXT]@STAGE... */
static int parse_reply(const char *value)
{
	struct rule *r = &opt.rules[opt.nrules];
	const char *at = strchr(value, '@');
	int stage;

	if (opt.nrules == RULES || !at || (size_t)(at - value) >= sizeof(r->reply) - 32)
		return -1;
	stage = find_stage(at + 1, strcspn(at + 1, "%*:"));
	r->code = atoi(value);
	if (stage < 0 || (r->code && (r->code < 200 || r->code > 599)) ||
	    (!r->code && *value != '0'))
		return -1;
	r->stage = (enum sink_stage)stage;
	memcpy(r->reply, value, (size_t)(at - value));
	r->reply[at - value] = 0;
	if (r->code && !strchr(r->reply, ' ')) {
		int code = r->code;
		snprintf(r->reply, sizeof(r->reply), "%d %d.7.0 by rule", code, code / 100);
	}
	if (parse_conditions(r, at + 1 + strlen(stages[stage])) < 0)
		return -1;
	opt.nrules++;
	return 0;
}

static int parse_cut(const char *value)
{
	char text[64];

	return snprintf(text, sizeof(text), "0@body%%%s", value) < (int)sizeof(text)
		   ? parse_reply(text)
		   : -1;
}

static int parse_delay(const char *value)
{
	char *end;
	int64_t delay = (int64_t)(strtod(value, &end) * 1000);
	int stage;

	if (end == value || delay < 0)
		return -1;
	if (*end == 0) {
		for (stage = 0; stage < SINK_STAGES; stage++)
			opt.delay[stage] = stage == SINK_BODY ? 0 : delay;
		return 0;
	}
	stage = *end == '@' ? find_stage(end + 1, strlen(end + 1)) : -1;
	if (stage < 0 || stage == SINK_BODY)
		return -1;
	opt.delay[stage] = delay;
	return 0;
}

static int parse_silent(const char *value)
{
	int stage = value ? find_stage(value, strlen(value)) : SINK_CONNECT;

	if (stage < 0 || stage == SINK_BODY)
		return -1;
	opt.silent[stage] = 1;
	return 0;
}

/* N/SECONDS */
static int parse_rate(const char *value)
{
	char *end;

	opt.rate = strtoull(value, &end, 10);
	if (end == value || *end != '/')
		return -1;
	opt.window = (int64_t)(strtod(end + 1, &end) * 1e6);
	return *end || opt.window <= 0 || opt.rate > WINDOW ? -1 : 0;
}

static int parse_number(uint64_t *out, const char *value)
{
	char *end;

	*out = strtoull(value, &end, 10);
	return *end || end == value ? -1 : 0;
}

int sink_rule_option(const char *name, const char *value)
{
	int rc = 0;

	if (!strcmp(name, "max-connections"))
		rc = parse_number(&opt.max_connections, value);
	else if (!strcmp(name, "max-messages"))
		rc = parse_number(&opt.max_messages, value);
	else if (!strcmp(name, "rate"))
		rc = parse_rate(value);
	else if (!strcmp(name, "delay"))
		rc = parse_delay(value);
	else if (!strcmp(name, "silent"))
		rc = parse_silent(value);
	else if (!strcmp(name, "cut-data"))
		rc = parse_cut(value);
	else if (!strcmp(name, "reply"))
		rc = parse_reply(value);
	else if (!strcmp(name, "seed"))
		state ^= strtoull(value, NULL, 10) * 2654435761u;
	else
		return 0;
	return rc < 0 ? -1 : 1;
}

static struct sink_source *find_source(const char *address)
{
	for (int i = 0; i < nsources; i++)
		if (!strcmp(sources[i].address, address))
			return &sources[i];
	if (nsources < SOURCES)
		strcpy(sources[nsources++].address, address);
	return &sources[nsources - 1];
}

static void count_open(struct sink_source *s)
{
	if (s->open > s->max_open)
		s->max_open = s->open;
	if (open_now > open_max)
		open_max = open_now;
}

struct sink_source *sink_rule_open(const struct sockaddr_storage *peer)
{
	char address[64];
	struct sink_source *s;

	evt_listen_format(address, peer);
	s = find_source(address);
	s->connections++;
	s->open++;
	open_now++;
	if (!sink_rule_crowded(s))
		count_open(s);
	return s;
}

int sink_rule_crowded(const struct sink_source *s)
{
	return opt.max_connections && s->open > opt.max_connections;
}

int sink_rule_too_many(struct sink_source *s)
{
	if (!sink_rule_crowded(s))
		return 0;
	count_open(s);
	s->over_connections++;
	return 1;
}

void sink_rule_close(struct sink_source *s)
{
	s->open--;
	open_now--;
}

/* Counts an attempt; 1 if it is one too many within the window. */
static int over_rate(struct sink_source *s)
{
	int64_t now = clock_mono();

	if (!opt.window)
		return 0;
	if (!s->attempts && !(s->attempts = calloc(WINDOW, sizeof(*s->attempts))))
		return 0;
	while (s->oldest < s->count && (s->count - s->oldest >= WINDOW ||
					s->attempts[s->oldest % WINDOW] <= now - opt.window))
		s->oldest++;
	s->attempts[s->count++ % WINDOW] = now;
	if (s->count - s->oldest > s->max_rate)
		s->max_rate = s->count - s->oldest;
	if (!opt.rate || s->count - s->oldest <= opt.rate)
		return 0;
	s->over_rate++;
	return 1;
}

static void ask_rules(struct sink_order *o, enum sink_stage stage, struct span line)
{
	for (int i = 0; i < opt.nrules; i++) {
		struct rule *r = &opt.rules[i];
		if (r->stage != stage || r->times == 0 ||
		    (r->match &&
		     (line.n == 0 || !memmem(line.p, line.n, r->match, strlen(r->match)))) ||
		    dice() >= (unsigned)r->percent)
			continue;
		if (r->times > 0)
			r->times--;
		r->applied++;
		o->code = r->code;
		o->reply = r->code ? r->reply : "";
		return;
	}
}

struct sink_order sink_rule_ask(struct sink_source *s, enum sink_stage stage, struct span line,
				unsigned messages)
{
	struct sink_order o = {.delay = opt.delay[stage], .silent = opt.silent[stage]};

	silenced += (uint64_t)o.silent;
	if (stage == SINK_MAIL) {
		int over = over_rate(s);
		if (opt.max_messages && messages > opt.max_messages) {
			s->over_messages++;
			o.code = 421;
			o.reply = "421 4.7.0 too many messages over this connection";
			return o;
		}
		if (over) {
			o.code = 451;
			o.reply = "451 4.7.1 too many messages in this time";
			return o;
		}
	}
	ask_rules(&o, stage, line);
	return o;
}

void sink_rule_taken(struct sink_source *s)
{
	s->messages++;
}

static void report_counters(FILE *f, const struct sink_source *s)
{
	fprintf(f,
		"\"max_open\": %llu, \"over_connections\": %llu, \"over_rate\": %llu, "
		"\"over_messages\": %llu, \"max_rate\": %llu",
		(unsigned long long)s->max_open, (unsigned long long)s->over_connections,
		(unsigned long long)s->over_rate, (unsigned long long)s->over_messages,
		(unsigned long long)s->max_rate);
}

void sink_rule_report(FILE *f)
{
	struct sink_source sum = {.max_open = open_max};

	fprintf(f, ", \"open\": %llu, \"silenced\": %llu, \"by_rule\": [",
		(unsigned long long)open_now, (unsigned long long)silenced);
	for (int i = 0; i < opt.nrules; i++)
		fprintf(f, "%s%llu", i ? ", " : "", (unsigned long long)opt.rules[i].applied);
	fprintf(f, "], \"sources\": {");
	for (int i = 0; i < nsources; i++) {
		const struct sink_source *s = &sources[i];
		fprintf(f, "%s\"%s\": {\"connections\": %llu, \"open\": %llu, \"messages\": %llu, ",
			i ? ", " : "", s->address, (unsigned long long)s->connections,
			(unsigned long long)s->open, (unsigned long long)s->messages);
		report_counters(f, s);
		fprintf(f, "}");
		sum.over_connections += s->over_connections;
		sum.over_rate += s->over_rate;
		sum.over_messages += s->over_messages;
		if (s->max_rate > sum.max_rate)
			sum.max_rate = s->max_rate;
	}
	fprintf(f, "}, ");
	report_counters(f, &sum);
}
