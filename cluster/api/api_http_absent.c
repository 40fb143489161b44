/* api_http_absent.c - what Kubernetes has and the cluster has not: 404 in words
 * that name what does the same here. */
#include "api_http_internal.h"

#include <string.h>

static const struct {
    const char *resource, *subresource, *words;
} absent[] = {
    {"pods", "attach",
     "there is nothing to attach to, containers have no standard input here: `kubectl logs -f POD` shows what one "
     "writes, and `inaetics exec POD COMMAND` runs a command in it"},
    {"pods", "ephemeralcontainers",
     "there are no ephemeral containers here: `inaetics exec POD COMMAND` runs a command in a container of the pod, "
     "with the programs of this machine"},
    {"pods", "portforward",
     "ports of pods are not forwarded here: connect to the pod's own address (`kubectl get pods -o wide`), which is "
     "reachable from this machine"},
    {"pods", "proxy",
     "requests are not passed on to pods here: ask the pod at its own address (`kubectl get pods -o wide`), which is "
     "reachable from this machine"},
    {"services", "proxy",
     "requests are not passed on to services here: ask the service at its cluster address (`kubectl get services`), "
     "which is reachable from this machine"},
};

#define AUTOSCALING "/apis/autoscaling"
#define NAMESPACES "/api/v1/namespaces/"

/* Whether the next segment is this one; goes on to the one behind it. */
static bool next_is(const char **at, const char *wanted)
{
    size_t length = strcspn(*at, "/");
    bool same = wanted && strlen(wanted) == length && memcmp(*at, wanted, length) == 0;

    *at += length;
    *at += **at == '/';
    return same;
}

/* RESOURCE/NAME/SUBRESOURCE, and whatever is behind that. */
static bool names(const char *path, const char *resource, const char *subresource)
{
    if (!next_is(&path, resource))
        return false;
    (void)next_is(&path, NULL);
    return next_is(&path, subresource);
}

json_t *api_status_absent(const char *path)
{
    size_t length = strlen(AUTOSCALING);

    if (strncmp(path, AUTOSCALING, length) == 0 && (path[length] == '\0' || path[length] == '/'))
        return api_status_missing_because(
            "there are no HorizontalPodAutoscalers here: the coordinator scales the processors of Applications "
            "(`kubectl get applications`); `kubectl scale` sets the number of other pods by hand");
    if (strncmp(path, NAMESPACES, strlen(NAMESPACES)) != 0)
        return NULL;
    path += strlen(NAMESPACES);
    (void)next_is(&path, NULL);
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        if (names(path, absent[i].resource, absent[i].subresource))
            return api_status_missing_because(absent[i].words);
    return NULL;
}
