#include "description.h"
#include "base/map.h"
#include "clauses.h"
#include "elf_check.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool bundle_name_valid(const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length > BUNDLE_NAME_MAX || name[0] == '.' || name[length - 1] == '.' || strstr(name, ".."))
        return false;
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("_-.", *p)))
            return false;
    return true;
}

/* --- identity ------------------------------------------------------------- */

static int read_identity(Description *description, const Manifest *manifest, InaError *error)
{
    const char *text;
    Clauses *clauses = NULL;

    int r = manifest_require(manifest, "Bundle-SymbolicName", &text, error);
    if (r == 0)
        r = clauses_parse("Bundle-SymbolicName", text, &clauses, error);
    if (r < 0)
        return r;
    const char *name = clauses_at(clauses, 0)->paths[0]; /* directives behind it (singleton:=true) are not for us */
    if (clauses_count(clauses) != 1 || !bundle_name_valid(name))
        r = ina_error_set(
            error, EINVAL,
            "Bundle-SymbolicName '%.80s': one name of at most %u letters, digits, '_', '-' and '.' is right", text,
            BUNDLE_NAME_MAX);
    else if (!(description->name = strdup(name)))
        r = ina_error_set(error, ENOMEM, "out of memory");
    clauses_free(clauses);
    if (r < 0)
        return r;

    const char *version = manifest_get(manifest, "Bundle-Version");
    r = version_parse(version ? version : "0.0.0", &description->version, error);
    if (r < 0)
        return ina_error_wrap(error, "Bundle-Version");
    version_format(&description->version, description->version_text);
    return 0;
}

/* --- native code ---------------------------------------------------------- */

/* A parameter that is there several times means: one of these. */
static bool clause_matches(const Clause *clause)
{
    bool processor = !clause_attribute(clause, "processor"), system = !clause_attribute(clause, "osname");

    for (size_t i = 0; i < clause->n_parameters; i++) {
        const ClauseParameter *parameter = &clause->parameters[i];
        if (strcmp(parameter->name, "processor") == 0)
            processor = processor || elf_processor_matches(parameter->value);
        else if (strcmp(parameter->name, "osname") == 0)
            system = system || strcasecmp(parameter->value, "Linux") == 0;
    }
    return processor && system;
}

static int read_native_code(Description *description, const Manifest *manifest, InaError *error)
{
    const char *text = manifest_get(manifest, "Bundle-NativeCode");
    Clauses *clauses = NULL;
    Buffer natives = {0};

    int r = text ? clauses_parse("Bundle-NativeCode", text, &clauses, error) : 0;
    for (size_t i = 0; r == 0 && i < clauses_count(clauses); i++) {
        const Clause *clause = clauses_at(clauses, i);
        const char *processor = clause_attribute(clause, "processor");
        if (strcmp(clause->paths[0], "*") == 0) /* "goes without" */
            continue;
        buffer_print(&natives, "%s%s", natives.size > 0 ? ", " : "", processor ? processor : "any processor");
        if (!description->library && clause_matches(clause)) {
            /* OSGi takes "/lib/x.so" for "lib/x.so". */
            const char *path = clause->paths[0] + (clause->paths[0][0] == '/');
            description->library = strdup(path);
            if (!description->library)
                r = ina_error_set(error, ENOMEM, "out of memory");
        }
    }
    clauses_free(clauses);
    buffer_append(&natives, "", 1);
    if (r == 0 && natives.failed)
        r = ina_error_set(error, ENOMEM, "out of memory");
    description->natives = natives.data;
    return r;
}

/* --- capabilities and requirements ---------------------------------------- */

static int set_list(InaProperties *attributes, const ClauseParameter *parameter, InaError *error)
{
    char *copy = strdup(parameter->value), *rest = copy, *item;
    const char *items[64];
    size_t count = 0;

    if (!copy)
        return ina_error_set(error, ENOMEM, "out of memory");
    while ((item = strsep(&rest, ",")) && count < sizeof items / sizeof *items) {
        item += strspn(item, " ");
        for (size_t length = strlen(item); length > 0 && item[length - 1] == ' ';)
            item[--length] = '\0';
        items[count++] = item;
    }
    int r = rest ? ina_error_set(error, E2BIG, "the list %s has more than 64 items", parameter->name) : 0;
    InaValue value = {.type = INA_TYPE_STRINGS, .strings = {items, count}};
    if (r == 0)
        r = ina_properties_set(attributes, parameter->name, &value, error);
    free(copy);
    return r;
}

