/* log.h - levels of log records, as syslog numbers them. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

typedef enum InaLogLevel {
    INA_LOG_ERROR = 3,
    INA_LOG_WARNING = 4,
    INA_LOG_NOTICE = 5,
    INA_LOG_INFO = 6,
    INA_LOG_DEBUG = 7,
} InaLogLevel;

const char *ina_log_level_name(InaLogLevel level);               /* "warning"; "unknown" for others */
int ina_log_level_from_name(const char *name, InaLogLevel *ret); /* -EINVAL */

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
