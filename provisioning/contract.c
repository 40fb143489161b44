/* contract.c - whether contracts stay compatible on the wire; see artifact.h.
 *
 * Reads serialised FileDescriptorSets by hand: of google/protobuf/descriptor.proto
 * a few fields count, and Debian's protobuf-c has no descriptors of descriptors. */
#include "artifact.h"
#include "base/cleanup.h"
#include "base/map.h"
#include <errno.h>
#include <string.h>

#define SET_SIZE_MAX (4u * 1024u * 1024u)
#define DECLARATIONS_MAX 4096u /* messages, enums and services of one set */
#define MEMBERS_MAX 2048u      /* fields, values or methods of one */
#define NESTING_MAX 16u
#define NAME_MAX_BYTES 255u /* of a full name */

typedef struct Slice {
    const unsigned char *data;
    size_t size;
} Slice;

typedef enum DeclarationKind { DECLARATION_MESSAGE, DECLARATION_ENUM, DECLARATION_SERVICE } DeclarationKind;

typedef struct Declaration {
    DeclarationKind kind;
    char name[NAME_MAX_BYTES + 1]; /* full */
    const char *file;              /* key in Set.files */
    Slice body;
} Declaration;

typedef struct Set {
    Declaration *items[DECLARATIONS_MAX];
    size_t count;
    Map *by_name; /* "m", "e" or "s" and the name: Declaration */
    Map *files;   /* "package file": "" */
} Set;

static const char *const kind_names[] = {"message", "enum", "service"};

/* --- the wire ------------------------------------------------------------------ */

typedef struct Field {
    uint32_t number;
    uint64_t value; /* wire type 0 */
    Slice bytes;    /* wire type 2 */
    unsigned type;
} Field;

static int damaged(InaError *error)
{
    return ina_error_set(error, EINVAL, "not a serialised FileDescriptorSet (protoc --descriptor_set_out makes one)");
}

static bool read_varint(Slice *in, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && in->size > 0; shift += 7) {
        unsigned char byte = *in->data++;
        in->size--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

static bool take(Slice *in, uint64_t size, Slice *ret)
{
    if (size > in->size)
        return false;
    *ret = (Slice){in->data, (size_t)size};
    in->data += size;
    in->size -= (size_t)size;
    return true;
}

static bool read_field(Slice *in, Field *ret)
{
    uint64_t tag, size;

    *ret = (Field){0};
    if (!read_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    ret->number = (uint32_t)(tag >> 3);
    ret->type = tag & 7;
    switch (ret->type) {
    case 0:
        return read_varint(in, &ret->value);
    case 1:
        return take(in, 8, &ret->bytes);
    case 2:
        return read_varint(in, &size) && take(in, size, &ret->bytes);
    case 5:
        return take(in, 4, &ret->bytes);
    default:
        return false; /* groups are not used in descriptors */
    }
}

/* The last field of that number, as protobuf has it for what is not repeated. */
static bool find_field(Slice in, uint32_t number, unsigned type, Field *ret)
{
    bool found = false;
    Field field;

    while (in.size > 0 && read_field(&in, &field))
        if (field.number == number && field.type == type) {
            *ret = field;
            found = true;
        }
    return found;
}

static Slice bytes_of(Slice in, uint32_t number)
{
    Field field = {0};
    return find_field(in, number, 2, &field) ? field.bytes : (Slice){(const unsigned char *)"", 0};
}

static uint64_t number_of(Slice in, uint32_t number)
{
    Field field = {0};
    return find_field(in, number, 0, &field) ? field.value : 0;
}

static bool same(Slice a, Slice b)
{
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static bool is_name(Slice name, bool dots)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = (char)name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
              (dots && c == '.')))
            return false;
    }
    return name.size <= NAME_MAX_BYTES;
}

/* --- what a set declares ----------------------------------------------------------- */

/* Names of members that go into messages to people: all are names, or the set is refused. */
static int check_members(Slice body, uint32_t member, InaError *error)
{
    size_t count = 0;
    Field field;

    for (Slice in = body; in.size > 0;) {
        if (!read_field(&in, &field))
            return damaged(error);
        if (field.number != member || field.type != 2)
            continue;
        for (Slice inner = field.bytes; inner.size > 0;) {
            Field ignored;
            if (!read_field(&inner, &ignored))
                return damaged(error);
        }
        Slice name = bytes_of(field.bytes, 1);
        if (name.size == 0 || !is_name(name, false) || !is_name(bytes_of(field.bytes, 2), true))
            return damaged(error);
        if (++count > MEMBERS_MAX)
            return ina_error_set(error, E2BIG, "a declaration has more than %u members", MEMBERS_MAX);
    }
    return 0;
}

