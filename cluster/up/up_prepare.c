#include "up_prepare.h"

#include "base/cleanup.h"
#include "base/files.h"
#include "base/pki.h"
#include "cluster/child.h"
#include "cluster/ports.h"
#include "kubeconfig.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/un.h>

#define TOKEN_BYTES 32
#define SESSION_BYTES 16
#define NODE_PORT 10250 /* logs and exec, as the kubelet */

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

static int make_node_certificates(const Instance *instance, const char *folder, InaError *error)
{
    int r = 0;
    for (unsigned i = 1; r == 0 && i <= INSTANCE_NODES; i++) {
        char name[16], organisation[48], address[16];
        snprintf(name, sizeof name, "node-%u", i);
        snprintf(organisation, sizeof organisation, "inaetics:node:%s", name);
        instance_node_address(instance, i, address);
        const char *const addresses[] = {address};
        r = pki_ensure_certificate(folder, name, PKI_SERVER_AND_CLIENT, organisation, addresses, 1, error);
    }
    return r;
}

/* An account of etcd's, "USER:PASSWORD", unless it is there. */
static int make_account(const char *folder, const char *name, const char *user, InaError *error)
{
    unsigned char random[TOKEN_BYTES];
    char hex[2 * TOKEN_BYTES + 1], text[sizeof hex + 32];
    AUTO_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s.account", folder, name) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (access(path, F_OK) == 0)
        return 0;
    if (sodium_init() < 0)
        return ina_error_set(error, EIO, "the system has no randomness");
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(hex, sizeof hex, random, sizeof random);
    snprintf(text, sizeof text, "%s:%s\n", user, hex);
    return file_write(path, text, strlen(text), 0600, error);
}

/* etcd lets in whoever has a certificate of an authority of its own, which signs for agents and the control plane only
 * (a certificate of the cluster's opens nothing there), and gives rights to accounts: up_etcd.c. */
static int make_etcd_certificates(const Instance *instance, InaError *error)
{
    static const char *const before[] = {"pki/etcd.pem", "pki/etcd-key.pem", "pki/client.pem", "pki/client-key.pem"};
    AUTO_FREE char *folder = instance_path(instance, "pki/etcd");
    const char *const server[] = {instance->controller, "127.0.0.1", "localhost"};
    if (!folder)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = pki_ensure_ca(folder, "Inaetics etcd", error);
    if (r < 0 ||
        (r = pki_ensure_certificate(folder, "server", PKI_SERVER_AND_CLIENT, "inaetics:etcd", server, 3, error)) < 0 ||
        (r = pki_ensure_certificate(folder, "client", PKI_CLIENT, "inaetics:agents", NULL, 0, error)) < 0 ||
        (r = pki_ensure_certificate(folder, "control-plane", PKI_CLIENT, "inaetics:control-plane", NULL, 0, error)) <
            0 ||
        (r = make_account(folder, "control-plane", "root", error)) < 0 ||
        (r = make_account(folder, "client", "agents", error)) < 0)
        return r;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) { /* of earlier versions */
        AUTO_FREE char *path = instance_path(instance, before[i]);
        if (path)
            (void)unlink(path);
    }
    return 0;
}

