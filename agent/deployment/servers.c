/* servers.c - which provisioning servers there are: those told, or those that
 * etcd lists. */
#include "deployment.h"

#include "base/cleanup.h"
#include "base/etcd.h"
#include "base/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX "/inaetics/node-provisioning-service/"
#define RECORD_MAX 4096u

/* Tokens go over plain HTTP to loopback addresses only. */
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

static int check_url(const char *url, InaError *error)
{
    if (strlen(url) >= SERVER_URL_MAX)
        return ina_error_set(error, EINVAL, "a provisioning server's url has more than %u characters", SERVER_URL_MAX);
    if (!is_loopback(url))
        return ina_error_set(error, EINVAL,
                             "provisioning server %.100s is not asked: its token may go to http:// at a loopback "
                             "address only",
                             url);
    return 0;
}

/* --- the list ----------------------------------------------------------------------- */

static void add(Deployment *deployment, const char *key, const char *url)
{
    Servers *servers = &deployment->servers;
    InaError error = {0};

    if (check_url(url, &error) < 0 || servers->n == SERVERS_MAX) {
        ina_log(deployment->component, INA_LOG_WARNING, "%s",
                error.code ? error.message : "there are more provisioning servers than can be kept");
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

int servers_open(Deployment *deployment, InaError *error)
{
    const char *endpoints = getenv("INAETICS_ETCD");
    AUTO_FREE char *list = strdup(deployment->provisioning);
    char *rest = list, *url;

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
    *servers = (Servers){0};
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
        char *copy = strdup(why);
        free(servers->last_problem);
        servers->last_problem = copy;
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
