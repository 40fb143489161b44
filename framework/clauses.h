/* clauses.h - the syntax of OSGi's headers (OSGi Core 8, section 3.2.4):
 *
 *   path;path;attribute=value;attribute:Type=value;directive:=value, path;...
 *
 * A value is a token or a "quoted string" in which a backslash takes the next
 * character as it is. The text may come from outside: counts are limited, a
 * parameter that is there twice is refused, errors name header and position. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>

#define CLAUSES_MAX 512u
#define CLAUSE_PATHS_MAX 64u
#define CLAUSE_PARAMETERS_MAX 64u

typedef struct ClauseParameter {
    const char *name;
    const char *type; /* of an attribute: "String" unless it says otherwise; NULL for a directive */
    const char *value;
} ClauseParameter;

typedef struct Clause {
    const char *const *paths;
    size_t n_paths; /* at least 1 */
    const ClauseParameter *parameters;
    size_t n_parameters;
} Clause;

typedef struct Clauses Clauses;

/* `header` is the header's name, for errors. */
int clauses_parse(const char *header, const char *value, Clauses **ret, InaError *error);
size_t clauses_count(const Clauses *clauses);
const Clause *clauses_at(const Clauses *clauses, size_t index);
const char *clause_attribute(const Clause *clause, const char *name); /* NULL when absent */
const char *clause_directive(const Clause *clause, const char *name);
Clauses *clauses_free(Clauses *clauses);

/* The value as a parameter's argument: quoted where it has to be. malloc'ed, NULL: out of memory. */
char *clause_quote(const char *value);
