/* package.c - see package.h. The zip's format: PKWARE's APPNOTE 6.3.4, sections 4.3.7, 4.3.12, 4.3.16. */
#include "package.h"
#include "base/cleanup.h"
#include "base/map.h"
#include "framework/archive.h"
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <string.h>
#include <zlib.h>

#define LOCAL_SIZE 30u
#define CENTRAL_SIZE 46u
#define END_SIZE 22u
#define DIGEST_BYTES 32u
#define DIGEST_CHUNK (256u * 1024u)
#define NAME_MAX_BYTES 200u
#define VALUE_MAX_BYTES 500u /* Celix' agent joins a wrapped header in 512 bytes, and writes beyond them */

/* 1980-01-01, the earliest that a zip can say. */
#define ZIP_DATE 0x0021u
#define ZIP_VERSION 20u
#define ZIP_UNIX 3u

/* A stretch of the zip: bytes in memory, or a whole blob. */
typedef struct Piece {
    uint64_t start, size;
    char *data; /* NULL: the blob's */
    char digest[BLOB_DIGEST_SIZE];
} Piece;

struct Package {
    unsigned references;
    const Blobs *blobs;
    Piece *pieces;
    size_t n_pieces;
    uint64_t size, content;
    int fd; /* of the blob read last; -1: none */
    size_t fd_piece;
};

/* --- checking what is asked for ---------------------------------------------- */

static bool name_valid(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return length > 0 && length <= NAME_MAX_BYTES && name[length] == '\0' && name[0] != '.';
}

static int check_item(const PackageItem *item, const Map *names, InaError *error)
{
    if (!name_valid(item->name))
        return ina_error_set(error, EINVAL,
                             "'%.100s' cannot be a resource's name: 1 to %u letters, digits, '.', '_' and '-', not "
                             "beginning with '.'",
                             item->name, NAME_MAX_BYTES);
    if (map_get(names, item->name))
        return ina_error_set(error, EINVAL, "two resources are called %s", item->name);
    if (!blob_digest_valid(item->blob.digest))
        return ina_error_set(error, EINVAL, "%s has no digest", item->name);
    if (item->symbolic_name ? !item->version : !item->processor)
        return ina_error_set(error, EINVAL, "%s: %s is missing", item->name,
                             item->symbolic_name ? "the bundle's version" : "the resource's processor");
    const char *values[] = {item->symbolic_name, item->version, item->processor};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++)
        if (values[i] && strlen(values[i]) > VALUE_MAX_BYTES)
            return ina_error_set(error, EINVAL, "%s: '%.40s...' is longer than the %u bytes that agents can read",
                                 item->name, values[i], VALUE_MAX_BYTES);
    return 0;
}

static int check_items(const PackageSpec *spec, InaError *error)
{
    Map *names = map_new();
    int r = 0;

    if (!names)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (spec->n_items > PACKAGE_ITEMS_MAX)
        r = ina_error_set(error, E2BIG, "%zu resources; a package has at most %u", spec->n_items, PACKAGE_ITEMS_MAX);
    for (size_t i = 0; r == 0 && i < spec->n_items; i++) {
        const PackageItem *item = &spec->items[i];
        r = check_item(item, names, error);
        if (r == 0 && item->missing && !spec->from)
            r = ina_error_set(error, EINVAL, "%s is left out, but this is no fix package", item->name);
        if (r == 0 && map_set(names, item->name, (void *)item) < 0)
            r = ina_error_set(error, ENOMEM, "out of memory");
    }
    map_free(names);
    return r;
}

/* --- the manifest --------------------------------------------------------------- */

static int set_digest(ManifestSection *section, const BlobInfo *blob, InaError *error)
{
    unsigned char bytes[DIGEST_BYTES];
    char text[sodium_base64_ENCODED_LEN(DIGEST_BYTES, sodium_base64_VARIANT_ORIGINAL)];

    if (sodium_hex2bin(bytes, sizeof bytes, blob->digest, BLOB_DIGEST_SIZE - 1, NULL, NULL, NULL) < 0)
        return ina_error_set(error, EINVAL, "'%.80s' is no digest", blob->digest);
    sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
    return section_set(section, "SHA-256-Digest", text, error);
}

static int set_unless(ManifestSection *section, const char *name, const char *value, InaError *error)
{
    return value ? section_set(section, name, value, error) : 0;
}

