/* openapi_internal.h - the OpenAPI document, between what makes and what encodes it. */
#pragma once

#include <jansson.h>

json_t *openapi_document(void); /* NULL: out of memory */
