/* json.h - structs from and to JSON by table, over jansson.
 *
 * Decoding refuses unknown and duplicate keys unless told otherwise, and wrong
 * types; the error names the path ("spec.containers[2].name"), what is there
 * and what is allowed. Texts deeper than JSON_DEPTH_MAX or with embedded NULs
 * are refused. null counts as absent (but for JSON_TYPE_ANY). */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 64
#define JSON_LIST_MAX 65536u /* items of one JSON_TYPE_LIST or _STRINGS */

typedef enum JsonType {
    JSON_TYPE_STRING,  /* char *, malloc'ed */
    JSON_TYPE_INTEGER, /* int64_t */
    JSON_TYPE_DOUBLE,  /* double; integers are taken too */
    JSON_TYPE_BOOLEAN, /* bool */
    JSON_TYPE_STRUCT,  /* embedded struct with `fields` */
    JSON_TYPE_LIST,    /* JsonList of structs with `fields` */
    JSON_TYPE_STRINGS, /* JsonList of char * */
    JSON_TYPE_ANY,     /* json_t *, a reference */
} JsonType;

typedef struct JsonList {
    void *items;
    size_t count;
} JsonList;

typedef enum JsonFlags {
    JSON_REQUIRED = 1,       /* must be there (in a struct that is there) */
    JSON_OMIT_EMPTY = 2,     /* not written when NULL, 0, false, empty */
    JSON_IGNORE_UNKNOWN = 4, /* on the table's last entry: unknown keys of this struct are ignored */
} JsonFlags;

/* A table ends with an entry whose name is NULL:
 *   {"name", JSON_TYPE_STRING, offsetof(Port, name), .flags = JSON_REQUIRED}, {.name = NULL} */
typedef struct JsonField {
    const char *name;
    JsonType type;
    size_t offset;
    unsigned flags;
    const struct JsonField *fields; /* STRUCT, LIST */
    size_t size;                    /* LIST: of one item */
    double minimum, maximum;        /* numbers; ignored when equal */
} JsonField;

/* Parses any JSON value with limits: -EINVAL with line and column, -EFBIG above `maximum` bytes. */
int json_parse(const char *text, size_t size, size_t maximum, json_t **ret, InaError *error);
/* `target` must be zeroed; on failure it is emptied again. -EINVAL, -ENOMEM. */
int json_decode(const json_t *value, const JsonField *fields, void *target, InaError *error);
/* NULL: out of memory. Bytes that are no UTF-8 become U+FFFD, numbers that are
 * not finite null. */
json_t *json_encode(const JsonField *fields, const void *source);
void json_clear(const JsonField *fields, void *target); /* frees what decode made; zeroes the fields */
