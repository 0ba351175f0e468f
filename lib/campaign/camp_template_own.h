/* SPDX-License-Identifier: Apache-2.0 */
/* camp_template_own - what compile makes: programs, and the choices in them.
 *
 *   LIT at len lines     octets of the blob          FLD table, field
 *   FROM, TO link        a tracked link's ends       PIXEL
 *   SELECT choice        looks at what comes, goes to the target of the branch that it begins
 *   ZERO slot            a repeated block is entered
 *   NEXT slot max        once more, if it may        JUMP pc          END */
#ifndef CAMPAIGN_CAMP_TEMPLATE_OWN_H
#define CAMPAIGN_CAMP_TEMPLATE_OWN_H

#include "campaign/camp_field_own.h"
#include "campaign/camp_template.h"

enum camp_inst_kind {
	CAMP_I_LIT,
	CAMP_I_FLD,
	CAMP_I_FROM,
	CAMP_I_TO,
	CAMP_I_PIXEL,
	CAMP_I_SELECT,
	CAMP_I_ZERO,
	CAMP_I_NEXT,
	CAMP_I_JUMP,
	CAMP_I_END,
};
struct camp_inst {
	enum camp_inst_kind kind;
	uint32_t a, b, c;
	uint32_t at; /* its place in the blob */
};

/* One way a branch may begin: text of the blob, or a field, or the end of the text. */
enum camp_look_kind { CAMP_LOOK_TEXT, CAMP_LOOK_FIELD, CAMP_LOOK_END };
struct camp_look {
	enum camp_look_kind kind;
	uint32_t off, len;		      /* TEXT: at most CAMP_LOOKAHEAD octets */
	int ends;			      /* TEXT: nothing comes behind it */
	const struct camp_field_table *table; /* FIELD */
	unsigned branch;
	uint32_t at;
};
#define CAMP_LOOKS 64
struct camp_choice {
	struct camp_look look[CAMP_LOOKS];
	unsigned n;
	int full;
	uint32_t target[CAMP_BRANCHES + 1]; /* pc of each branch */
};

struct camp_program {
	struct span blob;
	struct camp_inst *inst;
	unsigned n_inst, cap_inst;
	struct camp_choice **choice;
	unsigned n_choice, cap_choice;
	enum camp_text_kind kind;
};

struct camp_compiled {
	struct camp_manifest *m;
	uint8_t *blobs;
	struct camp_field_table *table[CAMP_FIELDS][2]; /* [field][kind], those in use */
	struct camp_program program[CAMP_TEMPLATES];
};

/* One template while it is built. */
struct camp_template_build {
	const struct camp_manifest *m;
	struct camp_compiled *c;
	struct camp_program *p;
	unsigned tpl;
	camp_template_report_fn report;
	void *arg;
	int errors, nomem;
	uint8_t used[CAMP_FIELDS], bound[CAMP_LINKS];
	unsigned long places;
	/* the link that is open: index or CAMP_NONE, the next field its url expects */
	unsigned link, octets;
	const char *expect;
	int has_pixel;
};

/* Where a sequence goes on when it ends. */
struct camp_template_cont {
	const struct camp_ops *ops;
	unsigned i;
	const struct camp_ops *again; /* the body of a repeated block, or NULL */
	const struct camp_template_cont *up;
};

void camp_template_found(struct camp_template_build *b, const char *rule, uint32_t offset,
			 unsigned field, unsigned link, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
struct camp_field_table *camp_template_table(struct camp_template_build *b, unsigned field);

/* Appends the ways in which ops from i on may begin. */
void camp_template_look(struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
			const struct camp_template_cont *cont, unsigned branch,
			struct camp_choice *out);
/* Findings if two branches of a choice begin alike. */
void camp_template_differ(struct camp_template_build *b, const struct camp_choice *c, uint32_t at);
/* Findings of empty branches: what follows must not be called if there are any. */
void camp_template_empty(struct camp_template_build *b, const struct camp_ops *ops);
/* Findings of one field in its place: what comes behind it and stands around it. */
void camp_template_field(struct camp_template_build *b, const struct camp_ops *ops, unsigned i,
			 const struct camp_template_cont *cont, struct span before);
/* Writes the program. */
void camp_template_emit(struct camp_template_build *b);

#endif
