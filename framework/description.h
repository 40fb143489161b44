/* description.h - what a manifest says about a bundle: name, version, native
 * code for this machine, capabilities and requirements, checked and typed. */
#pragma once

#include "manifest.h"
#include "version.h"
#include <inaetics/properties.h>
#include <stdbool.h>
#include <stddef.h>

#define BUNDLE_NAME_MAX 128u

/* Namespace of services: the attribute `contract` names a contract, `plain` a
 * service within the process. A service comes and goes at run time, so pack
 * writes its requirement with effective:=active, which does not block resolving. */
#define NAMESPACE_SERVICE "inaetics.service"
/* The framework itself, with its version. */
#define NAMESPACE_FRAMEWORK "inaetics.framework"
/* What this framework provides itself. */
#define FRAMEWORK_CAPABILITIES NAMESPACE_FRAMEWORK ";version:Version=\"" INAETICS_VERSION "\""

typedef struct Capability {
    const char *space;
    InaProperties *attributes; /* values of type Version as version_sortable writes them */
    const char **versions;     /* keys of those */
    size_t n_versions;
    bool resolving; /* not reserved for later by an `effective` directive */
} Capability;

typedef struct Requirement {
    const char *space;
    const char *filter; /* as in the manifest, or NULL */
    InaFilter *compiled;
    bool optional;  /* resolution:=optional */
    bool resolving; /* effective:=resolve, the default: blocks resolving */
} Requirement;

typedef struct Description {
    char *name;
    Version version;
    char version_text[VERSION_TEXT_MAX];
    char *library; /* entry with the shared object for this machine; NULL: there is none */
    char *natives; /* processors there is native code for, "AArch64, riscv64", for messages; "" */
    Capability *capabilities;
    size_t n_capabilities;
    Requirement *requirements;
    size_t n_requirements;
    struct Clauses *provide, *require; /* hold the texts */
} Description;

/* Errors name the header. */
int description_new(const Manifest *manifest, Description **ret, InaError *error);
Description *description_free(Description *description);

/* For the framework's own capabilities: a description with only these. */
int description_of(const char *provide_capability, Description **ret, InaError *error);

/* Whether the capability satisfies the requirement (namespace and filter). */
bool requirement_met(const Requirement *requirement, const Capability *capability);

bool bundle_name_valid(const char *name);
