#include "environment.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct Environment {
    char **entries; /* "NAME=value", a NULL behind the last */
    size_t count, capacity;
};

Environment *environment_new(void)
{
    Environment *environment = calloc(1, sizeof *environment);
    if (!environment)
        return NULL;
    environment->capacity = 32;
    environment->entries = calloc(environment->capacity, sizeof *environment->entries);
    if (!environment->entries)
        return environment_free(environment);
    return environment;
}

static char **find(const Environment *environment, const char *name, size_t length)
{
    for (size_t i = 0; i < environment->count; i++) {
        char *entry = environment->entries[i];
        if (strncmp(entry, name, length) == 0 && entry[length] == '=')
            return &environment->entries[i];
    }
    return NULL;
}

static int append(Environment *environment, char *entry, InaError *error)
{
    if (environment->count + 1 == environment->capacity) {
        char **entries = reallocarray(environment->entries, environment->capacity * 2, sizeof *entries);
        if (!entries) {
            free(entry);
            return ina_error_set(error, ENOMEM, "out of memory");
        }
        environment->entries = entries;
        environment->capacity *= 2;
    }
    environment->entries[environment->count++] = entry;
    environment->entries[environment->count] = NULL;
    return 0;
}

int environment_set(Environment *environment, const char *name, const char *value, InaError *error)
{
    char *entry;
    if (asprintf(&entry, "%s=%s", name, value) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    char **old = find(environment, name, strlen(name));
    if (!old)
        return append(environment, entry, error);
    free(*old);
    *old = entry;
    return 0;
}

int environment_format(Environment *environment, const char *name, InaError *error, const char *format, ...)
{
    AUTO_FREE char *value = NULL;
    va_list arguments;
    va_start(arguments, format);
    int r = vasprintf(&value, format, arguments);
    va_end(arguments);
    if (r < 0) {
        value = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    return environment_set(environment, name, value, error);
}

int environment_inherit(Environment *environment, const char *name, InaError *error)
{
    const char *value = getenv(name);
    return value ? environment_set(environment, name, value, error) : 0;
}

const char *environment_get(const Environment *environment, const char *name)
{
    char **entry = find(environment, name, strlen(name));
    return entry ? *entry + strlen(name) + 1 : NULL;
}

/* What stands behind a '$': appends what it means, returns how much it was. */
static size_t expand_one(const Environment *environment, const char *text, Buffer *result)
{
    if (text[0] == '$') {
        buffer_append(result, "$", 1);
        return 1;
    }
    const char *end = text[0] == '(' ? strchr(text, ')') : NULL;
    if (!end) {
        buffer_append(result, "$", 1);
        return 0;
    }
    size_t length = (size_t)(end - text - 1);
    char **entry = find(environment, text + 1, length);
    if (entry) {
        const char *value = *entry + length + 1;
        buffer_append(result, value, strlen(value));
    } else {
        buffer_append(result, text - 1, length + 3);
    }
    return length + 2;
}

int environment_expand(const Environment *environment, const char *text, char **ret, InaError *error)
{
    Buffer result = {0};
    while (*text != '\0' && result.size <= ENVIRONMENT_VALUE_MAX) {
        size_t plain = strcspn(text, "$");
        buffer_append(&result, text, plain);
        text += plain;
        if (*text == '$')
            text += 1 + expand_one(environment, text + 1, &result);
    }
    if (result.size > ENVIRONMENT_VALUE_MAX) {
        buffer_free(&result);
        return ina_error_set(error, E2BIG, "longer than %u bytes with its variables filled in", ENVIRONMENT_VALUE_MAX);
    }
    buffer_append(&result, "", 1);
    if (result.failed) {
        buffer_free(&result);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = result.data;
    return 0;
}

char **environment_list(Environment *environment)
{
    return environment->entries;
}

Environment *environment_free(Environment *environment)
{
    if (!environment)
        return NULL;
    for (size_t i = 0; i < environment->count; i++)
        free(environment->entries[i]);
    free(environment->entries);
    free(environment);
    return NULL;
}