/* As many whole ways as an agent can read. No agent acts on them. */
static int set_paths(ManifestSection *section, const char *paths, InaError *error)
{
    char text[VALUE_MAX_BYTES + 1];
    size_t size = strlen(paths);

    if (size > VALUE_MAX_BYTES) {
        for (size = VALUE_MAX_BYTES; size > 0 && paths[size] != ',';)
            size--;
        if (size == 0)
            return 0;
    }
    memcpy(text, paths, size);
    text[size] = '\0';
    return section_set(section, "ACE-RepositoryPath", text, error);
}

static int describe_item(Manifest *manifest, const PackageItem *item, InaError *error)
{
    ManifestSection *section;

    int r = manifest_add_section(manifest, item->name, &section, error);
    if (r == 0)
        r = set_unless(section, "Bundle-SymbolicName", item->symbolic_name, error);
    if (r == 0 && item->symbolic_name)
        r = set_unless(section, "Bundle-Version", item->version, error);
    if (r == 0 && item->symbolic_name)
        r = set_unless(section, "DeploymentPackage-Customizer", item->customizer ? "true" : NULL, error);
    if (r == 0 && !item->symbolic_name)
        r = set_unless(section, "Resource-Processor", item->processor, error);
    if (r == 0 && item->paths)
        r = set_paths(section, item->paths, error);
    if (r == 0)
        r = set_digest(section, &item->blob, error);
    if (r == 0)
        r = set_unless(section, "DeploymentPackage-Missing", item->missing ? "true" : NULL, error);
    return r < 0 ? ina_error_wrap(error, "%s", item->name) : 0;
}

static int describe(const PackageSpec *spec, Manifest *manifest, InaError *error)
{
    AUTO_FREE char *range = NULL;

    int r = manifest_set(manifest, "DeploymentPackage-SymbolicName", spec->target, error);
    if (r == 0)
        r = manifest_set(manifest, "DeploymentPackage-Version", spec->version, error);
    if (r == 0 && spec->from) {
        if (asprintf(&range, "[%s,%s)", spec->from, spec->version) < 0)
            return ina_error_set(error, ENOMEM, "out of memory");
        r = manifest_set(manifest, "DeploymentPackage-FixPack", range, error);
    }
    for (int resources = 0; resources <= 1; resources++)
        for (size_t i = 0; r == 0 && i < spec->n_items; i++)
            if (!spec->items[i].symbolic_name == (resources == 1))
                r = describe_item(manifest, &spec->items[i], error);
    return r;
}

static int make_manifest(const PackageSpec *spec, char **ret, size_t *ret_size, InaError *error)
{
    Manifest *manifest;

    int r = manifest_new(&manifest, error);
    if (r < 0)
        return r;
    r = describe(spec, manifest, error);
    if (r == 0)
        r = manifest_write(manifest, ret, ret_size, error);
    manifest_free(manifest);
    return r;
}

/* --- laying out -------------------------------------------------------------------- */

typedef struct Layout {
    Package *package;
    Buffer directory;
    Buffer memory; /* what comes before the next blob */
    size_t n_entries;
} Layout;

static void put16(Buffer *out, uint32_t value)
{
    const unsigned char bytes[2] = {(unsigned char)value, (unsigned char)(value >> 8)};
    buffer_append(out, bytes, sizeof bytes);
}

static void put32(Buffer *out, uint32_t value)
{
    put16(out, value & 0xffff);
    put16(out, value >> 16);
}

/* What local header and directory have in common. */
static void put_common(Buffer *out, const char *name, uint32_t crc32, uint32_t size)
{
    put16(out, ZIP_VERSION);
    put16(out, 0); /* flags: sizes are here, not behind the data */
    put16(out, 0); /* stored */
    put16(out, 0); /* time */
    put16(out, ZIP_DATE);
    put32(out, crc32);
    put32(out, size);
    put32(out, size);
    put16(out, (uint32_t)strlen(name));
    put16(out, 0); /* extra field */
}

