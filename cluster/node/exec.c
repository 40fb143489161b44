#include "exec.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "container_setup.h"
#include "kube/object.h"
#include "websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>

#define READ_SIZE 16384u
#define STDIN_WAITING_MAX (256u * 1024u)
#define CHANNEL_CLOSE 255

typedef struct Exec Exec;

typedef struct ExecStream {
    Exec *exec;
    int fd, channel;
    sd_event_source *source;
} ExecStream;

struct Exec {
    Execs *execs;
    Exec *next;
    const Container *container;
    HttpTunnel *tunnel;
    WebSocket socket;
    Child *child;
    ExecStream output[2]; /* ours of stdout and stderr, or of the terminal */
    int input;            /* ours of stdin; -1: none */
    sd_event_source *input_source;
    Buffer waiting; /* for stdin */
    bool input_ends, base64, v5, terminal;
    bool exited;
    int status;
    char **command;
    bool want_in, want_out[2]; /* stdout, stderr */
};

struct Execs {
    const ContainerHost *host;
    Exec *first;
    unsigned count;
};

static void exec_free(Exec *exec)
{
    for (Exec **link = &exec->execs->first; *link; link = &(*link)->next) {
        if (*link == exec) {
            *link = exec->next;
            exec->execs->count--;
            break;
        }
    }
    child_free(exec->child);
    for (size_t i = 0; i < 2; i++) {
        sd_event_source_disable_unref(exec->output[i].source);
        if (exec->output[i].fd >= 0)
            close(exec->output[i].fd);
    }
    sd_event_source_disable_unref(exec->input_source);
    if (exec->input >= 0 && !exec->terminal)
        close(exec->input);
    http_tunnel_close(exec->tunnel);
    websocket_clear(&exec->socket);
    buffer_free(&exec->waiting);
    for (char **item = exec->command; item && *item; item++)
        free(*item);
    free(exec->command);
    free(exec);
}

/* --- to the client -------------------------------------------------------------------- */

static void send_channel(Exec *exec, int channel, const void *data, size_t size)
{
    Buffer frame = {0};
    if (exec->base64) { /* the channel is a digit, and the data text */
        size_t room = size / 3 * 4 + 8;
        char *text = malloc(room);
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        size_t length = 0;
        const unsigned char *in = data;
        for (size_t i = 0; text && i < size; i += 3) {
            unsigned value =
                (unsigned)in[i] << 16 | (i + 1 < size ? (unsigned)in[i + 1] << 8 : 0) | (i + 2 < size ? in[i + 2] : 0u);
            text[length++] = digits[value >> 18 & 63];
            text[length++] = digits[value >> 12 & 63];
            text[length++] = i + 1 < size ? digits[value >> 6 & 63] : '=';
            text[length++] = i + 2 < size ? digits[value & 63] : '=';
        }
        if (text)
            websocket_frame(&frame, WEBSOCKET_TEXT, '0' + channel, text, length);
        free(text);
    } else {
        websocket_frame(&frame, WEBSOCKET_BINARY, channel, data, size);
    }
    if (!frame.failed && frame.size > 0 && http_tunnel_write(exec->tunnel, frame.data, frame.size) == -ENOBUFS) {
        for (size_t i = 0; i < 2; i++)
            if (exec->output[i].source)
                sd_event_source_set_enabled(exec->output[i].source, SD_EVENT_OFF);
    }
    buffer_free(&frame);
}

static void handle_drained(void *userdata)
{
    Exec *exec = userdata;
    for (size_t i = 0; i < 2; i++)
        if (exec->output[i].source)
            sd_event_source_set_enabled(exec->output[i].source, SD_EVENT_ON);
}

/* As Kubernetes tells it: metav1.Status on the error channel. */
static void send_status(Exec *exec)
{
    char message[128], number[16];
    int signal = exec->status & 0x7f, code = signal ? 128 + signal : exec->status >> 8 & 0xff;
    AUTO_JSON json_t *status = NULL;
    snprintf(number, sizeof number, "%d", code);
    snprintf(message, sizeof message, "command terminated with non-zero exit code: exit status %d", code);
    if (code == 0)
        status = json_pack("{s:{}, s:s}", "metadata", "status", "Success");
    else
        status =
            json_pack("{s:{}, s:s, s:s, s:s, s:{s:[{s:s, s:s}]}}", "metadata", "status", "Failure", "message", message,
                      "reason", "NonZeroExitCode", "details", "causes", "reason", "ExitCode", "message", number);
    AUTO_FREE char *text = status ? json_dumps(status, JSON_COMPACT) : NULL;
    if (text)
        send_channel(exec, 3, text, strlen(text));
}

