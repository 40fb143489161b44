/* http_files.c - answers from files. */
#include "http_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        {"css", "text/css; charset=utf-8"},
        {"csv", "text/csv; charset=utf-8"},
        {"gif", "image/gif"},
        {"htm", "text/html; charset=utf-8"},
        {"html", "text/html; charset=utf-8"},
        {"ico", "image/x-icon"},
        {"jar", "application/java-archive"},
        {"jpeg", "image/jpeg"},
        {"jpg", "image/jpeg"},
        {"js", "text/javascript; charset=utf-8"},
        {"json", "application/json"},
        {"map", "application/json"},
        {"mjs", "text/javascript; charset=utf-8"},
        {"pdf", "application/pdf"},
        {"png", "image/png"},
        {"svg", "image/svg+xml"},
        {"txt", "text/plain; charset=utf-8"},
        {"wasm", "application/wasm"},
        {"webmanifest", "application/manifest+json"},
        {"webp", "image/webp"},
        {"woff", "font/woff"},
        {"woff2", "font/woff2"},
        {"xml", "application/xml"},
        {"zip", "application/zip"},
    };
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    for (size_t i = 0; dot && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(dot + 1, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* If-None-Match: "*", or a list of tags, compared weakly (RFC 9110, 13.1.2). */
static bool matches(const char *header, const char *tag)
{
    size_t length = strlen(tag);

    for (const char *p = header; p && *p;) {
        p += strspn(p, " \t,");
        if (*p == '*')
            return true;
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        if (strncmp(p, tag, length) == 0)
            return true;
        p = strchr(p, ',');
    }
    return false;
}

static void respond_missing(InaHttpRequest *request)
{
    ina_http_respond_text(request, 404, "there is nothing at %s\n", ina_http_path(request));
}

/* Takes `fd`. */
static void respond_fd(InaHttpRequest *request, int fd, const char *path)
{
    struct stat status;
    char tag[80];
    struct MHD_Response *response = NULL;

    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        respond_missing(request);
        return;
    }
    snprintf(tag, sizeof(tag), "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)status.st_ino,
             (uint64_t)status.st_size,
             (uint64_t)status.st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)status.st_mtim.tv_nsec);
    ina_http_set_header(request, "ETag", tag);
    ina_http_set_header(request, "Cache-Control", "no-cache"); /* keep it, but ask each time */
    ina_http_set_header(request, "X-Content-Type-Options", "nosniff");
    if (matches(ina_http_header(request, "If-None-Match"), tag)) {
        close(fd);
        ina_http_respond(request, 304, NULL, NULL, 0);
        return;
    }
    if (request->connection) {
        request->server->statistics.bytes_out += (uint64_t)status.st_size;
        response = MHD_create_response_from_fd64((uint64_t)status.st_size, fd);
    }
    if (!response)
        close(fd);
    http_answer(request, 200, type_of(path), response);
}

static bool is_read(InaHttpRequest *request)
{
    if (strcmp(ina_http_method(request), "GET") == 0 || strcmp(ina_http_method(request), "HEAD") == 0)
        return true;
    ina_http_set_header(request, "Allow", "GET, HEAD");
    ina_http_respond_text(request, 405, "%s is only read\n", ina_http_path(request));
    return false;
}

static bool climbs(const char *path)
{
    for (const char *p = path; (p = strstr(p, "..")); p += 2)
        if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
            return true;
    return false;
}

void ina_http_respond_file(InaHttpRequest *request, const char *path)
{
    if (!is_read(request))
        return;
    /* O_NONBLOCK: opening a pipe must not wait for its other end. */
    int fd = climbs(path) ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        respond_missing(request);
    else
        respond_fd(request, fd, path);
}

/* Opens a file below `root`, one segment after the other, following no link. */
static int open_below(const char *root, const char *path)
{
    int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    while (fd >= 0) {
        char name[256];
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        if (length == 0) /* a folder */
            strcpy(name, "index.html");
        else if (length >= sizeof(name) || (length <= 2 && strncmp(path, "..", length) == 0))
            break;
        else
            *(char *)mempcpy(name, path, length) = '\0';
        bool last = path[length] == '\0';
        int flags = last ? O_RDONLY | O_NOCTTY | O_NONBLOCK : O_PATH | O_DIRECTORY;
        int next = openat(fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
        close(fd);
        if (last)
            return next;
        fd = next;
        path += length;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

void ina_http_respond_below(InaHttpRequest *request, const char *root, const char *path)
{
    if (!is_read(request))
        return;
    int fd = open_below(root, path);
    const char *slash = strrchr(path, '/');
    if (fd < 0)
        respond_missing(request);
    else
        respond_fd(request, fd, *path == '\0' || (slash && slash[1] == '\0') ? "index.html" : path);
}

/* --- mounted folders ---------------------------------------------------- */

typedef struct HttpFolder {
    size_t skip; /* length of the prefix */
    char root[];
} HttpFolder;

static void serve_folder(void *userdata, InaHttpRequest *request)
{
    const HttpFolder *folder = userdata;

    ina_http_respond_below(request, folder->root, ina_http_path(request) + folder->skip);
}

int http_server_files(HttpServer *server, const char *prefix, const char *root, InaError *error)
{
    size_t size = strlen(root) + 1, skip = strlen(prefix);
    HttpFolder *folder = malloc(sizeof(*folder) + size);

    if (!folder)
        return ina_error_errno(error, ENOMEM, "HTTP prefix \"%s\"", prefix);
    while (skip > 0 && prefix[skip - 1] == '/')
        skip--;
    folder->skip = skip;
    memcpy(folder->root, root, size);
    int r = http_server_route_add(server, prefix, serve_folder, folder, free, error);
    if (r < 0)
        free(folder);
    return r;
}
