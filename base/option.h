/* option.h - values of a program's options, from the command line or the
 * environment. An error says what would be right, not which option it was. */
#pragma once

#include <inaetics/error.h>
#include <stddef.h>

int option_text(char **target, const char *value, InaError *error); /* a copy, in place of what was there */
int option_number(int *target, const char *value, int minimum, int maximum, InaError *error);
/* "A,B": copies, in place of all `maximum` that were there; NULL for the rest. Empty parts do not
 * count; after an error there may be some. */
int option_list(char **target, size_t maximum, const char *value, InaError *error);
