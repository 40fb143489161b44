/* artifact.c - see artifact.h. */
#include "artifact.h"
#include "base/cleanup.h"
#include "base/files.h"
#include "base/json.h"
#include "base/map.h"
#include "framework/archive.h"
#include "framework/clauses.h"
#include "framework/description.h"
#include "framework/elf_check.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

#define DESCRIPTION_MAX 1000u /* bytes of artifactDescription; more is cut */
#define METATYPE "http://www.osgi.org/xmlns/metatype/v1."
#define MIME_METATYPE "application/xml:osgi-autoconf" /* as ACE calls it */

bool artifact_name_valid(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return length > 0 && length <= ARTIFACT_NAME_MAX && name[length] == '\0' && name[0] != '.';
}

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* --- what comes of it ---------------------------------------------------------- */

/* The answer under way. */
typedef struct Artifact {
    const char *filename;
    const BlobInfo *blob;
    json_t *attributes, *provides, *requires, *contracts;
    bool failed; /* out of memory */
} Artifact;

static void set(Artifact *artifact, const char *key, const char *value)
{
    if (value && json_object_set_new(artifact->attributes, key, json_string(value)) < 0)
        artifact->failed = true;
}

static void set_common(Artifact *artifact, const char *type, const char *name, const char *description)
{
    char size[24], cut[DESCRIPTION_MAX + 1];
    size_t length = description ? strnlen(description, DESCRIPTION_MAX) : 0;

    /* Not within a character. */
    while (length > 0 && description[length] && ((unsigned char)description[length] & 0xc0) == 0x80)
        length--;
    if (description)
        memcpy(cut, description, length);
    cut[length] = '\0';
    (void)snprintf(size, sizeof size, "%llu", (unsigned long long)artifact->blob->size);
    set(artifact, "mimetype", type);
    set(artifact, "artifactName", name);
    set(artifact, "artifactDescription", cut);
    set(artifact, "artifactSize", size);
    set(artifact, "filename", artifact->filename);
    set(artifact, "sha256", artifact->blob->digest);
}

/* --- bundles: code --------------------------------------------------------------- */

typedef struct Code {
    unsigned classes, natives;
    unsigned java; /* class file version, 0: none */
    Buffer processors;
} Code;

static bool is_class(const ArchiveEntry *entry)
{
    size_t length = strlen(entry->name);
    return !entry->folder && length > 6 && strcmp(entry->name + length - 6, ".class") == 0;
}

/* JVMS 4.1: magic, minor, major. */
static int check_class(const Archive *archive, const ArchiveEntry *entry, Code *code, InaError *error)
{
    void *data;
    size_t size;

    int r = archive_read(archive, entry, &data, &size, error);
    if (r < 0)
        return r;
    const unsigned char *bytes = data;
    unsigned major = 0;
    if (size < 24 || memcmp(bytes, "\xca\xfe\xba\xbe", 4) != 0 || (major = (unsigned)bytes[6] << 8 | bytes[7]) < 45)
        r = ina_error_set(error, EINVAL, "%.200s is no Java class", entry->name);
    free(data);
    code->classes++;
    if (major > code->java)
        code->java = major;
    return r;
}

static int check_native(const Archive *archive, const char *path, const char *processor, InaError *error)
{
    const ArchiveEntry *entry = archive_find(archive, path[0] == '/' ? path + 1 : path);
    void *data;
    size_t size;

    if (!entry || entry->folder)
        return ina_error_set(error, EINVAL, "Bundle-NativeCode names %.200s, which is not in the bundle", path);
    int r = archive_read(archive, entry, &data, &size, error);
    if (r < 0)
        return r;
    int machine = elf_machine(data, size, error);
    free(data);
    if (machine < 0)
        return ina_error_wrap(error, "%.200s", path);
    const char *real = elf_machine_processor((unsigned)machine);
    if (real && processor && !elf_processor_is(processor, (unsigned)machine))
        return ina_error_set(error, EINVAL, "%.200s is made for %s, but Bundle-NativeCode says %.40s", path, real,
                             processor);
    return 0;
}

static void add_processor(Code *code, const char *processor)
{
    const char *list = code->processors.data ? code->processors.data : "";
    size_t length = strlen(processor);

    for (const char *item = list; *item; item += *item == ',') {
        size_t n = strcspn(item, ",");
        if (n == length && strncmp(item, processor, n) == 0)
            return;
        item += n;
    }
    buffer_print(&code->processors, "%s%s", *list ? "," : "", processor);
}

