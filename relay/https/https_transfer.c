/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/https/https_own.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "core/err.h"

#define CIPHERS_12	 "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
#define CONNECT_TIMEOUT	 (20 * CLOCK_SEC)
#define ADDRESS_TEXT_MAX (INET6_ADDRSTRLEN + 3)

struct transfer {
	CURL *easy;
	CURLSH *share; /* a DNS cache of its own, so that no other job's addresses are ever taken */
	struct curl_slist *resolve, *headers;
	size_t header_octets;
	int large;
	int verdict; /* X509_V_*: of the certificate */
};

const char *https_fail_text(enum https_fail f)
{
#define TEXT(name, text) [name] = text,
	static const char *const texts[] = {HTTPS_FAILS(TEXT)};
#undef TEXT

	return (size_t)f < sizeof(texts) / sizeof(texts[0]) ? texts[f] : "unknown";
}

int https_fail_certificate(enum https_fail f)
{
	return f == HTTPS_UNTRUSTED || f == HTTPS_EXPIRED || f == HTTPS_NAME;
}

/* --- what libcurl asks while it works */

static int same_address(const struct sockaddr_storage *a, const struct sockaddr *b)
{
	if (a->ss_family != b->sa_family)
		return 0;
	if (a->ss_family == AF_INET)
		return !memcmp(&((const struct sockaddr_in *)a)->sin_addr,
			       &((const struct sockaddr_in *)b)->sin_addr, 4);
	return !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, 16);
}

/* The last word on where a connection may go. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	const struct https_job *job = arg;

	(void)purpose;
	for (unsigned i = 0; i < job->address_count; i++)
		if (same_address(&job->addresses[i], &a->addr))
			return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
	return CURL_SOCKET_BAD;
}

/* libcurl tells the cause of some failures only: it is noted here. */
static int verify(X509_STORE_CTX *c, void *arg)
{
	struct transfer *t = ((struct https_job *)arg)->transfer;
	int ok = X509_verify_cert(c) > 0;

	t->verdict = ok ? X509_V_OK : X509_STORE_CTX_get_error(c);
	return ok;
}

/* A store of this context's own, in a place that libcurl leaves alone: the usual one it fills
 * with a store that it keeps for all transfers, which then trust what an earlier one did. */
static CURLcode trust(CURL *easy, void *ctx, void *arg)
{
	struct https_job *job = arg;
	X509_STORE *store = X509_STORE_new();
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	int ok = store && (job->ca ? X509_STORE_load_locations(store, job->ca, NULL)
				   : X509_STORE_set_default_paths(store));

	(void)easy;
	if (!ok) {
		X509_STORE_free(store);
		return CURLE_SSL_CACERT_BADFILE;
	}
	SSL_CTX_set1_verify_cert_store(ctx, store);
	X509_STORE_free(store);
	SSL_CTX_set_cert_verify_callback(ctx, verify, job);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						   X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return X509_VERIFY_PARAM_set1_host(param, job->url.host, 0) == 1 ? CURLE_OK
									 : CURLE_OUT_OF_MEMORY;
}

static size_t take_header(char *p, size_t size, size_t count, void *arg)
{
	struct transfer *t = ((struct https_job *)arg)->transfer;

	(void)p;
	t->header_octets += size * count;
	t->large |= t->header_octets > HTTPS_FETCH_ANSWER;
	return t->large ? 0 : size * count;
}

static size_t take_body(char *p, size_t size, size_t count, void *arg)
{
	struct https_job *job = arg;
	struct transfer *t = job->transfer;
	int err = buf_put(&job->answer, p, size * count);

	t->large |= err == ERR_LIMIT;
	return err < 0 ? 0 : size * count;
}

/* --- what it is told */

static struct curl_slist *resolved(const struct https_job *job)
{
	char line[HTTPS_URL_HOST + 16 + HTTPS_FETCH_ADDRESSES * ADDRESS_TEXT_MAX],
	    text[INET6_ADDRSTRLEN];
	int n = snprintf(line, sizeof(line), "%s:%u:", job->url.host, job->url.port);

	for (unsigned i = 0; i < job->address_count; i++) {
		const struct sockaddr_storage *a = &job->addresses[i];
		int v6 = a->ss_family == AF_INET6;
		const void *bytes = v6 ? (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr
				       : (const void *)&((const struct sockaddr_in *)a)->sin_addr;
		inet_ntop(a->ss_family, bytes, text, sizeof(text));
		n += snprintf(line + n, sizeof(line) - (size_t)n, v6 ? "%s[%s]" : "%s%s",
			      i ? "," : "", text);
	}
	return curl_slist_append(NULL, line);
}

static int add_header(struct transfer *t, const char *line)
{
	struct curl_slist *more = curl_slist_append(t->headers, line);

	if (more)
		t->headers = more;
	return more ? 0 : ERR_NOMEM;
}

#define SET(option, value) (bad |= curl_easy_setopt(t->easy, option, value) != CURLE_OK)

static int set_safety(struct transfer *t, struct https_job *job)
{
	int bad = 0;

	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_SHARE, t->share);
	SET(CURLOPT_RESOLVE, t->resolve);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, job);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_SSL_CIPHER_LIST, CIPHERS_12);
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_CAINFO, NULL);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CA_CACHE_TIMEOUT, 0L);
	SET(CURLOPT_SSL_CTX_FUNCTION, trust);
	SET(CURLOPT_SSL_CTX_DATA, job);
	SET(CURLOPT_TIMEOUT_MS, (long)(job->timeout / 1000));
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(CONNECT_TIMEOUT / 1000));
	SET(CURLOPT_MAXFILESIZE, (long)HTTPS_FETCH_ANSWER);
	return bad;
}

