/* log_output.h - where the log's lines go; part of log.c, which holds its lock
 * around each call. */
#pragma once

#include "log.h"

#include <stdbool.h>

typedef struct LogField {
    const char *key, *value;
} LogField;

/* To the journal with fields, or the line (with its newline) to stderr; false:
 * neither takes it. After that the next one does not wait. */
bool log_output_write(InaLogLevel level, const LogField *fields, size_t n_fields, const char *line, size_t size);
void log_output_set_journal(const char *path);
