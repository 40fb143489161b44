#include "provider.h"
#include "base/files.h"
#include "base/http_server.h"
#include "base/pki.h"
#include "framework/call.h"
#include "framework/internal.h"
#include "remote/connect_server.h"
#include "sampler.service.h"
#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* --- the process -------------------------------------------------------- */

static unsigned cancelled_calls;
static sd_event *loop;

static void echo(void *self, InaCall *call, const Sampler__V1__Everything *request)
{
    Sampler__V1__Everything reply = *request;
    if (self)
        reply.int32_value = *(const int *)self;
    if (strcmp(request->text, "cancelled?") == 0)
        reply.uint32_value = cancelled_calls;
    ina_call_reply(call, &reply.base);
}

static void refuse(void *self, InaCall *call, const Sampler__V1__FailRequest *request)
{
    ina_call_fail(call, (InaCode)request->code, "%s", request->message);
}

static void wait_cancelled(InaCall *call, void *userdata)
{
    cancelled_calls++;
    sd_event_source_disable_unref(userdata);
    ina_call_fail(call, INA_CODE_CANCELED, "cancelled");
}

static int wait_over(sd_event_source *source, uint64_t when, void *userdata)
{
    InaCall *call = userdata;
    uint64_t now = ina_now(), deadline = ina_call_deadline(call);
    Sampler__V1__WaitReply reply = SAMPLER__V1__WAIT_REPLY__INIT;
    char caller[300];
    snprintf(caller, sizeof(caller), "%s", ina_call_caller(call));
    reply.caller = caller;
    reply.deadline_ms = deadline == UINT64_MAX ? -1 : (int64_t)(deadline - now) / 1000000;
    sd_event_source_disable_unref(source);
    ina_call_reply(call, &reply.base);
    return 0;
}

static void wait_some(void *self, InaCall *call, const Sampler__V1__WaitRequest *request)
{
    sd_event_source *source;
    uint64_t when = request->milliseconds ? ina_now() / 1000 + request->milliseconds * 1000 : UINT64_MAX;
    if (sd_event_add_time(loop, &source, CLOCK_MONOTONIC, when, 1, wait_over, call) < 0)
        abort();
    ina_call_on_cancel(call, wait_cancelled, source);
}

static const SamplerV1Sampler sampler = {.echo = echo, .fail = refuse, .wait = wait_some};

static void invoke(void *self, InaCall *call, unsigned method, const ProtobufCMessage *request)
{
    sampler_v1_sampler_contract.dispatch(&sampler, method, self, call, request);
}

static ServiceEntry *offer(Framework *framework, const InaContract *contract, bool exported, int *number)
{
    ServiceEntry *entry;
    ServiceDescription description = {
        .contract = contract, .invoke = invoke, .exported = exported, .object = {.self = number}};
    if (registry_add(framework, &description, &entry, NULL) < 0)
        abort();
    return entry;
}

static char *read_pem(const char *folder, const char *name)
{
    char *path = path_join(folder, name), *text = NULL;
    size_t size;
    InaError error = {0};
    if (file_read(path, 65536, &text, &size, &error) < 0)
        fprintf(stderr, "provider: %s\n", error.message);
    free(path);
    return text;
}

static int open_http(const char *folder, HttpServer **ret, InaError *error)
{
    if (!folder)
        return http_server_new(loop, NULL, ret, error);
    char *certificate = read_pem(folder, "server.pem"), *key = read_pem(folder, "server-key.pem");
    int r = http_server_new(loop, &(HttpServerOptions){.certificate = certificate, .key = key}, ret, error);
    free(certificate);
    free(key);
    return r;
}

static int serve(int report, int port, const char *folder)
{
    /* As the agent does (agent/memory.h). */
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024);
    mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
    InaContract hidden = sampler_v1_sampler_contract;
    hidden.name = "sampler.v1.Hidden";
    Framework *framework;
    HttpServer *http;
    ConnectServer *server;
    InaError error = {0};
    ConnectServerOptions options = {.agent = PROVIDER_AGENT, .token = PROVIDER_TOKEN};
    FrameworkOptions framework_options = {.agent_id = PROVIDER_AGENT};
    char address[64], line[256], name[CONNECT_ENDPOINT_MAX], second_name[CONNECT_ENDPOINT_MAX];
    snprintf(address, sizeof(address), "127.0.0.1:%d", port);
    if (sd_event_default(&loop) < 0 || framework_open(loop, &framework_options, &framework, &error) < 0 ||
        open_http(folder, &http, &error) < 0 || http_server_listen(http, address, &error) < 0 ||
        connect_server_new(framework, http, &options, &server, &error) < 0) {
        fprintf(stderr, "provider: %s\n", error.message);
        return 1;
    }
    ServiceEntry *entry = offer(framework, &sampler_v1_sampler_contract, true, NULL);
    ServiceEntry *second = offer(framework, &sampler_v1_sampler_contract, true, &(int){2});
    ServiceEntry *not_exported = offer(framework, &hidden, false, NULL);
    connect_endpoint_name(entry, name);
    connect_endpoint_name(second, second_name);
    int n = snprintf(line, sizeof(line), "%s %s %s", strrchr(http_server_address(http, 0), ':') + 1, name, second_name);
    sd_event_add_signal(loop, NULL, SIGTERM, NULL, NULL);
    if (write(report, line, (size_t)n) != n)
        return 1;
    close(report);
    sd_event_loop(loop);
    connect_server_free(server);
    http_server_free(http);
    registry_remove(entry);
    registry_remove(second);
    registry_remove(not_exported);
    framework_close(framework);
    sd_event_unref(loop);
    return 0;
}

