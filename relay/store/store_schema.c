/* SPDX-License-Identifier: Apache-2.0 */
/* Step n of this list brings a database from version n to n + 1 (PRAGMA user_version). A step that was released never
 * changes: what comes later is another step. */
#include "relay/store/store.h"

const char *const store_schema[] = {
    /* 0: who we are; credentials; what administrators ordered for the queue; suppressed recipients */
    STORE_SQL(
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"
	"INSERT INTO meta VALUES('id', randomblob(16));"

	/* kind: 1 inbound, 2 upstream. secret: sealed under purpose CRED; inbound: an Argon2id hash, upstream: the
	 * password. login: upstream, sealed. fingerprint: SHA-256 of a client certificate. */
	"CREATE TABLE credential("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, name TEXT NOT NULL,"
	" customer TEXT NOT NULL, login BLOB, secret BLOB, fingerprint BLOB,"
	" messages TEXT, recipients TEXT, connections INTEGER NOT NULL DEFAULT 0,"
	" disabled INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL, changed INTEGER NOT NULL,"
	" UNIQUE(kind, name)) STRICT;"
	"CREATE UNIQUE INDEX credential_fingerprint ON credential(fingerprint)"
	" WHERE fingerprint IS NOT NULL;"

	/* action: enum queue_action. NULL customer, campaign, destination: any. before: purge and bounce reach what
	 * was accepted until then. */
	"CREATE TABLE queue_order("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, action INTEGER NOT NULL, customer TEXT, campaign TEXT,"
	" destination TEXT, via TEXT, before INTEGER NOT NULL DEFAULT 0, created INTEGER NOT NULL) STRICT;"

	/* hash: blind index of the address. address: sealed under purpose FIELD. expires 0: never. */
	"CREATE TABLE suppression("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, hash BLOB NOT NULL,"
	" address BLOB NOT NULL, reason INTEGER NOT NULL, note TEXT, created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL DEFAULT 0, UNIQUE(customer, hash)) STRICT;"
	"CREATE INDEX suppression_expires ON suppression(expires) WHERE expires > 0;"),
    /* 1: suppressed recipients are found by opening them all (bounce_list), not by a blind index, which would have to be
     * made anew with each DEK */
    STORE_SQL(
	"DROP TABLE suppression;"
	"CREATE TABLE suppression("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL, address BLOB NOT NULL,"
	" reason INTEGER NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL DEFAULT 0) STRICT;"
	"CREATE INDEX suppression_customer ON suppression(customer, id);"
	"CREATE INDEX suppression_expires ON suppression(expires) WHERE expires > 0;"),
    /* 2: an order may be about one message (its id), which 0 is never */
    STORE_SQL("ALTER TABLE queue_order ADD COLUMN message INTEGER NOT NULL DEFAULT 0;"),
    /* 3: exceptions from TLS policy. level: enum relay_tls */
    STORE_SQL("CREATE TABLE tls_exception(domain TEXT PRIMARY KEY, level INTEGER NOT NULL, reason TEXT NOT NULL,"
	      " created INTEGER NOT NULL, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;"),
    /* 4: MTA-STS policies, as they were fetched */
    STORE_SQL("CREATE TABLE sts(domain TEXT PRIMARY KEY, id TEXT NOT NULL, fetched INTEGER NOT NULL,"
	      " policy BLOB NOT NULL) STRICT;"),
    /* 5: what TLS reports say. day: days since 1970. kind, result: enum tlsrpt_kind, tlsrpt_result. part 0: the day's own
     * report, else when it was ordered. state: enum store_tlsrpt_state */
    STORE_SQL(
	"CREATE TABLE tlsrpt_policy(id INTEGER PRIMARY KEY AUTOINCREMENT, day INTEGER NOT NULL, domain TEXT NOT NULL,"
	" kind INTEGER NOT NULL, text BLOB NOT NULL, UNIQUE(day, domain, kind, text)) STRICT;"
	"CREATE TABLE tlsrpt_count(policy INTEGER NOT NULL, result INTEGER NOT NULL, mx TEXT NOT NULL,"
	" ip TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL, sessions INTEGER NOT NULL,"
	" PRIMARY KEY(policy, result, mx, ip, source, reason)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE tlsrpt_report(id INTEGER PRIMARY KEY AUTOINCREMENT, day INTEGER NOT NULL, domain TEXT NOT NULL,"
	" part INTEGER NOT NULL, until_end INTEGER NOT NULL, name TEXT NOT NULL, state INTEGER NOT NULL,"
	" due INTEGER NOT NULL, until INTEGER NOT NULL, tries INTEGER NOT NULL, note TEXT NOT NULL,"
	" UNIQUE(day, domain, part)) STRICT;"
	"CREATE INDEX tlsrpt_waiting ON tlsrpt_report(due, id) WHERE state=0;"
	"CREATE TABLE tlsrpt_way(report INTEGER NOT NULL, uri TEXT NOT NULL, state INTEGER NOT NULL,"
	" tries INTEGER NOT NULL, time INTEGER NOT NULL, note TEXT NOT NULL, PRIMARY KEY(report, uri))"
	" STRICT, WITHOUT ROWID;"),
    /* 6: campaigns. number: in tokens, never used twice. state: enum campaign_state. hash: SHA-256 of the manifest.
     * approval: the approver's signature, signature: keyd's. campaign_piece: the package (manifest, templates, findings),
     * sealed under purpose FIELD. version 0 of a line of the revoked: all; counter: the checkpoint that it is in */
    STORE_SQL(
	"CREATE TABLE campaign(number INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT NOT NULL,"
	" campaign TEXT NOT NULL, version INTEGER NOT NULL, state INTEGER NOT NULL, author TEXT NOT NULL,"
	" created INTEGER NOT NULL, changed INTEGER NOT NULL, hash BLOB, warnings INTEGER NOT NULL DEFAULT 0,"
	" valid_from INTEGER NOT NULL DEFAULT 0, valid_to INTEGER NOT NULL DEFAULT 0,"
	" max_messages INTEGER NOT NULL DEFAULT 0, taken INTEGER NOT NULL DEFAULT 0,"
	" pieces INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0,"
	" approver TEXT, approval BLOB, approved INTEGER NOT NULL DEFAULT 0,"
	" key_version INTEGER NOT NULL DEFAULT 0, signature BLOB, activated INTEGER NOT NULL DEFAULT 0,"
	" UNIQUE(customer, campaign, version)) STRICT;"
	"CREATE INDEX campaign_state ON campaign(state);"
	"CREATE TABLE campaign_piece(id INTEGER PRIMARY KEY, customer TEXT NOT NULL, number INTEGER NOT NULL,"
	" bytes BLOB NOT NULL) STRICT;"
	"CREATE INDEX campaign_piece_customer ON campaign_piece(customer, id);"
	"CREATE INDEX campaign_piece_number ON campaign_piece(number, id);"
	"CREATE TABLE campaign_revoked(customer TEXT NOT NULL, campaign TEXT NOT NULL, version INTEGER NOT NULL,"
	" counter INTEGER NOT NULL, since INTEGER NOT NULL, PRIMARY KEY(customer, campaign, version))"
	" STRICT, WITHOUT ROWID;"
	"CREATE TABLE rejection(id TEXT PRIMARY KEY, time INTEGER NOT NULL, customer TEXT NOT NULL,"
	" campaign TEXT NOT NULL, version INTEGER NOT NULL, verdict TEXT NOT NULL, part INTEGER NOT NULL,"
	" offset INTEGER NOT NULL, template INTEGER NOT NULL, template_offset INTEGER NOT NULL)"
	" STRICT, WITHOUT ROWID;"
	"CREATE INDEX rejection_time ON rejection(time);"),
    /* 7: domains of customers. state: enum domain_state; found: enum domain_found, of the DNS when it was asked last */
    STORE_SQL("CREATE TABLE domain(domain TEXT NOT NULL, customer TEXT NOT NULL, state INTEGER NOT NULL,"
	      " challenge TEXT NOT NULL, reason TEXT NOT NULL, created INTEGER NOT NULL, since INTEGER NOT NULL,"
	      " checked INTEGER NOT NULL, found INTEGER NOT NULL, secure INTEGER NOT NULL,"
	      " PRIMARY KEY(domain, customer)) STRICT, WITHOUT ROWID;"
	      "CREATE INDEX domain_customer ON domain(customer, domain);"),
    /* 8: blocks of messages that milters hold: see store_grant */
    STORE_SQL("CREATE TABLE campaign_grant(seq INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE,"
	      " number INTEGER NOT NULL, count INTEGER NOT NULL) STRICT;"
	      "CREATE INDEX campaign_grant_number ON campaign_grant(number, seq);"),
    /* 9: the header that a rejection is about */
    STORE_SQL("ALTER TABLE rejection ADD COLUMN header TEXT NOT NULL DEFAULT '';"),
};
const unsigned store_schema_count = sizeof(store_schema) / sizeof(store_schema[0]);
