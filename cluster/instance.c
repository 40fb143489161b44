#include "instance.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>

static int parse_number(const char *text, unsigned *ret, InaError *error)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = text ? strtoul(text, &end, 10) : 0;
    if (text && (end == text || *end != '\0' || text[0] == '-' || errno != 0 || number > INSTANCE_NUMBER_MAX))
        return ina_error_set(error, EINVAL, "--name %s: allowed are the numbers 0 to %d", text, INSTANCE_NUMBER_MAX);
    *ret = (unsigned)number;
    return 0;
}

/* The folder that holds instance 0; malloc'ed. */
static char *data_home(const char *data)
{
    if (!data || data[0] == '\0')
        data = getenv("INAETICS_DATA");
    if (data && data[0] != '\0')
        return strdup(data);
    const char *home = getenv("XDG_DATA_HOME");
    if (home && home[0] == '/')
        return path_join(home, "inaetics");
    home = getenv("HOME");
    if (!home || home[0] != '/') {
        const struct passwd *user = getpwuid(getuid());
        home = user ? user->pw_dir : "/";
    }
    char *own = path_join(home, ".local/share/inaetics");
    if (!own || geteuid() != 0 || access(own, F_OK) == 0)
        return own;
    free(own); /* root's home is closed to the users that pods have */
    return strdup("/var/lib/inaetics");
}

static char *absolute(const char *path)
{
    char folder[PATH_MAX];
    if (path[0] == '/')
        return strdup(path);
    return getcwd(folder, sizeof folder) ? path_join(folder, path) : NULL;
}

int instance_new(const char *number, const char *data, Instance **ret, InaError *error)
{
    unsigned n = 0;
    int r = parse_number(number, &n, error);
    if (r < 0)
        return r;
    Instance *instance = calloc(1, sizeof *instance);
    AUTO_FREE char *home = data_home(data), *root = home ? absolute(home) : NULL;
    if (!instance || !root) {
        free(instance);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    char name[32];
    snprintf(name, sizeof name, "instance-%u", n);
    instance->number = n;
    snprintf(instance->name, sizeof instance->name, "%u", n % 100);
    instance->data = n == 0 ? strdup(root) : path_join(root, name);
    instance->home = TAKE_PTR(root);
    snprintf(instance->controller, sizeof instance->controller, "127.%u.8.20", 17 + 20 * n);
    snprintf(instance->node, sizeof instance->node, "127.%u.8.31", 17 + 20 * n);
    snprintf(instance->pods, sizeof instance->pods, "127.%u.1.", 1 + 20 * n);
    snprintf(instance->pod_range, sizeof instance->pod_range, "127.%u.", 1 + 20 * n);
    snprintf(instance->services, sizeof instance->services, "127.%u.", 3 + 20 * n);
    snprintf(instance->api_url, sizeof instance->api_url, "https://%s:%d", instance->controller, INSTANCE_API_PORT);
    snprintf(instance->etcd_url, sizeof instance->etcd_url, "https://%s:%d", instance->controller, INSTANCE_ETCD_PORT);
    if (!instance->data) {
        instance_free(instance);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    *ret = instance;
    return 0;
}

char *instance_path(const Instance *instance, const char *name)
{
    return path_join(instance->data, name);
}

void instance_node_address(const Instance *instance, unsigned node, char ret[16])
{
    snprintf(ret, 16, "127.%u.8.%u", 17 + 20 * instance->number, (30 + node) % 256);
}

void instance_node_pods(const Instance *instance, unsigned node, char ret[16])
{
    snprintf(ret, 16, "127.%u.%u.", 1 + 20 * instance->number, node % 256);
}

unsigned instance_port(const Instance *instance, unsigned port)
{
    return port + instance->number;
}

char *instance_mark(const Instance *instance, const char *mark)
{
    char *entry;
    return asprintf(&entry, "%s=%s", mark, instance->data) < 0 ? NULL : entry;
}

Instance *instance_free(Instance *instance)
{
    if (!instance)
        return NULL;
    free(instance->home);
    free(instance->data);
    free(instance);
    return NULL;
}

static char *executable(const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    if (path && access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

int program_folders(int (*each)(void *userdata, const char *folder), void *userdata)
{
    /* Where the build puts them, seen from the folder of any of them. */
    static const char *const folders[] = {
        ".",
        "../agent",
        "../provisioning",
        "../cluster",
        "../cli",
        "../framework/tools",
        "../demonstrator",
        "../demonstrator/verify",
        "../servers/etcd-server", /* what tools/fetch-server unpacked */
        "../servers/etcd-server/root/usr/bin",
        "../servers/kubernetes-client",
        "../servers/kubernetes-client/root/usr/bin",
    };
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return 0;
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    if (!slash)
        return 0;
    *slash = '\0';
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof folders / sizeof *folders; i++) {
        AUTO_FREE char *folder = path_join(self, folders[i]);
        AUTO_FREE char *real = folder ? realpath(folder, NULL) : NULL;
        r = real ? each(userdata, real) : 0;
    }
    return r;
}

typedef struct Search {
    const char *name;
    char *found;
} Search;

static int look_in(void *userdata, const char *folder)
{
    Search *search = userdata;
    search->found = executable(folder, search->name);
    return search->found != NULL;
}

static char *find_beside(const char *name)
{
    Search search = {.name = name};
    program_folders(look_in, &search);
    return search.found;
}

static char *find_in_path(const char *name)
{
    const char *path = getenv("PATH");
    AUTO_FREE char *copy = strdup(path ? path : "/usr/local/bin:/usr/bin:/bin");
    char *found = NULL, *position = NULL;
    for (char *folder = copy ? strtok_r(copy, ":", &position) : NULL; folder && !found;
         folder = strtok_r(NULL, ":", &position))
        found = executable(folder, name);
    return found;
}

int program_find(const char *name, char **ret, InaError *error)
{
    char *found = find_beside(name);
    if (!found)
        found = find_in_path(name);
    if (!found)
        return ina_error_set(error, ENOENT, "the program %s is neither beside this one nor in $PATH", name);
    *ret = found;
    return 0;
}
