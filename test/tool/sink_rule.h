/* SPDX-License-Identifier: Apache-2.0 */
/* sink_rule - how smtp_sink misbehaves on demand, and what it saw of each source address.
 *
 * Story:     options are offered to sink_rule_option before the receiver starts. Each connection is opened with a source (its
 *            address without port) and closed once; between them every stage is asked what to do. Counters go into the report.
 * Limits:    64 rules of each kind, 4,096 source addresses; those beyond share one entry.
 * Thread:    one.
 * Source:    the options, in smtp_sink.c. */
#ifndef TEST_TOOL_SINK_RULE_H
#define TEST_TOOL_SINK_RULE_H

#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/span.h"

enum sink_stage {
	SINK_CONNECT,
	SINK_EHLO,
	SINK_STARTTLS,
	SINK_MAIL,
	SINK_RCPT,
	SINK_DATA,
	SINK_BODY,
	SINK_DOT,
	SINK_STAGES
};

/* What a stage is to do instead of its ordinary answer. */
struct sink_order {
	int code;	   /* of reply; 0 with a reply of "": close without an answer */
	const char *reply; /* line without CRLF, or NULL: the ordinary answer */
	int64_t delay;	   /* usec before the answer */
	int silent;	   /* never answer from here on */
};

struct sink_source;

/* 1: it was ours; 0: not ours; -1: ours, and value is wrong. */
int sink_rule_option(const char *name, const char *value);

/* A connection begins. */
struct sink_source *sink_rule_open(const struct sockaddr_storage *peer);
/* 1 if there are more at once from this source than --max-connections allows, by now. */
int sink_rule_crowded(const struct sink_source *s);
/* The same, and if so it is a breach, which is counted: the connection is refused. */
int sink_rule_too_many(struct sink_source *s);
void sink_rule_close(struct sink_source *s);

/* line: the command, for rules that look for a text in it. messages: MAILs of this connection so far. */
struct sink_order sink_rule_ask(struct sink_source *s, enum sink_stage stage, struct span line,
				unsigned messages);
/* A message was taken. */
void sink_rule_taken(struct sink_source *s);

/* Members of a JSON object, with a comma in front. */
void sink_rule_report(FILE *f);

#endif