/* Only Linux' are looked into; Java bundles may bring others along. */
static int check_clause(const Archive *archive, const Clause *clause, Code *code, InaError *error)
{
    const char *system = clause_attribute(clause, "osname");
    int r = 0;

    if (strcmp(clause->paths[0], "*") == 0 || (system && strcasecmp(system, "Linux") != 0))
        return 0;
    const char *only = NULL;
    unsigned n_processors = 0;
    for (size_t i = 0; i < clause->n_parameters; i++)
        if (strcmp(clause->parameters[i].name, "processor") == 0) {
            only = clause->parameters[i].value;
            n_processors++;
            if (strlen(only) > 40 || strpbrk(only, ", "))
                return ina_error_set(error, EINVAL, "Bundle-NativeCode: '%.40s' is no processor", only);
            add_processor(code, only);
        }
    for (size_t i = 0; r == 0 && i < clause->n_paths; i++)
        r = check_native(archive, clause->paths[i], n_processors == 1 ? only : NULL, error);
    code->natives++;
    return r;
}

static int check_code(const Archive *archive, Code *code, InaError *error)
{
    const char *text = manifest_get(archive_manifest(archive), "Bundle-NativeCode");
    Clauses *clauses = NULL;

    int r = text ? clauses_parse("Bundle-NativeCode", text, &clauses, error) : 0;
    for (size_t i = 0; r == 0 && i < clauses_count(clauses); i++)
        r = check_clause(archive, clauses_at(clauses, i), code, error);
    if (clauses)
        clauses_free(clauses);
    for (size_t i = 0; r == 0 && i < archive_count(archive); i++)
        if (is_class(archive_at(archive, i)))
            r = check_class(archive, archive_at(archive, i), code, error);
    return r;
}

static void set_code(Artifact *artifact, const Code *code)
{
    bool c = code->natives > 0 && code->classes == 0;
    char version[16];

    set(artifact, "runtime", c ? "c" : "java");
    if (code->processors.data)
        set(artifact, "processors", code->processors.data);
    if (code->java > 0) {
        (void)snprintf(version, sizeof version, "%u", code->java - 44);
        set(artifact, "javaVersion", version);
    }
}

/* --- bundles: what they say ---------------------------------------------------------- */

/* The clauses of a header, each as its text; commas in quotes do not count. */
static void split_clauses(Artifact *artifact, const char *text, json_t *list)
{
    bool quoted = false;
    const char *start = text, *p = text;

    for (;; p++) {
        if (*p == '\\' && quoted && p[1]) {
            p++;
        } else if (*p == '"') {
            quoted = !quoted;
        } else if (*p == '\0' || (*p == ',' && !quoted)) {
            size_t length = (size_t)(p - start), blanks = strspn(start, " \t");
            start += blanks;
            length = length > blanks ? length - blanks : 0;
            if (length > 0 && json_array_append_new(list, json_stringn(start, length)) < 0)
                artifact->failed = true;
            if (*p == '\0')
                return;
            start = p + 1;
        }
    }
}

typedef struct ServicesOf {
    json_t *contracts;
    const char *digest;
} ServicesOf;

static int add_service(void *userdata, const char *service)
{
    const ServicesOf *services = userdata;

    if (json_object_size(services->contracts) >= ARTIFACT_CONTRACTS_MAX)
        return -E2BIG;
    return json_object_set_new(services->contracts, service, json_string(services->digest)) < 0 ? -ENOMEM : 0;
}

static int read_contracts(Artifact *artifact, const Archive *archive, InaError *error)
{
    size_t prefix = strlen(ARTIFACT_CONTRACTS);
    int r = 0;

    for (size_t i = 0; r == 0 && i < archive_count(archive); i++) {
        const ArchiveEntry *entry = archive_at(archive, i);
        ServicesOf services = {artifact->contracts, entry->digest};
        void *data;
        size_t size;
        if (entry->folder || strncmp(entry->name, ARTIFACT_CONTRACTS, prefix) != 0)
            continue;
        r = archive_read(archive, entry, &data, &size, error);
        if (r < 0)
            return r;
        r = contract_services(data, size, add_service, &services, error);
        free(data);
        if (r < 0)
            return ina_error_wrap(error, "%.200s", entry->name);
    }
    return r;
}

