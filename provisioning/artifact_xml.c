/* artifact_xml.c - as much of XML 1.0 as it takes to know a document's root element. */
#include "artifact.h"
#include "framework/manifest.h"
#include <errno.h>
#include <string.h>
#include <strings.h>

typedef struct Scanner {
    const char *at, *end;
} Scanner;

static int wrong(InaError *error, const char *what)
{
    return ina_error_set(error, EINVAL, "no XML that is taken: %s", what);
}

static bool next_is(const Scanner *scanner, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(scanner->end - scanner->at) >= length && memcmp(scanner->at, text, length) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(Scanner *scanner)
{
    while (scanner->at < scanner->end && is_space(*scanner->at))
        scanner->at++;
}

/* Goes behind the next `text`. */
static bool skip_past(Scanner *scanner, const char *text)
{
    const char *found = memmem(scanner->at, (size_t)(scanner->end - scanner->at), text, strlen(text));
    if (found)
        scanner->at = found + strlen(text);
    return found != NULL;
}

static bool name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("_-.:", c) || c < 0;
}

static int read_name(Scanner *scanner, char ret[XML_NAME_MAX + 1], InaError *error)
{
    const char *start = scanner->at;

    while (scanner->at < scanner->end && *scanner->at && name_character(*scanner->at))
        scanner->at++;
    size_t length = (size_t)(scanner->at - start);
    if (length == 0 || length > XML_NAME_MAX || strchr("-.0123456789", *start))
        return wrong(error, "a name is missing, or is none");
    memcpy(ret, start, length);
    ret[length] = '\0';
    return 0;
}

/* Value of an attribute; in the one for a namespace (`ret` not NULL) no references are taken. */
static int read_value(Scanner *scanner, char *ret, InaError *error)
{
    skip_space(scanner);
    if (!next_is(scanner, "="))
        return wrong(error, "behind an attribute's name '=' is missing");
    scanner->at++;
    skip_space(scanner);
    if (!next_is(scanner, "\"") && !next_is(scanner, "'"))
        return wrong(error, "an attribute's value is not quoted");
    const char quote = *scanner->at++, *start = scanner->at;
    while (scanner->at < scanner->end && *scanner->at != quote && *scanner->at != '<')
        scanner->at++;
    if (scanner->at == scanner->end || *scanner->at != quote)
        return wrong(error, "an attribute's value does not end");
    size_t length = (size_t)(scanner->at++ - start);
    if (!ret)
        return 0;
    if (length > XML_NAME_MAX || memchr(start, '&', length))
        return wrong(error, "a namespace is too long, or has references in it");
    memcpy(ret, start, length);
    ret[length] = '\0';
    return 0;
}

/* "<?xml version="1.0" encoding="UTF-8"?>": a text without an encoding is UTF-8. */
static int read_declaration(Scanner *scanner, InaError *error)
{
    char name[XML_NAME_MAX + 1], value[XML_NAME_MAX + 1];

    scanner->at += strlen("<?xml");
    for (;;) {
        skip_space(scanner);
        if (next_is(scanner, "?>")) {
            scanner->at += 2;
            return 0;
        }
        int r = read_name(scanner, name, error);
        if (r == 0)
            r = read_value(scanner, value, error);
        if (r < 0)
            return r;
        if (strcmp(name, "encoding") == 0 && strcasecmp(value, "UTF-8") != 0 && strcasecmp(value, "US-ASCII") != 0)
            return ina_error_set(error, EINVAL, "the XML is encoded in %.40s; UTF-8 is taken", value);
    }
}

/* Comments, processing instructions and blanks before the root. */
static int skip_misc(Scanner *scanner, InaError *error)
{
    for (;;) {
        skip_space(scanner);
        if (next_is(scanner, "<!--")) {
            scanner->at += 4;
            if (!skip_past(scanner, "-->"))
                return wrong(error, "a comment does not end");
        } else if (next_is(scanner, "<?")) {
            if (!skip_past(scanner, "?>"))
                return wrong(error, "a processing instruction does not end");
        } else if (next_is(scanner, "<!")) {
            return wrong(error, "it has a document type; those, and the entities they define, are refused");
        } else {
            return 0;
        }
    }
}

static int read_attributes(Scanner *scanner, const char *wanted, char *ret_space, InaError *error)
{
    char name[XML_NAME_MAX + 1];
    bool found = false;

    for (;;) {
        const char *before = scanner->at;
        skip_space(scanner);
        if (next_is(scanner, ">") || next_is(scanner, "/>"))
            return 0;
        if (before == scanner->at)
            return wrong(error, "the root element does not end");
        int r = read_name(scanner, name, error);
        if (r < 0)
            return r;
        bool is_wanted = strcmp(name, wanted) == 0;
        if (is_wanted && found)
            return wrong(error, "an attribute is there twice");
        found = found || is_wanted;
        r = read_value(scanner, is_wanted ? ret_space : NULL, error);
        if (r < 0)
            return r;
    }
}

static int check_text(const char *text, size_t size, InaError *error)
{
    for (const char *line = text, *end = text + size; line < end;) {
        const char *stop = line;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        if (!manifest_text_valid(line, (size_t)(stop - line)))
            return wrong(error, "it is not UTF-8 text without control characters");
        line = stop + 1;
    }
    return 0;
}

int xml_root(const char *text, size_t size, char ret_name[XML_NAME_MAX + 1], char ret_space[XML_NAME_MAX + 1],
             InaError *error)
{
    Scanner scanner = {text, text + size};
    char name[XML_NAME_MAX + 1], space[XML_NAME_MAX + 1] = "", wanted[XML_NAME_MAX + 8];

    int r = check_text(text, size, error);
    if (r < 0)
        return r;
    if (next_is(&scanner, "\xef\xbb\xbf"))
        scanner.at += 3;
    if (next_is(&scanner, "<?xml") && scanner.end - scanner.at > 5 && is_space(scanner.at[5]))
        r = read_declaration(&scanner, error);
    if (r == 0)
        r = skip_misc(&scanner, error);
    if (r == 0 && !next_is(&scanner, "<"))
        r = wrong(error, "there is no root element");
    if (r < 0)
        return r;
    scanner.at++;
    r = read_name(&scanner, name, error);
    if (r < 0)
        return r;
    const char *colon = strchr(name, ':'), *local = colon ? colon + 1 : name;
    (void)snprintf(wanted, sizeof wanted, "xmlns%s%.*s", colon ? ":" : "", colon ? (int)(colon - name) : 0, name);
    r = read_attributes(&scanner, wanted, space, error);
    if (r < 0)
        return r;
    strcpy(ret_name, local);
    strcpy(ret_space, space);
    return 0;
}