static void start(Provider *provider, int port, const char *folder)
{
    int pipe_fds[2];
    char line[256] = "";
    assert_int_equal(pipe(pipe_fds), 0);
    fflush(NULL);
    provider->pid = fork();
    assert_true(provider->pid >= 0);
    if (provider->pid == 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pipe_fds[0]);
        exit(serve(pipe_fds[1], port, folder));
    }
    close(pipe_fds[1]);
    if (read(pipe_fds[0], line, sizeof(line) - 1) <= 0)
        fail_msg("the provider did not start");
    close(pipe_fds[0]);
    char *names = line;
    provider->port = (int)strtol(line, &names, 10);
    assert_int_equal(sscanf(names, "%63s %63s", provider->endpoint, provider->second), 2);
    snprintf(provider->url, sizeof(provider->url), "%s://127.0.0.1:%d", folder ? "https" : "http", provider->port);
}

void provider_start_at(Provider *provider, int port)
{
    start(provider, port, NULL);
}

void provider_start_secure(Provider *provider, const char *folder)
{
    static const char *const addresses[] = {"127.0.0.1"};
    InaError error = {0};
    if (pki_ensure_ca(folder, "Test CA", &error) < 0 ||
        pki_ensure_certificate(folder, "server", PKI_SERVER_AND_CLIENT, "Servers", addresses, 1, &error) < 0 ||
        pki_ensure_certificate(folder, "client", PKI_CLIENT, "Clients", NULL, 0, &error) < 0)
        fail_msg("%s", error.message);
    start(provider, 0, folder);
}

void provider_start(Provider *provider)
{
    provider_start_at(provider, 0);
}

void provider_stop(Provider *provider)
{
    int status;
    /* In this order: a late SIGCONT would wake what the leak check has stopped. */
    kill(provider->pid, SIGCONT);
    kill(provider->pid, SIGTERM);
    assert_int_equal(waitpid(provider->pid, &status, 0), provider->pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the provider ended with status %#x", (unsigned)status);
}

/* --- sockets ------------------------------------------------------------ */

int raw_connect(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval patience = {.tv_sec = 20};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail_msg("connect to port %d: %s", port, strerror(errno));
    return fd;
}

void raw_send(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* refused early: the answer says why */
        data += n;
        size -= (size_t)n;
    }
}

void raw_receive(int fd, Answer *answer)
{
    size_t used = 0;
    char *end = NULL;
    *answer = (Answer){0};
    while (!end && used < sizeof(answer->head) - 1) {
        ssize_t n = recv(fd, answer->head + used, 1, 0);
        if (n < 0 && errno == EAGAIN)
            fail_msg("no answer for 20 s");
        if (n <= 0)
            return;
        used += (size_t)n;
        end = strstr(answer->head, "\r\n\r\n");
    }
    const char *length = strcasestr(answer->head, "\r\nContent-Length:");
    size_t expected = length ? strtoul(length + 17, NULL, 10) : 0;
    while (answer->size < expected && answer->size < sizeof(answer->body) - 1) {
        ssize_t n = recv(fd, answer->body + answer->size, sizeof(answer->body) - 1 - answer->size, 0);
        if (n <= 0)
            break;
        answer->size += (size_t)n;
    }
    answer->status = (int)strtol(answer->head + 9, NULL, 10);
}

void raw_ask(int port, const char *text, Answer *answer)
{
    int fd = raw_connect(port);
    raw_send(fd, text, strlen(text));
    raw_receive(fd, answer);
    close(fd);
}

void raw_post(int port, const char *path, const char *more, const char *body, size_t size, Answer *answer)
{
    char head[2048];
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " PROVIDER_TOKEN
                     "\r\nContent-Length: %zu\r\n%s\r\n",
                     path, size, more);
    int fd = raw_connect(port);
    raw_send(fd, head, (size_t)n);
    raw_send(fd, body, size);
    raw_receive(fd, answer);
    close(fd);
}
