/* store_format.h - the payload of a stored batch: results packed by column.
 *
 * Documented in docs/store-format.md. Pure: no database, no allocation. A
 * payload is checked completely by store_payload_read before a value is read. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_PAYLOAD_VERSION 1u
#define STORE_PAYLOAD_HEADER 24u
#define STORE_ROW_RESULTS_MAX 4096u /* results in one row */
#define STORE_RESULT_BYTES_MAX 40u  /* of one result in a payload */
#define STORE_PAYLOAD_MAX (STORE_PAYLOAD_HEADER + STORE_ROW_RESULTS_MAX * STORE_RESULT_BYTES_MAX)

/* Columns of equal length, borrowed. */
typedef struct StoreColumns {
    size_t count;
    const int64_t *time_us;
    const double *value1;
    const double *value2;
    const int64_t *processing_time_us;
    const double *result;
} StoreColumns;

/* Smallest and largest of a column of times. */
typedef struct StoreSpan {
    int64_t first;
    int64_t last;
} StoreSpan;

/* Packs the pieces one behind the other, together 1 to STORE_ROW_RESULTS_MAX
 * results, into `payload` of STORE_PAYLOAD_MAX bytes. Returns the size; the
 * span of the sample times goes to `ret_times`. */
size_t store_payload_write(const StoreColumns *pieces, size_t n_pieces, uint8_t *payload, StoreSpan *ret_times);

/* A payload opened for reading; borrows it. */
typedef struct StorePayload {
    uint32_t count;
    unsigned time_width, processing_width;
    int64_t time_base, processing_base;
    const uint8_t *time, *value1, *value2, *processing, *result;
} StorePayload;

/* -EBADMSG when it is not a payload of `count` results, to the byte. */
int store_payload_read(const void *data, size_t size, uint64_t count, StorePayload *ret, InaError *error);
/* `index` < count. */
int64_t store_payload_time(const StorePayload *payload, uint32_t index);
int64_t store_payload_processing_time(const StorePayload *payload, uint32_t index);
double store_payload_value1(const StorePayload *payload, uint32_t index);
double store_payload_value2(const StorePayload *payload, uint32_t index);
double store_payload_result(const StorePayload *payload, uint32_t index);

/* Bits of last - first: the class by which batches are found in time. 0 to 64. */
int store_span_class(StoreSpan span);
