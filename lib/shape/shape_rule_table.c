/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a rule file. */
#include <stdlib.h>
#include <string.h>

#include "shape/shape_rule_own.h"

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define BACKOFF_DURATION (15 * MINUTE)
#define SUSPEND_DURATION HOUR
#define SLOW_DURATION	 (30 * MINUTE)
#define BACKOFF_LONGEST	 (4 * HOUR)

static const char *regex_error(int rc)
{
	static const struct {
		int code;
		const char *text;
	} rows[] = {{REG_EBRACK, "a [ is not closed"},
		    {REG_EPAREN, "a ( is not closed"},
		    {REG_ERANGE, "a range in [] is wrong"},
		    {REG_ECTYPE, "a class in [] is unknown"},
		    {REG_BADRPT, "there is nothing that *, + or ? could repeat"},
		    {REG_EESCAPE, "ends in a backslash"},
		    {REG_ESPACE, "is too large"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == rc)
			return rows[i].text;
	return "is not a POSIX extended regular expression";
}

#define GROUPS_REPEATED 4

/* Back-references make a match exponential, and counted repetition an automaton huge; so does + behind a group within a
 * group within a group, since glibc writes (x)+ as xx*. */
static const char *refused(const char *text)
{
	const char *class = NULL; /* where the content of [] begins, while in it */
	int groups = 0;

	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			return "must be printable ASCII";
		if (class) {
			if (*p == ']' && p > class)
				class = NULL;
		} else if (*p == '\\' && p[1]) {
			p++;
			if (*p >= '0' && *p <= '9')
				return "back-references are not taken";
		} else if (*p == '{') {
			return "counted repetition such as {2,3} is not taken; for the character write \\{";
		} else if (*p == '+' && p > text && strchr(")+*?", p[-1]) && ++groups > GROUPS_REPEATED) {
			return "more than 4 groups repeated by +";
		} else if (*p == '[') {
			class = p + 1 + (p[1] == '^');
			if (p[1] == '^')
				p++;
		}
	}
	return NULL;
}

const char *shape_rule_regex(const char *text, regex_t **out)
{
	const char *wrong;
	regex_t *r;
	int rc;

	if (!*text)
		return "must not be empty";
	if (strlen(text) > SHAPE_PATTERN_TEXT)
		return "must not be longer than 256 bytes";
	wrong = refused(text);
	if (wrong)
		return wrong;
	r = malloc(sizeof(*r));
	if (!r)
		return "out of memory";
	rc = regcomp(r, text, REG_EXTENDED | REG_ICASE | REG_NOSUB);
	if (rc) {
		free(r);
		return regex_error(rc);
	}
	if (out) {
		*out = r;
	} else {
		regfree(r);
		free(r);
	}
	return NULL;
}

static const char *check_reply(const char *v)
{
	return shape_rule_regex(v, NULL);
}

static const char *check_name(const char *v)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-._";
	size_t n = strlen(v);

	return n >= 1 && n <= 31 && strspn(v, plain) == n ? NULL : "must be 1 to 31 of a-z 0-9 - . _";
}

static int host_ok(const char *v)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-._:";
	size_t n = strlen(v);

	return n >= 1 && n <= 255 && strspn(v, plain) == n && strcmp(v, ".") != 0;
}

static const char *check_domain(const char *v)
{
	return host_ok(v) ? NULL : "must be a domain in lower case, or .example.org for what is below it";
}

static const char *check_mx(const char *v)
{
	return !strcmp(v, "*") || host_ok(v)
		   ? NULL
		   : "must be *, a host name in lower case, or .example.org for what is below it";
}

static const char *check_threshold(const char *v)
{
	struct num_rate r;

	if (num_parse_rate(span_str(v), &r) < 0 || r.count < 1 || r.count > SHAPE_HITS_MAX)
		return "must be hits within a time, such as 3/h, and at most 100";
	return NULL;
}

static const char *check_pattern(void *item)
{
	struct shape_pattern *p = item;

	if (p->action == SHAPE_RULE_SLOW && !p->rate.count && !p->connections)
		return "action slow needs rate or connections";
	if (p->action != SHAPE_RULE_SLOW && (p->rate.count || p->connections))
		return "rate and connections go with action slow only";
	if (p->duration && p->action != SHAPE_RULE_SLOW && p->action != SHAPE_RULE_BACKOFF && p->action != SHAPE_RULE_SUSPEND)
		return "duration goes with slow, backoff and suspend only";
	if (p->longest && p->action != SHAPE_RULE_BACKOFF)
		return "longest goes with backoff only";
	if (!p->duration)
		p->duration = p->action == SHAPE_RULE_BACKOFF ? BACKOFF_DURATION
			      : p->action == SHAPE_RULE_SUSPEND ? SUSPEND_DURATION
			      : p->action == SHAPE_RULE_SLOW	   ? SLOW_DURATION
							   : 0;
	if (p->action == SHAPE_RULE_BACKOFF && !p->longest)
		p->longest = p->duration > BACKOFF_LONGEST ? p->duration : BACKOFF_LONGEST;
	if (p->longest < p->duration && p->action == SHAPE_RULE_BACKOFF)
		return "longest must not be shorter than duration";
	return NULL;
}

