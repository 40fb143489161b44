/* connect_client.h - proxies of services elsewhere, which speak Connect.
 *
 * A proxy is an entry in the service registry whose calls go to another agent.
 * A call is sent with its deadline; one that a method's contract lets repeat
 * is sent again, at most CONNECT_RETRIES_MAX times and within its deadline,
 * when the transport failed (refused, reset, 503). Whatever fails ends as a
 * Connect code:
 *
 *   no answer before the deadline                   deadline_exceeded
 *   no connection, connection lost, 410, 503        unavailable
 *   an answer that is too large                     resource_exhausted
 *   an answer that is not Connect's or not the type internal, unknown
 *   an error answer                                 its own code
 *
 * One peer that hangs holds its own calls (CONNECT_CALLS_MAX of them) and
 * connections, nobody else's. The token is sent over TLS, whose client accepts
 * servers of the cluster's CA only, and over plain HTTP to loopback addresses.
 *
 * Contracts belong to bundles that come and go: whoever learns that a name's
 * contract is another one now, or none, tells it by connect_client_contract. */
#pragma once

#include "base/http_client.h"
#include "connect.h"
#include "statistics.h"

#define CONNECT_RETRIES_MAX 2u
#define CONNECT_RETRY_PAUSE (20 * INA_MILLISECOND) /* doubled for the second, up to half of it added at random */
#define CONNECT_CALLS_MAX 1024u                    /* under way to one endpoint */

typedef struct ConnectClient ConnectClient;
typedef struct ConnectProxy ConnectProxy;

typedef struct ConnectClientOptions {
    const char *agent;            /* id of this agent */
    const char *token;            /* copied; NULL: none is sent */
    const HttpClientOptions *tls; /* for https wires; may be NULL */
} ConnectClientOptions;

int connect_client_new(sd_event *event, Framework *framework, const ConnectClientOptions *options, ConnectClient **ret,
                       InaError *error);
/* The contract of that name is now this one; NULL: nobody has it any more, calls under way fail. */
void connect_client_contract(ConnectClient *client, const char *name, const InaContract *contract);
const RemoteStatistics *connect_client_statistics(const ConnectClient *client);
/* Proxies must be freed; calls under way fail with unavailable. */
ConnectClient *connect_client_free(ConnectClient *client);

typedef struct ConnectProxyOptions {
    const InaContract *contract;
    const char *url;      /* of the wire: "http://127.1.1.2:8080" */
    const char *security; /* of the wire: "token", "none" */
    const char *agent;    /* who offers it */
    const char *endpoint; /* its name there; NULL: none is asked for */
    const InaProperties *properties;
    /* A call was not delivered, or not answered in time. The proxy may be freed inside. */
    void (*failed)(void *userdata);
    void *userdata;
} ConnectProxyOptions;

/* Adds the entry to the registry. Everything is copied. -EINVAL: such a wire cannot be used. */
int connect_proxy_new(ConnectClient *client, const ConnectProxyOptions *options, ConnectProxy **ret, InaError *error);
/* Address and properties are others now; of `options` only these are looked at. */
int connect_proxy_change(ConnectProxy *proxy, const ConnectProxyOptions *options, InaError *error);
ServiceEntry *connect_proxy_entry(const ConnectProxy *proxy);
/* The entry goes at once; calls under way may end as they would. */
ConnectProxy *connect_proxy_free(ConnectProxy *proxy);