static void put_entry(Layout *layout, const char *name, uint32_t crc32, uint32_t size, uint32_t offset)
{
    put32(&layout->memory, 0x04034b50);
    put_common(&layout->memory, name, crc32, size);
    buffer_append(&layout->memory, name, strlen(name));

    put32(&layout->directory, 0x02014b50);
    put16(&layout->directory, ZIP_UNIX << 8 | ZIP_VERSION);
    put_common(&layout->directory, name, crc32, size);
    put16(&layout->directory, 0); /* comment */
    put16(&layout->directory, 0); /* disk */
    put16(&layout->directory, 0); /* internal attributes */
    put32(&layout->directory, 0100644u << 16);
    put32(&layout->directory, offset);
    buffer_append(&layout->directory, name, strlen(name));
    layout->n_entries++;
}

static int add_piece(Package *package, const Piece *piece, InaError *error)
{
    if (piece->size > PACKAGE_SIZE_MAX - package->size)
        return ina_error_set(error, EFBIG, "the package would have more than %llu bytes",
                             (unsigned long long)PACKAGE_SIZE_MAX);
    Piece *pieces = reallocarray(package->pieces, package->n_pieces + 1, sizeof *pieces);
    if (!pieces)
        return ina_error_set(error, ENOMEM, "out of memory");
    package->pieces = pieces;
    pieces[package->n_pieces] = *piece;
    pieces[package->n_pieces++].start = package->size;
    package->size += piece->size;
    return 0;
}

/* What was gathered in memory becomes a piece. */
static int flush(Layout *layout, InaError *error)
{
    if (layout->memory.failed || layout->directory.failed)
        return ina_error_set(error, ENOMEM, "out of memory");
    Piece piece = {.data = layout->memory.data, .size = layout->memory.size};
    int r = add_piece(layout->package, &piece, error);
    if (r == 0)
        layout->memory = (Buffer){0};
    return r;
}

static uint64_t position(const Layout *layout)
{
    return layout->package->size + layout->memory.size;
}

static int add_blob(Layout *layout, const PackageItem *item, InaError *error)
{
    Piece piece = {.size = item->blob.size};

    if (item->blob.size > BLOB_SIZE_MAX)
        return ina_error_set(error, EFBIG, "%s has %llu bytes; at most %u are taken", item->name,
                             (unsigned long long)item->blob.size, BLOB_SIZE_MAX);
    /* add_piece keeps every offset below 2^32. */
    put_entry(layout, item->name, item->blob.crc32, (uint32_t)item->blob.size, (uint32_t)position(layout));
    layout->package->content += item->blob.size;
    if (piece.size == 0)
        return 0;
    strcpy(piece.digest, item->blob.digest);
    int r = flush(layout, error);
    return r == 0 ? add_piece(layout->package, &piece, error) : r;
}

static int end_layout(Layout *layout, InaError *error)
{
    uint64_t start = position(layout);

    if (layout->directory.failed || start > PACKAGE_SIZE_MAX)
        return ina_error_set(error, ENOMEM, "out of memory");
    buffer_append(&layout->memory, layout->directory.data, layout->directory.size);
    put32(&layout->memory, 0x06054b50);
    put16(&layout->memory, 0); /* disks */
    put16(&layout->memory, 0);
    put16(&layout->memory, (uint32_t)layout->n_entries);
    put16(&layout->memory, (uint32_t)layout->n_entries);
    put32(&layout->memory, (uint32_t)layout->directory.size);
    put32(&layout->memory, (uint32_t)start);
    put16(&layout->memory, 0); /* comment */
    return flush(layout, error);
}

static int lay_out(Layout *layout, const PackageSpec *spec, InaError *error)
{
    AUTO_FREE char *manifest = NULL;
    size_t size = 0;

    int r = make_manifest(spec, &manifest, &size, error);
    if (r < 0)
        return r;
    put_entry(layout, ARCHIVE_MANIFEST, (uint32_t)crc32_z(0, (const Bytef *)manifest, size), (uint32_t)size, 0);
    buffer_append(&layout->memory, manifest, size);
    for (int resources = 0; resources <= 1; resources++)
        for (size_t i = 0; r == 0 && i < spec->n_items; i++)
            if (!spec->items[i].symbolic_name == (resources == 1) && !spec->items[i].missing)
                r = add_blob(layout, &spec->items[i], error);
    return r == 0 ? end_layout(layout, error) : r;
}

