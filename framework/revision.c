#include "revision.h"
#include "base/files.h"
#include "elf_check.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int revision_check(const Archive *archive, const Description *description, InaError *error)
{
    void *data;
    size_t size;

    if (!description->library)
        return 0; /* none for this machine: the resolver says so */
    const ArchiveEntry *entry = archive_find(archive, description->library);
    if (!entry || entry->folder)
        return ina_error_set(error, ENOEXEC, "Bundle-NativeCode names %s, which is not in the bundle",
                             description->library);
    int r = archive_read(archive, entry, &data, &size, error);
    if (r < 0)
        return r;
    r = elf_check(data, size, error);
    free(data);
    return r < 0 ? ina_error_wrap(error, "%s", description->library) : 0;
}

/* Takes the description. */
static int make(Cache *cache, Description *description, const char *digest, Revision **ret, InaError *error)
{
    Revision *revision = calloc(1, sizeof *revision);
    char *folder = cache_files(cache, digest);

    if (!revision || !folder) {
        free(revision);
        free(folder);
        description_free(description);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    revision->description = description;
    revision->folder = folder;
    strcpy(revision->digest, digest);
    *ret = revision;
    return 0;
}

int revision_install(Cache *cache, const char *zip, bool sync, Revision **ret, InaError *error)
{
    Archive *archive;
    Description *description = NULL;

    int r = archive_open(zip, &archive, error);
    if (r < 0)
        return r;
    r = description_new(archive_manifest(archive), &description, error);
    if (r == 0)
        r = revision_check(archive, description, error);
    if (r == 0)
        r = cache_store(cache, archive, sync, error);
    if (r < 0) {
        description_free(description);
        (void)ina_error_wrap(error, "%s", zip);
    } else {
        r = make(cache, description, archive_digest(archive), ret, error);
    }
    archive_free(archive);
    return r;
}

static int read_description(const char *folder, Description **ret, InaError *error)
{
    char *path = path_join(folder, ARCHIVE_MANIFEST), *text;
    Manifest *manifest;
    size_t size;

    int r =
        path ? file_read(path, MANIFEST_SIZE_MAX, &text, &size, error) : ina_error_set(error, ENOMEM, "out of memory");
    free(path);
    if (r < 0)
        return r;
    r = manifest_parse(text, size, &manifest, error);
    free(text);
    if (r < 0)
        return r;
    r = description_new(manifest, ret, error);
    manifest_free(manifest);
    return r;
}

int revision_from_cache(Cache *cache, const char *digest, Revision **ret, InaError *error)
{
    char *folder = cache_files(cache, digest);
    Description *description = NULL;

    int r = folder ? cache_check(cache, digest, error) : ina_error_set(error, ENOMEM, "out of memory");
    if (r == 0)
        r = read_description(folder, &description, error);
    free(folder);
    return r < 0 ? r : make(cache, description, digest, ret, error);
}

int revision_load(Revision *revision, InaError *error)
{
    const Description *description = revision->description;

    if (revision->table)
        return 0;
    if (!description->library)
        return ina_error_set(error, ENOEXEC, "no native code for this machine");
    char *path = path_join(revision->folder, description->library);
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    revision->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!revision->library) {
        /* The loader begins with the path in the cache, which tells nobody anything. */
        const char *why = dlerror();
        size_t length = strlen(path);
        if (strncmp(why, path, length) == 0 && why[length] == ':')
            why += length + 1 + (why[length + 1] == ' ');
        (void)ina_error_set(error, ENOEXEC, "cannot load %s: %s", description->library, why);
        free(path);
        return -ENOEXEC;
    }
    free(path);
    const InaBundleTable *table = dlsym(revision->library, BUNDLE_SYMBOL);
    int r = 0;
    if (!table)
        r = ina_error_set(error, ENOEXEC, "%s exports no symbol %s; INA_BUNDLE() makes it", description->library,
                          BUNDLE_SYMBOL);
    else if (table->abi != INA_BUNDLE_ABI)
        r = ina_error_set(error, ENOEXEC, "%s was built for bundle ABI %u; this framework has %u", description->library,
                          table->abi, INA_BUNDLE_ABI);
    if (r < 0) {
        revision_unload(revision);
        return r;
    }
    revision->table = table;
    return 0;
}

void revision_unload(Revision *revision)
{
    revision->table = NULL;
    if (revision->library)
        (void)dlclose(revision->library);
    revision->library = NULL;
}

Revision *revision_free(Revision *revision)
{
    if (!revision)
        return NULL;
    revision_unload(revision);
    description_free(revision->description);
    free(revision->folder);
    free(revision);
    return NULL;
}
