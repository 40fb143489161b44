#include "tests/framework/zips.h"
#include "tests/leftovers.h"
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

typedef struct Out {
    unsigned char *data;
    size_t size, capacity;
} Out;

static void put(Out *out, const void *data, size_t size)
{
    if (size >= out->capacity - out->size) {
        out->capacity = 2 * (out->size + size) + 64;
        out->data = realloc(out->data, out->capacity);
        if (!out->data)
            abort();
    }
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void put16(Out *out, uint32_t value)
{
    const unsigned char bytes[] = {value & 0xff, value >> 8 & 0xff};
    put(out, bytes, sizeof bytes);
}

static void put32(Out *out, uint32_t value)
{
    put16(out, value & 0xffff);
    put16(out, value >> 16);
}

uint32_t zip_crc(const void *data, size_t size)
{
    return (uint32_t)crc32(0, data, (uInt)size);
}

static size_t size_of(const ZipEntry *entry)
{
    return entry->size ? entry->size : entry->data ? strlen(entry->data) : 0;
}

static void put_sizes(Out *out, const ZipEntry *entry)
{
    size_t size = size_of(entry);

    put32(out, entry->crc ? entry->crc : zip_crc(entry->data, size));
    put32(out, (uint32_t)size);
    put32(out, (uint32_t)(entry->claimed_size ? entry->claimed_size : size));
}

/* The fields that local header and directory share. */
static void put_common(Out *out, const ZipEntry *entry, const char *name, bool sizes)
{

    put16(out, 20);
    put16(out, entry->flags);
    put16(out, entry->method);
    put16(out, 0);
    put16(out, 1 << 5 | 1);
    if (sizes)
        put_sizes(out, entry);
    else
        put(out, (const char[12]){0}, 12);
    put16(out, (uint32_t)strlen(name));
    put16(out, 0);
}

static void put_entry(Out *out, const ZipEntry *entry)
{
    const char *name = entry->local_name ? entry->local_name : entry->name;

    put32(out, 0x04034b50);
    put_common(out, entry, name, !(entry->flags & 8));
    put(out, name, strlen(name));
    put(out, entry->data ? entry->data : "", size_of(entry));
    if (entry->flags & 8) {
        put32(out, 0x08074b50);
        put_sizes(out, entry);
    }
}

char *zip_make(const ZipEntry *entries, size_t n_entries, size_t *ret_size)
{
    Out out = {0}, directory = {0};

    for (size_t i = 0; i < n_entries; i++) {
        const ZipEntry *entry = &entries[i];
        size_t length = strlen(entry->name), at = entry->at ? entry->at : out.size;
        uint32_t mode = entry->mode ? entry->mode : entry->name[length - 1] == '/' ? 0040755u : 0100644u;

        if (!entry->at)
            put_entry(&out, entry);
        put32(&directory, 0x02014b50);
        put16(&directory, 3 << 8 | 20); /* made on Unix */
        put_common(&directory, entry, entry->name, true);
        put16(&directory, 0);
        put16(&directory, 0);
        put16(&directory, 0);
        put32(&directory, mode << 16);
        put32(&directory, (uint32_t)at);
        put(&directory, entry->name, length);
    }
    size_t start = out.size;
    put(&out, directory.data ? (void *)directory.data : "", directory.size);
    put32(&out, 0x06054b50);
    put32(&out, 0);
    put16(&out, (uint32_t)n_entries);
    put16(&out, (uint32_t)n_entries);
    put32(&out, (uint32_t)directory.size);
    put32(&out, (uint32_t)start);
    put16(&out, 0);
    free(directory.data);
    *ret_size = out.size;
    return (char *)out.data;
}

void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "w");

    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        abort();
}

void zip_write(const char *path, const ZipEntry *entries, size_t n_entries)
{
    size_t size;
    char *zip = zip_make(entries, n_entries, &size);

    write_file(path, zip, size);
    free(zip);
}

void *zip_deflate(const void *data, size_t size, size_t *ret_size)
{
    z_stream stream = {.next_in = (Bytef *)data, .avail_in = (uInt)size};

    if (deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    uLong most = deflateBound(&stream, (uLong)size);
    void *packed = malloc(most);
    stream.next_out = packed;
    stream.avail_out = (uInt)most;
    if (!packed || deflate(&stream, Z_FINISH) != Z_STREAM_END)
        abort();
    *ret_size = stream.total_out;
    deflateEnd(&stream);
    return packed;
}

char *temporary_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *path;

    if (asprintf(&path, "%s/inaetics-test-XXXXXX", base ? base : "/tmp") < 0 || !make_test_folder(path))
        abort();
    return path;
}

int run_line(const char *line)
{
    int status;

    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    return status;
}

char *only_path(const char *pattern)
{
    glob_t found;

    if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1)
        abort();
    char *path = strdup(found.gl_pathv[0]);
    globfree(&found);
    return path;
}
