/* SPDX-License-Identifier: Apache-2.0 */
/* log - one line per event on standard error.
 *
 * Story:  A line is "LEVEL ID event=NAME key=value ...": level first, then the session or message id
 *         it belongs to ("-" if none), then the stable event name, then facts. Every event name is
 *         documented in sealpost-log(7); test/lint/events.sh fails if one is not.
 *         Lines gather in a buffer of the calling thread; warnings and errors go out at once, the
 *         rest at log_flush(), which evt_loop calls before it sleeps and which every thread that
 *         logs must call before it blocks. Lost lines are impossible, interleaved ones too: a line
 *         is never split over two writes.
 * Limits: a line is cut at LOG_LINE_MAX bytes and then ends in "...".
 * Safety: bytes below 0x20, 0x7f and above are written as \xNN, so that no value can forge a line.
 *         Callers never pass addresses, subjects, bodies, keys or passwords: ids only.
 * Thread: any. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#define LOG_LINE_MAX 1024

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Names the program (shown first in each line). Call once, in main, before threads. */
void log_open(const char *program);

/* Switches a debug topic on (option -d TOPIC; "all" means every one). At most 16. */
int log_topic_add(const char *topic);

/* Whether debug lines of this topic are wanted: guard costly ones with it. */
int log_topic(const char *topic);

/* Writes one event. id may be NULL. fmt gives the "key=value" facts, space separated, or is NULL. */
void log_event(enum log_level level, const char *id, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* As log_event at debug level, and only when the topic is on. */
void log_debug(const char *topic, const char *id, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Writes what this thread has gathered. */
void log_flush(void);

/* fatal: the environment is unfit; allowed during start-up only. Exits with code. */
void log_fatal(int code, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn));

/* panic: our own bug. Flushes, writes where, aborts. */
void log_panic_at(const char *file, int line, const char *what) __attribute__((noreturn));
#define log_panic(what) log_panic_at(__FILE__, __LINE__, what)
#define log_assert(cond) ((cond) ? (void)0 : log_panic_at(__FILE__, __LINE__, #cond))

/* For tests: every finished line goes to fn instead of standard error. NULL restores. */
void log_capture(void (*fn)(void *arg, const char *line), void *arg);

#endif
