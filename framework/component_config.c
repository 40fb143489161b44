/* component_config.c - configuration of components: texts from the hook or
 * the table's defaults, checked and written into typed fields. */
#include "core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A read value; a string points to its text. */
typedef union Parsed {
    const char *string;
    int64_t integer;
    double real;
    bool boolean;
} Parsed;

static bool limited(const InaConfig *config)
{
    return config->minimum < config->maximum || config->minimum > config->maximum;
}

/* "an integer from 1 to 100" */
static const char *allowed(const InaConfig *config, char *buffer, size_t size)
{
    const char *kind = config->type == INA_TYPE_INTEGER ? "an integer" : "a number";
    if (config->type == INA_TYPE_BOOLEAN)
        snprintf(buffer, size, "true or false");
    else if (config->type == INA_TYPE_STRING)
        snprintf(buffer, size, "a text");
    else if (limited(config))
        snprintf(buffer, size, "%s from %.15g to %.15g", kind, config->minimum, config->maximum);
    else
        snprintf(buffer, size, "%s", kind);
    return buffer;
}

static bool parse_boolean(const char *text, bool *ret)
{
    static const char *const truths[] = {"true", "yes", "on", "1"};
    static const char *const lies[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < INA_COUNT(truths); i++) {
        if (strcasecmp(text, truths[i]) == 0 || strcasecmp(text, lies[i]) == 0) {
            *ret = strcasecmp(text, truths[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool in_range(const InaConfig *config, double value)
{
    return !limited(config) || (value >= config->minimum && value <= config->maximum);
}

static bool parse(const InaConfig *config, const char *text, Parsed *ret)
{
    char *end;
    errno = 0;
    switch (config->type) {
    case INA_TYPE_STRING:
        ret->string = text;
        return true;
    case INA_TYPE_INTEGER:
        ret->integer = strtoll(text, &end, 10);
        return errno == 0 && end != text && *end == '\0' && in_range(config, (double)ret->integer);
    case INA_TYPE_DOUBLE:
        ret->real = strtod(text, &end);
        /* No configuration means infinity or not-a-number. */
        return errno == 0 && end != text && *end == '\0' && ret->real - ret->real == 0 && in_range(config, ret->real);
    case INA_TYPE_BOOLEAN:
        return parse_boolean(text, &ret->boolean);
    case INA_TYPE_STRINGS:
        break;
    }
    return false;
}

static int refuse(const char *component, const InaConfig *config, const char *text, const char *source, InaError *error)
{
    char buffer[128];
    return ina_error_set(error, EINVAL, "component %s: configuration %s = \"%.100s\" (%s) is not allowed; %s is%s%s",
                         component, config->key, text, source, allowed(config, buffer, sizeof(buffer)),
                         config->description != NULL ? ": " : "",
                         config->description != NULL ? config->description : "");
}

static size_t size_of(InaType type)
{
    switch (type) {
    case INA_TYPE_STRING:
        return sizeof(const char *);
    case INA_TYPE_INTEGER:
        return sizeof(int64_t);
    case INA_TYPE_DOUBLE:
        return sizeof(double);
    case INA_TYPE_BOOLEAN:
        return sizeof(bool);
    case INA_TYPE_STRINGS:
        break;
    }
    return 0;
}

int config_validate(const InaConfig *config, size_t size, InaError *error)
{
    if (config->key == NULL || *config->key == '\0')
        return ina_error_set(error, EINVAL, "a configuration entry has no key");
    size_t field = size_of(config->type);
    if (field == 0)
        return ina_error_set(error, EINVAL,
                             "configuration %s: type %d is not allowed; string, integer, double and boolean are",
                             config->key, (int)config->type);
    if (config->offset > size || size - config->offset < field || config->offset % field != 0)
        return ina_error_set(error, EINVAL, "configuration %s: there is no such field at offset %zu of %zu bytes",
                             config->key, config->offset, size);
    if (config->minimum > config->maximum)
        return ina_error_set(error, EINVAL, "configuration %s: the minimum is above the maximum", config->key);
    Parsed parsed;
    char buffer[128];
    if (config->value != NULL && !parse(config, config->value, &parsed))
        return ina_error_set(error, EINVAL, "configuration %s: its default \"%.100s\" is not allowed; %s is",
                             config->key, config->value, allowed(config, buffer, sizeof(buffer)));
    return 0;
}

/* --- reading ------------------------------------------------------------ */

typedef struct Texts {
    size_t count;
    char **texts, **sources;
} Texts;

static void texts_free(Texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (texts->texts != NULL)
            free(texts->texts[i]);
        if (texts->sources != NULL)
            free(texts->sources[i]);
    }
    free(texts->texts);
    free(texts->sources);
}

/* The text of one key, malloc'ed, and where it is from. */
static int read_text(Framework *framework, const char *component, const InaConfig *config, char **ret_text,
                     char **ret_source, InaError *error)
{
    char *text = NULL;
    const char *source = "default";
    int r = 0;
    if (framework->hooks.configuration != NULL)
        r = framework->hooks.configuration(framework, component, config->key, &text, &source, error);
    if (r < 0)
        return r;
    if (r == 0) {
        if (config->required || (config->value == NULL && config->type != INA_TYPE_STRING))
            return ina_error_set(error, EINVAL, "component %s: configuration %s must be given: %s", component,
                                 config->key, config->description != NULL ? config->description : "it has no default");
        source = "default";
        text = strdup(config->value != NULL ? config->value : "");
    }
    *ret_text = text;
    *ret_source = strdup(source);
    return *ret_text != NULL && *ret_source != NULL ? 0 : ina_error_set(error, ENOMEM, "out of memory");
}

static int read_all(Component *component, Texts *texts, Parsed *parsed, InaError *error)
{
    const InaComponentClass *class = component->class;
    texts->texts = calloc(class->n_config + 1, sizeof(char *));
    texts->sources = calloc(class->n_config + 1, sizeof(char *));
    if (texts->texts == NULL || texts->sources == NULL)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < class->n_config; i++) {
        const InaConfig *config = &class->config[i];
        texts->count = i + 1;
        int r = read_text(component->framework, class->name, config, &texts->texts[i], &texts->sources[i], error);
        if (r < 0)
            return r;
        if (!parse(config, texts->texts[i], &parsed[i]))
            return refuse(class->name, config, texts->texts[i], texts->sources[i], error);
    }
    return 0;
}

/* --- applying ----------------------------------------------------------- */

static void write_fields(Component *component, const Parsed *parsed)
{
    for (size_t i = 0; i < component->class->n_config; i++) {
        const InaConfig *config = &component->class->config[i];
        void *field = (char *)component->self + config->offset;
        memcpy(field, &parsed[i], size_of(config->type));
    }
}

static void read_fields(const Component *component, Parsed *parsed)
{
    for (size_t i = 0; i < component->class->n_config; i++) {
        const InaConfig *config = &component->class->config[i];
        memcpy(&parsed[i], (const char *)component->self + config->offset, size_of(config->type));
    }
}

static Texts swap_texts(Component *component, Texts texts)
{
    Texts old = {component->config_texts != NULL ? component->class->n_config : 0, component->config_texts,
                 component->config_sources};
    component->config_texts = texts.texts;
    component->config_sources = texts.sources;
    return old;
}

int config_apply(Component *component, InaError *error)
{
    Texts texts = {0};
    Parsed parsed[component->class->n_config + 1];
    int r = read_all(component, &texts, parsed, error);
    if (r == 0) {
        write_fields(component, parsed);
        texts = swap_texts(component, texts);
    }
    texts_free(&texts);
    return r;
}

void config_forget(Component *component)
{
    Texts texts = swap_texts(component, (Texts){0});
    texts_free(&texts);
}

static bool same_texts(const Component *component, const Texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (strcmp(component->config_texts[i], texts->texts[i]) != 0)
            return false;
    }
    return true;
}

/* Of a running component: the new values, or the old ones when it refuses. */
static int reconfigure(Component *component, InaError *error)
{
    size_t count = component->class->n_config;
    Texts texts = {0};
    Parsed parsed[count + 1], old[count + 1];
    int r = read_all(component, &texts, parsed, error);
    if (r < 0 || same_texts(component, &texts)) {
        texts_free(&texts);
        return r;
    }
    if (component->class->configured == NULL) {
        texts_free(&texts);
        component->must_restart = true;
        component_unsettle(component);
        return 0;
    }
    read_fields(component, old);
    write_fields(component, parsed);
    texts = swap_texts(component, texts);
    InaError reported = {.message = "it gave no reason"};
    ServiceVisit visit;
    visit_enter(component->framework, component, "configured", &visit);
    r = component->class->configured(component->self, &reported);
    visit_leave(&visit);
    if (r < 0) {
        write_fields(component, old);
        texts = swap_texts(component, texts);
        ina_error_set(error, -r, "component %s refuses its new configuration: %s", component->class->name,
                      reported.message);
    }
    texts_free(&texts);
    return r;
}

/* --- from outside ------------------------------------------------------- */

/* The components of this name, one after the other; `previous` NULL: the first. */
static Component *next_named(Framework *framework, const char *name, const Component *previous)
{
    bool seen = previous == NULL;
    ComponentSet *set;
    TAILQ_FOREACH(set, &framework->core->sets, in_core)
    {
        for (size_t i = 0; i < set->n_components; i++) {
            Component *component = &set->components[i];
            if (seen && strcmp(component->class->name, name) == 0)
                return component;
            seen = seen || component == previous;
        }
    }
    return NULL;
}

static int no_component(Framework *framework, const char *name, InaError *error)
{
    char known[256] = "";
    size_t length = 0;
    ComponentSet *set;
    TAILQ_FOREACH(set, &framework->core->sets, in_core)
    {
        for (size_t i = 0; i < set->n_components && length < sizeof(known); i++)
            length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s", length > 0 ? ", " : "",
                                       set->components[i].class->name);
    }
    return ina_error_set(error, ENOENT, "there is no component %s; there are: %s", name, length > 0 ? known : "none");
}

int components_configured(Framework *framework, const char *name, InaError *error)
{
    if (!framework_idle(framework))
        return ina_error_set(error, EBUSY, "configuration cannot change inside a component's function");
    Component *component = next_named(framework, name, NULL);
    if (component == NULL)
        return no_component(framework, name, error);
    int result = 0;
    for (; component != NULL; component = next_named(framework, name, component)) {
        if (component->state == COMPONENT_ACTIVE) {
            int r = reconfigure(component, result == 0 ? error : NULL);
            result = result == 0 ? r : result;
        } else if (component->state == COMPONENT_MISCONFIGURED || component->state == COMPONENT_FAILED) {
            component_stop(component, COMPONENT_WAITING, NULL);
            component_unsettle(component);
        }
    }
    framework_settle(framework);
    for (component = next_named(framework, name, NULL); component != NULL && result == 0;
         component = next_named(framework, name, component)) {
        if (component->state == COMPONENT_MISCONFIGURED)
            result =
                ina_error_set(error, EINVAL, "%s", component->reason != NULL ? component->reason : "misconfigured");
    }
    return result;
}

static int no_key(const InaComponentClass *class, const char *key, InaError *error)
{
    char known[256] = "";
    size_t length = 0;
    for (size_t i = 0; i < class->n_config && length < sizeof(known); i++)
        length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s", length > 0 ? ", " : "",
                                   class->config[i].key);
    return ina_error_set(error, ENOENT, "component %s has no configuration %s; it has: %s", class->name, key,
                         length > 0 ? known : "none");
}

