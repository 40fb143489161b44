/* exec.c - `inaetics exec`: a command beside a container, over a WebSocket of the
 * Kubernetes API (channels of v4.channel.k8s.io). */
#include "cli.h"

#include "base/cleanup.h"
#include "base/http_tunnel.h"
#include "base/json.h"
#include "cluster/node/websocket.h"
#include "cluster/up/up.h"
#include "kube/object.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>

#define EXEC_PATH_MAX 8192u
#define EXEC_CONNECT (10 * UINT64_C(1000000000))
#define READ_SIZE 16384u
#define STATUS_MAX 65536u

enum { CHANNEL_STDIN = 0, CHANNEL_STDOUT = 1, CHANNEL_STDERR = 2, CHANNEL_STATUS = 3, CHANNEL_SIZE = 4 };

typedef struct Exec {
    const Instance *instance;
    sd_event *event;
    HttpDialer *dialer;
    HttpTunnel *tunnel;
    WebSocket socket;
    sd_event_source *input;
    bool tty, raw;
    struct termios before;
    int status; /* exit status; -1: nothing was said yet */
    /* An answer that refuses: its body as it comes. */
    int refused; /* HTTP status */
    size_t refusal_size;
    Buffer refusal;
} Exec;

static void finish(Exec *exec, int status)
{
    exec->status = status;
    sd_event_exit(exec->event, 0);
}

/* --- what goes -------------------------------------------------------------------------------- */

static void send_channel(Exec *exec, int channel, const void *data, size_t size)
{
    Buffer frame = {0};
    websocket_frame_masked(&frame, WEBSOCKET_BINARY, channel, data, size);
    if (!frame.failed && http_tunnel_write(exec->tunnel, frame.data, frame.size) == -ENOBUFS && exec->input)
        sd_event_source_set_enabled(exec->input, SD_EVENT_OFF); /* until what waits is sent */
    buffer_free(&frame);
}

static void send_size(Exec *exec)
{
    struct winsize size;
    char text[64];
    if (!exec->tty || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return;
    int length = snprintf(text, sizeof text, "{\"Width\":%u,\"Height\":%u}", size.ws_col, size.ws_row);
    send_channel(exec, CHANNEL_SIZE, text, (size_t)length);
}

/* In v4 there is no way to say that stdin has ended, but by leaving; so the command's end is awaited. */
static void read_input(Exec *exec)
{
    char data[READ_SIZE];
    ssize_t size = read(STDIN_FILENO, data, sizeof data);
    if (size > 0)
        send_channel(exec, CHANNEL_STDIN, data, (size_t)size);
    else if (size == 0 || errno != EAGAIN)
        exec->input = sd_event_source_disable_unref(exec->input);
}

static int handle_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    read_input(userdata);
    return 0;
}

/* A file cannot be waited for, but is always ready. */
static int handle_file(sd_event_source *source, void *userdata)
{
    read_input(userdata);
    return 0;
}

static int handle_resize(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    send_size(userdata);
    return 0;
}

/* --- what comes ------------------------------------------------------------------------------- */

/* {"status":"Success"}, or a failure with the exit code among its causes. */
static void take_status(Exec *exec, const char *text, size_t size)
{
    AUTO_JSON json_t *status = NULL;
    if (json_parse(text, size, STATUS_MAX, &status, NULL) < 0)
        return finish(exec, cli_fail("it is not known how the command ended"));
    if (strcmp(kube_string(status, "status"), "Success") == 0)
        return finish(exec, CLI_OK);
    const json_t *cause;
    size_t i;
    json_array_foreach(kube_get(status, "details.causes"), i, cause)
    {
        if (strcmp(kube_string(cause, "reason"), "ExitCode") == 0)
            return finish(exec, (int)strtol(kube_string(cause, "message"), NULL, 10) & 255);
    }
    finish(exec, cli_fail("%s", kube_string(status, "message")));
}

