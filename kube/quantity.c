/* quantity.c - quantities as 128-bit integers of billionths. */
#include "quantity.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NANO ((__int128)1000000000)
#define TEXT_MAX 40u      /* characters; 2^63 billionths have 28 */
#define PRECISE_DIGITS 18 /* what Kubernetes takes into its quick path, where spellings are kept */
#define WRONG_FORMAT "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

typedef enum Format { DECIMAL_SI, DECIMAL_EXPONENT, BINARY_SI } Format;

typedef struct Quantity {
    __int128 nano; /* rounded up */
    Format format;
    bool spelled; /* the text is as good as the canonical form: kept */
} Quantity;

static const struct Suffix {
    const char *text;
    int exponent; /* of 10, or of 2 */
    Format format;
} suffixes[] = {
    {"n", -9, DECIMAL_SI}, {"u", -6, DECIMAL_SI}, {"m", -3, DECIMAL_SI}, {"", 0, DECIMAL_SI},
    {"k", 3, DECIMAL_SI},  {"M", 6, DECIMAL_SI},  {"G", 9, DECIMAL_SI},  {"T", 12, DECIMAL_SI},
    {"P", 15, DECIMAL_SI}, {"E", 18, DECIMAL_SI}, {"Ki", 10, BINARY_SI}, {"Mi", 20, BINARY_SI},
    {"Gi", 30, BINARY_SI}, {"Ti", 40, BINARY_SI}, {"Pi", 50, BINARY_SI}, {"Ei", 60, BINARY_SI},
};

static bool read_suffix(const char *text, int *ret_exponent, Format *ret_format)
{
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcmp(text, suffixes[i].text) == 0) {
            *ret_exponent = suffixes[i].exponent;
            *ret_format = suffixes[i].format;
            return true;
        }
    if ((*text != 'e' && *text != 'E') || text[1] == '\0')
        return false;
    char *end;
    long exponent = strtol(text + 1, &end, 10);
    if (*end || end == text + 1 || isspace((unsigned char)text[1]))
        return false;
    *ret_exponent = exponent > 1000 ? 1000 : exponent < -1000 ? -1000 : (int)exponent;
    *ret_format = DECIMAL_EXPONENT;
    return true;
}

/* value * 10^exponent, rounded up; false: too large. */
static bool scale_decimal(unsigned __int128 *value, int exponent)
{
    const unsigned __int128 limit = (unsigned __int128)1 << 126;
    for (; exponent > 0 && *value; exponent--)
        if (*value > limit / 10)
            return false;
        else
            *value *= 10;
    bool rest = false;
    for (; exponent < 0 && *value; exponent++) {
        rest |= *value % 10 != 0;
        *value /= 10;
    }
    if (rest)
        *value += 1;
    return true;
}

/* The number's digits without the point, leading zeros of the whole part dropped, and how many stood behind it. */
typedef struct Digits {
    char text[TEXT_MAX + 2];
    size_t count, behind;
} Digits;

static const char *read_digits(const char *at, Digits *ret)
{
    *ret = (Digits){.count = 0};
    while (*at == '0')
        at++;
    while (isdigit((unsigned char)*at))
        ret->text[ret->count++] = *at++;
    if (ret->count == 0)
        ret->text[ret->count++] = '0';
    if (*at == '.')
        for (at++; isdigit((unsigned char)*at); at++) {
            ret->text[ret->count++] = *at;
            ret->behind++;
        }
    return at;
}

/* Whether Kubernetes keeps the spelling: nothing to shorten, and precise enough for its quick path. */
static bool is_spelled(const Digits *digits, unsigned __int128 value, int exponent, Format format)
{
    if (format == BINARY_SI) {
        int precision = 15 - (int)digits->count - exponent * 3 / 10 - 1;
        return digits->behind == 0 && precision >= 0 && (value & 7) != 0;
    }
    int scale = exponent - (int)digits->behind;
    bool zeros = digits->count >= 3 && strncmp(digits->text + digits->count - 3, "000", 3) == 0;
    return (int)digits->count <= PRECISE_DIGITS && scale >= -9 && scale % 3 == 0 && !zeros && digits->text[0] != '0';
}