static int set_question(struct transfer *t, struct https_job *job)
{
	char url[HTTPS_URL_HOST + HTTPS_URL_PATH + 32], line[160];
	int bad = 0;

	snprintf(url, sizeof(url), "https://%s:%u%s", job->url.host, job->url.port, job->url.path);
	SET(CURLOPT_URL, url);
	SET(CURLOPT_USERAGENT, "Sealpost");
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, job);
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, job);
	SET(CURLOPT_PRIVATE, job);
	if (job->post) {
		snprintf(line, sizeof(line), "Content-Type: %s", job->type);
		bad |= add_header(t, line) < 0 || add_header(t, "Expect:") < 0;
		for (size_t i = 0; i < sizeof(job->headers) / sizeof(job->headers[0]); i++)
			bad |= job->headers[i][0] && add_header(t, job->headers[i]) < 0;
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS,
		    buf_size(&job->body) ? (const char *)buf_ptr(&job->body) : "");
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)buf_size(&job->body));
		SET(CURLOPT_HTTPHEADER, t->headers);
	}
	return bad;
}

CURL *https_transfer_new(struct https_job *job)
{
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	job->transfer = t;
	t->easy = curl_easy_init();
	t->share = curl_share_init();
	t->resolve = resolved(job);
	if (t->easy && t->share && t->resolve &&
	    curl_share_setopt(t->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
	    !set_safety(t, job) && !set_question(t, job))
		return t->easy;
	https_transfer_free(job);
	return NULL;
}

struct https_job *https_transfer_job(CURL *easy)
{
	struct https_job *job = NULL;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &job);
	return job;
}

CURL *https_transfer_handle(const struct https_job *job)
{
	return ((const struct transfer *)job->transfer)->easy;
}

void https_transfer_free(struct https_job *job)
{
	struct transfer *t = job->transfer;

	if (!t)
		return;
	job->transfer = NULL;
	curl_easy_cleanup(t->easy); /* before the share that it uses */
	curl_share_cleanup(t->share);
	curl_slist_free_all(t->resolve);
	curl_slist_free_all(t->headers);
	free(t);
}

/* --- what came of it */

static enum https_fail certificate_fail(int verdict)
{
	switch (verdict) {
	case X509_V_OK: /* then it is libcurl's own look at the name */
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return HTTPS_NAME;
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return HTTPS_EXPIRED;
	default:
		return HTTPS_UNTRUSTED;
	}
}

static const struct {
	CURLcode code;
	int err;
	enum https_fail fail;
} results[] = {
    {CURLE_OK, 0, HTTPS_OK},
    {CURLE_COULDNT_CONNECT, ERR_AWAY, HTTPS_CONNECT},
    {CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT, HTTPS_TIMEOUT},
    {CURLE_SSL_CONNECT_ERROR, ERR_TLS, HTTPS_HANDSHAKE},
    {CURLE_PEER_FAILED_VERIFICATION, ERR_TLS, HTTPS_UNTRUSTED},
    {CURLE_FILESIZE_EXCEEDED, ERR_LIMIT, HTTPS_LARGE},
    {CURLE_OUT_OF_MEMORY, ERR_NOMEM, HTTPS_LOCAL},
    {CURLE_SSL_CACERT_BADFILE, ERR_NOMEM, HTTPS_LOCAL},
    {CURLE_WRITE_ERROR, ERR_NOMEM, HTTPS_LOCAL},
};

static void judge(struct https_job *job, CURLcode code)
{
	const struct transfer *t = job->transfer;

	job->err = ERR_FORMAT;
	job->fail = HTTPS_BROKEN;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		if (results[i].code == code) {
			job->err = results[i].err;
			job->fail = results[i].fail;
		}
	if (code != CURLE_OK && t->large) {
		job->err = ERR_LIMIT;
		job->fail = HTTPS_LARGE;
	} else if (job->fail == HTTPS_UNTRUSTED || t->verdict != X509_V_OK) {
		job->err = ERR_TLS;
		job->fail = certificate_fail(t->verdict);
	}
}

static void take_type(struct https_job *job, const char *type)
{
	size_t n = 0;

	while (type && type[n] && type[n] != ';' && n + 1 < sizeof(job->answer_type)) {
		char c = type[n];
		job->answer_type[n++] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	while (n && (job->answer_type[n - 1] == ' ' || job->answer_type[n - 1] == '\t'))
		n--;
	job->answer_type[n] = '\0';
}

void https_transfer_end(struct https_job *job, CURLcode code)
{
	struct transfer *t = job->transfer;
	const char *type = NULL;
	curl_off_t wait = 0;

	judge(job, code);
	if (job->err == 0) {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &job->status);
		curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
		take_type(job, type);
		curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &wait);
		job->retry_after = wait > 0 ? wait : 0; /* a date may be over */
	}
	https_transfer_free(job);
}
