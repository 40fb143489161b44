/* deployment.c - the component: what it is told, and its life. */
#include "deployment.h"

#include "base/cleanup.h"
#include "base/files.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>

#define TARGET_MAX 255u
#define TOKEN_MAX 4096u

const char *deployment_version(const Deployment *deployment)
{
    return deployment->agent->version(deployment->deployer.self);
}

bool deployment_set_text(char **place, const char *text)
{
    char *copy = strdup(text);
    if (copy) {
        free(*place);
        *place = copy;
    }
    return copy != NULL;
}

bool deployment_is_over(const Deployment *deployment)
{
    return !deployment->deployer.table;
}

const char *deployment_authorization(const char *token, char *buffer, size_t size)
{
    if (!token)
        return "Accept: application/json"; /* none: a header that says nothing new */
    (void)snprintf(buffer, size, "Authorization: Bearer %s", token);
    return buffer;
}

void deployment_waits(Deployment *deployment, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    deployment->agent->waits(deployment->deployer.self, text);
}

void deployment_wake(Deployment *deployment, uint64_t when)
{
    if (deployment->timer && when < deployment->wake_at) {
        deployment->wake_at = when;
        ina_timer_at(deployment->timer, when);
    }
}

static void fired(void *userdata)
{
    Deployment *deployment = userdata;

    deployment->wake_at = UINT64_MAX;
    talk_go_on(deployment);
    events_send(deployment);
}

/* --- what it is told ---------------------------------------------------------------------- */

/* The configured value, or else the first of the variables that is set. */
static const char *told(const char *configured, const char *variable, const char *other)
{
    const char *value = configured;

    if (!*value)
        value = getenv(variable);
    if ((!value || !*value) && other)
        value = getenv(other);
    return value ? value : "";
}

