/* queue_format.h - the bytes of the log; docs/queue-format.md explains them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the log's fields are little-endian in memory, too");

#define QUEUE_FORMAT_VERSION 1u
#define QUEUE_SEGMENT_MAGIC "INAQUEUE"
#define QUEUE_HEADER_COPY 4096u /* where the header's second copy is */
#define QUEUE_RECORDS_START 8192u
#define QUEUE_RECORD_SAMPLES 8192u /* at most in one record */
#define QUEUE_RECORD_RANGES 4096u  /* at most in one record */
#define QUEUE_PRODUCER_MAX 128u    /* bytes */

typedef struct SegmentHeader {
    char magic[8];
    uint32_t version;
    uint32_t checkpoint_bytes; /* of records from QUEUE_RECORDS_START on */
    uint64_t log_id;           /* random, the same in all segments of a log */
    uint64_t sequence;         /* of this use of the file; rises from segment to segment */
    uint64_t size;             /* of the file */
    uint64_t first_position;   /* of the first sample that is written here */
    uint64_t floor;            /* all positions below are done */
    uint64_t damaged;          /* samples set aside so far */
    uint32_t reserved;
    uint32_t crc; /* of all bytes before */
} SegmentHeader;
_Static_assert(sizeof(SegmentHeader) == 72, "no padding");

typedef enum RecordType {
    RECORD_DATA = 1,
    RECORD_DONE = 2, /* ranges of positions that are done: acknowledged, or damaged and set aside */
} RecordType;

typedef struct RecordHeader {
    uint32_t header_crc; /* of the bytes of the header behind it, seeded */
    uint32_t payload_crc;
    uint32_t length; /* of the payload, without the zeros that fill it up to a multiple of 8 */
    uint16_t type;
    uint16_t producer_length;
    uint32_t count; /* of samples or ranges */
    uint32_t group; /* where in the segment the group of this record begins */
    uint64_t position;
    uint64_t first_sequence;
} RecordHeader;
_Static_assert(sizeof(RecordHeader) == 40, "no padding");

typedef struct Range {
    uint64_t first, count;
} Range;

static inline uint32_t padded(uint32_t bytes)
{
    return (bytes + 7u) & ~7u;
}

static inline uint32_t record_size(const RecordHeader *header)
{
    return (uint32_t)sizeof *header + padded(header->length);
}

static inline uint32_t data_length(uint32_t producer_length, uint32_t count)
{
    return padded(producer_length) + count * 24u;
}

/* The largest record. */
#define QUEUE_RECORD_MAX (40u + QUEUE_PRODUCER_MAX + QUEUE_RECORD_SAMPLES * 24u)

/* Records of one segment are seeded by it: those of another use of the file do not check. */
uint32_t record_seed(uint64_t log_id, uint64_t sequence);

void segment_header_seal(SegmentHeader *header);
bool segment_header_valid(const SegmentHeader *header);

/* Sets both checksums of the record at `record`. */
void record_seal(uint8_t *record, uint32_t seed);
/* Whether a record's header can stand at `offset` of a segment of `size` bytes. */
bool record_header_valid(const RecordHeader *header, uint32_t seed, uint64_t offset, uint64_t size);
bool record_payload_valid(const RecordHeader *header, const uint8_t *payload, uint32_t seed);
