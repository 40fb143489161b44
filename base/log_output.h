/* log_output.h - where the log's lines go; part of log.c, which holds its lock
 * around each call. */
#pragma once

#include "log.h"

typedef struct LogField {
    const char *key, *value;
} LogField;

/* To the journal with fields, or the line (with its newline) to stderr; drops and counts what cannot go. */
void log_output_write(InaLogLevel level, const LogField *fields, size_t n_fields, const char *line, size_t size);

/* When records were dropped and stderr takes lines again: how many, once; else 0. */
uint64_t log_output_recovered(void);
uint64_t log_output_dropped(void); /* since the start */
void log_output_set_journal(const char *path);
