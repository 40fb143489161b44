#include "container_setup.h"

#include "attachment.h"
#include "base/cleanup.h"
#include "base/files.h"
#include "cluster/confine.h"
#include "cluster/users.h"
#include "container_files.h"
#include "kube/quantity.h"
#include "volume_files.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define TOLD_FILE_MAX (256u * 1024u)
#define VARIABLE_NAME_MAX (POD_NAME_PART_MAX + 16)

/* --- environment ------------------------------------------------------------- */

static int set_field(Environment *environment, const ContainerOptions *options, const char *name, const char *path,
                     InaError *error)
{
    AUTO_FREE char *value = NULL;
    int r = pod_field(pod_resources_pod(options->resources), path, options->host->node, options->address,
                      options->host->instance->node, &value, error);
    return r < 0 ? r : environment_set(environment, name, value, error);
}

static int set_path(Environment *environment, const char *name, const Instance *instance, const char *path,
                    InaError *error)
{
    AUTO_FREE char *full = instance_path(instance, path);
    return full ? environment_set(environment, name, full, error) : ina_error_set(error, ENOMEM, "out of memory");
}

static bool is_everywhere(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

/* Refuses an address that others than this machine can reach, unless --listen names it; `ret_any`: whether it names no
 * particular one. */
static int check_host_ip(const char *address, const char *listen, bool *ret_any, InaError *error)
{
    struct in_addr four;
    struct in6_addr six;
    bool is_four = inet_pton(AF_INET, address, &four) == 1, is_six = inet_pton(AF_INET6, address, &six) == 1;

    *ret_any = address[0] == '\0' || (is_four && four.s_addr == htonl(INADDR_ANY)) ||
               (is_six && IN6_IS_ADDR_UNSPECIFIED(&six));
    if (*ret_any)
        return 0;
    if (!is_four && !is_six)
        return ina_error_set(error, EINVAL, "hostIP \"%.64s\" is no IP address", address);
    if ((is_four && ntohl(four.s_addr) >> 24 == 127) || (is_six && IN6_IS_ADDR_LOOPBACK(&six)) ||
        (listen && (strcmp(address, listen) == 0 || is_everywhere(listen))))
        return 0;
    return ina_error_set(error, EACCES,
                         "hostIP %.64s is beyond this machine's loopback: allowed are 127.0.0.0/8, ::1 and what "
                         "`inaetics up --listen` names (%.64s)",
                         address, listen ? listen : "nothing now");
}

/* The addresses that host ports stand for: loopback, and what `up --listen` said. Beyond loopback nothing is offered
 * that `up` was not asked for, since only then there is a login. */
int container_listen(const ContainerSpec *spec, const Instance *instance, const char *listen, char *ret, size_t size,
                     InaError *error)
{
    size_t used = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < spec->n_ports && used < size; i++) {
        const PortSpec *port = &spec->ports[i];
        if (port->host_port == 0)
            continue;
        unsigned number = instance_port(instance, (unsigned)port->host_port);
        const char *address = port->host_ip ? port->host_ip : "", *further = listen;
        bool any;
        int r = check_host_ip(address, listen, &any, error);
        if (r < 0)
            return r;
        if (any)
            address = "127.0.0.1";
        if (further && is_everywhere(further)) { /* includes loopback */
            address = further;
            further = NULL;
        }
        if (further && strcmp(address, further) == 0)
            further = NULL;
        used += (size_t)snprintf(ret + used, size - used, strchr(address, ':') ? "%s[%s]:%u" : "%s%s:%u",
                                 used ? "," : "", address, number);
        if (further && used < size)
            used += (size_t)snprintf(ret + used, size - used, strchr(further, ':') ? ",[%s]:%u" : ",%s:%u", further,
                                     number);
    }
    return used < size ? 0 : ina_error_set(error, E2BIG, "too many host ports");
}

