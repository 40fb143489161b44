/* queue_damage.c - finding the way behind damaged bytes, and keeping a copy of them. */
#include "queue_log_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 1000u /* set aside by one process */

uint32_t queue_resynchronize(QueueLog *log, Segment *segment, uint32_t offset, uint32_t limit)
{
    for (; offset < limit; offset += 8) {
        RecordHeader header;
        uint32_t length;
        bool own;
        const uint8_t *bytes = queue_look(log, segment, offset, sizeof header, limit, &length, &own);
        if (!bytes) {
            break;
        }
        memcpy(&header, bytes, sizeof header);
        if (record_header_valid(&header, segment->seed, offset, limit)) {
            return offset;
        }
    }
    return limit;
}

void queue_set_aside(QueueLog *log, Segment *segment, uint32_t offset, uint32_t end, const char *what)
{
    char name[64];
    uint8_t *copy = malloc(end - offset);
    int result = copy ? 0 : -ENOMEM;

    (void)snprintf(name, sizeof name, "%" PRIu64 "-%u-%u.damaged", segment->sequence, segment->slot, offset);
    for (uint32_t at = offset; copy && at < end;) {
        uint32_t length;
        bool own;
        uint32_t minimum = end - at < QUEUE_RECORD_MAX ? end - at : QUEUE_RECORD_MAX;
        const uint8_t *bytes = queue_look(log, segment, at, minimum, (uint32_t)segment->size, &length, &own);
        if (!bytes) {
            result = -EIO;
            break;
        }
        length = length < end - at ? length : end - at;
        memcpy(copy + (at - offset), bytes, length);
        at += length;
    }
    if (result == 0) {
        result = log->pieces++ < PIECES_MAX ? log->io->set_aside(log->io->self, name, copy, end - offset) : -ENOSPC;
    }
    free(copy);
    if (result == -EEXIST) {
        return; /* known since an earlier start */
    }
    queue_notice(log, "segment %u, bytes %u to %u: %s; %s damaged/%s%s%s", segment->slot, offset, end, what,
                 result == 0 ? "a copy is" : "no copy could be made as", name, result == 0 ? "" : ": ",
                 result == 0 ? "" : strerror(-result));
}