static int find_target(Deployment *deployment, InaError *error)
{
    const char *target = told(deployment->target_config, "INAETICS_TARGET", "INAETICS_POD");

    if (!*target)
        target = ina_agent_id(deployment->component);
    if (!*target || strlen(target) > TARGET_MAX ||
        strspn(target, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != strlen(target))
        return ina_error_set(error, EINVAL,
                             "target \"%.100s\": must be 1 to %u letters, digits, '.', '_' or '-' (INAETICS_TARGET)",
                             target, TARGET_MAX);
    deployment->target = strdup(target);
    return deployment->target ? 0 : ina_error_set(error, ENOMEM, "out of memory");
}

/* As OSGi names processors. */
static const char *processor(char *buffer, size_t size)
{
    struct utsname name;

    if (uname(&name) < 0)
        return "unknown";
    (void)snprintf(buffer, size, "%s", name.machine);
    if (strcmp(buffer, "x86_64") == 0)
        return "x86-64";
    if (strcmp(buffer, "aarch64") == 0)
        return "AArch64";
    return buffer;
}

/* "component=processor,site=lab" */
static int add_properties(Deployment *deployment, const char *text, InaError *error)
{
    AUTO_FREE char *copy = strdup(text);
    char *rest = copy, *pair;

    while ((pair = strsep(&rest, ","))) {
        char *value = strchr(pair, '=');
        if (!*pair)
            continue;
        if (!value || value == pair)
            return ina_error_set(error, EINVAL, "INAETICS_TARGET_PROPERTIES: \"%.100s\": must be key=value,key=value",
                                 pair);
        *value++ = '\0';
        (void)json_object_set_new(deployment->properties, pair, json_string(value));
    }
    return 0;
}

/* An agent in a pod comes and goes with it, unless it was given a name of its own. */
static bool is_ephemeral(const Deployment *deployment)
{
    const char *pod = getenv("INAETICS_POD");
    return pod && strcmp(pod, deployment->target) == 0;
}

static int find_properties(Deployment *deployment, InaError *error)
{
    char machine[70];

    deployment->properties =
        json_pack("{s:s, s:s, s:s, s:s}", "runtime", "c", "processor", processor(machine, sizeof machine), "platform",
                  "inaetics.framework;version:Version=\"" INAETICS_VERSION "\"", "ephemeral",
                  is_ephemeral(deployment) ? "true" : "false");
    if (!deployment->properties)
        return ina_error_set(error, ENOMEM, "out of memory");
    return add_properties(deployment, told(deployment->properties_config, "INAETICS_TARGET_PROPERTIES", NULL), error);
}

static int find_token(Deployment *deployment, InaError *error)
{
    const char *path = getenv("INAETICS_TOKEN_FILE");

    if (!path || !*path)
        return 0;
    int r = file_read(path, TOKEN_MAX, &deployment->cluster_token, NULL, error);
    if (r < 0)
        return ina_error_wrap(error, "INAETICS_TOKEN_FILE");
    deployment->cluster_token[strcspn(deployment->cluster_token, "\r\n")] = '\0';
    return 0;
}

/* --- life ------------------------------------------------------------------------------------ */

static void ending(void *userdata)
{
    talk_leave(userdata);
}

static int start(void *self, InaComponent *component, InaError *error)
{
    Deployment *deployment = self;

    deployment->component = component;
    deployment->agent = deployment->deployer.table;
    deployment->wake_at = UINT64_MAX;
    if (!deployment->agent) {
        ina_log(component, INA_LOG_INFO, "this agent was given its bundles; it takes no deployments");
        return 0;
    }
    deployment->provisioning = told(deployment->provisioning, "INAETICS_PROVISIONING", NULL);
    deployment->trust = told(deployment->trust, "INAETICS_TRUST", NULL);
    deployment->authority = told(deployment->authority, "INAETICS_PROVISIONING_CA", NULL);
    deployment->certificate = told(deployment->certificate, "INAETICS_PROVISIONING_CERTIFICATE", NULL);
    deployment->running_since = ina_now();
    if (!(deployment->folder = strdup(deployment->agent->folder(deployment->deployer.self))))
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = find_target(deployment, error);
    if (r == 0)
        r = find_properties(deployment, error);
    if (r == 0)
        r = find_token(deployment, error);
    if (r < 0)
        return r;
    deployment->timer = ina_timer_new(component, fired, deployment);
    deployment->talk.after = strdup(deployment_version(deployment));
    if (!deployment->timer || !deployment->talk.after)
        return ina_error_set(error, ENOMEM, "out of memory");
    store_load(deployment);
    events_open(deployment);
    events_add(deployment, EVENT_FRAMEWORK_STARTED, NULL);
    events_add_all(deployment, EVENT_TARGET_PROPERTIES, deployment->properties);
    plan_recall(deployment);
    if (!*deployment->trust)
        ina_log(component, INA_LOG_WARNING, "no key is trusted (INAETICS_TRUST): nothing will be installed");
    deployment->agent->on_end(deployment->deployer.self, ending, deployment);
    r = servers_open(deployment, error);
    if (r == 0)
        talk_go_on(deployment);
    return r;
}

static void stop(void *self)
{
    Deployment *deployment = self;

    if (!deployment->agent)
        return;
    if (!deployment_is_over(deployment)) {
        deployment->agent->forget(deployment->deployer.self);
        deployment->agent->on_end(deployment->deployer.self, NULL, NULL);
    }
    plan_stop(deployment);
    servers_close(deployment);
    talk_close(deployment);
    events_close(deployment);
    store_clear(deployment);
    json_decref(deployment->properties);
    json_decref(deployment->before);
    free(deployment->failed);
    free(deployment->failure);
    free(deployment->folder);
    free(deployment->target);
    free(deployment->cluster_token);
}

static const InaRequired requires[] = {
    {.plain = INA_DEPLOYER, .cardinality = INA_OPTIONAL, .offset = offsetof(Deployment, deployer)},
};

static const InaConfig config[] = {
    {.key = "target",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Deployment, target_config),
     .description = "id of this target; empty: $INAETICS_TARGET, $INAETICS_POD, or the agent's id"},
    {.key = "properties",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Deployment, properties_config),
     .description = "key=value,key=value told to the server; empty: $INAETICS_TARGET_PROPERTIES"},
    {.key = "provisioning",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Deployment, provisioning),
     .description = "URLs of servers; empty: $INAETICS_PROVISIONING, or those that etcd lists"},
    {.key = "trust",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Deployment, trust),
     .description = "file with the public keys that deployments must be signed with; empty: $INAETICS_TRUST"},
    {.key = "authority",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Deployment, authority),
     .description = "file with the authority that https servers must be signed by; empty: $INAETICS_PROVISIONING_CA, "
                    "or ca.pem of $INAETICS_PKI"},
    {.key = "certificate",
     .type = INA_TYPE_STRING,
     .offset = offsetof(Deployment, certificate),
     .description = "file with certificate and key that are shown to servers; empty: "
                    "$INAETICS_PROVISIONING_CERTIFICATE, or none"},
    {.key = "downloads",
     .type = INA_TYPE_INTEGER,
     .offset = offsetof(Deployment, downloads),
     .value = "4",
     .minimum = 1,
     .maximum = DOWNLOADS_MAX,
     .description = "files fetched at once"},
};

static const InaComponentClass components[] = {{
    .name = "deployment",
    .size = sizeof(Deployment),
    .requires = requires,
    .n_requires = INA_COUNT(requires),
    .config = config,
    .n_config = INA_COUNT(config),
    .start = start,
    .stop = stop,
}};

INA_BUNDLE(components);