int package_new(const PackageSpec *spec, const Blobs *blobs, Package **ret, InaError *error)
{
    Package *package = calloc(1, sizeof *package);
    if (!package)
        return ina_error_set(error, ENOMEM, "out of memory");
    *package = (Package){.references = 1, .blobs = blobs, .fd = -1};
    Layout layout = {.package = package};

    int r = check_items(spec, error);
    if (r == 0)
        r = lay_out(&layout, spec, error);
    buffer_free(&layout.memory);
    buffer_free(&layout.directory);
    if (r < 0) {
        package_unref(package);
        return ina_error_wrap(error, "deployment package %s %s", spec->target, spec->version);
    }
    *ret = package;
    return 0;
}

/* --- reading -------------------------------------------------------------------------- */

uint64_t package_size(const Package *package)
{
    return package->size;
}

uint64_t package_content(const Package *package)
{
    return package->content;
}

/* The piece that has the byte at `offset`, which is within the package. */
static size_t piece_at(const Package *package, uint64_t offset)
{
    size_t low = 0, high = package->n_pieces - 1;

    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (package->pieces[middle].start <= offset)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static int open_piece(Package *package, size_t index, InaError *error)
{
    const Piece *piece = &package->pieces[index];
    uint64_t size;
    int fd;

    if (package->fd >= 0 && package->fd_piece == index)
        return 0;
    int r = blobs_open_file(package->blobs, piece->digest, &fd, &size, error);
    if (r < 0)
        return r;
    if (size != piece->size) {
        close(fd);
        return ina_error_set(error, EBADMSG, "the stored file %s has %llu bytes; %llu would be right", piece->digest,
                             (unsigned long long)size, (unsigned long long)piece->size);
    }
    if (package->fd >= 0)
        close(package->fd);
    package->fd = fd;
    package->fd_piece = index;
    return 0;
}

static int read_blob(Package *package, size_t index, uint64_t offset, char *out, size_t size, InaError *error)
{
    int r = open_piece(package, index, error);

    while (r == 0 && size > 0) {
        ssize_t n = pread(package->fd, out, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? ina_error_errno(error, errno, "cannot read a stored file")
                         : ina_error_set(error, EBADMSG, "a stored file became shorter");
        out += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return r;
}

int package_read(Package *package, uint64_t offset, void *buffer, size_t size, size_t *ret, InaError *error)
{
    char *out = buffer;
    size_t done = 0;

    if (offset >= package->size) {
        *ret = 0;
        return 0;
    }
    for (size_t i = piece_at(package, offset); done < size && i < package->n_pieces; i++) {
        const Piece *piece = &package->pieces[i];
        uint64_t within = offset + done - piece->start, left = piece->size - within;
        size_t part = left < size - done ? (size_t)left : size - done;
        if (piece->data) {
            memcpy(out + done, piece->data + within, part);
        } else {
            int r = read_blob(package, i, within, out + done, part, error);
            if (r < 0)
                return r;
        }
        done += part;
    }
    *ret = done;
    return 0;
}

static int digest_all(Package *package, gnutls_hash_hd_t hash, InaError *error)
{
    AUTO_FREE char *chunk = malloc(DIGEST_CHUNK);
    size_t n = 0;

    if (!chunk)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (uint64_t offset = 0; offset < package->size; offset += n) {
        int r = package_read(package, offset, chunk, DIGEST_CHUNK, &n, error);
        if (r < 0)
            return r;
        if (gnutls_hash(hash, chunk, n) < 0)
            return ina_error_set(error, EIO, "cannot compute a digest");
    }
    return 0;
}

int package_digest(Package *package, char ret[BLOB_DIGEST_SIZE], InaError *error)
{
    unsigned char bytes[DIGEST_BYTES];
    gnutls_hash_hd_t hash;

    if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = digest_all(package, hash, error);
    gnutls_hash_deinit(hash, bytes);
    if (r == 0)
        sodium_bin2hex(ret, BLOB_DIGEST_SIZE, bytes, sizeof bytes);
    return r;
}

Package *package_ref(Package *package)
{
    package->references++;
    return package;
}

Package *package_unref(Package *package)
{
    if (!package || --package->references > 0)
        return NULL;
    for (size_t i = 0; i < package->n_pieces; i++)
        free(package->pieces[i].data);
    free(package->pieces);
    if (package->fd >= 0)
        close(package->fd);
    free(package);
    return NULL;
}
