/* properties.h - typed properties of a service, and LDAP filters over them.
 *
 * Keys are compared without regard to case, as OSGi does; a set keeps its
 * entries in insertion order. Not thread safe. */
#pragma once

#include <inaetics/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef enum InaType {
    INA_TYPE_STRING,
    INA_TYPE_INTEGER, /* int64_t */
    INA_TYPE_DOUBLE,
    INA_TYPE_BOOLEAN,
    INA_TYPE_STRINGS, /* a list of strings */
} InaType;

/* One typed value. Strings belong to whoever made the value; a set copies. */
typedef struct InaValue {
    InaType type;
    union {
        const char *string;
        int64_t integer;
        double real;
        bool boolean;
        struct {
            const char *const *items;
            size_t count;
        } strings;
    };
} InaValue;

typedef struct InaProperty {
    const char *key;
    InaValue value;
} InaProperty;

#define INA_STRING(k, v)  {(k), {.type = INA_TYPE_STRING, .string = (v)}}
#define INA_INTEGER(k, v) {(k), {.type = INA_TYPE_INTEGER, .integer = (v)}}
#define INA_DOUBLE(k, v)  {(k), {.type = INA_TYPE_DOUBLE, .real = (v)}}
#define INA_BOOLEAN(k, v) {(k), {.type = INA_TYPE_BOOLEAN, .boolean = (v)}}

#define INA_PROPERTIES_MAX       256   /* entries in one set */
#define INA_PROPERTY_KEY_MAX     255   /* bytes */
#define INA_PROPERTY_STRING_MAX  65536 /* bytes of a string */
#define INA_PROPERTY_STRINGS_MAX 1024  /* strings in a list */

typedef struct InaProperties InaProperties;

InaProperties *ina_properties_new(void);
InaProperties *ina_properties_copy(const InaProperties *properties);
InaProperties *ina_properties_free(InaProperties *properties); /* takes NULL, returns NULL */
/* Replaces the value of a key that is there (which keeps its place and spelling). */
int ina_properties_set(InaProperties *properties, const char *key, const InaValue *value, InaError *error);
int ina_properties_remove(InaProperties *properties, const char *key); /* -ENOENT if absent */
/* Borrowed until the set changes; NULL when absent. */
const InaValue *ina_properties_get(const InaProperties *properties, const char *key);
const char *ina_properties_string(const InaProperties *properties, const char *key, const char *otherwise);
int64_t ina_properties_integer(const InaProperties *properties, const char *key, int64_t otherwise);
size_t ina_properties_count(const InaProperties *properties);
const InaProperty *ina_properties_at(const InaProperties *properties, size_t index); /* insertion order */
/* The same keys with the same types and values, in any order. */
bool ina_properties_equal(const InaProperties *a, const InaProperties *b);

/* A filter as RFC 4515 writes it, with OSGi's comparison rules for typed
 * values. Compiled once; matching does not allocate. Nesting is limited to
 * 32, the text to 4096 bytes. Errors name the position in the text.
 *
 *   (&(type=queue)(|(zone=a)(!(zone=*)))(service.ranking>=10)(name=in*put\2a))
 *
 * A value is compared as the property's type: a text that is no such number or
 * boolean does not match; of a list any string may match; ~= ignores case and
 * white space; substrings are for strings. What is absent matches nothing. In
 * a value, backslash and two hexadecimal digits stand for a byte; OSGi's
 * backslash before *, (, ) or backslash is taken too. */
#define INA_FILTER_TEXT_MAX  4096 /* bytes */
#define INA_FILTER_DEPTH_MAX 32

typedef struct InaFilter InaFilter;

int ina_filter_compile(const char *text, InaFilter **ret, InaError *error);
bool ina_filter_match(const InaFilter *filter, const InaProperties *properties); /* NULL filter matches all */
const char *ina_filter_text(const InaFilter *filter);
InaFilter *ina_filter_free(InaFilter *filter);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