static int declare(Set *set, DeclarationKind kind, const char *scope, const char *file, Slice body,
                   const Declaration **ret, InaError *error)
{
    char key[NAME_MAX_BYTES + 2];
    Slice name = bytes_of(body, 1);

    if (name.size == 0 || !is_name(name, true) || strlen(scope) + 1 + name.size > NAME_MAX_BYTES)
        return damaged(error);
    if (set->count >= DECLARATIONS_MAX)
        return ina_error_set(error, E2BIG, "more than %u declarations", DECLARATIONS_MAX);
    int r = check_members(body, 2, error);
    if (r < 0)
        return r;
    Declaration *declaration = calloc(1, sizeof *declaration);
    if (!declaration)
        return ina_error_set(error, ENOMEM, "out of memory");
    set->items[set->count++] = declaration;
    *declaration = (Declaration){.kind = kind, .file = file, .body = body};
    (void)snprintf(declaration->name, sizeof declaration->name, "%s%s%.*s", scope, *scope ? "." : "", (int)name.size,
                   (const char *)name.data);
    (void)snprintf(key, sizeof key, "%c%s", kind_names[kind][0], declaration->name);
    /* The same file in two sets of a bundle: the first counts. */
    if (!map_get(set->by_name, key) && map_set(set->by_name, key, declaration) < 0)
        return ina_error_set(error, ENOMEM, "out of memory");
    *ret = declaration;
    return 0;
}

