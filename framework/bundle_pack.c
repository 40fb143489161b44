/* bundle_pack.c - from a shared object and files to a bundle. */
#include "base/files.h"
#include "base/map.h"
#include "bundle_tool.h"
#include "clauses.h"
#include "contract_set.h"
#include "elf_check.h"
#include "revision.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Clauses of one header, each once. */
typedef struct ClauseList {
    char *items[BUNDLE_PACK_CLAUSES_MAX];
    size_t count;
} ClauseList;

typedef struct Packing {
    const BundlePack *pack;
    ArchiveItem items[BUNDLE_PACK_FILES_MAX]; /* names and data are ours */
    size_t n_items;
    ClauseList provides, requires;
    char *library_name; /* in the bundle */
    const char *processor;
} Packing;

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

/* --- files ---------------------------------------------------------------- */

static int add_file(Packing *packing, const char *name, const char *path, InaError *error)
{
    char *data;
    size_t size;

    if (packing->n_items >= BUNDLE_PACK_FILES_MAX)
        return ina_error_set(error, E2BIG, "more than %u files", BUNDLE_PACK_FILES_MAX);
    int r = file_read(path, ARCHIVE_SIZE_MAX, &data, &size, error);
    if (r < 0)
        return r;
    char *copy = strdup(name);
    if (!copy) {
        free(data);
        return no_memory(error);
    }
    packing->items[packing->n_items++] = (ArchiveItem){.name = copy, .data = data, .size = size};
    return 0;
}

static int add_path(Packing *packing, const char *name, const char *path, unsigned depth, InaError *error);

static int add_folder(Packing *packing, const char *name, const char *path, unsigned depth, InaError *error)
{
    DIR *folder = opendir(path);
    if (!folder)
        return ina_error_errno(error, errno, "cannot list %s", path);
    int r = 0;
    for (const struct dirent *entry; r == 0 && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char *inner_name = path_join(name, entry->d_name), *inner_path = path_join(path, entry->d_name);
        r = inner_name && inner_path ? add_path(packing, inner_name, inner_path, depth + 1, error) : no_memory(error);
        free(inner_name);
        free(inner_path);
    }
    closedir(folder);
    return r;
}

static int add_path(Packing *packing, const char *name, const char *path, unsigned depth, InaError *error)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return ina_error_errno(error, errno, "cannot read %s", path);
    if (depth > ARCHIVE_DEPTH_MAX)
        return ina_error_set(error, ELOOP, "%s: more than %u folders deep", path, ARCHIVE_DEPTH_MAX);
    return S_ISDIR(status.st_mode) ? add_folder(packing, name, path, depth, error)
                                   : add_file(packing, name, path, error);
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const ArchiveItem *)a)->name, ((const ArchiveItem *)b)->name);
}

static int add_files(Packing *packing, InaError *error)
{
    for (size_t i = 0; i < packing->pack->n_files; i++) {
        const char *file = packing->pack->files[i], *equals = strchr(file, '=');
        if (!equals || equals == file || equals[1] == '\0')
            return ina_error_set(error, EINVAL,
                                 "'%.100s': right would be NAME=PATH, as in www/index.html=web/index.html", file);
        char *name = strndup(file, (size_t)(equals - file));
        int r = name ? add_path(packing, name, equals + 1, 0, error) : no_memory(error);
        free(name);
        if (r < 0)
            return r;
    }
    /* The order of readdir is not content. */
    qsort(packing->items, packing->n_items, sizeof *packing->items, compare_items);
    return 0;
}

static int add_library(Packing *packing, InaError *error)
{
    const char *path = packing->pack->library, *slash = strrchr(path, '/');

    if (asprintf(&packing->library_name, "lib/%s", slash ? slash + 1 : path) < 0) {
        packing->library_name = NULL;
        return no_memory(error);
    }
    int r = add_file(packing, packing->library_name, path, error);
    if (r < 0)
        return r;
    const ArchiveItem *item = &packing->items[packing->n_items - 1];
    if (!packing->pack->unloaded) {
        r = elf_check(item->data, item->size, error);
        if (r < 0)
            return ina_error_wrap(error, "%s", path);
    }
    int machine = elf_machine(item->data, item->size, error);
    if (machine < 0)
        return ina_error_wrap(error, "%s", path);
    packing->processor = elf_machine_processor((unsigned)machine);
    if (!packing->processor)
        return ina_error_set(error, ENOTSUP, "%s: made for an unknown processor (ELF machine %d)", path, machine);
    return 0;
}