static int set_listen(Environment *environment, const ContainerOptions *options, InaError *error)
{
    char text[1024];
    int r = container_listen(options->spec, options->host->instance, options->host->listen, text, sizeof text, error);
    return r < 0 || !text[0] ? r : environment_set(environment, "INAETICS_LISTEN", text, error);
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
        r = environment_format(environment, name, error, "%u", (unsigned)port->container_port);
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

/* A folder of the container, KIND/POD in that of the pod. It is its user's, and what an earlier run as somebody else
 * left in it, and told as `variable`; without a `variable` only the node may make files in it. */
static int set_folder(const ContainerOptions *options, ContainerSetup *setup, const char *variable, const char *kind,
                      char **ret, InaError *error)
{
    const Identity *identity = &setup->identity;
    AUTO_FREE char *name = NULL, *above = path_join(options->folder, kind);
    if (asprintf(&name, "%s/%s%s%s", kind, options->pod->name, options->first ? "" : ".",
                 options->first ? "" : options->spec->name) < 0)
        name = NULL;
    AUTO_FREE char *folder = name ? path_join(options->folder, name) : NULL;
    if (!folder || !above)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = folder_make(folder, 0700, error);
    if (r == 0 && identity->changes &&
        ((r = users_set(above, 0, (gid_t)options->own, 0710, error)) < 0 ||
         (r = users_give(folder, identity->uid, identity->gid, NULL, USERS_GROUP_AS_IT_IS, error)) < 0 ||
         (r = users_set(folder, variable ? identity->uid : 0, variable ? identity->gid : (gid_t)options->own,
                        variable ? 0700 : 0750, error)) < 0))
        return r;
    if (r == 0 && variable)
        r = environment_set(setup->environment, variable, folder, error);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(folder);
    return 0;
}

static int set_volume(Environment *environment, const ContainerOptions *options, const MountSpec *mount,
                      InaError *error)
{
    const VolumeSpec *volume = pod_spec_volume(options->pod, mount->name);
    char name[VARIABLE_NAME_MAX];
    uint64_t epoch = 0;
    const char *folder = pod_resources_volume(options->resources, volume->name, &epoch);
    if (!folder)
        return ina_error_set(error, ENOENT, "volume %s is not there", volume->name);
    AUTO_FREE char *path = mount->sub_path ? path_join(folder, mount->sub_path) : strdup(folder);
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    variable_name("VOLUME", volume->name, name, sizeof name);
    int r = environment_set(environment, name, path, error);
    if (r < 0 || epoch == 0)
        return r;
    variable_name("EPOCH", volume->name, name, sizeof name);
    return environment_format(environment, name, error, "%ju", (uintmax_t)epoch);
}

/* What a pod of a cluster has beside: marks by which its processes are found, and its service account. */
static int set_cluster(Environment *environment, const ContainerOptions *options, InaError *error)
{
    const ContainerHost *host = options->host;
    const char *account = pod_resources_account(options->resources);
    int r;
    if ((r = environment_format(environment, INSTANCE_MARK_NODE, error, "%s/%s", host->instance->data, host->node)) <
            0 ||
        (r = environment_set(environment, "INAETICS_POD_UID", options->pod->uid, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_NAMESPACE", options->pod->namespace, error)) < 0 ||
        (r = environment_set(environment, "HOSTNAME", options->pod->name, error)) < 0 ||
        (account && (r = environment_set(environment, "INAETICS_SERVICE_ACCOUNT", account, error)) < 0))
        return r;
    bool links = !json_is_false(kube_get(options->pod->manifest, "spec.enableServiceLinks"));
    return host->services ? host->services(host->userdata, links ? options->pod->namespace : NULL, environment, error)
                          : 0;
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
        (r = environment_set(environment, "INAETICS_CONTAINER", options->spec->name, error)) < 0 ||
        (r = set_cluster(environment, options, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_ADDRESS", options->address, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_ETCD", instance->etcd_url, error)) < 0 ||
        (r = environment_set(environment, "INAETICS_ZONE", "zone1", error)) < 0 ||
        (r = environment_set(environment, "INAETICS_INSTANCE", instance->name, error)) < 0 ||
        (r = set_path(environment, "INAETICS_MACHINES", instance, "machine.sock", error)) < 0 ||
        (r = set_agent_id(environment, options, error)) < 0)
        return r;
    return set_listen(environment, options, error);
}

/* --- variables whose values are elsewhere ---------------------------------------- */

/* limits.cpu and the like, in units of `divisor`, rounded up. */
static int set_resource(Environment *environment, const ContainerOptions *options, const char *name,
                        const json_t *reference, InaError *error)
{
    const char *which = kube_string(reference, "resource"), *divisor_text = kube_string(reference, "divisor");
    const char *text = kube_string(options->spec->resources, which);
    int64_t value = 0, divisor = 1000;
    if (text[0] && quantity_parse_milli(text, &value, error) < 0)
        return -EINVAL;
    if (divisor_text[0] && strcmp(divisor_text, "0") != 0 && quantity_parse_milli(divisor_text, &divisor, error) < 0)
        return -EINVAL;
    divisor = divisor > 0 ? divisor : 1000;
    return environment_format(environment, name, error, "%jd", (intmax_t)(value / divisor + (value % divisor > 0)));
}

static int set_key(Environment *environment, const ContainerOptions *options, const char *name, const char *kind,
                   const json_t *reference, InaError *error)
{
    const char *object_name = kube_string(reference, "name"), *key = kube_string(reference, "key");
    const char *what = kind[0] == 's' ? "secret" : "configmap";
    const json_t *object = pod_resources_find(options->resources, kind, object_name);
    size_t size;
    if (!object && kube_boolean(reference, "optional"))
        return 0;
    if (!object)
        return ina_error_set(error, ENOENT, "%s \"%s\" not found", what, object_name);
    AUTO_FREE char *value = pod_resource_value(object, key, &size);
    if (!value)
        return kube_boolean(reference, "optional")
                   ? 0
                   : ina_error_set(error, ENOENT, "couldn't find key %s in %s %s/%s", key,
                                   kind[0] == 's' ? "Secret" : "ConfigMap", options->pod->namespace, object_name);
    return environment_set(environment, name, value, error);
}

static int set_from(Environment *environment, const ContainerOptions *options, const char *name, const json_t *from,
                    InaError *error)
{
    const json_t *reference;
    if ((reference = json_object_get(from, "configMapKeyRef")))
        return set_key(environment, options, name, "configmaps", reference, error);
    if ((reference = json_object_get(from, "secretKeyRef")))
        return set_key(environment, options, name, "secrets", reference, error);
    if ((reference = json_object_get(from, "resourceFieldRef")))
        return set_resource(environment, options, name, reference, error);
    return ina_error_set(error, EINVAL, "valueFrom names nothing that is known");
}

/* All keys of an object that are names of variables. */
static int set_all_of(Environment *environment, const ContainerOptions *options, const json_t *from, InaError *error)
{
    const json_t *map = json_object_get(from, "configMapRef");
    const json_t *reference = map ? map : json_object_get(from, "secretRef");
    const char *kind = map ? "configmaps" : "secrets", *prefix = kube_string(from, "prefix"), *key;
    const json_t *object = pod_resources_find(options->resources, kind, kube_string(reference, "name"));
    json_t *value;
    if (!object)
        return kube_boolean(reference, "optional")
                   ? 0
                   : ina_error_set(error, ENOENT, "%s \"%s\" not found", map ? "configmap" : "secret",
                                   kube_string(reference, "name"));
    json_object_foreach(json_object_get(object, "data"), key, value)
    {
        size_t size;
        AUTO_FREE char *name = NULL, *text = pod_resource_value(object, key, &size);
        if (asprintf(&name, "%s%s", prefix, key) < 0 || !text)
            return ina_error_set(error, ENOMEM, "out of memory");
        if (strcspn(name, "= \t\n") != strlen(name))
            continue;
        int r = environment_set(environment, name, text, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_declared(Environment *environment, const ContainerOptions *options, InaError *error)
{
    size_t i;
    const json_t *from;
    int r = 0;
    json_array_foreach(options->spec->environment_from, i, from) if (r == 0) r =
        set_all_of(environment, options, from, error);
    for (i = 0; r == 0 && i < options->spec->n_environment; i++) {
        const EnvironmentSpec *item = &options->spec->environment[i];
        AUTO_FREE char *value = NULL;
        if (item->field_path)
            r = set_field(environment, options, item->name, item->field_path, error);
        else if (item->from)
            r = set_from(environment, options, item->name, item->from, error);
        else if ((r = environment_expand(environment, item->value ? item->value : "", &value, error)) == 0)
            r = environment_set(environment, item->name, value, error);
    }
    return r;
}

/* --- what it is told of: files of the instance ------------------------------------ */

/* $INAETICS_PASSWORD_FILE as `inaetics up` was given it, else what `inaetics password` made; malloc'ed. */
static char *password_file(const Instance *instance)
{
    const char *given = getenv("INAETICS_PASSWORD_FILE");
    return given && given[0] != '\0' ? strdup(given) : instance_path(instance, "password");
}

static int tell_originals(const ContainerOptions *options, ContainerSetup *setup, InaError *error)
{
    Environment *environment = setup->environment;
    const Instance *instance = options->host->instance;
    AUTO_FREE char *password = password_file(instance);
    int r;
    if (!password)
        return ina_error_set(error, ENOMEM, "out of memory");
    if ((r = set_path(environment, "INAETICS_PKI", instance, "pki/etcd", error)) < 0 ||
        (r = set_path(environment, "INAETICS_TOKEN_FILE", instance, "token", error)) < 0 ||
        (r = set_path(environment, "INAETICS_TRUST", instance, "pki/provisioning.pub", error)) < 0 ||
        (r = set_path(environment, "INAETICS_SESSION_FILE", instance, "session", error)) < 0)
        return r;
    return access(password, R_OK) == 0 ? environment_set(environment, "INAETICS_PASSWORD_FILE", password, error) : 0;
}

/* A file that only root can read, for the user of the container; told as `variable`, if that is not NULL. */
static int tell_copy(const ContainerOptions *options, ContainerSetup *setup, const char *from, const char *name,
                     const char *variable, InaError *error)
{
    AUTO_FREE char *source = from[0] == '/' ? strdup(from) : instance_path(options->host->instance, from);
    AUTO_FREE char *path = path_join(setup->told, name), *data = NULL;
    size_t size;
    if (!source || !path)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (access(source, F_OK) < 0)
        return 0;
    int r = file_read(source, TOLD_FILE_MAX, &data, &size, error);
    if (r < 0 || (r = volume_write_file(path, data, size, 0600, error)) < 0 ||
        (r = users_set(path, setup->identity.uid, setup->identity.gid, 0600, error)) < 0)
        return r;
    return variable ? environment_set(setup->environment, variable, path, error) : 0;
}

static int tell_copies(const ContainerOptions *options, ContainerSetup *setup, InaError *error)
{
    AUTO_FREE char *password = password_file(options->host->instance);
    int r;
    if (!password)
        return ina_error_set(error, ENOMEM, "out of memory");
    if ((r = tell_copy(options, setup, "pki/etcd/ca.pem", "ca.pem", NULL, error)) < 0 ||
        (r = tell_copy(options, setup, "pki/etcd/client.pem", "client.pem", NULL, error)) < 0 ||
        (r = tell_copy(options, setup, "pki/etcd/client-key.pem", "client-key.pem", NULL, error)) < 0 ||
        (r = tell_copy(options, setup, "pki/etcd/client.account", "client.account", NULL, error)) < 0 ||
        (r = environment_set(setup->environment, "INAETICS_PKI", setup->told, error)) < 0 ||
        (r = tell_copy(options, setup, "pki/provisioning.pub", "provisioning.pub", "INAETICS_TRUST", error)) < 0 ||
        (r = tell_copy(options, setup, "token", "token", "INAETICS_TOKEN_FILE", error)) < 0 ||
        (r = tell_copy(options, setup, "session", "session", "INAETICS_SESSION_FILE", error)) < 0)
        return r;
    return tell_copy(options, setup, password, "password", "INAETICS_PASSWORD_FILE", error);
}

static int set_environment(const ContainerOptions *options, const Image *image, ContainerSetup *setup, InaError *error)
{
    Environment *environment = setup->environment;
    int r = set_own(environment, options, error);
    if (r == 0)
        r = set_folder(options, setup, "INAETICS_CACHE", "cache", &setup->cache, error);
    if (r == 0)
        r = set_folder(options, setup, "TMPDIR", "tmp", &setup->temporary, error);
    if (r == 0 && setup->identity.changes)
        r = set_folder(options, setup, NULL, "told", &setup->told, error);
    if (r == 0)
        r = setup->told ? tell_copies(options, setup, error) : tell_originals(options, setup, error);
    if (r == 0)
        r = environment_set(environment, "HOME", setup->cache, error);
    if (r == 0 && !(setup->directory = strdup(setup->cache)))
        r = ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        r = environment_set(environment, "INAETICS_IMAGE", image->folder, error);
    for (size_t i = 0; r == 0 && i < image->environment.count; i++) {
        char *entry = ((char **)image->environment.items)[i], *equals = strchr(entry, '=');
        AUTO_FREE char *value = NULL;
        *equals = '\0';
        r = environment_expand(environment, equals + 1, &value, error);
        if (r == 0)
            r = environment_set(environment, entry, value, error);
        *equals = '=';
    }
    if (r == 0)
        r = set_ports(environment, options, error);
    for (size_t i = 0; r == 0 && i < options->spec->n_mounts; i++)
        r = set_volume(environment, options, &options->spec->mounts[i], error);
    return r < 0 ? r : set_declared(environment, options, error);
}

/* --- program and arguments ------------------------------------------------------ */

/* As Kubernetes: command replaces the entrypoint (and the image's cmd), args the cmd. */
static int expand_arguments(const ContainerSpec *spec, const Image *image, ContainerSetup *setup, InaError *error)
{
    const JsonList *first = spec->command.count > 0 ? &spec->command : &image->entrypoint;
    const JsonList *rest = spec->arguments.count > 0 || spec->command.count > 0 ? &spec->arguments : &image->command;
    const JsonList *lists[] = {first, rest};
    size_t count = 0;
    setup->arguments = calloc(first->count + rest->count + 1, sizeof *setup->arguments);
    if (!setup->arguments)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t l = 0; l < 2; l++) {
        char **items = lists[l]->items;
        for (size_t i = 0; i < lists[l]->count; i++) {
            int r = environment_expand(setup->environment, items[i], &setup->arguments[count++], error);
            if (r < 0)
                return ina_error_wrap(error, "argument %zu", count - 1);
        }
    }
    return count > 0 ? 0 : ina_error_set(error, EINVAL, "no command specified");
}

static int set_directory(const ContainerSpec *spec, const Image *image, ContainerSetup *setup, InaError *error)
{
    char *directory = NULL;
    if (!spec->working_directory && !image->working_directory)
        return 0;
    int r = environment_expand(setup->environment,
                               spec->working_directory ? spec->working_directory : image->working_directory, &directory,
                               error);
    if (r < 0)
        return r;
    free(setup->directory);
    setup->directory = directory;
    return 0;
}

static int choose_identity(const ContainerOptions *options, Identity *ret, InaError *error)
{
    IdentityNode node;
    identity_node(&node, options->host->users, !confine_missing());
    return identity_choose(&node, kube_get(options->pod->manifest, "spec.securityContext"), options->spec->security,
                           options->own, ret, error);
}

void container_setup_child(const ContainerSetup *setup, ChildOptions *ret)
{
    *ret = (ChildOptions){
        .environment = environment_list(setup->environment),
        .directory = setup->directory,
        .inherit_fd = -1,
        .rules = &setup->rules,
        .user = setup->identity.changes ? &setup->user : NULL,
        .files_max = CONTAINER_FILES_MAX,
        .processes_max = setup->identity.changes && users_has(setup->identity.uid) ? CONTAINER_PROCESSES_MAX : 0,
    };
    ret->entrances = cgroup_entrances(setup->group, &ret->n_entrances);
}

/* For one run, so that what is counted in it is of that run. */
static int make_group(const ContainerOptions *options, unsigned run, ContainerSetup *setup, InaError *error)
{
    const ContainerSpec *spec = options->spec;
    AUTO_FREE char *name = NULL;
    const CgroupLimits limits = {
        .memory = spec->memory_limit,
        .cpu = spec->cpu_limit,
        .processes = CONTAINER_PROCESSES_MAX,
    };
    if (!options->host->cgroups)
        return 0;
    if (asprintf(&name, "%s.%s.%u", options->pod->uid, spec->name, run) < 0) {
        name = NULL;
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    return cgroup_new(options->host->cgroups, name, &limits, &setup->group, error);
}

int container_setup(const ContainerOptions *options, unsigned run, ContainerSetup *ret, const char **ret_reason,
                    InaError *error)
{
    ContainerSetup setup = {.environment = environment_new(), .rules = -1};
    Image image = {0};
    int r = setup.environment ? 0 : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        r = images_find(options->host->images, options->spec->image, &image, error);
    if (r == -EINVAL)
        *ret_reason = "InvalidImageName";
    else if (r < 0)
        *ret_reason = "ErrImagePull";
    if (r == 0)
        r = choose_identity(options, &setup.identity, error);
    if (r == 0)
        r = set_environment(options, &image, &setup, error);
    if (r == 0)
        r = expand_arguments(options->spec, &image, &setup, error);
    if (r == 0)
        r = set_directory(options->spec, &image, &setup, error);
    if (r == 0 && (r = image_find_program(&image, setup.arguments[0], &setup.program, error)) < 0)
        *ret_reason = "RunContainerError";
    if (r == 0)
        r = container_files(options, image.folder, &setup, &setup.rules, error);
    if (r == 0)
        r = make_group(options, run, &setup, error);
    image_clear(&image);
    if (r < 0) {
        container_setup_clear(&setup);
        return r;
    }
    *ret = setup;
    ret->user = (ChildUser){.uid = ret->identity.uid,
                            .gid = ret->identity.gid,
                            .groups = ret->identity.groups,
                            .n_groups = ret->identity.n_groups};
    return 0;
}

/* --- volumes that one pod has at a time --------------------------------------------- */

bool container_setup_fenced(const ContainerOptions *options, InaError *error)
{
    for (size_t i = 0; i < options->pod->n_volumes; i++) {
        const VolumeSpec *volume = &options->pod->volumes[i];
        uint64_t epoch;
        const char *folder = pod_resources_volume(options->resources, volume->name, &epoch);
        if (volume->kind == VOLUME_CLAIM && folder && attachment_check(folder, options->pod->uid, &epoch, error) < 0)
            return true;
    }
    return false;
}

int container_setup_attached(const ContainerOptions *options, pid_t pid, InaError *error)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < options->spec->n_mounts; i++) {
        const VolumeSpec *volume = pod_spec_volume(options->pod, options->spec->mounts[i].name);
        uint64_t epoch;
        const char *folder = pod_resources_volume(options->resources, volume->name, &epoch);
        if (volume->kind == VOLUME_CLAIM && folder)
            r = attachment_note(folder, options->pod->uid, pid, error);
    }
    return r;
}

void container_setup_clear(ContainerSetup *setup)
{
    for (char **argument = setup->arguments; argument && *argument; argument++)
        free(*argument);
    free(setup->arguments);
    free(setup->program);
    free(setup->directory);
    free(setup->cache);
    free(setup->temporary);
    free(setup->told);
    cgroup_free(setup->group);
    if (setup->environment && setup->rules >= 0)
        close(setup->rules);
    environment_free(setup->environment);
    *setup = (ContainerSetup){.rules = -1};
}
