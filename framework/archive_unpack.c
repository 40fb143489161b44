/* archive_unpack.c - from a checked zip to files, and from files to a zip. */
#include "archive_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- unpacking ------------------------------------------------------------- */

static int write_chunk(void *userdata, const void *data, size_t size, InaError *error)
{
    const int *fd = userdata;

    for (const char *p = data; size > 0;) {
        ssize_t n = write(*fd, p, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ina_error_errno(error, errno, "cannot write");
        p += n;
        size -= (size_t)n;
    }
    return 0;
}

/* Where entries are unpacked to; the folder is new and ours. */
typedef struct Unpacking {
    const Archive *archive;
    int folder;
    bool sync;
    Map *made; /* folders in it */
} Unpacking;

static int make_folder(Unpacking *unpacking, const char *name, InaError *error)
{
    if (map_get(unpacking->made, name))
        return 0;
    if (mkdirat(unpacking->folder, name, 0755) < 0)
        return ina_error_errno(error, errno, "cannot make the folder %s", name);
    return map_set(unpacking->made, name, unpacking) < 0 ? ina_error_set(error, ENOMEM, "out of memory") : 0;
}

/* Makes the folders that `name` lies in. */
static int make_parents(Unpacking *unpacking, const char *name, InaError *error)
{
    char parent[ARCHIVE_NAME_MAX + 1];
    int r = 0;

    for (const char *slash = strchr(name, '/'); slash && r == 0; slash = strchr(slash + 1, '/')) {
        memcpy(parent, name, (size_t)(slash - name));
        parent[slash - name] = '\0';
        r = make_folder(unpacking, parent, error);
    }
    return r;
}

static int unpack_file(const Unpacking *unpacking, const ArchiveEntry *entry, InaError *error)
{
    int fd = openat(unpacking->folder, entry->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return ina_error_errno(error, errno, "cannot make %s", entry->name);
    int r = archive_stream(unpacking->archive, entry, write_chunk, &fd, error);
    if (r == 0 && unpacking->sync && fsync(fd) < 0)
        r = ina_error_errno(error, errno, "cannot sync");
    if (close(fd) < 0 && r == 0)
        r = ina_error_errno(error, errno, "cannot close");
    return r < 0 ? ina_error_wrap(error, "%s", entry->name) : 0;
}

static int sync_folders(const Unpacking *unpacking, InaError *error)
{
    size_t position = 0;
    const char *name;
    void *value;
    int r = fsync(unpacking->folder);

    while (r == 0 && map_next(unpacking->made, &position, &name, &value)) {
        int fd = openat(unpacking->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? -1 : fsync(fd);
        if (fd >= 0)
            close(fd);
    }
    return r < 0 ? ina_error_errno(error, errno, "cannot sync") : 0;
}

static int unpack_all(Unpacking *unpacking, InaError *error)
{
    int r = unpacking->made ? 0 : ina_error_set(error, ENOMEM, "out of memory");

    for (size_t i = 0; i < unpacking->archive->n_entries && r == 0; i++) {
        const ArchiveEntry *entry = &unpacking->archive->entries[i];
        r = make_parents(unpacking, entry->name, error);
        if (r == 0)
            r = entry->folder ? make_folder(unpacking, entry->name, error) : unpack_file(unpacking, entry, error);
    }
    return r == 0 && unpacking->sync ? sync_folders(unpacking, error) : r;
}

int archive_unpack(const Archive *archive, const char *folder, bool sync, InaError *error)
{
    if (mkdir(folder, 0755) < 0)
        return ina_error_errno(error, errno, "cannot make the folder %s", folder);
    Unpacking unpacking = {archive, open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), sync, map_new()};
    int r =
        unpacking.folder < 0 ? ina_error_errno(error, errno, "cannot open %s", folder) : unpack_all(&unpacking, error);
    if (unpacking.folder >= 0)
        close(unpacking.folder);
    map_free(unpacking.made);
    return r < 0 ? ina_error_wrap(error, "%s", folder) : 0;
}

/* --- writing -------------------------------------------------------------- */

static int add_item(zip_t *zip, const ArchiveItem *item, InaError *error)
{
    zip_source_t *source = zip_source_buffer(zip, item->data, item->size, 0);
    if (!source)
        return archive_failed(error, zip_get_error(zip), item->name);
    zip_int64_t index = zip_file_add(zip, item->name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(source);
        return archive_failed(error, zip_get_error(zip), item->name);
    }
    zip_uint64_t at = (zip_uint64_t)index;
    /* 1980-01-01, the first day of zips: the time of packing is not content. */
    if (zip_file_set_dostime(zip, at, 0, 1 << 5 | 1, 0) < 0 ||
        zip_set_file_compression(zip, at, item->stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 9) < 0 ||
        zip_file_set_external_attributes(zip, at, 0, ZIP_OPSYS_UNIX, (zip_uint32_t)(S_IFREG | 0644) << 16) < 0)
        return archive_failed(error, zip_get_error(zip), item->name);
    return 0;
}

int archive_write(const char *path, const ArchiveItem *items, size_t n_items, InaError *error)
{
    for (size_t i = 0; i < n_items; i++) {
        int r = archive_check_name(items[i].name, strlen(items[i].name), error);
        if (r < 0)
            return r;
    }
    int why;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);
    if (!zip) {
        zip_error_t failure;
        zip_error_init_with_code(&failure, why);
        int r = ina_error_set(error, EIO, "cannot make %s: %s", path, zip_error_strerror(&failure));
        zip_error_fini(&failure);
        return r;
    }
    int r = 0;
    for (size_t i = 0; i < n_items && r == 0; i++)
        r = add_item(zip, &items[i], error);
    if (r == 0 && zip_close(zip) < 0)
        r = archive_failed(error, zip_get_error(zip), path);
    else if (r == 0)
        return 0;
    zip_discard(zip);
    return r;
}
