/* properties.c - a set of typed values by key: an array, searched by a hash of
 * the key without case; sets are small. Key and value share one allocation. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    InaProperty property; /* key and strings point into the same allocation as `memory` */
    void *memory;
    uint32_t hash;
} Entry;

struct InaProperties {
    Entry *entries;
    size_t count, capacity;
};

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* FNV-1a over the folded key; only to skip comparisons, so it need not be keyed. */
static uint32_t key_hash(const char *key)
{
    uint32_t hash = 2166136261u;
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)fold(*key)) * 16777619u;
    return hash;
}

static bool key_equal(const char *a, const char *b)
{
    while (*a != '\0' && fold(*a) == fold(*b)) {
        a++;
        b++;
    }
    return fold(*a) == fold(*b);
}

static Entry *find(const InaProperties *properties, const char *key)
{
    if (properties == NULL || key == NULL)
        return NULL;
    uint32_t hash = key_hash(key);
    for (size_t i = 0; i < properties->count; i++) {
        Entry *entry = &properties->entries[i];
        if (entry->hash == hash && key_equal(entry->property.key, key))
            return entry;
    }
    return NULL;
}

InaProperties *ina_properties_new(void)
{
    return calloc(1, sizeof(InaProperties));
}

InaProperties *ina_properties_free(InaProperties *properties)
{
    if (properties == NULL)
        return NULL;
    for (size_t i = 0; i < properties->count; i++)
        free(properties->entries[i].memory);
    free(properties->entries);
    free(properties);
    return NULL;
}

static int check_string(const char *key, const char *string, InaError *error)
{
    if (string == NULL)
        return ina_error_set(error, EINVAL, "property %s: its string is NULL", key);
    if (strlen(string) > INA_PROPERTY_STRING_MAX)
        return ina_error_set(error, E2BIG, "property %s: its string of %zu bytes is too long, at most %d are allowed",
                             key, strlen(string), INA_PROPERTY_STRING_MAX);
    return 0;
}

static int check(const char *key, const InaValue *value, InaError *error)
{
    if (key == NULL || *key == '\0')
        return ina_error_set(error, EINVAL, "a property needs a key");
    if (strlen(key) > INA_PROPERTY_KEY_MAX)
        return ina_error_set(error, E2BIG,
                             "property %.32s...: its key of %zu bytes is too long, at most %d are allowed", key,
                             strlen(key), INA_PROPERTY_KEY_MAX);
    switch (value->type) {
    case INA_TYPE_STRING:
        return check_string(key, value->string, error);
    case INA_TYPE_INTEGER:
    case INA_TYPE_DOUBLE:
    case INA_TYPE_BOOLEAN:
        return 0;
    case INA_TYPE_STRINGS:
        if (value->strings.count > INA_PROPERTY_STRINGS_MAX)
            return ina_error_set(error, E2BIG, "property %s: a list of %zu strings is too long, at most %d are allowed",
                                 key, value->strings.count, INA_PROPERTY_STRINGS_MAX);
        for (size_t i = 0; i < value->strings.count; i++) {
            int r = check_string(key, value->strings.items[i], error);
            if (r < 0)
                return r;
        }
        return 0;
    }
    return ina_error_set(error, EINVAL, "property %s: there is no type %d", key, (int)value->type);
}

static char *append(char **end, const char *string)
{
    size_t size = strlen(string) + 1;
    char *start = *end;
    memcpy(start, string, size);
    *end += size;
    return start;
}

/* Copies key and value into one block: the list's pointers first, then the strings. */
static int entry_make(const char *key, const InaValue *value, Entry *ret)
{
    size_t pointers = 0, size = strlen(key) + 1;
    if (value->type == INA_TYPE_STRING)
        size += strlen(value->string) + 1;
    if (value->type == INA_TYPE_STRINGS) {
        pointers = value->strings.count * sizeof(char *);
        for (size_t i = 0; i < value->strings.count; i++)
            size += strlen(value->strings.items[i]) + 1;
    }
    char *memory = malloc(pointers + size);
    if (memory == NULL)
        return -ENOMEM;
    char *end = memory + pointers;
    *ret = (Entry){.memory = memory, .hash = key_hash(key), .property = {.key = append(&end, key), .value = *value}};
    if (value->type == INA_TYPE_STRING)
        ret->property.value.string = append(&end, value->string);
    if (value->type == INA_TYPE_STRINGS) {
        const char **items = (const char **)memory;
        for (size_t i = 0; i < value->strings.count; i++)
            items[i] = append(&end, value->strings.items[i]);
        ret->property.value.strings.items = value->strings.count > 0 ? items : NULL;
    }
    return 0;
}

