/* container_setup.h - from a container's description to what is executed:
 * program, arguments, environment, folders. */
#pragma once

#include "container.h"
#include "identity.h"

struct ContainerSetup {
    char *program;
    char **arguments; /* NULL behind the last */
    char *directory;
    char *cache, *temporary; /* folders of its own */
    char *told;              /* folder with what it is told of; NULL: it reads the originals */
    Cgroup *group;           /* NULL: none */
    Identity identity;
    ChildUser user; /* where the identity changes; groups are those of `identity` */
    Environment *environment;
    int rules; /* what it, and commands beside it, may reach (confine.h); -1: not confined */
};

/* On failure *ret_reason may become Kubernetes' word for it ("ErrImagePull"). */
int container_setup(const ContainerOptions *options, unsigned run, ContainerSetup *ret, const char **ret_reason,
                    InaError *error);
#define CONTAINER_FILES_MAX 65536u /* that a process may have open */
/* That a container may have in a control group of version 2, and a pod with a user of its own; threads too. */
#define CONTAINER_PROCESSES_MAX 4096u

/* How it, and what runs beside it, is started: environment, directory, user, limits, files it may reach. */
void container_setup_child(const ContainerSetup *setup, ChildOptions *ret);
/* Whether a claimed volume of the pod has been given to another; error says which. */
bool container_setup_fenced(const ContainerOptions *options, InaError *error);
/* Notes a process with the claimed volumes that it has mounted. */
int container_setup_attached(const ContainerOptions *options, pid_t pid, InaError *error);
/* INAETICS_LISTEN of a container, "" if it has no host port: a hostIP that is "" or 0.0.0.0 means 127.0.0.1, to which
 * comes `listen` (of `inaetics up`; NULL: not given). One beyond loopback that `listen` does not name is refused. */
int container_listen(const ContainerSpec *spec, const Instance *instance, const char *listen, char *ret, size_t size,
                     InaError *error);
void container_setup_clear(ContainerSetup *setup);