static int parse(const char *text, Quantity *ret, InaError *error)
{
    if (!text || *text == '\0')
        return ina_error_set(error, EINVAL, WRONG_FORMAT);
    if (strlen(text) > TEXT_MAX)
        return ina_error_set(error, ERANGE, "a quantity has at most %u characters", TEXT_MAX);
    bool negative = *text == '-';
    const char *at = text + (*text == '-' || *text == '+');
    Digits digits;
    at = read_digits(at, &digits);
    size_t length = strspn(at, "eEinumkKMGTP");
    length += at[length] == '-' || at[length] == '+';
    length += strspn(at + length, "0123456789");
    if (at[length])
        return ina_error_set(error, EINVAL, WRONG_FORMAT);
    int exponent;
    Format format;
    if (!read_suffix(at, &exponent, &format))
        return ina_error_set(error, EINVAL, "unable to parse quantity's suffix");
    unsigned __int128 value = 0;
    bool fits = true;
    for (size_t i = 0; i < digits.count && fits; i++) {
        fits = value < (unsigned __int128)1 << 121;
        value = value * 10 + (unsigned)(digits.text[i] - '0');
    }
    bool spelled = fits && is_spelled(&digits, value, exponent, format);
    if (format == BINARY_SI) {
        fits = fits && value < (unsigned __int128)1 << (125 - exponent);
        value <<= fits ? exponent : 0;
        exponent = 0;
    }
    fits = fits && scale_decimal(&value, exponent - (int)digits.behind + 9);
    if (format == BINARY_SI && fits && value > (unsigned __int128)INT64_MAX * NANO)
        value = (unsigned __int128)INT64_MAX * NANO; /* as Kubernetes caps it */
    if (!fits)
        return ina_error_set(error, ERANGE, "quantity '%s' is too large", text);
    *ret = (Quantity){negative ? -(__int128)value : (__int128)value, format, spelled && value};
    return 0;
}

/* In units of `unit` billionths, rounded up (away from zero, as Kubernetes rounds). */
static int parse_scaled(const char *text, __int128 unit, int64_t *ret, InaError *error)
{
    Quantity quantity;
    int r = parse(text, &quantity, error);
    if (r < 0)
        return r;
    __int128 scaled = quantity.nano / unit;
    if (quantity.nano % unit)
        scaled += quantity.nano < 0 ? -1 : 1;
    if (scaled > INT64_MAX || scaled < INT64_MIN)
        return ina_error_set(error, ERANGE, "quantity '%s' is too large", text);
    *ret = (int64_t)scaled;
    return 0;
}

int quantity_parse_milli(const char *text, int64_t *ret, InaError *error)
{
    return parse_scaled(text, NANO / 1000, ret, error);
}

int quantity_parse(const char *text, int64_t *ret, InaError *error)
{
    return parse_scaled(text, NANO, ret, error);
}

/* The number with suffix; mantissa below 10^29 by the limits of parsing. */
static void format_number(__int128 mantissa, const char *suffix, char ret[QUANTITY_SIZE])
{
    char digits[QUANTITY_SIZE];
    size_t count = 0;
    unsigned __int128 rest = mantissa < 0 ? -(unsigned __int128)mantissa : (unsigned __int128)mantissa;
    do {
        digits[count++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    size_t at = 0;
    if (mantissa < 0)
        ret[at++] = '-';
    while (count)
        ret[at++] = digits[--count];
    snprintf(ret + at, QUANTITY_SIZE - at, "%s", suffix);
}

static void format_decimal(__int128 nano, Format format, char ret[QUANTITY_SIZE])
{
    int exponent = -9;
    while (nano % 1000 == 0 && nano && (format == DECIMAL_EXPONENT || exponent < 18)) {
        nano /= 1000;
        exponent += 3;
    }
    char suffix[16] = "";
    if (format == DECIMAL_EXPONENT && exponent)
        snprintf(suffix, sizeof suffix, "e%d", exponent);
    else if (format == DECIMAL_SI)
        snprintf(suffix, sizeof suffix, "%s", suffixes[(exponent + 9) / 3].text);
    format_number(nano, suffix, ret);
}

int quantity_canonical(const char *text, char ret[QUANTITY_SIZE], InaError *error)
{
    Quantity quantity;
    int r = parse(text, &quantity, error);
    if (r < 0)
        return r;
    if (quantity.spelled) {
        snprintf(ret, QUANTITY_SIZE, "%s", text);
        return 0;
    }
    if (quantity.nano == 0) {
        snprintf(ret, QUANTITY_SIZE, "0");
        return 0;
    }
    __int128 whole = quantity.nano / NANO;
    /* Small and broken numbers are clearer in decimal. */
    if (quantity.format == BINARY_SI && ((whole < 1024 && whole > -1024) || quantity.nano % NANO))
        quantity.format = DECIMAL_SI;
    if (quantity.format != BINARY_SI) {
        format_decimal(quantity.nano, quantity.format, ret);
        return 0;
    }
    static const char *const binary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    size_t step = 0;
    for (; whole % 1024 == 0 && step < 6; step++)
        whole /= 1024;
    format_number(whole, binary[step], ret);
    return 0;
}

void quantity_format_milli(int64_t milli, char ret[QUANTITY_SIZE])
{
    if (milli == 0)
        snprintf(ret, QUANTITY_SIZE, "0");
    else
        format_decimal((__int128)milli * (NANO / 1000), DECIMAL_SI, ret);
}