static int make_room(InaProperties *properties, const char *key, InaError *error)
{
    if (properties->count == INA_PROPERTIES_MAX)
        return ina_error_set(error, E2BIG, "property %s: there are %d properties already, more are not allowed", key,
                             INA_PROPERTIES_MAX);
    if (properties->count < properties->capacity)
        return 0;
    size_t capacity = properties->capacity == 0 ? 8 : properties->capacity * 2;
    Entry *entries = reallocarray(properties->entries, capacity, sizeof(Entry));
    if (entries == NULL)
        return ina_error_set(error, ENOMEM, "property %s: out of memory", key);
    properties->entries = entries;
    properties->capacity = capacity;
    return 0;
}

int ina_properties_set(InaProperties *properties, const char *key, const InaValue *value, InaError *error)
{
    int r = check(key, value, error);
    if (r < 0)
        return r;
    Entry *old = find(properties, key);
    if (old == NULL && (r = make_room(properties, key, error)) < 0)
        return r;
    Entry made;
    /* The value may be borrowed from the entry that it replaces: copy first. */
    if (entry_make(old != NULL ? old->property.key : key, value, &made) < 0)
        return ina_error_set(error, ENOMEM, "property %s: out of memory", key);
    if (old != NULL) {
        free(old->memory);
        *old = made;
    } else {
        properties->entries[properties->count++] = made;
    }
    return 0;
}

InaProperties *ina_properties_copy(const InaProperties *properties)
{
    InaProperties *copy = ina_properties_new();
    if (copy == NULL || properties == NULL || properties->count == 0)
        return copy;
    copy->entries = calloc(properties->count, sizeof(Entry));
    if (copy->entries == NULL)
        return ina_properties_free(copy);
    copy->capacity = properties->count;
    for (size_t i = 0; i < properties->count; i++) {
        const InaProperty *property = &properties->entries[i].property;
        if (entry_make(property->key, &property->value, &copy->entries[i]) < 0)
            return ina_properties_free(copy);
        copy->count++;
    }
    return copy;
}

int ina_properties_remove(InaProperties *properties, const char *key)
{
    Entry *entry = find(properties, key);
    if (entry == NULL)
        return -ENOENT;
    free(entry->memory);
    size_t behind = (size_t)(properties->entries + properties->count - (entry + 1));
    memmove(entry, entry + 1, behind * sizeof(Entry));
    properties->count--;
    return 0;
}

const InaValue *ina_properties_get(const InaProperties *properties, const char *key)
{
    const Entry *entry = find(properties, key);
    return entry != NULL ? &entry->property.value : NULL;
}

const char *ina_properties_string(const InaProperties *properties, const char *key, const char *otherwise)
{
    const InaValue *value = ina_properties_get(properties, key);
    return value != NULL && value->type == INA_TYPE_STRING ? value->string : otherwise;
}

int64_t ina_properties_integer(const InaProperties *properties, const char *key, int64_t otherwise)
{
    const InaValue *value = ina_properties_get(properties, key);
    return value != NULL && value->type == INA_TYPE_INTEGER ? value->integer : otherwise;
}

size_t ina_properties_count(const InaProperties *properties)
{
    return properties != NULL ? properties->count : 0;
}

const InaProperty *ina_properties_at(const InaProperties *properties, size_t index)
{
    return index < ina_properties_count(properties) ? &properties->entries[index].property : NULL;
}

static bool value_equal(const InaValue *a, const InaValue *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case INA_TYPE_STRING:
        return strcmp(a->string, b->string) == 0;
    case INA_TYPE_INTEGER:
        return a->integer == b->integer;
    case INA_TYPE_DOUBLE:
        /* By bits: a set with a NaN equals its copy. */
        return memcmp(&a->real, &b->real, sizeof(a->real)) == 0;
    case INA_TYPE_BOOLEAN:
        return a->boolean == b->boolean;
    case INA_TYPE_STRINGS:
        if (a->strings.count != b->strings.count)
            return false;
        for (size_t i = 0; i < a->strings.count; i++) {
            if (strcmp(a->strings.items[i], b->strings.items[i]) != 0)
                return false;
        }
        return true;
    }
    return false;
}

bool ina_properties_equal(const InaProperties *a, const InaProperties *b)
{
    if (ina_properties_count(a) != ina_properties_count(b))
        return false;
    for (size_t i = 0; i < ina_properties_count(a); i++) {
        const InaProperty *property = &a->entries[i].property;
        const InaValue *other = ina_properties_get(b, property->key);
        if (other == NULL || !value_equal(&property->value, other))
            return false;
    }
    return true;
}

void properties_swap(InaProperties *a, InaProperties *b)
{
    InaProperties keep = *a;
    *a = *b;
    *b = keep;
}