/* All was read and it has ended: told, and over. */
static bool finish_if_over(Exec *exec)
{
    Buffer frame = {0};
    if (!exec->exited || exec->output[0].source || exec->output[1].source)
        return false;
    send_status(exec);
    websocket_close(&frame, 1000);
    if (!frame.failed)
        (void)http_tunnel_write(exec->tunnel, frame.data, frame.size);
    buffer_free(&frame);
    exec_free(exec);
    return true;
}

static int handle_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    ExecStream *stream = userdata;
    Exec *exec = stream->exec;
    char data[READ_SIZE];
    ssize_t size = read(fd, data, sizeof data);
    if (size > 0) {
        send_channel(exec, stream->channel, data, (size_t)size);
        return 0;
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    stream->source = sd_event_source_disable_unref(stream->source); /* the end; of a terminal EIO */
    finish_if_over(exec);
    return 0;
}

static void handle_exited(void *userdata, int status)
{
    Exec *exec = userdata;
    exec->exited = true;
    exec->status = status;
    finish_if_over(exec);
}

/* --- to the command ---------------------------------------------------------------------- */

static void flush_input(Exec *exec);

static int handle_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    flush_input(userdata);
    return 0;
}

static void end_input(Exec *exec)
{
    exec->input_source = sd_event_source_disable_unref(exec->input_source);
    if (exec->input >= 0 && !exec->terminal)
        close(exec->input);
    exec->input = -1;
    buffer_clear(&exec->waiting);
}

static void flush_input(Exec *exec)
{
    ssize_t n =
        exec->waiting.size > 0 && exec->input >= 0 ? write(exec->input, exec->waiting.data, exec->waiting.size) : 0;
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        end_input(exec);
        n = 0;
    }
    if (n > 0) {
        memmove(exec->waiting.data, exec->waiting.data + n, exec->waiting.size - (size_t)n);
        exec->waiting.size -= (size_t)n;
    }
    http_tunnel_hold(exec->tunnel, exec->waiting.size > STDIN_WAITING_MAX);
    if (exec->waiting.size == 0) {
        exec->input_source = sd_event_source_disable_unref(exec->input_source);
        if (exec->input_ends)
            end_input(exec);
    } else if (!exec->input_source && exec->input >= 0) {
        sd_event_add_io(exec->execs->host->event, &exec->input_source, exec->input, EPOLLOUT, handle_input, exec);
    }
}

static void resize(Exec *exec, const char *data, size_t size)
{
    AUTO_JSON json_t *json = NULL;
    if (!exec->terminal || exec->output[0].fd < 0 || json_parse(data, size, 1024, &json, NULL) < 0)
        return;
    int64_t width = kube_integer(json, "Width", 0), height = kube_integer(json, "Height", 0);
    if (width < 1 || width > 65535 || height < 1 || height > 65535)
        return;
    struct winsize window = {.ws_col = (unsigned short)width, .ws_row = (unsigned short)height};
    ioctl(exec->output[0].fd, TIOCSWINSZ, &window);
}

static void take_channel(Exec *exec, int channel, const char *data, size_t size)
{
    if (channel == 0 && exec->input >= 0) {
        buffer_append(&exec->waiting, data, size);
        flush_input(exec);
    } else if (channel == 4) {
        resize(exec, data, size);
    } else if (channel == CHANNEL_CLOSE && exec->v5 && size == 1 && data[0] == 0) {
        exec->input_ends = true;
        flush_input(exec);
    }
}

static void take_base64(Exec *exec, const char *text, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    AUTO_FREE char *data = malloc(size + 1);
    unsigned value = 0, bits = 0;
    size_t length = 0;
    for (size_t i = 1; data && i < size; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
        if (!digit)
            continue;
        value = value << 6 | (unsigned)(digit - digits);
        if ((bits += 6) >= 8) {
            bits -= 8;
            data[length++] = (char)(value >> bits & 255);
        }
    }
    if (data)
        take_channel(exec, text[0] - '0', data, length);
}

static bool handle_message(void *userdata, int opcode, const void *data, size_t size)
{
    Exec *exec = userdata;
    const char *text = data;
    Buffer frame = {0};
    if (opcode == WEBSOCKET_CLOSE) {
        websocket_close(&frame, 1000);
        (void)http_tunnel_write(exec->tunnel, frame.data, frame.size);
        buffer_free(&frame);
        exec_free(exec);
        return false;
    }
    if (opcode == WEBSOCKET_PING) {
        websocket_frame(&frame, WEBSOCKET_PONG, -1, data, size);
        (void)http_tunnel_write(exec->tunnel, frame.data, frame.size);
        buffer_free(&frame);
    } else if (opcode != WEBSOCKET_PONG && size > 0) {
        if (exec->base64)
            take_base64(exec, text, size);
        else
            take_channel(exec, (unsigned char)text[0], text + 1, size - 1);
    }
    return true;
}

