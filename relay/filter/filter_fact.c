/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/filter/filter_fact.h"

#include <stdio.h>

#include "core/err.h"

#define VALUE_MAX 600

static const char *const usual_names[MILTERPROTO_STAGES] = {
    [MILTERPROTO_AT_CONNECT] = "j {daemon_name} {daemon_addr} {daemon_port} {client_addr} "
			       "{client_name} {client_port} v _",
    [MILTERPROTO_AT_HELO] = "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
    [MILTERPROTO_AT_MAIL] = "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} "
			    "{mail_mailer}",
    [MILTERPROTO_AT_RCPT] = "i {rcpt_addr} {rcpt_host} {rcpt_mailer}",
    [MILTERPROTO_AT_DATA] = "i",
    [MILTERPROTO_AT_EOH] = "i",
    [MILTERPROTO_AT_END] = "i",
};

void filter_fact_client(const struct filter_fact *f, char dst[80])
{
	snprintf(dst, 80, "[%s]", f->client_addr ? f->client_addr : "unknown");
}

/* --- macros that are more than a string; they write into dst, 0: no value */

static int put_client(const struct filter_fact *f, char *dst)
{
	filter_fact_client(f, dst);
	return 1;
}

/* "NAME [ADDRESS]" */
static int put_underscore(const struct filter_fact *f, char *dst)
{
	char name[80];

	filter_fact_client(f, name);
	snprintf(dst, VALUE_MAX, "%s [%s]", name, f->client_addr ? f->client_addr : "unknown");
	return 1;
}

static int put_number(long n, char *dst)
{
	snprintf(dst, VALUE_MAX, "%ld", n);
	return n > 0;
}

static int put_bits(const struct filter_fact *f, char *dst)
{
	return put_number(f->cipher_bits, dst);
}

static int put_client_port(const struct filter_fact *f, char *dst)
{
	return put_number(f->client_port, dst);
}

static int put_daemon_port(const struct filter_fact *f, char *dst)
{
	return put_number(f->daemon_port, dst);
}

static int put_host(const char *address, char *dst)
{
	const char *at = address ? strrchr(address, '@') : NULL;

	snprintf(dst, VALUE_MAX, "%s", at ? at + 1 : "");
	return at != NULL;
}

static int put_mail_host(const struct filter_fact *f, char *dst)
{
	return put_host(f->mail.address, dst);
}

static int put_rcpt_host(const struct filter_fact *f, char *dst)
{
	return put_host(f->rcpt.address, dst);
}

static int put_mail_mailer(const struct filter_fact *f, char *dst)
{
	memcpy(dst, "smtp", 5);
	return f->mail.address != NULL;
}

static int put_rcpt_mailer(const struct filter_fact *f, char *dst)
{
	memcpy(dst, "smtp", 5);
	return f->rcpt.address != NULL;
}

#define FACT(member) offsetof(struct filter_fact, member), NULL
static const struct {
	const char *name;
	size_t at; /* of a string in the facts */
	int (*put)(const struct filter_fact *f, char *dst);
} macros[] = {
    {"j", FACT(hostname)},
    {"v", FACT(version)},
    {"i", FACT(id)},
    {"_", 0, put_underscore},
    {"{daemon_name}", FACT(daemon)},
    {"{daemon_addr}", FACT(daemon_addr)},
    {"{daemon_port}", 0, put_daemon_port},
    {"{client_addr}", FACT(client_addr)},
    {"{client_name}", 0, put_client},
    {"{client_port}", 0, put_client_port},
    {"{tls_version}", FACT(tls_version)},
    {"{cipher}", FACT(cipher)},
    {"{cipher_bits}", 0, put_bits},
    {"{cert_subject}", FACT(cert_subject)},
    {"{cert_issuer}", FACT(cert_issuer)},
    {"{auth_type}", FACT(auth_type)},
    {"{auth_authen}", FACT(auth_name)},
    {"{mail_addr}", FACT(mail.address)},
    {"{mail_host}", 0, put_mail_host},
    {"{mail_mailer}", 0, put_mail_mailer},
    {"{rcpt_addr}", FACT(rcpt.address)},
    {"{rcpt_host}", 0, put_rcpt_host},
    {"{rcpt_mailer}", 0, put_rcpt_mailer},
};

/* Filters may ask for "{i}" or "client_addr": braces around one letter, or none, mean the same. */
static int same(const char *name, struct span asked)
{
	struct span s = span_str(name);

	if (s.n > 2)
		s = span_sub(s, 1, s.n - 2);
	if (asked.n > 2 && asked.p[0] == '{' && asked.p[asked.n - 1] == '}')
		asked = span_sub(asked, 1, asked.n - 2);
	return span_equal(s, asked);
}

static const char *value_of(const struct filter_fact *f, struct span name, char dst[VALUE_MAX])
{
	for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++) {
		if (!same(macros[i].name, name))
			continue;
		if (macros[i].put)
			return macros[i].put(f, dst) ? dst : NULL;
		return *(const char *const *)((const char *)f + macros[i].at);
	}
	return NULL;
}

int filter_fact_macros(struct buf *out, const struct filter_fact *f, enum milterproto_command c,
		       enum milterproto_stage stage, struct span asked, int usual)
{
	char data[8192], scratch[VALUE_MAX];
	size_t n = 0;

	if (usual)
		asked = span_str(usual_names[stage]);
	while (asked.n) {
		size_t end = 0;
		struct span name;
		const char *value;

		while (end < asked.n && asked.p[end] != ' ' && asked.p[end] != ',')
			end++;
		name = span_sub(asked, 0, end);
		asked = span_sub(asked, end + 1, asked.n);
		value = name.n ? value_of(f, name, scratch) : NULL;
		if (!value || n + name.n + strlen(value) + 2 > sizeof(data))
			continue;
		memcpy(data + n, name.p, name.n);
		data[n + name.n] = '\0';
		n += name.n + 1;
		memcpy(data + n, value, strlen(value) + 1);
		n += strlen(value) + 1;
	}
	return n ? milterproto_put_macros(out, c, span_of(data, n)) : 0;
}
