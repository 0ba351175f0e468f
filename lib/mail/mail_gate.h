/* SPDX-License-Identifier: Apache-2.0 */
/* mail_gate - the strict MIME reader: a message that two readers could take for two messages does not
 * pass.
 *
 * Story:     a push parser for what an MTA hands on. init; header for each field of the message's own
 *            header section, in order; eoh; body in pieces of any size; end. What comes out, in order
 *            (a part is any node of the MIME tree, numbered in preorder from 0, the message itself):
 *              begin  the part's header section is read. The result 1 (MAIL_GATE_AS_DATA) asks for the
 *                     decoded octets of a text part in place of its canonical text
 *              text   a piece of the canonical text of a text part, with where each octet came from
 *              data   a piece of the decoded octets of any other leaf
 *              end    the part is over: raw_to, width and protect are known now
 *            A text part is text/... that is not said to be an attachment. Attached messages
 *            (message/rfc822) are leaves. Canonical text: see mail_text.h; it is valid UTF-8.
 *            The result does not depend on how the body is cut into pieces (those of text and data
 *            may be cut elsewhere).
 * Verdict:   each call gives 0 or ERR_*, and once it failed the same again; mail_gate_verdict names the
 *            rule. ERR_LIMIT: too big or too many; ERR_FORMAT: ambiguous; another: a callback's result
 *            (rule "stopped"). Callbacks stop the parser with any result below 0.
 * Tolerant:  for streams without templates (observe, links-only). The rules marked T are then off: what
 *            ordinary mail programs write passes, what hides a part from a reader still does not.
 *            Octets that are no characters of a charset come as U+FFFD, as do those above 127 of
 *            charsets that are not known but hold ASCII.
 * Ownership: no allocation; strings and pieces live for one call (a part's strings: until its end).
 * Limits:    MAIL_GATE_MAX_*; the struct is about 40 KiB.
 * Time:      linear; each octet is looked at a constant number of times.
 * Thread:    pure; one at a time.
 * Source:    RFC 2045, 2046, 2183, 2231, 3676, 5322; campaign notes 2.2. */
#ifndef MAIL_MAIL_GATE_H
#define MAIL_MAIL_GATE_H

#include "core/span.h"
#include "mail/mail_cte.h"

#define MAIL_GATE_MAX_DEPTH  8		 /* parts lie at depth 0..8 */
#define MAIL_GATE_MAX_PARTS  64		 /* nodes of the tree, the message itself with them */
#define MAIL_GATE_MAX_HEADER (64U << 10) /* octets of one header section */
#define MAIL_GATE_MAX_FIELDS 1000	 /* fields of one header section */
#define MAIL_GATE_MAX_FIELD  4096	 /* octets of a MIME field, unfolded */
#define MAIL_GATE_MAX_STRING 255	 /* octets of a file name, a Content-ID */
#define MAIL_GATE_MAX_TEXT   (1U << 20)	 /* octets of a part's canonical text */
#define MAIL_GATE_AS_DATA    1

/* X(symbol, name, mode, class): mode T: not a rule for a tolerant gate; S: always.
 * class 552: too big; 554: ambiguous. Names are stable: logs, reports and man pages show them. */
