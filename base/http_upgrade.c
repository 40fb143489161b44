/* http_upgrade.c - connections that stop being HTTP.
 *
 * libmicrohttpd's own upgrade passes the bytes of a TLS connection on through a
 * pair of sockets, in pieces as small as what its memory pool has left: four
 * bytes. So it is only told to leave the connection alone (suspended), and we
 * speak over its socket and TLS session until the end. */
#include "http_internal.h"
#include "http_tunnel_internal.h"
#include "map.h"
#include "soon.h"

#include <stdlib.h>

struct HttpUpgrade {
    HttpConnection *connection;
    HttpTunnel *tunnel; /* NULL: done with the connection */
    HttpTunnelEvents events;
    sd_event_source *opening; /* `opened` is to be called */
    void (*opened)(void *userdata, HttpTunnel *tunnel);
    HttpHandler handler; /* of the request */
    const void *handler_userdata;
};

/* The tunnel is done with the socket, which libmicrohttpd closes now. */
static void on_finish(void *userdata)
{
    HttpUpgrade *upgrade = userdata;
    HttpConnection *connection = upgrade->connection;

    upgrade->tunnel = NULL;
    if (!connection)
        return;
    connection->left = true;
    if (connection->suspended)
        http_resume(connection);
}

static int on_opening(sd_event_source *source, void *userdata)
{
    HttpUpgrade *upgrade = userdata;

    upgrade->opening = sd_event_source_disable_unref(upgrade->opening);
    if (upgrade->tunnel)
        http_tunnel_set_events(upgrade->tunnel, &upgrade->events);
    upgrade->opened(upgrade->events.userdata, upgrade->tunnel);
    return 0;
}

static int send_head(const InaHttpRequest *request, HttpTunnel *tunnel, const char *protocol)
{
    Buffer head = {0};

    buffer_print(&head, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", protocol);
    for (unsigned i = 0; i < request->n_headers; i++)
        buffer_print(&head, "%s: %s\r\n", request->header_names[i], request->header_values[i]);
    buffer_print(&head, "\r\n");
    int r = head.failed ? -1 : http_tunnel_write(tunnel, head.data, head.size);
    buffer_free(&head);
    return r;
}

static HttpTunnel *make_tunnel(HttpUpgrade *upgrade)
{
    HttpConnection *connection = upgrade->connection;
    HttpServer *server = connection->listener->server;
    HttpTlsSession *tls = NULL;

    if (server->certificate) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
        tls = info ? http_tls_session_borrow(info->tls_session, connection->fd) : NULL;
        if (!tls)
            return NULL;
    }
    HttpTunnel *tunnel = http_tunnel_new(server->event, connection->fd, tls, NULL, 0, on_finish, upgrade);
    if (!tunnel)
        http_tls_session_free(tls);
    return tunnel;
}

void http_respond_upgrade(InaHttpRequest *request, const char *protocol, const HttpTunnelEvents *events,
                          void (*opened)(void *userdata, HttpTunnel *tunnel))
{
    HttpConnection *connection = request->connection;
    HttpUpgrade *upgrade = connection ? calloc(1, sizeof *upgrade) : NULL;

    if (!upgrade) {
        http_answer(request, MHD_HTTP_SWITCHING_PROTOCOLS, NULL, NULL);
        opened(events->userdata, NULL);
        return;
    }
    *upgrade = (HttpUpgrade){.connection = connection,
                             .events = *events,
                             .opened = opened,
                             .handler = request->handler,
                             .handler_userdata = request->handler_userdata};
    connection->upgrade = upgrade;
    connection->request = NULL;
    if (!connection->suspended)
        http_suspend(connection);
    http_unwatch(connection);
    upgrade->tunnel = make_tunnel(upgrade);
    if (!upgrade->tunnel || send_head(request, upgrade->tunnel, protocol) < 0 ||
        soon(request->server->event, &upgrade->opening, on_opening, upgrade) < 0) {
        HttpTunnel *tunnel = upgrade->tunnel;
        http_upgrade_cut(upgrade);
        http_tunnel_close(tunnel);
        on_finish(upgrade);
        opened(events->userdata, NULL);
    }
    http_request_free(request);
}

void http_upgrade_cut(HttpUpgrade *upgrade)
{
    HttpTunnel *tunnel = upgrade->tunnel;

    if (tunnel)
        http_tunnel_cut(tunnel);
    if (tunnel && upgrade->opening) /* nobody has it yet */
        http_tunnel_close(tunnel);
}

/* libmicrohttpd is about to close the connection. */
void http_upgrade_gone(HttpUpgrade *upgrade)
{
    upgrade->connection = NULL;
    http_upgrade_cut(upgrade);
    if (upgrade->opening)
        upgrade->opened(upgrade->events.userdata, NULL);
    sd_event_source_disable_unref(upgrade->opening);
    free(upgrade);
}

bool http_upgrade_is_of(const HttpUpgrade *upgrade, HttpHandler handler, const void *handler_userdata)
{
    return upgrade->handler == handler && upgrade->handler_userdata == handler_userdata;
}