/* Messages and enums in `body`: of a file in fields 4 and 5, of a message in 3 and 4; services in 6. */
static int read_declarations(Set *set, Slice body, const char *scope, const char *file, unsigned depth, InaError *error)
{
    uint32_t message = depth == 0 ? 4 : 3, enumeration = depth == 0 ? 5 : 4;
    const Declaration *declaration = NULL;
    Field field;

    if (depth > NESTING_MAX)
        return ina_error_set(error, E2BIG, "messages are nested more than %u deep", NESTING_MAX);
    while (body.size > 0) {
        int r = 0;
        if (!read_field(&body, &field))
            return damaged(error);
        if (field.type != 2)
            continue;
        if (field.number == message) {
            r = declare(set, DECLARATION_MESSAGE, scope, file, field.bytes, &declaration, error);
            if (r == 0 && declaration)
                r = read_declarations(set, field.bytes, declaration->name, file, depth + 1, error);
        } else if (field.number == enumeration) {
            r = declare(set, DECLARATION_ENUM, scope, file, field.bytes, &declaration, error);
        } else if (depth == 0 && field.number == 6) {
            r = declare(set, DECLARATION_SERVICE, scope, file, field.bytes, &declaration, error);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_file(Set *set, Slice file, InaError *error)
{
    char package[NAME_MAX_BYTES + 1], key[2 * NAME_MAX_BYTES + 2];
    Slice package_name = bytes_of(file, 2), name = bytes_of(file, 1);

    if (!is_name(package_name, true) || name.size == 0 || name.size > NAME_MAX_BYTES || memchr(name.data, 0, name.size))
        return damaged(error);
    (void)snprintf(package, sizeof package, "%.*s", (int)package_name.size, (const char *)package_name.data);
    (void)snprintf(key, sizeof key, "%s %.*s", package, (int)name.size, (const char *)name.data);
    if (!map_get(set->files, key)) {
        char *copy = strdup(key);
        if (!copy || map_set(set->files, key, copy) < 0) {
            free(copy);
            return ina_error_set(error, ENOMEM, "out of memory");
        }
    }
    return read_declarations(set, file, package, map_get(set->files, key), 0, error);
}

static Set *set_free(Set *set)
{
    const char *key;
    void *value;

    if (!set)
        return NULL;
    for (size_t i = 0; i < set->count; i++)
        free(set->items[i]);
    for (size_t position = 0; set->files && map_next(set->files, &position, &key, &value);)
        free(value);
    map_free(set->by_name);
    map_free(set->files);
    free(set);
    return NULL;
}

static int set_read(const void *data, size_t size, Set **ret, InaError *error)
{
    Slice in = {data, size};
    Field field;
    int r = 0;

    if (size > SET_SIZE_MAX)
        return ina_error_set(error, EFBIG, "descriptors of %zu bytes; at most %u are taken", size, SET_SIZE_MAX);
    Set *set = calloc(1, sizeof *set);
    if (!set || !(set->by_name = map_new()) || !(set->files = map_new()))
        r = ina_error_set(error, ENOMEM, "out of memory");
    while (r == 0 && in.size > 0) {
        if (!read_field(&in, &field) || field.number != 1 || field.type != 2)
            r = damaged(error);
        else
            r = read_file(set, field.bytes, error);
    }
    if (r < 0) {
        set_free(set);
        return r;
    }
    *ret = set;
    return 0;
}

/* --- rules ---------------------------------------------------------------------------- */

static int breaks(const Declaration *old, const char *member, const char *what, InaError *error)
{
    const char *package_end = strchr(old->file, ' ');
    int package = package_end ? (int)(package_end - old->file) : 0;

    return ina_error_set(error, EINVAL,
                         "the contract breaks the wire: %s %s%s%s %s; undo it, or declare a new package version beside "
                         "%.*s",
                         kind_names[old->kind], old->name, *member ? ", " : "", member, what, package, old->file);
}

/* The member of `body` whose field `key` (a number or a name) is the same as in `old`. */
static bool find_member(Slice body, Slice old, bool by_number, uint32_t key, Slice *ret)
{
    Field field;

    while (body.size > 0 && read_field(&body, &field))
        if (field.number == 2 && field.type == 2 &&
            (by_number ? number_of(field.bytes, key) == number_of(old, key)
                       : same(bytes_of(field.bytes, key), bytes_of(old, key)))) {
            *ret = field.bytes;
            return true;
        }
    return false;
}

/* FieldDescriptorProto: name 1, number 3, label 4, type 5, type_name 6, oneof_index 9. */
static int compare_field(const Declaration *old, const Declaration *next, Slice field, InaError *error)
{
    char member[NAME_MAX_BYTES + 40];
    Slice name = bytes_of(field, 1), now;
    Field index;

    (void)snprintf(member, sizeof member, "field %.*s = %u", (int)name.size, (const char *)name.data,
                   (unsigned)number_of(field, 3));
    if (!find_member(next->body, field, true, 3, &now))
        return breaks(old, member, "was removed or renumbered (keep it, even unused)", error);
    if (!same(bytes_of(now, 1), name))
        return breaks(old, member, "was renamed (JSON callers know it by its name)", error);
    if (number_of(now, 5) != number_of(field, 5) || !same(bytes_of(now, 6), bytes_of(field, 6)))
        return breaks(old, member, "has another type", error);
    if ((number_of(now, 4) == 3) != (number_of(field, 4) == 3))
        return breaks(old, member, "became repeated, or is no longer", error);
    if (find_field(now, 9, 0, &index) != find_field(field, 9, 0, &index))
        return breaks(old, member, "was moved into or out of a oneof", error);
    return 0;
}

/* EnumValueDescriptorProto: name 1, number 2. */
static int compare_value(const Declaration *old, const Declaration *next, Slice value, InaError *error)
{
    char member[NAME_MAX_BYTES + 40];
    Slice name = bytes_of(value, 1), now;

    (void)snprintf(member, sizeof member, "value %.*s = %d", (int)name.size, (const char *)name.data,
                   (int)number_of(value, 2));
    if (!find_member(next->body, value, false, 1, &now) || number_of(now, 2) != number_of(value, 2))
        return breaks(old, member, "was removed or renumbered", error);
    return 0;
}

/* MethodDescriptorProto: name 1, input_type 2, output_type 3, options 4 (idempotency_level 34). */
static int compare_method(const Declaration *old, const Declaration *next, Slice method, InaError *error)
{
    char member[NAME_MAX_BYTES + 40];
    Slice name = bytes_of(method, 1), now;

    (void)snprintf(member, sizeof member, "method %.*s", (int)name.size, (const char *)name.data);
    if (!find_member(next->body, method, false, 1, &now))
        return breaks(old, member, "was removed", error);
    if (!same(bytes_of(now, 2), bytes_of(method, 2)) || !same(bytes_of(now, 3), bytes_of(method, 3)))
        return breaks(old, member, "has other messages", error);
    if (number_of(bytes_of(method, 4), 34) != 0 && number_of(bytes_of(now, 4), 34) == 0)
        return breaks(old, member, "may no longer be repeated, but its callers do", error);
    return 0;
}

static int compare(const Declaration *old, const Declaration *next, InaError *error)
{
    static int (*const members[])(const Declaration *old, const Declaration *next, Slice member,
                                  InaError *error) = {compare_field, compare_value, compare_method};
    Field field;
    int r = 0;

    for (Slice in = old->body; r == 0 && in.size > 0 && read_field(&in, &field);)
        if (field.number == 2 && field.type == 2)
            r = members[old->kind](old, next, field.bytes, error);
    return r;
}

static int compare_sets(const Set *old, const Set *next, InaError *error)
{
    char key[NAME_MAX_BYTES + 2];
    int r = 0;

    for (size_t i = 0; r == 0 && i < old->count; i++) {
        const Declaration *declaration = old->items[i];
        (void)snprintf(key, sizeof key, "%c%s", kind_names[declaration->kind][0], declaration->name);
        const Declaration *now = map_get(next->by_name, key);
        if (now)
            r = compare(declaration, now, error);
        else if (map_get(next->files, declaration->file))
            r = breaks(declaration, "", "was removed", error);
    }
    return r;
}

int contract_check(const void *previous, size_t previous_size, const void *next, size_t next_size, InaError *error)
{
    Set *old = NULL, *now = NULL;

    int r = set_read(previous, previous_size, &old, error);
    if (r == 0)
        r = set_read(next, next_size, &now, error);
    if (r == 0)
        r = compare_sets(old, now, error);
    set_free(old);
    set_free(now);
    return r;
}

int contract_services(const void *set_data, size_t size, int (*each)(void *userdata, const char *service),
                      void *userdata, InaError *error)
{
    Set *set = NULL;

    int r = set_read(set_data, size, &set, error);
    for (size_t i = 0; r == 0 && i < set->count; i++)
        if (set->items[i]->kind == DECLARATION_SERVICE && (r = each(userdata, set->items[i]->name)) < 0)
            r = ina_error_errno(error, r, "the services of a contract");
    set_free(set);
    return r;
}
