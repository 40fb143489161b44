/* http_curl_load.h - libcurl, loaded when first needed: it comes with thirty
 * libraries, whose memory and start-up every process would pay for a client
 * of host names that hardly any of them uses.
 *
 * Included instead of curl/curl.h by http_client_curl.c, for which the
 * functions' names mean the loaded ones. */
#pragma once

#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>
#include <inaetics/error.h>

#undef curl_easy_getinfo
#undef curl_easy_setopt
#undef curl_multi_setopt

#define HTTP_CURL_FUNCTIONS(F)                                                                                         \
    F(curl_easy_cleanup)                                                                                               \
    F(curl_easy_getinfo)                                                                                               \
    F(curl_easy_init)                                                                                                  \
    F(curl_easy_setopt)                                                                                                \
    F(curl_easy_strerror)                                                                                              \
    F(curl_global_cleanup)                                                                                             \
    F(curl_global_init)                                                                                                \
    F(curl_multi_add_handle)                                                                                           \
    F(curl_multi_assign)                                                                                               \
    F(curl_multi_cleanup)                                                                                              \
    F(curl_multi_info_read)                                                                                            \
    F(curl_multi_init)                                                                                                 \
    F(curl_multi_remove_handle)                                                                                        \
    F(curl_multi_setopt)                                                                                               \
    F(curl_multi_socket_action)                                                                                        \
    F(curl_multi_timeout)                                                                                              \
    F(curl_slist_append)                                                                                               \
    F(curl_slist_free_all)

#define HTTP_CURL_MEMBER(name) __typeof__(&name) name;
typedef struct HttpCurlFunctions {
    HTTP_CURL_FUNCTIONS(HTTP_CURL_MEMBER)
} HttpCurlFunctions;
#undef HTTP_CURL_MEMBER

/* Written once, by the first http_curl_load that succeeds. */
extern HttpCurlFunctions http_curl;

/* -EPROTONOSUPPORT: it is not installed. It stays loaded. */
int http_curl_load(InaError *error);
