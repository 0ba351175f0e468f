/* SPDX-License-Identifier: Apache-2.0 */
/* HTTPS requests: URLs, then the whole against servers on loopback that do what they should, or
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/err.h"
#include "core/log.h"
#include "evt/evt_tls.h"
#include "relay/https/https_ask.h"
#include "test/unit/pki.h"

#define HOST	  "mta-sts.there.test"
#define WAIT_USEC (20 * CLOCK_SEC)

/* --- URLs */

static void an_url_is_taken_apart(void **state)
{
	static const struct {
		const char *text, *host, *path;
		uint16_t port;
	} rows[] = {
	    {"https://a.test", "a.test", "/", 443},
	    {"HTTPS://A.Test./x/y?z=1", "a.test", "/x/y?z=1", 443},
	    {"https://a-1.b.test:8443/%41", "a-1.b.test", "/%41", 8443},
	    {"https://a.test?q", "a.test", "/?q", 443},
	    {"https://a.test:65535/", "a.test", "/", 65535},
	};
	struct https_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(https_url_parse(span_str(rows[i].text), &u), 0);
		assert_string_equal(u.host, rows[i].host);
		assert_string_equal(u.path, rows[i].path);
		assert_int_equal(u.port, rows[i].port);
	}
}

static void an_url_that_is_not_one_is_refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    "https:/",
	    "https://",
	    "http://a.test/",
	    "ftp://a.test/",
	    "https://a.test:/",
	    "https://a.test:0/",
	    "https://a.test:65536/",
	    "https://a.test:443x/",
	    "https://a.test:0000443/",
	    "https://user@a.test/",
	    "https://user:pw@a.test/",
	    "https://127.0.0.1/",
	    "https://0x7f.1/",
	    "https://2130706433/",
	    "https://a.127/",
	    "https://[::1]/",
	    "https://localhost/",
	    "https://a..test/",
	    "https://.test/",
	    "https://-a.test/",
	    "https://a-.test/",
	    "https://a_b.test/",
	    "https://a.test/#f",
	    "https://a.test/a b",
	    "https://a.test/\r\nx: y",
	    "https://a.test/\x7f",
	    "https://a.test/\xc3\xa4",
	    "https://a.test\\@b.test/",
	    "https://%61.test/",
	};
	struct https_url u;
	char text[1400], long_label[80];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (https_url_parse(span_str(rows[i]), &u) == 0)
			fail_msg("taken: %s", rows[i]);
	assert_true(https_url_parse(span_of("https://a.test/\0x", 17), &u) < 0);
	snprintf(text, sizeof(text), "https://a.test/%01100d", 0);
	assert_int_equal(https_url_parse(span_str(text), &u), ERR_LIMIT);
	snprintf(text, sizeof(text), "https://a%0260d.test/", 0);
	assert_int_equal(https_url_parse(span_str(text), &u), ERR_LIMIT);
	snprintf(long_label, sizeof(long_label), "https://a%063d.test/", 0);
	assert_int_equal(https_url_parse(span_str(long_label), &u), ERR_FORMAT);
}

/* --- a server on loopback */

enum behaviour {
	ANSWERS,
	SILENT,	  /* takes the connection and says nothing */
	HANGS_UP, /* in the middle of the handshake */
	LISTENS,  /* reads the request and says nothing */
	FLOODS,	  /* answer, then the same octet for ever */
};
static struct {
	SSL_CTX *tls;
	enum behaviour behaviour;
	const char *answer;
	size_t size;
	char request[8192];
	size_t request_size;
	int fd, connections;
	uint16_t port;
	pthread_t thread;
} server;

/* A whole request: header, and as much body as the test says stands behind it. */
static void hear(SSL *s, size_t body)
{
	size_t n = 0;
	const char *end = NULL;

	while (n + 1 < sizeof(server.request) &&
	       (!end || n < (size_t)(end + 4 - server.request) + body)) {
		int got = SSL_read(s, server.request + n, (int)(sizeof(server.request) - 1 - n));
		if (got <= 0)
			break;
		n += (size_t)got;
		server.request[n] = '\0';
		end = strstr(server.request, "\r\n\r\n");
	}
	server.request_size = n;
}

static size_t body_expected;

