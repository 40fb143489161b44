/* object_names.c - names as Kubernetes allows them, times, ages, random names. */
#include "object.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* --- names: apimachinery's util/validation ------------------------------------------------------ */

#define QUALIFIED                                                                                                      \
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
#define QUALIFIED_RULE                                                                                                 \
    "name part " QUALIFIED " (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "              \
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
#define LABEL_RULE                                                                                                     \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "    \
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "                     \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
#define SUBDOMAIN_RULE                                                                                                 \
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "   \
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                        \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define SERVICE_RULE                                                                                                   \
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "            \
    "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation "     \
    "is '[a-z]([-a-z0-9]*[a-z0-9])?')"
#define VALUE_RULE                                                                                                     \
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "    \
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "             \
    "validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
#define TOO_LONG_LABEL "must be no more than 63 characters"
#define TOO_LONG_SUBDOMAIN "must be no more than 253 characters"

static bool lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool letter_or_digit(char c)
{
    return lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_label(const char *text, size_t length)
{
    if (length == 0 || !lower_or_digit(text[0]) || !lower_or_digit(text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!lower_or_digit(text[i]) && text[i] != '-')
            return false;
    return true;
}

static bool is_subdomain(const char *text, size_t length)
{
    for (;;) {
        const char *dot = memchr(text, '.', length);
        size_t part = dot ? (size_t)(dot - text) : length;
        if (!is_label(text, part))
            return false;
        if (!dot)
            return true;
        text += part + 1;
        length -= part + 1;
    }
}

static bool is_qualified(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || !letter_or_digit(text[0]) || !letter_or_digit(text[length - 1]))
        return false;
    for (size_t i = 0; i < length; i++)
        if (!letter_or_digit(text[i]) && !strchr("-_.", text[i]))
            return false;
    return true;
}

const char *kube_check_dns_label(const char *text)
{
    size_t length = strlen(text);
    if (length > KUBE_LABEL_MAX)
        return TOO_LONG_LABEL;
    return is_label(text, length) ? NULL : LABEL_RULE;
}

const char *kube_check_dns_subdomain(const char *text)
{
    size_t length = strlen(text);
    if (length > KUBE_NAME_MAX)
        return TOO_LONG_SUBDOMAIN;
    return is_subdomain(text, length) ? NULL : SUBDOMAIN_RULE;
}

const char *kube_check_service_name(const char *text)
{
    size_t length = strlen(text);
    if (length > KUBE_LABEL_MAX)
        return TOO_LONG_LABEL;
    return is_label(text, length) && !(text[0] >= '0' && text[0] <= '9') ? NULL : SERVICE_RULE;
}

const char *kube_check_label_key(const char *text)
{
    const char *slash = strchr(text, '/'), *name = slash ? slash + 1 : text;
    if (slash && strchr(name, '/'))
        return "a qualified name " QUALIFIED " (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation "
               "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. "
               "'example.com/MyName')";
    if (slash == text)
        return "prefix part must be non-empty";
    if (slash && slash - text > (ptrdiff_t)KUBE_NAME_MAX)
        return "prefix part " TOO_LONG_SUBDOMAIN;
    if (slash && !is_subdomain(text, (size_t)(slash - text)))
        return "prefix part " SUBDOMAIN_RULE;
    if (*name == '\0')
        return "name part must be non-empty";
    if (strlen(name) > KUBE_LABEL_MAX)
        return "name part " TOO_LONG_LABEL;
    return is_qualified(name) ? NULL : QUALIFIED_RULE;
}

const char *kube_check_label_value(const char *text)
{
    if (strlen(text) > KUBE_LABEL_MAX)
        return TOO_LONG_LABEL;
    return *text == '\0' || is_qualified(text) ? NULL : VALUE_RULE;
}

/* --- times ------------------------------------------------------------------------------------- */

void kube_time(time_t time, char ret[KUBE_TIME_SIZE])
{
    struct tm tm;
    if (!gmtime_r(&time, &tm) || strftime(ret, KUBE_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        strcpy(ret, "1970-01-01T00:00:00Z");
}

void kube_time_micro(uint64_t us_since_1970, char ret[KUBE_TIME_SIZE])
{
    kube_time((time_t)(us_since_1970 / 1000000), ret);
    size_t length = strlen(ret) - 1; /* before the Z */
    snprintf(ret + length, KUBE_TIME_SIZE - length, ".%06uZ", (unsigned)(us_since_1970 % 1000000));
}

/* `count` digits at *text as a number from `minimum` to `maximum`, then `end` (0: anything). */
static bool digits(const char **text, int count, int minimum, int maximum, char end, int *ret)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        value = value * 10 + (**text - '0');
    }
    if (end && *(*text)++ != end)
        return false;
    *ret = value;
    return value >= minimum && value <= maximum;
}

/* ".123456", of which what is beyond microseconds is cut. */
static bool fraction(const char **text, uint64_t *ret)
{
    *ret = 0;
    if (**text != '.')
        return true;
    (*text)++;
    uint64_t unit = 100000;
    int count = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++, count++, unit /= 10)
        *ret += (uint64_t)(**text - '0') * unit;
    return count > 0;
}

