/* unzip.c - directory, headers and contents of a zip in memory. */
#include "unzip.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define END_SIZE 22u     /* of the record at the end, without its comment */
#define CENTRAL_SIZE 46u /* of an entry in the directory, without name, extra fields and comment */
#define LOCAL_SIZE 30u   /* of the header before an entry's contents, likewise */
#define COMMENT_MAX 65535u
#define CHUNK (64u * 1024u)

#define FLAG_ENCRYPTED 0x2041u /* simple, strong, or with a masked header */
#define FLAG_SIZES_FOLLOW 0x8u /* the header has no sizes: they follow the contents */
#define MADE_BY_UNIX 3u
#define MADE_BY_OS_X 19u

static uint16_t get16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static int unsound(InaError *error, const char *why)
{
    return ina_error_set(error, EINVAL, "not a sound zip: %s", why);
}

/* --- the directory --------------------------------------------------------- */

/* The end record is the last thing in the zip, but for its comment. */
static const unsigned char *find_end(const unsigned char *bytes, size_t size)
{
    for (size_t comment = 0; comment <= COMMENT_MAX && comment + END_SIZE <= size; comment++) {
        const unsigned char *end = bytes + size - comment - END_SIZE;
        if (memcmp(end, "PK\5\6", 4) == 0 && get16(end + 20) == comment)
            return end;
    }
    return NULL;
}

/* `from` to `limit` is what is left of the directory. */
static int read_central(const unsigned char *from, const unsigned char *limit, UnzipEntry *entry, size_t *ret_length,
                        InaError *error)
{
    if ((size_t)(limit - from) < CENTRAL_SIZE || memcmp(from, "PK\1\2", 4) != 0)
        return unsound(error, "the directory has fewer entries than it says");
    size_t name = get16(from + 28);
    size_t length = CENTRAL_SIZE + name + get16(from + 30) + get16(from + 32);
    if (length > (size_t)(limit - from))
        return unsound(error, "the directory ends within an entry");
    if (get16(from + 34) != 0)
        return unsound(error, "it goes on on another disk");

    uint8_t system = from[5];
    *entry = (UnzipEntry){
        .name = (const char *)from + CENTRAL_SIZE,
        .name_size = name,
        .packed = get32(from + 20),
        .size = get32(from + 24),
        .crc = get32(from + 16),
        .method = get16(from + 10),
        .encrypted = (get16(from + 8) & FLAG_ENCRYPTED) != 0,
        .mode = system == MADE_BY_UNIX || system == MADE_BY_OS_X ? get16(from + 40) : 0,
        .from = get32(from + 42),
    };
    *ret_length = length;
    return 0;
}

/* The entry's own header, which must say the same; its contents lie behind it and before `limit`. */
static int read_local(const unsigned char *bytes, size_t limit, UnzipEntry *entry, InaError *error)
{
    if (entry->from > limit || limit - entry->from < LOCAL_SIZE)
        return unsound(error, "an entry lies outside");
    const unsigned char *local = bytes + entry->from;
    size_t name = get16(local + 26), before = LOCAL_SIZE + name + get16(local + 28);
    if (memcmp(local, "PK\3\4", 4) != 0 || before > limit - entry->from)
        return unsound(error, "an entry has no header");
    if (name != entry->name_size || memcmp(local + LOCAL_SIZE, entry->name, name) != 0)
        return unsound(error, "an entry has two names");

    uint16_t flags = get16(local + 6);
    bool follow = (flags & FLAG_SIZES_FOLLOW) != 0; /* then 0 stands for them */
    uint32_t crc = get32(local + 14), packed = get32(local + 18), size = get32(local + 22);
    bool same = crc == entry->crc && packed == entry->packed && size == entry->size;
    if ((!same && !(follow && crc == 0 && packed == 0 && size == 0)) || get16(local + 8) != entry->method ||
        ((flags & FLAG_ENCRYPTED) != 0) != entry->encrypted)
        return unsound(error, "an entry's header and the directory differ");
    if (entry->packed > limit - entry->from - before)
        return unsound(error, "an entry's contents are cut off");
    entry->data = local + before;
    return 0;
}

static int compare_places(const void *a, const void *b)
{
    const UnzipEntry *one = *(const UnzipEntry *const *)a, *two = *(const UnzipEntry *const *)b;

    return one->from < two->from ? -1 : one->from > two->from;
}

