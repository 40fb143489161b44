#include "manifest.h"
#include "base/map.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct Header {
    char *name, *value;
} Header;

typedef struct Headers {
    Header *items;
    size_t count, maximum;
} Headers;

struct ManifestSection {
    char *entry;
    Headers headers;
};

struct Manifest {
    Headers headers;
    ManifestSection **sections;
    size_t n_sections;
    Map *by_entry;
};

/* One header as it stands in the text, with its continuations joined. */
typedef struct Reader {
    const char *text;
    size_t size, position;
    unsigned line; /* of the header just read, from 1 */
    unsigned next_line;
    char name[MANIFEST_NAME_MAX + 1];
    char *value; /* MANIFEST_VALUE_MAX + 1 bytes */
    size_t value_size;
} Reader;

typedef enum ReadResult { READ_HEADER, READ_EMPTY_LINE, READ_END } ReadResult;

static bool name_character(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return !first && (c == '-' || c == '_');
}

static bool name_valid(const char *name, size_t length)
{
    if (length == 0 || length > MANIFEST_NAME_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!name_character(name[i], i == 0))
            return false;
    return true;
}

/* RFC 3629: no surrogates, no overlong forms. */
bool manifest_text_valid(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + size;

    while (p < end) {
        uint32_t character, least;
        size_t more;
        if (*p < 0x80)
            character = *p, least = 0, more = 0;
        else if ((*p & 0xe0) == 0xc0)
            character = *p & 0x1f, least = 0x80, more = 1;
        else if ((*p & 0xf0) == 0xe0)
            character = *p & 0x0f, least = 0x800, more = 2;
        else if ((*p & 0xf8) == 0xf0)
            character = *p & 0x07, least = 0x10000, more = 3;
        else
            return false;
        if ((size_t)(end - p) <= more)
            return false;
        for (size_t i = 1; i <= more; i++) {
            if ((p[i] & 0xc0) != 0x80)
                return false;
            character = character << 6 | (p[i] & 0x3f);
        }
        if (character < least || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff))
            return false;
        if ((character < 0x20 && character != '\t') || (character >= 0x7f && character < 0xa0))
            return false;
        p += more + 1;
    }
    return true;
}

/* --- reading ------------------------------------------------------------- */

/* Takes one physical line, without its end: CR, LF or CR LF. False at the end of the text. */
static bool read_line(Reader *reader, const char **ret, size_t *ret_size)
{
    if (reader->position >= reader->size)
        return false;
    const char *line = reader->text + reader->position;
    size_t left = reader->size - reader->position, length = 0;
    while (length < left && line[length] != '\n' && line[length] != '\r')
        length++;
    size_t end = length;
    if (end < left)
        end += line[end] == '\r' && end + 1 < left && line[end + 1] == '\n' ? 2 : 1;
    reader->position += end;
    reader->next_line++;
    *ret = line;
    *ret_size = length;
    return true;
}

static int reader_add(Reader *reader, const char *text, size_t size, InaError *error)
{
    if (size > MANIFEST_VALUE_MAX - reader->value_size)
        return ina_error_set(error, EFBIG, "line %u: the value of %s is longer than %u bytes", reader->line,
                             reader->name, MANIFEST_VALUE_MAX);
    memcpy(reader->value + reader->value_size, text, size);
    reader->value_size += size;
    return 0;
}

static int read_name(Reader *reader, const char *line, size_t size, const char **ret_value, InaError *error)
{
    const char *colon = memchr(line, ':', size);
    size_t length = colon ? (size_t)(colon - line) : 0;

    if (!colon)
        return ina_error_set(error, EINVAL, "line %u: there is no ':'; right would be NAME: VALUE", reader->line);
    if (!name_valid(line, length))
        return ina_error_set(
            error, EINVAL,
            "line %u: a header's name is 1 to %u letters, digits, '-' and '_', and begins with a letter or digit",
            reader->line, MANIFEST_NAME_MAX);
    memcpy(reader->name, line, length);
    reader->name[length] = '\0';
    if (length + 1 >= size || colon[1] != ' ')
        return ina_error_set(error, EINVAL, "line %u: behind '%s:' a blank is missing", reader->line, reader->name);
    *ret_value = colon + 2;
    return 0;
}

