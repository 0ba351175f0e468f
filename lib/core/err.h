/* SPDX-License-Identifier: Apache-2.0 */
/* err - the error codes that functions return, and the exit codes of the programs.
 *
 * Story:  An int result is 0 or one of these negative codes; parsers return >0 for bytes consumed and
 *         0 for "need more". The code says what kind of failure it is, never whose data failed.
 *         lib returns codes, daemons log them once, where the decision is taken.
 * Thread: any. */
#ifndef CORE_ERR_H
#define CORE_ERR_H

/* X(name, value, text) - texts are stable: logs and API show them. */
#define ERR_LIST(X)                                                                                \
	X(ERR_NOMEM, -1, "out of memory")                                                          \
	X(ERR_FORMAT, -2, "malformed")                                                             \
	X(ERR_LIMIT, -3, "limit exceeded")                                                         \
	X(ERR_AUTH, -4, "authentication failed")                                                   \
	X(ERR_DENIED, -5, "not permitted")                                                         \
	X(ERR_NOTFOUND, -6, "not found")                                                           \
	X(ERR_EXISTS, -7, "exists already")                                                        \
	X(ERR_LOCKED, -8, "keyd is locked")                                                        \
	X(ERR_AWAY, -9, "peer is away")                                                            \
	X(ERR_TIMEOUT, -10, "timed out")                                                           \
	X(ERR_BUSY, -11, "busy")                                                                   \
	X(ERR_IO, -12, "input/output error")                                                       \
	X(ERR_NOSPACE, -13, "no space")                                                            \
	X(ERR_BADSTATE, -14, "wrong state")                                                        \
	X(ERR_CRYPTO, -15, "cryptographic failure")                                                \
	X(ERR_UNSUPPORTED, -16, "not supported")                                                   \
	X(ERR_CONFIG, -17, "bad configuration")                                                    \
	X(ERR_CLOSED, -18, "connection closed")                                                    \
	X(ERR_TLS, -19, "TLS failure")                                                             \
	X(ERR_DAMAGED, -20, "stored data damaged")                                                 \
	X(ERR_MORE, -21, "taken; more is needed")                                                  \
	X(ERR_QUORUM, -22, "kept; others must approve")                                            \
	X(ERR_GONE, -23, "destroyed")                                                              \
	X(ERR_ROLLBACK, -24, "an older copy of the store")                                         \
	X(ERR_EXPIRED, -25, "expired")

#define ERR_ENUM(name, value, text) name = value,
enum err { ERR_OK = 0, ERR_LIST(ERR_ENUM) };
#undef ERR_ENUM

/* Text of a code; "ok" for 0 and above, "unknown error" for anything not listed. Static storage. */
const char *err_text(int code);

/* Nearest code for an errno value (ENOSPC and EDQUOT -> ERR_NOSPACE, ENOMEM -> ERR_NOMEM, ...). */
int err_from_errno(int errnum);

/* Exit codes of every program (sysexits.h values). Our own bugs end in log_panic: SIGABRT. */
enum { EXIT_USAGE = 64, EXIT_ENVIRONMENT = 75, EXIT_CONFIG = 78 };

#endif
