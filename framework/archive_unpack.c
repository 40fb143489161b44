/* archive_unpack.c - from a checked zip to files. */
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