static int set_version(Capability *capability, const ClauseParameter *parameter, InaError *error)
{
    char text[VERSION_TEXT_MAX];
    Version version;

    int r = version_parse(parameter->value, &version, error);
    if (r < 0)
        return r;
    const char **versions = reallocarray(capability->versions, capability->n_versions + 1, sizeof(const char *));
    if (!versions)
        return ina_error_set(error, ENOMEM, "out of memory");
    capability->versions = versions;
    versions[capability->n_versions++] = parameter->name;
    version_sortable(&version, text);
    InaValue value = {.type = INA_TYPE_STRING, .string = text};
    return ina_properties_set(capability->attributes, parameter->name, &value, error);
}

static int set_number(InaProperties *attributes, const ClauseParameter *parameter, InaError *error)
{
    InaValue value = {.type = strcmp(parameter->type, "Long") == 0 ? INA_TYPE_INTEGER : INA_TYPE_DOUBLE};
    char *end;

    errno = 0;
    if (value.type == INA_TYPE_INTEGER)
        value.integer = strtoll(parameter->value, &end, 10);
    else
        value.real = strtod(parameter->value, &end);
    if (errno != 0 || end == parameter->value || *end != '\0')
        return ina_error_set(error, EINVAL, "'%.40s' is not a %s", parameter->value, parameter->type);
    return ina_properties_set(attributes, parameter->name, &value, error);
}

static int set_attribute(Capability *capability, const ClauseParameter *parameter, InaError *error)
{
    if (strcmp(parameter->type, "Version") == 0)
        return set_version(capability, parameter, error);
    if (strcmp(parameter->type, "Long") == 0 || strcmp(parameter->type, "Double") == 0)
        return set_number(capability->attributes, parameter, error);
    if (strncmp(parameter->type, "List", 4) == 0)
        return set_list(capability->attributes, parameter, error);
    if (strcmp(parameter->type, "String") != 0)
        return ina_error_set(error, EINVAL, "type '%.40s'; String, Version, Long, Double and List are understood",
                             parameter->type);
    InaValue value = {.type = INA_TYPE_STRING, .string = parameter->value};
    return ina_properties_set(capability->attributes, parameter->name, &value, error);
}

static bool resolving(const Clause *clause)
{
    const char *effective = clause_directive(clause, "effective");
    return !effective || strcmp(effective, "resolve") == 0;
}

static int read_capability(Capability *capability, const Clause *clause, size_t path, InaError *error)
{
    capability->space = clause->paths[path];
    capability->resolving = resolving(clause);
    capability->attributes = ina_properties_new();
    if (!capability->attributes)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < clause->n_parameters; i++) {
        if (!clause->parameters[i].type)
            continue;
        int r = set_attribute(capability, &clause->parameters[i], error);
        if (r < 0)
            return ina_error_wrap(error, "%s, attribute %s", capability->space, clause->parameters[i].name);
    }
    return 0;
}

static int read_requirement(Requirement *requirement, const Clause *clause, size_t path, InaError *error)
{
    const char *resolution = clause_directive(clause, "resolution");

    requirement->space = clause->paths[path];
    requirement->filter = clause_directive(clause, "filter");
    requirement->optional = resolution && strcmp(resolution, "optional") == 0;
    requirement->resolving = resolving(clause);
    if (!requirement->filter)
        return 0;
    int r = ina_filter_compile(requirement->filter, &requirement->compiled, error);
    return r < 0 ? ina_error_wrap(error, "%s, filter '%.100s'", requirement->space, requirement->filter) : 0;
}

/* A clause with several namespaces stands for one of each. */
static size_t count_paths(const Clauses *clauses)
{
    size_t count = 0;
    for (size_t i = 0; i < clauses_count(clauses); i++)
        count += clauses_at(clauses, i)->n_paths;
    return count;
}

static int read_capabilities(Description *description, const char *text, InaError *error)
{
    int r = clauses_parse("Provide-Capability", text, &description->provide, error);
    if (r < 0)
        return r;
    description->capabilities = calloc(count_paths(description->provide) + 1, sizeof *description->capabilities);
    if (!description->capabilities)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < clauses_count(description->provide); i++) {
        const Clause *clause = clauses_at(description->provide, i);
        for (size_t j = 0; r == 0 && j < clause->n_paths; j++)
            r = read_capability(&description->capabilities[description->n_capabilities++], clause, j, error);
    }
    return r < 0 ? ina_error_wrap(error, "Provide-Capability") : 0;
}

