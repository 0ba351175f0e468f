/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/keyd_permit.h"

#include "keyproto/keyproto_msg.h"

#define ROW(role, socket, op, subject)                                             \
	{                                                                          \
		KEYPROTO_ROLE_##role, KEYD_PERMIT_##socket, KEYPROTO_##op, subject \
	}

static const struct keyd_permit_row rows[] = {
    /* relay: the keys of mail in flight, its own credentials, its TLS and DKIM keys, its ledger */
    ROW(RELAY, USE, HELLO, NULL),
    ROW(RELAY, USE, STATUS, NULL),
    ROW(RELAY, USE, DERIVE_NEW, "spool"),
    ROW(RELAY, USE, DERIVE_EXISTING, "spool"),
    ROW(RELAY, USE, SEAL_FIELDS, "field"),
    ROW(RELAY, USE, SEAL_FIELDS, "cred"),
    ROW(RELAY, USE, OPEN_FIELDS, "field"),
    ROW(RELAY, USE, OPEN_FIELDS, "cred"),
    ROW(RELAY, USE, BLIND_INDEX, "index"),
    ROW(RELAY, USE, RESEAL_FIELDS, "field"),
    ROW(RELAY, USE, RESEAL_FIELDS, "cred"),
    ROW(RELAY, USE, CUSTOMER_KEYS, NULL),
    ROW(RELAY, USE, DEK_EMPTY, NULL),
    ROW(RELAY, USE, SIGN, "tls/*"),
    ROW(RELAY, USE, SIGN, "dkim/*"),
    ROW(RELAY, USE, PUBLIC_KEY, "*"),
    ROW(RELAY, USE, KEY_VERSIONS, "*"),
    ROW(RELAY, USE, CHECKPOINT, "ledger"),
    ROW(RELAY, USE, CHECKPOINT, "revoked"),
    ROW(RELAY, USE, CHECKPOINT_LAST, "ledger"),
    ROW(RELAY, USE, CHECKPOINT_LAST, "revoked"),
    ROW(RELAY, USE, MANIFEST_SIGN, NULL),
    ROW(RELAY, USE, APPROVERS, NULL),
    ROW(RELAY, USE, TRACK_KEY, NULL),
    ROW(RELAY, USE, AUDIENCE_KEY, NULL),
    ROW(RELAY, USE, WITNESS, NULL),
    /* milter: is this campaign header true, who signed its manifest, is it revoked? */
    ROW(MILTER, USE, HELLO, NULL),
    ROW(MILTER, USE, STATUS, NULL),
    ROW(MILTER, USE, VERIFY_MAC, "campaign/*"),
    ROW(MILTER, USE, PUBLIC_KEY, "manifest/*"),
    ROW(MILTER, USE, PUBLIC_KEY, "audit/*"),
    ROW(MILTER, USE, CHECKPOINT_LAST, "revoked"),
    ROW(MILTER, USE, TRACK_KEY, NULL),
    ROW(MILTER, USE, AUDIENCE_KEY, NULL),
    /* officer: makes keys and customers, opens and locks */
    ROW(OFFICER, ADMIN, HELLO, NULL),
    ROW(OFFICER, ADMIN, STATUS, NULL),
    ROW(OFFICER, ADMIN, INIT, NULL),
    ROW(OFFICER, ADMIN, UNSEAL, NULL),
    ROW(OFFICER, ADMIN, UNSEAL_CANCEL, NULL),
    ROW(OFFICER, ADMIN, SLOT_ADD, NULL),
    ROW(OFFICER, ADMIN, SLOT_REMOVE, NULL),
    ROW(OFFICER, ADMIN, SLOT_TEST, NULL),
    ROW(OFFICER, ADMIN, LOCK, NULL),
    ROW(OFFICER, ADMIN, CUSTOMER_ADD, NULL),
    ROW(OFFICER, ADMIN, KEY_ADD, "*"),
    ROW(OFFICER, ADMIN, KEY_LIST, NULL),
    ROW(OFFICER, ADMIN, PUBLIC_KEY, "*"),
    ROW(OFFICER, ADMIN, KEY_VERSIONS, "*"),
    ROW(OFFICER, ADMIN, CHECKPOINT_LAST, "ledger"),
    ROW(OFFICER, ADMIN, CHECKPOINT_LAST, "revoked"),
    ROW(OFFICER, ADMIN, APPROVER_ADD, NULL),
    ROW(OFFICER, ADMIN, APPROVER_REMOVE, NULL),
    ROW(OFFICER, ADMIN, APPROVERS, NULL),
    ROW(OFFICER, ADMIN, SIGN, "tls/*"),
    ROW(OFFICER, ADMIN, MAC, "campaign/*"),
    ROW(OFFICER, ADMIN, ACCEPT, NULL),
    ROW(OFFICER, ADMIN, SHRED, NULL),
    ROW(OFFICER, ADMIN, SHREDS, NULL),
    ROW(OFFICER, ADMIN, BACKUP, NULL),
    ROW(OFFICER, ADMIN, BACKUP_FORGET, NULL),
    ROW(OFFICER, ADMIN, RESTORE, NULL),
    ROW(OFFICER, ADMIN, ROTATE, NULL),
    ROW(OFFICER, ADMIN, ROTATION, NULL),
    ROW(OFFICER, ADMIN, SCHEDULE, NULL),
    ROW(OFFICER, ADMIN, CUSTOMER_KEYS, NULL),
    ROW(OFFICER, ADMIN, SELFTEST, NULL),
    ROW(OFFICER, ADMIN, ZEROIZE, NULL),
    ROW(OFFICER, ADMIN, AUDIT_READ, NULL),
    ROW(OFFICER, ADMIN, APPROVE, NULL),
    ROW(OFFICER, ADMIN, PROPOSALS, NULL),
    ROW(OFFICER, ADMIN, WITHDRAW, NULL),
    /* operator: keeps it running */
    ROW(OPERATOR, ADMIN, HELLO, NULL),
    ROW(OPERATOR, ADMIN, STATUS, NULL),
    ROW(OPERATOR, ADMIN, KEY_LIST, NULL),
    ROW(OPERATOR, ADMIN, PUBLIC_KEY, "*"),
    ROW(OPERATOR, ADMIN, KEY_VERSIONS, "*"),
    ROW(OPERATOR, ADMIN, CHECKPOINT_LAST, "ledger"),
    ROW(OPERATOR, ADMIN, CHECKPOINT_LAST, "revoked"),
    ROW(OPERATOR, ADMIN, APPROVERS, NULL),
    ROW(OPERATOR, ADMIN, LOCK, NULL),
    ROW(OPERATOR, ADMIN, UNSEAL, NULL),
    ROW(OPERATOR, ADMIN, ROTATION, NULL),
    ROW(OPERATOR, ADMIN, SCHEDULE, NULL),
    ROW(OPERATOR, ADMIN, SHREDS, NULL),
    ROW(OPERATOR, ADMIN, UNSEAL_CANCEL, NULL),
    ROW(OPERATOR, ADMIN, SLOT_TEST, NULL),
    ROW(OPERATOR, ADMIN, CUSTOMER_KEYS, NULL),
    ROW(OPERATOR, ADMIN, SELFTEST, NULL),
    ROW(OPERATOR, ADMIN, PROPOSALS, NULL),
    /* auditor: looks */
    ROW(AUDITOR, ADMIN, HELLO, NULL),
    ROW(AUDITOR, ADMIN, STATUS, NULL),
    ROW(AUDITOR, ADMIN, KEY_LIST, NULL),
    ROW(AUDITOR, ADMIN, SCHEDULE, NULL),
    ROW(AUDITOR, ADMIN, SHREDS, NULL),
    ROW(AUDITOR, ADMIN, CUSTOMER_KEYS, NULL),
    ROW(AUDITOR, ADMIN, PUBLIC_KEY, "audit/*"),
    ROW(AUDITOR, ADMIN, PUBLIC_KEY, "manifest/*"),
    ROW(AUDITOR, ADMIN, KEY_VERSIONS, "audit/*"),
    ROW(AUDITOR, ADMIN, CHECKPOINT_LAST, "ledger"),
    ROW(AUDITOR, ADMIN, CHECKPOINT_LAST, "revoked"),
    ROW(AUDITOR, ADMIN, APPROVERS, NULL),
    ROW(AUDITOR, ADMIN, AUDIT_READ, NULL),
    ROW(AUDITOR, ADMIN, PROPOSALS, NULL),
};

const struct keyd_permit_row *keyd_permit_row(unsigned i)
{
	return i < sizeof(rows) / sizeof(rows[0]) ? &rows[i] : NULL;
}

static int matches(const char *pattern, struct span subject)
{
	size_t n;

	if (!pattern)
		return subject.n == 0;
	n = strlen(pattern);
	if (n && pattern[n - 1] == '*')
		return subject.n >= n && memcmp(subject.p, pattern, n - 1) == 0;
	return span_equal(subject, span_of(pattern, n));
}

int keyd_permit(unsigned role, unsigned socket, unsigned op, struct span subject)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].role == role && rows[i].socket == socket && rows[i].op == op &&
		    matches(rows[i].subject, subject))
			return 1;
	return 0;
}

int keyd_permit_any(unsigned role, unsigned socket, unsigned op)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].role == role && rows[i].socket == socket && rows[i].op == op)
			return 1;
	return 0;
}
