/* peers.h - a provider that does what the test says, its next version, and a caller. */
#pragma once

#include "core_fixture.h"

typedef enum Manner { ANSWER, HOLD, FAIL } Manner;

#define HELD_MAX 64
extern Manner manner;           /* of the provider */
extern InaCall *held[HELD_MAX]; /* not answered yet */
extern int n_held, n_entered, n_cancelled;
extern bool answer_in_stop, unavailable_in_stop;
extern ProtobufCMessage *seen;                    /* the last request that was answered */
void on_cancelled(InaCall *call, void *userdata); /* counts; userdata: &n_cancelled */
void reply_to(InaCall *call, const char *text);

extern InaContract next_contract; /* next_v1_echo_contract under the name of the first */
extern const InaComponentClass servers[1];
extern const InaComponentClass next_servers[1]; /* answers with "next " before the text */

typedef struct Caller {
    InaClient *echo;
    InaComponent *component;
} Caller;

extern Caller *caller;                          /* the one that runs */
extern const InaComponentClass callers[1];      /* wants the service optionally */
extern const InaComponentClass next_callers[1]; /* by its next version */

typedef struct Answer {
    int count;
    InaCode code; /* INA_CODE_OK: a reply */
    char text[256];
    uint64_t number;
} Answer;

void done(void *userdata, const Test__V1__SayReply *reply, const InaFailure *failure); /* fills the Answer */
InaPending *call_say(const char *text, uint64_t timeout, Answer *answer);

extern ComponentSet *server_set, *caller_set; /* started by the setup, removed by the teardown */
int peers_setup(void **state);
int peers_teardown(void **state);
