/* queued.c - which samples a queue's log holds that are not acknowledged yet.
 *
 * Reads the segments as docs/queue-format.md describes them, twice: first what
 * is done (acknowledged, or set aside as damaged), then the samples that are
 * not. The queue may write meanwhile: what is acknowledged between the two
 * passes is still told; a segment that is used anew between them held only
 * samples that were done, and its new records, under another seed, are newer
 * than anything the caller asks about. Records that do not check are passed
 * over: what was in them is told as missing by whoever misses it. */
#include "queued.h"
#include "queue_format.h"
#include "sequences.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENTS_MAX 100000u
#define SEGMENT_BYTES_MAX (256u * 1024 * 1024)

typedef int (*Told)(void *userdata, const char *producer, uint64_t first, uint64_t count, InaError *error);

typedef struct SegmentFile {
    char name[24];
    SegmentHeader header;
} SegmentFile;

typedef struct Reading {
    const char *directory;
    int folder;
    SegmentFile *segments; /* in order of their sequence */
    size_t count, room;
    Sequences done; /* positions */
    uint64_t floor; /* all positions below are done */
    uint64_t limit; /* of the segment being read: positions from there on are in the next one */
    Told told;
    void *userdata;
} Reading;

/* --- segments ---------------------------------------------------------------------- */

static bool is_segment(const char *name)
{
    static const char prefix[] = "segment-";
    size_t length = strlen(name);
    return strncmp(name, prefix, sizeof(prefix) - 1) == 0 && length > sizeof(prefix) - 1 &&
           length < sizeof(((SegmentFile *)0)->name) &&
           strspn(name + sizeof(prefix) - 1, "0123456789") == length - (sizeof(prefix) - 1);
}

/* The valid copy of the later use counts. False: it was never used, or was just made. */
static bool read_header(int fd, SegmentHeader *ret)
{
    bool found = false;
    for (off_t offset = 0; offset <= (off_t)QUEUE_HEADER_COPY; offset += QUEUE_HEADER_COPY) {
        SegmentHeader header;
        if (pread(fd, &header, sizeof(header), offset) != (ssize_t)sizeof(header) || !segment_header_valid(&header))
            continue;
        if (!found || header.sequence > ret->sequence)
            *ret = header;
        found = true;
    }
    return found;
}

static int add_segment(Reading *reading, const char *name, InaError *error)
{
    int fd = openat(reading->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) /* the queue gives files back that it needs no more */
        return errno == ENOENT ? 0 : ina_error_errno(error, errno, "%s/%s", reading->directory, name);
    SegmentFile file = {0};
    bool used = read_header(fd, &file.header);
    close(fd);
    if (!used)
        return 0;
    if (file.header.version != QUEUE_FORMAT_VERSION)
        return ina_error_set(error, EPROTONOSUPPORT, "%s/%s has format %u; this program reads format %u",
                             reading->directory, name, file.header.version, QUEUE_FORMAT_VERSION);
    if (reading->count == reading->room) {
        size_t room = reading->room ? reading->room * 2 : 16;
        SegmentFile *more = room <= SEGMENTS_MAX ? reallocarray(reading->segments, room, sizeof(SegmentFile)) : NULL;
        if (!more)
            return ina_error_set(error, ENOMEM, "%s has too many segments", reading->directory);
        reading->segments = more;
        reading->room = room;
    }
    memcpy(file.name, name, strlen(name) + 1);
    reading->segments[reading->count++] = file;
    if (file.header.floor > reading->floor)
        reading->floor = file.header.floor;
    return 0;
}

static int compare_segments(const void *a, const void *b)
{
    uint64_t x = ((const SegmentFile *)a)->header.sequence, y = ((const SegmentFile *)b)->header.sequence;
    return (x > y) - (x < y);
}

static int find_segments(Reading *reading, InaError *error)
{
    int copy = dup(reading->folder);
    DIR *folder = copy < 0 ? NULL : fdopendir(copy);
    if (!folder) {
        int code = errno;
        if (copy >= 0)
            close(copy);
        return ina_error_errno(error, code, "%s", reading->directory);
    }
    int result = 0;
    const struct dirent *entry;
    while (result == 0 && (entry = readdir(folder)))
        if (is_segment(entry->d_name))
            result = add_segment(reading, entry->d_name, error);
    closedir(folder);
    if (reading->count > 0)
        qsort(reading->segments, reading->count, sizeof(SegmentFile), compare_segments);
    return result;
}

/* --- records ------------------------------------------------------------------------ */

