/* SPDX-License-Identifier: Apache-2.0 */
/* milterproto_socket - where a filter listens, as relay.yaml says it.
 *
 * Story:  "unix:/path" and "local:/path", "inet:PORT@HOST" and "inet6:PORT@HOST" as libmilter writes them,
 *         "inet:HOST:PORT" as Postfix does. HOST is numeric or localhost; without one it is localhost. Pure;
 *         any thread.
 * Source: sealpost-relay.yaml(5), filters.socket. */
#ifndef MILTERPROTO_MILTERPROTO_SOCKET_H
#define MILTERPROTO_MILTERPROTO_SOCKET_H

#include <sys/socket.h>

struct milterproto_socket {
	char path[108]; /* of a Unix socket; empty: the address counts */
	struct sockaddr_storage address;
};

/* 0, ERR_FORMAT, ERR_LIMIT (a path too long). */
int milterproto_socket_parse(const char *text, struct milterproto_socket *out);

#endif
