/* api_http.h - the API over HTTPS: paths, content types, watches, Tables,
 * discovery, OpenAPI, and what is passed on to nodes (logs, exec). */
#pragma once

#include "api.h"

#include "base/http_tunnel.h"

#define API_BODY_MAX (3u * 1024u * 1024u) /* as kube-apiserver; 413 above */
#define API_WATCHES_MAX 4096u
#define API_PORT 10260

typedef struct ApiHttp ApiHttp;

typedef struct ApiHttpOptions {
    Api *api;
    Authenticator *authenticator;
    HttpServer *server;  /* with TLS; its "/" is ours */
    HttpDialer *nodes;   /* for logs and exec, with the control plane's certificate */
    const char *address; /* "127.17.8.20:10260", told to clients */
} ApiHttpOptions;

int api_http_new(const ApiHttpOptions *options, ApiHttp **ret, InaError *error);
/* Behind the Api, which does not answer any more then, and before the server and the store. */
ApiHttp *api_http_free(ApiHttp *http);
