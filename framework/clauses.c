#include "clauses.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* All strings are pieces of `text`, a copy of the value whose separators are
 * overwritten by NULs; paths and parameters of all clauses stand in one array each. */
struct Clauses {
    char *text;
    Clause *clauses;
    size_t n_clauses;
    const char **paths;
    size_t n_paths;
    ClauseParameter *parameters;
    size_t n_parameters;
};

typedef struct Scanner {
    const char *header;
    char *text, *p;
    char separator; /* that ended the last token: ',' ';' or 0 */
} Scanner;

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool token_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

static int wrong(const Scanner *scanner, InaError *error, const char *what)
{
    return ina_error_set(error, EINVAL, "%s, character %zu: %s", scanner->header,
                         (size_t)(scanner->p - scanner->text) + 1, what);
}

static void skip_blanks(Scanner *scanner)
{
    while (blank(*scanner->p))
        scanner->p++;
}

/* Takes the separator behind a path or parameter whose text ends at `end`. */
static int end_item(Scanner *scanner, char *end, InaError *error)
{
    skip_blanks(scanner);
    if (*scanner->p != '\0' && *scanner->p != ',' && *scanner->p != ';')
        return wrong(scanner, error, "';', ',' or the end is expected");
    scanner->separator = *scanner->p;
    if (scanner->separator)
        scanner->p++;
    *end = '\0';
    return 0;
}

/* A quoted string, unescaped in place. */
static int take_quoted(Scanner *scanner, char **ret, InaError *error)
{
    char *out = ++scanner->p;

    *ret = out;
    while (*scanner->p != '"') {
        if (*scanner->p == '\\' && scanner->p[1] != '\0')
            scanner->p++;
        if (*scanner->p == '\0')
            return wrong(scanner, error, "the quoted string does not end");
        *out++ = *scanner->p++;
    }
    scanner->p++;
    return end_item(scanner, out, error);
}

/* The value of a parameter: a quoted string, or all up to the next separator. */
static int take_value(Scanner *scanner, char **ret, InaError *error)
{
    skip_blanks(scanner);
    if (*scanner->p == '"')
        return take_quoted(scanner, ret, error);
    *ret = scanner->p;
    while (*scanner->p != '\0' && *scanner->p != ',' && *scanner->p != ';' && *scanner->p != '"')
        scanner->p++;
    char *end = scanner->p;
    while (end > *ret && blank(end[-1]))
        end--;
    if (end == *ret)
        return wrong(scanner, error, "a value is expected; an empty one is written \"\"");
    return end_item(scanner, end, error);
}

/* name=value, name:Type=value or name:=value; `*at` stands on the ':' or '='. */
static int take_parameter(Scanner *scanner, char *name, char *at, ClauseParameter *ret, InaError *error)
{
    ClauseParameter parameter = {.name = name, .type = "String"};
    char *value, *end = at;

    while (end > name && blank(end[-1]))
        end--;
    scanner->p = at;
    for (char *c = name; c < end; c++)
        if (!token_character(*c)) {
            scanner->p = c;
            return wrong(scanner, error, "a parameter's name is letters, digits, '_', '-' and '.'");
        }
    if (end == name)
        return wrong(scanner, error, "a parameter's name is expected");
    if (at[0] == ':' && at[1] == '=') {
        parameter.type = NULL;
        scanner->p = at + 2;
    } else if (at[0] == ':') {
        char *type = ++scanner->p;
        while (token_character(*scanner->p) || *scanner->p == '<' || *scanner->p == '>')
            scanner->p++;
        if (*scanner->p != '=' || scanner->p == type)
            return wrong(scanner, error, "':=VALUE' or ':TYPE=VALUE' is expected");
        *scanner->p++ = '\0';
        parameter.type = type;
    } else {
        scanner->p = at + 1;
    }
    int r = take_value(scanner, &value, error);
    if (r < 0)
        return r;
    *end = '\0';
    parameter.value = value;
    *ret = parameter;
    return 0;
}

static bool parameter_twice(const Clause *clause, const ClauseParameter *parameter)
{
    for (size_t i = 0; i < clause->n_parameters; i++)
        if (strcmp(clause->parameters[i].name, parameter->name) == 0 && !clause->parameters[i].type == !parameter->type)
            return true;
    return false;
}

static int add_parameter(Clauses *clauses, Clause *clause, const Scanner *scanner, const ClauseParameter *parameter,
                         InaError *error)
{
    if (clause->n_paths == 0)
        return wrong(scanner, error, "a clause begins with a path");
    if (clause->n_parameters >= CLAUSE_PARAMETERS_MAX)
        return wrong(scanner, error, "too many parameters in one clause");
    /* There it means: one of these (OSGi Core 8, section 3.10.2). */
    if (parameter_twice(clause, parameter) && strcmp(scanner->header, "Bundle-NativeCode") != 0)
        return wrong(scanner, error, "a parameter is there twice");
    clauses->parameters[clauses->n_parameters++] = *parameter;
    clause->n_parameters++;
    return 0;
}

