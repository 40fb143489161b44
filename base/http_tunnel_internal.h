/* http_tunnel_internal.h - making tunnels. */
#pragma once

#include "http_client_tls.h"
#include "http_tunnel.h"

/* Takes `fd` (non-blocking) and `tls` (NULL: plain) unless NULL is returned: out of memory. `finish` closes the socket
 * instead of close(). Held until events are set. `early`: what was read already. */
HttpTunnel *http_tunnel_new(sd_event *event, int fd, HttpTlsSession *tls, const void *early, size_t size,
                            void (*finish)(void *userdata), void *userdata);
/* The socket is to go now: no callback follows but `ended`. */
void http_tunnel_cut(HttpTunnel *tunnel);
