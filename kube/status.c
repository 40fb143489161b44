/* status.c - the Status objects of apimachinery's api/errors. */
#include "status.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <stdarg.h>
#include <string.h>

#define MESSAGE_MAX 16384

static bool empty(const char *text)
{
    return !text || !*text;
}

char *kube_quote(const char *text)
{
    Buffer out = {0};
    buffer_append(&out, "\"", 1);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        const char *special = strchr("\a\b\f\n\r\t\v\\\"", *at);
        if (special)
            buffer_print(&out, "\\%c", "abfnrtv\\\""[special - "\a\b\f\n\r\t\v\\\""]);
        else if (*at < 0x20 || *at == 0x7f)
            buffer_print(&out, "\\x%02x", *at);
        else
            buffer_append(&out, at, 1);
    }
    buffer_append(&out, "\"", 1);
    if (out.failed) {
        buffer_free(&out);
        return NULL;
    }
    return out.data;
}

/* The fields in the order in which Kubernetes writes them. Takes details, which may be NULL. */
static json_t *failure(int code, const char *reason, const char *message, json_t *details)
{
    json_t *status =
        json_pack("{s:s, s:s, s:{}, s:s}", "kind", "Status", "apiVersion", "v1", "metadata", "status", "Failure");
    if (!status) {
        json_decref(details);
        return NULL;
    }
    if (!empty(message))
        json_object_set_new(status, "message", json_string(message));
    if (!empty(reason))
        json_object_set_new(status, "reason", json_string(reason));
    if (details)
        json_object_set_new(status, "details", details);
    json_object_set_new(status, "code", json_integer(code));
    return status;
}

static json_t *details_of(const char *group, const char *kind, const char *name)
{
    json_t *details = json_object();
    if (!empty(name))
        json_object_set_new(details, "name", json_string(name));
    if (!empty(group))
        json_object_set_new(details, "group", json_string(group));
    if (!empty(kind))
        json_object_set_new(details, "kind", json_string(kind));
    return details;
}

/* The text of a format, cut where it is too long; malloc'ed. */
__attribute__((format(printf, 1, 0))) static char *format_text(const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        return NULL;
    if (strlen(text) > MESSAGE_MAX)
        text[MESSAGE_MAX] = '\0';
    return text;
}

__attribute__((format(printf, 4, 5))) static json_t *failure_text(int code, const char *reason, json_t *details,
                                                                  const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    AUTO_FREE char *text = format_text(format, arguments);
    va_end(arguments);
    return failure(code, reason, text, details);
}

/* "pods", "deployments.apps" */
static char *resource_name(const char *group, const char *resource)
{
    char *text = NULL;
    if (asprintf(&text, "%s%s%s", resource ? resource : "", empty(group) ? "" : ".", group ? group : "") < 0)
        return NULL;
    return text;
}

json_t *kube_status_success(const char *group, const char *resource, const char *name, const char *uid)
{
    json_t *status =
        json_pack("{s:s, s:s, s:{}, s:s}", "kind", "Status", "apiVersion", "v1", "metadata", "status", "Success");
    if (status && name) {
        json_t *details = details_of(group, resource, name);
        if (!empty(uid))
            json_object_set_new(details, "uid", json_string(uid));
        json_object_set_new(status, "details", details);
    }
    return status;
}

json_t *kube_status_failure(int code, const char *reason, const char *message)
{
    return failure(code, reason, message, NULL);
}

json_t *kube_status_bad_request(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    AUTO_FREE char *text = format_text(format, arguments);
    va_end(arguments);
    return failure(400, "BadRequest", text, NULL);
}

json_t *kube_status_not_found(const char *group, const char *resource, const char *name)
{
    AUTO_FREE char *full = resource_name(group, resource), *quoted = kube_quote(name);
    return failure_text(404, "NotFound", details_of(group, resource, name), "%s %s not found", full, quoted);
}

json_t *kube_status_exists(const char *group, const char *resource, const char *name)
{
    AUTO_FREE char *full = resource_name(group, resource), *quoted = kube_quote(name);
    return failure_text(409, "AlreadyExists", details_of(group, resource, name), "%s %s already exists", full, quoted);
}

json_t *kube_status_conflict(const char *group, const char *resource, const char *name, const char *why)
{
    AUTO_FREE char *full = resource_name(group, resource), *quoted = kube_quote(name);
    return failure_text(409, "Conflict", details_of(group, resource, name),
                        "Operation cannot be fulfilled on %s %s: %s", full, quoted, why);
}

json_t *kube_status_forbidden(const char *group, const char *resource, const char *name, const char *why)
{
    if (empty(resource))
        return failure_text(403, "Forbidden", details_of(group, resource, name), "forbidden: %s", why);
    AUTO_FREE char *full = resource_name(group, resource), *quoted = kube_quote(name ? name : "");
    bool named = !empty(name);
    return failure_text(403, "Forbidden", details_of(group, resource, name), "%s%s%s is forbidden: %s", full,
                        named ? " " : "", named ? quoted : "", why);
}