static void handle_received(void *userdata, const void *data, size_t size)
{
    Exec *exec = userdata;
    InaError error = {0};
    Buffer frame = {0};
    int r = websocket_receive(&exec->socket, data, size, handle_message, exec, &error);
    if (r >= 0)
        return;
    websocket_close(&frame, r == -EMSGSIZE ? 1009 : 1002);
    (void)http_tunnel_write(exec->tunnel, frame.data, frame.size);
    buffer_free(&frame);
    exec_free(exec);
}

static void handle_ended(void *userdata, const InaError *error)
{
    exec_free(userdata);
}

/* --- the command ---------------------------------------------------------------------------- */

static int open_pipe(int *ours, int *theirs, bool to_child, InaError *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return ina_error_errno(error, errno, "pipe");
    *ours = to_child ? ends[1] : ends[0];
    *theirs = to_child ? ends[0] : ends[1];
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return 0;
}

static int open_terminal(Exec *exec, int theirs[3], InaError *error)
{
    int ours, slave;
    if (openpty(&ours, &slave, NULL, NULL, NULL) < 0)
        return ina_error_errno(error, errno, "terminal");
    fcntl(ours, F_SETFL, O_NONBLOCK);
    fcntl(ours, F_SETFD, FD_CLOEXEC);
    fcntl(slave, F_SETFD, FD_CLOEXEC);
    exec->output[0].fd = exec->input = ours;
    theirs[0] = slave;
    theirs[1] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
    theirs[2] = fcntl(slave, F_DUPFD_CLOEXEC, 3);
    return 0;
}

