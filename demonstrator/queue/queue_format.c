/* queue_format.c - see queue_format.h. */
#include "queue_format.h"
#include "crc32c.h"

#include <string.h>

uint32_t record_seed(uint64_t log_id, uint64_t sequence)
{
    /* Different for each sequence of one log (up to 2^32), so that a stale
     * record never checks; and not known to who only writes samples. */
    return crc32c(0, &log_id, sizeof log_id) ^ (uint32_t)sequence;
}

void segment_header_seal(SegmentHeader *header)
{
    header->crc = crc32c(0, header, offsetof(SegmentHeader, crc));
}

bool segment_header_valid(const SegmentHeader *header)
{
    return memcmp(header->magic, QUEUE_SEGMENT_MAGIC, sizeof header->magic) == 0 &&
           header->crc == crc32c(0, header, offsetof(SegmentHeader, crc));
}

static uint32_t header_crc(const RecordHeader *header, uint32_t seed)
{
    size_t start = sizeof header->header_crc;
    return crc32c(seed, (const uint8_t *)header + start, sizeof *header - start);
}

void record_seal(uint8_t *record, uint32_t seed)
{
    RecordHeader header;

    memcpy(&header, record, sizeof header);
    header.payload_crc = crc32c(seed, record + sizeof header, header.length);
    header.header_crc = header_crc(&header, seed);
    memcpy(record, &header, sizeof header);
}

static bool lengths_agree(const RecordHeader *header)
{
    switch (header->type) {
    case RECORD_DATA:
        return header->count > 0 && header->count <= QUEUE_RECORD_SAMPLES && header->producer_length > 0 &&
               header->producer_length <= QUEUE_PRODUCER_MAX &&
               header->length == data_length(header->producer_length, header->count);
    case RECORD_DONE:
        return header->count > 0 && header->count <= QUEUE_RECORD_RANGES && header->producer_length == 0 &&
               header->length == header->count * sizeof(Range);
    default:
        return false;
    }
}

bool record_header_valid(const RecordHeader *header, uint32_t seed, uint64_t offset, uint64_t size)
{
    return lengths_agree(header) && offset <= size && record_size(header) <= size - offset &&
           header->group >= QUEUE_RECORDS_START && header->group <= offset &&
           header->count <= UINT64_MAX - header->position && header->count <= UINT64_MAX - header->first_sequence &&
           header->header_crc == header_crc(header, seed);
}

bool record_payload_valid(const RecordHeader *header, const uint8_t *payload, uint32_t seed)
{
    return header->payload_crc == crc32c(seed, payload, header->length);
}