/* A Java bundle may use what our resolver does not know; nobody asks it to resolve one then. */
static int describe(Artifact *artifact, const Manifest *manifest, bool java, InaError *error)
{
    const char *provide = manifest_get(manifest, "Provide-Capability");
    const char *require = manifest_get(manifest, "Require-Capability");
    const char *name = manifest_get(manifest, "Bundle-Name"), *pid, *version = manifest_get(manifest, "Bundle-Version");
    Description *description = NULL;
    Manifest *bare = NULL;

    int r = description_new(manifest, &description, error);
    if (r < 0 && java) {
        provide = require = NULL;
        r = manifest_new(&bare, error);
        if (r == 0 && (pid = manifest_get(manifest, "Bundle-SymbolicName")))
            r = manifest_set(bare, "Bundle-SymbolicName", pid, error);
        if (r == 0 && version)
            r = manifest_set(bare, "Bundle-Version", version, error);
        if (r == 0)
            r = description_new(bare, &description, error);
        manifest_free(bare);
    }
    if (r < 0)
        return r;
    set(artifact, "Bundle-SymbolicName", description->name);
    set(artifact, "Bundle-Version", description->version_text);
    pid = manifest_get(manifest, "Deployment-ProvidesResourceProcessor");
    if (pid && !bundle_name_valid(pid))
        r = ina_error_set(error, EINVAL, "Deployment-ProvidesResourceProcessor: '%.80s' is no PID", pid);
    set(artifact, "Deployment-ProvidesResourceProcessor", pid);
    const char *host = manifest_get(manifest, "Fragment-Host");
    char fragment[BUNDLE_NAME_MAX + 1];
    (void)snprintf(fragment, sizeof fragment, "%.*s", host ? (int)strcspn(host, "; ") : 0, host ? host : "");
    set(artifact, "fragmentHost", host ? fragment : NULL);
    set_common(artifact, ARTIFACT_BUNDLE_TYPE, name && *name ? name : description->name,
               manifest_get(manifest, "Bundle-Description"));
    if (provide)
        split_clauses(artifact, provide, artifact->provides);
    if (require)
        split_clauses(artifact, require, artifact->requires);
    description_free(description);
    return r;
}

/* Where the server keeps the file is nobody's business. */
static int open_bundle(const char *path, const atomic_bool *stop, Archive **ret, InaError *error)
{
    InaError why = {0};
    size_t length = strlen(path);

    int r = archive_open_until(path, stop, ret, &why);
    if (r < 0)
        return ina_error_set(error, r, "%s",
                             strncmp(why.message, path, length) == 0 && why.message[length] == ':'
                                 ? why.message + length + 2
                                 : why.message);
    return 0;
}

static int recognise_bundle(Artifact *artifact, const char *path, const atomic_bool *stop, InaError *error)
{
    Archive *archive;
    Code code = {0};

    int r = open_bundle(path, stop, &archive, error);
    if (r < 0)
        return r;
    const Manifest *manifest = archive_manifest(archive);
    const char *name;
    r = manifest_require(manifest, "Bundle-SymbolicName", &name, error);
    if (r == 0)
        r = check_code(archive, &code, error);
    if (r == 0)
        r = describe(artifact, manifest, code.natives == 0 || code.classes > 0, error);
    if (r == 0)
        r = read_contracts(artifact, archive, error);
    if (r == 0 && code.processors.failed)
        r = no_memory(error);
    if (r == 0)
        set_code(artifact, &code);
    buffer_free(&code.processors);
    archive_free(archive);
    return r;
}

/* --- configurations ------------------------------------------------------------------- */

static int recognise_xml(Artifact *artifact, const char *text, size_t size, InaError *error)
{
    char name[XML_NAME_MAX + 1], space[XML_NAME_MAX + 1];

    int r = xml_root(text, size, name, space, error);
    if (r < 0)
        return r;
    size_t length = strlen(METATYPE);
    if (strcmp(name, "MetaData") != 0 || strncmp(space, METATYPE, length) != 0 || !strchr("012", space[length]) ||
        strcmp(space + length + 1, ".0") != 0)
        return ina_error_set(error, EINVAL,
                             "XML with the root <%.80s> of the namespace '%.80s'; right would be MetaData of " METATYPE
                             "0.0 to " METATYPE "2.0",
                             name, space);
    set_common(artifact, MIME_METATYPE, artifact->filename, NULL);
    set(artifact, "processorPid", PROCESSOR_AUTOCONF);
    return 0;
}

static int check_component(const char *component, json_t *values, InaError *error)
{
    const char *key;
    json_t *value;

    if (!json_is_object(values))
        return ina_error_set(error, EINVAL, "%.80s: right would be an object of the component's keys and values",
                             component);
    json_object_foreach(
        values, key,
        value) if (!json_is_string(value) && !json_is_number(value) &&
                   !json_is_boolean(
                       value)) return ina_error_set(error, EINVAL,
                                                    "%.80s.%.80s: a string, number or truth value is right", component,
                                                    key);
    return 0;
}

