/* option.c - see option.h. */
#include "option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int option_text(char **target, const char *value, InaError *error)
{
    char *copy = strdup(value);
    if (!copy)
        return ina_error_set(error, ENOMEM, "no memory");
    free(*target);
    *target = copy;
    return 0;
}

int option_number(int *target, const char *value, int minimum, int maximum, InaError *error)
{
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (!*value || *end || errno || number < minimum || number > maximum)
        return ina_error_set(error, EINVAL, "\"%s\": must be a number from %d to %d", value, minimum, maximum);
    *target = (int)number;
    return 0;
}

int option_list(char **target, size_t maximum, const char *value, InaError *error)
{
    size_t count = 0;
    for (size_t i = 0; i < maximum; i++) {
        free(target[i]);
        target[i] = NULL;
    }
    while (*value) {
        size_t length = strcspn(value, ",");
        if (length && count == maximum)
            return ina_error_set(error, EINVAL, "at most %zu addresses are allowed", maximum);
        if (length && !(target[count++] = strndup(value, length)))
            return ina_error_set(error, ENOMEM, "no memory");
        value += length + (value[length] == ',');
    }
    return 0;
}
