/* schema_check_security.c - what Kubernetes demands of security contexts, and what no node here can do. */
#include "schema_internal.h"

#include <stdio.h>
#include <string.h>

#define ID_MAX 2147483647

/* Root of a container is not root of its machine in Kubernetes. Here it would be. */
static void check_id(Check *check, const char *name, const json_t *value, const char *what)
{
    char why[128];
    if (!json_is_integer(value))
        return;
    json_int_t id = json_integer_value(value);
    if (id < 0 || id > ID_MAX) {
        check_invalid(check, name, value, "must be between 0 and 2147483647, inclusive");
    } else if (id == 0) {
        snprintf(why, sizeof why, "not supported by this cluster: it would be %s of the machine", what);
        check_forbidden(check, name, why);
    }
}

static void check_seccomp(Check *check, const json_t *context)
{
    static const char *const types[] = {"Localhost", "RuntimeDefault", "Unconfined", NULL};
    const json_t *profile = json_object_get(context, "seccompProfile");
    const char *type = kube_string(profile, "type");
    if (!profile)
        return;
    size_t length = path_field(&check->path, "seccompProfile");
    if (*type == '\0')
        check_required(check, "type", "type is required when seccompProfile is set");
    else if (strcmp(type, "Localhost") == 0) /* its profile would have been refused */
        check_required(check, "localhostProfile", "must be set when seccomp type is Localhost");
    else if (strcmp(type, "RuntimeDefault") != 0 && strcmp(type, "Unconfined") != 0)
        check_unsupported(check, "type", json_object_get(profile, "type"), types);
    path_back(&check->path, length);
}

static void check_common(Check *check, const json_t *context)
{
    check_id(check, "runAsUser", json_object_get(context, "runAsUser"), "root");
    check_id(check, "runAsGroup", json_object_get(context, "runAsGroup"), "root's group");
}

void check_security_context(Check *check, const json_t *container)
{
    const json_t *context = json_object_get(container, "securityContext");
    size_t length = path_field(&check->path, "securityContext");
    check_common(check, context);
    check_seccomp(check, context);
    path_back(&check->path, length);
}

void check_pod_security_context(Check *check, const json_t *spec)
{
    static const char *const policies[] = {"Always", "OnRootMismatch", NULL};
    const json_t *context = json_object_get(spec, "securityContext"), *group;
    const char *policy = kube_string(context, "fsGroupChangePolicy");
    size_t i, length = path_field(&check->path, "securityContext");
    check_id(check, "fsGroup", json_object_get(context, "fsGroup"), "root's group");
    check_common(check, context);
    json_array_foreach(json_object_get(context, "supplementalGroups"), i, group)
    {
        size_t inner = path_field(&check->path, "supplementalGroups");
        path_index(&check->path, i);
        check_id(check, NULL, group, "root's group");
        path_back(&check->path, inner);
    }
    if (*policy && strcmp(policy, "Always") != 0 && strcmp(policy, "OnRootMismatch") != 0)
        check_unsupported(check, "fsGroupChangePolicy", json_object_get(context, "fsGroupChangePolicy"), policies);
    check_seccomp(check, context);
    path_back(&check->path, length);
}
