/* buffer.c - the growing byte buffer of map.h. */
#include "map.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *buffer_reserve(Buffer *buffer, size_t size)
{
    if (buffer->failed)
        return NULL;
    /* One more for the NUL that append and print leave behind the end. */
    if (size >= BUFFER_MAX || buffer->size > BUFFER_MAX - size - 1) {
        buffer->failed = true;
        return NULL;
    }
    size_t needed = buffer->size + size + 1;
    if (needed > buffer->capacity) {
        size_t capacity = buffer->capacity < 128 ? 128 : buffer->capacity;
        while (capacity < needed)
            capacity += capacity / 2;
        char *data = realloc(buffer->data, capacity);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void buffer_append(Buffer *buffer, const void *data, size_t size)
{
    char *room = buffer_reserve(buffer, size);

    if (!room)
        return;
    if (size > 0)
        memcpy(room, data, size);
    room[size] = '\0';
    buffer->size += size;
}

void buffer_print(Buffer *buffer, const char *format, ...)
{
    va_list arguments;
    char *room = buffer_reserve(buffer, 0);

    if (!room)
        return;
    size_t available = buffer->capacity - buffer->size;
    va_start(arguments, format);
    int length = vsnprintf(room, available, format, arguments);
    va_end(arguments);
    if (length < 0) {
        buffer->failed = true;
        return;
    }
    if ((size_t)length >= available) {
        room = buffer_reserve(buffer, (size_t)length);
        if (!room)
            return;
        va_start(arguments, format);
        vsnprintf(room, (size_t)length + 1, format, arguments);
        va_end(arguments);
    }
    buffer->size += (size_t)length;
}

void buffer_clear(Buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = '\0';
}

void buffer_free(Buffer *buffer)
{
    free(buffer->data);
    *buffer = (Buffer){0};
}
