/* SPDX-License-Identifier: Apache-2.0 */
/* tlsrpt_result - what went wrong with TLS at a receiver, in the words of TLS reports.
 *
 * Story:  one value per TLS session that was tried; OK is what reports only count. The names are those
 *         of the reports, and stand in the log and the ledger too.
 * Thread: pure; any.
 * Source: RFC 8460 4.3. */
#ifndef RELAY_TLSRPT_TLSRPT_RESULT_H
#define RELAY_TLSRPT_TLSRPT_RESULT_H

/* X(symbol, name) */
#define TLSRPT_RESULTS(X)                                            \
	X(OK, "none")                                                \
	X(STARTTLS_NOT_SUPPORTED, "starttls-not-supported")          \
	X(CERTIFICATE_HOST_MISMATCH, "certificate-host-mismatch")    \
	X(CERTIFICATE_EXPIRED, "certificate-expired")                \
	X(CERTIFICATE_NOT_TRUSTED, "certificate-not-trusted")        \
	X(VALIDATION_FAILURE, "validation-failure")                  \
	X(TLSA_INVALID, "tlsa-invalid")                              \
	X(DNSSEC_INVALID, "dnssec-invalid")                          \
	X(DANE_REQUIRED, "dane-required")                            \
	X(STS_POLICY_FETCH_ERROR, "sts-policy-fetch-error")          \
	X(STS_POLICY_INVALID, "sts-policy-invalid")                  \
	X(STS_WEBPKI_INVALID, "sts-webpki-invalid")

enum tlsrpt_result {
#define TLSRPT_X(sym, name) TLSRPT_##sym,
	TLSRPT_RESULTS(TLSRPT_X)
#undef TLSRPT_X
	    TLSRPT_COUNT
};

/* "tlsa-invalid" and the like, "none" for OK and for what is no value of it; static. */
const char *tlsrpt_result_name(enum tlsrpt_result r);

#endif
