/* option.h - options of a program, from the command line or the environment. An
 * error about a value says what would be right, not which option it was. */
#pragma once

#include <getopt.h>
#include <inaetics/error.h>
#include <stddef.h>

#define OPTION_WORDS_MAX 64u /* among which the nearest is looked for */

/* getopt_long, but long names are to be whole: a shortened one could be taken for another that means something else. On
 * '?' `error` says what was wrong, with the option that was probably meant, and never a value: it may be a password.
 * `shorts` as for getopt_long, without ":" in front. */
int option_next(int argc, char *const *argv, const char *shorts, const struct option *table, InaError *error);
/* Of `words` (NULL behind the last) the one that was probably meant, or NULL: one that begins as `word` does, or the
 * one with the fewest wrong letters, when these are few. */
const char *option_nearest(const char *word, const char *const *words);

int option_text(char **target, const char *value, InaError *error); /* a copy, in place of what was there */
int option_number(int *target, const char *value, int minimum, int maximum, InaError *error);
/* "A,B": copies, in place of all `maximum` that were there; NULL for the rest. Empty parts do not
 * count; after an error there may be some. */
int option_list(char **target, size_t maximum, const char *value, InaError *error);
