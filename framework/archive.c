/* archive.c - opening and checking a bundle's zip. */
#include "archive_internal.h"
#include "base/files.h"
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHA256_BYTES 32u

/* --- names ---------------------------------------------------------------- */

static bool component_valid(const char *name, size_t length)
{
    if (length == 0 || (length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.'))
        return false;
    return !memchr(name, '\\', length) && !memchr(name, '\t', length);
}

/* Relative, of sound components, nothing that means a way out of the folder. */
int archive_check_name(const char *name, size_t length, InaError *error)
{
    unsigned depth = 0;

    if (length == 0 || length > ARCHIVE_NAME_MAX)
        return ina_error_set(error, EINVAL, "entry '%.60s': a name has 1 to %u bytes", name, ARCHIVE_NAME_MAX);
    if (!manifest_text_valid(name, length))
        return ina_error_set(error, EINVAL, "an entry's name is not UTF-8 text without control characters");
    for (const char *p = name, *end = name + length; p <= end;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t part = (size_t)((slash ? slash : end) - p);
        if (!component_valid(p, part))
            return ina_error_set(error, EINVAL, "entry '%.200s': the name must be relative, without '..', '.' and '\\'",
                                 name);
        if (++depth > ARCHIVE_DEPTH_MAX)
            return ina_error_set(error, EINVAL, "entry '%.200s': more than %u folders deep", name, ARCHIVE_DEPTH_MAX);
        p += part + 1;
    }
    return 0;
}

/* --- checking ------------------------------------------------------------- */

static int check_kind(const UnzipEntry *entry, const char *name, bool folder, InaError *error)
{
    mode_t kind = entry->mode & S_IFMT;

    if (kind == 0 || (folder ? S_ISDIR(kind) : S_ISREG(kind)))
        return 0;
    return ina_error_set(error, EINVAL, "entry '%.200s' is a %s; only files and folders are taken", name,
                         S_ISLNK(kind)   ? "symbolic link"
                         : S_ISDIR(kind) ? "folder without '/' at its end"
                                         : "special file");
}

static int check_sizes(const UnzipEntry *entry, const char *name, uint64_t *total, InaError *error)
{
    if (entry->encrypted)
        return ina_error_set(error, ENOTSUP, "entry '%.200s' is encrypted", name);
    if (entry->method != UNZIP_STORED && entry->method != UNZIP_DEFLATED)
        return ina_error_set(error, ENOTSUP, "entry '%.200s': compression method %u; stored and deflate are understood",
                             name, entry->method);
    if (entry->size > ARCHIVE_CONTENT_MAX - *total)
        return ina_error_set(error, EFBIG, "entry '%.200s': the unpacked bundle would exceed %u bytes", name,
                             ARCHIVE_CONTENT_MAX);
    if (entry->size > ARCHIVE_RATIO_FROM && entry->size / ARCHIVE_RATIO_MAX > entry->packed)
        return ina_error_set(error, EFBIG, "entry '%.200s': %u bytes packed into %u; more than %u to 1 is not taken",
                             name, entry->size, entry->packed, ARCHIVE_RATIO_MAX);
    *total += entry->size;
    return 0;
}

static int add_entry(Archive *archive, const UnzipEntry *packed, uint64_t *total, InaError *error)
{
    bool folder = packed->name_size > 0 && packed->name[packed->name_size - 1] == '/';
    size_t length = packed->name_size - (folder ? 1 : 0);
    char *name = malloc(length + 1); /* all of it: a NUL within is refused, not cut at */
    if (!name)
        return ina_error_set(error, ENOMEM, "out of memory");
    memcpy(name, packed->name, length);
    name[length] = '\0';
    ArchiveEntry *entry = &archive->entries[archive->n_entries++];
    *entry = (ArchiveEntry){.name = name, .size = packed->size, .folder = folder};
    int r = archive_check_name(name, length, error);
    if (r == 0)
        r = check_sizes(packed, name, total, error);
    if (r == 0)
        r = check_kind(packed, name, folder, error);
    if (r < 0)
        return r;
    if (folder && packed->size != 0)
        return ina_error_set(error, EINVAL, "folder '%.200s' has contents of its own", name);
    if (map_get(archive->names, name))
        return ina_error_set(error, EINVAL, "entry '%.200s' is there twice", name);
    if (map_set(archive->names, name, entry) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    return 0;
}

/* A file cannot also be a folder of another entry. */
static int check_parents(const Archive *archive, InaError *error)
{
    char parent[ARCHIVE_NAME_MAX + 1];

    for (size_t i = 0; i < archive->n_entries; i++) {
        strcpy(parent, archive->entries[i].name);
        for (char *slash = strrchr(parent, '/'); slash; slash = strrchr(parent, '/')) {
            *slash = '\0';
            const ArchiveEntry *above = map_get(archive->names, parent);
            if (above && !above->folder)
                return ina_error_set(error, EINVAL, "entry '%.200s' is a file and a folder", parent);
        }
    }
    return 0;
}

typedef struct Unpacking {
    const atomic_bool *stop;
    ArchiveSink sink;
    void *userdata;
} Unpacking;

static int pass_chunk(void *userdata, const void *data, size_t size, InaError *error)
{
    const Unpacking *unpacking = userdata;

    if (unpacking->stop && atomic_load(unpacking->stop))
        return ina_error_set(error, ECANCELED, "nobody waits for it any more");
    return unpacking->sink(unpacking->userdata, data, size, error);
}

static int unpack_chunks(const Archive *archive, const ArchiveEntry *entry, ArchiveSink sink, void *userdata,
                         InaError *error)
{
    Unpacking unpacking = {archive->stop, sink, userdata};
    int r = unzip_entry(&archive->packed[entry - archive->entries], pass_chunk, &unpacking, error);

    return r < 0 ? ina_error_wrap(error, "entry '%.200s'", entry->name) : 0;
}

int archive_stream(const Archive *archive, const ArchiveEntry *entry, ArchiveSink sink, void *userdata, InaError *error)
{
    if (!archive->contents)
        return unpack_chunks(archive, entry, sink, userdata, error);
    return sink(userdata, archive->contents[entry - archive->entries], (size_t)entry->size, error);
}

/* Digests an entry while it is unpacked, and keeps it if there is room. */
typedef struct Check {
    gnutls_hash_hd_t hash;
    char *contents; /* or NULL */
    size_t size;
} Check;

static int check_chunk(void *userdata, const void *data, size_t size, InaError *error)
{
    Check *check = userdata;

    if (gnutls_hash(check->hash, data, size) < 0)
        return ina_error_set(error, EIO, "cannot compute a digest");
    if (check->contents)
        memcpy(check->contents + check->size, data, size);
    check->size += size;
    return 0;
}

static void write_hex(const unsigned char bytes[SHA256_BYTES], char ret[ARCHIVE_DIGEST_SIZE])
{
    sodium_bin2hex(ret, ARCHIVE_DIGEST_SIZE, bytes, SHA256_BYTES);
}

int archive_digest_of(const void *data, size_t size, char ret[ARCHIVE_DIGEST_SIZE], InaError *error)
{
    unsigned char bytes[SHA256_BYTES];

    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, bytes) < 0)
        return ina_error_set(error, EIO, "cannot compute a digest");
    write_hex(bytes, ret);
    return 0;
}

/* Unpacks to nowhere or into `contents`: lengths and checksums are right, and what its digest is. */
static int check_contents(const Archive *archive, ArchiveEntry *entry, char *contents, InaError *error)
{
    Check check = {.contents = contents};
    unsigned char bytes[SHA256_BYTES];

    if (gnutls_hash_init(&check.hash, GNUTLS_DIG_SHA256) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = unpack_chunks(archive, entry, check_chunk, &check, error);
    gnutls_hash_deinit(check.hash, bytes);
    write_hex(bytes, entry->digest);
    return r;
}

static int check_all_contents(Archive *archive, uint64_t total, InaError *error)
{
    char **contents = NULL;
    int r = 0;

    if (total <= ARCHIVE_KEPT_MAX) {
        contents = calloc(archive->n_entries + 1, sizeof *contents);
        if (!contents)
            return ina_error_set(error, ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < archive->n_entries && r == 0; i++) {
        ArchiveEntry *entry = &archive->entries[i];
        if (entry->folder)
            continue;
        if (contents && !(contents[i] = malloc((size_t)entry->size + 1)))
            r = ina_error_set(error, ENOMEM, "out of memory");
        else
            r = check_contents(archive, entry, contents ? contents[i] : NULL, error);
    }
    archive->contents = contents;
    return r;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const ArchiveEntry *const *)a)->name, (*(const ArchiveEntry *const *)b)->name);
}