static int add_path(Clauses *clauses, Clause *clause, const Scanner *scanner, const char *path, InaError *error)
{
    if (*path == '\0')
        return wrong(scanner, error, "a path is expected before this");
    if (clause->n_parameters > 0)
        return wrong(scanner, error, "a path cannot stand behind a parameter");
    if (clause->n_paths >= CLAUSE_PATHS_MAX)
        return wrong(scanner, error, "too many paths in one clause");
    clauses->paths[clauses->n_paths++] = path;
    clause->n_paths++;
    return 0;
}

/* One path or parameter with its separator. */
static int take_item(Clauses *clauses, Clause *clause, Scanner *scanner, InaError *error)
{
    skip_blanks(scanner);
    char *start = scanner->p;
    while (*scanner->p && !strchr(",;:=\"", *scanner->p))
        scanner->p++;
    if (*scanner->p == ':' || *scanner->p == '=') {
        ClauseParameter parameter;
        char *at = scanner->p;
        int r = take_parameter(scanner, start, at, &parameter, error);
        return r < 0 ? r : add_parameter(clauses, clause, scanner, &parameter, error);
    }
    char *end = scanner->p;
    while (end > start && blank(end[-1]))
        end--;
    int r = end_item(scanner, end, error);
    return r < 0 ? r : add_path(clauses, clause, scanner, start, error);
}

static int take_clauses(Clauses *clauses, Scanner *scanner, InaError *error)
{
    do {
        if (clauses->n_clauses >= CLAUSES_MAX)
            return wrong(scanner, error, "too many clauses");
        Clause *clause = &clauses->clauses[clauses->n_clauses++];
        clause->paths = clauses->paths + clauses->n_paths;
        clause->parameters = clauses->parameters + clauses->n_parameters;
        do {
            int r = take_item(clauses, clause, scanner, error);
            if (r < 0)
                return r;
        } while (scanner->separator == ';');
    } while (scanner->separator == ',');
    return 0;
}

int clauses_parse(const char *header, const char *value, Clauses **ret, InaError *error)
{
    /* No more items than separators and one; that is what to allocate. */
    size_t items = 1;
    for (const char *p = value; *p; p++)
        items += *p == ',' || *p == ';';

    Clauses *clauses = calloc(1, sizeof *clauses);
    if (!clauses)
        return ina_error_set(error, ENOMEM, "out of memory");
    clauses->text = strdup(value);
    clauses->clauses = calloc(items, sizeof *clauses->clauses);
    clauses->paths = calloc(items, sizeof *clauses->paths);
    clauses->parameters = calloc(items, sizeof *clauses->parameters);
    int r;
    if (!clauses->text || !clauses->clauses || !clauses->paths || !clauses->parameters) {
        r = ina_error_set(error, ENOMEM, "out of memory");
    } else {
        Scanner scanner = {.header = header, .text = clauses->text, .p = clauses->text};
        r = take_clauses(clauses, &scanner, error);
    }
    if (r < 0) {
        clauses_free(clauses);
        return r;
    }
    *ret = clauses;
    return 0;
}

size_t clauses_count(const Clauses *clauses)
{
    return clauses ? clauses->n_clauses : 0;
}

const Clause *clauses_at(const Clauses *clauses, size_t index)
{
    return &clauses->clauses[index];
}

static const char *parameter(const Clause *clause, const char *name, bool directive)
{
    for (size_t i = 0; i < clause->n_parameters; i++)
        if (!clause->parameters[i].type == directive && strcmp(clause->parameters[i].name, name) == 0)
            return clause->parameters[i].value;
    return NULL;
}

const char *clause_attribute(const Clause *clause, const char *name)
{
    return parameter(clause, name, false);
}

const char *clause_directive(const Clause *clause, const char *name)
{
    return parameter(clause, name, true);
}

Clauses *clauses_free(Clauses *clauses)
{
    if (!clauses)
        return NULL;
    free(clauses->text);
    free(clauses->clauses);
    free(clauses->paths);
    free(clauses->parameters);
    free(clauses);
    return NULL;
}

char *clause_quote(const char *value)
{
    char *quoted = malloc(2 * strlen(value) + 3), *out = quoted;
    bool token = *value != '\0';

    if (!quoted)
        return NULL;
    for (const char *p = value; *p; p++)
        token = token && token_character(*p);
    if (token)
        return strcpy(quoted, value);
    *out++ = '"';
    for (const char *p = value; *p; p++) {
        if (*p == '"' || *p == '\\')
            *out++ = '\\';
        *out++ = *p;
    }
    *out++ = '"';
    *out = '\0';
    return quoted;
}
