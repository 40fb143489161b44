/* api_fixture.h - an API over the fake store, with requests that wait for
 * their answers. */
#pragma once

#include "cluster/api/api.h"
#include "fake_store.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Fixture {
    sd_event *event;
    Store *store;
    Api *api;
    int status;       /* of the last answer */
    json_t *object;   /* its body */
    json_t *warnings; /* or NULL */
    unsigned answers;
} Fixture;

int fixture_setup(void **state); /* the first namespaces are there */
int fixture_teardown(void **state);

/* Sends the request and waits; the answer's status. */
int submit(Fixture *fixture, ApiRequest request);
void turn(Fixture *fixture); /* lets the loop work off what is to be done at once */

/* Bodies are JSON with ' for ". A text that is none fails the test. */
json_t *json_of(const char *text);
int create(Fixture *fixture, const char *key, const char *namespace, const char *body);
int update(Fixture *fixture, const char *key, const char *namespace, const char *name, const char *body);
int patch(Fixture *fixture, const char *key, const char *namespace, const char *name, const char *body);
int get(Fixture *fixture, const char *key, const char *namespace, const char *name);
int delete (Fixture *fixture, const char *key, const char *namespace, const char *name, const char *options);
const char *message(const Fixture *fixture); /* of the Status */
#define assert_answer(expected, actual) fixture_expect(fixture, expected, actual, __FILE__, __LINE__)
void fixture_expect(const Fixture *fixture, int expected, int actual, const char *file, int line);

extern const char simple_pod[], simple_rc[]; /* named "p" and "rc" */
