#include "container_setup.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define PROGRAM_NAME_MAX 256
#define VARIABLE_NAME_MAX (MANIFEST_NAME_MAX + 16)

int image_program(const char *image, char *ret, size_t size)
{
    const char *name = strrchr(image, '/');
    const char *group = name;
    while (group && group > image && group[-1] != '/')
        group--;
    const char *last = name ? name + 1 : image;
    size_t last_length = strcspn(last, ":@");
    int length = name ? snprintf(ret, size, "%.*s-%.*s", (int)(name - group), group, (int)last_length, last)
                      : snprintf(ret, size, "%.*s", (int)last_length, last);
    return length > 0 && (size_t)length < size ? 0 : -ENAMETOOLONG;
}

char *volume_folder(const Instance *instance, const char *pod, const VolumeSpec *volume)
{
    AUTO_FREE char *name = NULL;
    if (volume->kind == VOLUME_HOST_PATH)
        return volume->path[0] == '/' ? strdup(volume->path) : instance_path(instance, volume->path);
    if (asprintf(&name, "pods/%s/%s", pod, volume->name) < 0)
        name = NULL;
    return name ? instance_path(instance, name) : NULL;
}

/* --- environment ------------------------------------------------------------- */

static const char *field_value(const ContainerOptions *options, const char *path)
{
    if (strcmp(path, "metadata.name") == 0)
        return options->pod->name;
    if (strcmp(path, "metadata.namespace") == 0)
        return "default";
    if (strcmp(path, "status.podIP") == 0)
        return options->address;
    if (strcmp(path, "status.hostIP") == 0)
        return options->host->instance->node;
    return "node-1";
}

static int set_path(Environment *environment, const char *name, const Instance *instance, const char *path,
                    InaError *error)
{
    AUTO_FREE char *full = instance_path(instance, path);
    return full ? environment_set(environment, name, full, error) : ina_error_set(error, ENOMEM, "out of memory");
}

/* The addresses that host ports stand for: loopback, and what `up --listen` said. */
static int set_listen(Environment *environment, const ContainerOptions *options, InaError *error)
{
    char text[1024] = "";
    size_t used = 0;
    for (size_t i = 0; i < options->spec->n_ports && used < sizeof text; i++) {
        const PortSpec *port = &options->spec->ports[i];
        if (port->host_port == 0)
            continue;
        unsigned number = instance_port(options->host->instance, (unsigned)port->host_port);
        const char *address = port->host_ip ? port->host_ip : "127.0.0.1", *further = options->host->listen;
        bool everywhere = further && (strcmp(further, "0.0.0.0") == 0 || strcmp(further, "::") == 0);
        if (everywhere) /* includes loopback */
            address = further;
        used += (size_t)snprintf(text + used, sizeof text - used, strchr(address, ':') ? "%s[%s]:%u" : "%s%s:%u",
                                 used ? "," : "", address, number);
        if (further && !everywhere && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, strchr(further, ':') ? ",[%s]:%u" : ",%s:%u",
                                     further, number);
    }
    if (used >= sizeof text)
        return ina_error_set(error, E2BIG, "too many host ports");
    return used ? environment_set(environment, "INAETICS_LISTEN", text, error) : 0;
}

/* "my-data" -> "PREFIX_MY_DATA" */
static void variable_name(const char *prefix, const char *name, char *ret, size_t size)
{
    size_t at = (size_t)snprintf(ret, size, "%s_", prefix);
    for (; *name && at + 1 < size; name++)
        ret[at++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    ret[at] = '\0';
}

static int set_ports(Environment *environment, const ContainerOptions *options, InaError *error)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < options->spec->n_ports; i++) {
        const PortSpec *port = &options->spec->ports[i];
        char name[VARIABLE_NAME_MAX];
        if (!port->name)
            continue;
        variable_name("PORT", port->name, name, sizeof name);
        r = environment_format(environment, name, error, "%u",
                               instance_port(options->host->instance, (unsigned)port->container_port));
    }
    return r;
}

