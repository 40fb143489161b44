#include "up_prepare.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/pki.h"
#include "cluster/child.h"
#include "cluster/node/manifest.h"
#include "cluster/ports.h"
#include "deployment.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/un.h>

#define TOKEN_BYTES 32
#define SESSION_BYTES 16

/* --- the lock -------------------------------------------------------------------- */

static int lock_path(const Instance *instance, char **ret)
{
    *ret = instance_path(instance, "lock");
    return *ret ? 0 : -ENOMEM;
}

int up_find(const Instance *instance)
{
    AUTO_FREE char *path = NULL;
    if (lock_path(instance, &path) < 0)
        return 0;
    AUTO_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd < 0 || fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid;
}

/* A record lock tells its owner's pid, and goes when the process does. */
static int take_lock(const Instance *instance, InaError *error)
{
    AUTO_FREE char *path = NULL;
    if (lock_path(instance, &path) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ina_error_errno(error, errno, "%s", path);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return 0; /* the descriptor stays open as long as the process lives */
    int owner = up_find(instance);
    close(fd);
    return ina_error_set(error, EBUSY,
                         "an instance runs on %s already (pid %d); end it with `inaetics down`, or run another beside "
                         "it with --name N (1 to %d)",
                         instance->data, owner, INSTANCE_NUMBER_MAX);
}

/* --- secrets ------------------------------------------------------------------------ */

static int make_token(const Instance *instance, const char *name, size_t bytes, char **ret, InaError *error)
{
    AUTO_FREE char *path = instance_path(instance, name);
    return path ? pki_ensure_token(path, bytes, ret, error) : ina_error_set(error, ENOMEM, "out of memory");
}

static int make_secrets(const Instance *instance, char **ret_session, InaError *error)
{
    AUTO_FREE char *folder = instance_path(instance, "pki"), *token = NULL;
    const char *const server[] = {instance->controller, "127.0.0.1", "localhost"};
    if (!folder)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = pki_ensure_ca(folder, "Inaetics cluster", error);
    if (r < 0 ||
        (r = pki_ensure_certificate(folder, "etcd", PKI_SERVER_AND_CLIENT, "inaetics:etcd", server, 3, error)) < 0 ||
        (r = pki_ensure_certificate(folder, "client", PKI_CLIENT, "inaetics:agents", NULL, 0, error)) < 0 ||
        (r = make_token(instance, "token", TOKEN_BYTES, &token, error)) < 0)
        return r;
    return make_token(instance, "session", SESSION_BYTES, ret_session, error);
}

/* --- what the programs bring along ---------------------------------------------------- */

/* The first of these folders, seen from the program's own, that is there; malloc'ed. */
static char *find_folder(const char *const *candidates)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return NULL;
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return NULL;
    *slash = '\0';
    for (; *candidates; candidates++) {
        AUTO_FREE char *path = path_join(self, *candidates);
        char *real = path ? realpath(path, NULL) : NULL;
        if (real)
            return real;
    }
    return NULL;
}

static void print_notice(void *userdata, const char *text)
{
    fprintf(stderr, "inaetics: %s\n", text);
}

static int install_manifests(const UpOptions *options, InaError *error)
{
    static const char *const candidates[] = {"../demonstrator/deployment", "../share/inaetics/deployment", NULL};
    AUTO_FREE char *found = options->deployment ? NULL : find_folder(candidates);
    const char *folder = options->deployment ? options->deployment : found;
    if (!folder || folder[0] == '\0')
        return 0;
    return deployment_install(options->instance, folder, print_notice, NULL, error);
}

/* DATA/bundles leads to the folder of bundles, so that manifests can name them. */
static int link_bundles(const UpOptions *options, InaError *error)
{
    static const char *const candidates[] = {"../demonstrator/bundles", "../lib/inaetics/bundles", NULL};
    AUTO_FREE char *found = options->bundles ? realpath(options->bundles, NULL) : find_folder(candidates);
    if (options->bundles && !found)
        return ina_error_errno(error, errno, "folder of bundles %s", options->bundles);
    AUTO_FREE char *path = instance_path(options->instance, "bundles"),
                   *fresh = instance_path(options->instance, ".bundles");
    if (!found)
        return 0;
    if (!path || !fresh)
        return ina_error_set(error, ENOMEM, "out of memory");
    unlink(fresh);
    if (symlink(found, fresh) < 0 || rename(fresh, path) < 0)
        return ina_error_errno(error, errno, "link %s to %s", path, found);
    return 0;
}