/* A segment's bytes; NULL and 0: it is gone or empty. malloc'ed. */
static int read_segment(const Reading *reading, const SegmentFile *segment, uint8_t **ret, size_t *ret_size,
                        InaError *error)
{
    *ret = NULL;
    *ret_size = 0;
    int fd = openat(reading->folder, segment->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    struct stat file;
    if (fd < 0 || fstat(fd, &file) < 0) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        return ina_error_errno(error, code, "%s/%s", reading->directory, segment->name);
    }
    size_t size = file.st_size > (off_t)SEGMENT_BYTES_MAX ? SEGMENT_BYTES_MAX : (size_t)file.st_size, length = 0;
    uint8_t *bytes = malloc(size ? size : 1);
    ssize_t n = 0;
    while (bytes && length < size && (n = pread(fd, bytes + length, size - length, (off_t)length)) > 0)
        length += (size_t)n;
    int code = !bytes ? ENOMEM : n < 0 ? errno : 0;
    close(fd);
    if (code) {
        free(bytes);
        return ina_error_errno(error, code, "%s/%s", reading->directory, segment->name);
    }
    *ret = bytes;
    *ret_size = length;
    return 0;
}

static int each_record(Reading *reading, const SegmentFile *segment,
                       int (*each)(Reading *reading, const RecordHeader *header, const uint8_t *payload,
                                   InaError *error),
                       InaError *error)
{
    uint8_t *bytes;
    size_t size;
    int result = read_segment(reading, segment, &bytes, &size, error);
    uint32_t seed = record_seed(segment->header.log_id, segment->header.sequence);
    for (size_t offset = QUEUE_RECORDS_START; result == 0 && offset + sizeof(RecordHeader) <= size;) {
        RecordHeader header;
        memcpy(&header, bytes + offset, sizeof(header));
        if (!record_header_valid(&header, seed, offset, size)) {
            offset += 8; /* records begin at multiples of eight */
            continue;
        }
        if (record_payload_valid(&header, bytes + offset + sizeof(header), seed))
            result = each(reading, &header, bytes + offset + sizeof(header), error);
        offset += record_size(&header);
    }
    free(bytes);
    return result;
}

static int note_done(Reading *reading, const RecordHeader *header, const uint8_t *payload, InaError *error)
{
    int result = 0;
    for (uint32_t i = 0; result == 0 && header->type == RECORD_DONE && i < header->count; i++) {
        Range range;
        memcpy(&range, payload + i * sizeof(range), sizeof(range));
        result = sequences_add(&reading->done, range.first, range.count, error);
    }
    return result;
}

/* Tells what of a record is not done. */
static int tell_rest(Reading *reading, const RecordHeader *header, const uint8_t *payload, InaError *error)
{
    uint64_t past = header->position + header->count;
    past = past < reading->limit ? past : reading->limit;
    uint64_t begin = header->position > reading->floor ? header->position : reading->floor;
    if (header->type != RECORD_DATA || begin >= past)
        return 0;
    char producer[QUEUE_PRODUCER_MAX + 1];
    memcpy(producer, payload, header->producer_length);
    producer[header->producer_length] = '\0';
    Sequences record = {0}, rest = {0};
    int result = sequences_add(&record, begin, past - begin, error);
    if (result == 0)
        result = sequences_difference(&record, &reading->done, &rest, error);
    for (size_t i = 0; result == 0 && i < rest.count; i++)
        result = reading->told(reading->userdata, producer,
                               header->first_sequence + (rest.items[i].first - header->position),
                               rest.items[i].past - rest.items[i].first, error);
    sequences_clear(&record);
    sequences_clear(&rest);
    return result;
}

/* --- both passes -------------------------------------------------------------------- */

static int read_all(Reading *reading, InaError *error)
{
    int result = find_segments(reading, error);
    for (size_t i = 0; result == 0 && i < reading->count; i++)
        result = each_record(reading, reading->segments + i, note_done, error);
    sequences_settle(&reading->done);
    for (size_t i = 0; result == 0 && i < reading->count; i++) {
        /* What could not be written to a segment was written again to the next. */
        reading->limit = i + 1 < reading->count ? reading->segments[i + 1].header.first_position : UINT64_MAX;
        result = each_record(reading, reading->segments + i, tell_rest, error);
    }
    return result;
}

int queued_read(const char *directory, Told each, void *userdata, InaError *error)
{
    Reading reading = {.directory = directory, .told = each, .userdata = userdata};
    reading.folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (reading.folder < 0)
        return errno == ENOENT ? 0 : ina_error_errno(error, errno, "%s", directory);
    int result = read_all(&reading, error);
    close(reading.folder);
    free(reading.segments);
    sequences_clear(&reading.done);
    return result;
}