/* --- capabilities --------------------------------------------------------- */

/* Takes what is in the buffer. */
static int add_clause(ClauseList *list, Buffer *clause, InaError *error)
{
    buffer_append(clause, "", 1);
    if (clause->failed) {
        buffer_free(clause);
        return no_memory(error);
    }
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], clause->data) == 0) {
            buffer_free(clause);
            return 0;
        }
    if (list->count >= BUNDLE_PACK_CLAUSES_MAX) {
        buffer_free(clause);
        return ina_error_set(error, E2BIG, "more than %u capabilities or requirements", BUNDLE_PACK_CLAUSES_MAX);
    }
    list->items[list->count++] = clause->data;
    return 0;
}

static void print_quoted(Buffer *out, const char *text)
{
    char *quoted = clause_quote(text);

    if (quoted)
        buffer_print(out, "%s", quoted);
    else
        out->failed = true;
    free(quoted);
}

static void print_property(Buffer *out, const InaProperty *property)
{
    char number[64];

    switch (property->value.type) {
    case INA_TYPE_STRING:
        buffer_print(out, ";%s=", property->key);
        print_quoted(out, property->value.string);
        break;
    case INA_TYPE_BOOLEAN:
        buffer_print(out, ";%s=%s", property->key, property->value.boolean ? "true" : "false");
        break;
    case INA_TYPE_INTEGER:
        (void)snprintf(number, sizeof number, "%lld", (long long)property->value.integer);
        buffer_print(out, ";%s:Long=\"%s\"", property->key, number);
        break;
    case INA_TYPE_DOUBLE:
        (void)snprintf(number, sizeof number, "%.17g", property->value.real);
        buffer_print(out, ";%s:Double=\"%s\"", property->key, number);
        break;
    case INA_TYPE_STRINGS:
    default:
        break; /* no filter of ours asks for one */
    }
}

static int add_provided(Packing *packing, const InaComponentClass *component, const InaProvided *provided,
                        InaError *error)
{
    static const char *const own[] = {"contract", "plain", "digest", "component", "exported"};
    Buffer clause = {0};

    buffer_print(&clause, NAMESPACE_SERVICE ";%s=", provided->contract ? "contract" : "plain");
    print_quoted(&clause, provided->contract ? provided->contract->name : provided->plain);
    if (provided->contract && provided->contract->digest)
        buffer_print(&clause, ";digest=%s", provided->contract->digest);
    buffer_print(&clause, ";component=");
    print_quoted(&clause, component->name);
    if (provided->contract)
        buffer_print(&clause, ";exported=%s", provided->exported ? "true" : "false");
    for (size_t i = 0; i < provided->n_properties; i++) {
        bool reserved = false;
        for (size_t j = 0; j < INA_COUNT(own); j++)
            reserved = reserved || strcmp(own[j], provided->properties[i].key) == 0;
        if (!reserved)
            print_property(&clause, &provided->properties[i]);
    }
    return add_clause(&packing->provides, &clause, error);
}

static int add_required(Packing *packing, const InaRequired *required, InaError *error)
{
    const char *name = required->contract ? required->contract->name : required->plain;
    Buffer clause = {0}, filter = {0};

    buffer_print(&filter, required->filter ? "(&(%s=%s)%s)" : "(%s=%s)", required->contract ? "contract" : "plain",
                 name, required->filter);
    buffer_append(&filter, "", 1);
    buffer_print(&clause, NAMESPACE_SERVICE ";filter:=");
    if (!filter.failed)
        print_quoted(&clause, filter.data);
    clause.failed = clause.failed || filter.failed;
    buffer_free(&filter);
    /* A service comes and goes at run time, and may be on another node. */
    buffer_print(&clause, ";effective:=active");
    if (required->cardinality != INA_ONE)
        buffer_print(&clause, ";resolution:=optional");
    if (required->cardinality == INA_MANY)
        buffer_print(&clause, ";cardinality:=multiple");
    return add_clause(&packing->requires, &clause, error);
}

/* What the bundle was built with, for whoever has to know whether the next version stays compatible. A file that was
 * given with that name counts more. */
