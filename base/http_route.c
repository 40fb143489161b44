/* http_route.c - which handler a path goes to: whole segments, the longest prefix. */
#include "http_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t prefix_length(const char *prefix)
{
    size_t length = strlen(prefix);

    while (length > 0 && prefix[length - 1] == '/')
        length--;
    return length;
}

/* Where `prefix` is, or belongs. */
static size_t route_position(const HttpServer *server, const char *prefix, size_t length, bool *ret_found)
{
    size_t low = 0, high = server->n_routes;

    *ret_found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = server->routes[middle].prefix;
        int order = strncmp(prefix, other, length);

        if (order == 0 && other[length] != '\0')
            order = -1;
        if (order == 0) {
            *ret_found = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

int http_server_route_add(HttpServer *server, const char *prefix, HttpHandler handler, void *userdata,
                          void (*release)(void *userdata), InaError *error)
{
    bool found;

    if (prefix[0] != '/')
        return ina_error_set(error, EINVAL, "HTTP prefix \"%s\" does not begin with a slash", prefix);
    size_t length = prefix_length(prefix);
    size_t position = route_position(server, prefix, length, &found);
    if (found)
        return ina_error_set(error, EEXIST, "HTTP prefix \"%s\" is taken", prefix);
    if (server->n_routes == HTTP_HANDLERS_MAX)
        return ina_error_set(error, ENOSPC, "HTTP prefix \"%s\": there are %u already", prefix, HTTP_HANDLERS_MAX);
    HttpRoute *routes = realloc(server->routes, (server->n_routes + 1) * sizeof(*routes));
    char *name = strndup(prefix, length);
    if (routes)
        server->routes = routes;
    if (!routes || !name) {
        free(name);
        return ina_error_errno(error, ENOMEM, "HTTP prefix \"%s\"", prefix);
    }
    memmove(routes + position + 1, routes + position, (server->n_routes - position) * sizeof(*routes));
    routes[position] = (HttpRoute){.prefix = name, .handler = handler, .userdata = userdata, .release = release};
    server->n_routes++;
    return 0;
}

int http_server_handle(HttpServer *server, const char *prefix, HttpHandler handler, void *userdata, InaError *error)
{
    return http_server_route_add(server, prefix, handler, userdata, NULL, error);
}

void http_server_route_remove(HttpServer *server, size_t position)
{
    HttpRoute route = server->routes[position];

    server->n_routes--;
    memmove(server->routes + position, server->routes + position + 1,
            (server->n_routes - position) * sizeof(*server->routes));
    if (route.release)
        route.release(route.userdata);
    free(route.prefix);
}

/* What the route's handler still has open is cut, as if its clients had left. */
static void abandon(HttpServer *server, const HttpRoute *route)
{
    for (HttpConnection *connection = server->connections, *next; connection; connection = next) {
        InaHttpRequest *request = connection->request;
        next = connection->next;
        if (connection->upgrade && http_upgrade_is_of(connection->upgrade, route->handler, route->userdata))
            http_upgrade_cut(connection->upgrade);
        if (connection->stream)
            http_stream_abandon(connection->stream, route->handler, route->userdata);
        if (!request || !request->dispatched || request->handler != route->handler ||
            request->handler_userdata != route->userdata)
            continue;
        http_request_cancel(request);
        connection->request = NULL;
        connection->left = true;
        if (connection->suspended)
            http_resume(connection);
    }
}

void http_server_unhandle(HttpServer *server, const char *prefix)
{
    bool found;
    size_t position = route_position(server, prefix, prefix_length(prefix), &found);

    if (found) {
        abandon(server, &server->routes[position]);
        http_server_route_remove(server, position);
    }
}

const HttpRoute *http_server_route(const HttpServer *server, const char *path)
{
    size_t length = strlen(path);

    for (;;) {
        bool found;
        size_t position = route_position(server, path, length, &found);
        if (found)
            return &server->routes[position];
        if (length == 0)
            return NULL;
        do
            length--;
        while (length > 0 && path[length] != '/');
    }
}
