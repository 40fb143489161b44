#include "configuration.h"
#include "base/files.h"
#include "base/json.h"
#include "base/map.h"
#include "bundles.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A component's file as last read. */
typedef struct ConfigurationFile {
    json_t *values; /* NULL: there is none */
    struct timespec changed;
    ino_t inode;
    off_t size;
} ConfigurationFile;

struct Configuration {
    Framework *framework;
    char *path;       /* of the values changed at run time */
    json_t *changed;  /* {"component": {"key": "text"}} */
    json_t *deployed; /* {"component": {"key": value}}, with the set; or NULL */
    json_t *held;     /* {"component": {"key": ["text", "source"]}}, while an update is under way */
    bool recalling;   /* lookups of components in it answer with it */
    Map *files;       /* of component names to ConfigurationFile */
    char source[512];
};

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* --- values changed at run time -------------------------------------------- */

static int load_changed(Configuration *configuration, InaError *error)
{
    char *text;
    size_t size;

    int r = file_read(configuration->path, CONFIGURATION_FILE_MAX, &text, &size, error);
    if (r == -ENOENT) {
        configuration->changed = json_object();
        return configuration->changed ? 0 : no_memory(error);
    }
    if (r < 0)
        return r;
    r = json_parse(text, size, CONFIGURATION_FILE_MAX, &configuration->changed, error);
    free(text);
    if (r == 0 && !json_is_object(configuration->changed))
        r = ina_error_set(error, EINVAL, "an object is expected");
    return r < 0 ? ina_error_wrap(error, "%s", configuration->path) : 0;
}

