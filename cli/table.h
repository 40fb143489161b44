/* table.h - tables of text for people. What comes from others may have control
 * characters, which a terminal would obey: they are shown as '?'. */
#pragma once

#include <jansson.h>

#define TABLE_CELL_MAX 80 /* characters of a cell that is not the last of its row; the rest is cut */

/* Adds a row of `n` texts (NULL: "-"); the first row is the headline. */
void table_row(json_t *table, size_t n, const char *const *cells);
#define TABLE_ROW(table, ...)                                                                                          \
    table_row((table), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *),                              \
              (const char *const[]){__VA_ARGS__})
/* Columns as wide as needed. */
void table_print(const json_t *table);
/* One text, as harmless. */
void print_text(const char *text);
/* BEFORE, the text, AFTER and a newline. */
void print_line(const char *before, const char *text, const char *after);

#define TIME_TEXT_SIZE 32
/* Milliseconds since 1970 as "2026-11-22 14:03:07" here; 0: "-". Returns `ret`. */
const char *time_text(json_int_t ms, char ret[TIME_TEXT_SIZE]);
/* "3 s", "5 min", "2 h", "4 d" ago; 0: "never". */
const char *age_text(json_int_t ms, char ret[TIME_TEXT_SIZE]);