/* Two readers could see different things, and a small zip unpack to a large one, if entries shared their bytes. */
static int check_overlap(const unsigned char *bytes, const UnzipEntry *entries, size_t count, InaError *error)
{
    /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
    const UnzipEntry **sorted = calloc(count, sizeof(const UnzipEntry *));
    bool apart = true;

    if (!sorted)
        return ina_error_set(error, ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        sorted[i] = &entries[i];
    /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(sorted, count, sizeof *sorted, compare_places);
    for (size_t i = 1; i < count && apart; i++)
        apart = (size_t)(sorted[i - 1]->data - bytes) + sorted[i - 1]->packed <= sorted[i]->from;
    free(sorted);
    return apart ? 0 : unsound(error, "two entries share their contents");
}

static int read_directory(const unsigned char *bytes, const unsigned char *directory, const unsigned char *end,
                          UnzipEntry *entries, size_t count, InaError *error)
{
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++) {
        size_t length = 0;
        size_t before = (size_t)(end - bytes) - get32(end + 12);
        r = read_central(directory, end, &entries[i], &length, error);
        if (r == 0)
            r = read_local(bytes, before, &entries[i], error);
        directory += length;
    }
    if (r == 0 && directory != end)
        r = unsound(error, "the directory has more than the entries it says");
    return r < 0 ? r : check_overlap(bytes, entries, count, error);
}

int unzip_list(const void *bytes, size_t size, size_t maximum, UnzipEntry **ret, size_t *ret_count, InaError *error)
{
    const unsigned char *start = bytes, *end = find_end(bytes, size);

    if (!end)
        return unsound(error, "it has no end record, so it may be cut off");
    size_t count = get16(end + 10), length = get32(end + 12), from = get32(end + 16);
    if (get16(end + 4) != 0 || get16(end + 6) != 0 || get16(end + 8) != count)
        return unsound(error, "it is one of several disks, or zip64");
    if (from > (size_t)(end - start) || length != (size_t)(end - start) - from)
        return unsound(error, "its directory is not where it should be");
    if (count == 0)
        return unsound(error, "there is nothing in it");
    if (count > maximum)
        return ina_error_set(error, EFBIG, "%zu entries; 1 to %zu are taken", count, maximum);

    UnzipEntry *entries = calloc(count, sizeof *entries);
    if (!entries)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = read_directory(start, start + from, end, entries, count, error);
    if (r < 0) {
        free(entries);
        return r;
    }
    *ret = entries;
    *ret_count = count;
    return 0;
}

/* --- contents -------------------------------------------------------------- */

typedef struct Unpacking {
    const UnzipEntry *entry;
    UnzipSink sink;
    void *userdata;
    InaError *error;
    uint32_t given, crc;
} Unpacking;

static int give(Unpacking *unpacking, const unsigned char *data, size_t size)
{
    if (size > unpacking->entry->size - unpacking->given)
        return ina_error_set(unpacking->error, EINVAL, "it is longer than it says");
    unpacking->given += (uint32_t)size;
    unpacking->crc = (uint32_t)crc32_z(unpacking->crc, data, size);
    return unpacking->sink(unpacking->userdata, data, size, unpacking->error);
}

static int give_stored(Unpacking *unpacking)
{
    const UnzipEntry *entry = unpacking->entry;
    int r = 0;

    for (size_t at = 0; at < entry->packed && r == 0; at += CHUNK)
        r = give(unpacking, entry->data + at, entry->packed - at < CHUNK ? entry->packed - at : CHUNK);
    return r;
}

static int inflate_all(Unpacking *unpacking, z_stream *stream, unsigned char *chunk)
{
    int r = 0, said = Z_OK;

    while (said == Z_OK && r == 0) {
        stream->next_out = chunk;
        stream->avail_out = CHUNK;
        said = inflate(stream, Z_NO_FLUSH);
        if (said == Z_OK || said == Z_STREAM_END)
            r = give(unpacking, chunk, CHUNK - stream->avail_out);
    }
    if (r == 0 && (said != Z_STREAM_END || stream->avail_in > 0))
        r = ina_error_set(unpacking->error, EINVAL, "what is deflated is damaged%s%s", stream->msg ? ": " : "",
                          stream->msg ? stream->msg : "");
    return r;
}

static int give_deflated(Unpacking *unpacking)
{
    /* zlib does not write what it reads; its header lacks the const. */
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)unpacking->entry->data, .avail_in = unpacking->entry->packed};
    unsigned char *chunk = malloc(CHUNK);
    int r;

    if (!chunk || inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
        free(chunk);
        return ina_error_set(unpacking->error, ENOMEM, "out of memory");
    }
    r = inflate_all(unpacking, &stream, chunk);
    (void)inflateEnd(&stream);
    free(chunk);
    return r;
}

int unzip_entry(const UnzipEntry *entry, UnzipSink sink, void *userdata, InaError *error)
{
    Unpacking unpacking = {.entry = entry, .sink = sink, .userdata = userdata, .error = error};
    int r;

    if (entry->encrypted || (entry->method != UNZIP_STORED && entry->method != UNZIP_DEFLATED))
        return ina_error_set(error, ENOTSUP, "encrypted, or compressed in an unknown way");
    r = entry->method == UNZIP_STORED ? give_stored(&unpacking) : give_deflated(&unpacking);
    if (r == 0 && unpacking.given != entry->size)
        r = ina_error_set(error, EINVAL, "it is shorter than it says");
    if (r == 0 && unpacking.crc != entry->crc)
        r = ina_error_set(error, EINVAL, "its checksum is wrong");
    return r;
}
