/* SPDX-License-Identifier: Apache-2.0 */
#include "shape/shape_rule.h"

#include <stdio.h>
#include <string.h>

static const struct shape_pattern *const *append(const struct shape_rule *rule, const char *text,
						 const struct shape_pattern **found, unsigned *count)
{
	const struct shape_pattern *p = rule->patterns.items;

	for (size_t i = 0; i < rule->patterns.count && *count < SHAPE_MATCH_MAX; i++, p++)
		if (regexec(p->regex, text, 0, NULL, 0) == 0)
			found[(*count)++] = p;
	return found;
}

unsigned shape_rules_match(const struct shape_rules *s, const struct shape_rule *rule, const char *text,
			   const struct shape_pattern *found[SHAPE_MATCH_MAX])
{
	const struct shape_rule *any = shape_rules_any(s);
	unsigned count = 0;

	if (rule && rule != any)
		append(rule, text, found, &count);
	if (any)
		append(any, text, found, &count);
	return count;
}

static size_t put(char *dst, size_t at, struct span s)
{
	for (size_t i = 0; i < s.n && at < SHAPE_TEXT_MAX; i++) {
		uint8_t c = s.p[i];
		dst[at++] = c < 0x20 || c == 0x7f ? ' ' : c > 0x7f ? '?' : (char)c;
	}
	return at;
}

size_t shape_rule_text(char dst[SHAPE_TEXT_MAX + 1], unsigned code, struct span enhanced, struct span text)
{
	size_t n = (size_t)snprintf(dst, 16, "%u ", code % 1000);

	if (enhanced.n) {
		n = put(dst, n, enhanced);
		n = put(dst, n, SPAN_LIT(" "));
	}
	n = put(dst, n, text);
	dst[n] = '\0';
	return n;
}

struct span shape_rule_host(struct span site)
{
	ptrdiff_t end;

	if (site.n && site.p[0] == '[') {
		end = span_find(site, ']');
		return end > 0 ? span_sub(site, 1, (size_t)end - 1) : site;
	}
	end = span_find(site, '+');
	if (end < 0)
		end = span_find(site, ':');
	return end < 0 ? site : span_sub(site, 0, (size_t)end);
}

static struct num_rate rate_or(struct num_rate a, struct num_rate b)
{
	return a.count ? a : b;
}

static void complete(struct shape_rule_limits *l, const struct shape_rule_limits *from)
{
	int64_t *mine[] = {&l->connections, &l->start, &l->messages, &l->recipients, &l->idle};
	const int64_t *theirs[] = {&from->connections, &from->start, &from->messages, &from->recipients,
				   &from->idle};

	for (size_t i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
		if (!*mine[i])
			*mine[i] = *theirs[i];
	if (from->tls > l->tls)
		l->tls = from->tls;
	l->rate = rate_or(l->rate, from->rate);
	l->connection_rate = rate_or(l->connection_rate, from->connection_rate);
}

struct shape_rule_limits shape_rules_limits(const struct shape_rules *s, const struct shape_rule *rule,
				       const struct shape_rule_limits *defaults)
{
	const struct shape_rule *any = shape_rules_any(s);
	struct shape_rule_limits l = {0};

	if (rule)
		complete(&l, &rule->limits);
	if (any)
		complete(&l, &any->limits);
	complete(&l, defaults);
	if (l.start > l.connections)
		l.start = l.connections;
	return l;
}

const char *shape_action_text(int action)
{
	static const char *const names[] = {"fewer", "slow", "backoff", "suspend", "retry", "bounce"};

	return action >= 0 && action < 6 ? names[action] : "?";
}