static int make_secrets(const Instance *instance, char **ret_session, InaError *error)
{
    AUTO_FREE char *folder = instance_path(instance, "pki"), *token = NULL;
    char service[24]; /* the first address of the services is the API's */
    snprintf(service, sizeof service, "%s0.1", instance->services);
    const char *const server[] = {instance->controller, "127.0.0.1", "localhost", service};
    if (!folder)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = pki_ensure_ca(folder, "Inaetics cluster", error);
    if (r < 0 || (r = make_etcd_certificates(instance, error)) < 0 ||
        (r = pki_ensure_certificate(folder, "admin", PKI_CLIENT, "inaetics:admin", NULL, 0, error)) < 0 ||
        (r = pki_ensure_certificate(folder, "proxy", PKI_CLIENT, "inaetics:viewer", NULL, 0, error)) < 0 ||
        (r = pki_ensure_certificate(folder, "control-plane", PKI_SERVER_AND_CLIENT, "inaetics:control-plane", server, 4,
                                    error)) < 0 ||
        (r = make_node_certificates(instance, folder, error)) < 0 ||
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

char *up_manifests(const UpOptions *options)
{
    static const char *const candidates[] = {"../demonstrator/deployment", "../share/inaetics/deployment", NULL};
    if (!options->deployment)
        return find_folder(candidates);
    return options->deployment[0] ? strdup(options->deployment) : NULL;
}

/* DATA/software leads to the folder of what is provisioned, so that manifests can name it. */
static int link_software(const UpOptions *options, InaError *error)
{
    static const char *const candidates[] = {"../demonstrator/software/files", "../share/inaetics/software", NULL};
    AUTO_FREE char *found = options->software ? realpath(options->software, NULL) : find_folder(candidates);
    if (options->software && !found)
        return ina_error_errno(error, errno, "folder of software %s", options->software);
    AUTO_FREE char *path = instance_path(options->instance, "software"),
                   *fresh = instance_path(options->instance, ".software");
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
    AUTO_FREE char *path = instance_path(instance, "machine.sock");
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
    if ((r = make_secrets(instance, ret_session, error)) < 0 || (r = kubeconfig_write(instance, error)) < 0 ||
        (options->prepare && (r = options->prepare(instance, error)) < 0))
        return r;
    return link_software(options, error);
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

int up_check_ports(const UpOptions *options, InaError *error)
{
    const Instance *instance = options->instance;
    int r = check_port(instance->controller, INSTANCE_ETCD_PORT, error);
    if (r == 0)
        r = check_port(instance->controller, INSTANCE_API_PORT, error);
    for (unsigned i = 1; r == 0 && i <= INSTANCE_NODES; i++) {
        char address[16];
        instance_node_address(instance, i, address);
        r = check_port(address, NODE_PORT, error);
    }
    return r;
}

typedef struct PageSearch {
    const UpOptions *options;
    const char *part;
    UpPages pages;
    int r;
    InaError *error;
} PageSearch;

static int add_page(PageSearch *search, const char *address, unsigned port)
{
    UpPages *pages = &search->pages;
    size_t at = 0;
    if (pages->count == UP_PAGES_MAX)
        return ina_error_set(search->error, E2BIG, "the manifests ask for more than %u host ports", UP_PAGES_MAX);
    while (at < pages->count && pages->items[at].port <= port)
        at++;
    memmove(&pages->items[at + 1], &pages->items[at], (pages->count - at) * sizeof *pages->items);
    UpPage *page = &pages->items[at];
    page->port = port;
    snprintf(page->address, sizeof page->address, "%s", address);
    snprintf(page->name, sizeof page->name, "%s", search->part[0] ? search->part : "page");
    pages->count++;
    return 0;
}

static void check_host_port(PageSearch *search, const json_t *port)
{
    int64_t host_port = kube_integer(port, "hostPort", 0);
    const char *address = kube_string(port, "hostIP");
    if (search->r < 0 || host_port <= 0 || host_port > 65535)
        return;
    if (address[0] == '\0' || strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0)
        address = "127.0.0.1";
    unsigned number = instance_port(search->options->instance, (unsigned)host_port);
    search->r = check_port(address, number, search->error);
    if (search->r == 0 && search->options->listen)
        search->r = check_port(search->options->listen, number, search->error);
    if (search->r == 0)
        search->r = add_page(search, address, number);
}

static void check_object(void *userdata, const json_t *object)
{
    PageSearch *search = userdata;
    const json_t *template = kube_get(object, "spec.template.spec.containers"), *container, *port;
    size_t i, j;
    search->part = kube_string(object, "metadata.labels.part");
    json_array_foreach(template ? template : kube_get(object, "spec.containers"), i, container)
    {
        json_array_foreach(json_object_get(container, "ports"), j, port) check_host_port(search, port);
    }
}

int up_check_pages(const UpOptions *options, const Apply *apply, UpPages *ret, InaError *error)
{
    PageSearch search = {.options = options, .error = error};
    apply_each(apply, check_object, &search);
    if (search.r == 0)
        *ret = search.pages;
    return search.r;
}
