/* objects.h - short forms of objects for the tests of the controllers. */
#pragma once

#include "kube/object.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* JSON with ' for ", printf-like; fails the test when it is none. New reference. */
json_t *object_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
