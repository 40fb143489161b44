/* error.c - see inaetics/error.h. */
#include <errno.h>
#include <inaetics/error.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Cuts what vsnprintf cut in the middle of a UTF-8 character back to its start. */
static void cut_at_character(char *text, size_t size)
{
    size_t end = strnlen(text, size), start = end;

    if (end + 1 < size)
        return;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length > 1 && end - (start - 1) < length)
        text[start - 1] = '\0';
}

static int positive(int code)
{
    if (code == 0 || code == INT_MIN)
        return EIO;
    return code < 0 ? -code : code;
}

/* The arguments may point into error->message: the text is made beside and copied. */
static int set(InaError *error, int code, const char *suffix, const char *format, va_list arguments)
{
    char message[INA_ERROR_MESSAGE_MAX];

    if (!error)
        return -code;
    int saved = errno;
    int length = vsnprintf(message, sizeof(message), format, arguments);
    if (length < 0)
        message[length = 0] = '\0';
    if (suffix && (size_t)length < sizeof(message))
        snprintf(message + length, sizeof(message) - (size_t)length, ": %s", suffix);
    cut_at_character(message, sizeof(message));
    error->code = code;
    memcpy(error->message, message, strlen(message) + 1);
    errno = saved;
    return -code;
}

int ina_error_set(InaError *error, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int r = set(error, positive(code), NULL, format, arguments);
    va_end(arguments);
    return r;
}

int ina_error_errno(InaError *error, int code, const char *format, ...)
{
    va_list arguments;
    char unknown[32];
    /* strerror() allocates; this does not. */
    const char *description = strerrordesc_np(positive(code));

    if (!description) {
        snprintf(unknown, sizeof(unknown), "error %d", positive(code));
        description = unknown;
    }
    va_start(arguments, format);
    int r = set(error, positive(code), description, format, arguments);
    va_end(arguments);
    return r;
}

int ina_error_wrap(InaError *error, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return -EIO;
    va_start(arguments, format);
    int r =
        set(error, positive(error->code), error->code == 0 ? strerrordesc_np(EIO) : error->message, format, arguments);
    va_end(arguments);
    return r;
}
