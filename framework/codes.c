/* codes.c - names of Connect's error codes. */
#include <inaetics/call.h>

#include <string.h>

static const char *const names[] = {
    [INA_CODE_OK] = "ok",
    [INA_CODE_CANCELED] = "canceled",
    [INA_CODE_UNKNOWN] = "unknown",
    [INA_CODE_INVALID_ARGUMENT] = "invalid_argument",
    [INA_CODE_DEADLINE_EXCEEDED] = "deadline_exceeded",
    [INA_CODE_NOT_FOUND] = "not_found",
    [INA_CODE_ALREADY_EXISTS] = "already_exists",
    [INA_CODE_PERMISSION_DENIED] = "permission_denied",
    [INA_CODE_RESOURCE_EXHAUSTED] = "resource_exhausted",
    [INA_CODE_FAILED_PRECONDITION] = "failed_precondition",
    [INA_CODE_ABORTED] = "aborted",
    [INA_CODE_OUT_OF_RANGE] = "out_of_range",
    [INA_CODE_UNIMPLEMENTED] = "unimplemented",
    [INA_CODE_INTERNAL] = "internal",
    [INA_CODE_UNAVAILABLE] = "unavailable",
    [INA_CODE_DATA_LOSS] = "data_loss",
    [INA_CODE_UNAUTHENTICATED] = "unauthenticated",
};

#define N_CODES (sizeof(names) / sizeof(*names))

const char *ina_code_name(InaCode code)
{
    return (unsigned)code < N_CODES ? names[code] : names[INA_CODE_UNKNOWN];
}

InaCode ina_code_from_name(const char *name)
{
    for (unsigned i = 0; name != NULL && i < N_CODES; i++) {
        if (strcmp(names[i], name) == 0)
            return (InaCode)i;
    }
    return INA_CODE_UNKNOWN;
}
