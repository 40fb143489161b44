#include "log_service.h"
#include "base/log.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct BundleLevel {
    int64_t bundle_id;
    InaLogLevel level;
} BundleLevel;

struct LogService {
    BundleLevel *levels; /* of bundles that have one of their own */
    size_t n_levels;
    pthread_mutex_t lock; /* of what follows: worker threads may log */
    char *records[LOG_RECORDS_MAX];
    size_t next, count;
    uint64_t errors;
    char last_error[LOG_LAST_ERROR_MAX];
};

/* The message of a record as it is written there, without its quotes; cut between characters. */
static void copy_message(const char *line, char *ret, size_t size)
{
    static const char key[] = " message=";
    const char *begin = strstr(line, key);
    size_t length = 0;

    begin = begin ? begin + sizeof key - 1 : "";
    bool quoted = *begin == '"';
    begin += quoted;
    while (begin[length] && begin[length] != (quoted ? '"' : ' ') && begin[length] != '\n' && length + 2 < size)
        length += begin[length] == '\\' && begin[length + 1] ? 2 : 1;
    while (length > 0 && ((unsigned char)begin[length] & 0xc0) == 0x80)
        length--;
    memcpy(ret, begin, length);
    ret[length] = '\0';
}

static void observe(void *userdata, InaLogLevel level, const char *line)
{
    LogService *logs = userdata;
    char *copy = strdup(line);

    pthread_mutex_lock(&logs->lock);
    if (level <= INA_LOG_ERROR) {
        logs->errors++;
        copy_message(line, logs->last_error, sizeof logs->last_error);
    }
    if (!copy) {
        pthread_mutex_unlock(&logs->lock);
        return;
    }
    free(logs->records[logs->next]);
    logs->records[logs->next] = copy;
    logs->next = (logs->next + 1) % LOG_RECORDS_MAX;
    if (logs->count < LOG_RECORDS_MAX)
        logs->count++;
    pthread_mutex_unlock(&logs->lock);
}

int logs_new(LogService **ret, InaError *error)
{
    LogService *logs = calloc(1, sizeof *logs);
    if (!logs)
        return ina_error_set(error, ENOMEM, "out of memory");
    pthread_mutex_init(&logs->lock, NULL);
    log_set_observer(observe, logs);
    *ret = logs;
    return 0;
}

uint64_t logs_errors(LogService *logs)
{
    pthread_mutex_lock(&logs->lock);
    uint64_t errors = logs->errors;
    pthread_mutex_unlock(&logs->lock);
    return errors;
}

void logs_last_error(LogService *logs, char *ret, size_t size)
{
    pthread_mutex_lock(&logs->lock);
    snprintf(ret, size, "%s", logs->last_error);
    pthread_mutex_unlock(&logs->lock);
}

LogService *logs_free(LogService *logs)
{
    if (!logs)
        return NULL;
    log_set_observer(NULL, NULL);
    for (size_t i = 0; i < LOG_RECORDS_MAX; i++)
        free(logs->records[i]);
    pthread_mutex_destroy(&logs->lock);
    free(logs->levels);
    free(logs);
    return NULL;
}

static BundleLevel *find(const LogService *logs, int64_t bundle_id)
{
    for (size_t i = 0; i < logs->n_levels; i++)
        if (logs->levels[i].bundle_id == bundle_id)
            return &logs->levels[i];
    return NULL;
}

InaLogLevel logs_level(const LogService *logs, int64_t bundle_id)
{
    const BundleLevel *own = find(logs, bundle_id);
    return own ? own->level : log_level();
}

bool logs_enabled(const LogService *logs, int64_t bundle_id, InaLogLevel level)
{
    return level <= logs_level(logs, bundle_id);
}

void logs_write(LogService *logs, int64_t bundle_id, const char *bundle, const char *component, InaLogLevel level,
                const char *message)
{
    InaLogLevel process = log_level();

    if (!logs_enabled(logs, bundle_id, level))
        return;
    /* A bundle may be more talkative than the process. */
    if (level > process)
        log_set_level(level);
    if (component)
        log_record(level, message, "bundle", bundle, "component", component, NULL);
    else
        log_record(level, message, "bundle", bundle, NULL);
    if (level > process)
        log_set_level(process);
}

void logs_forget(LogService *logs, int64_t bundle_id)
{
    BundleLevel *own = find(logs, bundle_id);
    if (own)
        *own = logs->levels[--logs->n_levels];
}

int logs_set_level(LogService *logs, int64_t bundle_id, InaLogLevel level, InaError *error)
{
    BundleLevel *own = find(logs, bundle_id);

    if (level == 0) {
        logs_forget(logs, bundle_id);
        return 0;
    }
    if (!own) {
        BundleLevel *levels = reallocarray(logs->levels, logs->n_levels + 1, sizeof *levels);
        if (!levels)
            return ina_error_set(error, ENOMEM, "out of memory");
        logs->levels = levels;
        own = &levels[logs->n_levels++];
    }
    *own = (BundleLevel){bundle_id, level};
    return 0;
}

void logs_last(LogService *logs, size_t count, void (*visit)(void *userdata, const char *line), void *userdata)
{
    char *lines[LOG_RECORDS_MAX];
    size_t n = 0;

    /* Copies, so that what `visit` does cannot wait for the lock. */
    pthread_mutex_lock(&logs->lock);
    if (count > logs->count)
        count = logs->count;
    for (size_t i = 0; i < count; i++)
        lines[n++] = strdup(logs->records[(logs->next + LOG_RECORDS_MAX - count + i) % LOG_RECORDS_MAX]);
    pthread_mutex_unlock(&logs->lock);
    for (size_t i = 0; i < n; i++) {
        if (lines[i])
            visit(userdata, lines[i]);
        free(lines[i]);
    }
}