/* Reads the next header with its continuation lines. */
static int read_header(Reader *reader, ReadResult *ret, InaError *error)
{
    const char *line, *value = NULL;
    size_t size;

    reader->line = reader->next_line + 1;
    if (!read_line(reader, &line, &size)) {
        *ret = READ_END;
        return 0;
    }
    if (size == 0) {
        *ret = READ_EMPTY_LINE;
        return 0;
    }
    if (line[0] == ' ')
        return ina_error_set(error, EINVAL, "line %u: continues a header, but there is none before it", reader->line);

    int r = read_name(reader, line, size, &value, error);
    if (r < 0)
        return r;
    reader->value_size = 0;
    r = reader_add(reader, value, size - (size_t)(value - line), error);
    while (r == 0 && reader->position < reader->size && reader->text[reader->position] == ' ') {
        (void)read_line(reader, &line, &size);
        r = reader_add(reader, line + 1, size - 1, error);
    }
    if (r < 0)
        return r;
    /* A character may be cut by a continuation, so this is for the whole. */
    if (!manifest_text_valid(reader->value, reader->value_size))
        return ina_error_set(error, EINVAL, "line %u: the value of %s is not UTF-8 text without control characters",
                             reader->line, reader->name);
    reader->value[reader->value_size] = '\0';
    *ret = READ_HEADER;
    return 0;
}

static Header *find(const Headers *headers, const char *name)
{
    for (size_t i = 0; i < headers->count; i++)
        if (strcasecmp(headers->items[i].name, name) == 0)
            return &headers->items[i];
    return NULL;
}

static int no_memory(InaError *error)
{
    return ina_error_set(error, ENOMEM, "out of memory");
}

static int add(Headers *headers, const char *name, const char *value, InaError *error)
{
    if (headers->count >= headers->maximum)
        return ina_error_set(error, E2BIG, "more than %zu headers", headers->maximum);
    Header *items = reallocarray(headers->items, headers->count + 1, sizeof *items);
    if (!items)
        return no_memory(error);
    headers->items = items;

    Header header = {strdup(name), strdup(value)};
    if (!header.name || !header.value) {
        free(header.name);
        free(header.value);
        return no_memory(error);
    }
    items[headers->count++] = header;
    return 0;
}

/* What was just read, into its section. */
static int take(const Reader *reader, Headers *headers, InaError *error)
{
    if (find(headers, reader->name))
        return ina_error_set(error, EINVAL, "line %u: %s is there twice", reader->line, reader->name);
    int r = add(headers, reader->name, reader->value, error);
    return r < 0 ? ina_error_wrap(error, "line %u", reader->line) : 0;
}

static int read_main_section(Reader *reader, Manifest *manifest, InaError *error)
{
    for (;;) {
        ReadResult result;
        int r = read_header(reader, &result, error);
        if (r < 0)
            return r;
        if (result != READ_HEADER)
            break;
        if (manifest->headers.count == 0 && strcasecmp(reader->name, "Manifest-Version") != 0)
            return ina_error_set(error, EINVAL, "line %u: the first header is %s; it must be Manifest-Version",
                                 reader->line, reader->name);
        r = take(reader, &manifest->headers, error);
        if (r < 0)
            return r;
    }
    const char *version = manifest_get(manifest, "Manifest-Version");
    if (!version)
        return ina_error_set(error, EINVAL, "line 1: the first header must be Manifest-Version");
    if (strncmp(version, "1.", 2) != 0)
        return ina_error_set(error, EINVAL, "line 1: Manifest-Version is '%.20s'; 1.0 is understood", version);
    return 0;
}

static int begin_section(const Reader *reader, Manifest *manifest, ManifestSection **ret, InaError *error)
{
    if (strcasecmp(reader->name, "Name") != 0)
        return ina_error_set(error, EINVAL, "line %u: a section behind the main one begins with Name, not with %s",
                             reader->line, reader->name);
    int r = manifest_add_section(manifest, reader->value, ret, error);
    return r < 0 ? ina_error_wrap(error, "line %u", reader->line) : 0;
}

static int read_sections(Reader *reader, Manifest *manifest, InaError *error)
{
    ManifestSection *section = NULL;

    for (;;) {
        ReadResult result;
        int r = read_header(reader, &result, error);
        if (r < 0)
            return r;
        if (result == READ_END)
            return 0;
        if (result == READ_EMPTY_LINE) {
            section = NULL;
            continue;
        }
        if (!section)
            r = begin_section(reader, manifest, &section, error);
        else if (strcasecmp(reader->name, "Name") == 0)
            r = ina_error_set(error, EINVAL, "line %u: before the next Name an empty line is missing", reader->line);
        else
            r = take(reader, &section->headers, error);
        if (r < 0)
            return r;
    }
}