static void answer(int fd)
{
	static char flood[4096];
	SSL *s = SSL_new(server.tls);

	memset(flood, 'x', sizeof(flood));
	SSL_set_fd(s, fd);
	if (SSL_accept(s) == 1) {
		hear(s, body_expected);
		if (server.behaviour == LISTENS)
			(void)!read(fd, flood,
				    sizeof(flood)); /* until the other side has had enough */
		else
			SSL_write(s, server.answer, (int)server.size);
		while (server.behaviour == FLOODS && SSL_write(s, flood, sizeof(flood)) > 0)
			;
		SSL_shutdown(s);
	}
	SSL_free(s);
}

static void *serve(void *arg)
{
	char dust[512];
	int fd;

	(void)arg;
	while ((fd = accept(server.fd, NULL, NULL)) >= 0) {
		server.connections++;
		if (server.behaviour == SILENT)
			while (read(fd, dust, sizeof(dust)) > 0)
				;
		else if (server.behaviour == HANGS_UP)
			(void)!read(fd, dust, sizeof(dust));
		else
			answer(fd);
		close(fd);
	}
	return NULL;
}

static void server_begin(enum behaviour b, const char *text, size_t size)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	server.behaviour = b;
	server.answer = text;
	server.size = size;
	server.request_size = 0;
	server.connections = 0;
	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(server.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(server.fd, 8), 0);
	getsockname(server.fd, (struct sockaddr *)&a, &len);
	server.port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void server_end(void)
{
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
}

/* --- certificates */

static struct pki pki;
static char dir[] = "/tmp/test_https.XXXXXX", ca_path[64], leaf_path[64];

static SSL_CTX *context(X509 *leaf)
{
	struct pki p = pki;
	const char *why = NULL;
	SSL_CTX *ctx;

	p.leaf = leaf;
	pki_write_leaf(&p, leaf_path, 0);
	ctx = evt_tls_server(leaf_path, pki.key, &why);
	assert_non_null(ctx);
	return ctx;
}

static int group_setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_non_null(mkdtemp(dir));
	snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", dir);
	snprintf(leaf_path, sizeof(leaf_path), "%s/leaf.pem", dir);
	pki_make(&pki, "EC", HOST);
	pki_write_ca(&pki, ca_path);
	server.tls = context(pki.leaf);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	SSL_CTX_free(server.tls);
	pki_clear(&pki);
	unlink(ca_path);
	unlink(leaf_path);
	rmdir(dir);
	return 0;
}

/* --- asking */

static struct https_fetch *fetch;
static struct evt_inbox *inbox;
static unsigned dropped;

static int setup(void **state)
{
	(void)state;
	fetch = https_fetch_new();
	inbox = evt_inbox_new(NULL, NULL, NULL);
	assert_true(fetch && inbox);
	dropped = 0;
	body_expected = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	https_fetch_free(fetch);
	evt_inbox_free(inbox);
	return 0;
}

static struct https_job *job_for(const char *host)
{
	struct https_job *job = https_job_new(fetch);

	assert_non_null(job);
	job->reply = inbox;
	snprintf(job->url.host, sizeof(job->url.host), "%s", host);
	snprintf(job->url.path, sizeof(job->url.path), "/.well-known/mta-sts.txt");
	job->url.port = server.port;
	job->ca = strdup(ca_path);
	job->address_count = 1;
	job->addresses[0].ss_family = AF_INET;
	((struct sockaddr_in *)&job->addresses[0])->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return job;
}

static struct https_job *await(void)
{
	struct https_job *job = (struct https_job *)evt_inbox_wait(inbox, WAIT_USEC);

	assert_non_null(job);
	return job;
}

static struct https_job *get(const char *host)
{
	assert_int_equal(https_fetch_post(job_for(host)), 0);
	return await();
}

static void expect_fail(int err, enum https_fail what)
{
	struct https_job *job = get(HOST);

	assert_int_equal(job->err, err);
	assert_int_equal(job->fail, what);
	https_job_free(job);
}

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: Text/Plain ; charset=utf-8\r\n"
static const char good[] = HEAD "Content-Length: 5\r\n\r\nhello";

static void the_answer_comes_with_status_and_type(void **state)
{
	struct https_job *job;

	(void)state;
	server_begin(ANSWERS, good, sizeof(good) - 1);
	job = get(HOST);
	assert_int_equal(job->err, 0);
	assert_int_equal(job->status, 200);
	assert_string_equal(job->answer_type, "text/plain");
	assert_true(span_equal(buf_span(&job->answer), SPAN_LIT("hello")));
	assert_non_null(strstr(server.request, "GET /.well-known/mta-sts.txt HTTP/1.1\r\n"));
	assert_non_null(strstr(server.request, "Host: " HOST));
	https_job_free(job);
	server_end();
}

