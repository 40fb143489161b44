/* fuzz_kube_protobuf.c - any bytes as the protobuf body of an object. */
#include "kube/protobuf.h"

#include "base/cleanup.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *object = NULL;
    if (kube_protobuf_decode(data, size, &object, NULL) < 0)
        return 0;
    AUTO_FREE char *text = json_dumps(object, JSON_COMPACT);
    if (!text)
        __builtin_trap();
    json_decref(object);
    return 0;
}
