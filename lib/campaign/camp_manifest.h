/* SPDX-License-Identifier: Apache-2.0 */
/* camp_manifest - what of a campaign's messages is fixed and what may differ, as a struct.
 *
 * Story:     A manifest is written once, at registration, by the lint; approver and keyd sign the SHA-256 of
 *            its canonical bytes (camp_json), and nobody changes it afterwards. Whoever needs it parses
 *            those bytes. parse is strict: members that are unknown, missing or twice, values of another
 *            type, numbers that are no I-JSON integers, bytes that are not the canonical form, references
 *            to nothing: each is an error that says where.
 * Form:      JSON object, all members required unless (optional) is said; null where said.
 *   "v":1  "customer" "campaign": names  "version": 1..4294967295  "number": u32, in tokens  "author": name
 *   "mode": "template" | "signed-part"
 *   "valid": {"from","to"}: "2026-01-10T00:00:00Z", to is not part of it
 *   "max_messages": 1..9007199254740991
 *   "headers": {"from":{"addr","name"}, "reply_to": null | {"addr","name"}, "subject":"tpl:N",
 *       "list_id": null | text, "extra_allow":[field names in lower case]}
 *   "mime": [{"d","type", "charset"?, "tpl"? | "att"?, "pixel_at"?, "optional"?:true, "cid"?, "disposition"?,
 *       "flowed"?:true}]: the tree in preorder; leaves have tpl (text) or att, multiparts neither
 *   "templates": [{"sha256","ops":[op..]}], op: ["lit",offset,length] ["fld",name] ["opt",[op..]]
 *       ["alt",[[op..],[op..]..]] ["rep",max,[op..]]. Literals lie in the blob one after the other, in order
 *       and without gaps, from 0 to its end: so each op has a place in it.
 *   "fields": {name: {"type","max", "min"?, "ctx", "without"?, "values"?}}: see camp_field.h. max, min: octets
 *       of the value as it stands in the canonical text. without: ASCII characters the type would permit and
 *       this field does not (so that a literal behind it may begin with one). values: enum, url-choice
 *   "links": [{"i","tpl","span":[from,to],"url","track", "as"?}]: i counts from 0; span: blob offsets of what
 *       is replaced; url: decoded, "{name}" for a field; as: "quoted" (if absent), "bare" (an unquoted
 *       attribute value: the replacement brings quotes), "vml", "text"
 *   "hosts": [host in lower case]  "attachments": [{"type","name","size","sha256"}]; in mode signed-part sha256
 *       may be null: any file of that type and name up to that size whose digest the header X-DoPosta-Part has
 *   "audience": null | {"sha256","count"}
 *   "track": null | {"host","pixel","clicks","text","vml","unsubscribe":"none|https|both","existing":
 *       "keep|replace","mailto_domain": null|text,"feedback_id": null|text,"honeypot","days",
 *       "consent":"none|aggregate|opens|clicks|all"}
 *   "lint" (optional): {"sha256","warnings"}
 * Ownership: parse allocates; free frees all of it. Strings are terminated and hold no NUL.
 * Limits:    CAMP_*; memory is proportional to the JSON (and that is at most CAMP_MANIFEST_MAX).
 * Thread:    pure; a parsed manifest is never changed: any number of threads may read it. */
#ifndef CAMPAIGN_CAMP_MANIFEST_H
#define CAMPAIGN_CAMP_MANIFEST_H

#include "campaign/camp_consent.h"
#include "core/span.h"

#define CAMP_MANIFEST_MAX (1U << 20) /* octets of the JSON */
#define CAMP_TEMPLATES	  8
#define CAMP_TEMPLATE_MAX (512U << 10) /* octets of one blob */
#define CAMP_OPS	  8192	       /* of all templates */
#define CAMP_OP_DEPTH	  8	       /* blocks within each other */
#define CAMP_BRANCHES	  16	       /* of one alt */
#define CAMP_REP_MAX	  100
#define CAMP_FIELDS	  64
#define CAMP_FIELD_MAX	  1024 /* octets of a value */
#define CAMP_VALUES	  256  /* of one enum or url-choice */
#define CAMP_LINKS	  1000
#define CAMP_HOSTS	  100
#define CAMP_TRACK_DAYS	  447 /* no token lives longer: seal_track.h */
#define CAMP_PARTS	  64
#define CAMP_DEPTH	  8
#define CAMP_ATTACHMENTS  32
#define CAMP_EXTRA	  32   /* headers allowed besides */
#define CAMP_NAME	  64   /* octets of a name: [A-Za-z0-9_.:-] */
#define CAMP_TEXT	  2048 /* octets of any other string */
#define CAMP_AUDIENCE_MAX 2000000 /* recipients in an audience */
#define CAMP_HASH	  32
#define CAMP_NONE	  UINT32_MAX

/* What is wrong with it: "mime[2].tpl", "there is no template 9". */
struct camp_error {
	char place[128];
	char text[192];
};

#define CAMP_FIELD_TYPES(X)           \
	X(NAME, "name")               \
	X(INT, "int")                 \
	X(DECIMAL, "decimal")         \
	X(MONEY, "money")             \
	X(DATE, "date")               \
	X(TIME, "time")               \
	X(CODE, "code")               \
	X(UUID, "uuid")               \
	X(HEX, "hex")                 \
	X(ENUM, "enum")               \
	X(RCPT_EMAIL, "rcpt-email")   \
	X(TEXT_NOLINK, "text-nolink") \
	X(URL_PATH, "url-path")       \
	X(URL_QUERY, "url-query")     \
	X(TOKEN, "token")             \
	X(URL_CHOICE, "url-choice")