static int add_contract(Packing *packing, const InaContract *contract, InaError *error)
{
    Buffer set = {0};
    char *name;

    if (!contract)
        return 0;
    if (asprintf(&name, CONTRACT_FOLDER "%s.binpb", contract->name) < 0)
        return no_memory(error);
    for (size_t i = 0; i < packing->n_items; i++)
        if (strcmp(packing->items[i].name, name) == 0) {
            free(name);
            return 0;
        }
    int r = packing->n_items < BUNDLE_PACK_FILES_MAX
                ? contract_set_write(contract, &set, error)
                : ina_error_set(error, E2BIG, "more than %u files", BUNDLE_PACK_FILES_MAX);
    if (r < 0) {
        free(name);
        return r;
    }
    packing->items[packing->n_items++] = (ArchiveItem){.name = name, .data = set.data, .size = set.size};
    return 0;
}

static int add_table(Packing *packing, const InaBundleTable *table, InaError *error)
{
    int r = 0;

    for (size_t i = 0; i < table->n_components; i++) {
        const InaComponentClass *component = &table->components[i];
        for (size_t j = 0; r == 0 && j < component->n_provides; j++) {
            r = add_provided(packing, component, &component->provides[j], error);
            if (r == 0)
                r = add_contract(packing, component->provides[j].contract, error);
        }
        for (size_t j = 0; r == 0 && j < component->n_requires; j++) {
            r = add_required(packing, &component->requires[j], error);
            if (r == 0)
                r = add_contract(packing, component->requires[j].contract, error);
        }
    }
    qsort(packing->items, packing->n_items, sizeof *packing->items, compare_items);
    return r;
}

static int read_table(Packing *packing, InaError *error)
{
    const char *library = packing->pack->library;

    char *path = realpath(library, NULL);
    if (!path)
        return ina_error_errno(error, errno, "%s", library);
    /* Lazily: what a bundle calls is there in an agent, not all of it here. */
    void *handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    free(path);
    if (!handle)
        return ina_error_set(error, ENOEXEC, "cannot load %s: %s", library, dlerror());
    const InaBundleTable *table = dlsym(handle, BUNDLE_SYMBOL);
    int r;
    if (!table)
        r = ina_error_set(error, ENOEXEC, "%s exports no symbol %s; INA_BUNDLE() makes it", library, BUNDLE_SYMBOL);
    else if (table->abi != INA_BUNDLE_ABI)
        r = ina_error_set(error, ENOEXEC, "%s is built for bundle ABI %u; this is %u", library, table->abi,
                          INA_BUNDLE_ABI);
    else
        r = add_table(packing, table, error);
    (void)dlclose(handle);
    return r;
}

/* Compatible are those of the same major version that are not older. */
static int require_framework(Packing *packing, InaError *error)
{
    Version version;
    Buffer clause = {0};

    int r = version_parse(INAETICS_VERSION, &version, error);
    if (r < 0)
        return r;
    buffer_print(&clause, NAMESPACE_FRAMEWORK ";filter:=\"(&(version>=%u.%u)(!(version>=%u.0)))\"", version.major,
                 version.minor, version.major + 1);
    return add_clause(&packing->requires, &clause, error);
}