/* --- leftovers ------------------------------------------------------------------------- */

static void end_leftovers(const Instance *instance)
{
    static const char *const marks[] = {INSTANCE_MARK_PART, INSTANCE_MARK_POD};
    unsigned count = 0;
    for (size_t i = 0; i < 2; i++) {
        AUTO_FREE char *mark = instance_mark(instance, marks[i]);
        if (mark)
            count += child_sweep(mark);
    }
    if (count > 0)
        fprintf(stderr, "inaetics: ended what an earlier run left behind (processes: %u)\n", count);
}

/* Said here, before anything is made. */
static int check_socket_path(const Instance *instance, InaError *error)
{
    const struct sockaddr_un address;
    AUTO_FREE char *path = instance_path(instance, "node.sock");
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (strlen(path) < sizeof address.sun_path)
        return 0;
    return ina_error_set(error, ENAMETOOLONG,
                         "%s: the path of a unix socket may have %zu bytes, this has %zu; choose a shorter --data",
                         path, sizeof address.sun_path - 1, strlen(path));
}

int up_prepare(const UpOptions *options, char **ret_session, InaError *error)
{
    const Instance *instance = options->instance;
    int r = check_socket_path(instance, error);
    if (r < 0 || (r = folder_make(instance->data, 0700, error)) < 0 || (r = take_lock(instance, error)) < 0)
        return r;
    end_leftovers(instance);
    if ((r = make_secrets(instance, ret_session, error)) < 0 || (r = install_manifests(options, error)) < 0)
        return r;
    return link_bundles(options, error);
}

/* --- ports ------------------------------------------------------------------------------- */

static int check_port(const char *address, unsigned port, InaError *error)
{
    InaError taken = {0};
    int r = port_check(address, port, &taken);
    if (r == -EADDRINUSE)
        return ina_error_set(error, EADDRINUSE,
                             "%s; end that, or run with --name N (1 to %d) at other addresses and ports", taken.message,
                             INSTANCE_NUMBER_MAX);
    return r < 0 ? ina_error_set(error, r, "%s", taken.message) : 0;
}

/* A port that the browser's side is offered at. */
static int check_host_port(const UpOptions *options, const PortSpec *port, UpPage *page, InaError *error)
{
    unsigned number = instance_port(options->instance, (unsigned)port->host_port);
    const char *address = port->host_ip ? port->host_ip : "127.0.0.1";
    int r = check_port(address, number, error);
    if (r == 0 && options->listen)
        r = check_port(options->listen, number, error);
    if (r == 0 && (page->port == 0 || number < page->port)) {
        page->port = number;
        snprintf(page->address, sizeof page->address, "%s", address);
    }
    return r;
}

static int check_pod_ports(const UpOptions *options, const PodSpec *spec, UpPage *page, InaError *error)
{
    char first_pod[20];
    snprintf(first_pod, sizeof first_pod, "%s2", options->instance->pods);
    for (size_t i = 0; i < spec->n_containers; i++) {
        for (size_t j = 0; j < spec->containers[i].n_ports; j++) {
            const PortSpec *port = &spec->containers[i].ports[j];
            int r = port->host_port > 0 ? check_host_port(options, port, page, error) : 0;
            if (r == 0) /* one who listens at all addresses takes it from the pods */
                r = check_port(first_pod, instance_port(options->instance, (unsigned)port->container_port), error);
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int check_manifests(const UpOptions *options, UpPage *page, InaError *error)
{
    AUTO_FREE char *path = instance_path(options->instance, "manifests");
    AUTO_FOLDER DIR *folder = path ? opendir(path) : NULL;
    struct dirent *item;
    while (folder && (item = readdir(folder))) {
        AUTO_FREE char *file = path_join(path, item->d_name), *text = NULL;
        size_t size;
        PodSpec *spec;
        if (item->d_name[0] == '.' || !file || file_read(file, MANIFEST_SIZE_MAX, &text, &size, NULL) < 0 ||
            manifest_parse(text, size, item->d_name, &spec, NULL) < 0)
            continue; /* the node says what is wrong with it */
        int r = check_pod_ports(options, spec, page, error);
        manifest_free(spec);
        if (r < 0)
            return r;
    }
    return 0;
}

int up_check_ports(const UpOptions *options, UpPage *ret, InaError *error)
{
    UpPage page = {0};
    int r = check_port(options->instance->controller, INSTANCE_ETCD_PORT, error);
    if (r == 0)
        r = check_manifests(options, &page, error);
    if (r == 0)
        *ret = page;
    return r;
}
