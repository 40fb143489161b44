/* fuzz_archive.c - any bytes as a bundle's zip: refused with a message, or all
 * of it can be read and has the lengths it says. */
#include "framework/archive.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const Archive *archive)
{
    if (strlen(archive_digest(archive)) != ARCHIVE_DIGEST_SIZE - 1)
        abort();
    for (size_t i = 0; i < archive_count(archive); i++) {
        const ArchiveEntry *entry = archive_at(archive, i);
        void *contents;
        size_t length;
        if (entry->folder)
            continue;
        /* Between two '/', nothing may be "..". */
        char bounded[ARCHIVE_NAME_MAX + 3];
        (void)snprintf(bounded, sizeof bounded, "/%s/", entry->name);
        if (strstr(bounded, "/../") || strstr(bounded, "//") || archive_find(archive, entry->name) != entry)
            abort();
        if (archive_read(archive, entry, &contents, &length, NULL) < 0 || length != entry->size)
            abort();
        free(contents);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    Archive *archive = NULL;
    InaError error = {0};

    int fd = memfd_create("zip", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (archive_open(path, &archive, &error) == 0)
        read_all(archive);
    else if (archive || error.message[0] == '\0')
        abort();
    archive_free(archive);
    close(fd);
    return 0;
}
