/* connect.h - what server and client share of the Connect protocol
 * (connectrpc.com/docs/protocol): unary calls over HTTP/1.1,
 * `POST /<package.Service>/<Method>`, application/proto or application/json.
 *
 * Beyond the protocol there are two headers. X-Inaetics-Agent names the
 * caller. X-Inaetics-Endpoint, "<agent>/<endpoint>" as in the discovery
 * records, addresses one of several providers of a contract; without it the
 * best one answers. When it is not offered (any more) the answer is 410 with
 * the code unavailable: pods come back under the same address. */
#pragma once

#include "base/map.h"
#include "framework/registry.h"
#include <inaetics/call.h>

#define CONNECT_HEADER_VERSION "Connect-Protocol-Version"
#define CONNECT_HEADER_TIMEOUT "Connect-Timeout-Ms"
#define CONNECT_HEADER_AGENT "X-Inaetics-Agent"
#define CONNECT_HEADER_ENDPOINT "X-Inaetics-Endpoint"

#define CONNECT_TYPE_PROTO "application/proto"
#define CONNECT_TYPE_JSON "application/json"

#define CONNECT_TIMEOUT_DIGITS 10u /* of Connect-Timeout-Ms, by the protocol */
#define CONNECT_DEADLINE_MAX (600 * INA_SECOND)
#define CONNECT_MESSAGE_MAX 512u  /* bytes of an error's message, with its NUL */
#define CONNECT_ENDPOINT_MAX 320u /* bytes of an endpoint's name, with its NUL */

#define CONNECT_STATUS_GONE 410

/* "HTTP to Error Code" and "Error Codes" of the protocol. */
int connect_status(InaCode code);
InaCode connect_code(int status);

/* An error as JSON, appended. */
void connect_error_print(const InaFailure *failure, Buffer *buffer);
/* The error of an answer that was no 200: from its body, else by its status. */
typedef struct ConnectError {
    InaCode code;
    char message[CONNECT_MESSAGE_MAX];
} ConnectError;
void connect_error_parse(int status, const char *body, size_t size, ConnectError *ret);

/* The name under which a local service is published: "demonstrator.v1.Queue-12". */
void connect_endpoint_name(const ServiceEntry *entry, char name[static CONNECT_ENDPOINT_MAX]);
