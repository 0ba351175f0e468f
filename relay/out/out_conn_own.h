/* SPDX-License-Identifier: Apache-2.0 */
/* out_conn_own - what the files of out_conn know of each other; nobody else includes it.
 *
 * Story: out_conn_make.c goes through the targets of a next hop until a session is READY, TLS and login included;
 *        out_conn.c drives the session, gives bodies, and tells task and owner. */
#ifndef RELAY_OUT_OUT_CONN_OWN_H
#define RELAY_OUT_OUT_CONN_OWN_H

#include "relay/out/out_conn.h"

/* Does what the session wishes. */
void out_conn_pump(struct out_conn *c);
void out_conn_event(void *arg, struct evt_conn *e, enum evt_conn_event ev);
/* At the end of the turn task and owner are told. */
void out_conn_news(struct out_conn *c, unsigned what);
void out_conn_drop(struct out_conn *c, int polite);

/* --- out_conn_make.c */
void out_conn_make_first(struct out_conn *c);
/* The present target took the connection. */
void out_conn_make_connected(struct out_conn *c);
/* The session of the present target has failed: another hello, another target, or the end. */
void out_conn_make_failed(struct out_conn *c);
/* It took too long to connect: 1 if the target is put off till the others have been tried. */
int out_conn_make_put_off(struct out_conn *c);
void out_conn_make_ready(struct out_conn *c);
void out_conn_make_note(struct out_conn *c, const struct queue_result *v);
void out_conn_make_tls(struct out_conn *c);
void out_conn_make_tls_done(struct out_conn *c);
/* What to say of a handshake that failed, in plain words if the certificate is to blame; else text. */
const char *out_conn_make_tls_text(const struct out_conn *c, const char *text);
void out_conn_make_login(struct out_conn *c);
/* The password is needed no longer. */
void out_conn_make_wipe(struct out_conn *c);

#endif
