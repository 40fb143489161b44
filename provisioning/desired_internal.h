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