static int set_agent_id(Environment *environment, const ContainerOptions *options, InaError *error)
{
    unsigned char random[4];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return ina_error_errno(error, errno, "getrandom");
    return environment_format(environment, "INAETICS_AGENT_ID", error, "%s%s%s-%02x%02x%02x%02x", options->pod->name,
                              options->first ? "" : "-", options->first ? "" : options->spec->name, random[0],
                              random[1], random[2], random[3]);
}

static int set_cache(Environment *environment, const ContainerOptions *options, char **ret_directory, InaError *error)
{
    AUTO_FREE char *name = NULL;
    if (asprintf(&name, "cache/%s%s%s", options->pod->name, options->first ? "" : ".",
                 options->first ? "" : options->spec->name) < 0)
        name = NULL;
    AUTO_FREE char *cache = name ? instance_path(options->host->instance, name) : NULL;
    if (!cache)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = folder_make(cache, 0700, error);
    if (r < 0 || (r = environment_set(environment, "INAETICS_CACHE", cache, error)) < 0)
        return r;
    *ret_directory = TAKE_PTR(cache);
    return 0;
}

static int set_volume(Environment *environment, const ContainerOptions *options, const MountSpec *mount,
                      InaError *error)
{
    const VolumeSpec *volume = manifest_volume(options->pod, mount->name);
    AUTO_FREE char *folder = volume_folder(options->host->instance, options->pod->name, volume);
    char name[VARIABLE_NAME_MAX];
    if (!folder)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (volume->kind == VOLUME_EMPTY || volume->create) {
        int r = folder_make(folder, 0700, error);
        if (r < 0)
            return ina_error_wrap(error, "volume %s", volume->name);
    } else if (access(folder, F_OK) < 0) {
        return ina_error_errno(error, errno, "volume %s: %s", volume->name, folder);
    }
    variable_name("VOLUME", volume->name, name, sizeof name);
    return environment_set(environment, name, folder, error);
}

/* $INAETICS_PASSWORD_FILE as `inaetics up` was given it, else what `inaetics password` made. */
static int set_password_file(Environment *environment, const Instance *instance, InaError *error)
{
    const char *given = getenv("INAETICS_PASSWORD_FILE");
    AUTO_FREE char *path = instance_path(instance, "password");
    if (given && given[0] != '\0')
        return environment_set(environment, "INAETICS_PASSWORD_FILE", given, error);
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    return access(path, R_OK) == 0 ? environment_set(environment, "INAETICS_PASSWORD_FILE", path, error) : 0;
}

static int set_own(Environment *environment, const ContainerOptions *options, InaError *error)
{
    /* Tools that test programs read these; they change nothing else. */
    static const char *const inherited[] = {
        "TZ", "LANG", "LC_ALL", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", INSTANCE_MARK_NODE};
    const Instance *instance = options->host->instance;
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof inherited / sizeof *inherited; i++)
        r = environment_inherit(environment, inherited[i], error);
    if (r < 0 || (r = environment_set(environment, "PATH", "/usr/local/bin:/usr/bin:/bin", error)) < 0 ||
        (r = environment_set(environment, INSTANCE_MARK_POD, instance->data, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_POD", options->pod->name, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_ADDRESS", options->address, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_ETCD", instance->etcd_url, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_ZONE", "zone1", error)) < 0 ||
        (r = set_path(environment, "INAETICS_PKI", instance, "pki", error)) < 0 ||
        (r = set_path(environment, "INAETICS_TOKEN_FILE", instance, "token", error)) < 0 ||
        (r = set_path(environment, "INAETICS_SESSION_FILE", instance, "session", error)) < 0 ||
        (r = set_path(environment, "INAETICS_NODE", instance, "node.sock", error)) < 0 ||
        (r = set_path(environment, "INAETICS_MACHINES", instance, "machine.sock", error)) < 0 ||
        (r = environment_set(environment, "INAETICS_CONTAINER", options->spec->name, error)) < 0 ||
        (r = set_password_file(environment, instance, error)) < 0 ||
        (r = set_agent_id(environment, options, error)) < 0)
        return r;
    return set_listen(environment, options, error);
}

