/* ace_json.h - JSON as ACE's clients write it: Gson's lenient syntax, pure.
 *
 * Beyond JSON: strings in single quotes, names and texts without quotes,
 * comments (//, #, and C's), '=' or '=>' for ':', ';' for ','. Every scalar
 * is a string (ACE's maps hold nothing else), null is left out. */
#pragma once

#include <inaetics/error.h>
#include <jansson.h>
#include <stddef.h>

#define ACE_JSON_MAX (1024u * 1024u)

/* -EINVAL names the position. A new reference. */
int ace_json_parse(const char *text, size_t size, json_t **ret, InaError *error);