static bool handle_message(void *userdata, int opcode, const void *data, size_t size)
{
    Exec *exec = userdata;
    const char *bytes = data;
    if (opcode == WEBSOCKET_CLOSE) {
        if (exec->status < 0)
            finish(exec, cli_fail("the connection was closed before the command ended"));
        return false;
    }
    if (opcode == WEBSOCKET_PING) {
        Buffer frame = {0};
        websocket_frame_masked(&frame, WEBSOCKET_PONG, -1, data, size);
        http_tunnel_write(exec->tunnel, frame.data, frame.size);
        buffer_free(&frame);
    }
    if ((opcode != WEBSOCKET_BINARY && opcode != WEBSOCKET_TEXT) || size == 0)
        return true;
    FILE *to = bytes[0] == CHANNEL_STDOUT ? stdout : bytes[0] == CHANNEL_STDERR ? stderr : NULL;
    if (to && (fwrite(bytes + 1, 1, size - 1, to) != size - 1 || fflush(to) != 0)) {
        finish(exec, CLI_FAILED); /* nobody reads any more */
        return false;
    }
    if (bytes[0] == CHANNEL_STATUS)
        take_status(exec, bytes + 1, size - 1);
    return true;
}

static void handle_received(void *userdata, const void *data, size_t size)
{
    Exec *exec = userdata;
    InaError error = {0};
    if (websocket_receive(&exec->socket, data, size, handle_message, exec, &error) < 0)
        finish(exec, cli_fail("%s", error.message));
}

static void handle_drained(void *userdata)
{
    Exec *exec = userdata;
    if (exec->input)
        sd_event_source_set_enabled(exec->input, SD_EVENT_ON);
}

static void handle_ended(void *userdata, const InaError *error)
{
    Exec *exec = userdata;
    if (exec->status < 0)
        finish(exec, cli_fail("%s", error ? error->message : "the connection ended before the command"));
}

/* --- the beginning ------------------------------------------------------------------------------ */

static void begin_input(Exec *exec)
{
    int r = sd_event_add_io(exec->event, &exec->input, STDIN_FILENO, EPOLLIN, handle_input, exec);
    if (r == -EPERM && sd_event_add_defer(exec->event, &exec->input, handle_file, exec) >= 0)
        sd_event_source_set_enabled(exec->input, SD_EVENT_ON);
    if (!exec->tty)
        return;
    if (tcgetattr(STDIN_FILENO, &exec->before) == 0) {
        struct termios raw = exec->before;
        cfmakeraw(&raw);
        exec->raw = tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) == 0;
    }
    send_size(exec);
}

/* {"kind":"Status","message":...} usually. */
static void say_refusal(Exec *exec)
{
    AUTO_JSON json_t *status = NULL;
    if (!exec->refusal.failed && exec->refusal.size > 0)
        json_parse(exec->refusal.data, exec->refusal.size, STATUS_MAX, &status, NULL);
    const char *message = kube_string(status, "message");
    finish(exec, message[0] ? cli_fail("%s", message)
                            : cli_fail("refused (HTTP status %d): is there such a pod and container, and does it run? "
                                       "`inaetics pods` shows it",
                                       exec->refused));
}

static void handle_refusal(void *userdata, const void *data, size_t size)
{
    Exec *exec = userdata;
    if (size > exec->refusal_size - exec->refusal.size)
        size = exec->refusal_size - exec->refusal.size;
    buffer_append(&exec->refusal, data, size);
    if (exec->status < 0 && (exec->refusal.failed || exec->refusal.size == exec->refusal_size))
        say_refusal(exec);
}

static void handle_refusal_ended(void *userdata, const InaError *error)
{
    Exec *exec = userdata;
    if (exec->status < 0)
        say_refusal(exec);
}

static void read_refusal(Exec *exec, const HttpDialAnswer *answer)
{
    HttpTunnelEvents events = {.received = handle_refusal, .ended = handle_refusal_ended, .userdata = exec};
    char length[24] = "";
    exec->refused = answer->status;
    if (http_dial_header(answer, "Content-Length", length, sizeof length))
        exec->refusal_size = strtoul(length, NULL, 10);
    if (exec->refusal_size == 0 || exec->refusal_size > STATUS_MAX)
        return say_refusal(exec);
    http_tunnel_set_events(exec->tunnel, &events);
}

static void handle_answer(void *userdata, const HttpDialAnswer *answer)
{
    Exec *exec = userdata;
    if (answer->error.code)
        return finish(exec, up_find(exec->instance) <= 0 ? cli_nothing_runs(exec->instance, answer->error.message)
                                                         : cli_fail("%s", answer->error.message));
    exec->tunnel = answer->tunnel;
    HttpTunnelEvents events = {
        .received = handle_received, .drained = handle_drained, .ended = handle_ended, .userdata = exec};
    if (answer->status != 101)
        return read_refusal(exec, answer);
    http_tunnel_set_events(exec->tunnel, &events);
    begin_input(exec);
}

