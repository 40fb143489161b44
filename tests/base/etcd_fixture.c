/* etcd_fixture.c - see etcd_fixture.h. */
#include "etcd_fixture.h"

#include "base/pki.h"
#include "tests/leftovers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- recorders ---- */

void record_result(void *userdata, const EtcdReply *reply)
{
    Result *result = userdata;
    Buffer kvs = {0};

    result->done++;
    result->code = reply->code;
    snprintf(result->message, sizeof(result->message), "%s", reply->message);
    result->revision = reply->revision;
    result->lease = reply->lease;
    result->ttl = reply->ttl;
    result->succeeded = reply->succeeded;
    result->n_kvs = reply->n_kvs;
    for (size_t i = 0; i < reply->n_kvs; i++) {
        assert_int_equal(reply->kvs[i].value[reply->kvs[i].value_size], '\0');
        buffer_print(&kvs, "%s%s=%.20s", i > 0 ? " " : "", reply->kvs[i].key, reply->kvs[i].value);
    }
    snprintf(result->kvs, sizeof(result->kvs), "%s", kvs.data ? kvs.data : "");
    buffer_free(&kvs);
    result->mod_revision = reply->n_kvs ? reply->kvs[0].mod_revision : 0;
    result->value_size = reply->n_kvs ? reply->kvs[0].value_size : 0;
}

void finish_request(sd_event *event, EtcdRequest *request, const Result *result)
{
    assert_non_null(request);
    assert_int_equal(result->done, 0); /* never before the call returned */
    wait_until(event, result->done > 0);
    assert_int_equal(result->done, 1);
}

void seen_init(Seen *seen)
{
    *seen = (Seen){.values = map_new()};
}

void seen_clear(Seen *seen)
{
    size_t position = 0;
    void *value;

    while (map_next(seen->values, &position, NULL, &value))
        free(value);
    map_free(seen->values);
    *seen = (Seen){0};
}

void record_change(void *userdata, const EtcdKeyValue *kv)
{
    Seen *seen = userdata;

    free(map_remove(seen->values, kv->key));
    if (kv->value) {
        seen->changed++;
        map_set(seen->values, kv->key, strndup(kv->value, kv->value_size));
    } else {
        seen->gone++;
    }
}

void record_synced(void *userdata, bool connected)
{
    Seen *seen = userdata;

    if (connected)
        seen->synced++;
    else
        seen->lost++;
    seen->connected = connected;
}

const char *seen_value(const Seen *seen, const char *key)
{
    const char *value = map_get(seen->values, key);

    return value ? value : "";
}

/* --- a real etcd ---- */

static char program[4096];

static int find_program(const char *fetch_server, const char *build)
{
    char command[8192];

    snprintf(command, sizeof(command), "'%s' etcd-server etcd '%s'", fetch_server, build);
    FILE *output = popen(command, "r");
    if (!output || !fgets(program, sizeof(program), output))
        program[0] = '\0';
    program[strcspn(program, "\n")] = '\0';
    if (output)
        pclose(output);
    return program[0] ? 0 : -ENOENT;
}

static int listen_on_loopback(char *ret_url, size_t size, const char *scheme)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 100), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(ret_url, size, "%s://127.0.0.1:%u", scheme, ntohs(address.sin_port));
    return fd;
}

int real_etcd_new(RealEtcd *etcd, const char *fetch_server, const char *build)
{
    static const char *const addresses[] = {"127.0.0.1"};
    char folder[] = "/tmp/inaetics-etcd-XXXXXX", pki[64];
    InaError error = {0};

    *etcd = (RealEtcd){0};
    if (find_program(fetch_server, build) < 0 || !make_test_folder(folder))
        return -ENOENT;
    etcd->folder = strdup(folder);
    snprintf(pki, sizeof(pki), "%s/pki", folder);
    if (pki_ensure_ca(pki, "Inaetics test", &error) < 0 ||
        pki_ensure_certificate(pki, "etcd", PKI_SERVER_AND_CLIENT, "inaetics", addresses, 1, &error) < 0 ||
        pki_ensure_certificate(pki, "client", PKI_CLIENT, "inaetics", NULL, 0, &error) < 0) {
        print_error("%s\n", error.message);
        return -EIO;
    }
    snprintf(etcd->ca, sizeof(etcd->ca), "%s/ca.pem", pki);
    snprintf(etcd->certificate, sizeof(etcd->certificate), "%s/client.pem", pki);
    snprintf(etcd->key, sizeof(etcd->key), "%s/client-key.pem", pki);
    etcd->tls = (HttpClientOptions){.ca_file = etcd->ca, .certificate_file = etcd->certificate, .key_file = etcd->key};
    /* Two ports that are free now; nobody else is given them at once. */
    int client = listen_on_loopback(etcd->url, sizeof(etcd->url), "https");
    int peer = listen_on_loopback(etcd->peer_url, sizeof(etcd->peer_url), "http");
    close(client);
    close(peer);
    return 0;
}

