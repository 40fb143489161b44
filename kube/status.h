/* status.h - Kubernetes' Status objects: what an API answers instead of an object.
 *
 * Messages and reasons are those of Kubernetes 1.20 (apimachinery's
 * api/errors), so that people and client libraries understand them. Each
 * returns a new tree; NULL: out of memory. */
#pragma once

#include "object.h"

/* Of a deletion: details name the object. group "" for the core; name NULL: no details. */
json_t *kube_status_success(const char *group, const char *resource, const char *name, const char *uid);
/* code, reason and message as given; `group` and `resource` may be NULL or "". */
json_t *kube_status_failure(int code, const char *reason, const char *message);
json_t *kube_status_bad_request(const char *format, ...) __attribute__((format(printf, 1, 2)));
json_t *kube_status_not_found(const char *group, const char *resource, const char *name);
json_t *kube_status_exists(const char *group, const char *resource, const char *name);
json_t *kube_status_conflict(const char *group, const char *resource, const char *name, const char *why);
json_t *kube_status_forbidden(const char *group, const char *resource, const char *name, const char *why);
json_t *kube_status_method(const char *group, const char *resource, const char *verb);
json_t *kube_status_expired(const char *message); /* 410 */
json_t *kube_status_internal(const char *message);
json_t *kube_status_unauthorized(void);                             /* 401 */
json_t *kube_status_timeout(const char *message);                   /* 504: it may have happened or not */
json_t *kube_status_unavailable(const char *message);               /* 503 */
json_t *kube_status_too_many(const char *message, int retry_after); /* 429; seconds */
json_t *kube_status_too_large(const char *message);                 /* 413 */
json_t *kube_status_media_type(const char *message);                /* 415 */
int kube_status_code(const json_t *status);
const char *kube_status_message(const json_t *status);
bool kube_is_status(const json_t *object); /* kind Status of v1 */
/* As Go's %q, which the messages use for names and values; malloc'ed, NULL: out of memory. */
char *kube_quote(const char *text);

/* 422 Invalid: collects causes, then makes the Status. */
typedef struct KubeCauses KubeCauses;
KubeCauses *kube_causes_new(void);
/* type: "FieldValueInvalid", "FieldValueRequired", "FieldValueNotSupported", "FieldValueForbidden",
 * "FieldValueDuplicate"; the message as Kubernetes words it behind "field: ", as a whole
 * ("Invalid value: \"x\": must be no more than 63 characters", "Required value"). Beyond KUBE_CAUSES_MAX they are
 * only counted. */
#define KUBE_CAUSES_MAX 256u
void kube_cause(KubeCauses *causes, const char *type, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
size_t kube_causes_count(const KubeCauses *causes);
/* Frees the causes; NULL when there are none. name "": Kubernetes then says "" too. */
json_t *kube_causes_status(KubeCauses *causes, const char *group, const char *kind, const char *name);
KubeCauses *kube_causes_free(KubeCauses *causes);
