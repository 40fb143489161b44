/* fuzz_pod.c - any JSON as a pod of the API: refused with a reason, or
 * understood without leading out of the node's folders. */
#include "cluster/node/pod_spec.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_MAX_HERE (256u * 1024u)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PodSpec *pod = NULL;
    json_t *json = NULL;
    InaError error = {.message = ""};
    if (json_parse((const char *)data, size, SIZE_MAX_HERE, &json, NULL) < 0)
        return 0;
    if (pod_spec_read(json, &pod, &error) == 0) {
        if (!pod || pod->n_containers == 0 || pod->grace < 0 || strchr(pod->name, '/') || strchr(pod->uid, '/'))
            abort();
        for (size_t i = 0; i < pod->n_containers; i++)
            for (size_t j = 0; j < pod->containers[i].n_mounts; j++)
                if (!pod_spec_volume(pod, pod->containers[i].mounts[j].name))
                    abort();
    } else if (pod || error.message[0] == '\0') {
        abort();
    }
    pod_spec_free(pod);
    json_decref(json);
    return 0;
}
