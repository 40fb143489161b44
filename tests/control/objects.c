#include "objects.h"

#include <stdio.h>
#include <stdlib.h>

json_t *object_of(const char *format, ...)
{
    char *text;
    va_list arguments;
    json_error_t error;

    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    assert_true(length >= 0);
    for (char *c = text; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *object = json_loads(text, 0, &error);
    if (!object)
        fail_msg("%s in %s", error.text, text);
    free(text);
    return object;
}
