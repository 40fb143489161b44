/* http_client.h - HTTP/1.1 client in the process's loop: plain HTTP to addresses
 * and unix sockets by itself, https and host names over libcurl's multi
 * interface. Kept-alive connections, deadlines, no proxies from the
 * environment, no redirects. Options per fetch: inaetics/http.h. */
#pragma once

#include <inaetics/http.h>
#include <systemd/sd-event.h>

#define HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX 64u
#define HTTP_CLIENT_FETCHES_MAX 4096u
#define HTTP_CLIENT_RESPONSE_MAX (64u * 1024u * 1024u)

typedef struct HttpClient HttpClient;

typedef struct HttpClientOptions {
    /* For https: PEM files. Only servers that `ca` signed are accepted. */
    const char *ca_file, *certificate_file, *key_file;
    unsigned connections_per_host; /* 0: HTTP_CLIENT_CONNECTIONS_PER_HOST_MAX */
    /* Called before (begins) and after each callback of a fetch; or NULL. */
    void (*around)(void *userdata, bool begins);
    void *userdata;
} HttpClientOptions;

int http_client_new(sd_event *event, const HttpClientOptions *options, HttpClient **ret, InaError *error);
/* userdata and callbacks as in InaHttpFetchOptions. */
InaHttpFetch *http_client_fetch(HttpClient *client, const InaHttpFetchOptions *options, InaError *error);
/* `done` will not be called. Not ina_http_fetch_cancel, the component's, so that a bundle with its own copy of this
 * library cancels what its own copy began (maps are not shared by copies: each has its own hash key). */
void http_fetch_cancel(InaHttpFetch *fetch);
HttpClient *http_client_free(HttpClient *client); /* open fetches are dropped, `done` is not called */
