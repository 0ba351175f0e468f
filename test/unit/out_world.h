/* SPDX-License-Identifier: Apache-2.0 */
/* out_world - what tests of outgoing mail have around them: a relay with one worker, a server, a
 * faked clock.
 *
 * Story: each test runs between out_world_setup and out_world_teardown (OUT_WORLD_TEST); knobs are
 *        the variables. By default every domain goes to the server, opportunistic TLS, which it
 *        does not offer. */
#ifndef TEST_UNIT_OUT_WORLD_H
#define TEST_UNIT_OUT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/clock.h"
#include "core/err.h"
#include "relay/relay.h"
#include "test/unit/out_fake.h"
#include "test/unit/out_server.h"
#include "test/unit/pki.h"
#include "test/unit/policy_fake.h"

/* Types in out_fake_name. */
enum { A = OUT_DNSMSG_A, MX = OUT_DNSMSG_MX, TLSA = OUT_DNSMSG_TLSA, CNAME = OUT_DNSMSG_CNAME };

extern struct relay relay;
extern struct relay_worker worker;
extern struct relay_conf conf;
extern struct relay_route route; /* the only one: "*" */
extern struct out_server server;
extern struct pki pki; /* of the server */
extern SSL_CTX *server_tls; /* certificate for mx.there.test; conf.outbound.ca trusts it */
extern char log_text[65536];

int out_world_group_setup(void **state);
int out_world_group_teardown(void **state);
int out_world_setup(void **state);
int out_world_teardown(void **state);
#define OUT_WORLD_TEST(name) \
	cmocka_unit_test_setup_teardown(name, out_world_setup, out_world_teardown)

/* Message id, from alice@here.test to so many of rN@there.test. */
struct out_fake_message *message(uint64_t id, unsigned count, const char *body);
/* A body of so many octets; free it. */
char *long_body(size_t size);
/* A job for it, at there.test. */
void deliver(uint64_t id);
/* From now on by MX, with these names in the DNS. */
void use_mx(const struct out_fake_name *names);

/* Turns of the loop: until so many jobs came back; until nothing more is to be expected; then
 * later. */
void run_until_done(unsigned jobs);
void run_a_while(void);
void run_turns(int n);
void wait_for(int64_t usec);

/* Of recipient i in the job that came back as number job; reason ANY: whatever. */
#define ANY (-1)
void assert_result(unsigned job, unsigned i, int outcome, int reason, unsigned code);

#endif