int components_configuration_check(Framework *framework, const char *name, const char *key, const char *text,
                                   InaError *error)
{
    const Component *component = next_named(framework, name, NULL);
    if (component == NULL)
        return no_component(framework, name, error);
    for (size_t i = 0; i < component->class->n_config; i++) {
        const InaConfig *config = &component->class->config[i];
        Parsed parsed;
        if (strcmp(config->key, key) == 0)
            return parse(config, text, &parsed) ? 0 : refuse(name, config, text, "new", error);
    }
    return no_key(component->class, key, error);
}

int components_configuration_each(Framework *framework, const char *name,
                                  void (*visit)(void *userdata, const InaConfig *config, const char *value,
                                                const char *source),
                                  void *userdata)
{
    Component *component = next_named(framework, name, NULL);
    if (component == NULL)
        return -ENOENT;
    for (size_t i = 0; i < component->class->n_config; i++) {
        const InaConfig *config = &component->class->config[i];
        char *text = NULL, *source = NULL;
        if (component->config_texts != NULL)
            visit(userdata, config, component->config_texts[i], component->config_sources[i]);
        else if (read_text(framework, name, config, &text, &source, NULL) == 0)
            visit(userdata, config, text, source);
        else
            visit(userdata, config, "", "missing");
        free(text);
        free(source);
    }
    return 0;
}
