/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/audit_event.h"

#define F(sym) (UINT64_C(1) << AUDIT_F_##sym)

/* Every line may say where the store was. */
#define ANY (F(MARK) | F(BRANCH) | F(GENERATION))
/* Who did what to what: an operation. */
#define DEED                                                                                    \
	(F(OP) | F(ROLE) | F(UID) | F(SESSION) | F(CUSTOMER) | F(LABEL) | F(TYPE) | F(METHOD) | \
	 F(SLOT) | F(SHARD) | F(KEYREF) | F(PROPOSAL) | F(BACKUP) | F(STATE) | F(CAMPAIGN) |    \
	 F(VERSION) | F(APPROVER))
#define VOTE (F(PROPOSAL) | F(OP) | F(ROLE) | F(UID) | F(DIGEST) | F(HAVE) | F(NEED))

_Static_assert(AUDIT_FIELD_COUNT <= 64, "a set of fields is 64 bits");

static const struct {
	const char *name;
	enum audit_kind kind;
} fields[AUDIT_FIELD_COUNT] = {
#define AUDIT_X(sym, name, kind) [AUDIT_F_##sym] = {name, AUDIT_KIND_##kind},
    AUDIT_FIELDS(AUDIT_X)
#undef AUDIT_X
};

static const char *const names[AUDIT_EVENT_COUNT] = {
#define AUDIT_X(sym, name) [AUDIT_##sym] = name,
    AUDIT_EVENTS(AUDIT_X)
#undef AUDIT_X
};

/* THE list of what may be written. */
static const uint64_t allowed[AUDIT_EVENT_COUNT] = {
    [AUDIT_FILE] = F(FILE) | F(PREV) | F(STORE),
    [AUDIT_KEY] = F(KEY) | F(PUBLIC) | F(LABEL) | F(VERSION),
    [AUDIT_CHECKPOINT] = F(UPTO) | F(KEY) | F(SIG),
    [AUDIT_CUT] = F(BYTES),
    [AUDIT_DAMAGE] = F(FILE) | F(LINE) | F(WHY),
    [AUDIT_ROOM] = F(STATE),
    [AUDIT_GAP] = F(WHY) | F(COUNT),
    [AUDIT_START] = F(STATE),
    [AUDIT_STOP] = F(STATE),
    [AUDIT_CONFIG] = F(WHAT) | F(COUNT),
    [AUDIT_STATE] = F(FROM) | F(TO) | F(WHY),
    [AUDIT_INTENT] = DEED,
    [AUDIT_OUTCOME] = DEED | F(OF) | F(STATUS),
    [AUDIT_USE] = F(OP) | F(ROLE) | F(UID) | F(SUBJECT) | F(COUNT) | F(FAILED),
    [AUDIT_USE_MORE] = F(COUNT) | F(FAILED),
    [AUDIT_SESSIONS] = F(ROLE) | F(UID) | F(COUNT),
    [AUDIT_DENIED] = F(OP) | F(ROLE) | F(UID) | F(COUNT),
    [AUDIT_UNSEAL] = F(METHOD) | F(SLOT) | F(UID) | F(RESULT) | F(HAVE) | F(NEED),
    [AUDIT_TAMPER] = F(WHAT) | F(COUNT),
    [AUDIT_TAMPER_LOCK] = F(WHAT) | F(COUNT),
    [AUDIT_PROPOSED] = VOTE,
    [AUDIT_APPROVED] = VOTE,
    [AUDIT_WITHDRAWN] = VOTE,
    [AUDIT_EXPIRED] = VOTE,
    [AUDIT_KEK] = F(SHARD) | F(VERSION) | F(STATE),
    [AUDIT_REWRAPPED] = F(SHARD) | F(VERSION) | F(COUNT),
    [AUDIT_DEK] = F(CUSTOMER) | F(KEYREF) | F(VERSION) | F(STATE),
    [AUDIT_SIGNING_KEY] = F(LABEL) | F(VERSION) | F(TYPE) | F(STATE),
    [AUDIT_SHRED] = F(CUSTOMER) | F(STATE) | F(TOKEN) | F(WHY) | F(COUNT),
    [AUDIT_SLOT] = F(SLOT) | F(METHOD) | F(STATE),
    [AUDIT_BACKUP] = F(BACKUP) | F(STATE) | F(BYTES),
    [AUDIT_RESTORE] = F(BACKUP) | F(STATE) | F(COUNT),
    [AUDIT_ROLLBACK] = F(SEEN) | F(SOURCE) | F(STATE) | F(COUNT),
    [AUDIT_SELFTEST] = F(RESULT) | F(WHY),
    [AUDIT_ZEROIZE] = F(RESULT) | F(WHAT) | F(COUNT) | F(BYTES),
    [AUDIT_APPROVER] = F(APPROVER) | F(CUSTOMER) | F(TYPE) | F(DIGEST) | F(STATE),
    [AUDIT_MANIFEST] = F(CUSTOMER) | F(CAMPAIGN) | F(VERSION) | F(DIGEST) | F(AUTHOR) | F(APPROVER) |
		       F(RESULT) | F(LABEL),
};

const char *audit_event_name(unsigned event)
{
	return event < AUDIT_EVENT_COUNT ? names[event] : NULL;
}

const char *audit_event_field_name(unsigned field)
{
	return field < AUDIT_FIELD_COUNT ? fields[field].name : NULL;
}

unsigned audit_event_of_name(struct span name)
{
	for (unsigned i = 1; i < AUDIT_EVENT_COUNT; i++)
		if (span_equal(name, span_str(names[i])))
			return i;
	return 0;
}

unsigned audit_event_field_of_name(struct span name)
{
	for (unsigned i = 1; i < AUDIT_FIELD_COUNT; i++)
		if (span_equal(name, span_str(fields[i].name)))
			return i;
	return 0;
}

int audit_event_allows(unsigned event, unsigned field)
{
	if (event == AUDIT_NONE || event >= AUDIT_EVENT_COUNT)
		return 0;
	if (field == AUDIT_F_NONE || field >= AUDIT_FIELD_COUNT)
		return 0;
	return (int)((allowed[event] | ANY) >> field & 1);
}

enum audit_kind audit_event_field_kind(unsigned field)
{
	return fields[field < AUDIT_FIELD_COUNT ? field : 0].kind;
}
