/* log.h - levels of log records, as syslog numbers them. */
#pragma once

typedef enum InaLogLevel {
    INA_LOG_ERROR = 3,
    INA_LOG_WARNING = 4,
    INA_LOG_NOTICE = 5,
    INA_LOG_INFO = 6,
    INA_LOG_DEBUG = 7,
} InaLogLevel;

const char *ina_log_level_name(InaLogLevel level);         /* "warning" */
int ina_log_level_from_name(const char *name, InaLogLevel *ret); /* -EINVAL */
