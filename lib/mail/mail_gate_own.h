/* SPDX-License-Identifier: Apache-2.0 */
/* mail_gate_own - what the files of mail_gate share: mail_gate.c reads lines and the tree,
 * mail_gate_field.c header fields, mail_gate_param.c their parameters, mail_gate_leaf.c the bodies of
 * leaves. */
#ifndef MAIL_MAIL_GATE_OWN_H
#define MAIL_MAIL_GATE_OWN_H

#include "mail/mail_gate.h"
#include "mail/mail_text.h"

enum {
	GATE_TYPE = 80,
	GATE_CHARSET = 40,
	GATE_BOUNDARY = 70,
	GATE_NAME = 78,
	GATE_OUT = 8192,
	GATE_PARAMETERS = 32
};

/* A part that is open: the tree's path to the one being read. */
struct mail_gate_level {
	struct mail_gate_part part;
	unsigned children;
	int closed;    /* its last delimiter came */
	unsigned seen; /* fields that may come once: bits of the table */
	int said;      /* bits of the MIME fields it has */
	char type[GATE_TYPE], charset[GATE_CHARSET], disposition[GATE_CHARSET];
	char boundary[GATE_BOUNDARY + 1];
	size_t boundary_n;
	char filename[MAIL_GATE_MAX_STRING + 1], name[MAIL_GATE_MAX_STRING + 1];
	char cid[MAIL_GATE_MAX_STRING + 1];
	char start[MAIL_GATE_MAX_STRING + 3]; /* of multipart/related, with its <>; "" */
};

/*  HEADER --empty line--> PREAMBLE (a multipart) or LEAF
 *  PREAMBLE, LEAF, EPILOGUE --delimiter--> HEADER;  --last delimiter--> EPILOGUE */
enum mail_gate_state { GATE_TOP, GATE_HEADER, GATE_PREAMBLE, GATE_LEAF, GATE_EPILOGUE, GATE_OVER };

struct mail_gate {
	struct mail_gate_fns fns;
	void *arg;
	int tolerant;
	enum mail_gate_state state;
	int error; /* what every call returns */
	struct mail_gate_verdict verdict;
	unsigned parts;
	int top;	 /* the open part that was opened last: index of levels */
	uint64_t offset; /* of the line being read, in the body */
	struct mail_gate_level levels[MAIL_GATE_MAX_DEPTH + 1];

	/* a line that goes over pieces */
	uint8_t line[MAIL_CTE_LINE];
	size_t line_n;

	/* the header section being read */
	size_t header_octets;
	unsigned header_fields;
	int field; /* index into the table of fields, FIELD_OTHER, or FIELD_NONE */
	char value[MAIL_GATE_MAX_FIELD];
	size_t value_n;

	/* the leaf being read */
	int as_data;
	int held;	 /* a line end that is content only if another line comes */
	struct span run; /* lines of the piece that lie next to each other */
	struct mail_cte_qp qp;
	struct mail_cte_base64 base64;
	unsigned lines, first_width;
	uint8_t out[GATE_OUT];
	size_t out_n;
	uint64_t decoded;
	struct mail_text text;
};

/* Notes the verdict: the error, or 0 where a tolerant gate does not mind. */
int mail_gate_own_fail(struct mail_gate *g, enum mail_gate_rule rule, uint64_t at);
/* A callback's result: 0, or the error after noting it. */
int mail_gate_own_stopped(struct mail_gate *g, int rc);

static inline struct mail_gate_level *mail_gate_own_level(struct mail_gate *g)
{
	return &g->levels[g->top];
}

/* --- fields. A header section: begin, line..., end. line: without its line end. */
void mail_gate_own_header_begin(struct mail_gate *g);
int mail_gate_own_header_line(struct mail_gate *g, struct span line);
int mail_gate_own_field_begin(struct mail_gate *g, struct span name);
int mail_gate_own_field_text(struct mail_gate *g, struct span text, int first);
int mail_gate_own_field_end(struct mail_gate *g);
int mail_gate_own_header_end(struct mail_gate *g);

/* --- values with parameters: the rule that is broken, or MAIL_GATE_NONE */
enum mail_gate_rule mail_gate_own_content_type(struct mail_gate *g, struct span value);
enum mail_gate_rule mail_gate_own_disposition(struct mail_gate *g, struct span value);

/* --- leaves. line: with its CR LF, if it has one. */
int mail_gate_own_leaf_begin(struct mail_gate *g);
int mail_gate_own_leaf_line(struct mail_gate *g, struct span line);
/* Gives on what refers to the piece, before the caller's octets go away. */
int mail_gate_own_leaf_pause(struct mail_gate *g);
/* over: the body ends with the message, not at a delimiter. */
int mail_gate_own_leaf_end(struct mail_gate *g, int over);

#endif
