/* fuzz_upload.c - any bytes as what somebody uploads: recognised, with names that are safe, or refused. */
#include "provisioning/artifact.h"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_artifact(const json_t *artifact)
{
    const json_t *attributes = json_object_get(artifact, "attributes");
    const char *name = json_string_value(json_object_get(attributes, "Bundle-SymbolicName"));
    const char *version = json_string_value(json_object_get(attributes, "Bundle-Version"));

    if (!json_string_value(json_object_get(attributes, "mimetype")) ||
        !json_string_value(json_object_get(attributes, "filename")) || (name && (!version || strpbrk(name, "/\\ \n"))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const BlobInfo blob = {.digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", .size = size};
    char path[64], name[XML_NAME_MAX + 1], space[XML_NAME_MAX + 1];
    json_t *artifact = NULL;
    InaError error = {0};

    (void)xml_root((const char *)data, size, name, space, NULL);
    int fd = memfd_create("upload", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (artifact_recognise(path, "upload.bin", &blob, &artifact, &error) == 0)
        check_artifact(artifact);
    else if (artifact || error.message[0] == '\0')
        abort();
    json_decref(artifact);
    close(fd);
    return 0;
}
