/* SPDX-License-Identifier: Apache-2.0 */
/* https_fetch - requests to web servers, made by a thread of its own.
 *
 * Story:     somebody (sts, tlsrpt) makes a job with https_job_new, fills in what it asks for and
 *            gives it to https_ask, which resolves the host and posts it here; tests post
 *            addresses of their own with https_fetch_post. The thread, started with the first
 *            job, drives all transfers at once (libcurl), so a host that is silent keeps nobody
 *            waiting but those who asked it. The finished job comes back through reply, and its
 *            owner frees it. What was resolved and looked at is what is connected to: no other
 *            resolver is asked, no proxy, nothing from the environment, no redirect is followed,
 *            no connection is used twice.
 * TLS:       1.2 or later, AEAD. The certificate must lead to ca (NULL: the system's) and be for
 *            host: by a DNS name in it, never by its subject; a wildcard counts for one whole
 *            label.
 * Limits:    HTTPS_FETCH_ANSWER octets of answer and as many of header; HTTPS_FETCH_OPEN
 *            transfers at a time, the others wait; HTTPS_FETCH_WAITING jobs in all (ERR_BUSY
 *            beyond).
 * Errors:    job->err 0: there is an answer, whatever its status. Else job->fail says what went
 *            wrong.
 * Ownership: a job is its owner's, but for the time from https_ask or https_fetch_post to its
 *            answer; it cannot be cancelled. Jobs that still are when relay ends (that of a
 *            worker which ended while it resolved, for one) are freed by https_fetch_free, which
 *            calls their drop first.
 * Thread:    new and free: main's; before any thread of relay, after all of them. All else: any.
 * Source:    RFC 8461 3.3, RFC 8460 3. */
#ifndef RELAY_HTTPS_HTTPS_FETCH_H
#define RELAY_HTTPS_HTTPS_FETCH_H

#include <sys/socket.h>

#include "core/buf.h"
#include "core/clock.h"
#include "core/list.h"
#include "relay/https/https_url.h"
#include "relay/relay.h"

#define HTTPS_FETCH_ANSWER    (64u * 1024)
#define HTTPS_FETCH_OPEN      64
#define HTTPS_FETCH_WAITING   4096
#define HTTPS_FETCH_ADDRESSES 16
#define HTTPS_FETCH_TIMEOUT   (60 * CLOCK_SEC)

/* X(name, text for log and reports) */
#define HTTPS_FAILS(X)                                                       \
	X(HTTPS_OK, "ok")                                                    \
	X(HTTPS_LOOKUP, "the name of the host could not be looked up")       \
	X(HTTPS_ADDRESS, "the host has no address that may be connected to") \
	X(HTTPS_CONNECT, "no connection")                                    \
	X(HTTPS_TIMEOUT, "no answer in time")                                \
	X(HTTPS_HANDSHAKE, "TLS handshake failed")                           \
	X(HTTPS_UNTRUSTED, "the certificate is not trusted")                 \
	X(HTTPS_EXPIRED, "the certificate has expired, or is not valid yet") \
	X(HTTPS_NAME, "the certificate is for another name")                 \
	X(HTTPS_BROKEN, "the answer is not HTTP, or broke off")              \
	X(HTTPS_LARGE, "the answer is too large")                            \
	X(HTTPS_LOCAL, "not possible here: no memory, or outbound.ca is not readable")

#define HTTPS_FAIL_ENUM(name, text) name,
enum https_fail { HTTPS_FAILS(HTTPS_FAIL_ENUM) };
#undef HTTPS_FAIL_ENUM
/* Static. */
const char *https_fail_text(enum https_fail f);
/* 1 if f is about the certificate of the host (RFC 8460: sts-webpki-invalid). */
int https_fail_certificate(enum https_fail f);

struct https_fetch;

struct https_job {
	struct relay_msg msg;	 /* run: set by the owner, called through reply with the job */
	struct evt_inbox *reply; /* https_ask sets it: its worker's */
	void *arg;
	void (*drop)(struct https_job *job); /* may be NULL: see Ownership */
	/* the question */
	struct https_url url; /* with the port */
	int post;	      /* body is sent; else it is a GET */
	struct buf body;
	char type[128];	 /* Content-Type of body */
	char headers[3][160]; /* further ones with a body, as "name: value"; "": none */
	int64_t timeout; /* usec, all in all; HTTPS_FETCH_TIMEOUT */
	char *ca;	 /* path; malloc'd */
	struct sockaddr_storage addresses[HTTPS_FETCH_ADDRESSES]; /* looked at; ports are not */
	unsigned address_count;
	/* the answer */
	int err; /* 0, ERR_AWAY, ERR_TLS, ERR_FORMAT, ERR_LIMIT, ERR_TIMEOUT, ERR_NOMEM */
	enum https_fail fail;
	long status;
	char answer_type[128]; /* media type in lower case, without parameters; "": none */
	int64_t retry_after;   /* seconds from now on, by Retry-After; 0: none that holds */
	struct buf answer;
	/* https_fetch's own */
	struct https_fetch *fetch;
	struct list_link all, queued;
	void *asking, *transfer;
};

/* NULL: no memory. keyprov is loaded before it. */
struct https_fetch *https_fetch_new(void);
/* Ends the thread and its transfers; nothing is answered from now on. */
void https_fetch_stop(struct https_fetch *f);
void https_fetch_free(struct https_fetch *f);

/* NULL: no memory. The port of its URL is 443. */
struct https_job *https_job_new(struct https_fetch *f);
void https_job_free(struct https_job *job);

/* job is answered through reply. ERR_BUSY, ERR_NOMEM, ERR_CLOSED (stopped): it is not, and is
 * still the caller's. */
int https_fetch_post(struct https_job *job);

#endif
