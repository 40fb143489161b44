#include "table.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 16u

void table_row(json_t *table, size_t n, const char *const *cells)
{
    json_t *row = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(row, json_string(cells[i] && *cells[i] ? cells[i] : "-"));
    json_array_append_new(table, row);
}

/* Characters, not bytes, of UTF-8. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void print_cut(const char *text, size_t maximum)
{
    for (size_t n = 0; *text; text++) {
        n += ((unsigned char)*text & 0xc0) != 0x80;
        if (n > maximum)
            return;
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
    }
}

void print_text(const char *text)
{
    print_cut(text, SIZE_MAX);
}

void table_print(const json_t *table)
{
    size_t widths[COLUMNS_MAX] = {0}, i, j;
    const json_t *row, *cell;
    json_array_foreach(table, i, row)
    {
        json_array_foreach(row, j, cell)
        {
            size_t n = width(json_string_value(cell));
            if (j < COLUMNS_MAX && n > widths[j])
                widths[j] = n < TABLE_CELL_MAX ? n : TABLE_CELL_MAX;
        }
    }
    json_array_foreach(table, i, row)
    {
        json_array_foreach(row, j, cell)
        {
            const char *text = json_string_value(cell);
            bool last = j + 1 == json_array_size(row);
            print_cut(text, last ? SIZE_MAX : TABLE_CELL_MAX);
            for (size_t n = width(text); !last && j < COLUMNS_MAX && n < widths[j] + 2; n++)
                putchar(' ');
        }
        putchar('\n');
    }
}

const char *time_text(json_int_t ms, char ret[TIME_TEXT_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm local;
    if (ms <= 0 || !localtime_r(&seconds, &local) || strftime(ret, TIME_TEXT_SIZE, "%Y-%m-%d %H:%M:%S", &local) == 0)
        strcpy(ret, "-");
    return ret;
}

const char *age_text(json_int_t ms, char ret[TIME_TEXT_SIZE])
{
    long long seconds = (long long)time(NULL) - (long long)(ms / 1000);
    seconds = seconds < 0 ? 0 : seconds;
    if (ms <= 0)
        strcpy(ret, "never");
    else if (seconds < 120)
        snprintf(ret, TIME_TEXT_SIZE, "%lld s ago", seconds);
    else if (seconds < 7200)
        snprintf(ret, TIME_TEXT_SIZE, "%lld min ago", seconds / 60);
    else if (seconds < 172800)
        snprintf(ret, TIME_TEXT_SIZE, "%lld h ago", seconds / 3600);
    else
        snprintf(ret, TIME_TEXT_SIZE, "%lld d ago", seconds / 86400);
    return ret;
}

void print_line(const char *before, const char *text, const char *after)
{
    fputs(before, stdout);
    print_text(text);
    puts(after);
}
