#include "container_files.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "cluster/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

typedef struct Files {
    const ContainerOptions *options;
    const ContainerSetup *setup;
    char *data; /* of the instance, without links */
    int fd;
    InaError *error;
} Files;

/* The machine: what programs are made of, and what they ask the system. But for the data folder, wherever it is. */
static int allow_system(Files *files)
{
    static const char *const folders[] = {"/usr",    "/bin", "/sbin", "/lib", "/lib32", "/lib64",
                                          "/libx32", "/etc", "/opt",  "/sys", "/proc",  "/etc/resolv.conf"};
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
                                          "/dev/tty",  "/dev/ptmx", "/dev/pts",  "/dev/shm"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof folders / sizeof *folders; i++)
        r = confine_allow_except(files->fd, folders[i], files->data, files->error);
    for (size_t i = 0; r == 0 && i < sizeof devices / sizeof *devices; i++) {
        bool memory = strcmp(devices[i], "/dev/shm") == 0;
        r = access(devices[i], F_OK) < 0
                ? 0
                : confine_allow(files->fd, devices[i], memory ? CONFINE_WRITE : CONFINE_DEVICE, files->error);
    }
    return r;
}

static int allow_programs(void *userdata, const char *folder)
{
    Files *files = userdata;
    return confine_allow_except(files->fd, folder, files->data, files->error);
}

static int allow_account(Files *files)
{
    const char *account = pod_resources_account(files->options->resources);
    return account ? confine_allow(files->fd, account, CONFINE_READ, files->error) : 0;
}

/* What it is told of. Not by its variables, which a manifest can set. */
static int allow_told(Files *files)
{
    const Instance *instance = files->options->host->instance;
    static const char *const told[] = {"pki/etcd/ca.pem",
                                       "pki/etcd/client.pem",
                                       "pki/etcd/client-key.pem",
                                       "pki/etcd/client.account",
                                       "pki/provisioning.pub",
                                       "token",
                                       "session",
                                       "password"};
    const char *password = getenv("INAETICS_PASSWORD_FILE"); /* which our own variable is made of */
    int r = allow_account(files);
    if (r == 0 && files->setup->told) /* copies */
        return confine_allow(files->fd, files->setup->told, CONFINE_READ, files->error);
    for (size_t i = 0; r == 0 && i < sizeof told / sizeof *told; i++) {
        AUTO_FREE char *path = instance_path(instance, told[i]);
        if (!path)
            return ina_error_set(files->error, ENOMEM, "out of memory");
        if (access(path, F_OK) == 0)
            r = confine_allow(files->fd, path, CONFINE_READ, files->error);
    }
    if (r == 0 && password && access(password, F_OK) == 0)
        r = confine_allow(files->fd, password, CONFINE_READ, files->error);
    return r;
}

static int allow_volume(Files *files, const MountSpec *mount)
{
    const VolumeSpec *volume = pod_spec_volume(files->options->pod, mount->name);
    uint64_t epoch;
    const char *folder = pod_resources_volume(files->options->resources, volume->name, &epoch);
    ConfineRights rights = mount->read_only || volume->kind == VOLUME_FILES ? CONFINE_READ : CONFINE_WRITE;
    int r = !folder ? ina_error_set(files->error, ENOENT, "not there")
            : mount->sub_path && volume->kind != VOLUME_FILES
                ? confine_allow_below(files->fd, folder, mount->sub_path, rights, files->error)
            : access(folder, F_OK) < 0 ? 0 /* a hostPath of any type */
                                       : confine_allow(files->fd, folder, rights, files->error);
    return r < 0 ? ina_error_wrap(files->error, "volume %s", volume->name) : 0;
}

static int allow_all(Files *files, const char *image_folder)
{
    const ContainerOptions *options = files->options;
    int r;
    if ((r = allow_system(files)) < 0 || (r = program_folders(allow_programs, files)) < 0 ||
        (r = allow_programs(files, image_folder)) < 0 || (r = allow_told(files)) < 0 ||
        (r = confine_allow(files->fd, files->setup->cache, CONFINE_WRITE, files->error)) < 0 ||
        (r = confine_allow(files->fd, files->setup->temporary, CONFINE_WRITE, files->error)) < 0)
        return r;
    for (size_t i = 0; r == 0 && i < options->spec->n_mounts; i++)
        r = allow_volume(files, &options->spec->mounts[i]);
    /* A program that is elsewhere: itself, as the manifest names it. */
    if (r == 0 && access(files->setup->program, F_OK) == 0)
        r = confine_allow(files->fd, files->setup->program, CONFINE_READ, files->error);
    return r;
}

int container_files(const ContainerOptions *options, const char *image_folder, const ContainerSetup *setup, int *ret_fd,
                    InaError *error)
{
    *ret_fd = -1;
    if (confine_missing())
        return 0;
    AUTO_FREE char *data = realpath(options->host->instance->data, NULL);
    Files files = {.options = options, .setup = setup, .data = data, .fd = -1, .error = error};
    if (!data)
        return ina_error_errno(error, errno, "%s", options->host->instance->data);
    int r = confine_new(&files.fd, error);
    if (r == 0 && (r = allow_all(&files, image_folder)) < 0) {
        close(files.fd);
        return r;
    }
    *ret_fd = files.fd;
    return r;
}
