/* log.h - the process's log: key=value lines to stderr, or native journal
 * entries when stderr is the journal ($JOURNAL_STREAM).
 *
 *   time=2026-01-02T03:04:05.678Z level=info message="listening" address=127.1.1.2:8080
 *
 * Libraries do not log; programs do. Values with blanks, quotes, '=' or
 * control characters are quoted and escaped, so a line stays a line; a longer
 * one is cut and ends with cut=true. Each line is one write(2). When stderr
 * takes nothing for LOG_WAIT_MILLISECONDS, records are dropped without further
 * waiting until it does, and then their number is logged. May be called from any
 * thread. The program ignores SIGPIPE. */
#pragma once

#include <inaetics/log.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_LINE_MAX 4096u /* with the newline; PIPE_BUF, so that lines of several processes do not mix */
#define LOG_FIELDS_MAX 32u /* of a record; further ones are not written */
#define LOG_WAIT_MILLISECONDS 50

/* Lowest urgency that is written (default INA_LOG_INFO). */
void log_set_level(InaLogLevel level);
InaLogLevel log_level(void);

/* Fields after the message: pairs of strings, key then value, ended by NULL.
 *   log_record(INA_LOG_INFO, "listening", "address", address, NULL); */
void log_record(InaLogLevel level, const char *message, ...) __attribute__((sentinel));

/* Sees every record that is written (for the framework's ring of last
 * records), in the thread that logs; NULL ends it. `line` is what was or would
 * be written, without the newline. Set it before there are other threads. */
void log_set_observer(void (*observer)(void *userdata, InaLogLevel level, const char *line), void *userdata);

/* Records dropped since the start because stderr took nothing. */
uint64_t log_dropped(void);

/* Where the journal listens; for tests. Default /run/systemd/journal/socket. */
void log_set_journal(const char *path);