json_t *kube_status_method(const char *group, const char *resource, const char *verb)
{
    AUTO_FREE char *full = resource_name(group, resource);
    return failure_text(405, "MethodNotAllowed", details_of(group, resource, NULL),
                        "%s is not supported on resources of kind \"%s\"", verb, full);
}

json_t *kube_status_expired(const char *message)
{
    return failure(410, "Expired", message, NULL);
}

json_t *kube_status_internal(const char *message)
{
    json_t *details = json_pack("{s:[{s:s}]}", "causes", "message", message);
    return failure_text(500, "InternalError", details, "Internal error occurred: %s", message);
}

json_t *kube_status_unauthorized(void)
{
    return failure(401, "Unauthorized", "Unauthorized", NULL);
}

json_t *kube_status_timeout(const char *message)
{
    return failure_text(504, "Timeout", json_object(), "Timeout: %s", message);
}

json_t *kube_status_unavailable(const char *message)
{
    return failure(503, "ServiceUnavailable", message, NULL);
}

json_t *kube_status_too_many(const char *message, int retry_after)
{
    return failure(429, "TooManyRequests", message, json_pack("{s:i}", "retryAfterSeconds", retry_after));
}

json_t *kube_status_too_large(const char *message)
{
    return failure_text(413, "RequestEntityTooLarge", NULL, "Request entity too large: %s", message);
}

json_t *kube_status_media_type(const char *message)
{
    return failure(415, "UnsupportedMediaType", message, NULL);
}

int kube_status_code(const json_t *status)
{
    int64_t code = kube_integer(status, "code", 0);
    return code >= 100 && code <= 599 ? (int)code : 0;
}

const char *kube_status_message(const json_t *status)
{
    return kube_string(status, "message");
}

bool kube_is_status(const json_t *object)
{
    return strcmp(kube_string(object, "kind"), "Status") == 0 && strcmp(kube_string(object, "apiVersion"), "v1") == 0;
}

/* --- 422 --------------------------------------------------------------------------------------- */

struct KubeCauses {
    json_t *list;
    size_t count;
};

KubeCauses *kube_causes_new(void)
{
    KubeCauses *causes = calloc(1, sizeof *causes);
    if (causes && !(causes->list = json_array())) {
        free(causes);
        causes = NULL;
    }
    return causes;
}

void kube_cause(KubeCauses *causes, const char *type, const char *field, const char *format, ...)
{
    if (causes->count++ >= KUBE_CAUSES_MAX)
        return;
    va_list arguments;
    va_start(arguments, format);
    AUTO_FREE char *text = format_text(format, arguments);
    va_end(arguments);
    json_array_append_new(causes->list,
                          json_pack("{s:s, s:s, s:s}", "reason", type, "message", text ? text : "", "field", field));
}

size_t kube_causes_count(const KubeCauses *causes)
{
    return causes->count;
}

/* "spec.x: Required value", or several "[a, b]", each once. */
static void print_causes(Buffer *out, const json_t *list)
{
    AUTO_JSON json_t *seen = json_object();
    Buffer texts = {0};
    size_t i;
    const json_t *cause;
    json_array_foreach(list, i, cause)
    {
        AUTO_FREE char *text = NULL;
        if (asprintf(&text, "%s: %s", kube_string(cause, "field"), kube_string(cause, "message")) < 0)
            break;
        if (json_object_get(seen, text))
            continue;
        json_object_set_new(seen, text, json_true());
        buffer_print(&texts, "%s%s", texts.size ? ", " : "", text);
    }
    bool several = json_object_size(seen) > 1;
    buffer_print(out, "%s%s%s", several ? "[" : "", texts.data && !texts.failed ? texts.data : "", several ? "]" : "");
    buffer_free(&texts);
}

json_t *kube_causes_status(KubeCauses *causes, const char *group, const char *kind, const char *name)
{
    json_t *status = NULL;
    if (causes->count > 0) {
        AUTO_FREE char *full = resource_name(group, kind), *quoted = kube_quote(name ? name : "");
        Buffer message = {0};
        buffer_print(&message, "%s %s is invalid: ", full, quoted);
        print_causes(&message, causes->list);
        json_t *details = details_of(group, kind, name);
        json_object_set(details, "causes", causes->list);
        status = failure(422, "Invalid", message.failed ? "" : message.data, details);
        buffer_free(&message);
    }
    kube_causes_free(causes);
    return status;
}

KubeCauses *kube_causes_free(KubeCauses *causes)
{
    if (causes) {
        json_decref(causes->list);
        free(causes);
    }
    return NULL;
}
