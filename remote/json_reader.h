/* json_reader.h - a pull reader for JSON (RFC 8259) over a text in memory.
 *
 * It builds no tree: the caller asks for what it expects. A tree would cost
 * twenty times the text, and could not hold a uint64. Strict: no comments, no
 * trailing commas, no raw control characters, valid UTF-8, no NUL. */
#pragma once

#include "codec_internal.h"

#define JSON_NUMBER_MAX 64u /* characters of a number */

typedef struct JsonReader {
    const char *start, *at, *end;
    CodecBudget *budget;
    InaError *error;
} JsonReader;

/* The next character that is no blank; 0 at the end. */
char reader_peek(JsonReader *reader);
/* Takes the next character if it is `c`. */
bool reader_take(JsonReader *reader, char c);
int reader_expect(JsonReader *reader, const CodecPath *path, char c);
/* Takes a whole word such as null. */
bool reader_word(JsonReader *reader, const char *word);
/* "an object", "a string", "the end": what comes next, for messages. */
const char *reader_what(JsonReader *reader);
int reader_wrong(JsonReader *reader, const CodecPath *path, const char *expected);

/* Copies a number's text, which fits the grammar. */
int reader_number(JsonReader *reader, const CodecPath *path, char text[static JSON_NUMBER_MAX]);
/* A string, malloc'ed, NUL behind it. */
int reader_string(JsonReader *reader, const CodecPath *path, char **ret, size_t *ret_size);
/* A string that is short; a longer one is cut to "" and *ret_cut says so. */
int reader_short_string(JsonReader *reader, const CodecPath *path, char *buffer, size_t size, bool *ret_cut);
/* Passes over any value. */
int reader_skip(JsonReader *reader, const CodecPath *path, unsigned depth);
/* Whether a text is a number by the grammar. */
bool reader_is_number(const char *text, size_t size);
