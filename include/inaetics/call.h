/* call.h - services described by a .proto contract: providing and calling.
 *
 * The generator (tools/protoc-gen-inaetics) makes from each service of a
 * .proto file a contract, a table of functions for the provider and typed
 * functions for the caller. Whether both are in one process or on two nodes
 * neither can tell.
 *
 * All functions are called in the loop's thread. Times are CLOCK_MONOTONIC
 * nanoseconds. */
#pragma once

#include <inaetics/error.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

#define INA_SECOND UINT64_C(1000000000)
#define INA_MILLISECOND UINT64_C(1000000)
#define INA_MICROSECOND UINT64_C(1000)

/* Connect's error codes (connectrpc.com/docs/protocol, "Error Codes"). */
typedef enum InaCode {
    INA_CODE_OK = 0,
    INA_CODE_CANCELED = 1,
    INA_CODE_UNKNOWN = 2,
    INA_CODE_INVALID_ARGUMENT = 3,
    INA_CODE_DEADLINE_EXCEEDED = 4,
    INA_CODE_NOT_FOUND = 5,
    INA_CODE_ALREADY_EXISTS = 6,
    INA_CODE_PERMISSION_DENIED = 7,
    INA_CODE_RESOURCE_EXHAUSTED = 8,
    INA_CODE_FAILED_PRECONDITION = 9,
    INA_CODE_ABORTED = 10,
    INA_CODE_OUT_OF_RANGE = 11,
    INA_CODE_UNIMPLEMENTED = 12,
    INA_CODE_INTERNAL = 13,
    INA_CODE_UNAVAILABLE = 14,
    INA_CODE_DATA_LOSS = 15,
    INA_CODE_UNAUTHENTICATED = 16,
} InaCode;

const char *ina_code_name(InaCode code);      /* "not_found"; never NULL */
InaCode ina_code_from_name(const char *name); /* INA_CODE_UNKNOWN for a name that is none */

typedef struct InaFailure {
    InaCode code;
    const char *message; /* valid during the callback */
} InaFailure;

/* --- contracts (made by the generator) --------------------------------- */

typedef struct InaCall InaCall;
typedef struct InaClient InaClient;
typedef struct InaPending InaPending;

typedef void (*InaFunction)(void); /* any function pointer, cast back before use */

typedef enum InaMethodFlags {
    INA_METHOD_REPEATABLE = 1, /* idempotency_level IDEMPOTENT or NO_SIDE_EFFECTS: may be sent again */
    INA_METHOD_READS = 2,      /* NO_SIDE_EFFECTS: asks, and does nothing */
} InaMethodFlags;

typedef struct InaMethod {
    const char *name; /* as in the .proto: "Put" */
    const ProtobufCMessageDescriptor *input;
    const ProtobufCMessageDescriptor *output;
    unsigned flags;
    /* Calls `done`, a callback of this method's type, with the typed reply. */
    void (*deliver)(InaFunction done, void *userdata, const ProtobufCMessage *reply, const InaFailure *failure);
} InaMethod;

typedef struct InaContract {
    const char *name;   /* full service name, "demonstrator.v1.Queue" */
    const char *digest; /* hex of the descriptors; equal digests have equal message layouts */
    unsigned n_methods;
    const InaMethod *methods;
    /* Calls function `method` of a provider's table. */
    void (*dispatch)(const void *table, unsigned method, void *self, InaCall *call, const ProtobufCMessage *request);
} InaContract;

/* --- providing ---------------------------------------------------------- */

/* A provider's function gets a call and answers it exactly once, then or
 * later, by one of these two; the call is gone afterwards. The request
 * belongs to the call and lives as long. The reply is copied or sent before
 * ina_call_reply returns. A call that is never answered fails with
 * deadline_exceeded; answering it then does nothing (it is still the
 * provider's duty, it frees the call). */
void ina_call_reply(InaCall *call, const ProtobufCMessage *reply);
void ina_call_fail(InaCall *call, InaCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));

uint64_t ina_call_deadline(const InaCall *call);  /* UINT64_MAX when there is none */
const char *ina_call_caller(const InaCall *call); /* agent id or address of the caller; never NULL */

/* `cancelled` runs once when the caller left or the deadline passed before
 * the answer: undo what was promised, then answer as usual to free the call
 * (inside the callback or later). */
void ina_call_on_cancel(InaCall *call, void (*cancelled)(InaCall *call, void *userdata), void *userdata);

/* --- calling ------------------------------------------------------------ */

typedef void (*InaDone)(void *userdata, const ProtobufCMessage *reply, const InaFailure *failure);

/* What the generated typed functions call. `client` is a required service as
 * the framework injected it. The request is copied or sent before this
 * returns. `done` is called exactly once, never before this returns, with
 * either a reply or a failure, both valid during the callback; it is not
 * called after ina_pending_cancel or after the calling component stopped.
 * timeout 0 means the default of 30 s. Returns NULL only when out of memory
 * for the call itself (then `done` is not called). */
InaPending *ina_client_call(InaClient *client, unsigned method, const ProtobufCMessage *request, uint64_t timeout,
                            InaFunction done, void *userdata);
void ina_pending_cancel(InaPending *pending); /* takes NULL; `pending` is gone once done was called */

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