static void run_etcd(const RealEtcd *etcd)
{
    char data[128], log[128], cluster[128], certificate[128], key[128];

    snprintf(data, sizeof(data), "%s/data", etcd->folder);
    snprintf(log, sizeof(log), "%s/log", etcd->folder);
    snprintf(cluster, sizeof(cluster), "default=%s", etcd->peer_url);
    snprintf(certificate, sizeof(certificate), "%s/pki/etcd.pem", etcd->folder);
    snprintf(key, sizeof(key), "%s/pki/etcd-key.pem", etcd->folder);
    const char *const arguments[] = {
        "etcd",
        "--data-dir",
        data,
        "--listen-client-urls",
        etcd->url,
        "--advertise-client-urls",
        etcd->url,
        "--listen-peer-urls",
        etcd->peer_url,
        "--initial-advertise-peer-urls",
        etcd->peer_url,
        "--initial-cluster",
        cluster,
        "--cert-file",
        certificate,
        "--key-file",
        key,
        "--trusted-ca-file",
        etcd->ca,
        "--client-cert-auth",
        "--heartbeat-interval=50",
        "--election-timeout=500",
        "--logger=zap",
        "--log-level=warn",
        NULL,
    };

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(log, O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(program, (char *const *)arguments);
    _exit(127);
}

static void show_log(const RealEtcd *etcd)
{
    char path[128], *text;

    snprintf(path, sizeof(path), "%s/log", etcd->folder);
    if (file_read(path, 1 << 20, &text, NULL, NULL) == 0)
        print_error("%s\n", text);
    free(text);
}

void real_etcd_start(RealEtcd *etcd)
{
    sd_event *event;
    Etcd *client;
    Result result = {.code = -1};

    etcd->pid = fork();
    if (etcd->pid == 0)
        run_etcd(etcd);
    assert_true(etcd->pid > 0);
    assert_int_equal(sd_event_new(&event), 0);
    assert_int_equal(etcd_new(event, etcd->url, &etcd->tls, &client, NULL), 0);
    for (time_t end = time(NULL) + 60; time(NULL) < end && result.code != 0;) {
        if (waitpid(etcd->pid, NULL, WNOHANG) != 0) {
            show_log(etcd);
            fail_msg("etcd ended at its start");
        }
        result = (Result){0};
        finish_request(event, etcd_get(client, "x", false, record_result, &result), &result);
        if (result.code == EACCES) /* it has accounts, and answers */
            result.code = 0;
        if (result.code != 0)
            usleep(50000);
    }
    etcd_free(client);
    sd_event_unref(event);
    if (result.code != 0) {
        show_log(etcd);
        fail_msg("etcd does not answer: %s", result.message);
    }
}

void real_etcd_kill(RealEtcd *etcd)
{
    if (etcd->pid <= 0)
        return;
    kill(etcd->pid, SIGKILL);
    waitpid(etcd->pid, NULL, 0);
    etcd->pid = 0;
}

void real_etcd_free(RealEtcd *etcd)
{
    real_etcd_kill(etcd);
    if (etcd->folder)
        folder_remove(etcd->folder, NULL);
    free(etcd->folder);
    *etcd = (RealEtcd){0};
}

/* --- a server that says what it is told ---- */

typedef struct Connection {
    FakeEtcd *fake;
    int fd;
} Connection;

/* Reads one request; false: the client left. */
static bool read_request(int fd, char *text, size_t size)
{
    size_t used = 0, needed = SIZE_MAX;

    while (used < needed) {
        ssize_t n = read(fd, text + used, size - 1 - used);
        if (n <= 0)
            return false;
        used += (size_t)n;
        text[used] = '\0';
        const char *body = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length:");
        if (body)
            needed = (size_t)(body + 4 - text) + (length ? strtoul(length + 17, NULL, 10) : 0);
    }
    return true;
}

static bool send_all(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        text += n;
        size -= (size_t)n;
    }
    return true;
}

static bool send_chunk(int fd, const char *text, size_t size)
{
    char head[32];

    snprintf(head, sizeof(head), "%zx\r\n", size);
    return send_all(fd, head, strlen(head)) && send_all(fd, text, size) && send_all(fd, "\r\n", 2);
}

