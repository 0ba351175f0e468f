/* SPDX-License-Identifier: Apache-2.0 */
/* shape_rule - provider rules: what a destination is given, and what its replies mean.
 *
 * Story:     a daemon loads the files that its configuration names, in order; a rule of a later file replaces the one
 *            of the same name. The set is immutable and counted: whoever works by it keeps a reference. A rule is found
 *            by the domain of the mail (shape_rules_domain), else by the host it goes to (shape_rules_host): an exact name
 *            before the longest ".suffix". What that rule leaves open comes from the rule with mx: "*", patterns from
 *            both, and what is then still open from the caller's defaults (shape_rules_limits).
 *            shape_rule_match says which patterns fit a reply. Only replies that are not 2xx are shown to it.
 * Limits:    RULES_MAX rules, PATTERNS_MAX patterns each. A pattern is a POSIX extended regular expression of at most
 *            PATTERN_TEXT bytes, letter case ignored, matched against at most SHAPE_TEXT_MAX bytes. The expression has
 *            no back-references, no {n,m} and few repeated groups, so glibc compiles it to an automaton of bounded size and a match costs
 *            time in proportion to the text.
 * Errors:    ERR_CONFIG with "FILE:LINE: KEY: what is wrong".
 * Ownership: a set is freed with its last reference; rules and patterns live as long as their set.
 * Thread:    a set may be used by many at once.
 * Source:    sealpost-shaping(5). */
#ifndef SHAPE_SHAPE_RULE_H
#define SHAPE_SHAPE_RULE_H

#include <regex.h>

#include "conf/conf_schema.h"
#include "core/num.h"

#define SHAPE_RULES_MAX	   1000
#define SHAPE_PATTERNS_MAX 64	/* of one rule */
#define SHAPE_PATTERN_TEXT 256	/* bytes of a regular expression */
#define SHAPE_HITS_MAX	   100	/* of a threshold */
#define SHAPE_TEXT_MAX	   512	/* bytes of a reply that are looked at */
#define SHAPE_MATCH_MAX	   (2 * SHAPE_PATTERNS_MAX)

enum shape_action {
	SHAPE_RULE_FEWER,   /* fewer connections: as many as stood when this was said */
	SHAPE_RULE_SLOW,    /* other rate and connections for a while */
	SHAPE_RULE_BACKOFF, /* nothing for a while, longer each time */
	SHAPE_RULE_SUSPEND, /* nothing for a while; somebody should look */
	SHAPE_RULE_RETRY,   /* these recipients are tried again, though the reply is 5xx */
	SHAPE_RULE_BOUNCE   /* these recipients fail for good, though the reply is 4xx */
};
const char *shape_action_text(int action);

struct shape_pattern {
	char *name;
	char *reply; /* the regular expression */
	struct num_rate threshold;
	int action;		    /* enum shape_action */
	int64_t duration, longest;  /* usec; longest: of back-offs */
	struct num_rate rate;	    /* SLOW */
	int64_t connections;	    /* SLOW; 0: as they are */
	regex_t *regex;
	unsigned id; /* unique in this process */
};

/* What a rule gives; 0 or an empty rate: says nothing. */
struct shape_rule_limits {
	int64_t connections; /* at a time */
	int64_t start;	     /* of these, to begin with */
	int64_t messages;    /* over one connection */
	int64_t recipients;  /* in one transaction */
	int64_t idle;	     /* usec */
	int tls;	     /* least: 0 says nothing, else 1 opportunistic, 2 encrypt, 3 verify */
	struct num_rate rate;		 /* messages */
	struct num_rate connection_rate; /* connections begun */
};

struct shape_rule {
	char *name;
	struct conf_list domains, mx; /* char *: "name", ".suffix"; mx: or "*" */
	struct shape_rule_limits limits;
	struct conf_list patterns; /* struct shape_pattern */
};

struct shape_rules;

/* files: patterns of glob(7), in order; one that matches nothing is fine, a name without * ? [ has to be there. An empty
 * list gives an empty set. base: for relative ones. NULL: err. */
struct shape_rules *shape_rules_load(const struct conf_list *files, const char *base,
				     char err[CONF_ERR_MAX]);
/* One file from memory, name for errors: for tests. */
struct shape_rules *shape_rules_parse(const char *name, struct span text, char err[CONF_ERR_MAX]);
struct shape_rules *shape_rules_ref(struct shape_rules *s);
void shape_rules_unref(struct shape_rules *s);
size_t shape_rules_count(const struct shape_rules *s);
const struct shape_rule *shape_rules_at(const struct shape_rules *s, size_t i);

/* The rule that names this domain (lower case); NULL: none. Cheap when no rule has domains. */
const struct shape_rule *shape_rules_domain(const struct shape_rules *s, struct span domain);
/* The rule for a host (shape_rule_host of a site); NULL: none, nor is there one for "*". */
const struct shape_rule *shape_rules_host(const struct shape_rules *s, struct span host);
/* That for "*", or NULL. */
const struct shape_rule *shape_rules_any(const struct shape_rules *s);
/* rule (may be NULL), then that of "*", then defaults. start is at most connections. */
struct shape_rule_limits shape_rules_limits(const struct shape_rules *s, const struct shape_rule *rule,
				       const struct shape_rule_limits *defaults);

/* The text that patterns see: "CODE ENHANCED TEXT" in one line, "ENHANCED " only if there is one; line ends and control
 * characters are spaces, bytes above 0x7e "?", and what is beyond SHAPE_TEXT_MAX is cut. Returns its length. */
size_t shape_rule_text(char dst[SHAPE_TEXT_MAX + 1], unsigned code, struct span enhanced, struct span text);
/* Patterns of rule and of "*" that fit, in order. Returns how many. */
unsigned shape_rules_match(const struct shape_rules *s, const struct shape_rule *rule, const char *text,
			   const struct shape_pattern *found[SHAPE_MATCH_MAX]);

/* The host in a site's name: without "+N~hhhh", ":PORT" and brackets. */
struct span shape_rule_host(struct span site);
/* The table of a file, for the manual. */
const struct conf_key *shape_rule_table(void);

#endif
