/* error.h - the one error type.
 *
 * A function that can fail returns 0 or a negative errno and takes an
 * InaError as its last parameter, which may be NULL. On failure the message
 * says what was wrong, where, and what would be right; on success it is left
 * alone. Nothing is allocated. */
#pragma once

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Programs export these to the bundles they host. */
#pragma GCC visibility push(default)

#define INA_ERROR_MESSAGE_MAX 512

typedef struct InaError {
    int code; /* a positive errno */
    char message[INA_ERROR_MESSAGE_MAX];
} InaError;

/* Sets `error` (if not NULL) and returns -code. `code` may be given positive
 * or negative. A message that does not fit is cut. */
int ina_error_set(InaError *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As ina_error_set, with ": " and strerror(code) added. */
int ina_error_errno(InaError *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Prepends "context: " to the message and returns -error->code (-EIO when
 * error is NULL or was never set). */
int ina_error_wrap(InaError *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