static int set_environment(const ContainerOptions *options, ContainerSetup *setup, InaError *error)
{
    Environment *environment = setup->environment;
    int r = set_own(environment, options, error);
    if (r == 0)
        r = set_cache(environment, options, &setup->directory, error);
    if (r == 0)
        r = environment_set(environment, "HOME", setup->directory, error);
    if (r == 0)
        r = set_ports(environment, options, error);
    for (size_t i = 0; r == 0 && i < options->spec->n_mounts; i++)
        r = set_volume(environment, options, &options->spec->mounts[i], error);
    for (size_t i = 0; r == 0 && i < options->spec->n_environment; i++) {
        const EnvironmentSpec *item = &options->spec->environment[i];
        AUTO_FREE char *value = NULL;
        if (item->field_path)
            r = environment_set(environment, item->name, field_value(options, item->field_path), error);
        else if ((r = environment_expand(environment, item->value ? item->value : "", &value, error)) == 0)
            r = environment_set(environment, item->name, value, error);
        if (r < 0)
            ina_error_wrap(error, "environment %s", item->name);
    }
    return r;
}

/* --- program and arguments ------------------------------------------------------ */

static int expand_arguments(const ContainerSpec *spec, ContainerSetup *setup, InaError *error)
{
    size_t count = 0;
    setup->arguments = calloc(1 + spec->command.count + spec->arguments.count + 1, sizeof *setup->arguments);
    if (!setup->arguments)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (spec->command.count == 0) {
        char name[PROGRAM_NAME_MAX];
        if (image_program(spec->image, name, sizeof name) < 0)
            return ina_error_set(error, ENAMETOOLONG, "image %s: too long", spec->image);
        if (!(setup->arguments[count++] = strdup(name)))
            return ina_error_set(error, ENOMEM, "out of memory");
    }
    const JsonList *lists[] = {&spec->command, &spec->arguments};
    for (size_t l = 0; l < 2; l++) {
        char **items = lists[l]->items;
        for (size_t i = 0; i < lists[l]->count; i++) {
            int r = environment_expand(setup->environment, items[i], &setup->arguments[count++], error);
            if (r < 0)
                return ina_error_wrap(error, "argument %zu", count - 1);
        }
    }
    return 0;
}

static int find_program(const ContainerSpec *spec, ContainerSetup *setup, InaError *error)
{
    const char *name = setup->arguments[0];
    if (strchr(name, '/')) {
        setup->program = strdup(name);
        return setup->program ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    }
    int r = program_find(name, &setup->program, error);
    if (r < 0 && spec->command.count == 0)
        return ina_error_wrap(error, "image %s", spec->image);
    return r;
}

int container_setup(const ContainerOptions *options, ContainerSetup *ret, InaError *error)
{
    ContainerSetup setup = {.environment = environment_new()};
    int r = setup.environment ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        r = set_environment(options, &setup, error);
    if (r == 0)
        r = expand_arguments(options->spec, &setup, error);
    if (r == 0)
        r = find_program(options->spec, &setup, error);
    if (r == 0 && options->spec->working_directory) {
        char *directory = NULL;
        r = environment_expand(setup.environment, options->spec->working_directory, &directory, error);
        if (r == 0) {
            free(setup.directory);
            setup.directory = directory;
        }
    }
    if (r < 0) {
        container_setup_clear(&setup);
        return r;
    }
    *ret = setup;
    return 0;
}

void container_setup_clear(ContainerSetup *setup)
{
    for (char **argument = setup->arguments; argument && *argument; argument++)
        free(*argument);
    free(setup->arguments);
    free(setup->program);
    free(setup->directory);
    environment_free(setup->environment);
    *setup = (ContainerSetup){0};
}