static void send_flood(int fd)
{
    static char block[65536];

    memset(block, 'x', sizeof(block));
    while (send_chunk(fd, block, sizeof(block)))
        ;
}

static void send_huge(int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000\r\n\r\n";
    static char block[65536];

    if (!send_all(fd, head, strlen(head)))
        return;
    memset(block, ' ', sizeof(block));
    while (send_all(fd, block, sizeof(block)))
        ;
}

static void wait_for_end(int fd)
{
    char text[256];

    while (read(fd, text, sizeof(text)) > 0)
        ;
}

/* False: the connection is over. */
static bool give(int fd, const Answer *answer)
{
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    char head[128];

    switch (answer->kind) {
    case ANSWER_PLAIN:
        snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n",
                 answer->status ? answer->status : 200, strlen(answer->body));
        return send_all(fd, head, strlen(head)) && send_all(fd, answer->body, strlen(answer->body));
    case ANSWER_RAW:
        send_all(fd, answer->body, strlen(answer->body));
        return false;
    case ANSWER_STREAM:
        if (send_all(fd, chunked, strlen(chunked)) && send_chunk(fd, answer->body, strlen(answer->body)))
            wait_for_end(fd);
        return false;
    case ANSWER_ENDED:
        if (!send_all(fd, chunked, strlen(chunked)))
            return false;
        for (const char *line = answer->body; *line;) {
            size_t size = strcspn(line, "\n");
            size += line[size] == '\n';
            if (!send_chunk(fd, line, size))
                return false;
            line += size;
        }
        return send_all(fd, "0\r\n\r\n", 5);
    case ANSWER_FLOOD:
        if (send_all(fd, chunked, strlen(chunked)) && send_chunk(fd, answer->body, strlen(answer->body)))
            send_flood(fd);
        return false;
    case ANSWER_HUGE:
        send_huge(fd);
        return false;
    case ANSWER_SILENT:
        wait_for_end(fd);
        return false;
    }
    return false;
}

static Answer choose(FakeEtcd *fake, const char *request)
{
    static const char health[] = "{\"key\":\"aGVhbHRo\"}";
    Answer chosen = {.path = "", .status = 404, .body = "{}"};

    pthread_mutex_lock(&fake->lock);
    if (fake->health && strstr(request, health)) {
        chosen = (Answer){.path = "", .body = fake->health};
    } else {
        fake->requests++;
        for (Answer *answer = fake->answers; answer->path; answer++) {
            size_t length = strlen(answer->path);
            if (strncmp(request, "POST ", 5) != 0 || strncmp(request + 5, answer->path, length) != 0 ||
                request[5 + length] != ' ' || (answer->times > 0 && answer->given >= answer->times))
                continue;
            answer->given++;
            chosen = *answer;
            break;
        }
    }
    pthread_mutex_unlock(&fake->lock);
    return chosen;
}

static void *serve(void *userdata)
{
    Connection connection = *(Connection *)userdata;
    static _Thread_local char request[1 << 18];

    free(userdata);
    while (read_request(connection.fd, request, sizeof(request))) {
        const Answer answer = choose(connection.fake, request);
        if (!give(connection.fd, &answer))
            break;
    }
    shutdown(connection.fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *userdata)
{
    FakeEtcd *fake = userdata;
    int fd;

    while ((fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        if (fake->n_connections == FAKE_CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        Connection *connection = malloc(sizeof(*connection));
        *connection = (Connection){fake, fd};
        fake->connections[fake->n_connections] = fd;
        pthread_create(&fake->threads[fake->n_connections], NULL, serve, connection);
        fake->n_connections++;
    }
    return NULL;
}

void fake_etcd_start(FakeEtcd *fake, Answer *answers, const char *health)
{
    *fake = (FakeEtcd){.answers = answers, .health = health};
    pthread_mutex_init(&fake->lock, NULL);
    fake->listener = listen_on_loopback(fake->url, sizeof(fake->url), "http");
    pthread_create(&fake->thread, NULL, accept_all, fake);
}

void fake_etcd_stop(FakeEtcd *fake)
{
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listener);
    for (unsigned i = 0; i < fake->n_connections; i++) {
        shutdown(fake->connections[i], SHUT_RDWR);
        pthread_join(fake->threads[i], NULL);
        close(fake->connections[i]);
    }
    pthread_mutex_destroy(&fake->lock);
}

unsigned fake_etcd_given(FakeEtcd *fake, size_t answer)
{
    pthread_mutex_lock(&fake->lock);
    unsigned given = fake->answers[answer].given;
    pthread_mutex_unlock(&fake->lock);
    return given;
}
