/* http_respond.c - answers. */
#include "http_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *http_reason(int status)
{
    switch (status) {
    case 413:
        return "Content Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

void ina_http_set_header(InaHttpRequest *request, const char *name, const char *value)
{
    if (request->n_headers == HTTP_ANSWER_HEADERS_MAX)
        return;
    char *copied_name = strdup(name), *copied_value = strdup(value);
    if (!copied_name || !copied_value) {
        free(copied_name);
        free(copied_value);
        return;
    }
    request->header_names[request->n_headers] = copied_name;
    request->header_values[request->n_headers] = copied_value;
    request->n_headers++;
}

void http_answer(InaHttpRequest *request, int status, const char *content_type, struct MHD_Response *response)
{
    HttpConnection *connection = request->connection;

    if (connection) {
        bool queued = false;
        if (response) {
            /* Names and values with line breaks in them are refused by this. */
            if (content_type)
                MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
            for (unsigned i = 0; i < request->n_headers; i++)
                MHD_add_response_header(response, request->header_names[i], request->header_values[i]);
            queued = MHD_queue_response(connection->mhd, (unsigned)status, response) == MHD_YES;
        }
        if (!queued)
            connection->left = true;
        connection->request = NULL;
        if (connection->suspended)
            http_resume(connection);
    }
    if (response)
        MHD_destroy_response(response);
    http_request_free(request);
}

void ina_http_respond(InaHttpRequest *request, int status, const char *content_type, const void *body, size_t size)
{
    struct MHD_Response *response = NULL;

    if (request->connection) {
        request->server->statistics.bytes_out += size;
        response =
            MHD_create_response_from_buffer(size, (void *)body, size ? MHD_RESPMEM_MUST_COPY : MHD_RESPMEM_PERSISTENT);
    }
    http_answer(request, status, content_type, response);
}

void ina_http_respond_take(InaHttpRequest *request, int status, const char *content_type, void *body, size_t size)
{
    struct MHD_Response *response = NULL;

    if (request->connection) {
        request->server->statistics.bytes_out += size;
        response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
    }
    if (!response)
        free(body);
    http_answer(request, status, content_type, response);
}

void http_respond_json(InaHttpRequest *request, int status, json_t *value, size_t flags)
{
    char *text = value ? json_dumps(value, flags) : NULL;
    json_decref(value);
    if (text)
        ina_http_respond_take(request, status, "application/json", text, strlen(text));
    else
        ina_http_respond_text(request, 500, "out of memory\n");
}

static void respond_text(InaHttpRequest *request, int status, const char *format, va_list arguments)
{
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);

    if (length < 0)
        ina_http_respond(request, status, NULL, NULL, 0);
    else
        ina_http_respond_take(request, status, "text/plain; charset=utf-8", text, (size_t)length);
}

void ina_http_respond_text(InaHttpRequest *request, int status, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    respond_text(request, status, format, arguments);
    va_end(arguments);
}

void http_refuse(InaHttpRequest *request, int status, const char *format, ...)
{
    va_list arguments;

    request->server->statistics.refused++;
    request->connection->lingering = true;
    ina_http_set_header(request, "Connection", "close");
    va_start(arguments, format);
    respond_text(request, status, format, arguments);
    va_end(arguments);
}
