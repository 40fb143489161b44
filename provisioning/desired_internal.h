/* desired_internal.h - what the files of desired.h share. */
#pragma once

#include "base/cleanup.h"
#include "desired.h"

#include <stdarg.h>
#include <stdio.h>

#define DESIRED_PLACE_MAX 320u
#define DESIRED_FILE_NAME_MAX 200u

/* Where something stands in the state: "features.processor.artifacts[1]". */
void desired_place(char place[DESIRED_PLACE_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The file of an artifact, in both forms. */
static inline const char *desired_file(const json_t *artifact)
{
    return json_string_value(json_is_string(artifact) ? artifact : json_object_get(artifact, "file"));
}

/* The same but for the order of what they have. */
bool desired_same(const Object *a, const Object *b);
/* What object_new makes a link of, and an assignment to all targets of a filter; range: a dynamic one, or NULL. */
json_t *desired_link_value(const char *left, const char *right, const char *range);
json_t *desired_assignment_value(const char *left, const char *targets);
/* Of a feature or distribution by its name; malloc'ed. */
char *desired_definition(const char *kind, const char *name);
/* One end of a link as a state has it, else its filter; malloc'ed. */
char *desired_end_name(const Object *link, bool left);