static int open_streams(Exec *exec, int theirs[3], InaError *error)
{
    int r;
    if (exec->terminal)
        return open_terminal(exec, theirs, error);
    if (exec->want_in) {
        if ((r = open_pipe(&exec->input, &theirs[0], true, error)) < 0)
            return r;
    } else {
        theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    for (int i = 0; i < 2; i++) {
        if (!exec->want_out[i])
            theirs[i + 1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
        else if ((r = open_pipe(&exec->output[i].fd, &theirs[i + 1], false, error)) < 0)
            return r;
    }
    return 0;
}

static int start(Exec *exec, const ContainerSetup *setup, InaError *error)
{
    int theirs[3] = {-1, -1, -1};
    AUTO_FREE char *program = NULL;
    int r = image_find_program(NULL, exec->command[0], &program, error);
    if (r == 0)
        r = open_streams(exec, theirs, error);
    ChildOptions options;
    container_setup_child(setup, &options);
    options.program = program;
    options.arguments = exec->command;
    options.standard = theirs;
    options.terminal = exec->terminal;
    options.exited = handle_exited;
    options.userdata = exec;
    if (r == 0)
        r = child_start(exec->execs->host->children, &options, &exec->child, error);
    for (size_t i = 0; i < 3; i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    for (int i = 0; r == 0 && i < 2; i++)
        if (exec->output[i].fd >= 0)
            r = sd_event_add_io(exec->execs->host->event, &exec->output[i].source, exec->output[i].fd, EPOLLIN,
                                handle_output, &exec->output[i]);
    return r < 0 ? -EIO : 0;
}

/* It could not be started: told as Kubernetes does, on the error channel. */
static void fail(Exec *exec, const char *message)
{
    Buffer frame = {0};
    AUTO_JSON json_t *status = json_pack("{s:{}, s:s, s:s, s:s, s:i}", "metadata", "status", "Failure", "message",
                                         message, "reason", "InternalError", "code", 500);
    AUTO_FREE char *text = status ? json_dumps(status, JSON_COMPACT) : NULL;
    if (text)
        send_channel(exec, 3, text, strlen(text));
    websocket_close(&frame, 1000);
    (void)http_tunnel_write(exec->tunnel, frame.data, frame.size);
    buffer_free(&frame);
    exec_free(exec);
}

static void handle_opened(void *userdata, HttpTunnel *tunnel)
{
    Exec *exec = userdata;
    InaError error = {0};
    exec->tunnel = tunnel;
    if (!tunnel) {
        exec_free(exec);
        return;
    }
    const ContainerSetup *setup = exec->container ? container_present(exec->container) : NULL;
    if (!setup)
        fail(exec, "container not running");
    else if (start(exec, setup, &error) < 0)
        fail(exec, error.message);
}

/* --- the request ------------------------------------------------------------------------------ */

/* As Kubernetes reads it: whatever is there is true, but for what says no. (Some clients write True.) */
static bool flag(const InaHttpRequest *request, const char *name)
{
    const char *text = ina_http_query(request, name);
    return text && strcmp(text, "0") != 0 && strcasecmp(text, "false") != 0;
}

typedef struct Arguments {
    char *items[EXEC_ARGUMENTS_MAX + 1];
    size_t count;
    bool failed;
} Arguments;

static bool take_argument(void *userdata, const char *name, const char *value)
{
    Arguments *arguments = userdata;
    if (arguments->count == EXEC_ARGUMENTS_MAX || !(arguments->items[arguments->count] = strdup(value)))
        arguments->failed = true;
    else
        arguments->count++;
    return !arguments->failed;
}

static bool offers(const char *list, const char *protocol)
{
    size_t length = strlen(protocol);
    while (list && *list) {
        list += strspn(list, ", ");
        size_t part = strcspn(list, ", ");
        if (part == length && strncmp(list, protocol, length) == 0)
            return true;
        list += part;
    }
    return false;
}

/* The newest that both know; NULL: none. */
static const char *choose_protocol(const InaHttpRequest *request, Exec *exec)
{
    static const char *const known[] = {"v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io",
                                        "channel.k8s.io", "base64.channel.k8s.io"};
    const char *offered = ina_http_header(request, "Sec-WebSocket-Protocol");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!offers(offered, known[i]))
            continue;
        exec->v5 = i == 0;
        exec->base64 = strstr(known[i], "base64") != NULL;
        return known[i];
    }
    return offered ? NULL : "";
}

static int take_request(Exec *exec, InaHttpRequest *request, const char **ret_protocol, char accept[WEBSOCKET_KEY_SIZE],
                        InaError *error)
{
    Arguments arguments = {0};
    http_request_each(request, "command", take_argument, &arguments);
    exec->command = calloc(arguments.count + 1, sizeof *exec->command);
    for (size_t i = 0; i < arguments.count; i++) {
        if (exec->command)
            exec->command[i] = arguments.items[i];
        else
            free(arguments.items[i]);
    }
    if (!exec->command || arguments.failed)
        return ina_error_set(error, E2BIG, "command: too many arguments");
    if (arguments.count == 0)
        return ina_error_set(error, EINVAL, "you must specify at least one command for the container");
    *ret_protocol = choose_protocol(request, exec);
    if (!*ret_protocol)
        return ina_error_set(error, EINVAL,
                             "Sec-WebSocket-Protocol: none is known of \"%s\"; v5.channel.k8s.io and "
                             "v4.channel.k8s.io are",
                             ina_http_header(request, "Sec-WebSocket-Protocol"));
    exec->terminal = flag(request, "tty");
    exec->want_in = flag(request, "stdin");
    exec->want_out[0] = flag(request, "stdout");
    exec->want_out[1] = flag(request, "stderr");
    return websocket_accept(ina_http_header(request, "Sec-WebSocket-Key"), accept, error);
}

void exec_begin(Execs *execs, InaHttpRequest *request, Container *container)
{
    char accept[WEBSOCKET_KEY_SIZE];
    const char *protocol = NULL;
    InaError error = {0};
    Exec *exec = execs->count < EXEC_MAX ? calloc(1, sizeof *exec) : NULL;
    if (!exec)
        return ina_http_respond_text(request, 503, "too many commands run on this node\n");
    *exec = (Exec){.execs = execs, .next = execs->first, .container = container, .input = -1};
    exec->output[0] = (ExecStream){.exec = exec, .fd = -1, .channel = 1};
    exec->output[1] = (ExecStream){.exec = exec, .fd = -1, .channel = 2};
    execs->first = exec;
    execs->count++;
    if (take_request(exec, request, &protocol, accept, &error) < 0) {
        exec_free(exec);
        return ina_http_respond_text(request, 400, "%s\n", error.message);
    }
    const HttpTunnelEvents events = {
        .received = handle_received, .drained = handle_drained, .ended = handle_ended, .userdata = exec};
    ina_http_set_header(request, "Sec-WebSocket-Accept", accept);
    if (protocol[0])
        ina_http_set_header(request, "Sec-WebSocket-Protocol", protocol);
    http_respond_upgrade(request, "websocket", &events, handle_opened);
}

Execs *execs_new(const ContainerHost *host)
{
    Execs *execs = calloc(1, sizeof *execs);
    if (execs)
        execs->host = host;
    return execs;
}

void execs_end(Execs *execs, const Container *container)
{
    for (Exec *exec = execs->first; exec; exec = exec->next) {
        if (container && exec->container != container)
            continue;
        exec->container = NULL;
        if (exec->child)
            child_signal(exec->child, SIGKILL);
    }
}

void execs_close(Execs *execs)
{
    for (Exec *exec = execs ? execs->first : NULL, *next; exec; exec = next) {
        next = exec->next;
        if (exec->tunnel)
            exec_free(exec);
    }
}

Execs *execs_free(Execs *execs)
{
    while (execs && execs->first)
        exec_free(execs->first);
    free(execs);
    return NULL;
}
