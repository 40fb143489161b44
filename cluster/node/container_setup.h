/* container_setup.h - from a container's description to what is executed:
 * program, arguments, environment, folders. */
#pragma once

#include "container.h"

typedef struct ContainerSetup {
    char *program;
    char **arguments; /* NULL behind the last */
    char *directory;
    Environment *environment;
} ContainerSetup;

int container_setup(const ContainerOptions *options, ContainerSetup *ret, InaError *error);
void container_setup_clear(ContainerSetup *setup);
/* "inaetics/agent", "registry:5000/inaetics/agent:1.2" -> "inaetics-agent". -ENAMETOOLONG. */
int image_program(const char *image, char *ret, size_t size);
/* Folder of an emptyDir volume; malloc'ed. */
char *volume_folder(const Instance *instance, const char *pod, const VolumeSpec *volume);