static void add_escaped(char *path, size_t size, const char *name, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t length = strlen(path);
    length += (size_t)snprintf(path + length, size - length, "&%s=", name);
    for (; *value && length + 4 < size; value++)
        length += (size_t)snprintf(path + length, size - length, strchr(plain, *value) ? "%c" : "%%%02X",
                                   (unsigned char)*value);
}

static int make_url(const Arguments *arguments, const Instance *instance, const char *pod, bool tty, char *ret,
                    size_t size)
{
    size_t whole = EXEC_PATH_MAX / 2;
    int first = strcmp(arguments->items[1], "--") == 0 ? 2 : 1;
    for (int i = first; i < arguments->count; i++)
        whole += 3 * strlen(arguments->items[i]) + sizeof "&command=";
    if (whole > size)
        return cli_fail("the command is too long: %u bytes at most", EXEC_PATH_MAX / 8);
    snprintf(ret, size, "%s/api/v1/namespaces/default/pods/%s/exec?stdin=true&stdout=true&stderr=%s&tty=%s",
             instance->api_url, pod, tty ? "false" : "true", tty ? "true" : "false");
    if (arguments->container)
        add_escaped(ret, size, "container", arguments->container);
    for (int i = first; i < arguments->count; i++)
        add_escaped(ret, size, "command", arguments->items[i]);
    return CLI_OK;
}

static int dial(Exec *exec, const Instance *instance, const char *url, InaError *error)
{
    AUTO_FREE char *ca = instance_path(instance, "pki/ca.pem"), *key = instance_path(instance, "pki/admin-key.pem"),
                   *certificate = instance_path(instance, "pki/admin.pem");
    if (!ca || !key || !certificate)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (access(ca, R_OK) < 0)
        return ina_error_set(error, ENOENT, "there is no instance in %s; start one with `inaetics up`", instance->data);
    HttpClientOptions tls = {.ca_file = ca, .certificate_file = certificate, .key_file = key};
    unsigned char nonce[16];
    char encoded[32], key_header[64];
    randombytes_buf(nonce, sizeof nonce);
    sodium_bin2base64(encoded, sizeof encoded, nonce, sizeof nonce, sodium_base64_VARIANT_ORIGINAL);
    snprintf(key_header, sizeof key_header, "Sec-WebSocket-Key: %s", encoded);
    const char *const headers[] = {"Connection: Upgrade",
                                   "Upgrade: websocket",
                                   "Sec-WebSocket-Version: 13",
                                   "Sec-WebSocket-Protocol: v4.channel.k8s.io",
                                   key_header,
                                   NULL};
    HttpDialOptions options = {.url = url,
                               .headers = headers,
                               .upgrade = true,
                               .timeout = EXEC_CONNECT,
                               .answered = handle_answer,
                               .userdata = exec};
    int r = http_dialer_new(exec->event, &tls, &exec->dialer, error);
    return r < 0 ? r : http_dial(exec->dialer, &options, error) ? 0 : -error->code;
}

static int run(Exec *exec, const Instance *instance, const char *url, InaError *error)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGWINCH);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    signal(SIGPIPE, SIG_IGN);
    int r = sd_event_new(&exec->event);
    if (r >= 0)
        r = sd_event_add_signal(exec->event, NULL, SIGWINCH, handle_resize, exec);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    if ((r = dial(exec, instance, url, error)) < 0)
        return r;
    r = sd_event_loop(exec->event);
    return r < 0 ? ina_error_errno(error, r, "event loop") : 0;
}

int command_exec(const Arguments *arguments, Instance *instance)
{
    InaError error = {0};
    char url[EXEC_PATH_MAX] = "";
    bool tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    Exec exec = {.instance = instance, .tty = tty, .status = -1, .socket.client = true};
    AUTO_JSON json_t *pod = cli_find_pod(instance, arguments->items[0]);
    if (!pod || make_url(arguments, instance, kube_name(pod), tty, url, sizeof url) != CLI_OK || sodium_init() < 0)
        return CLI_FAILED;
    if (run(&exec, instance, url, &error) < 0)
        exec.status = cli_fail("%s", error.message);
    if (exec.raw)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &exec.before);
    sd_event_source_disable_unref(exec.input);
    http_tunnel_close(exec.tunnel);
    http_dialer_free(exec.dialer);
    websocket_clear(&exec.socket);
    buffer_free(&exec.refusal);
    sd_event_unref(exec.event);
    return exec.status;
}
