#include "manifest.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct Header {
    char *name, *value;
} Header;

struct Manifest {
    Header *headers;
    size_t n_headers;
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

static const Header *find(const Manifest *manifest, const char *name)
{
    for (size_t i = 0; i < manifest->n_headers; i++)
        if (strcasecmp(manifest->headers[i].name, name) == 0)
            return &manifest->headers[i];
    return NULL;
}

static int add(Manifest *manifest, const char *name, const char *value, InaError *error)
{
    if (manifest->n_headers >= MANIFEST_HEADERS_MAX)
        return ina_error_set(error, E2BIG, "more than %u headers", MANIFEST_HEADERS_MAX);
    Header *headers = reallocarray(manifest->headers, manifest->n_headers + 1, sizeof *headers);
    if (!headers)
        return ina_error_set(error, ENOMEM, "out of memory");
    manifest->headers = headers;

    Header header = {strdup(name), strdup(value)};
    if (!header.name || !header.value) {
        free(header.name);
        free(header.value);
        return ina_error_set(error, ENOMEM, "out of memory");
    }
    headers[manifest->n_headers++] = header;
    return 0;
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
        if (find(manifest, reader->name))
            return ina_error_set(error, EINVAL, "line %u: %s is there twice", reader->line, reader->name);
        if (manifest->n_headers == 0 && strcasecmp(reader->name, "Manifest-Version") != 0)
            return ina_error_set(error, EINVAL, "line %u: the first header is %s; it must be Manifest-Version",
                                 reader->line, reader->name);
        r = add(manifest, reader->name, reader->value, error);
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

static int read_other_sections(Reader *reader, InaError *error)
{
    bool first = true;

    for (;;) {
        ReadResult result;
        int r = read_header(reader, &result, error);
        if (r < 0)
            return r;
        if (result == READ_END)
            return 0;
        if (result == READ_EMPTY_LINE) {
            first = true;
            continue;
        }
        if (first && strcasecmp(reader->name, "Name") != 0)
            return ina_error_set(error, EINVAL, "line %u: a section behind the main one begins with Name, not with %s",
                                 reader->line, reader->name);
        first = false;
    }
}

int manifest_parse(const char *text, size_t size, Manifest **ret, InaError *error)
{
    if (size > MANIFEST_SIZE_MAX)
        return ina_error_set(error, EFBIG, "manifest of %zu bytes; at most %u are taken", size, MANIFEST_SIZE_MAX);
    Reader reader = {.text = text, .size = size, .value = malloc(MANIFEST_VALUE_MAX + 1)};
    Manifest *manifest = calloc(1, sizeof *manifest);
    int r;

    if (!reader.value || !manifest)
        r = ina_error_set(error, ENOMEM, "out of memory");
    else if ((r = read_main_section(&reader, manifest, error)) == 0)
        r = read_other_sections(&reader, error);
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
    Manifest *manifest = calloc(1, sizeof *manifest);
    if (!manifest)
        return ina_error_set(error, ENOMEM, "out of memory");
    int r = add(manifest, "Manifest-Version", "1.0", error);
    if (r < 0) {
        manifest_free(manifest);
        return r;
    }
    *ret = manifest;
    return 0;
}

const char *manifest_get(const Manifest *manifest, const char *name)
{
    const Header *header = find(manifest, name);
    return header ? header->value : NULL;
}

int manifest_require(const Manifest *manifest, const char *name, const char **ret, InaError *error)
{
    const Header *header = find(manifest, name);
    if (!header || header->value[0] == '\0')
        return ina_error_set(error, EINVAL, "the header %s is %s", name, header ? "empty" : "missing");
    *ret = header->value;
    return 0;
}

int manifest_set(Manifest *manifest, const char *name, const char *value, InaError *error)
{
    if (!name_valid(name, strlen(name)))
        return ina_error_set(error, EINVAL, "'%.80s' cannot be a header's name", name);
    if (strlen(value) > MANIFEST_VALUE_MAX || !manifest_text_valid(value, strlen(value)))
        return ina_error_set(error, EINVAL,
                             "the value of %s is not text of at most %u bytes without control characters", name,
                             MANIFEST_VALUE_MAX);
    Header *header = (Header *)find(manifest, name);
    if (!header)
        return add(manifest, name, value, error);
    char *copy = strdup(value);
    if (!copy)
        return ina_error_set(error, ENOMEM, "out of memory");
    free(header->value);
    header->value = copy;
    return 0;
}

size_t manifest_count(const Manifest *manifest)
{
    return manifest->n_headers;
}

void manifest_at(const Manifest *manifest, size_t index, const char **ret_name, const char **ret_value)
{
    *ret_name = manifest->headers[index].name;
    *ret_value = manifest->headers[index].value;
}

Manifest *manifest_free(Manifest *manifest)
{
    if (!manifest)
        return NULL;
    for (size_t i = 0; i < manifest->n_headers; i++) {
        free(manifest->headers[i].name);
        free(manifest->headers[i].value);
    }
    free(manifest->headers);
    free(manifest);
    return NULL;
}

/* --- writing -------------------------------------------------------------- */

/* A line's end is not counted, as in java.util.jar. */
static char *write_header(char *out, const Header *header)
{
    size_t column = strlen(header->name) + 2;

    out = stpcpy(stpcpy(out, header->name), ": ");
    for (const char *p = header->value; *p; p++) {
        if (column >= MANIFEST_LINE_MAX) {
            out = stpcpy(out, "\r\n ");
            column = 1;
        }
        *out++ = *p;
        column++;
    }
    return stpcpy(out, "\r\n");
}

int manifest_write(const Manifest *manifest, char **ret, size_t *ret_size, InaError *error)
{
    size_t most = 3;
    for (size_t i = 0; i < manifest->n_headers; i++) {
        size_t value = strlen(manifest->headers[i].value);
        most += strlen(manifest->headers[i].name) + 4 + value + (value / 64 + 2) * 3;
    }
    char *text = malloc(most);
    if (!text)
        return ina_error_set(error, ENOMEM, "out of memory");
    char *end = text;
    for (size_t i = 0; i < manifest->n_headers; i++)
        end = write_header(end, &manifest->headers[i]);
    end = stpcpy(end, "\r\n");

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