/* "Z", "+02:00": seconds east of Greenwich. */
static bool zone(const char *text, int *ret)
{
    *ret = 0;
    if (strcmp(text, "Z") == 0)
        return true;
    int sign = *text == '-' ? -1 : 1, hours, minutes;
    if (*text != '+' && *text != '-')
        return false;
    text++;
    if (!digits(&text, 2, 0, 23, ':', &hours) || !digits(&text, 2, 0, 59, '\0', &minutes) || *text)
        return false;
    *ret = sign * (hours * 3600 + minutes * 60);
    return true;
}

int kube_time_parse(const char *text, uint64_t *ret_us_since_1970)
{
    struct tm tm = {0}, check;
    int east;
    uint64_t us;
    if (!digits(&text, 4, 1970, 9999, '-', &tm.tm_year) || !digits(&text, 2, 1, 12, '-', &tm.tm_mon) ||
        !digits(&text, 2, 1, 31, 'T', &tm.tm_mday) || !digits(&text, 2, 0, 23, ':', &tm.tm_hour) ||
        !digits(&text, 2, 0, 59, ':', &tm.tm_min) || !digits(&text, 2, 0, 59, '\0', &tm.tm_sec) ||
        !fraction(&text, &us) || !zone(text, &east))
        return -EINVAL;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    check = tm;
    int64_t seconds = timegm(&check);
    if (check.tm_mday != tm.tm_mday) /* 30 February */
        return -EINVAL;
    seconds -= east;
    if (seconds < 0)
        return -EINVAL;
    *ret_us_since_1970 = (uint64_t)seconds * 1000000 + us;
    return 0;
}

/* apimachinery's duration.HumanDuration: two or three digits that matter. */
void kube_age(uint64_t seconds, char ret[KUBE_TIME_SIZE])
{
    unsigned long s = (unsigned long)seconds, minutes = s / 60, hours = minutes / 60, days = hours / 24;
    unsigned long big, small = 0;
    const char *big_unit, *small_unit = "";
    if (s < 120) {
        big = s, big_unit = "s";
    } else if (minutes < 180) {
        big = minutes, big_unit = "m";
        small = minutes < 10 ? s % 60 : 0, small_unit = "s";
    } else if (hours < 48) {
        big = hours, big_unit = "h";
        small = hours < 8 ? minutes % 60 : 0, small_unit = "m";
    } else if (days < 730) {
        big = days, big_unit = "d";
        small = days < 8 ? hours % 24 : 0, small_unit = "h";
    } else {
        big = days / 365, big_unit = "y";
        small = days < 365 * 8 ? days % 365 : 0, small_unit = "d";
    }
    if (small)
        snprintf(ret, KUBE_TIME_SIZE, "%lu%s%lu%s", big, big_unit, small, small_unit);
    else
        snprintf(ret, KUBE_TIME_SIZE, "%lu%s", big, big_unit);
}

/* --- random names ------------------------------------------------------------------------------- */

void kube_make_uid(char ret[KUBE_UID_SIZE])
{
    uint8_t bytes[16];
    randombytes_buf(bytes, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    char hex[33];
    sodium_bin2hex(hex, sizeof hex, bytes, sizeof bytes);
    snprintf(ret, KUBE_UID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

void kube_make_suffix(char ret[6])
{
    /* Without vowels and what looks like them, as Kubernetes: no words come out. */
    static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
    for (size_t i = 0; i < 5; i++)
        ret[i] = letters[randombytes_uniform(sizeof letters - 1)];
    ret[5] = '\0';
}
