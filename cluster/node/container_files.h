/* container_files.h - what a container may reach of the file system. */
#pragma once

#include "container_setup.h"

/* The set for confine_self in *ret_fd; -1: the kernel has none. After all else of `setup` is made. `image_folder` is
 * that of its image. */
int container_files(const ContainerOptions *options, const char *image_folder, const ContainerSetup *setup, int *ret_fd,
                    InaError *error);