static int make_sums(Archive *archive, InaError *error)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
    const ArchiveEntry **sorted = calloc(archive->n_entries + 1, sizeof(const ArchiveEntry *));
    Buffer sums = {0};

    if (!sorted)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < archive->n_entries; i++)
        sorted[i] = &archive->entries[i];
    /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(sorted, archive->n_entries, sizeof *sorted, compare_names);
    for (size_t i = 0; i < archive->n_entries; i++)
        if (!sorted[i]->folder)
            buffer_print(&sums, "%s  %s\n", sorted[i]->digest, sorted[i]->name);
    free(sorted);
    buffer_append(&sums, "", 1);
    if (sums.failed) {
        buffer_free(&sums);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    archive->sums = sums.data;
    return archive_digest_of(sums.data, sums.size - 1, archive->digest, error);
}

static int check_entries(Archive *archive, InaError *error)
{
    size_t count = 0;
    uint64_t total = 0;
    int r = unzip_list(archive->bytes, archive->size, ARCHIVE_ENTRIES_MAX, &archive->packed, &count, error);

    if (r < 0)
        return r;
    archive->entries = calloc(count, sizeof *archive->entries);
    archive->names = map_new();
    if (!archive->entries || !archive->names)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < count && r == 0; i++)
        r = add_entry(archive, &archive->packed[i], &total, error);
    if (r == 0)
        r = check_parents(archive, error);
    if (r == 0)
        r = check_all_contents(archive, total, error);
    return r < 0 ? r : make_sums(archive, error);
}

