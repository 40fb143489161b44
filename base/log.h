/* log.h - the process's log: key=value lines to stderr, or native journal
 * entries when stderr is the journal ($JOURNAL_STREAM).
 *
 *   time=2026-01-02T03:04:05.678Z level=info message="listening" address=127.1.1.2:8080
 *
 * Libraries do not log; programs do. Values with blanks, quotes, '=' or
 * control characters are quoted and escaped, so a line stays a line. */
#pragma once

#include <inaetics/log.h>
#include <stddef.h>

/* Lowest urgency that is written (default INA_LOG_INFO). */
void log_set_level(InaLogLevel level);
InaLogLevel log_level(void);

/* Fields after the message: pairs of strings, key then value, ended by NULL.
 *   log_record(INA_LOG_INFO, "listening", "address", address, NULL); */
void log_record(InaLogLevel level, const char *message, ...) __attribute__((sentinel));

/* Sees every record that is written (for the framework's ring of last
 * records); NULL ends it. `line` is what was or would be written. */
void log_set_observer(void (*observer)(void *userdata, InaLogLevel level, const char *line), void *userdata);