#define CAMP_X(sym, name) CAMP_TYPE_##sym,
enum camp_field_type { CAMP_FIELD_TYPES(CAMP_X) CAMP_FIELD_TYPE_COUNT };
#undef CAMP_X

/* How a value is written in an HTML template. In plain text and subjects text and attr mean the plain
 * value; url-path and url-query are percent-encoded everywhere. One field has one context: a value that
 * stands both in text and in a URL is two fields. */
#define CAMP_CONTEXTS(X)          \
	X(TEXT, "text")           \
	X(ATTR, "attr")           \
	X(URL_PATH, "url-path")   \
	X(URL_QUERY, "url-query") \
	X(URL, "url") /* url-choice alone: the whole URL */
#define CAMP_X(sym, name) CAMP_CTX_##sym,
enum camp_context { CAMP_CONTEXTS(CAMP_X) CAMP_CTX_COUNT };
#undef CAMP_X

const char *camp_field_type_name(enum camp_field_type t);
const char *camp_context_name(enum camp_context c);

struct camp_field {
	char name[CAMP_NAME + 1];
	enum camp_field_type type;
	enum camp_context ctx;
	uint16_t min, max; /* min is 1 if nothing is said */
	char without[33];
	char **values; /* decoded, as a person would read them */
	unsigned n_values;
};

enum camp_op_kind { CAMP_OP_LIT, CAMP_OP_FLD, CAMP_OP_OPT, CAMP_OP_ALT, CAMP_OP_REP };
struct camp_ops {
	struct camp_op *op;
	unsigned n;
};
struct camp_op {
	enum camp_op_kind kind;
	uint32_t at;	   /* its place in the blob */
	uint32_t len;	   /* lit: octets from at on */
	unsigned field;	   /* fld: index in fields */
	unsigned max;	   /* rep */
	unsigned n_branch; /* opt, rep: 1; alt: 2.. */
	struct camp_ops *branch;
};

struct camp_template {
	uint8_t sha256[CAMP_HASH];
	struct camp_ops ops;
	uint32_t size;	   /* octets of the blob, as the literals say */
	int html;	   /* stands in a text/html (or AMP) part */
	uint32_t pixel_at; /* blob offset, or CAMP_NONE */
};

enum camp_link_as { CAMP_LINK_QUOTED, CAMP_LINK_BARE, CAMP_LINK_VML, CAMP_LINK_TEXT };
struct camp_link {
	unsigned tpl;
	uint32_t from, to;
	char *url;
	int track;
	enum camp_link_as as;
};

struct camp_mime {
	unsigned depth;
	char *type, *charset, *cid, *disposition; /* lower case, cid as written; NULL if not said */
	int multipart, optional, flowed;
	uint32_t tpl, att; /* index or CAMP_NONE */
};

struct camp_attachment {
	char *type, *name; /* name: "" if the part has none */
	uint64_t size;
	int by_header; /* no digest: X-DoPosta-Part names it */
	uint8_t sha256[CAMP_HASH];
};

struct camp_address {
	char *addr, *name; /* name: "" for none */
};

enum camp_unsubscribe { CAMP_UNSUB_NONE, CAMP_UNSUB_HTTPS, CAMP_UNSUB_BOTH };

struct camp_track {
	char *host, *mailto_domain, *feedback_id; /* the last two may be NULL */
	int pixel, clicks, text, vml, honeypot;
	int replace; /* "existing": replace the sender's own List-Unsubscribe */
	enum camp_unsubscribe unsubscribe;
	enum camp_consent consent; /* if the message says nothing */
	unsigned days;
};

struct camp_manifest {
	char customer[CAMP_NAME + 1], campaign[CAMP_NAME + 1], author[CAMP_NAME + 1];
	uint32_t version, number;
	int signed_part;	      /* mode */
	int64_t valid_from, valid_to; /* seconds since 1970; to is not part of it */
	uint64_t max_messages;

	struct camp_address from, reply_to; /* reply_to.addr NULL: none */
	unsigned subject;		    /* template */
	char *list_id;			    /* or NULL */
	char **extra_allow;
	unsigned n_extra;

	struct camp_mime *mime;
	unsigned n_mime;
	struct camp_template *templates;
	unsigned n_templates;
	struct camp_field *fields;
	unsigned n_fields;
	struct camp_link *links;
	unsigned n_links;
	char **hosts;
	unsigned n_hosts;
	struct camp_attachment *attachments;
	unsigned n_attachments;

	int has_audience;
	uint8_t audience_sha256[CAMP_HASH];
	uint64_t audience_count;
	int has_track;
	struct camp_track track;
	int has_lint;
	uint8_t lint_sha256[CAMP_HASH];
	unsigned lint_warnings;

	uint8_t hash[CAMP_HASH]; /* SHA-256 of the canonical bytes: what is signed */
};

/* json: exactly the canonical bytes. 0; ERR_FORMAT, ERR_LIMIT with *e filled in; ERR_NOMEM. e may be NULL. */
int camp_manifest_parse(struct span json, struct camp_manifest **m, struct camp_error *e);
void camp_manifest_free(struct camp_manifest *m);

/* "2026-01-10T00:00:00Z" to seconds since 1970; ERR_FORMAT. */
int camp_manifest_time(const char *text, int64_t *seconds);

/* Index in fields of that name, or -1. */
int camp_manifest_field(const struct camp_manifest *m, struct span name);

#endif