static const char *check_rule(void *item)
{
	const struct shape_rule *r = item;
	const struct shape_pattern *p = r->patterns.items;

	if (r->domains.count + r->mx.count == 0)
		return "needs domains or mx";
	if (r->patterns.count > SHAPE_PATTERNS_MAX)
		return "more than 64 patterns";
	if (r->limits.start && r->limits.connections && r->limits.start > r->limits.connections)
		return "start must not be more than connections";
	for (size_t i = 0; i < r->patterns.count; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(p[i].name, p[j].name))
				return "two patterns of the same name";
	return NULL;
}

static const struct conf_choice actions[] = {
    {"fewer", SHAPE_RULE_FEWER}, {"slow", SHAPE_RULE_SLOW},   {"backoff", SHAPE_RULE_BACKOFF}, {"suspend", SHAPE_RULE_SUSPEND},
    {"retry", SHAPE_RULE_RETRY}, {"bounce", SHAPE_RULE_BOUNCE}, {NULL, 0}};

static const struct conf_choice tls_levels[] = {
    {"opportunistic", 1}, {"encrypt", 2}, {"verify", 3}, {NULL, 0}};

#define PATTERN(member) offsetof(struct shape_pattern, member)
#define LIMIT(member)	offsetof(struct shape_rule, limits.member)

static const struct conf_key pattern_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = PATTERN(name), .required = 1, .check = check_name,
     .help = "What log lines and sealpost shaping call it."},
    {.name = "reply", .type = CONF_STRING, .offset = PATTERN(reply), .required = 1, .check = check_reply,
     .help = "POSIX extended regular expression, in any letter case, over CODE ENHANCED TEXT of a reply that is "
	     "not 2xx."},
    {.name = "threshold", .type = CONF_RATE, .offset = PATTERN(threshold), .fallback = "1/h",
     .check = check_threshold, .help = "So many hits within that time before it acts."},
    {.name = "action", .type = CONF_ENUM, .offset = PATTERN(action), .required = 1, .choices = actions,
     .help = "What it then does."},
    {.name = "duration", .type = CONF_DURATION, .offset = PATTERN(duration), .min = SECOND, .max = 7 * DAY,
     .help = "For how long: 15m for backoff, 1h for suspend, 30m for slow, unless said."},
    {.name = "longest", .type = CONF_DURATION, .offset = PATTERN(longest), .min = SECOND, .max = 7 * DAY,
     .help = "A back-off that comes again doubles up to this; 4h unless said."},
    {.name = "rate", .type = CONF_RATE, .offset = PATTERN(rate),
     .help = "With slow: messages in a time, such as 10/m."},
    {.name = "connections", .type = CONF_INT, .offset = PATTERN(connections), .min = 1, .max = 5000,
     .help = "With slow: connections at a time."},
    {0}};

static const struct conf_key rule_keys[] = {
    {.name = "name", .type = CONF_STRING, .offset = offsetof(struct shape_rule, name), .required = 1,
     .check = check_name, .help = "Of the rule; one of the same name in a later file replaces it."},
    {.name = "domains", .type = CONF_STRINGS, .offset = offsetof(struct shape_rule, domains),
     .check = check_domain,
     .help = "Recipient domains; .example.org for domains below it. Comes before mx of any rule."},
    {.name = "mx", .type = CONF_STRINGS, .offset = offsetof(struct shape_rule, mx), .check = check_mx,
     .help = "Hosts it goes to: a name, .example.org for names below it, or * for all others."},
    {.name = "connections", .type = CONF_INT, .offset = LIMIT(connections), .min = 1, .max = 5000,
     .help = "Connections at a time from one source."},
    {.name = "start", .type = CONF_INT, .offset = LIMIT(start), .min = 1, .max = 5000,
     .help = "Connections to begin with; good answers add to them."},
    {.name = "messages", .type = CONF_INT, .offset = LIMIT(messages), .min = 1, .max = 1000000,
     .help = "Messages over one connection before it is closed."},
    {.name = "recipients", .type = CONF_INT, .offset = LIMIT(recipients), .min = 1, .max = 1000,
     .help = "Recipients in one transaction."},
    {.name = "idle", .type = CONF_DURATION, .offset = LIMIT(idle), .min = SECOND, .max = 5 * MINUTE,
     .help = "How long an idle connection is kept for reuse."},
    {.name = "tls", .type = CONF_ENUM, .offset = LIMIT(tls), .choices = tls_levels,
     .help = "The least TLS that is good enough; a route may demand more."},
    {.name = "rate", .type = CONF_RATE, .offset = LIMIT(rate), .help = "Messages from one source in a time."},
    {.name = "connection_rate", .type = CONF_RATE, .offset = LIMIT(connection_rate),
     .help = "Connections that one source begins in a time."},
    {.name = "patterns", .type = CONF_LIST, .offset = offsetof(struct shape_rule, patterns), .sub = pattern_keys,
     .item_size = sizeof(struct shape_pattern), .check_item = check_pattern,
     .help = "What replies mean. All that fit count."},
    {0}};

static const struct conf_key file_keys[] = {
    {.name = "rules", .type = CONF_LIST, .offset = offsetof(struct shape_rule_file, rules), .required = 1,
     .sub = rule_keys, .item_size = sizeof(struct shape_rule), .check_item = check_rule,
     .help = "The rules of this file."},
    {0}};

const struct conf_key *shape_rule_table(void)
{
	return file_keys;
}
