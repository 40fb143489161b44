/* proxy.h - the service proxy: listens where services are and spreads the
 * connections over their ready endpoints, as kube-proxy's rules do.
 *
 * In process isolation all nodes share the machine's network, so the addresses
 * of services (cluster ones, and external ones of loopback) are listened on once, by the proxy
 * of the machine, which goes on when a node is frozen; node ports by each
 * node at its own address. TCP only. A service without a ready endpoint resets
 * its clients; a connection to an endpoint that is gone is cut. */
#pragma once

#include "cluster/instance.h"
#include "kube/client.h"

#define PROXY_LISTENERS_MAX 4096u
#define PROXY_CONNECTIONS_MAX 8192u
#define PROXY_TRIES_MAX 8u /* endpoints tried for one connection */

typedef struct Proxy Proxy;

typedef struct ProxyOptions {
    sd_event *event;
    KubeClient *client;
    const Instance *instance;
    const char *node_address; /* node ports at this address; NULL: cluster and external addresses */
    void (*problem)(void *userdata, const char *text); /* for the log: a listener that could not be opened */
    void *userdata;
} ProxyOptions;

int proxy_new(const ProxyOptions *options, Proxy **ret, InaError *error);
Proxy *proxy_free(Proxy *proxy);
