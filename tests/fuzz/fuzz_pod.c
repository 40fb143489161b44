/* fuzz_pod.c - any text as a Kubernetes Pod manifest: refused with the file's
 * name and a reason, or understood. */
#include "cluster/node/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PodSpec *pod = NULL;
    InaError error = {.message = ""};
    if (manifest_parse((const char *)data, size, "pod.json", &pod, &error) == 0) {
        if (!pod || !manifest_is_name(pod->name) || pod->n_containers == 0 || pod->grace < 0)
            abort();
        for (size_t i = 0; i < pod->n_containers; i++)
            for (size_t j = 0; j < pod->containers[i].n_mounts; j++)
                if (!manifest_volume(pod, pod->containers[i].mounts[j].name))
                    abort();
    } else if (pod || !strstr(error.message, "pod.json")) {
        abort();
    }
    manifest_free(pod);
    return 0;
}