#define MAIL_GATE_RULES(X)                                                                        \
	X(NONE, "none", S, 0)                                                                     \
	X(NUL, "nul", S, 554)                                                                     \
	X(BARE_CR, "bare-cr", S, 554)                                                             \
	X(BARE_LF, "bare-lf", S, 554)                                                             \
	X(LINE_LENGTH, "line-length", S, 554)	  /* over 998 octets */                           \
	X(HEADER_SIZE, "header-size", S, 552)	  /* a header section over 64 KiB */              \
	X(HEADER_FIELDS, "header-fields", S, 552) /* over 1000 fields */                          \
	X(FIELD_SIZE, "field-size", S, 552)	  /* a MIME field or a string in it */            \
	X(FIELD_NAME, "field-name", S, 554)                                                       \
	X(BLANK_BEFORE_COLON, "blank-before-colon", S, 554)                                       \
	X(FIELD_FOLD, "field-fold", S, 554) /* a fold without text, a line no fold */             \
	X(FIELD_CONTROL, "field-control", S, 554)                                                 \
	X(FIELD_8BIT, "field-8bit", S, 554) /* no UTF-8, or in a MIME field */                    \
	X(DUPLICATE_HEADER, "duplicate-header", S, 554)                                           \
	X(MIME_VERSION, "mime-version", T, 554)	  /* missing, or not 1.0 */                       \
	X(CONTENT_TYPE, "content-type", S, 554)	  /* not of the grammar */                        \
	X(CONTENT_FIELD, "content-field", S, 554) /* another MIME field not of its grammar */     \
	X(TRAILING_SEMICOLON, "trailing-semicolon", T, 554)                                       \
	X(PARAMETER_TWICE, "parameter-twice", S, 554)                                             \
	X(BOUNDARY_TWICE, "boundary-twice", S, 554)                                               \
	X(BOUNDARY_MISSING, "boundary-missing", S, 554)                                           \
	X(BOUNDARY_ILLEGAL, "boundary-illegal", S, 554)                                           \
	X(BOUNDARY_NESTED, "boundary-nested", S, 554) /* begins as an outer one, or that as it */ \
	X(BOUNDARY_INLINE, "boundary-not-at-line-start", S, 554)                                  \
	X(BOUNDARY_LIKE, "boundary-like", S, 554)	/* a delimiter with more behind it */     \
	X(BOUNDARY_PADDING, "boundary-padding", T, 554) /* blanks behind a delimiter */           \
	X(BOUNDARY_AFTER_CLOSE, "boundary-after-close", S, 554)                                   \
	X(MISSING_CLOSE, "missing-close", S, 554)                                                 \
	X(MULTIPART_EMPTY, "multipart-empty", S, 554) /* no part between the delimiters */        \
	X(PREAMBLE, "preamble", T, 554)                                                           \
	X(EPILOGUE, "epilogue", T, 554)                                                           \
	X(PART_HEADER, "part-header", S, 554) /* not ended by an empty line */                    \
	X(PART_FIELD, "part-field", T, 554)   /* a part's field that a manifest cannot name */    \
	X(PART_ELSEWHERE, "part-elsewhere", S, 554) /* a field that says its content is elsewhere */ \
	X(PARAMETER, "parameter", T, 554)     /* one that a manifest cannot name */               \
	X(RELATED_START, "related-start", T, 554) /* start= names another part than the first */  \
	X(UNKNOWN_ENCODING, "unknown-encoding", S, 554)                                           \
	X(ENCODING_ON_MULTIPART, "encoding-on-multipart", S, 554)                                 \
	X(RFC2231, "rfc2231", S, 554) /* malformed, or where it must not be */                    \
	X(RFC2231_AND_PLAIN, "rfc2231-and-plain", T, 554)                                         \
	X(ENCODED_WORD_IN_QUOTES, "encoded-word-in-quotes", T, 554)                               \
	X(DEPTH, "depth", S, 554)                                                                 \
	X(PARTS, "parts", S, 554)                                                                 \
	X(MESSAGE_PARTIAL, "message-partial", S, 554)                                             \
	X(EXTERNAL_BODY, "external-body", S, 554)                                                 \
	X(BASE64_FOREIGN, "base64-foreign", S, 554)                                               \
	X(BASE64_END, "base64-end", S, 554) /* an open quantum */                                 \
	X(QP_ILLEGAL, "qp-illegal", S, 554)                                                       \
	X(EIGHT_IN_SEVEN, "8bit-in-7bit", T, 554)                                                 \
	X(CHARSET, "charset", S, 554)		    /* none that can be read as UTF-8 */          \
	X(CHARSET_OCTETS, "charset-octets", T, 554) /* octets that are not of the charset */      \
	X(TEXT_SIZE, "text-size", T, 552)	    /* a text part over 1 MiB */                  \
	X(TEXT_FORM, "text-form", T, 554)	    /* format=, delsp=; line ends of all kinds */ \
	X(UUENCODE, "uuencode", T, 554)                                                           \
	X(TNEF, "tnef", T, 554)                                                                   \
	X(STOPPED, "stopped", S, 0)

