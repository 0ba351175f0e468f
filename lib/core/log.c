/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATHER_MAX 16384

static const char *program_name = "sealpost";
static const char *topics[16];
static int topic_count;
static void (*capture_fn)(void *, const char *);
static void *capture_arg;

static _Thread_local struct {
	size_t len;
	char data[GATHER_MAX];
} gather;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_open(const char *program)
{
	program_name = program;
}

int log_topic_add(const char *topic)
{
	if (topic_count == 16)
		return -1;
	topics[topic_count++] = topic;
	return 0;
}

int log_topic(const char *topic)
{
	for (int i = 0; i < topic_count; i++)
		if (!strcmp(topics[i], topic) || !strcmp(topics[i], "all"))
			return 1;
	return 0;
}

void log_capture(void (*fn)(void *arg, const char *line), void *arg)
{
	capture_fn = fn;
	capture_arg = arg;
}

void log_flush(void)
{
	size_t off = 0;

	while (off < gather.len) {
		ssize_t n = write(STDERR_FILENO, gather.data + off, gather.len - off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* nobody listens: a full pipe must not stop mail */
		off += (size_t)n;
	}
	gather.len = 0;
}

/* Copies text, escaping what could forge or split a line; returns the bytes written. */
static size_t escape(char *dst, size_t room, const char *src)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (; *src; src++) {
		unsigned char c = (unsigned char)*src;
		if (c >= 0x20 && c < 0x7f) {
			if (n + 1 > room)
				break;
			dst[n++] = (char)c;
		} else {
			if (n + 4 > room)
				break;
			dst[n++] = '\\';
			dst[n++] = 'x';
			dst[n++] = digits[c >> 4];
			dst[n++] = digits[c & 15];
		}
	}
	if (*src && room >= 3) {
		n = n > room - 3 ? room - 3 : n;
		memcpy(dst + n, "...", 3);
		n += 3;
	}
	return n;
}

__attribute__((format(printf, 4, 0))) static void
emit(enum log_level level, const char *id, const char *event, const char *fmt, va_list ap)
{
	char head[192], facts[LOG_LINE_MAX], line[LOG_LINE_MAX + 2];
	size_t n;

	snprintf(head, sizeof(head), "%s %s %s event=%s%s", program_name, level_names[level],
		 id && *id ? id : "-", event, fmt && *fmt ? " " : "");
	n = escape(line, 256, head);
	if (fmt && *fmt) {
		vsnprintf(facts, sizeof(facts), fmt, ap);
		n += escape(line + n, LOG_LINE_MAX - n, facts);
	}
	if (capture_fn) {
		line[n] = '\0';
		capture_fn(capture_arg, line);
		return;
	}
	line[n++] = '\n';
	if (gather.len + n > GATHER_MAX)
		log_flush();
	memcpy(gather.data + gather.len, line, n);
	gather.len += n;
	if (level >= LOG_LEVEL_WARN)
		log_flush();
}

void log_event(enum log_level level, const char *id, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(level, id, event, fmt, ap);
	va_end(ap);
}

void log_debug(const char *topic, const char *id, const char *event, const char *fmt, ...)
{
	va_list ap;

	if (!log_topic(topic))
		return;
	va_start(ap, fmt);
	emit(LOG_LEVEL_DEBUG, id, event, fmt, ap);
	va_end(ap);
}

void log_fatal(int code, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(LOG_LEVEL_ERROR, NULL, event, fmt, ap);
	va_end(ap);
	log_flush();
	exit(code);
}

void log_panic_at(const char *file, int line, const char *what)
{
	log_event(LOG_LEVEL_ERROR, NULL, "panic", "at=%s:%d what=\"%s\"", file, line, what);
	log_flush();
	abort();
}
