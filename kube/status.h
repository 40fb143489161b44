/* status.h - Kubernetes' Status objects: what an API answers instead of an object.
 *
 * Messages and reasons are those of Kubernetes 1.20 (apimachinery's
 * api/errors), so that people and client libraries understand them. Each
 * returns a new tree; NULL: out of memory. */
#pragma once

#include "object.h"

json_t *kube_status_success(const char *kind_plural, const char *name, const char *uid);
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
int kube_status_code(const json_t *status);
const char *kube_status_message(const json_t *status);

/* 422 Invalid: collects causes, then makes the Status. */
typedef struct KubeCauses KubeCauses;
KubeCauses *kube_causes_new(void);
/* type: "FieldValueInvalid", "FieldValueRequired", "FieldValueNotSupported", "FieldValueForbidden",
 * "FieldValueDuplicate"; the message as Kubernetes words it behind "field: ". */
void kube_cause(KubeCauses *causes, const char *type, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
size_t kube_causes_count(const KubeCauses *causes);
/* Frees the causes; NULL when there are none. */
json_t *kube_causes_status(KubeCauses *causes, const char *group, const char *kind, const char *name);
