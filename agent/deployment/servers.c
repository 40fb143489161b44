/* servers.c - which provisioning servers there are: those told, or those that
 * etcd lists; and what is wrong with them.
 *
 * Tokens go to servers that an authority vouches for (https), or that are on
 * this machine (http at loopback addresses); to nobody else a byte is sent. */
#include "deployment.h"

#include "base/cleanup.h"
#include "base/etcd.h"
#include "base/files.h"
#include "base/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define PREFIX "/inaetics/node-provisioning-service/"
#define RECORD_MAX 4096u

static bool is_secure(const char *url)
{
    return strncmp(url, "https://", strlen("https://")) == 0;
}

static bool is_loopback(const char *url)
{
    struct in_addr four;
    struct in6_addr six;
    char host[64];
    const char *at = url + strlen("http://"), *end;

    if (strncmp(url, "http://", strlen("http://")) != 0)
        return false;
    bool brackets = *at == '[';
    end = brackets ? strchr(at, ']') : at + strcspn(at, ":/");
    at += brackets;
    if (!end || end <= at || (size_t)(end - at) >= sizeof host)
        return false;
    memcpy(host, at, (size_t)(end - at));
    host[end - at] = '\0';
    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static int check_url(const Deployment *deployment, const char *url, InaError *error)
{
    if (strlen(url) >= SERVER_URL_MAX)
        return ina_error_set(error, EINVAL, "a provisioning server's url has more than %u characters", SERVER_URL_MAX);
    if (is_secure(url) && !deployment->servers.authority)
        return ina_error_set(error, EINVAL,
                             "provisioning server %.100s is not asked: nobody is trusted to vouch for it; "
                             "INAETICS_PROVISIONING_CA must name the file with its authority's certificate",
                             url);
    if (!is_secure(url) && !is_loopback(url))
        return ina_error_set(error, EINVAL,
                             "provisioning server %.100s is not asked: tokens go to https://, or to http:// at a "
                             "loopback address such as 127.0.0.1, only",
                             url);
    return 0;
}

/* --- the list ----------------------------------------------------------------------- */

static void add(Deployment *deployment, const char *key, const char *url)
{
    Servers *servers = &deployment->servers;
    InaError error = {0};

    if (check_url(deployment, url, &error) < 0 || servers->n == SERVERS_MAX) {
        const char *why = error.code ? error.message : "there are more provisioning servers than can be kept";
        ina_log(deployment->component, INA_LOG_WARNING, "%s", why);
        (void)deployment_set_text(&servers->refused, why);
        return;
    }
    Server *server = &servers->list[servers->n];
    server->key = strdup(key);
    if (!server->key)
        return;
    (void)snprintf(server->url, sizeof server->url, "%s", url);
    size_t length = strlen(server->url);
    if (server->url[length - 1] == '/')
        server->url[length - 1] = '\0';
    servers->n++;
    /* Somebody new: no reason to wait any longer. */
    servers->wait_until = 0;
    deployment_wake(deployment, 0);
}

static void drop(Deployment *deployment, size_t index)
{
    Servers *servers = &deployment->servers;

    free(servers->list[index].key);
    memmove(&servers->list[index], &servers->list[index + 1], (--servers->n - index) * sizeof(Server));
    memset(&servers->list[servers->n], 0, sizeof(Server));
    if (index == servers->current) {
        events_ask_again(deployment);
        servers->current = 0;
        /* It may be silent; without another one there is nothing to lose by waiting for it. */
        if (servers->n > 0)
            talk_interrupt(deployment);
    } else if (index < servers->current) {
        servers->current--;
    }
}

static void on_changed(void *userdata, const EtcdKeyValue *kv)
{
    Deployment *deployment = userdata;
    Servers *servers = &deployment->servers;
    AUTO_JSON json_t *record = NULL;
    const char *url = NULL;

    if (kv->value && json_parse(kv->value, kv->value_size, RECORD_MAX, &record, NULL) == 0)
        url = json_string_value(json_object_get(record, "url"));
    for (size_t i = 0; i < servers->n; i++) {
        if (strcmp(servers->list[i].key, kv->key) != 0)
            continue;
        if (url && strcmp(servers->list[i].url, url) == 0)
            return;
        drop(deployment, i);
        break;
    }
    if (url)
        add(deployment, kv->key, url);
    else
        free(TAKE_PTR(servers->refused));
    deployment_wake(deployment, 0);
}

static int watch_etcd(Deployment *deployment, const char *endpoints, InaError *error)
{
    Servers *servers = &deployment->servers;
    const char *pki = getenv("INAETICS_PKI");

    int r = sd_event_default(&servers->event);
    if (r < 0)
        return ina_error_errno(error, r, "event loop");
    r = pki && *pki ? etcd_open(servers->event, endpoints, pki, "client", &servers->etcd, error)
                    : etcd_new(servers->event, endpoints, NULL, &servers->etcd, error);
    if (r < 0)
        return r;
    servers->mirror = etcd_mirror_new(servers->etcd, PREFIX, on_changed, NULL, deployment);
    return servers->mirror ? 0 : ina_error_set(error, ENOMEM, "out of memory");
}

/* The one it is told, or else the one that vouches for etcd, where there is such a file. */
static int find_authority(Deployment *deployment, InaError *error)
{
    Servers *servers = &deployment->servers;
    const char *pki = getenv("INAETICS_PKI"), *certificate = deployment->certificate;
    bool is_told = *deployment->authority;

    if (*certificate && access(certificate, R_OK) < 0)
        return ina_error_errno(error, errno, "INAETICS_PROVISIONING_CERTIFICATE: %s", certificate);
    if (!is_told && (!pki || !*pki))
        return 0;
    AUTO_FREE char *path = is_told ? strdup(deployment->authority) : path_join(pki, "ca.pem");
    if (!path)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (access(path, R_OK) < 0)
        return is_told ? ina_error_errno(error, errno, "INAETICS_PROVISIONING_CA: %s", path) : 0;
    servers->authority = TAKE_PTR(path);
    return ina_http_trust(deployment->component, servers->authority, *certificate ? certificate : NULL, error);
}

int servers_open(Deployment *deployment, InaError *error)
{
    const char *endpoints = getenv("INAETICS_ETCD");
    AUTO_FREE char *list = strdup(deployment->provisioning);
    char *rest = list, *url;

    int r = find_authority(deployment, error);
    if (r < 0)
        return r;
    if (!list)
        return ina_error_set(error, ENOMEM, "out of memory");
    if (!*list)
        return endpoints && *endpoints ? watch_etcd(deployment, endpoints, error) : 0;
    while ((url = strsep(&rest, ",")))
        if (*url)
            add(deployment, "", url);
    return 0;
}

void servers_close(Deployment *deployment)
{
    Servers *servers = &deployment->servers;

    etcd_mirror_free(servers->mirror);
    etcd_free(servers->etcd);
    sd_event_unref(servers->event);
    for (size_t i = 0; i < servers->n; i++)
        free(servers->list[i].key);
    free(servers->last_problem);
    free(servers->authority);
    free(servers->refused);
    *servers = (Servers){0};
}

/* --- what is wrong -------------------------------------------------------------------- */

const char *servers_missing(const Deployment *deployment)
{
    return deployment->servers.refused ? deployment->servers.refused : "no provisioning server is known";
}

const char *servers_problem(const Deployment *deployment, const InaHttpResponse *response, char *buffer, size_t size)
{
    const Servers *servers = &deployment->servers;
    AUTO_JSON json_t *json = NULL;

    if (response->status == 0 && response->error.code == EACCES && strstr(response->error.message, "certificate")) {
        (void)snprintf(
            buffer, size,
            "%s Nothing was sent to it: its certificate must be valid, for the host in the url, and signed by "
            "%s (INAETICS_PROVISIONING_CA)",
            response->error.message, servers->authority);
        return buffer;
    }
    if (response->status == 0)
        return response->error.message;
    if (response->status >= 300 && response->status <= 399) {
        (void)snprintf(buffer, size, "it answers %d: redirects are not followed; its own url must be told",
                       response->status);
        return buffer;
    }
    if (response->body && response->size <= SERVER_PROBLEM_MAX)
        (void)json_parse(response->body, response->size, SERVER_PROBLEM_MAX, &json, NULL);
    const char *message = json_string_value(json_object_get(json, "message"));
    (void)snprintf(buffer, size, "it answers %d%s%.200s", response->status, message ? ": " : "",
                   message ? message : "");
    return buffer;
}

/* --- choosing ------------------------------------------------------------------------- */

const char *servers_url(Deployment *deployment)
{
    Servers *servers = &deployment->servers;

    if (servers->n == 0 || ina_now() < servers->wait_until)
        return NULL;
    return servers->list[servers->current].url;
}

/* Between a half and the whole of it: many agents do not come at once. */
static uint64_t spread(uint64_t pause)
{
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    return pause / 2 + (pause / 2) * random / UINT32_MAX;
}

void servers_failed(Deployment *deployment, const char *why)
{
    Servers *servers = &deployment->servers;

    if (servers->n == 0 || !why)
        return;
    const char *url = servers->list[servers->current].url;
    if (!servers->last_problem || strcmp(servers->last_problem, why) != 0) {
        ina_log(deployment->component, INA_LOG_WARNING, "provisioning server %s: %s", url, why);
        (void)deployment_set_text(&servers->last_problem, why);
    }
    deployment_waits(deployment, "provisioning server %s: %s", url, why);
    servers->failures++;
    if (servers->n > 1)
        events_ask_again(deployment);
    servers->current = (servers->current + 1) % servers->n;
    if (servers->failures % servers->n == 0) {
        unsigned rounds = servers->failures / (unsigned)servers->n - 1;
        uint64_t pause = rounds < 8 ? SERVER_PAUSE_MIN << rounds : SERVER_PAUSE_MAX;
        servers->wait_until = ina_now() + spread(pause < SERVER_PAUSE_MAX ? pause : SERVER_PAUSE_MAX);
    }
    deployment_wake(deployment, servers->wait_until);
}

void servers_answered(Deployment *deployment)
{
    Servers *servers = &deployment->servers;

    if (servers->failures > 0 && servers->n > 0)
        ina_log(deployment->component, INA_LOG_INFO, "provisioning server %s answers",
                servers->list[servers->current].url);
    servers->failures = 0;
    servers->wait_until = 0;
    free(TAKE_PTR(servers->last_problem));
}
