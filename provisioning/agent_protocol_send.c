/* agent_protocol_send.c - answers with ranges, read piece by piece as the client takes them.
 *
 * Never with Content-Length: ACE's agent, in download mode, takes a body of
 * known length that was cut for a whole one; one in chunks it does not. */
#include "agent_protocol.h"
#include "base/cleanup.h"
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define PIECE (32u * 1024u)
#define WAITING_MAX (64u * 1024u)

typedef struct Download {
    AgentProtocol *protocol;
    InaHttpStream *stream;
    SendSource source;
    uint64_t offset, end;
    char target[TARGET_ID_MAX + 1], version[32];
} Download;

bool send_reading(InaHttpRequest *request)
{
    const char *method = ina_http_method(request);

    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return true;
    ina_http_set_header(request, "Allow", "GET, HEAD");
    ina_http_respond_text(request, 405, "right would be GET or HEAD\n");
    return false;
}

void send_overload(InaHttpRequest *request)
{
    char seconds[16];

    (void)snprintf(seconds, sizeof seconds, "%u", RETRY_AFTER_LEAST + randombytes_uniform(RETRY_AFTER_SPREAD + 1));
    ina_http_set_header(request, "Retry-After", seconds);
    ina_http_respond_text(request, 503, "too many downloads at once; come back in %s s\n", seconds);
}

/* --- ranges --------------------------------------------------------------------- */

typedef enum RangeKind { RANGE_NONE, RANGE_PART, RANGE_BEYOND } RangeKind;

static bool read_number(const char **at, uint64_t *ret)
{
    const char *start = *at;
    uint64_t value = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++)
        if (__builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, (uint64_t)(**at - '0'), &value))
            value = UINT64_MAX / 16; /* beyond any end */
    *ret = value;
    return *at > start;
}

/* RFC 9110, 14.1.2. What is malformed, or several ranges, is passed over: the answer is the whole. */
static RangeKind read_range(const char *header, uint64_t size, uint64_t *ret_start, uint64_t *ret_end)
{
    uint64_t first, last = UINT64_MAX - 1;

    if (!header || strncasecmp(header, "bytes=", 6) != 0)
        return RANGE_NONE;
    const char *at = header + 6;
    bool has_first = read_number(&at, &first);
    if (*at++ != '-')
        return RANGE_NONE;
    bool has_last = read_number(&at, &last);
    if (*at != '\0' || (!has_first && !has_last) || (has_first && has_last && last < first))
        return RANGE_NONE;
    if (!has_first) { /* the last so many */
        if (last == 0 || size == 0)
            return RANGE_BEYOND;
        *ret_start = last < size ? size - last : 0;
        *ret_end = size;
        return RANGE_PART;
    }
    if (first >= size)
        return RANGE_BEYOND;
    *ret_start = first;
    *ret_end = has_last && last < size - 1 ? last + 1 : size;
    return RANGE_PART;
}

static void set_range(InaHttpRequest *request, uint64_t start, uint64_t end, uint64_t size)
{
    char text[80];

    if (end > start)
        (void)snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)start,
                       (unsigned long long)(end - 1), (unsigned long long)size);
    else
        (void)snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)size);
    ina_http_set_header(request, "Content-Range", text);
}

/* --- sending ----------------------------------------------------------------------- */

static void source_close(const SendSource *source)
{
    package_unref(source->package);
    if (source->fd >= 0)
        close(source->fd);
}

static void download_free(Download *download)
{
    download->protocol->downloads--;
    source_close(&download->source);
    free(download);
}

static void download_closed(void *userdata)
{
    download_free(userdata);
}

static int read_piece(const Download *download, char *piece, size_t size, size_t *ret)
{
    if (download->source.package)
        return package_read(download->source.package, download->offset, piece, size, ret, NULL);
    ssize_t n = pread(download->source.fd, piece, size, (off_t)download->offset);
    *ret = n > 0 ? (size_t)n : 0;
    return n < 0 ? -errno : 0;
}

/* All is handed over; the connection ends it. */
static void download_done(Download *download)
{
    ina_http_stream_close(download->stream);
    if (download->version[0] && download->end == download->source.size)
        agent_fetched(download->protocol, download->target, download->version);
    download_free(download);
}

static void download_go_on(void *userdata)
{
    Download *download = userdata;
    char piece[PIECE];
    size_t n;

    while (download->offset < download->end) {
        uint64_t left = download->end - download->offset;
        int r = read_piece(download, piece, left < PIECE ? (size_t)left : PIECE, &n);
        if (r == 0 && n > 0)
            r = ina_http_stream_write(download->stream, piece, n);
        else if (r == 0)
            r = -EBADMSG;
        if (r == -ENOBUFS)
            return; /* until it drained */
        if (r < 0) {
            /* Nobody may take this for the whole: Celix' agent would not survive it. */
            http_stream_abort(download->stream);
            download_free(download);
            return;
        }
        download->offset += n;
    }
    download_done(download);
}

static void start_download(AgentProtocol *protocol, InaHttpRequest *request, int status, const Download *what)
{
    Download *download = malloc(sizeof *download);

    if (!download) {
        source_close(&what->source);
        ina_http_respond_text(request, 500, "out of memory\n");
        return;
    }
    *download = *what;
    protocol->downloads++;
    download->stream =
        ina_http_respond_stream(request, status, what->source.type, download_go_on, download_closed, download);
    if (!download->stream) {
        download_free(download);
        return;
    }
    http_stream_limit(download->stream, WAITING_MAX);
    download_go_on(download);
}

void send_source(AgentProtocol *protocol, InaHttpRequest *request, const SendSource *source, const char *target,
                 const char *version)
{
    Download download = {.protocol = protocol, .source = *source, .end = source->size};
    RangeKind kind = read_range(ina_http_header(request, "Range"), source->size, &download.offset, &download.end);

    ina_http_set_header(request, "Accept-Ranges", "bytes");
    if (version) {
        (void)snprintf(download.target, sizeof download.target, "%s", target);
        (void)snprintf(download.version, sizeof download.version, "%s", version);
    }
    if (kind == RANGE_BEYOND) {
        set_range(request, 0, 0, source->size);
        source_close(source);
        ina_http_respond_text(request, 416, "there are %llu bytes\n", (unsigned long long)source->size);
        return;
    }
    if (strcmp(ina_http_method(request), "HEAD") == 0) {
        source_close(source);
        ina_http_respond(request, 200, source->type, NULL, 0);
        return;
    }
    if (kind == RANGE_PART)
        set_range(request, download.offset, download.end, source->size);
    start_download(protocol, request, kind == RANGE_PART ? 206 : 200, &download);
}
