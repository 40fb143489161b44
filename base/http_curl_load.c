/* http_curl_load.c - see http_curl_load.h. */
#include "http_curl_load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

HttpCurlFunctions http_curl;

static bool find_all(void *library, HttpCurlFunctions *ret)
{
#define HTTP_CURL_FIND(name)                                                                                           \
    if (!(ret->name = (__typeof__(&name))dlsym(library, #name)))                                                       \
        return false;
    HTTP_CURL_FUNCTIONS(HTTP_CURL_FIND)
#undef HTTP_CURL_FIND
    return true;
}

int http_curl_load(InaError *error)
{
    static const char *const names[] = {"libcurl-gnutls.so.4", "libcurl.so.4"};

    for (size_t i = 0; !http_curl.curl_easy_init && i < sizeof(names) / sizeof(names[0]); i++) {
        HttpCurlFunctions found = {0};
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library && find_all(library, &found))
            http_curl = found;
        else if (library)
            dlclose(library);
    }
    if (http_curl.curl_easy_init)
        return 0;
    return ina_error_set(error, EPROTONOSUPPORT, "fetching from a host name needs libcurl, which cannot be loaded");
}