static int recognise_json(Artifact *artifact, const char *text, size_t size, InaError *error)
{
    AUTO_JSON json_t *value = NULL;
    const char *component;
    json_t *values;

    int r = json_parse(text, size, ARTIFACT_CONFIGURATION_MAX, &value, error);
    if (r == 0 && json_object_size(value) == 0)
        r = ina_error_set(error, EINVAL, "a configuration is an object {\"component\": {\"key\": \"value\"}}");
    if (r < 0)
        return r;
    json_object_foreach(value, component, values) if ((r = check_component(component, values, error)) < 0) return r;
    set_common(artifact, "application/json", artifact->filename, NULL);
    set(artifact, "processorPid", PROCESSOR_CONFIGURATION);
    return 0;
}

static int recognise_text(Artifact *artifact, const char *path, InaError *error)
{
    AUTO_FREE char *text = NULL;
    size_t size;

    int r = file_read(path, ARTIFACT_CONFIGURATION_MAX, &text, &size, error);
    if (r < 0)
        return r;
    const char *first = text;
    if (size >= 3 && memcmp(first, "\xef\xbb\xbf", 3) == 0)
        first += 3;
    first += strspn(first, " \t\r\n");
    if (*first == '<')
        return recognise_xml(artifact, text, size, error);
    if (*first == '{')
        return recognise_json(artifact, text, size, error);
    return ina_error_set(error, EINVAL, "neither a bundle (zip) nor a configuration (metatype XML, or a JSON object)");
}

/* --- contracts of two bundles ------------------------------------------------------------ */

/* All descriptor sets of a bundle, one behind the other: that is a descriptor set. */
static int read_sets(const char *path, Buffer *ret, InaError *error)
{
    Archive *archive;
    size_t prefix = strlen(ARTIFACT_CONTRACTS);

    int r = open_bundle(path, NULL, &archive, error);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < archive_count(archive); i++) {
        const ArchiveEntry *entry = archive_at(archive, i);
        void *data;
        size_t size;
        if (entry->folder || strncmp(entry->name, ARTIFACT_CONTRACTS, prefix) != 0)
            continue;
        r = archive_read(archive, entry, &data, &size, error);
        if (r < 0)
            break;
        buffer_append(ret, data, size);
        free(data);
    }
    archive_free(archive);
    return r == 0 && ret->failed ? no_memory(error) : r;
}

int artifact_contract_check(const char *previous_path, const char *next_path, InaError *error)
{
    Buffer previous = {0}, next = {0};

    int r = read_sets(previous_path, &previous, error);
    if (r == 0)
        r = read_sets(next_path, &next, error);
    if (r == 0 && previous.size > 0 && next.size > 0)
        r = contract_check(previous.data, previous.size, next.data, next.size, error);
    buffer_free(&previous);
    buffer_free(&next);
    return r;
}

/* --- all -------------------------------------------------------------------------------- */

static int is_zip(const char *path, bool *ret, InaError *error)
{
    AUTO_FILE FILE *file = fopen(path, "re");
    char magic[2] = "";

    if (!file)
        return ina_error_errno(error, errno, "cannot read what was uploaded");
    *ret = fread(magic, 1, sizeof magic, file) == sizeof magic && memcmp(magic, "PK", 2) == 0;
    return 0;
}

int artifact_recognise(const char *path, const char *filename, const BlobInfo *blob, json_t **ret, InaError *error)
{
    return artifact_recognise_until(path, filename, blob, NULL, ret, error);
}

int artifact_recognise_until(const char *path, const char *filename, const BlobInfo *blob, const atomic_bool *stop,
                             json_t **ret, InaError *error)
{
    Artifact artifact = {filename, blob, json_object(), json_array(), json_array(), json_object(), false};
    AUTO_JSON json_t *value =
        json_pack("{s:o?, s:o?, s:o?, s:o?}", "attributes", artifact.attributes, "provides", artifact.provides,
                  "requires", artifact.requires, "contracts", artifact.contracts);
    bool zip = false;
    int r;

    if (!value)
        r = no_memory(error);
    else if (!artifact_name_valid(filename))
        r = ina_error_set(error, EINVAL,
                          "a file's name is 1 to %u letters, digits, '.', '_' and '-', not beginning with '.'",
                          ARTIFACT_NAME_MAX);
    else if ((r = is_zip(path, &zip, error)) == 0)
        r = zip ? recognise_bundle(&artifact, path, stop, error) : recognise_text(&artifact, path, error);
    if (r == 0 && artifact.failed)
        r = no_memory(error);
    if (r < 0)
        return r;
    *ret = json_incref(value);
    return 0;
}