#define MAIL_GATE_ENUM(symbol, name, mode, class) MAIL_GATE_##symbol,
enum mail_gate_rule { MAIL_GATE_RULES(MAIL_GATE_ENUM) MAIL_GATE_RULE_COUNT };
#undef MAIL_GATE_ENUM

/* "duplicate-header"; static storage. */
const char *mail_gate_rule_name(enum mail_gate_rule rule);
/* 552 or 554; 0 for NONE and STOPPED. */
int mail_gate_rule_class(enum mail_gate_rule rule);

/* at: offset in the piece; source: offset in the message's body as the MTA gave it (7bit, 8bit,
 * quoted-printable), in the decoded part for base64. A line end counts from its CR. */
#define mail_gate_run mail_cte_run

struct mail_gate_part {
	unsigned index, depth;
	int parent;	     /* index of the multipart around it; -1 for the message itself */
	const char *type;    /* "text/html", in lower case; "text/plain" where nothing is said */
	const char *charset; /* lower case; "us-ascii" where a text says nothing; "" if not text */
	const char *disposition; /* "inline", "attachment", ...; "" */
	const char *filename;	 /* of Content-Disposition, UTF-8; "" */
	const char *name;	 /* of Content-Type, UTF-8; "" */
	const char *cid;	 /* Content-ID without <>; "" */
	const char *boundary;	 /* of a multipart; "" */
	enum mail_cte encoding;
	int multipart, text; /* both 0: data */
	int flowed, delsp;   /* format=flowed; delsp=yes */
	int protect; /* signed, encrypted, or within such a part; PGP armour: known at end */
	uint64_t header_from; /* where its header section begins in the body; 0 for the message */
	uint64_t raw_from;    /* where its (encoded) body begins, in the message's body */
	uint64_t raw_to; /* at end: where it ends, the line end before a delimiter not counted */
	unsigned
	    width;     /* at end, base64: characters of its first line if there are more, else 76 */
	uint64_t size; /* at end: octets delivered */
	uint64_t decoded; /* at end: octets with the encoding undone */
	uint64_t tail;	  /* at end, text: the source place just behind the last canonical octet */
};

struct mail_gate_fns {
	int (*begin)(void *arg, const struct mail_gate_part *part);
	int (*text)(void *arg, const struct mail_gate_part *part, struct span canonical,
		    const struct mail_gate_run *runs, size_t n_runs);
	int (*data)(void *arg, const struct mail_gate_part *part, struct span decoded);
	int (*end)(void *arg, const struct mail_gate_part *part);
};

struct mail_gate_verdict {
	enum mail_gate_rule rule;
	unsigned part;	 /* the part being read */
	int in_header;	 /* the message's own header section: offset is the number of the field */
	uint64_t offset; /* in the message's body */
};

struct mail_gate;
/* NULL: out of memory. fns is copied; each of its functions may be NULL. */
struct mail_gate *mail_gate_new(const struct mail_gate_fns *fns, void *arg, int tolerant);
void mail_gate_free(struct mail_gate *g);
/* For the next message, with the same memory. */
void mail_gate_reset(struct mail_gate *g, int tolerant);

/* name: without the colon. value: without the blank behind the colon (any others are kept) and without
 * the last line end; folds of LF or CR LF. Returns 0 or ERR_*, as the following do. */
int mail_gate_header(struct mail_gate *g, struct span name, struct span value);
int mail_gate_eoh(struct mail_gate *g);
int mail_gate_body(struct mail_gate *g, struct span piece);
int mail_gate_end(struct mail_gate *g);

struct mail_gate_verdict mail_gate_verdict(const struct mail_gate *g);

/* The source of the canonical octet at, which lies within the piece. The end of a link is the source
 * of the octet behind it (so it may come with the next piece, or be the part's tail): soft line breaks
 * between the two belong to the link. Line ends have the place of their CR. */
uint64_t mail_gate_source(const struct mail_gate_run *runs, size_t n_runs, size_t at);

#endif
