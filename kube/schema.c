/* schema.c - finding kinds and fields in the tables. */
#include "schema.h"

#include <string.h>

const SchemaField *schema_field(const Schema *schema, const char *name)
{
    for (const SchemaField *field = schema->fields; field->name; field++)
        if (strcmp(field->name, name) == 0)
            return field;
    return NULL;
}
