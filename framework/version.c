#include "version.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool qualifier_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Reads digits at *text; moves it behind them. */
static bool read_number(const char **text, uint32_t *ret)
{
    uint64_t number = 0;
    const char *p = *text;

    for (; *p >= '0' && *p <= '9'; p++) {
        number = number * 10 + (uint64_t)(*p - '0');
        if (number > INT32_MAX) /* what Java's int takes */
            return false;
    }
    if (p == *text)
        return false;
    *text = p;
    *ret = (uint32_t)number;
    return true;
}

int version_parse(const char *text, Version *ret, InaError *error)
{
    Version version = {0};
    uint32_t *const numbers[] = {&version.major, &version.minor, &version.micro};
    const char *p = text;

    for (size_t i = 0; i < 3; i++) {
        if (!read_number(&p, numbers[i]))
            goto wrong;
        if (*p == '\0')
            goto done;
        if (*p++ != '.')
            goto wrong;
    }
    size_t length = strlen(p);
    if (length == 0 || length > VERSION_QUALIFIER_MAX)
        goto wrong;
    for (const char *q = p; *q; q++)
        if (!qualifier_character(*q))
            goto wrong;
    memcpy(version.qualifier, p, length + 1);
done:
    *ret = version;
    return 0;
wrong:
    return ina_error_set(error, EINVAL,
                         "'%.80s' is not a version; right would be MAJOR.MINOR.MICRO.QUALIFIER, as in 1.2.3", text);
}

int version_compare(const Version *a, const Version *b)
{
    if (a->major != b->major)
        return a->major < b->major ? -1 : 1;
    if (a->minor != b->minor)
        return a->minor < b->minor ? -1 : 1;
    if (a->micro != b->micro)
        return a->micro < b->micro ? -1 : 1;
    return strcmp(a->qualifier, b->qualifier);
}

void version_format(const Version *version, char buffer[VERSION_TEXT_MAX])
{
    (void)snprintf(buffer, VERSION_TEXT_MAX, "%u.%u.%u%s%s", version->major, version->minor, version->micro,
                   version->qualifier[0] ? "." : "", version->qualifier);
}

void version_sortable(const Version *version, char buffer[VERSION_TEXT_MAX])
{
    (void)snprintf(buffer, VERSION_TEXT_MAX, "%010u.%010u.%010u.%s", version->major, version->minor, version->micro,
                   version->qualifier);
}
