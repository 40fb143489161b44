/* fuzz_queue_log.c - segments of a queue log that say anything whatever.
 *
 * The input is a recipe: headers and records with fields from the input and
 * checksums that are right (else nothing of it would be looked at), raw bytes,
 * and flipped ones. The log is opened, emptied, used and opened again. */
#include "queue_format.h"
#include "queue_log.h"
#include "sim_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT (256u * 1024)
#define LOG_ID  UINT64_C(0x1122334455667788)

typedef struct Recipe {
    const uint8_t *data;
    size_t size;
} Recipe;

static uint64_t take(Recipe *recipe, size_t bytes)
{
    uint64_t value = 0;
    bytes = bytes < recipe->size ? bytes : recipe->size;
    memcpy(&value, recipe->data, bytes);
    recipe->data += bytes;
    recipe->size -= bytes;
    return value;
}

static void make_header(Recipe *recipe, uint8_t *file, SegmentHeader *header)
{
    uint64_t flags = take(recipe, 1);
    *header = (SegmentHeader){
        .magic = QUEUE_SEGMENT_MAGIC,
        .version = flags & 1 ? (uint32_t)take(recipe, 4) : QUEUE_FORMAT_VERSION,
        .checkpoint_bytes = (uint32_t)take(recipe, flags & 2 ? 4 : 1) * 8,
        .log_id = flags & 4 ? take(recipe, 8) : LOG_ID,
        .sequence = take(recipe, flags & 8 ? 8 : 1),
        .size = flags & 16 ? take(recipe, 8) : SEGMENT,
        .first_position = take(recipe, flags & 32 ? 8 : 2),
        .floor = take(recipe, flags & 32 ? 8 : 2),
        .damaged = take(recipe, 1),
    };
    segment_header_seal(header);
    if (!(flags & 64)) {
        memcpy(file, header, sizeof *header);
    }
    if (!(flags & 128)) {
        memcpy(file + QUEUE_HEADER_COPY, header, sizeof *header);
    }
}

static size_t make_record(Recipe *recipe, uint8_t *to, size_t room, const SegmentHeader *segment, size_t offset)
{
    uint64_t flags = take(recipe, 1);
    RecordHeader header = {.type = flags & 1 ? RECORD_DATA : RECORD_DONE};
    header.count = (uint32_t)take(recipe, flags & 2 ? 2 : 1);
    header.group = flags & 4 ? (uint32_t)take(recipe, 4) : (uint32_t)offset;
    header.position = take(recipe, flags & 8 ? 8 : 2);
    if (header.type == RECORD_DATA) {
        header.producer_length = (uint16_t)take(recipe, 1);
        header.first_sequence = take(recipe, flags & 16 ? 8 : 2);
        header.length = data_length(header.producer_length, header.count);
    } else {
        header.length = header.count * (uint32_t)sizeof(Range);
    }
    if (header.count > 10000 || record_size(&header) > room) {
        return 0;
    }
    memcpy(to, &header, sizeof header);
    memset(to + sizeof header, 'p', record_size(&header) - sizeof header);
    for (uint32_t i = 0; header.type == RECORD_DONE && i < header.count; i++) {
        Range range = {take(recipe, flags & 32 ? 8 : 2), take(recipe, flags & 32 ? 8 : 1)};
        memcpy(to + sizeof header + i * sizeof range, &range, sizeof range);
    }
    record_seal(to, record_seed(segment->log_id, segment->sequence));
    if (flags & 64) {
        to[take(recipe, 2) % record_size(&header)] ^= 1;
    }
    return record_size(&header);
}

static void make_segment(Recipe *recipe, SimDisk *disk, unsigned slot)
{
    static uint8_t file[SEGMENT];
    char name[32];
    SegmentHeader header;
    size_t offset = QUEUE_RECORDS_START;

    memset(file, 0, sizeof file);
    make_header(recipe, file, &header);
    while (recipe->size > 0) {
        uint64_t what = take(recipe, 1);
        if (what == 0) {
            break;
        }
        if (what == 1) {
            size_t raw = (size_t)take(recipe, 1);
            for (size_t i = 0; i < raw && offset + i < sizeof file; i++) {
                file[offset + i] = (uint8_t)take(recipe, 1);
            }
            offset += (raw + 7) / 8 * 8;
        } else if (offset < sizeof file) {
            offset += make_record(recipe, file + offset, sizeof file - offset, &header, offset);
        }
    }
    (void)snprintf(name, sizeof name, "segment-%06u", slot);
    sim_disk_put(disk, name, file, sizeof file);
}

static void must(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

static void commit(QueueLog *log)
{
    QueueCommit *one = queue_log_seal(log);
    if (one) {
        queue_commit_run(one);
        (void)queue_log_committed(log, one);
    }
    for (QueuePrepare *prepare; (prepare = queue_log_prepare(log, 0));) {
        queue_prepare_run(prepare);
        (void)queue_log_prepared(log, prepare, 0);
    }
}

static void use(QueueLog *log, bool acknowledge)
{
    QueueLogStatus status;
    uint64_t taken_in_all = 0, available = queue_log_available(log);

    queue_log_status(log, &status);
    must(status.size == available);
    for (int i = 0; i < 200; i++) {
        QueueTaken taken;
        uint64_t ticket;
        must(queue_log_take(log, 1000, 100, &taken) == 0);
        if (taken.lease == 0) {
            break;
        }
        taken_in_all += taken.count;
        if (acknowledge) {
            must(queue_log_acknowledge(log, taken.lease, &ticket) == 0);
            commit(log);
        }
    }
    queue_log_status(log, &status);
    must(taken_in_all <= available);
    queue_log_expire(log, 100);
    commit(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Recipe recipe = {data, size};
    SimDisk *disk = calloc(1, sizeof *disk);
    QueueLogOptions options = {.capacity = 1000000,
                               .segment_bytes = SEGMENT,
                               .group_bytes = 16u * 1024,
                               .disk_bytes = 64u * SEGMENT,
                               .spans_max = 64,
                               .leases_max = 64};
    QueueLog *log;

    sim_disk_make(disk, 1);
    unsigned segments = 1 + (unsigned)take(&recipe, 1) % 4;
    for (unsigned slot = 0; slot < segments; slot++) {
        make_segment(&recipe, disk, slot);
    }
    QueueIo io = sim_disk_io(disk);
    for (int round = 0; round < 3; round++) {
        InaError error = {.message = ""};
        if (queue_log_open(&options, &io, &log, &error) < 0) {
            must(error.message[0] != '\0');
            break;
        }
        use(log, round > 0);
        int64_t time_us = 1;
        double value = 1;
        QueueBatch batch = {"fuzz", 4, 0, 1, &time_us, &value, &value};
        QueueRefusal refusal;
        (void)queue_log_put(log, &batch, 0, &refusal);
        commit(log);
        queue_log_free(log);
    }
    sim_disk_clear(disk);
    free(disk);
    return 0;
}
