/* option.c - see option.h. */
#include "option.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 40u /* longer ones are near to none */

/* --- names ------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters are to be changed, added, taken away or swapped with their neighbour (Damerau and Levenshtein). */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    if (n > WORD_MAX || m > WORD_MAX)
        return 2 * WORD_MAX;
    for (size_t j = 0; j <= m; j++)
        last[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = smaller(smaller(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = smaller(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[m];
}

const char *option_nearest(const char *word, const char *const *words)
{
    const char *nearest = NULL;
    size_t length = strlen(word), least = length < 4 ? 1 : length / 4 + 1;
    for (size_t i = 0; word[0] && i < OPTION_WORDS_MAX && words[i]; i++)
        if (strncmp(words[i], word, length) == 0)
            return words[i];
    for (size_t i = 0; word[0] && i < OPTION_WORDS_MAX && words[i]; i++) {
        size_t wrong = distance(word, words[i]);
        if (wrong > least || (nearest && wrong == least))
            continue;
        nearest = words[i];
        least = wrong;
    }
    return nearest;
}

/* `typed` without "--", and without a value behind "=". */
static int refuse_name(const char *typed, const struct option *table, InaError *error)
{
    const char *words[OPTION_WORDS_MAX + 1] = {NULL};
    char name[WORD_MAX + 1];
    int length = (int)strcspn(typed, "=");
    for (size_t i = 0; i < OPTION_WORDS_MAX && table[i].name; i++)
        words[i] = table[i].name;
    snprintf(name, sizeof name, "%.*s", length, typed);
    const char *nearest = option_nearest(name, words);
    ina_error_set(error, EINVAL, "there is no option --%s%s%s%s", name, nearest ? "; was --" : "",
                  nearest ? nearest : "", nearest ? " meant?" : "");
    return '?';
}

static const struct option *find_option(const char *typed, const struct option *table)
{
    size_t length = strcspn(typed, "=");
    for (; table->name; table++)
        if (strlen(table->name) == length && strncmp(table->name, typed, length) == 0)
            return table;
    return NULL;
}

/* What getopt_long did not like: the argument before optind, or a letter of a group of short options. */
static int refuse(const char *argument, bool value_missing, const struct option *table, InaError *error)
{
    bool long_name = strncmp(argument, "--", 2) == 0;
    const struct option *option = long_name ? find_option(argument + 2, table) : NULL;
    if (long_name && !option)
        return refuse_name(argument + 2, table, error);
    if (value_missing && option)
        ina_error_set(error, EINVAL, "--%s needs a value", option->name);
    else if (value_missing)
        ina_error_set(error, EINVAL, "-%c needs a value", optopt);
    else if (option && option->has_arg == no_argument && strchr(argument, '='))
        ina_error_set(error, EINVAL, "--%s takes no value", option->name);
    else
        ina_error_set(error, EINVAL, "there is no option -%c", optopt);
    return '?';
}

int option_next(int argc, char *const *argv, const char *shorts, const struct option *table, InaError *error)
{
    char spec[32];
    int index = -1;
    const char *order = shorts[0] == '+' ? "+" : "";
    snprintf(spec, sizeof spec, "%s:%s", order, shorts + strlen(order));
    opterr = 0;
    optopt = 0;
    int option = getopt_long(argc, argv, spec, table, &index);
    if (option == '?' || option == ':')
        return refuse(argv[optind - 1], option == ':', table, error);
    if (option == -1 || index < 0)
        return option;
    const char *typed = argv[optind - (optarg && optarg == argv[optind - 1] ? 2 : 1)];
    return find_option(typed + 2, table) == &table[index] ? option : refuse_name(typed + 2, table, error);
}

/* --- values ------------------------------------------------------------------ */

int option_text(char **target, const char *value, InaError *error)
{
    char *copy = strdup(value);
    if (!copy)
        return ina_error_set(error, ENOMEM, "no memory");
    free(*target);
    *target = copy;
    return 0;
}

int option_number(int *target, const char *value, int minimum, int maximum, InaError *error)
{
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    if (!*value || *end || errno || number < minimum || number > maximum)
        return ina_error_set(error, EINVAL, "\"%s\": must be a number from %d to %d", value, minimum, maximum);
    *target = (int)number;
    return 0;
}

int option_list(char **target, size_t maximum, const char *value, InaError *error)
{
    size_t count = 0;
    for (size_t i = 0; i < maximum; i++) {
        free(target[i]);
        target[i] = NULL;
    }
    while (*value) {
        size_t length = strcspn(value, ",");
        if (length && count == maximum)
            return ina_error_set(error, EINVAL, "at most %zu addresses are allowed", maximum);
        if (length && !(target[count++] = strndup(value, length)))
            return ina_error_set(error, ENOMEM, "no memory");
        value += length + (value[length] == ',');
    }
    return 0;
}
