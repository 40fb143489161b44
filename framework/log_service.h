/* log_service.h - what bundles log: a level for each bundle that can be
 * changed at run time, and the last records of the process.
 *
 * Records go to the process's log (base/log.h) with bundle and component as
 * fields. A bundle without a level of its own has the process's. */
#pragma once

#include <inaetics/error.h>
#include <inaetics/log.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_RECORDS_MAX 1000u
#define LOG_LAST_ERROR_MAX 200u /* bytes; longer messages are cut */

typedef struct LogService LogService;

/* Becomes the log's observer; the last one made is. */
int logs_new(LogService **ret, InaError *error);
bool logs_enabled(const LogService *logs, int64_t bundle_id, InaLogLevel level);
/* component may be NULL. */
void logs_write(LogService *logs, int64_t bundle_id, const char *bundle, const char *component, InaLogLevel level,
                const char *message);
InaLogLevel logs_level(const LogService *logs, int64_t bundle_id);
/* level 0: the process's again. */
int logs_set_level(LogService *logs, int64_t bundle_id, InaLogLevel level, InaError *error);
void logs_forget(LogService *logs, int64_t bundle_id);
/* The last `count` records, oldest first; any thread may log meanwhile. */
void logs_last(LogService *logs, size_t count, void (*visit)(void *userdata, const char *line), void *userdata);
uint64_t logs_errors(LogService *logs); /* records of level error so far */
/* The message of the last of them; "": there was none. */
void logs_last_error(LogService *logs, char *ret, size_t size);
LogService *logs_free(LogService *logs);