static Manifest *manifest_empty(InaError *error)
{
    Manifest *manifest = calloc(1, sizeof *manifest);

    if (manifest) {
        manifest->headers.maximum = MANIFEST_HEADERS_MAX;
        manifest->by_entry = map_new();
    }
    if (manifest && manifest->by_entry)
        return manifest;
    manifest_free(manifest);
    (void)no_memory(error);
    return NULL;
}

int manifest_parse(const char *text, size_t size, Manifest **ret, InaError *error)
{
    if (size > MANIFEST_SIZE_MAX)
        return ina_error_set(error, EFBIG, "manifest of %zu bytes; at most %u are taken", size, MANIFEST_SIZE_MAX);
    Reader reader = {.text = text, .size = size, .value = malloc(MANIFEST_VALUE_MAX + 1)};
    Manifest *manifest = manifest_empty(error);
    int r;

    if (!reader.value || !manifest)
        r = no_memory(error);
    else if ((r = read_main_section(&reader, manifest, error)) == 0)
        r = read_sections(&reader, manifest, error);
    free(reader.value);
    if (r < 0) {
        manifest_free(manifest);
        return r;
    }
    *ret = manifest;
    return 0;
}

/* --- the set of headers --------------------------------------------------- */

int manifest_new(Manifest **ret, InaError *error)
{
    Manifest *manifest = manifest_empty(error);
    if (!manifest)
        return -ENOMEM;
    int r = add(&manifest->headers, "Manifest-Version", "1.0", error);
    if (r < 0) {
        manifest_free(manifest);
        return r;
    }
    *ret = manifest;
    return 0;
}

static const char *get(const Headers *headers, const char *name)
{
    const Header *header = find(headers, name);
    return header ? header->value : NULL;
}

static int set(Headers *headers, const char *name, const char *value, InaError *error)
{
    if (!name_valid(name, strlen(name)))
        return ina_error_set(error, EINVAL, "'%.80s' cannot be a header's name", name);
    if (strlen(value) > MANIFEST_VALUE_MAX || !manifest_text_valid(value, strlen(value)))
        return ina_error_set(error, EINVAL,
                             "the value of %s is not text of at most %u bytes without control characters", name,
                             MANIFEST_VALUE_MAX);
    Header *header = find(headers, name);
    if (!header)
        return add(headers, name, value, error);
    char *copy = strdup(value);
    if (!copy)
        return no_memory(error);
    free(header->value);
    header->value = copy;
    return 0;
}

static void clear(Headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        free(headers->items[i].name);
        free(headers->items[i].value);
    }
    free(headers->items);
}

const char *manifest_get(const Manifest *manifest, const char *name)
{
    return get(&manifest->headers, name);
}

int manifest_require(const Manifest *manifest, const char *name, const char **ret, InaError *error)
{
    const char *value = get(&manifest->headers, name);
    if (!value || value[0] == '\0')
        return ina_error_set(error, EINVAL, "the header %s is %s", name, value ? "empty" : "missing");
    *ret = value;
    return 0;
}

int manifest_set(Manifest *manifest, const char *name, const char *value, InaError *error)
{
    return set(&manifest->headers, name, value, error);
}

size_t manifest_count(const Manifest *manifest)
{
    return manifest->headers.count;
}

void manifest_at(const Manifest *manifest, size_t index, const char **ret_name, const char **ret_value)
{
    *ret_name = manifest->headers.items[index].name;
    *ret_value = manifest->headers.items[index].value;
}

Manifest *manifest_free(Manifest *manifest)
{
    if (!manifest)
        return NULL;
    for (size_t i = 0; i < manifest->n_sections; i++) {
        clear(&manifest->sections[i]->headers);
        free(manifest->sections[i]->entry);
        free(manifest->sections[i]);
    }
    clear(&manifest->headers);
    map_free(manifest->by_entry);
    free(manifest->sections);
    free(manifest);
    return NULL;
}

/* --- sections ------------------------------------------------------------- */

size_t manifest_sections(const Manifest *manifest)
{
    return manifest->n_sections;
}

const ManifestSection *manifest_section_at(const Manifest *manifest, size_t index)
{
    return manifest->sections[index];
}

const ManifestSection *manifest_section(const Manifest *manifest, const char *entry)
{
    return map_get(manifest->by_entry, entry);
}

