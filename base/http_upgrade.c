/* http_upgrade.c - connections that stop being HTTP: libmicrohttpd hands out a
 * socket (with TLS the end of a pair, which it fills and empties in its runs). */
#include "http_internal.h"
#include "http_tunnel_internal.h"

#include <fcntl.h>
#include <stdlib.h>

struct HttpUpgrade {
    HttpConnection *connection; /* NULL: gone */
    HttpListener *listener;
    struct MHD_UpgradeResponseHandle *handle; /* NULL: closed */
    HttpTunnel *tunnel;
    HttpTunnelEvents events;
    void (*opened)(void *userdata, HttpTunnel *tunnel);
    HttpHandler handler; /* of the request */
    const void *handler_userdata;
};

static void upgrade_release(HttpUpgrade *upgrade)
{
    if (!upgrade->connection && !upgrade->handle && !upgrade->tunnel)
        free(upgrade);
}

/* The tunnel is done with its socket. */
static void on_finish(void *userdata)
{
    HttpUpgrade *upgrade = userdata;
    HttpListener *listener = upgrade->listener;
    struct MHD_UpgradeResponseHandle *handle = upgrade->handle;

    upgrade->tunnel = NULL;
    upgrade->handle = NULL;
    if (handle)
        MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    listener->again_wanted = true;
    if (!listener->running)
        http_listener_again(listener);
    upgrade_release(upgrade);
}

static void on_upgraded(void *userdata, struct MHD_Connection *mhd, void *state, const char *extra, size_t extra_size,
                        MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    HttpUpgrade *upgrade = userdata;
    HttpConnection *connection = state;

    if (!upgrade->connection || !connection) {
        MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
        return;
    }
    upgrade->handle = handle;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    upgrade->tunnel =
        http_tunnel_new(connection->listener->server->event, fd, NULL, extra, extra_size, on_finish, upgrade);
    void (*opened)(void *, HttpTunnel *) = upgrade->opened;
    upgrade->opened = NULL;
    if (!upgrade->tunnel) {
        opened(upgrade->events.userdata, NULL);
        on_finish(upgrade);
        return;
    }
    http_tunnel_set_events(upgrade->tunnel, &upgrade->events);
    opened(upgrade->events.userdata, upgrade->tunnel);
}

void http_respond_upgrade(InaHttpRequest *request, const char *protocol, const HttpTunnelEvents *events,
                          void (*opened)(void *userdata, HttpTunnel *tunnel))
{
    HttpConnection *connection = request->connection;
    HttpUpgrade *upgrade = connection ? calloc(1, sizeof *upgrade) : NULL;
    struct MHD_Response *response = upgrade ? MHD_create_response_for_upgrade(on_upgraded, upgrade) : NULL;

    if (!response) {
        free(upgrade);
        http_answer(request, MHD_HTTP_SWITCHING_PROTOCOLS, NULL, NULL);
        opened(events->userdata, NULL);
        return;
    }
    *upgrade = (HttpUpgrade){.connection = connection,
                             .listener = connection->listener,
                             .events = *events,
                             .opened = opened,
                             .handler = request->handler,
                             .handler_userdata = request->handler_userdata};
    connection->upgrade = upgrade;
    ina_http_set_header(request, "Upgrade", protocol);
    http_answer(request, MHD_HTTP_SWITCHING_PROTOCOLS, NULL, response);
}

void http_upgrade_gone(HttpUpgrade *upgrade)
{
    void (*opened)(void *, HttpTunnel *) = upgrade->opened;

    upgrade->opened = NULL;
    if (opened)
        opened(upgrade->events.userdata, NULL);
    upgrade->handle = NULL; /* libmicrohttpd's, and gone */
    if (upgrade->tunnel)
        http_tunnel_cut(upgrade->tunnel);
    upgrade->connection = NULL;
    upgrade_release(upgrade);
}

void http_upgrade_cut(HttpUpgrade *upgrade)
{
    if (upgrade->tunnel)
        http_tunnel_cut(upgrade->tunnel);
}

bool http_upgrade_is_of(const HttpUpgrade *upgrade, HttpHandler handler, const void *handler_userdata)
{
    return upgrade->handler == handler && upgrade->handler_userdata == handler_userdata;
}