static int save_changed(const Configuration *configuration, InaError *error)
{
    char *text = json_dumps(configuration->changed, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (!text)
        return no_memory(error);
    int r =
        strlen(text) > CONFIGURATION_FILE_MAX
            ? ina_error_set(error, E2BIG, "more than %u bytes of values changed at run time", CONFIGURATION_FILE_MAX)
            : file_write(configuration->path, text, strlen(text), 0600, error);
    free(text);
    return r;
}

int configuration_new(Framework *framework, const char *cache_folder, Configuration **ret, InaError *error)
{
    Configuration *configuration = calloc(1, sizeof *configuration);
    if (!configuration)
        return no_memory(error);
    configuration->framework = framework;
    configuration->path = path_join(cache_folder, "configuration.json");
    configuration->files = map_new();
    int r = configuration->path && configuration->files ? load_changed(configuration, error) : no_memory(error);
    if (r < 0) {
        configuration_free(configuration);
        return r;
    }
    *ret = configuration;
    return 0;
}

Configuration *configuration_free(Configuration *configuration)
{
    size_t position = 0;
    void *value;

    if (!configuration)
        return NULL;
    while (configuration->files && map_next(configuration->files, &position, NULL, &value)) {
        json_decref(((ConfigurationFile *)value)->values);
        free(value);
    }
    map_free(configuration->files);
    json_decref(configuration->changed);
    json_decref(configuration->held);
    json_decref(configuration->deployed);
    free(configuration->path);
    free(configuration);
    return NULL;
}

/* --- files ----------------------------------------------------------------- */

static int read_values(const char *path, json_t **ret, InaError *error)
{
    char *text;
    size_t size;
    json_t *values = NULL;

    int r = file_read(path, CONFIGURATION_FILE_MAX, &text, &size, error);
    if (r < 0)
        return r;
    r = json_parse(text, size, CONFIGURATION_FILE_MAX, &values, error);
    free(text);
    if (r == 0 && !json_is_object(values)) {
        json_decref(values);
        r = ina_error_set(error, EINVAL, "an object {\"key\": value} is expected");
    }
    if (r < 0)
        return ina_error_wrap(error, "%s", path);
    *ret = values;
    return 0;
}

static int refresh(ConfigurationFile *file, const char *path, InaError *error)
{
    struct stat now;
    json_t *values = NULL;

    if (stat(path, &now) < 0) {
        if (errno != ENOENT)
            return ina_error_errno(error, errno, "cannot read %s", path);
        json_decref(file->values);
        *file = (ConfigurationFile){0};
        return 0;
    }
    if (file->values && now.st_ino == file->inode && now.st_size == file->size &&
        now.st_mtim.tv_sec == file->changed.tv_sec && now.st_mtim.tv_nsec == file->changed.tv_nsec)
        return 0;
    int r = read_values(path, &values, error);
    if (r < 0)
        return r;
    json_decref(file->values);
    *file = (ConfigurationFile){values, now.st_mtim, now.st_ino, now.st_size};
    return 0;
}

static char *file_path(const Configuration *configuration, const char *component)
{
    char *path;

    if (asprintf(&path, "%s/%s.json", configuration->framework->configuration, component) < 0)
        return NULL;
    return path;
}

/* The values of a component's file; NULL when there is none. Borrowed. */
static int file_values(Configuration *configuration, const char *component, json_t **ret, InaError *error)
{
    *ret = NULL;
    if (!configuration->framework->configuration || strchr(component, '/'))
        return 0;
    ConfigurationFile *file = map_get(configuration->files, component);
    if (!file) {
        file = calloc(1, sizeof *file);
        if (!file || map_set(configuration->files, component, file) < 0) {
            free(file);
            return no_memory(error);
        }
    }
    char *path = file_path(configuration, component);
    int r = path ? refresh(file, path, error) : no_memory(error);
    free(path);
    *ret = file->values;
    return r;
}

static int text_of(const json_t *value, const char *component, const char *key, char **ret, InaError *error)
{
    int r = 0;

    switch (json_typeof(value)) {
    case JSON_STRING:
        r = (*ret = strdup(json_string_value(value))) ? 0 : -1;
        break;
    case JSON_INTEGER:
        r = asprintf(ret, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        r = asprintf(ret, "%.17g", json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        r = (*ret = strdup(json_is_true(value) ? "true" : "false")) ? 0 : -1;
        break;
    case JSON_NULL:
    case JSON_OBJECT:
    case JSON_ARRAY:
    default:
        return ina_error_set(error, EINVAL, "%s.json: %s must be a string, a number, true or false", component, key);
    }
    return r < 0 ? no_memory(error) : 0;
}

/* --- environment ----------------------------------------------------------- */

/* "CONFIG_QUEUE_SEGMENT_SIZE" of queue and segment-size, malloc'ed; of an empty key, what all begin with. */
static char *variable_name(const char *component, const char *key)
{
    char *name;

    if (asprintf(&name, "CONFIG_%s_%s", component, key) < 0)
        return NULL;
    for (char *p = name; *p; p++)
        *p = *p == '-' || *p == '.' ? '_' : (char)toupper((unsigned char)*p);
    return name;
}

static int from_environment(Configuration *configuration, const char *component, const char *key, char **ret_value,
                            InaError *error)
{
    char *name = variable_name(component, key);
    if (!name)
        return no_memory(error);
    const char *value = getenv(name);
    int r = 0;
    if (value) {
        (void)snprintf(configuration->source, sizeof configuration->source, "environment %s", name);
        *ret_value = strdup(value);
        r = *ret_value ? 1 : no_memory(error);
    }
    free(name);
    return r;
}

static int recall(Configuration *configuration, const json_t *values, const char *key, char **ret_value,
                  const char **ret_source, InaError *error)
{
    const json_t *pair = json_object_get(values, key);
    if (!pair)
        return 0;
    *ret_source = json_string_value(json_array_get(pair, 1));
    *ret_value = strdup(json_string_value(json_array_get(pair, 0)));
    return *ret_value ? 1 : no_memory(error);
}

int configuration_lookup(Configuration *configuration, const char *component, const char *key, char **ret_value,
                         const char **ret_source, InaError *error)
{
    const json_t *held = configuration->recalling ? json_object_get(configuration->held, component) : NULL;
    const char *changed = json_string_value(json_object_get(json_object_get(configuration->changed, component), key));
    json_t *values;
    int r;

    if (held)
        return recall(configuration, held, key, ret_value, ret_source, error);
    *ret_source = configuration->source;
    if (changed) {
        *ret_source = "changed at run time";
        *ret_value = strdup(changed);
        return *ret_value ? 1 : no_memory(error);
    }
    if (configuration->framework->environment) {
        r = from_environment(configuration, component, key, ret_value, error);
        if (r != 0)
            return r;
    }
    const json_t *value = json_object_get(json_object_get(configuration->deployed, component), key);
    if (value) {
        (void)snprintf(configuration->source, sizeof configuration->source, "deployment");
    } else {
        r = file_values(configuration, component, &values, error);
        if (r < 0)
            return r;
        value = json_object_get(values, key);
        if (!value)
            return 0;
        (void)snprintf(configuration->source, sizeof configuration->source, "file %s.json", component);
    }
    r = text_of(value, component, key, ret_value, error);
    return r < 0 ? r : 1;
}

/* --- checking -------------------------------------------------------------- */

static bool has_key(const InaComponentClass *class, const char *key)
{
    for (size_t i = 0; i < class->n_config; i++)
        if (strcmp(class->config[i].key, key) == 0)
            return true;
    return false;
}

static int unknown_key(const InaComponentClass *class, const char *key, InaError *error)
{
    char known[300] = "";

    for (size_t i = 0, size = 0; i < class->n_config && size < sizeof known; i++)
        size += (size_t)snprintf(known + size, sizeof known - size, "%s%s", i > 0 ? ", " : "", class->config[i].key);
    return ina_error_set(error, EINVAL, "component %s has no key '%.60s'; it has: %s", class->name, key,
                         *known ? known : "none");
}

/* All are keys of the component. */
static int check_keys(const InaComponentClass *class, json_t *values, InaError *error)
{
    const char *key;
    json_t *value;

    json_object_foreach(values, key, value)
    {
        if (!has_key(class, key))
            return unknown_key(class, key, error);
    }
    return 0;
}

static int check_file(Configuration *configuration, const InaComponentClass *class, InaError *error)
{
    json_t *values;

    int r = file_values(configuration, class->name, &values, error);
    if (r < 0)
        return r;
    r = check_keys(class, values, error);
    if (r < 0)
        return ina_error_wrap(error, "%s.json", class->name);
    r = check_keys(class, json_object_get(configuration->deployed, class->name), error);
    return r < 0 ? ina_error_wrap(error, "deployment") : 0;
}

typedef struct KeySearch {
    Framework *framework;
    const char *component; /* being looked at */
    const char *variable;  /* up to its '=' */
    size_t length;
    bool found;
} KeySearch;

static void compare_key(KeySearch *search, const char *key)
{
    char *name = variable_name(search->component, key);

    if (name && strlen(name) == search->length && strncmp(name, search->variable, search->length) == 0)
        search->found = true;
    free(name);
}

static void compare_config(void *userdata, const InaConfig *config, const char *value, const char *source)
{
    compare_key(userdata, config->key);
}

static void search_component(void *userdata, const ComponentInfo *info)
{
    KeySearch *search = userdata;

    search->component = info->component;
    (void)components_configuration_each(search->framework, info->component, compare_config, search);
}

/* A variable that begins as those of this component but is no key of it or of
 * any other ("a-b" may have one that begins as those of "a"): worth a word,
 * not a refusal, the environment is not ours alone. */
static void check_environment(Configuration *configuration, const InaComponentClass *class)
{
    Framework *framework = configuration->framework;
    char *prefix = variable_name(class->name, ""), message[256];

    for (char **variable = environ; prefix && framework->environment && *variable; variable++) {
        KeySearch search = {framework, class->name, *variable, strcspn(*variable, "="), false};
        if (strncmp(*variable, prefix, strlen(prefix)) != 0)
            continue;
        for (size_t i = 0; i < class->n_config; i++)
            compare_key(&search, class->config[i].key);
        components_each(framework, search_component, &search);
        if (search.found)
            continue;
        (void)snprintf(message, sizeof message, "environment %.*s: component %s has no such key", (int)search.length,
                       *variable, class->name);
        logs_write(framework->bundles->logs, 0, "framework", class->name, INA_LOG_WARNING, message);
    }
    free(prefix);
}

int configuration_check(Configuration *configuration, const InaBundleTable *table, InaError *error)
{
    for (size_t i = 0; i < table->n_components; i++) {
        int r = check_file(configuration, &table->components[i], error);
        if (r < 0)
            return r;
        check_environment(configuration, &table->components[i]);
    }
    return 0;
}

/* --- holding for the way back ------------------------------------------------ */

/* A default is not held: nothing was configured, and nothing is. */
static void hold_value(void *userdata, const InaConfig *config, const char *value, const char *source)
{
    if (strcmp(source, "default") != 0 && strcmp(source, "missing") != 0)
        (void)json_object_set_new(userdata, config->key, json_pack("[s, s]", value, source));
}

int configuration_hold(Configuration *configuration, const InaBundleTable *table, InaError *error)
{
    json_decref(configuration->held);
    configuration->held = json_object();
    for (size_t i = 0; i < table->n_components; i++) {
        json_t *values = json_object();
        if (json_object_set_new(configuration->held, table->components[i].name, values) < 0)
            return no_memory(error);
        (void)components_configuration_each(configuration->framework, table->components[i].name, hold_value, values);
    }
    return 0;
}

void configuration_recall(Configuration *configuration, bool recalling)
{
    configuration->recalling = recalling;
}

void configuration_release(Configuration *configuration)
{
    json_decref(configuration->held);
    configuration->held = NULL;
    configuration->recalling = false;
}

/* --- changing at run time -------------------------------------------------- */

/* NULL: takes it out. */
static int put(Configuration *configuration, const char *component, const char *key, const char *value)
{
    json_t *values = json_object_get(configuration->changed, component);

    if (!value) {
        (void)json_object_del(values, key);
        if (values && json_object_size(values) == 0)
            (void)json_object_del(configuration->changed, component);
        return 0;
    }
    if (!values) {
        values = json_object();
        if (json_object_set_new(configuration->changed, component, values) < 0)
            return -ENOMEM;
    }
    return json_object_set_new(values, key, json_string(value)) < 0 ? -ENOMEM : 0;
}

static void pass(void *userdata, const InaConfig *config, const char *value, const char *source)
{
}

static int check_value(const Configuration *configuration, const char *component, const char *key, const char *value,
                       bool *ret_pending, InaError *error)
{
    *ret_pending = components_configuration_each(configuration->framework, component, pass, NULL) == -ENOENT;
    if (value && strlen(value) > CONFIGURATION_VALUE_MAX)
        return ina_error_set(error, E2BIG, "%s, %s: a value has at most %u bytes", component, key,
                             CONFIGURATION_VALUE_MAX);
    if (*ret_pending)
        return 0;
    int r = components_configuration_check(configuration->framework, component, key, value ? value : "", error);
    return r == -EINVAL && !value ? 0 : r;
}

typedef struct StateSearch {
    const char *component;
    bool active;
} StateSearch;

static void search_active(void *userdata, const ComponentInfo *info)
{
    StateSearch *search = userdata;
    search->active =
        search->active || (info->state == COMPONENT_ACTIVE && strcmp(info->component, search->component) == 0);
}

/* Gives the component what is configured now. One that does not run yet may
 * have more that is wrong: that must not keep a right value out. */
static int apply(const Configuration *configuration, const char *component, InaError *error)
{
    StateSearch search = {.component = component};

    components_each(configuration->framework, search_active, &search);
    int r = components_configured(configuration->framework, component, search.active ? error : NULL);
    return search.active || r == -EBUSY ? r : 0;
}

int configuration_set(Configuration *configuration, const char *component, const char *key, const char *value,
                      bool *ret_pending, InaError *error)
{
    const char *before = json_string_value(json_object_get(json_object_get(configuration->changed, component), key));
    char *old = before ? strdup(before) : NULL;
    bool pending;

    if (before && !old)
        return no_memory(error);
    int r = check_value(configuration, component, key, value, &pending, error);
    if (r < 0) {
        free(old);
        return r;
    }
    r = put(configuration, component, key, value);
    if (r < 0)
        r = no_memory(error);
    if (r == 0 && !pending)
        r = apply(configuration, component, error);
    if (r == 0)
        r = save_changed(configuration, error);
    if (r < 0) {
        (void)put(configuration, component, key, old);
        if (!pending)
            (void)components_configured(configuration->framework, component, NULL);
    }
    free(old);
    if (ret_pending)
        *ret_pending = pending;
    return r;
}

/* --- what comes with the set --------------------------------------------------- */

int configuration_deploy(Configuration *configuration, const json_t *values, json_t **ret_old, InaError *error)
{
    const char *component, *key;
    json_t *copy = values ? json_deep_copy(values) : NULL, *keys, *value;
    char *text;

    if (values && !copy)
        return no_memory(error);
    int r = copy && !json_is_object(copy) ? ina_error_set(error, EINVAL, "deployment: an object is expected") : 0;
    json_object_foreach(copy, component, keys)
    {
        if (r == 0 && !json_is_object(keys))
            r = ina_error_set(error, EINVAL, "deployment: %s: an object {\"key\": value} is expected", component);
        json_object_foreach(keys, key, value)
        {
            text = NULL;
            if (r == 0)
                r = text_of(value, component, key, &text, error);
            free(text);
        }
    }
    if (r < 0) {
        json_decref(copy);
        return r;
    }
    if (ret_old)
        *ret_old = configuration->deployed;
    else
        json_decref(configuration->deployed);
    configuration->deployed = copy;
    return 0;
}

static int check_component(Configuration *configuration, const char *component, json_t *keys, InaError *error)
{
    const char *key;
    char message[256];
    json_t *value;
    int r = 0;

    if (components_configuration_each(configuration->framework, component, pass, NULL) == -ENOENT) {
        (void)snprintf(message, sizeof message, "deployment: there is no component %.100s to configure", component);
        logs_write(configuration->framework->bundles->logs, 0, "framework", NULL, INA_LOG_WARNING, message);
        return 0;
    }
    json_object_foreach(keys, key, value)
    {
        char *text = NULL;
        r = text_of(value, component, key, &text, error);
        if (r == 0)
            r = components_configuration_check(configuration->framework, component, key, text, error);
        free(text);
        if (r < 0)
            return ina_error_wrap(error, "deployment");
    }
    return 0;
}

int configuration_check_deployed(Configuration *configuration, InaError *error)
{
    const char *component;
    json_t *keys;

    json_object_foreach(configuration->deployed, component, keys)
    {
        int r = check_component(configuration, component, keys, error);
        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_differing(Configuration *configuration, const json_t *these, const json_t *those, bool both,
                           InaError *error)
{
    const char *component;
    json_t *keys;

    json_object_foreach((json_t *)these, component, keys)
    {
        const json_t *others = json_object_get(those, component);
        if ((both && others) || (others && json_equal(keys, others)))
            continue;
        int r = apply(configuration, component, error);
        if (r < 0)
            return ina_error_wrap(error, "deployment");
    }
    return 0;
}

int configuration_apply_deployed(Configuration *configuration, const json_t *old, InaError *error)
{
    int r = apply_differing(configuration, configuration->deployed, old, false, error);

    /* Those that are not named any more. */
    return r < 0 ? r : apply_differing(configuration, old, configuration->deployed, true, error);
}
