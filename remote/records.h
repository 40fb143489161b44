/* records.h - the records of docs/contracts.md, as they stand in etcd. */
#pragma once

#include <inaetics/properties.h>
#include <stdbool.h>
#include <stddef.h>

#define RECORD_SIZE_MAX (64u * 1024u) /* bytes of a record's value */
#define RECORD_NAME_MAX 255u          /* bytes of an agent's, endpoint's or wire's name */

#define RECORDS_DISCOVERY "/inaetics/discovery/"
#define RECORDS_WIRING "/inaetics/wiring/"
#define RECORDS_AGENTS "/inaetics/node-agent-service/"

#define RECORD_TOMBSTONE "{\"version\":1,\"gone\":true}"

typedef struct EndpointRecord {
    bool gone; /* a tombstone: nothing else is set */
    char *contract, *digest, *wire;
    InaProperties *properties;
} EndpointRecord;

typedef struct WireRecord {
    char *url;
    char *security; /* "token", "none" */
} WireRecord;

/* -EINVAL: the error says what is wrong with it. `ret` is set on success. */
int endpoint_record_parse(const char *text, size_t size, EndpointRecord *ret, InaError *error);
/* malloc'ed; NULL when out of memory. Properties beginning with "ina." are
 * those of this process and left out. */
char *endpoint_record_print(const char *contract, const char *digest, const char *wire,
                            const InaProperties *properties);
void endpoint_record_clear(EndpointRecord *record);

int wire_record_parse(const char *text, size_t size, WireRecord *ret, InaError *error);
char *wire_record_print(const char *url, const char *security);
void wire_record_clear(WireRecord *record);

char *agent_record_print(const char *url);
