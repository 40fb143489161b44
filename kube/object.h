/* object.h - Kubernetes objects as JSON trees: reading and changing by path,
 * metadata, conditions, owners, names and times.
 *
 * An object is a jansson tree. Trees that came from a cache, a store or an
 * informer are shared and never changed: take json_deep_copy first. Readers
 * return borrowed values and give "" / 0 / false / NULL for what is absent or
 * of another type, so that no caller has to check each step. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define KUBE_NAME_MAX 253u
#define KUBE_LABEL_MAX 63u

/* --- by path: "spec.template.metadata.labels"; keys with dots cannot be named so --------------- */
const json_t *kube_get(const json_t *object, const char *path);  /* NULL: not there */
const char *kube_string(const json_t *object, const char *path); /* "" */
int64_t kube_integer(const json_t *object, const char *path, int64_t otherwise);
bool kube_boolean(const json_t *object, const char *path);
/* Takes `value` (also on failure); makes the objects on the way. -EINVAL: something on the way is no object. */
int kube_set(json_t *object, const char *path, json_t *value);
void kube_remove(json_t *object, const char *path);

/* --- metadata ----------------------------------------------------------------------------- */
const char *kube_name(const json_t *object);
const char *kube_namespace(const json_t *object); /* "": of the cluster */
const char *kube_uid(const json_t *object);
int64_t kube_revision(const json_t *object);                         /* metadata.resourceVersion as number; 0: none */
const json_t *kube_labels(const json_t *object);                     /* NULL: none */
const char *kube_annotation(const json_t *object, const char *name); /* NULL: none */
bool kube_deleting(const json_t *object);                            /* has a deletionTimestamp */
const json_t *kube_controller(const json_t *object); /* the owner reference with controller: true; NULL: none */
json_t *kube_owner_reference(const json_t *owner);   /* {apiVersion, kind, name, uid, controller, blockOwnerDeletion} */

/* --- conditions: status.conditions ---------------------------------------------------------- */
const json_t *kube_condition(const json_t *object, const char *type); /* NULL: none */
bool kube_condition_true(const json_t *object, const char *type);
/* Sets or replaces; lastTransitionTime changes only with `status`. Returns whether anything changed. */
bool kube_set_condition(json_t *object, const char *type, const char *status, const char *reason, const char *message,
                        time_t now);

/* --- pods ----------------------------------------------------------------------------------- */
bool kube_pod_ready(const json_t *pod);
bool kube_pod_ended(const json_t *pod); /* phase Succeeded or Failed */

/* --- names and times -------------------------------------------------------------------------- */
/* As Kubernetes' messages have them: NULL when the text is right, else what is wrong
 * ("a lowercase RFC 1123 subdomain must consist of ..."), a constant. */
const char *kube_check_dns_label(const char *text);     /* RFC 1123, 63 */
const char *kube_check_dns_subdomain(const char *text); /* RFC 1123, 253 */
const char *kube_check_service_name(const char *text);  /* RFC 1035 label */
const char *kube_check_label_key(const char *text);
const char *kube_check_label_value(const char *text);
#define KUBE_TIME_SIZE 32
void kube_time(time_t time, char ret[KUBE_TIME_SIZE]); /* RFC 3339 in UTC, "2026-01-31T12:00:00Z" */
void kube_time_micro(uint64_t us_since_1970,
                     char ret[KUBE_TIME_SIZE]);                     /* with six digits: MicroTime of leases, events */
int kube_time_parse(const char *text, uint64_t *ret_us_since_1970); /* -EINVAL */
/* As kubectl's AGE column: "5s", "3m10s", "26h", "12d". */
void kube_age(uint64_t seconds, char ret[KUBE_TIME_SIZE]);
#define KUBE_UID_SIZE 37
void kube_make_uid(char ret[KUBE_UID_SIZE]); /* a random UUID, RFC 4122 version 4 */
/* Five random letters and digits as generateName appends them. */
void kube_make_suffix(char ret[6]);