static void how_long_to_wait_is_told_in_either_form(void **state)
{
	static const struct {
		const char *says;
		int64_t least, most;
	} rows[] = {{"120", 120, 120},
		    {" 7 ", 7, 7},
		    {"0", 0, 0},
		    {"-3", 0, 0},
		    {"soon", 0, 0},
		    {"", 0, 0},
		    {"99999999999999999999", 0, INT64_MAX},
		    {"Sun, 06 Nov 1994 08:49:37 GMT", 0, 0},
		    {"Fri, 31 Dec 2100 23:59:59 GMT", 86400, INT64_MAX},
		    {"Friday, 31-Dec-2100 23:59:59 GMT", 86400, INT64_MAX}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char answer[200];
		int n = snprintf(answer, sizeof(answer), "HTTP/1.1 429 Wait\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n",
				 rows[i].says);
		struct https_job *job;
		server_begin(ANSWERS, answer, (size_t)n);
		job = get(HOST);
		assert_int_equal(job->err, 0);
		if (job->retry_after < rows[i].least || job->retry_after > rows[i].most)
			fail_msg("%s: %lld", rows[i].says, (long long)job->retry_after);
		https_job_free(job);
		server_end();
	}
}

static void what_is_posted_arrives_with_its_type(void **state)
{
	static const char created[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
	struct https_job *job = job_for(HOST);

	(void)state;
	server_begin(ANSWERS, created, sizeof(created) - 1);
	body_expected = 9;
	job->url.port = server.port;
	job->post = 1;
	snprintf(job->type, sizeof(job->type), "application/tlsrpt+gzip");
	buf_put(&job->body, "\x1f\x8b\0binary", 9);
	assert_int_equal(https_fetch_post(job), 0);
	job = await();
	assert_int_equal(job->err, 0);
	assert_int_equal(job->status, 201);
	assert_string_equal(job->answer_type, "");
	assert_non_null(strstr(server.request, "POST "));
	assert_non_null(strstr(server.request, "Content-Type: application/tlsrpt+gzip\r\n"));
	assert_non_null(strstr(server.request, "Content-Length: 9\r\n"));
	assert_null(strstr(server.request, "Expect"));
	assert_memory_equal(server.request + server.request_size - 9, "\x1f\x8b\0binary", 9);
	https_job_free(job);
	server_end();
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
	static const char moved[] = "HTTP/1.1 301 Moved\r\nLocation: https://" HOST "/other\r\n"
				    "Content-Length: 0\r\n\r\n";
	struct https_job *job;

	(void)state;
	server_begin(ANSWERS, moved, sizeof(moved) - 1);
	job = get(HOST);
	assert_int_equal(job->err, 0);
	assert_int_equal(job->status, 301);
	https_job_free(job);
	server_end();
	assert_int_equal(server.connections, 1);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
	struct https_job *job;

	(void)state;
	server_begin(ANSWERS, good, sizeof(good) - 1);
	job = get("mta-sts.other.test");
	assert_int_equal(job->err, ERR_TLS);
	assert_int_equal(job->fail, HTTPS_NAME);
	assert_true(https_fail_certificate(job->fail));
	https_job_free(job);
	server_end();
	assert_int_equal(server.request_size, 0); /* nothing was asked */
}

static void a_certificate_of_an_unknown_authority_is_refused(void **state)
{
	struct pki other;
	struct https_job *job = job_for(HOST);

	(void)state;
	pki_make(&other, "EC", HOST);
	pki_write_ca(&other, ca_path);
	server_begin(ANSWERS, good, sizeof(good) - 1);
	job->url.port = server.port;
	assert_int_equal(https_fetch_post(job), 0);
	job = await();
	assert_int_equal(job->fail, HTTPS_UNTRUSTED);
	https_job_free(job);
	pki_write_ca(
	    &pki, ca_path); /* and with the right one again: nothing of the other is remembered */
	job = get(HOST);
	assert_int_equal(job->fail, HTTPS_OK);
	https_job_free(job);
	pki_write_ca(&other, ca_path);
	expect_fail(ERR_TLS, HTTPS_UNTRUSTED);
	pki_write_ca(&pki, ca_path);
	pki_clear(&other);
	server_end();
}

/* Signs pki.leaf anew after change. */
static void with_leaf(void (*change)(X509 *x), enum https_fail expected)
{
	SSL_CTX *before = server.tls;
	X509 *x = X509_dup(pki.leaf);

	change(x);
	assert_true(X509_sign(x, pki.ca_key, EVP_sha256()) > 0);
	server.tls = context(x);
	server_begin(ANSWERS, good, sizeof(good) - 1);
	expect_fail(expected == HTTPS_OK ? 0 : ERR_TLS, expected);
	server_end();
	SSL_CTX_free(server.tls);
	server.tls = before;
	X509_free(x);
}

static void expire(X509 *x)
{
	X509_gmtime_adj(X509_getm_notAfter(x), -60);
}

static void not_yet(X509 *x)
{
	X509_gmtime_adj(X509_getm_notBefore(x), 3600);
}

static void set_names(X509 *x, const char *names)
{
	int at = X509_get_ext_by_NID(x, NID_subject_alt_name, -1);
	X509_EXTENSION *e =
	    names ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names) : NULL;

	X509_EXTENSION_free(X509_delete_ext(x, at));
	if (e)
		assert_true(X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

static void no_names(X509 *x)
{
	set_names(x, NULL); /* its subject still says HOST */
}

static void wildcard(X509 *x)
{
	set_names(x, "DNS:*.there.test");
}

static void high_wildcard(X509 *x)
{
	set_names(x, "DNS:*.test");
}

static void part_wildcard(X509 *x)
{
	set_names(x, "DNS:mta-*.there.test");
}

static void an_expired_certificate_is_told_from_others(void **state)
{
	(void)state;
	with_leaf(expire, HTTPS_EXPIRED);
	with_leaf(not_yet, HTTPS_EXPIRED);
}

static void the_name_must_be_a_dns_name_of_the_certificate(void **state)
{
	(void)state;
	with_leaf(no_names, HTTPS_NAME);
	with_leaf(high_wildcard, HTTPS_NAME);
	with_leaf(part_wildcard, HTTPS_NAME);
	with_leaf(wildcard, HTTPS_OK);
}

static void old_tls_is_refused(void **state)
{
	SSL_CTX *before = server.tls;

	(void)state;
	server.tls = context(pki.leaf);
	SSL_CTX_set_min_proto_version(server.tls, TLS1_1_VERSION);
	SSL_CTX_set_max_proto_version(server.tls, TLS1_1_VERSION);
	SSL_CTX_set_cipher_list(server.tls, "ALL:@SECLEVEL=0");
	server_begin(ANSWERS, good, sizeof(good) - 1);
	expect_fail(ERR_TLS, HTTPS_HANDSHAKE);
	server_end();
	SSL_CTX_free(server.tls);
	server.tls = before;
}

static void a_connection_that_breaks_is_a_failure(void **state)
{
	static const char cut[] = HEAD "Content-Length: 500\r\n\r\nhello", old[] = "hello",
			  none[] = "";

	(void)state;
	server_begin(HANGS_UP, NULL, 0);
	expect_fail(ERR_TLS, HTTPS_HANDSHAKE);
	server_end();
	server_begin(ANSWERS, cut, sizeof(cut) - 1);
	expect_fail(ERR_FORMAT, HTTPS_BROKEN);
	server_end();
	server_begin(ANSWERS, old, sizeof(old) - 1); /* HTTP/0.9 */
	expect_fail(ERR_FORMAT, HTTPS_BROKEN);
	server_end();
	server_begin(ANSWERS, none, 0);
	expect_fail(ERR_FORMAT, HTTPS_BROKEN);
	server_end();
	expect_fail(ERR_AWAY, HTTPS_CONNECT); /* nobody listens there any more */
}

static void an_answer_that_never_ends_is_cut_off(void **state)
{
	static const char body[] = HEAD "\r\n", header[] = "HTTP/1.1 200 OK\r\nX-Long: ",
			  announced[] = HEAD "Content-Length: 65537\r\n\r\nx";
	char *most;
	struct https_job *job;
	int n;

	(void)state;
	server_begin(FLOODS, body, sizeof(body) - 1);
	expect_fail(ERR_LIMIT, HTTPS_LARGE);
	server_end();
	server_begin(ANSWERS, announced, sizeof(announced) - 1);
	expect_fail(ERR_LIMIT, HTTPS_LARGE);
	server_end();
	server_begin(FLOODS, header, sizeof(header) - 1);
	job = get(HOST);
	assert_true(job->err < 0);
	https_job_free(job);
	server_end();
	most = calloc(1, HTTPS_FETCH_ANSWER + 256);
	n = sprintf(most, HEAD "Content-Length: %u\r\n\r\n", HTTPS_FETCH_ANSWER);
	memset(most + n, 'x', HTTPS_FETCH_ANSWER);
	server_begin(ANSWERS, most, (size_t)n + HTTPS_FETCH_ANSWER);
	job = get(HOST);
	assert_int_equal(job->err, 0);
	assert_int_equal(buf_size(&job->answer), HTTPS_FETCH_ANSWER);
	https_job_free(job);
	server_end();
	free(most);
}

static void silence_ends_in_time_and_holds_up_nobody_else(void **state)
{
	static const enum behaviour kinds[] = {SILENT, LISTENS};
	struct https_job *slow, *quick, *first;

	(void)state;
	for (int i = 0; i < 2; i++) {
		uint16_t silent_port;
		server_begin(kinds[i], NULL, 0);
		silent_port = server.port;
		slow = job_for(HOST);
		slow->timeout = 300 * CLOCK_SEC / 1000;
		quick = job_for(HOST);
		quick->url.port = 1; /* nobody there: an answer at once */
		slow->url.port = silent_port;
		assert_int_equal(https_fetch_post(slow), 0);
		assert_int_equal(https_fetch_post(quick), 0);
		first = await();
		assert_ptr_equal(first, quick);
		https_job_free(first);
		assert_ptr_equal(await(), slow);
		assert_int_equal(slow->err, ERR_TIMEOUT);
		assert_int_equal(slow->fail, HTTPS_TIMEOUT);
		https_job_free(slow);
		server_end();
	}
}

static void the_environment_chooses_no_proxy(void **state)
{
	struct https_job *job;

	(void)state;
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	server_begin(ANSWERS, good, sizeof(good) - 1);
	job = get(HOST);
	assert_int_equal(job->err, 0);
	https_job_free(job);
	server_end();
	unsetenv("https_proxy");
	unsetenv("ALL_PROXY");
}

static void an_unreadable_ca_file_is_no_trust(void **state)
{
	struct https_job *job = job_for(HOST);

	(void)state;
	server_begin(ANSWERS, good, sizeof(good) - 1);
	job->url.port = server.port;
	free(job->ca);
	job->ca = strdup("/nonexistent/ca.pem");
	assert_int_equal(https_fetch_post(job), 0);
	job = await();
	assert_true(job->err < 0);
	assert_int_equal(job->fail, HTTPS_LOCAL);
	https_job_free(job);
	job = job_for(HOST); /* the system's authorities know nothing of ours */
	free(job->ca);
	job->ca = NULL;
	assert_int_equal(https_fetch_post(job), 0);
	job = await();
	assert_int_equal(job->fail, HTTPS_UNTRUSTED);
	https_job_free(job);
	server_end();
}

static void drop(struct https_job *job)
{
	(void)job;
	dropped++;
}

static void stopping_ends_what_is_under_way_at_once(void **state)
{
	struct https_job *job;
	int64_t before;

	(void)state;
	server_begin(SILENT, NULL, 0);
	for (int i = 0; i < HTTPS_FETCH_OPEN + 5; i++) {
		job = job_for(HOST);
		job->drop = drop;
		assert_int_equal(https_fetch_post(job), 0);
	}
	before = clock_mono();
	https_fetch_stop(fetch);
	assert_true(clock_mono() - before < 5 * CLOCK_SEC);
	job = job_for(HOST);
	assert_int_equal(https_fetch_post(job), ERR_CLOSED);
	https_job_free(job);
	https_fetch_free(fetch);
	assert_int_equal(dropped, HTTPS_FETCH_OPEN + 5);
	server_end();
	fetch = https_fetch_new();
}

/* --- resolving, with a resolver that says what the test wrote down */

static struct {
	int a_result, aaaa_result;
	const char *a, *aaaa;
	int silent;
} dns_says;
static char log_text[4096];

struct out_dns_query *out_dns_ask(struct out_dns *d, const char *name, int type, out_dns_fn fn,
				  void *arg)
{
	struct out_dnsmsg *m = calloc(1, sizeof(*m));
	const char *text = type == OUT_DNSMSG_A ? dns_says.a : dns_says.aaaa;

	(void)d;
	assert_string_equal(name, HOST);
	if (text &&
	    inet_pton(type == OUT_DNSMSG_A ? AF_INET : AF_INET6, text, m->addresses[0]) == 1)
		m->count = 1;
	if (!dns_says.silent)
		fn(arg, type == OUT_DNSMSG_A ? dns_says.a_result : dns_says.aaaa_result, m, 0);
	free(m);
	return NULL;
}

static void note(void *arg, const char *line)
{
	(void)arg;
	strncat(log_text, line, sizeof(log_text) - strlen(log_text) - 1);
}

static struct relay_net loopback_ok[] = {{{[10] = 0xff, [11] = 0xff, [12] = 127}, 104}};
static struct relay_conf conf;
static struct relay relay;
static struct relay_worker worker = {.relay = &relay};

static struct https_job *ask(size_t private_count)
{
	struct https_job *job = https_job_new(fetch);

	atomic_store(&relay.conf, &conf);
	conf.outbound.ca = ca_path;
	conf.outbound.private_nets = loopback_ok;
	conf.outbound.private_count = private_count;
	worker.inbox = inbox;
	snprintf(job->url.host, sizeof(job->url.host), "%s", HOST);
	snprintf(job->url.path, sizeof(job->url.path), "/");
	job->url.port = server.port;
	log_text[0] = '\0';
	log_capture(note, NULL);
	https_ask(&worker, NULL, job);
	job = dns_says.silent ? NULL : await();
	log_capture(NULL, NULL);
	return job;
}

static void a_private_address_is_asked_only_if_configured(void **state)
{
	struct https_job *job;

	(void)state;
	server_begin(ANSWERS, good, sizeof(good) - 1);
	dns_says.a = "127.0.0.1";
	dns_says.aaaa = "::ffff:127.0.0.1";
	dns_says.a_result = dns_says.aaaa_result = 0;
	job = ask(0);
	assert_int_equal(job->err, ERR_AWAY);
	assert_int_equal(job->fail, HTTPS_ADDRESS);
	assert_non_null(
	    strstr(log_text, "event=https-address-refused host=" HOST " kind=loopback"));
	https_job_free(job);
	assert_int_equal(server.connections, 0);
	dns_says.aaaa = NULL;
	job = ask(1);
	assert_int_equal(job->err, 0);
	assert_int_equal(job->status, 200);
	https_job_free(job);
	server_end();
}

static void a_host_without_address_is_told_from_a_failed_lookup(void **state)
{
	struct https_job *job;

	(void)state;
	dns_says.a = dns_says.aaaa = NULL;
	dns_says.a_result = dns_says.aaaa_result = ERR_NOTFOUND;
	job = ask(1);
	assert_int_equal(job->fail, HTTPS_ADDRESS);
	https_job_free(job);
	dns_says.aaaa_result = ERR_AWAY;
	job = ask(1);
	assert_int_equal(job->fail, HTTPS_LOOKUP);
	https_job_free(job);
	dns_says.a_result = ERR_AUTH; /* bogus */
	job = ask(1);
	assert_int_equal(job->fail, HTTPS_LOOKUP);
	https_job_free(job);
}

static void a_job_that_is_never_resolved_is_freed_at_the_end(void **state)
{
	(void)state;
	dns_says.silent = 1;
	ask(1);
	dns_says.silent = 0; /* teardown frees it; AddressSanitizer would tell */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_url_is_taken_apart),
	    cmocka_unit_test(an_url_that_is_not_one_is_refused),
	    TEST(the_answer_comes_with_status_and_type),
	    TEST(how_long_to_wait_is_told_in_either_form),
	    TEST(what_is_posted_arrives_with_its_type),
	    TEST(a_redirect_is_an_answer_and_is_not_followed),
	    TEST(a_certificate_for_another_name_is_refused),
	    TEST(a_certificate_of_an_unknown_authority_is_refused),
	    TEST(an_expired_certificate_is_told_from_others),
	    TEST(the_name_must_be_a_dns_name_of_the_certificate),
	    TEST(old_tls_is_refused),
	    TEST(a_connection_that_breaks_is_a_failure),
	    TEST(an_answer_that_never_ends_is_cut_off),
	    TEST(silence_ends_in_time_and_holds_up_nobody_else),
	    TEST(the_environment_chooses_no_proxy),
	    TEST(an_unreadable_ca_file_is_no_trust),
	    TEST(stopping_ends_what_is_under_way_at_once),
	    TEST(a_private_address_is_asked_only_if_configured),
	    TEST(a_host_without_address_is_told_from_a_failed_lookup),
	    TEST(a_job_that_is_never_resolved_is_freed_at_the_end),
	};
#undef TEST

	return cmocka_run_group_tests_name("https", tests, group_setup, group_teardown);
}
