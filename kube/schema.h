/* schema.h - what is known of the fields of each kind: type, merge keys,
 * defaults, what is honoured, ignored or refused; validation and defaulting;
 * and OpenAPI made from it.
 *
 * Source: the Kubernetes API reference, v1.20. A kind's table says for each
 * field that Kubernetes knows one of:
 *   honoured  the cluster does what it says;
 *   stored    carries no behaviour for the cluster itself (labels, descriptions,
 *             imagePullPolicy): kept and shown;
 *   ignored   would matter little: kept, with a warning ("spec.x is ignored here: ...");
 *   refused   would change behaviour if honoured and cannot be: 422, named.
 * A field that Kubernetes does not know is dropped, or refused where the client
 * asks for strict validation. */
#pragma once

#include "status.h"

typedef enum FieldTreatment { FIELD_HONOURED, FIELD_STORED, FIELD_IGNORED, FIELD_REFUSED } FieldTreatment;
typedef enum FieldType {
    FIELD_STRING,
    FIELD_INTEGER,
    FIELD_NUMBER,
    FIELD_BOOLEAN,
    FIELD_QUANTITY,      /* string or number; stored canonical */
    FIELD_INT_OR_STRING, /* targetPort, maxSurge */
    FIELD_TIME,
    FIELD_BYTES,  /* base64 */
    FIELD_OBJECT, /* `schema` */
    FIELD_LIST,   /* of `schema`, or of `element` */
    FIELD_MAP,    /* string -> `element` or `schema` */
    FIELD_ANY,
} FieldType;

typedef struct Schema Schema;

/* What the zero value ("", 0, false, {}) of a field means: Kubernetes decodes into structs and encodes them again. */
typedef enum SchemaZero {
    ZERO_DROPPED, /* the same as none: left out */
    ZERO_KEPT,    /* not the same as none */
    ZERO_FILLED,  /* always there: filled in (times: null) */
} SchemaZero;

typedef struct SchemaField {
    const char *name;
    FieldType type;
    FieldType element;    /* LIST and MAP of plain values */
    const Schema *schema; /* OBJECT, LIST of objects, MAP of objects */
    FieldTreatment treatment;
    const char *merge_key;     /* LIST: strategic merge by this key; NULL: replaced. "" for a set of plain values */
    bool retain_keys;          /* OBJECT: x-kubernetes-patch-strategy retainKeys */
    const char *fallback;      /* default as JSON text ("\"Always\"", "1"); NULL: none */
    const char *const *values; /* allowed strings, NULL-terminated; NULL: any */
    const char *why;           /* IGNORED, REFUSED: ends the message */
    const char *usual;         /* IGNORED, REFUSED: the text that means nothing else; NULL: none */
    SchemaZero zero;
    bool required; /* OpenAPI says so */
    bool wide;     /* INTEGER: of 64 bits; TIME: with microseconds */
} SchemaField;

#define SCHEMA_APPLICATION_MAXIMUM 64 /* of a component of an Application that does not say */

struct Schema {
    const char *name;          /* OpenAPI definition: "io.k8s.api.core.v1.PodSpec" */
    const SchemaField *fields; /* ends with name NULL */
};

/* "" for the core group; NULL: no such kind. */
const Schema *schema_find(const char *group, const char *version, const char *kind);
const SchemaField *schema_field(const Schema *schema, const char *name);

/* What becomes of fields that Kubernetes does not know: dropped silently, dropped with a warning each, or refused. */
typedef enum SchemaUnknown { SCHEMA_DROP, SCHEMA_REFUSE, SCHEMA_WARN } SchemaUnknown;

typedef struct SchemaResult {
    json_t *status;   /* a Status when refused; NULL otherwise */
    json_t *warnings; /* array of strings, or NULL */
} SchemaResult;

/* Of a body from outside: checks types against the table, drops or refuses what Kubernetes does not
 * know, nulls are removed, quantities made canonical, refused fields are causes, ignored ones warnings. Changes
 * `object`. Wrong types: the 400 of Kubernetes' decoder. Returns 0 or the status' code. */
int schema_admit(const Schema *schema, json_t *object, SchemaUnknown unknown, SchemaResult *ret);
/* What Kubernetes says of wrong types in what a strategic merge patch made ("unrecognized type: int32"); malloc'ed.
 * NULL: they are right. */
char *schema_convert_error(const Schema *schema, const json_t *object);
/* Fills in what the table says and what depends on other fields (as Kubernetes' defaults.go: probes, ports' protocol,
 * selector and labels from the template, strategy, terminationMessagePath, service type, ...). */
void schema_default(const Schema *schema, json_t *object);
/* Kubernetes' validation of this kind but for metadata, which is the same for all: causes with its words. `old` NULL:
 * create; else update (immutable fields). Not of metadata: the API checks it for all kinds alike
 * (cluster/api/resource.h). */
void schema_validate(const Schema *schema, const json_t *object, const json_t *old, KubeCauses *causes);

/* OpenAPI v2 (swagger 2.0) of all kinds, as JSON; and as the protobuf message openapi.v2.Document (gnostic) that
 * kubectl asks for; kubectl cannot read the media type that it asks for, so it goes out as application/octet-stream,
 * as from Kubernetes itself. malloc'ed; NULL: out of memory. */
char *schema_openapi(size_t *ret_size);
void *schema_openapi_protobuf(size_t *ret_size);