static int append_section(Manifest *manifest, ManifestSection *section)
{
    if (!section->entry)
        return -ENOMEM;
    ManifestSection **sections = reallocarray(manifest->sections, manifest->n_sections + 1, sizeof(ManifestSection *));
    if (!sections)
        return -ENOMEM;
    manifest->sections = sections;
    if (map_set(manifest->by_entry, section->entry, section) < 0)
        return -ENOMEM;
    sections[manifest->n_sections++] = section;
    return 0;
}

int manifest_add_section(Manifest *manifest, const char *entry, ManifestSection **ret, InaError *error)
{
    size_t length = strlen(entry);

    if (length == 0 || length > MANIFEST_VALUE_MAX || !manifest_text_valid(entry, length))
        return ina_error_set(error, EINVAL, "the name of an entry is not text without control characters");
    if (map_get(manifest->by_entry, entry))
        return ina_error_set(error, EEXIST, "a second section about %.100s", entry);
    if (manifest->n_sections >= MANIFEST_SECTIONS_MAX)
        return ina_error_set(error, E2BIG, "more than %u sections", MANIFEST_SECTIONS_MAX);
    ManifestSection *section = calloc(1, sizeof *section);
    if (!section)
        return no_memory(error);
    *section = (ManifestSection){.entry = strdup(entry), .headers.maximum = MANIFEST_SECTION_HEADERS_MAX};
    if (append_section(manifest, section) < 0) {
        free(section->entry);
        free(section);
        return no_memory(error);
    }
    *ret = section;
    return 0;
}

const char *section_entry(const ManifestSection *section)
{
    return section->entry;
}

const char *section_get(const ManifestSection *section, const char *name)
{
    return get(&section->headers, name);
}

int section_set(ManifestSection *section, const char *name, const char *value, InaError *error)
{
    if (strcasecmp(name, "Name") == 0)
        return ina_error_set(error, EINVAL, "Name is what the section begins with");
    return set(&section->headers, name, value, error);
}

size_t section_count(const ManifestSection *section)
{
    return section->headers.count;
}

void section_at(const ManifestSection *section, size_t index, const char **ret_name, const char **ret_value)
{
    *ret_name = section->headers.items[index].name;
    *ret_value = section->headers.items[index].value;
}

/* --- writing -------------------------------------------------------------- */

/* A line's end is not counted, as in java.util.jar. */
static char *write_header(char *out, const char *name, const char *value)
{
    size_t column = strlen(name) + 2;

    out = stpcpy(stpcpy(out, name), ": ");
    for (const char *p = value; *p; p++) {
        if (column >= MANIFEST_LINE_MAX) {
            out = stpcpy(out, "\r\n ");
            column = 1;
        }
        *out++ = *p;
        column++;
    }
    return stpcpy(out, "\r\n");
}

static char *write_headers(char *out, const Headers *headers)
{
    for (size_t i = 0; i < headers->count; i++)
        out = write_header(out, headers->items[i].name, headers->items[i].value);
    return stpcpy(out, "\r\n");
}

static size_t most_of(size_t name, size_t value)
{
    return name + 4 + value + (value / 64 + 2) * 3;
}

static size_t most_of_headers(const Headers *headers)
{
    size_t most = 3;
    for (size_t i = 0; i < headers->count; i++)
        most += most_of(strlen(headers->items[i].name), strlen(headers->items[i].value));
    return most;
}

int manifest_write(const Manifest *manifest, char **ret, size_t *ret_size, InaError *error)
{
    size_t most = most_of_headers(&manifest->headers);
    for (size_t i = 0; i < manifest->n_sections; i++)
        most += most_of(strlen("Name"), strlen(manifest->sections[i]->entry)) +
                most_of_headers(&manifest->sections[i]->headers);
    char *text = malloc(most);
    if (!text)
        return no_memory(error);
    char *end = write_headers(text, &manifest->headers);
    for (size_t i = 0; i < manifest->n_sections; i++) {
        end = write_header(end, "Name", manifest->sections[i]->entry);
        end = write_headers(end, &manifest->sections[i]->headers);
    }

    size_t size = (size_t)(end - text);
    if (size > MANIFEST_SIZE_MAX) {
        free(text);
        return ina_error_set(error, EFBIG, "the manifest would have %zu bytes; at most %u are allowed", size,
                             MANIFEST_SIZE_MAX);
    }
    *ret = text;
    *ret_size = size;
    return 0;
}
