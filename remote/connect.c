#include "connect.h"
#include "base/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERROR_SIZE_MAX (64u * 1024u)

int connect_status(InaCode code)
{
    static const int statuses[] = {
        [INA_CODE_OK] = 200,
        [INA_CODE_CANCELED] = 499,
        [INA_CODE_UNKNOWN] = 500,
        [INA_CODE_INVALID_ARGUMENT] = 400,
        [INA_CODE_DEADLINE_EXCEEDED] = 504,
        [INA_CODE_NOT_FOUND] = 404,
        [INA_CODE_ALREADY_EXISTS] = 409,
        [INA_CODE_PERMISSION_DENIED] = 403,
        [INA_CODE_RESOURCE_EXHAUSTED] = 429,
        [INA_CODE_FAILED_PRECONDITION] = 400,
        [INA_CODE_ABORTED] = 409,
        [INA_CODE_OUT_OF_RANGE] = 400,
        [INA_CODE_UNIMPLEMENTED] = 501,
        [INA_CODE_INTERNAL] = 500,
        [INA_CODE_UNAVAILABLE] = 503,
        [INA_CODE_DATA_LOSS] = 500,
        [INA_CODE_UNAUTHENTICATED] = 401,
    };
    return (size_t)code < sizeof(statuses) / sizeof(*statuses) ? statuses[code] : 500;
}

InaCode connect_code(int status)
{
    switch (status) {
    case 400:
        return INA_CODE_INTERNAL;
    case 401:
        return INA_CODE_UNAUTHENTICATED;
    case 403:
        return INA_CODE_PERMISSION_DENIED;
    case 404:
        return INA_CODE_UNIMPLEMENTED;
    case CONNECT_STATUS_GONE:
    case 429:
    case 502:
    case 503:
    case 504:
        return INA_CODE_UNAVAILABLE;
    case 413:
        return INA_CODE_RESOURCE_EXHAUSTED;
    default:
        return INA_CODE_UNKNOWN;
    }
}

void connect_error_print(const InaFailure *failure, Buffer *buffer)
{
    json_t *message = json_string(failure->message ? failure->message : "");
    if (!message)
        message = json_string("(a message that is not UTF-8)");
    char *text = message ? json_dumps(message, JSON_ENCODE_ANY) : NULL;
    buffer_print(buffer, "{\"code\":\"%s\",\"message\":%s}", ina_code_name(failure->code), text ? text : "\"\"");
    free(text);
    json_decref(message);
}

void connect_error_parse(int status, const char *body, size_t size, ConnectError *ret)
{
    json_t *root = NULL;
    const char *code = NULL, *message = NULL;
    if (json_parse(body, size, ERROR_SIZE_MAX, &root, NULL) >= 0 && json_is_object(root)) {
        code = json_string_value(json_object_get(root, "code"));
        message = json_string_value(json_object_get(root, "message"));
    }
    ret->code = code ? ina_code_from_name(code) : connect_code(status);
    if (ret->code == INA_CODE_OK)
        ret->code = INA_CODE_UNKNOWN;
    if (code && message)
        snprintf(ret->message, sizeof(ret->message), "%s", message);
    else
        snprintf(ret->message, sizeof(ret->message), "HTTP status %d", status);
    json_decref(root);
}

void connect_endpoint_name(const ServiceEntry *entry, char name[static CONNECT_ENDPOINT_MAX])
{
    snprintf(name, CONNECT_ENDPOINT_MAX, "%.255s-%lld", registry_contract(entry)->name,
             (long long)ina_properties_integer(registry_properties(entry), "ina.id", 0));
}