/* First of all, as streaming readers of JARs want it; the entry of its folder may stand before it. */
static int check_manifest(Archive *archive, InaError *error)
{
    size_t first = archive->entries[0].folder && strcmp(archive->entries[0].name, "META-INF") == 0 ? 1 : 0;
    void *text;
    size_t size;

    if (first >= archive->n_entries || strcmp(archive->entries[first].name, ARCHIVE_MANIFEST) != 0)
        return ina_error_set(error, EINVAL, "%s is %s", ARCHIVE_MANIFEST,
                             map_get(archive->names, ARCHIVE_MANIFEST) ? "not the first entry" : "missing");
    if (archive->entries[first].size > MANIFEST_SIZE_MAX)
        return ina_error_set(error, EFBIG, "%s has more than %u bytes", ARCHIVE_MANIFEST, MANIFEST_SIZE_MAX);
    int r = archive_read(archive, &archive->entries[first], &text, &size, error);
    if (r < 0)
        return r;
    r = manifest_parse(text, size, &archive->manifest, error);
    free(text);
    return r < 0 ? ina_error_wrap(error, "%s", ARCHIVE_MANIFEST) : 0;
}

int archive_open(const char *path, Archive **ret, InaError *error)
{
    return archive_open_until(path, NULL, ret, error);
}

int archive_open_until(const char *path, const atomic_bool *stop, Archive **ret, InaError *error)
{
    Archive *archive = calloc(1, sizeof *archive);
    if (!archive)
        return ina_error_set(error, ENOMEM, "out of memory");

    archive->stop = stop;
    int r = file_read(path, ARCHIVE_SIZE_MAX, &archive->bytes, &archive->size, error);
    if (r < 0) {
        archive_free(archive);
        return r;
    }
    r = check_entries(archive, error);
    if (r == 0)
        r = check_manifest(archive, error);
    if (r < 0) {
        archive_free(archive);
        (void)ina_error_wrap(error, "%s", path);
        return r;
    }
    *ret = archive;
    return 0;
}

/* --- looking -------------------------------------------------------------- */

const Manifest *archive_manifest(const Archive *archive)
{
    return archive->manifest;
}

const char *archive_sums(const Archive *archive)
{
    return archive->sums;
}

const char *archive_digest(const Archive *archive)
{
    return archive->digest;
}

size_t archive_count(const Archive *archive)
{
    return archive->n_entries;
}

const ArchiveEntry *archive_at(const Archive *archive, size_t index)
{
    return &archive->entries[index];
}

const ArchiveEntry *archive_find(const Archive *archive, const char *name)
{
    return map_get(archive->names, name);
}

Archive *archive_free(Archive *archive)
{
    if (!archive)
        return NULL;
    manifest_free(archive->manifest);
    map_free(archive->names);
    for (size_t i = 0; i < archive->n_entries; i++) {
        free((char *)archive->entries[i].name);
        if (archive->contents)
            free(archive->contents[i]);
    }
    free(archive->contents);
    free(archive->entries);
    free(archive->packed);
    free(archive->sums);
    free(archive->bytes);
    free(archive);
    return NULL;
}

/* --- reading --------------------------------------------------------------- */

typedef struct Gathering {
    char *data;
    size_t size;
} Gathering;

static int gather(void *userdata, const void *data, size_t size, InaError *error)
{
    Gathering *gathering = userdata;
    memcpy(gathering->data + gathering->size, data, size);
    gathering->size += size;
    return 0;
}

int archive_read(const Archive *archive, const ArchiveEntry *entry, void **ret, size_t *ret_size, InaError *error)
{
    Gathering gathering = {.data = malloc(entry->size + 1)};
    if (!gathering.data)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = archive_stream(archive, entry, gather, &gathering, error);
    if (r < 0) {
        free(gathering.data);
        return r;
    }
    gathering.data[gathering.size] = '\0';
    *ret = gathering.data;
    *ret_size = gathering.size;
    return 0;
}