static int add_given(ClauseList *list, const char *header, const char *const *given, size_t n_given, InaError *error)
{
    for (size_t i = 0; i < n_given; i++) {
        Clauses *clauses;
        Buffer copy = {0};
        int r = clauses_parse(header, given[i], &clauses, error);
        if (r < 0)
            return ina_error_wrap(error, "'%.100s'", given[i]);
        clauses_free(clauses);
        buffer_print(&copy, "%s", given[i]);
        r = add_clause(list, &copy, error);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- manifest ------------------------------------------------------------- */

static int set_clauses(Manifest *manifest, const char *header, const ClauseList *list, InaError *error)
{
    Buffer value = {0};

    if (list->count == 0)
        return 0;
    for (size_t i = 0; i < list->count; i++)
        buffer_print(&value, "%s%s", i > 0 ? "," : "", list->items[i]);
    buffer_append(&value, "", 1);
    int r = value.failed ? no_memory(error) : manifest_set(manifest, header, value.data, error);
    buffer_free(&value);
    return r;
}

static int set_header(Manifest *manifest, const char *header, InaError *error)
{
    const char *colon = strstr(header, ": ");
    if (!colon)
        return ina_error_set(error, EINVAL, "'%.100s': right would be NAME: VALUE", header);
    char *name = strndup(header, (size_t)(colon - header));
    if (!name)
        return no_memory(error);
    int r = manifest_get(manifest, name) ? ina_error_set(error, EINVAL, "the header %s is made by packing", name)
                                         : manifest_set(manifest, name, colon + 2, error);
    free(name);
    return r;
}

static int set_native_code(Manifest *manifest, const Packing *packing, InaError *error)
{
    char *value;

    /* A path in a header cannot be quoted. */
    if (strpbrk(packing->library_name, ",;:=\"\\"))
        return ina_error_set(error, EINVAL, "%s: the name has a character that headers cannot hold",
                             packing->pack->library);
    if (asprintf(&value, "%s;osname=Linux;processor=%s", packing->library_name, packing->processor) < 0)
        return no_memory(error);
    int r = manifest_set(manifest, "Bundle-NativeCode", value, error);
    free(value);
    return r;
}

static int fill_manifest(Manifest *manifest, const Packing *packing, InaError *error)
{
    const BundlePack *pack = packing->pack;

    int r = manifest_set(manifest, "Bundle-ManifestVersion", "2", error);
    if (r == 0)
        r = manifest_set(manifest, "Bundle-SymbolicName", pack->name, error);
    if (r == 0)
        r = manifest_set(manifest, "Bundle-Version", pack->version, error);
    if (r == 0)
        r = set_native_code(manifest, packing, error);
    if (r == 0)
        r = set_clauses(manifest, "Provide-Capability", &packing->provides, error);
    if (r == 0)
        r = set_clauses(manifest, "Require-Capability", &packing->requires, error);
    for (size_t i = 0; r == 0 && i < pack->n_headers; i++)
        r = set_header(manifest, pack->headers[i], error);
    return r;
}

/* The manifest's text, read back and checked: what is packed can be installed. */
static int make_manifest(const Packing *packing, char **ret, size_t *ret_size, InaError *error)
{
    Manifest *manifest;
    Description *description = NULL;
    char *text = NULL;

    int r = manifest_new(&manifest, error);
    if (r < 0)
        return r;
    r = fill_manifest(manifest, packing, error);
    if (r == 0)
        r = description_new(manifest, &description, error);
    if (r == 0)
        r = manifest_write(manifest, &text, ret_size, error);
    manifest_free(manifest);
    description_free(description);
    if (r == 0)
        *ret = text;
    return r;
}

static int write_bundle(Packing *packing, InaError *error)
{
    char *text;
    size_t size;

    ArchiveItem *items = calloc(packing->n_items + 1, sizeof *items);
    if (!items)
        return no_memory(error);
    int r = make_manifest(packing, &text, &size, error);
    if (r == 0) {
        items[0] = (ArchiveItem){.name = ARCHIVE_MANIFEST, .data = text, .size = size};
        memcpy(items + 1, packing->items, packing->n_items * sizeof *items);
        r = archive_write(packing->pack->output, items, packing->n_items + 1, error);
        free(text);
    }
    free(items);
    return r;
}

static void free_list(ClauseList *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
}

int bundle_pack(const BundlePack *pack, InaError *error)
{
    Packing *packing = calloc(1, sizeof *packing);
    if (!packing)
        return no_memory(error);
    packing->pack = pack;
    int r = add_library(packing, error);
    if (r == 0)
        r = add_files(packing, error);
    if (r == 0)
        r = require_framework(packing, error);
    if (r == 0 && !pack->unloaded)
        r = read_table(packing, error);
    if (r == 0)
        r = add_given(&packing->provides, "Provide-Capability", pack->provides, pack->n_provides, error);
    if (r == 0)
        r = add_given(&packing->requires, "Require-Capability", pack->requires, pack->n_requires, error);
    if (r == 0)
        r = write_bundle(packing, error);
    for (size_t i = 0; i < packing->n_items; i++) {
        free((void *)packing->items[i].name);
        free((void *)packing->items[i].data);
    }
    free_list(&packing->provides);
    free_list(&packing->requires);
    free(packing->library_name);
    free(packing);
    return r < 0 ? ina_error_wrap(error, "packing %s", pack->output) : 0;
}
