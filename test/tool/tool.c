/* SPDX-License-Identifier: Apache-2.0 */
#include "test/tool/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "evt/evt_listen.h"

struct sockaddr_storage tool_address(const char *text)
{
	struct sockaddr_storage a;
	socklen_t len;

	if (evt_listen_address(span_str(text), &a, &len) < 0) {
		fprintf(stderr, "%s: not ADDRESS:PORT\n", text);
		exit(64);
	}
	return a;
}

void tool_descriptors(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

int64_t tool_cpu(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (int64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 + ru.ru_utime.tv_usec +
	       ru.ru_stime.tv_usec;
}