static int read_requirements(Description *description, const char *text, InaError *error)
{
    int r = clauses_parse("Require-Capability", text, &description->require, error);
    if (r < 0)
        return r;
    description->requirements = calloc(count_paths(description->require) + 1, sizeof *description->requirements);
    if (!description->requirements)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; r == 0 && i < clauses_count(description->require); i++) {
        const Clause *clause = clauses_at(description->require, i);
        for (size_t j = 0; r == 0 && j < clause->n_paths; j++)
            r = read_requirement(&description->requirements[description->n_requirements++], clause, j, error);
    }
    return r < 0 ? ina_error_wrap(error, "Require-Capability") : 0;
}

int description_new(const Manifest *manifest, Description **ret, InaError *error)
{
    const char *provide = manifest_get(manifest, "Provide-Capability");
    const char *require = manifest_get(manifest, "Require-Capability");
    Description *description = calloc(1, sizeof *description);

    if (!description)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = read_identity(description, manifest, error);
    if (r == 0)
        r = read_native_code(description, manifest, error);
    if (r == 0 && provide && *provide)
        r = read_capabilities(description, provide, error);
    if (r == 0 && require && *require)
        r = read_requirements(description, require, error);
    if (r < 0) {
        description_free(description);
        return r;
    }
    *ret = description;
    return 0;
}

int description_of(const char *provide_capability, Description **ret, InaError *error)
{
    Description *description = calloc(1, sizeof *description);
    if (!description)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = read_capabilities(description, provide_capability, error);
    if (r < 0) {
        description_free(description);
        return r;
    }
    *ret = description;
    return 0;
}

Description *description_free(Description *description)
{
    if (!description)
        return NULL;
    for (size_t i = 0; i < description->n_capabilities; i++) {
        ina_properties_free(description->capabilities[i].attributes);
        free(description->capabilities[i].versions);
    }
    for (size_t i = 0; i < description->n_requirements; i++)
        ina_filter_free(description->requirements[i].compiled);
    free(description->capabilities);
    free(description->requirements);
    clauses_free(description->provide);
    clauses_free(description->require);
    free(description->name);
    free(description->library);
    free(description->natives);
    free(description);
    return NULL;
}

/* --- matching ------------------------------------------------------------- */

static bool is_version(const Capability *capability, const char *key, size_t length)
{
    for (size_t i = 0; i < capability->n_versions; i++)
        if (strlen(capability->versions[i]) == length && strncasecmp(capability->versions[i], key, length) == 0)
            return true;
    return false;
}

/* Copies the comparison "(key OP value" at `text`, the version in it made
 * sortable; returns how much of the text it took, 0 when it is none of a version. */
static size_t copy_comparison(Buffer *out, const Capability *capability, const char *text)
{
    char value[VERSION_TEXT_MAX], sortable[VERSION_TEXT_MAX];
    Version version;
    size_t blanks = strspn(text + 1, " "), key = strcspn(text + 1 + blanks, " =<>~()");
    size_t sign = 1 + blanks + key;

    if (text[0] != '(' || !is_version(capability, text + 1 + blanks, key))
        return 0;
    sign += strspn(text + sign, " ");
    size_t start = sign + strspn(text + sign, "=<>~"), length = strcspn(text + start, ")");
    if (start == sign || length == 0 || length >= sizeof value)
        return 0;
    memcpy(value, text + start, length);
    value[length] = '\0';
    if (version_parse(value, &version, NULL) < 0)
        return 0;
    version_sortable(&version, sortable);
    buffer_append(out, text, start);
    buffer_print(out, "%s", sortable);
    return start + length;
}

/* Filters know no versions: where the capability's attribute is one, both
 * sides are compared as sortable texts. */
static bool match_versions(const Requirement *requirement, const Capability *capability)
{
    Buffer text = {0};
    InaFilter *filter = NULL;
    bool matches = false;

    for (const char *p = requirement->filter; *p;) {
        size_t taken = copy_comparison(&text, capability, p);
        if (taken == 0)
            buffer_append(&text, p, taken = 1);
        p += taken;
    }
    buffer_append(&text, "", 1);
    if (!text.failed && ina_filter_compile(text.data, &filter, NULL) == 0)
        matches = ina_filter_match(filter, capability->attributes);
    ina_filter_free(filter);
    buffer_free(&text);
    return matches;
}

bool requirement_met(const Requirement *requirement, const Capability *capability)
{
    if (strcmp(requirement->space, capability->space) != 0)
        return false;
    if (!requirement->filter)
        return true;
    if (capability->n_versions > 0)
        return match_versions(requirement, capability);
    return ina_filter_match(requirement->compiled, capability->attributes);
}
